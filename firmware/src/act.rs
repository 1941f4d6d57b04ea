//! Verdicts to deeds: journal first, then relay, then screen. No record, no open door.

pub mod attend;
mod board;
mod desk;
pub mod orders;

use anyhow::{Context, Result};
use jiff::Timestamp;
use limen_gallery_db::event::{Event, EventKind, NewEvent};
use limen_gallery_db::score::{Score, Threshold};
use limen_gallery_db::template::ModelId;
use limen_gallery_db::{Gallery, GalleryError};
use serde_json::json;

use crate::controls::Input as Press;
use crate::decide::{self, Bolt, Claim, Decision, DoorInputs, Duress, Request};
use crate::display::screens::service_menu::Door;
use crate::doorway::{Change, Doorway, News};
use crate::gate::record::{self, Record};
use crate::gate::{Gate, House, RulesText, Shown, Verdict};
use crate::input;
use crate::input::strangers::Keyboard;
use crate::pin::{Answer, Question};
use crate::recognise::Seen;
use crate::relay::{Edge, Input, Pulse, Relay};
use crate::rules::factors::Factor;
use crate::time::Millis;

use attend::{Attendant, Moment, Settings};
use board::Board;
pub use board::Voice;
use desk::{Desk, Read};
use orders::DoorOrders;

/// So often the act thread looks at orders, rules and the clock, ms.
const LOOK_AGAIN_MS: u64 = 250;

