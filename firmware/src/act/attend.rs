//! Whoever is at the device: the service menu behind its PIN, the people, what is said of the house, and what of it is kept.

use std::io;
use std::path::Path;

use anyhow::Result;
use embedded_graphics::geometry::Size;
use jiff::Timestamp;
use limen_gallery_db::event::NewEvent;
use limen_gallery_db::score::Threshold;
use limen_gallery_db::template::ModelId;
use limen_gallery_db::{Event, EventFilter, EventKind, Gallery, Order};
use limen_models::quality::Limits;
use serde_json::json;

use crate::controls::Input;
use crate::controls::focus::Focus;
use crate::display::screens::service_menu::{Camera, Door, Facts};
use crate::kiosk::enrol::{self, End, Enrol, Wanted};
use crate::menu::{self, Guard, Menu, News};
use crate::pin::{Answer, PinHash, Question, Tries};
use crate::time::Millis;

mod people;

/// What the device is looked after by.
pub struct Settings {
    /// The configuration's PIN, which comes before the gallery's.
    pub pin: PinHash,
    /// Which faces the door judges.
    pub limits: Limits,
    /// Two frames show one person from this cosine on.
    pub same_face: Threshold,
    /// From which score on the door lets in.
    pub threshold: f32,
    /// Of the embeddings.
    pub model: ModelId,
}

/// What is to be seen.
#[derive(Clone, PartialEq, Eq)]
pub enum View {
    /// The service menu, with how things are.
    Menu(menu::View, Facts),
    /// The people.
    People(enrol::View),
}

/// When something happens, by the door's clock and by the journal's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The door's.
    pub now: Millis,
    /// The journal's.
    pub wall: Timestamp,
}

/// The service menu, the people behind it, and what was found out for both.
pub struct Attendant {
    settings: Settings,
    /// Of the screens, px.
    size: Size,
    menu: Menu,
    people: Option<Enrol>,
    /// To be enrolled as soon as the bolt has fallen.
    due: Option<Wanted>,
    /// The id of whom the last samples were like.
    like: String,
    /// Counted once for each time that the menu is open.
    counted: Option<Facts>,
}

impl Attendant {
    /// With a closed menu, on screens of `size` px.
    pub fn new(size: Size, settings: Settings) -> Self {
        let (menu, like) = (Menu::new(size), String::new());
        Self { settings, size, menu, people: None, due: None, like, counted: None }
    }

    /// Somebody did something: what was written down, and what is to be asked of the thread that hashes.
    pub fn input(
        &mut self,
        input: Input,
        at: Moment,
        gallery: &mut Gallery,
    ) -> Result<(Option<Event>, Option<Question>)> {
        self.settle(at.now);
        if let Some(people) = self.people.as_mut().filter(|p| p.view().is_some()) {
            let deed = people.input(input, at.now);
            let event = deed.map(|deed| self.do_for_people(deed, at, gallery)).transpose()?.flatten();
            self.settle(at.now);
            return Ok((event, None));
        }
        if self.menu.is_closed() {
            match self.guard(gallery, at.wall) {
                Ok(guard) => self.menu.guarded(guard, at.now),
                Err(e) => {
                    crate::tell!(Warning, "{e:#}; the service menu stays shut");
                    return Ok((None, None));
                }
            }
        }
        let question = match self.menu.input(input, at.now) {
            Some(menu::Deed::Compare(digits)) => Some(Question::Compare(digits, self.pin(gallery)?)),
            Some(menu::Deed::Choose(digits)) => Some(Question::Hash(digits)),
            Some(menu::Deed::People) => {
                self.people = Some(Enrol::new(self.size, Focus::after(input), at.now));
                None
            }
            None => None,
        };
        self.settle(at.now);
        Ok((None, question))
    }

    /// What the thread that hashes said; what was written down.
    pub fn answer(&mut self, answer: Answer, at: Moment, gallery: &mut Gallery) -> Result<Option<Event>> {
        let event = match answer {
            Answer::Compared(found) => {
                let news = self.menu.answer(found, at.now);
                news.map(|news| self.keep(news, at, gallery)).transpose()?.flatten()
            }
            Answer::Hashed(hash) => {
                let guard = self.guard(gallery, at.wall)?;
                if hash.is_set() && guard == Guard::None {
                    let event = NewEvent::new(at.wall, EventKind::Service).because("pin-chosen");
                    gallery.noting(event).set(&hash)?;
                    if self.menu.chosen(at.now) == Some(News::Opened) {
                        self.counted = None;
                    }
                    last(gallery, EventKind::Service)?
                } else {
                    self.menu.not_chosen(guard, at.now);
                    None
                }
            }
            // A reader asked, not the menu.
            Answer::Found(..) => None,
        };
        self.settle(at.now);
        Ok(event)
    }

