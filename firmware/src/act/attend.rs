//! Whoever is at the device: the service menu, what it says of the house, and what it leaves in the journal.

use std::io;
use std::path::Path;

use embedded_graphics::geometry::Size;
use jiff::Timestamp;
use limen_gallery_db::event::NewEvent;
use limen_gallery_db::{EventFilter, EventKind, Gallery, Order};
use serde_json::json;

use crate::controls::Input;
use crate::decide::PinMatch;
use crate::display::screens::service_menu::{Camera, Door, Facts};
use crate::menu::{Menu, News, View};
use crate::pin::Digits;
use crate::time::Millis;

/// The service menu, and what was found out for it.
pub struct Attendant {
    menu: Menu,
    /// Counted once for each time that the menu is open.
    counted: Option<Facts>,
}

impl Attendant {
    /// With a closed menu, on screens of `size` px.
    pub fn new(size: Size) -> Self {
        Self { menu: Menu::new(size), counted: None }
    }

    /// Somebody did something. Digits that come out are to be compared with the PIN.
    pub fn input(&mut self, input: Input, now: Millis) -> Option<Digits> {
        self.menu.input(input, now)
    }

    /// What came of that; what the journal says of it.
    pub fn answer(&mut self, typed: PinMatch, now: Millis, wall: Timestamp) -> Option<NewEvent> {
        let event = NewEvent::new(wall, EventKind::Service);
        Some(match self.menu.answer(typed, now)? {
            News::Opened => {
                self.counted = None;
                event.because("menu-opened")
            }
            News::Locked { wrong, for_ms } => {
                let detail = json!({ "wrong": wrong, "locked_ms": for_ms });
                NewEvent { detail: Some(detail), ..event.because("pin-locked") }
            }
        })
    }

    /// When what is seen changes by itself.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        self.menu.deadline(now)
    }

    /// What is to be seen. Counting takes a moment, which has to wait while the bolt is drawn: it falls when it is due.
    pub fn view(
        &mut self,
        now: Millis,
        (camera, door): (Camera, Door),
        (journal, model): (&Gallery, &str),
    ) -> Option<(View, Facts)> {
        self.menu.tick(now);
        let view = self.menu.view(now)?;
        if matches!(view, View::Pin { .. }) {
            return Some((view, Facts::default()));
        }
        if self.counted.is_none() && door == Door::Locked {
            self.counted = Some(count(journal));
        }
        let counted = self.counted.clone().unwrap_or_default();
        Some((view, Facts { camera, door, model: model.to_owned(), ..counted }))
    }
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
