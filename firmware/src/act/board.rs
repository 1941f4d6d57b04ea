//! What the display shows, and for how long: a verdict for its time, an alarm while it lasts, the service menu while somebody
//! is at it, a lost camera while it lasts, else what the camera sees. What is news there is heard too; nothing is told by
//! sound alone.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use limen_gallery_db::Subject;

use embedded_graphics::geometry::{OriginDimensions, Size};

use super::attend::View;
use crate::camera::Frame;
use crate::controls::Input;
use crate::decide::Decision;
use crate::display::icon::Icon;
use crate::display::screens::enrol::Reach;
use crate::display::screens::service_menu::Camera;
use crate::display::screens::{
    self, CameraLost, Choice, Denied, Enrol, FaceMark, Granted, Idle, Live, Message, OutOfOrder, PinPad,
    ServiceMenu, demo,
};
use crate::display::{Language, Panel, Screen, Stage, Words, palette, show};
use crate::doorway::Alarm;
use crate::gate::Verdict;
use crate::kiosk::enrol;
use crate::menu;
use crate::recognise::{Match, Seen, Sighting};
use crate::slot::{Overtake, Slot};
use crate::sound::{Cue, Tone};
use crate::time::Millis;

/// How a door speaks to people.
pub struct Voice {
    /// Where screens are shown, if anywhere.
    pub panel: Option<Box<dyn Panel>>,
    /// In which words.
    pub language: Arc<Language>,
    /// Whether every screen must say that it is a demo.
    pub stage: Stage,
    /// How long a verdict stays.
    pub verdict_ms: u64,
    /// At which height whoever is enrolled is looked for.
    pub reach: Reach,
    /// What is to be heard; nobody need listen.
    pub cues: Arc<Slot<Cue>>,
}

/// What is shown while it lasts.
#[derive(Clone, PartialEq, Eq)]
enum Lasting {
    Alarm(Alarm),
    /// With the number of the frame in it, if one is.
    Attended(View, Option<u64>),
    CameraLost,
}

/// The display as the act thread drives it. A newer verdict or alarm takes the place of an older one at once.
pub struct Board {
    voice: Voice,
    alarm: Option<Alarm>,
    attended: Option<View>,
    /// The last frame of somebody who is enrolled.
    frame: Option<Arc<Frame>>,
    camera_lost: bool,
    /// What is on the display stays until then.
    until: Option<Millis>,
    /// Which of the lasting things is on the display.
    shown: Option<Lasting>,
    /// Whether the panel failed the last time.
    dark: bool,
    /// When it was last told of anything.
    now: Millis,
}

impl Board {
    /// Nothing is shown yet.
    pub fn new(voice: Voice) -> Self {
        let now = Millis::ZERO;
        Self {
            voice,
            alarm: None,
            attended: None,
            frame: None,
            camera_lost: false,
            until: None,
            shown: None,
            dark: false,
            now,
        }
    }

    /// The size of the panel, px; `None` without one.
    pub fn panel(&mut self) -> Option<Size> {
        self.voice.panel.as_mut().map(|panel| panel.canvas().size())
    }

    /// The size of the screens on it, px: in a demo, a little less.
    pub fn screens(&mut self) -> Option<Size> {
        let panel = self.panel()?;
        Some(match self.voice.stage {
            Stage::Real => panel,
            Stage::Demo => demo::below(panel).size,
        })
    }

    /// A touch of the panel as one of its screen; `None` where no screen is, and while a verdict or an alarm hides what would
    /// be touched or gone through by buttons.
    pub fn reached(&mut self, input: Input, now: Millis) -> Option<Input> {
        let panel = self.panel()?;
        if self.until.is_some_and(|until| now < until) || self.alarm.is_some() {
            return None;
        }
        match (input, self.voice.stage) {
            (Input::Tap { x, y }, Stage::Demo) => {
                let above = u32::try_from(demo::below(panel).top_left.y).unwrap_or(0);
                y.checked_sub(above).map(|y| Input::Tap { x, y })
            }
            _ => Some(input),
        }
    }

    /// What is to be seen of the service menu and the people behind it; `None` while it is closed.
    pub fn attended(&mut self, view: Option<View>, now: Millis, wall: Timestamp) {
        let closed = view.is_none() && matches!(self.shown, Some(Lasting::Attended(..)));
        self.attended = view;
        if !matches!(self.attended, Some(View::People(enrol::View::Poses { .. }))) {
            self.frame = None;
        }
        if !self.rests(now) && closed {
            // Until the next frame.
            let idle = idle(wall, &self.voice.language);
            self.show(&idle, None, now);
        }
    }

    /// A frame was looked at while somebody is at the people.
    pub fn see(&mut self, seen: &Seen) {
        self.frame = Some(Arc::clone(&seen.frame));
    }