    /// Keeps what came of a PIN, before anybody sees it.
    fn keep(&mut self, news: News, at: Moment, gallery: &mut Gallery) -> Result<Option<Event>> {
        let event = NewEvent::new(at.wall, EventKind::Service);
        let event = match news {
            News::Wrong { wrong } => {
                gallery.set(&Tries::of(wrong))?;
                return Ok(None);
            }
            News::Locked { wrong, for_ms } => {
                gallery.set(&Tries::locked(wrong, at.wall, for_ms))?;
                let detail = json!({ "wrong": wrong, "locked_ms": for_ms });
                NewEvent { detail: Some(detail), ..event.because("pin-locked") }
            }
            News::Opened => {
                gallery.unset::<Tries>()?;
                self.counted = None;
                self.admit(at.now, gallery)?;
                event.because("menu-opened")
            }
        };
        Ok(Some(gallery.append(&event)?))
    }

    /// The PIN: the configuration's, else the gallery's, which may be none.
    fn pin(&self, gallery: &Gallery) -> Result<PinHash> {
        if self.settings.pin.is_set() {
            return Ok(self.settings.pin.clone());
        }
        Ok(gallery.setting()?.unwrap_or_default())
    }

    /// What guards the menu, as the file has it now: another program may have changed it.
    fn guard(&self, gallery: &mut Gallery, wall: Timestamp) -> Result<Guard> {
        if !self.pin(gallery)?.is_set() {
            return Ok(Guard::None);
        }
        let mut tries = gallery.setting::<Tries>()?.unwrap_or_default();
        if let Some(noticed) = tries.noticed(wall) {
            gallery.set(&noticed)?;
            tries = noticed;
        }
        Ok(Guard::Pin { wrong: tries.wrong, locked_ms: tries.left_ms(wall) })
    }

    /// Lets time pass: what is over is left.
    fn settle(&mut self, now: Millis) {
        let Some(people) = &mut self.people else { return self.menu.tick(now) };
        people.tick(now);
        if people.view().is_none() {
            self.menu.tick(now);
            // The PIN was asked for, and nobody gave it.
            if self.menu.is_closed() {
                people.cancel();
            }
        }
        match people.end() {
            None => return,
            Some(End::Menu) => self.menu.back(now),
            Some(End::Door) => self.menu.close(),
        }
        (self.people, self.due, self.counted) = (None, None, None);
    }

    /// When what is seen changes by itself.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        match &self.people {
            Some(people) if people.view().is_some() => Some(people.deadline()),
            _ => self.menu.deadline(now),
        }
    }

    /// What is to be seen. Counting takes a moment, which has to wait while the bolt is drawn: it falls when it is due.
    pub fn view(&mut self, now: Millis, (camera, door): (Camera, Door), journal: &Gallery) -> Option<View> {
        self.settle(now);
        if let Some(view) = self.people.as_ref().and_then(Enrol::view) {
            return Some(View::People(view));
        }
        let view = self.menu.view(now)?;
        if matches!(view, menu::View::Pin { .. }) {
            return Some(View::Menu(view, Facts::default()));
        }
        if self.counted.is_none() && door == Door::Locked {
            self.counted = Some(count(journal));
        }
        let counted = self.counted.clone().unwrap_or_default();
        let model = self.settings.model.as_str().to_owned();
        Some(View::Menu(view, Facts { camera, door, model, ..counted }))
    }
}

/// The journal's last event of a kind, just written.
fn last(journal: &Gallery, kind: EventKind) -> Result<Option<Event>> {
    let last = EventFilter {
        kinds: vec![kind],
        limit: Some(1),
        order: Order::NewestFirst,
        ..EventFilter::default()
    };
    Ok(journal.events(&last)?.pop())
}

/// What cannot be counted is left out: the door goes on.
fn count(journal: &Gallery) -> Facts {
    let last = EventFilter { limit: Some(1), order: Order::NewestFirst, ..EventFilter::default() };
    let enrolled = journal.enrolled().ok();
    let events = journal.events(&last).ok().map(|last| last.first().map_or(0, |e| e.seq.number()));
    Facts {
        people: enrolled.map(|(people, _)| people),
        templates: enrolled.map(|(_, templates)| templates),
        events: events.and_then(|n| u64::try_from(n).ok()),
        free_mib: free_mib(journal.path()).ok(),
        ..Facts::default()
    }
}

/// Room on the disk that `file` lies on, MiB.
pub fn free_mib(file: &Path) -> io::Result<u64> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize) >> 20)
}

#[cfg(test)]
mod tests;
