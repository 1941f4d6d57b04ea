//! The screens as data, and the one function that draws them. Each is a pure function of its data onto any draw target.

use std::fmt;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;
use serde::{Deserialize, Serialize};

mod denied;
mod granted;
mod idle;
mod live;
mod message;
mod notice;
mod out_of_order;

pub use denied::Denied;
pub use granted::Granted;
pub use idle::Idle;
pub use live::{FaceMark, Live};
pub use message::Message;
pub use out_of_order::OutOfOrder;

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
    /// A word for whoever reads it.
    Message(Message),
    /// The device cannot do its work.
    OutOfOrder(OutOfOrder),
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
    /// A word for whoever reads it.
    Message,
    /// The device cannot do its work.
    OutOfOrder,
}

impl ScreenKind {
    /// Its name in file names and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Live => "live",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Message => "message",
            Self::OutOfOrder => "out-of-order",
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
            Self::Message(_) => ScreenKind::Message,
            Self::OutOfOrder(_) => ScreenKind::OutOfOrder,
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
pub fn draw<D>(screen: &Screen<'_>, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    match screen {
        Screen::Idle(s) => idle::draw(s, target),
        Screen::Live(s) => live::draw(s, target),
        Screen::Granted(s) => granted::draw(s, target),
        Screen::Denied(s) => denied::draw(s, target),
        Screen::Message(s) => message::draw(s, target),
        Screen::OutOfOrder(s) => out_of_order::draw(s, target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::canvas::Canvas;
    use crate::display::icon::Icon;
    use limen_models::geometry::BBox;
    use limen_models::image::RgbImage;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_words_on_any_panel_are_drawn_without_a_panic(
            a in any::<String>(), b in any::<String>(), c in any::<String>(),
            w in 1usize..400, h in 1usize..400,
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
                Screen::Message(Message { icon: Icon::Info, title: c.clone(), text: a.clone() }),
                Screen::OutOfOrder(OutOfOrder { title: a.clone(), text: b.clone(), note: c.clone() }),
            ];
            for s in &screens {
                let mut canvas = Canvas::new(w, h).unwrap();
                let Ok(()) = draw(s, &mut canvas);
            }
        }
    }

    #[test]
    fn every_screen_covers_all_that_was_there_before() {
        let frame = RgbImage::filled(64, 48, [9; 3]).unwrap();
        let screens = [
            Screen::Idle(Idle::new("09:41", "Tuesday")),
            Screen::Live(Live { frame: &frame, faces: vec![], hint: String::new() }),
            Screen::Granted(Granted::new("Ann")),
            Screen::Denied(Denied::new("Not now.")),
            Screen::Denied(Denied::unknown("Not known here.")),
            Screen::Message(Message { icon: Icon::Info, title: "Hello".into(), text: "World".into() }),
            Screen::OutOfOrder(OutOfOrder::new("No picture from the camera.")),
        ];
        for s in &screens {
            let magenta = RgbImage::filled(200, 120, [255, 0, 254]).unwrap();
            let mut canvas = Canvas::from(magenta);
            let Ok(()) = draw(s, &mut canvas);
            assert!(!canvas.image().data().chunks(3).any(|p| p == [255, 0, 254]), "{s:?}");
        }
    }

    #[test]
    fn debug_shows_no_name() {
        assert_eq!(format!("{:?}", Screen::Granted(Granted::new("Ann"))), "Screen(granted)");
    }
}