    /// A frame was looked at, with a verdict on each face. A face is named from `threshold` on.
    pub fn frame(&mut self, seen: &Seen, verdicts: &[Verdict], threshold: f32, now: Millis, wall: Timestamp) {
        let language = Arc::clone(&self.voice.language);
        let mut news = seen.sightings.iter().zip(verdicts).filter(|(_, v)| v.is_news);
        let said = news.find_map(|(s, v)| {
            let name = s.best.as_ref().map_or("", |b| name(b, &language));
            verdict(&v.decision, name, &language)
        });
        if let Some((verdict, tone)) = said {
            self.sound(Some(tone));
            self.hold(&verdict, None, now);
        } else if self.voice.panel.is_some() && !self.rests(now) {
            self.show(&live(seen, verdicts, threshold, wall, &language), None, now);
        }
    }

    /// Something was shown at a reader, by `who` if that is known: what is said of it, be it a verdict or what is to be shown
    /// besides.
    pub fn said(&mut self, decision: &Decision, who: Option<&Subject>, now: Millis) {
        let language = Arc::clone(&self.voice.language);
        let name = who.map_or("", |who| writable(who, &language));
        if let Some((verdict, tone)) = verdict(decision, name, &language) {
            self.sound(Some(tone));
            self.hold(&verdict, None, now);
        } else if let Some(hint) = hint(decision, &language.words) {
            let screen =
                Screen::Message(Message { icon: Icon::Info, title: hint.to_owned(), text: String::new() });
            self.hold(&screen, None, now);
        }
    }

    /// What is wrong with the door, or no more.
    pub fn alarm(&mut self, alarm: Option<Alarm>, now: Millis) {
        if alarm != self.alarm {
            self.alarm = alarm;
            self.sound(alarm.map(|_| Tone::Alarm));
            if let Some(new) = alarm {
                let screen = Screen::Alarm(screens::Alarm::new(&self.voice.language.words, new));
                self.hold(&screen, Some(Lasting::Alarm(new)), now);
            }
        }
        self.rests(now);
    }

    /// Whether the camera is gone.
    pub fn camera(&mut self, lost: bool, now: Millis) {
        self.camera_lost = lost;
        if lost {
            self.sound(Some(Tone::CameraLost));
            self.until = None;
            if self.attended.is_some() {
                // Whoever is at the menu sees it for the time of a verdict, and on its line after that.
                let screen = Screen::CameraLost(CameraLost::new(&self.voice.language.words));
                self.hold(&screen, Some(Lasting::CameraLost), now);
            }
        }
        self.rests(now);
    }

    /// Something was shown to a reader, and read.
    pub fn read(&self) {
        self.sound(Some(Tone::Read));
    }

    /// How the camera is, for the service menu.
    pub fn camera_is(&self) -> Camera {
        if self.camera_lost { Camera::Lost } else { Camera::Seeing }
    }

    /// The program ends by a fault.
    pub fn out_of_order(&mut self) {
        let screen = Screen::OutOfOrder(OutOfOrder::new(&self.voice.language.words, ""));
        self.show(&screen, None, self.now);
    }

    /// Whether something other than the camera's picture is on the display, and is to stay there.
    fn rests(&mut self, now: Millis) -> bool {
        self.now = now;
        if self.until.is_some_and(|until| now < until) {
            return true;
        }
        self.until = None;
        let lasting = match (self.alarm, &self.attended, self.camera_lost) {
            (Some(alarm), ..) => Lasting::Alarm(alarm),
            (None, Some(view), _) => Lasting::Attended(view.clone(), self.frame.as_ref().map(|f| f.seq)),
            (None, None, true) => Lasting::CameraLost,
            (None, None, false) => return false,
        };
        if self.shown.as_ref() != Some(&lasting) {
            let (language, frame) = (Arc::clone(&self.voice.language), self.frame.clone());
            let screen = match &lasting {
                Lasting::Alarm(alarm) => Screen::Alarm(screens::Alarm::new(&language.words, *alarm)),
                Lasting::Attended(view, _) => attended(view, &language, (frame.as_deref(), self.voice.reach)),
                Lasting::CameraLost => Screen::CameraLost(CameraLost::new(&language.words)),
            };
            self.show(&screen, Some(lasting.clone()), now);
        }
        true
    }

    /// Has a tone played, and after it an alarm for as long as there is one. Nobody waits for it.
    fn sound(&self, once: Option<Tone>) {
        let then = self.alarm.map(|_| Tone::Alarm);
        self.voice.cues.put(Cue { once, then }, Overtake::NewestWins);
    }

