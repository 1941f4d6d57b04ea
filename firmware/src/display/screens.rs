//! The screens as data, and the one function that draws them. Each is a pure function of its data onto any draw target.

use std::fmt;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;
use serde::{Deserialize, Serialize};

mod alarm;
mod camera_lost;
pub mod choice;
pub mod demo;
mod denied;
pub mod enrol;
mod granted;
mod idle;
mod live;
mod message;
mod notice;
mod out_of_order;
pub mod pin_pad;
mod service;
pub mod service_menu;

pub use alarm::Alarm;
pub use camera_lost::CameraLost;
pub use choice::Choice;
pub use denied::Denied;
pub use enrol::Enrol;
pub use granted::Granted;
pub use idle::Idle;
pub use live::{FaceMark, Live};
pub use message::Message;
pub use out_of_order::OutOfOrder;
pub use pin_pad::PinPad;
pub use service::Service;
pub use service_menu::ServiceMenu;

use super::fonts::Fonts;

/// What is to be seen.
pub enum Screen<'a> {
    /// Nobody is there.
    Idle(Idle),
    /// Somebody is there: what the camera sees.
    Live(Live<'a>),
    /// The door opens.
    Granted(Granted),
    /// The door stays shut.
    Denied(Denied),
    /// Somebody is enrolled.
    Enrol(Enrol<'a>),
    /// Something is asked of whoever is at the device.
    Choice(Choice),
    /// Something is wrong with the door.
    Alarm(Alarm),
    /// The camera gives no pictures.
    CameraLost(CameraLost),
    /// Somebody works on the device.
    Service(Service),
    /// A word for whoever reads it.
    Message(Message),
    /// The device cannot do its work.
    OutOfOrder(OutOfOrder),
    /// A PIN is asked for.
    PinPad(PinPad),
    /// How things are, for whoever looks after the device.
    ServiceMenu(ServiceMenu),
}

/// Which screen, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScreenKind {
    /// Nobody is there.
    Idle,
    /// What the camera sees.
    Live,
    /// The door opens.
    Granted,
    /// The door stays shut.
    Denied,
    /// Somebody is enrolled.
    Enrol,
    /// Something is asked of whoever is at the device.
    Choice,
    /// Something is wrong with the door.
    Alarm,
    /// The camera gives no pictures.
    CameraLost,
    /// Somebody works on the device.
    Service,
    /// A word for whoever reads it.
    Message,
    /// The device cannot do its work.
    OutOfOrder,
    /// A PIN is asked for.
    PinPad,
    /// How things are, for whoever looks after the device.
    ServiceMenu,
}

impl ScreenKind {
    /// Its name in file names and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Live => "live",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Enrol => "enrol",
            Self::Choice => "choice",
            Self::Alarm => "alarm",
            Self::CameraLost => "camera-lost",
            Self::Service => "service",
            Self::Message => "message",
            Self::OutOfOrder => "out-of-order",
            Self::PinPad => "pin-pad",
            Self::ServiceMenu => "service-menu",
        }
    }
}

impl Screen<'_> {
    /// Which screen this is.
    pub const fn kind(&self) -> ScreenKind {
        match self {
            Self::Idle(_) => ScreenKind::Idle,
            Self::Live(_) => ScreenKind::Live,
            Self::Granted(_) => ScreenKind::Granted,
            Self::Denied(_) => ScreenKind::Denied,
            Self::Enrol(_) => ScreenKind::Enrol,
            Self::Choice(_) => ScreenKind::Choice,
            Self::Alarm(_) => ScreenKind::Alarm,
            Self::CameraLost(_) => ScreenKind::CameraLost,
            Self::Service(_) => ScreenKind::Service,
            Self::Message(_) => ScreenKind::Message,
            Self::OutOfOrder(_) => ScreenKind::OutOfOrder,
            Self::PinPad(_) => ScreenKind::PinPad,
            Self::ServiceMenu(_) => ScreenKind::ServiceMenu,
        }
    }
}