/// Hands and voice of the doorkeeper. Time comes in with every call, so that a replay runs on the clip's time.
pub struct Actor {
    relay: Box<dyn Relay>,
    pulse: Pulse,
    doorway: Doorway,
    board: Board,
    journal: Gallery,
    gate: Gate,
    model: ModelId,
    /// Whether the clock holds the door open.
    held: bool,
    desk: Desk,
    /// The number of the last order to open that was seen; `None` before any were looked at.
    opened: Option<u64>,
    /// When orders, rules and the clock are looked at again.
    look_again: Millis,
    /// The rules as they were read last; `None` before.
    rules: Option<String>,
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
        (model, gate): (ModelId, Gate),
    ) -> Result<Self> {
        pulse.rest().apply(relay.as_mut(), Millis::ZERO)?;
        Ok(Self {
            relay,
            pulse,
            doorway,
            board: Board::new(voice),
            journal,
            gate,
            model,
            held: false,
            desk: Desk::default(),
            opened: None,
            look_again: Millis::ZERO,
            rules: None,
            attendant: None,
            over: None,
        })
    }

    /// From now on whoever knows the PIN may look after the device at its screen, if it has one.
    pub fn attend(&mut self, settings: Settings) {
        self.attendant = self.board.screens().map(|size| Attendant::new(size, settings));
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
        let mut written = self.tick(now, wall)?;
        if self.over.is_some_and(|over| seen.frame.opening <= over) {
            return Ok(written);
        }
        let door = self.door();
        if let Some(attendant) = self.attendant.as_mut().filter(|a| a.is_busy()) {
            // Nobody is let in by their face while somebody is enrolled.
            let event = attendant.look(seen, Moment { now, wall }, (&mut self.journal, door))?;
            written.extend(event);
            self.board.see(seen);
            self.show_menu(now, wall);
            return Ok(written);
        }
        let verdicts = self.gate.frame(seen, now, wall, &self.journal)?;
        for (verdict, sighting) in verdicts.iter().zip(&seen.sightings).filter(|(v, _)| v.is_news) {
            let of = json!({ "track": sighting.track.0, "frame": seen.frame.seq, "at_ms": seen.frame.at.0 });
            self.deed(verdict, of, now, wall, &mut written)?;
        }
        self.board.frame(seen, &verdicts, self.gate.policy().threshold, now, wall);
        Ok(written)
    }

    /// Does what follows on something that was shown at a reader. What comes out is to be answered elsewhere.
    pub fn shown(
        &mut self,
        shown: &input::Shown,
        now: Millis,
        wall: Timestamp,
    ) -> Result<(Vec<Event>, Option<Question>)> {
        let mut written = self.tick(now, wall)?;
        self.board.read();
        match self.desk.read(shown, now, wall, &mut self.journal)? {
            Read::Shown(shown) => self.claimed(shown, now, wall, &mut written)?,
            Read::Ask(question) => return Ok((written, Some(question))),
            Read::Busy => {}
        }
        Ok((written, None))
    }

    fn claimed(
        &mut self,
        shown: Shown,
        now: Millis,
        wall: Timestamp,
        written: &mut Vec<Event>,
    ) -> Result<()> {
        let verdict = self.gate.shown(shown, now, wall, &self.journal)?;
        if verdict.is_news {
            self.deed(&verdict, json!({}), now, wall, written)?;
        }
        let who = match &verdict.about {
            Some((subject, _)) => self.journal.subject(*subject)?,
            None => None,
        };
        self.board.said(&verdict.decision, who.as_ref(), now);
        Ok(())
    }

    /// Writes a verdict down, which is news, and opens the door if it says so.
    fn deed(
        &mut self,
        verdict: &Verdict,
        of: serde_json::Value,
        now: Millis,
        wall: Timestamp,
        written: &mut Vec<Event>,
    ) -> Result<()> {
        let Some(event) = self.event(verdict, of, wall) else { return Ok(()) };
        let Decision::Grant { duress, shown, .. } = verdict.decision else {
            if matches!(verdict.decision, Decision::Deny(_)) && verdict.evidence.claim != Claim::Nobody {
                self.desk.wrong(now);
            }
            written.push(self.write(event)?);
            return Ok(());
        };
        // Used before it opens: a pass that opens once does so once, whatever fails after it.
        if shown.has(Factor::Pass)
            && let Some(pass) = self.desk.take_pass()
            && let Err(refused) = self.journal.use_pass(&pass, wall)
        {
            let GalleryError::Pass(why) = refused else { return Err(refused.into()) };
            written.push(self.write(NewEvent::new(wall, EventKind::Denied).because(why.code()))?);
            return Ok(());
        }
        self.desk.right();
        let house = self.gate.house();
        let event = match house.rules.passback().leads_to(&house.door) {
            Some(area) => self.journal.append_moving(&event, area).context("the journal cannot be written"),
            None => self.write(event),
        };
        written.push(event.context("the door stays shut")?);
        self.obey(decide::door(DoorInputs { granted: true, ..self.lasting() }), now)?;
        if duress == Duress::Told {
            let mut event = NewEvent::new(wall, EventKind::Duress);
            (event.subject, event.external_id) =
                verdict.about.as_ref().map_or((None, None), |(s, id)| (Some(*s), Some(id.clone())));
            written.push(self.write(event)?);
        }
        Ok(())
    }

    /// Does what a switch of the door demands.
    pub fn switch(&mut self, change: Change, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = self.tick(now, wall)?;
        if let Some(news) = self.doorway.step(now, change) {
            let (exit, tampering) = (news == News::LetOut, news == News::Tampered);
            // Before it is written down: the journal may keep people out, but not in.
            self.obey(decide::door(DoorInputs { exit, tampering, ..self.lasting() }), now)?;
            match self.tell(news, wall) {
                Err(e) if exit || news == News::Fire => {
                    crate::tell!(Warning, "{e:#}; whoever goes out is let out all the same");
                }
                event => written.push(event?),
            }
        }
        self.board.alarm(self.doorway.alarm(), now);
        Ok(written)
    }

    /// Does what somebody at the device demands. What comes out is to be asked of the thread that hashes.
    pub fn press(
        &mut self,
        press: Press,
        now: Millis,
        wall: Timestamp,
    ) -> Result<(Vec<Event>, Option<Question>)> {
        let mut written = self.tick(now, wall)?;
        let Some(attendant) = &mut self.attendant else { return Ok((written, None)) };
        let mut question = None;
        if let Some(press) = self.board.reached(press, now) {
            let (event, asked) = attendant.input(press, Moment { now, wall }, &mut self.journal)?;
            written.extend(event);
            question = asked;
        }
        self.show_menu(now, wall);
        Ok((written, question))
    }

    /// Does what follows on a PIN that was compared, or chosen.
    pub fn pin(&mut self, answer: Answer, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = self.tick(now, wall)?;
        if let Answer::Found(key, from) = &answer {
            let shown = self.desk.hashed(key.as_ref(), *from, now, &self.journal)?;
            self.claimed(shown, now, wall, &mut written)?;
        } else if let Some(attendant) = &mut self.attendant {
            written.extend(attendant.answer(answer, Moment { now, wall }, &mut self.journal)?);
        }
        self.show_menu(now, wall);
        Ok(written)
    }

    /// A keyboard was plugged in that nobody told of.
    pub fn stranger(&mut self, keyboard: &Keyboard, wall: Timestamp) -> Result<Event> {
        let event = NewEvent::new(wall, EventKind::Fault).because("unknown-keyboard");
        self.write(NewEvent { detail: Some(json!({ "name": keyboard.name })), ..event })
    }

    fn door(&self) -> Door {
        if self.pulse.is_open() { Door::Open } else { Door::Locked }
    }

    fn show_menu(&mut self, now: Millis, wall: Timestamp) {
        let door = self.door();
        let Some(attendant) = &mut self.attendant else { return };
        let view = attendant.view(now, (self.board.camera_is(), door), &self.journal);
        self.board.attended(view, now, wall);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        // The pulse ends at its own moment, however late the call comes.
        while let Some(due) = self.pulse.deadline().filter(|d| *d <= now) {
            self.step(due.max(Millis::ZERO), Input::Tick)?;
        }
        let mut written = Vec::new();
        if let Some(news) = self.doorway.tick(now) {
            written.push(self.tell(news, wall)?);
        }
        if now >= self.look_again {
            self.look_again = now.plus(LOOK_AGAIN_MS);
            self.look_at_house(now, wall, &mut written)?;
        }
        self.board.alarm(self.doorway.alarm(), now);
        self.show_menu(now, wall);
        Ok(written)
    }

    /// Follows what was set in the gallery meanwhile, and what the clock says.
    fn look_at_house(&mut self, now: Millis, wall: Timestamp, written: &mut Vec<Event>) -> Result<()> {
        let rules = self.journal.setting::<RulesText>()?.map_or(String::new(), |t| t.0);
        if self.rules.as_ref() != Some(&rules) {
            let door = self.gate.house().door.clone();
            match House::new(&rules, &door) {
                Ok(house) => self.gate.set_house(house),
                // `limen rules set` checks them; another program may not have.
                Err(e) => crate::tell!(Warning, "{e:#}; the door goes on by the rules before"),
            }
            self.rules = Some(rules);
        }
        let before = self.lasting();
        let orders = self.journal.setting::<DoorOrders>()?.unwrap_or_default();
        self.gate.set_lockdown(orders.lockdown);
        self.held = self.gate.holds_open(wall, &self.journal)?;
        let lasting = self.lasting();
        if lasting != before {
            self.obey(decide::door(lasting), now)?;
        }
        if self.held != before.held {
            let reason = if self.held { "held-open" } else { "held-open-over" };
            written.push(self.write(NewEvent::new(wall, EventKind::DoorMode).because(reason))?);
        }
        let number = orders.open.as_ref().map_or(0, |o| o.number);
        // Orders from before the start are over.
        let new = self.opened.replace(number).is_some_and(|seen| number > seen);
        if let Some(order) = orders.open.filter(|o| new && o.is_fresh(wall)) {
            let bolt = decide::door(DoorInputs { remote: true, ..lasting });
            let (kind, reason) = match bolt {
                Bolt::Held | Bolt::Pulse => (EventKind::Granted, "remote-open"),
                Bolt::Shut | Bolt::Rest => (EventKind::Denied, "lockdown"),
            };
            let detail = Some(json!({ "order": order.number, "why": order.why }));
            written.push(self.write(NewEvent { detail, ..NewEvent::new(wall, kind).because(reason) })?);
            // In a lockdown whoever is on their way out still is.
            if kind == EventKind::Granted {
                self.obey(bolt, now)?;
            }
        }
        Ok(())
    }

    /// What lasts and is said of the door as a whole.
    fn lasting(&self) -> DoorInputs {
        DoorInputs {
            fire: self.doorway.is_on_fire(),
            tampered: self.doorway.is_tampered(),
            lockdown: self.gate.is_locked_down(),
            held: self.held,
            ..DoorInputs::default()
        }
    }

    fn obey(&mut self, bolt: Bolt, now: Millis) -> Result<()> {
        match bolt {
            Bolt::Held => self.step(now, Input::Hold),
            Bolt::Pulse => self.step(now, Input::Grant),
            Bolt::Shut => self.step(now, Input::Shut),
            Bolt::Rest => self.step(now, Input::LetGo),
        }
    }

    fn tell(&mut self, news: News, wall: Timestamp) -> Result<Event> {
        let (kind, reason) = match news {
            News::LetOut => (EventKind::Granted, Some("exit-button")),
            News::Forced => (EventKind::DoorForced, None),
            News::Held => (EventKind::DoorHeld, None),
            News::Tampered => (EventKind::Fault, Some("tamper")),
            News::Untampered => (EventKind::Fault, Some("tamper-over")),
            News::Fire => (EventKind::DoorMode, Some("fire")),
            News::FireOver => (EventKind::DoorMode, Some("fire-over")),
        };
        let mut event = NewEvent::new(wall, kind);
        event.reason = reason.map(str::to_owned);
        self.write(event)
    }

    /// The camera is gone: shuts the door. Frames of `opening`, which is over, may still be on their way.
    pub fn camera_lost(&mut self, now: Millis, wall: Timestamp, opening: Option<u32>) -> Result<Event> {
        self.over = self.over.max(opening);
        // What holds the door open does not see by the camera.
        if decide::door(self.lasting()) != Bolt::Held {
            self.step(now, Input::Shut)?;
        }
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
    fn event(&self, verdict: &Verdict, mut detail: serde_json::Value, wall: Timestamp) -> Option<NewEvent> {
        let face = verdict.evidence.face.as_ref();
        let mut score = face.and_then(|f| f.best.as_ref()).map(|b| b.score);
        let mut threshold = self.gate.policy().threshold;
        if let Claim::One(claimed) = &verdict.evidence.claim {
            (score, threshold) = (claimed.score, self.gate.policy().verify_threshold);
        }
        let (kind, reason) = record::written(&verdict.decision)?;
        // A stranger is not written down under the name of whom they resemble.
        let known = match &verdict.decision {
            Decision::Deny(why) => why.names_somebody(),
            Decision::Ask(request) => *request != Request::SayWho,
            Decision::Grant { .. } | Decision::Pair { .. } | Decision::Passed { .. } => true,
        };
        match &verdict.decision {
            Decision::Grant { rule, shown, .. } => {
                detail["rule"] = json!(rule);
                detail["shown"] = json!(shown);
            }
            Decision::Pair { rule, .. } => detail["rule"] = json!(rule),
            Decision::Ask(Request::Show(missing)) => detail["missing"] = json!(missing),
            Decision::Ask(_) | Decision::Deny(_) | Decision::Passed { .. } => {}
        }
        let mut event = NewEvent::new(wall, kind);
        if let (true, Some((subject, id))) = (known, &verdict.about) {
            event = event.about(*subject);
            event.external_id = Some(id.clone());
        }
        event.score = score.and_then(|s| Score::new(s).ok());
        event.threshold = Threshold::new(threshold).ok();
        event.model = Some(self.model.clone());
        event.reason = reason.map(str::to_owned);
        detail["margin"] = json!(face.and_then(|f| f.margin));
        Record::new(&verdict.evidence, self.gate.policy()).keep(&mut detail);
        event.detail = Some(detail);
        Some(event)
    }
}

#[cfg(test)]
mod tests;