    /// Shows a screen for the time of a verdict.
    fn hold(&mut self, screen: &Screen<'_>, lasting: Option<Lasting>, now: Millis) {
        self.until = Some(now.plus(self.voice.verdict_ms));
        self.show(screen, lasting, now);
    }

    /// Without a display the door works all the same: a fault is told once, until it is over.
    fn show(&mut self, screen: &Screen<'_>, lasting: Option<Lasting>, now: Millis) {
        (self.shown, self.now) = (lasting, now);
        let Voice { panel: Some(panel), language, stage, .. } = &mut self.voice else { return };
        let shown = show(panel.as_mut(), screen, language, *stage, now);
        if let Err(e) = &shown
            && !self.dark
        {
            crate::tell!(Warning, "nothing is shown: {e}; the door goes on");
        }
        self.dark = shown.is_err();
    }
}

/// What whoever is at the device sees.
fn attended<'a>(
    view: &View,
    language: &'a Language,
    (frame, reach): (Option<&'a Frame>, Reach),
) -> Screen<'a> {
    let words = &language.words;
    match view {
        View::Menu(menu::View::Pin { typed, note, focus }, _) => {
            Screen::PinPad(PinPad::new(words, *typed, *note, *focus))
        }
        View::Menu(menu::View::Items { focus }, facts) => {
            Screen::ServiceMenu(ServiceMenu::new(words, facts, *focus))
        }
        View::People(enrol::View::Id { typed, focus }) => Screen::PinPad(PinPad::id(words, typed, *focus)),
        View::People(enrol::View::Ask { asked, focus }) => {
            Screen::Choice(Choice::new(language, asked, *focus))
        }
        View::People(enrol::View::Poses { progress, is_focused }) => {
            let frame = frame.map(|frame| &frame.image);
            Screen::Enrol(Enrol::new(words, *progress, (frame, reach), *is_focused))
        }
        View::People(enrol::View::Checking) => {
            let title = words.checking().to_owned();
            Screen::Message(Message { icon: Icon::Face, title, text: String::new() })
        }
    }
}

fn verdict(decision: &Decision, name: &str, language: &Language) -> Option<(Screen<'static>, Tone)> {
    let words = &language.words;
    match decision {
        Decision::Grant { .. } => Some((Screen::Granted(Granted::new(words, name)), Tone::Granted)),
        Decision::Deny(why) => Some((Screen::Denied(Denied::new(words, *why)), Tone::Denied)),
        Decision::Ask(_) | Decision::Pair { .. } | Decision::Passed { .. } => None,
    }
}

/// What the person should do; `None` for nothing.
fn hint<'a>(decision: &Decision, words: &'a Words) -> Option<&'a str> {
    match decision {
        Decision::Ask(request) => Some(words.hint(*request)),
        Decision::Pair { .. } => Some(words.second_person()),
        Decision::Grant { .. } | Decision::Deny(_) | Decision::Passed { .. } => None,
    }
}

/// The clock while nobody is there, else the picture with a box on each face.
fn live<'a>(
    seen: &'a Seen,
    verdicts: &[Verdict],
    threshold: f32,
    wall: Timestamp,
    language: &'a Language,
) -> Screen<'a> {
    let Some(largest) = seen.largest().and_then(|i| verdicts.get(i)) else {
        return idle(wall, language);
    };
    let hint = hint(&largest.decision, &language.words).unwrap_or_default().to_owned();
    let faces = seen.sightings.iter().map(|s| mark(s, threshold, language)).collect();
    Screen::Live(Live { frame: &seen.frame.image, faces, hint })
}

fn idle(wall: Timestamp, language: &Language) -> Screen<'static> {
    Screen::Idle(Idle::new(&language.words, TimeZone::system().to_datetime(wall)))
}

/// The box of a face: named and coloured from the threshold on, grey below it.
fn mark<'a>(s: &'a Sighting, threshold: f32, language: &'a Language) -> FaceMark<'a> {
    let known = s.best.as_ref().filter(|b| b.score >= threshold);
    FaceMark {
        bbox: s.detection.bbox,
        name: known.map_or(language.words.unknown(), |b| name(b, language)),
        score: s.best.as_ref().map(|b| b.score),
        // The same person has the same colour every day: by the id, not by the order of arrival.
        colour: known.map_or(palette::UNKNOWN, |b| {
            palette::colour(b.subject.external_id.bytes().map(usize::from).sum())
        }),
    }
}

/// The name, or the id of somebody whose name no font here can write.
fn name<'a>(who: &'a Match, language: &Language) -> &'a str {
    writable(&who.subject, language)
}

fn writable<'a>(who: &'a Subject, language: &Language) -> &'a str {
    if language.fonts.can_write(&who.name) { &who.name } else { &who.external_id }
}