impl fmt::Debug for Screen<'_> {
    /// The kind only: names and faces are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen({})", self.kind().name())
    }
}

/// Draws `screen` over the whole of `target`. Made for 240x240, 320x480 and 800x480 px; other sizes follow from them.
pub fn draw<D>(screen: &Screen<'_>, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    match screen {
        Screen::Idle(s) => idle::draw(s, fonts, target),
        Screen::Live(s) => live::draw(s, fonts, target),
        Screen::Granted(s) => granted::draw(s, fonts, target),
        Screen::Denied(s) => denied::draw(s, fonts, target),
        Screen::Enrol(s) => enrol::draw(s, fonts, target),
        Screen::Choice(s) => choice::draw(s, fonts, target),
        Screen::Alarm(s) => alarm::draw(s, fonts, target),
        Screen::CameraLost(s) => camera_lost::draw(s, fonts, target),
        Screen::Service(s) => service::draw(s, fonts, target),
        Screen::Message(s) => message::draw(s, fonts, target),
        Screen::OutOfOrder(s) => out_of_order::draw(s, fonts, target),
        Screen::PinPad(s) => pin_pad::draw(s, fonts, target),
        Screen::ServiceMenu(s) => service_menu::draw(s, fonts, target),
    }
}

#[cfg(test)]
mod tests {
    use super::enrol::Reach;
    use super::pin_pad::{Key, Typed};
    use super::service_menu::{Facts, Line};
    use super::*;
    use crate::decide::Denial;
    use crate::display::Language;
    use crate::display::canvas::Canvas;
    use crate::display::icon::Icon;
    use crate::display::keys::Look;
    use crate::display::theme;
    use crate::doorway;
    use crate::kiosk::enrol::Asked;
    use crate::kiosk::poses::{Hint, Pose, Progress};
    use crate::menu::Note;
    use limen_models::geometry::BBox;
    use limen_models::image::RgbImage;
    use proptest::prelude::*;

    fn progress() -> Progress {
        Progress { taken: [Some(3), Some(1), Some(0), None, None], hint: Hint::Look(Pose::Left) }
    }

