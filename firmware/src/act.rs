//! Verdicts to deeds: journal first, then relay, then screen. No record, no open door.

pub mod attend;
mod board;

use anyhow::{Context, Result};
use jiff::Timestamp;
use limen_gallery_db::Gallery;
use limen_gallery_db::event::{Event, EventKind, NewEvent};
use limen_gallery_db::score::{Score, Threshold};
use limen_gallery_db::template::ModelId;
use serde_json::json;

use crate::controls::Input as Press;
use crate::decide::{self, Decision, Demand, Denial, PinMatch};
use crate::display::screens::service_menu::Door;
use crate::doorway::{Change, Doorway, News};
use crate::input::Shown;
use crate::input::strangers::Keyboard;
use crate::pin::Digits;
use crate::recognise::{Seen, Sighting};
use crate::relay::{Edge, Input, Pulse, Relay};
use crate::time::Millis;

use attend::Attendant;
use board::Board;
pub use board::Voice;

/// Hands and voice of the doorkeeper. Time comes in with every call, so that a replay runs on the clip's time.
pub struct Actor {
    relay: Box<dyn Relay>,
    pulse: Pulse,
    doorway: Doorway,
    board: Board,
    journal: Gallery,
    model: ModelId,
    threshold: f32,
    /// `None`: nobody can look after the device at its screen.
    attendant: Option<Attendant>,
    /// The last of the camera's openings that is over: what was seen then is no reason to open any more.
    over: Option<u32>,
}

impl Actor {
    /// Takes the door over and puts it at rest: locked.
    pub fn new(
        mut relay: Box<dyn Relay>,
        (pulse, doorway): (Pulse, Doorway),
        voice: Voice,
        journal: Gallery,
        (model, threshold): (ModelId, f32),
    ) -> Result<Self> {
        pulse.rest().apply(relay.as_mut(), Millis::ZERO)?;
        Ok(Self {
            relay,
            pulse,
            doorway,
            board: Board::new(voice),
            journal,
            model,
            threshold,
            attendant: None,
            over: None,
        })
    }

    /// From now on whoever knows the PIN may look after the device at its screen, if it has one.
    pub fn attend(&mut self) {
        self.attendant = self.board.screens().map(Attendant::new);
    }

    /// The size of the panel, px: what is touched. `None` without one.
    pub fn panel_px(&mut self) -> Option<(u32, u32)> {
        self.board.panel().map(|size| (size.width, size.height))
    }

    /// When [`Actor::tick`] must be called at the latest.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let menu = self.attendant.as_ref().and_then(|a| a.deadline(now));
        [self.pulse.deadline(), self.doorway.deadline(), menu].into_iter().flatten().min()
    }

    /// Does what the frame's verdicts demand. `now` is the door's clock, `wall` the journal's.
    pub fn frame(&mut self, seen: &Seen, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = Vec::from_iter(self.tick(now, wall)?);
        if self.over.is_some_and(|over| seen.frame.opening <= over) {
            return Ok(written);
        }
        for sighting in seen.sightings.iter().filter(|s| s.is_news) {
            let Some(event) = self.event(sighting, seen, wall) else { continue };
            written.push(self.write(event).context("the door stays shut")?);
            if matches!(sighting.decision, Decision::Grant { .. }) {
                self.step(now, Input::Grant)?;
            }
        }
        self.board.frame(seen, self.threshold, now, wall);
        Ok(written)
    }

    /// Does what a switch of the door demands.
    pub fn switch(&mut self, change: Change, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = Vec::from_iter(self.tick(now, wall)?);
        if let Some(news) = self.doorway.step(now, change) {
            let demand = decide::switches(news);
            // Before it is written down: the journal may keep people out, but not in.
            match demand {
                Demand::Open => self.step(now, Input::Grant)?,
                Demand::Lock => self.step(now, Input::Shut)?,
                Demand::Record => {}
            }
            match self.tell(news, wall) {
                Err(e) if demand == Demand::Open => {
                    crate::tell!(Warning, "{e:#}; whoever goes out is let out all the same");
                }
                event => written.push(event?),
            }
        }
        self.board.alarm(self.doorway.alarm(), now);
        Ok(written)
    }

    /// Does what somebody at the device demands. Digits that come out are to be compared with the PIN, elsewhere.
    pub fn press(
        &mut self,
        press: Press,
        now: Millis,
        wall: Timestamp,
    ) -> Result<(Option<Event>, Option<Digits>)> {
        let written = self.tick(now, wall)?;
        let Some(attendant) = &mut self.attendant else { return Ok((written, None)) };
        let digits = self.board.reached(press, now).and_then(|press| attendant.input(press, now));
        self.show_menu(now, wall);
        Ok((written, digits))
    }

    /// Does what follows on a PIN that was compared.
    pub fn pin(&mut self, typed: PinMatch, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = Vec::from_iter(self.tick(now, wall)?);
        let event = self.attendant.as_mut().and_then(|a| a.answer(typed, now, wall));
        if let Some(event) = event {
            written.push(self.write(event)?);
        }
        self.show_menu(now, wall);
        Ok(written)
    }

    /// Somebody showed something to a reader.
    pub fn shown(&mut self, _: &Shown) {
        self.board.read();
    }

    /// A keyboard was plugged in that nobody told of.
    pub fn stranger(&mut self, keyboard: &Keyboard, wall: Timestamp) -> Result<Event> {
        let event = NewEvent::new(wall, EventKind::Fault).because("unknown-keyboard");
        self.write(NewEvent { detail: Some(json!({ "name": keyboard.name })), ..event })
    }

    fn show_menu(&mut self, now: Millis, wall: Timestamp) {
        let Some(attendant) = &mut self.attendant else { return };
        let door = if self.pulse.is_open() { Door::Open } else { Door::Locked };
        let menu = attendant.view(now, (self.board.camera_is(), door), (&self.journal, self.model.as_str()));
        self.board.menu(menu, now, wall);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Millis, wall: Timestamp) -> Result<Option<Event>> {
        // The pulse ends at its own moment, however late the call comes.
        while let Some(due) = self.pulse.deadline().filter(|d| *d <= now) {
            self.step(due.max(Millis::ZERO), Input::Tick)?;
        }
        let told = self.doorway.tick(now).map(|news| self.tell(news, wall)).transpose()?;
        self.board.alarm(self.doorway.alarm(), now);
        self.show_menu(now, wall);
        Ok(told)
    }

    fn tell(&mut self, news: News, wall: Timestamp) -> Result<Event> {
        let (kind, reason) = match news {
            News::LetOut => (EventKind::Granted, Some("exit-button")),
            News::Forced => (EventKind::DoorForced, None),
            News::Held => (EventKind::DoorHeld, None),
            News::Tampered => (EventKind::Fault, Some("tamper")),
            News::Untampered => (EventKind::Fault, Some("tamper-over")),
        };
        let mut event = NewEvent::new(wall, kind);
        event.reason = reason.map(str::to_owned);
        self.write(event)
    }

    /// The camera is gone: shuts the door. Frames of `opening`, which is over, may still be on their way.
    pub fn camera_lost(&mut self, now: Millis, wall: Timestamp, opening: Option<u32>) -> Result<Event> {
        self.over = self.over.max(opening);
        self.step(now, Input::Shut)?;
        let event = self.note(EventKind::CameraLost, wall)?;
        self.board.camera(true, now);
        Ok(event)
    }

    /// The camera gives pictures again.
    pub fn camera_back(&mut self, now: Millis, wall: Timestamp) -> Result<Event> {
        self.board.camera(false, now);
        self.note(EventKind::CameraBack, wall)
    }

    /// Says that nobody is let in any more.
    pub fn out_of_order(&mut self) {
        self.board.out_of_order();
    }

    /// Writes an event without a person.
    pub fn note(&mut self, kind: EventKind, wall: Timestamp) -> Result<Event> {
        self.write(NewEvent::new(wall, kind))
    }

    /// On the disk when it returns.
    fn write(&mut self, event: NewEvent) -> Result<Event> {
        self.journal.append(&event).context("the journal cannot be written")
    }

    /// Ends: the running pulse runs out on a replay's clock, on a real one the door shuts now.
    pub fn finish(&mut self, now: Millis, run_out: bool) -> Result<()> {
        if run_out && let Some(due) = self.pulse.deadline() {
            self.step(due.max(now), Input::Tick)?;
        }
        self.step(now, Input::Shut)
    }

    fn step(&mut self, now: Millis, input: Input) -> Result<()> {
        if let Some(edge) = self.pulse.step(now, input) {
            self.apply(edge, now)?;
            self.doorway.bolt(now, self.pulse.is_open());
        }
        Ok(())
    }

    fn apply(&mut self, edge: Edge, now: Millis) -> Result<()> {
        edge.apply(self.relay.as_mut(), now).context("the relay does not obey")
    }

    /// The journal's line for a verdict: ids and scores, no name, no face, no file name.
    fn event(&self, s: &Sighting, seen: &Seen, wall: Timestamp) -> Option<NewEvent> {
        let (kind, reason) = match &s.decision {
            Decision::Grant { .. } => (EventKind::Granted, None),
            Decision::Deny(why) => (EventKind::Denied, Some(why.code().to_owned())),
            Decision::Ask(_) | Decision::Passed { .. } => return None,
        };
        let mut event = NewEvent::new(wall, kind);
        // A stranger is not written down under the name of whom they resemble.
        let known = !matches!(s.decision, Decision::Deny(Denial::Unknown | Denial::Ambiguous));
        if let (true, Some(best)) = (known, &s.best) {
            event = event.about(best.subject);
            event.external_id = Some(best.id.clone());
        }
        event.score = s.best.as_ref().and_then(|b| Score::new(b.score).ok());
        event.threshold = Threshold::new(self.threshold).ok();
        event.model = Some(self.model.clone());
        event.reason = reason;
        event.detail = Some(json!({
            "track": s.track.0, "frame": seen.frame.seq, "at_ms": seen.frame.at.0, "margin": s.margin,
        }));
        Some(event)
    }
}

#[cfg(test)]
mod tests;