    fn english() -> Language {
        Language::open(&"en".parse().unwrap(), &Default::default()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_words_on_any_panel_are_drawn_without_a_panic(
            a in any::<String>(), b in any::<String>(), c in any::<String>(),
            w in 1usize..400, h in 1usize..400, done in any::<usize>(), all in any::<usize>(),
        ) {
            let frame = RgbImage::filled(17, 5, [200; 3]).unwrap();
            let face = FaceMark {
                bbox: BBox { x1: -4.0, y1: 2.0, x2: 30.0, y2: 9.0 },
                name: &a,
                score: Some(0.5),
                colour: [255, 0, 0],
            };
            let screens = [
                Screen::Idle(Idle { clock: a.clone(), date: b.clone(), hint: c.clone() }),
                Screen::Live(Live { frame: &frame, faces: vec![face], hint: b.clone() }),
                Screen::Granted(Granted { greeting: b.clone(), name: a.clone(), detail: c.clone() }),
                Screen::Denied(Denied { title: a.clone(), reason: b.clone(), icon: Icon::Question }),
                Screen::Enrol(Enrol {
                    frame: Some(&frame),
                    reach: if done % 2 == 0 { Reach::Standing } else { Reach::Low },
                    shares: [Some(0.5), None, Some(all as f32), Some(0.0), Some(1.0)],
                    next: Some(Pose::Up),
                    hint: c.clone(),
                    is_focused: true,
                }),
                Screen::Choice(Choice {
                    icon: Icon::Info,
                    sign: theme::SKY,
                    title: a.clone(),
                    text: b.clone(),
                    keys: vec![c.clone(); done % 9],
                    focus: Some(1),
                }),
                Screen::Alarm(Alarm { title: c.clone(), text: b.clone() }),
                Screen::CameraLost(CameraLost { title: b.clone(), text: a.clone() }),
                Screen::Service(Service { title: b.clone(), text: c.clone() }),
                Screen::Message(Message { icon: Icon::Info, title: c.clone(), text: a.clone() }),
                Screen::OutOfOrder(OutOfOrder { title: a.clone(), text: b.clone(), note: c.clone() }),
                Screen::PinPad(PinPad {
                    title: a.clone(),
                    typed: if all % 2 == 0 { Typed::Hidden(done) } else { Typed::Shown(b.clone()) },
                    keys: Look::Ready,
                    focus: Some(Key::Delete),
                }),
                Screen::ServiceMenu(ServiceMenu {
                    title: a.clone(),
                    lines: vec![Line { what: b.clone(), how: c.clone(), is_trouble: true }; all % 12],
                    items: vec![c.clone(); done % 6],
                    focus: Some(1),
                }),
            ];
            let fonts = Fonts::built_in();
            for s in &screens {
                let mut canvas = Canvas::new(w, h).unwrap();
                let Ok(()) = draw(s, &fonts, &mut canvas);
                let Ok(()) = demo::draw(s, &a, &fonts, &mut canvas);
            }
        }
    }

    fn usual<'a>(frame: &'a RgbImage, language: &Language) -> [Screen<'a>; 14] {
        let words = &language.words;
        [
            Screen::Idle(Idle::new(words, jiff::civil::datetime(2026, 11, 24, 9, 41, 0, 0))),
            Screen::Live(Live { frame, faces: vec![], hint: String::new() }),
            Screen::Granted(Granted::new(words, "Ann")),
            Screen::Denied(Denied::new(words, Denial::Expired)),
            Screen::Denied(Denied::new(words, Denial::Unknown)),
            Screen::Enrol(Enrol::new(words, progress(), (Some(frame), Reach::Standing), false)),
            Screen::Choice(Choice::new(language, &Asked::Alike, None)),
            Screen::Alarm(Alarm::new(words, doorway::Alarm::Held)),
            Screen::CameraLost(CameraLost::new(words)),
            Screen::Service(Service::new(words)),
            Screen::Message(Message { icon: Icon::Info, title: "Hello".into(), text: "World".into() }),
            Screen::OutOfOrder(OutOfOrder::new(words, "")),
            Screen::PinPad(PinPad::new(words, 3, Note::Enter, None)),
            Screen::ServiceMenu(ServiceMenu::new(words, &Facts::default(), None)),
        ]
    }

    #[test]
    fn every_screen_covers_all_that_was_there_before_and_bears_the_mark_of_a_demo() {
        let frame = RgbImage::filled(64, 48, [9; 3]).unwrap();
        let language = english();
        let magenta = || Canvas::from(RgbImage::filled(320, 240, [255, 0, 254]).unwrap());
        let mut strips = Vec::new();
        for s in &usual(&frame, &language) {
            let (mut plain, mut marked) = (magenta(), magenta());
            let Ok(()) = draw(s, &language.fonts, &mut plain);
            let Ok(()) = demo::draw(s, &language.words.demo, &language.fonts, &mut marked);
            for canvas in [&plain, &marked] {
                assert!(!canvas.image().data().chunks(3).any(|p| p == [255, 0, 254]), "{s:?}");
            }
            strips.push(marked.into_image().data()[..320 * 18 * 3].to_vec());
        }
        let ink = strips[0].chunks(3).filter(|p| p[0] < 100).count();
        assert!(ink > 100 && strips.iter().all(|s| *s == strips[0]), "{ink}");
    }

    #[test]
    fn debug_shows_no_name() {
        let granted = Screen::Granted(Granted::new(&english().words, "Ann"));
        assert_eq!(format!("{granted:?}"), "Screen(granted)");
    }
}
