//! Verdicts to deeds: journal first, then relay, then screen. No record, no open door.

use anyhow::{Context, Result};
use jiff::Timestamp;
use limen_gallery_db::Gallery;
use limen_gallery_db::event::{Event, EventKind, NewEvent};
use limen_gallery_db::score::{Score, Threshold};
use limen_gallery_db::template::ModelId;
use serde_json::json;

use crate::decide::{self, Decision, Demand, Denial};
use crate::display::screens::{Denied, FaceMark, Granted, Idle, Live, OutOfOrder};
use crate::display::{Panel, Screen, palette, show};
use crate::doorway::{Change, Doorway, News};
use crate::recognise::{Seen, Sighting};
use crate::relay::{Edge, Input, Pulse, Relay};
use crate::time::Millis;

/// Hands and voice of the doorkeeper. Time comes in with every call, so that a replay runs on the clip's time.
pub struct Actor {
    relay: Box<dyn Relay>,
    pulse: Pulse,
    doorway: Doorway,
    panel: Option<Box<dyn Panel>>,
    /// Whether the panel failed the last time.
    dark: bool,
    journal: Gallery,
    model: ModelId,
    threshold: f32,
    verdict_ms: u64,
    verdict_until: Option<Millis>,
    /// The last of the camera's openings that is over: what was seen then is no reason to open any more.
    over: Option<u32>,
}

impl Actor {
    /// Takes the door over and puts it at rest: locked.
    pub fn new(
        mut relay: Box<dyn Relay>,
        (pulse, doorway): (Pulse, Doorway),
        panel: Option<Box<dyn Panel>>,
        journal: Gallery,
        (model, threshold): (ModelId, f32),
        verdict_ms: u64,
    ) -> Result<Self> {
        pulse.rest().apply(relay.as_mut(), Millis::ZERO)?;
        Ok(Self {
            relay,
            pulse,
            doorway,
            panel,
            dark: false,
            journal,
            model,
            threshold,
            verdict_ms,
            verdict_until: None,
            over: None,
        })
    }

    /// When [`Actor::tick`] must be called at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        [self.pulse.deadline(), self.doorway.deadline()].into_iter().flatten().min()
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
        self.screen(seen, now, wall);
        Ok(written)
    }

    /// Does what a switch of the door demands.
    pub fn switch(&mut self, change: Change, now: Millis, wall: Timestamp) -> Result<Vec<Event>> {
        let mut written = Vec::from_iter(self.tick(now, wall)?);
        let news = self.doorway.step(now, change);
        let Some(news) = news else { return Ok(written) };
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
        Ok(written)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Millis, wall: Timestamp) -> Result<Option<Event>> {
        // The pulse ends at its own moment, however late the call comes.
        while let Some(due) = self.pulse.deadline().filter(|d| *d <= now) {
            self.step(due.max(Millis::ZERO), Input::Tick)?;
        }
        self.doorway.tick(now).map(|news| self.tell(news, wall)).transpose()
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

    /// Shuts the door and says why there is nothing to see. Frames of `opening`, which is over, may still be on their way.
    pub fn out_of_order(
        &mut self,
        now: Millis,
        wall: Timestamp,
        (note, opening): (&str, Option<u32>),
    ) -> Result<Event> {
        self.over = self.over.max(opening);
        self.step(now, Input::Shut)?;
        let event = self.write(NewEvent::new(wall, EventKind::CameraLost))?;
        self.show(&Screen::OutOfOrder(OutOfOrder::new(note)), now);
        Ok(event)
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

    fn screen(&mut self, seen: &Seen, now: Millis, wall: Timestamp) {
        let verdict = seen.sightings.iter().filter(|s| s.is_news).find_map(|s| match &s.decision {
            Decision::Grant { .. } => {
                let name = s.best.as_ref().map_or("", |b| b.name.as_str());
                Some(Screen::Granted(Granted::new(name)))
            }
            Decision::Deny(why @ Denial::Unknown) => Some(Screen::Denied(Denied::unknown(why.sentence()))),
            Decision::Deny(why) => Some(Screen::Denied(Denied::new(why.sentence()))),
            Decision::Ask(_) | Decision::Passed { .. } => None,
        });
        if let Some(verdict) = verdict {
            self.verdict_until = Some(now.plus(self.verdict_ms));
            self.show(&verdict, now);
            return;
        }
        if self.verdict_until.is_some_and(|until| now < until) {
            return;
        }
        self.verdict_until = None;
        if self.panel.is_none() {
            return;
        }
        if seen.sightings.is_empty() {
            let local = jiff::ZonedDateTime::new(wall, jiff::tz::TimeZone::system());
            let idle =
                Idle::new(local.strftime("%H:%M").to_string(), local.strftime("%A, %-d %B").to_string());
            self.show(&Screen::Idle(idle), now);
            return;
        }
        let threshold = self.threshold;
        let faces = seen.sightings.iter().map(|s| mark(s, threshold)).collect();
        let hint = seen
            .sightings
            .iter()
            .max_by(|a, b| a.detection.bbox.area().total_cmp(&b.detection.bbox.area()))
            .and_then(|s| match s.decision {
                Decision::Ask(request) => Some(request.sentence().to_owned()),
                _ => None,
            })
            .unwrap_or_default();
        self.show(&Screen::Live(Live { frame: &seen.frame.image, faces, hint }), now);
    }

    /// Without a display the door works all the same: a fault is told once, until it is over.
    fn show(&mut self, screen: &Screen<'_>, now: Millis) {
        let Some(panel) = &mut self.panel else { return };
        let shown = show(panel.as_mut(), screen, now);
        if let Err(e) = &shown
            && !self.dark
        {
            crate::tell!(Warning, "nothing is shown: {e}; the door goes on");
        }
        self.dark = shown.is_err();
    }
}

/// The box of a face: named and coloured from the threshold on, grey below it.
fn mark(s: &Sighting, threshold: f32) -> FaceMark<'_> {
    let known = s.best.as_ref().filter(|b| b.score >= threshold);
    FaceMark {
        bbox: s.detection.bbox,
        name: known.map_or("unknown", |b| b.name.as_str()),
        score: s.best.as_ref().map(|b| b.score),
        // The same person has the same colour every day: by the id, not by the order of arrival.
        colour: known.map_or(palette::UNKNOWN, |b| palette::colour(b.id.bytes().map(usize::from).sum())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use limen_gallery_db::subject::{NewSubject, SubjectId};
    use limen_models::geometry::{BBox, Detection, Landmarks};
    use limen_models::image::RgbImage;
    use limen_models::pipeline::StageTimes;
    use limen_models::quality::Quality;

    use super::*;
    use crate::camera::Frame;
    use crate::recognise::Match;
    use crate::relay::FailState;
    use crate::relay::fake::{EdgeLog, FakeRelay};
    use crate::track::TrackId;

    /// A gallery with one subject, "7".
    fn gallery(folder: &Path) -> (std::path::PathBuf, SubjectId) {
        let file = folder.join("g.db");
        let subject = Gallery::open(&file).unwrap().add_subject(&NewSubject::new("7", "Somebody")).unwrap();
        (file, subject.id)
    }

    fn actor(journal: Gallery) -> (Actor, EdgeLog) {
        let relay = FakeRelay::new();
        let log = relay.log();
        let pulse = Pulse::new(FailState::Secure, 1000, 5000).unwrap();
        let door = (ModelId::new("m").unwrap(), 0.4);
        let door_of = (pulse, Doorway::new(5000));
        (Actor::new(Box::new(relay), door_of, None, journal, door, 500).unwrap(), log)
    }

    /// A frame at `at` ms in which the subject is let in.
    fn granted(subject: SubjectId, at: u64) -> Seen {
        let frame = Frame {
            image: RgbImage::filled(8, 8, [0; 3]).unwrap(),
            seq: 1,
            at: Millis(at),
            opening: 0,
            source: "test".into(),
        };
        let sighting = Sighting {
            track: TrackId(0),
            detection: Detection { bbox: BBox::default(), landmarks: Landmarks::default(), confidence: 1.0 },
            quality: Quality { measures: None, score: 1.0, reasons: Default::default() },
            best: Some(Match { subject, id: "7".into(), name: "Somebody".into(), score: 0.6 }),
            margin: None,
            decision: crate::decide::decide(
                &crate::decide::Evidence {
                    best: Some(crate::decide::Candidate {
                        id: "7".into(),
                        score: 0.6,
                        standing: crate::decide::Standing::Valid,
                    }),
                    margin: None,
                    frames: 1,
                    fault: None,
                    companions: 0,
                    since_grant_ms: None,
                },
                &crate::decide::Policy {
                    threshold: 0.4,
                    min_margin: 0.0,
                    min_frames: 1,
                    cool_down_ms: 0,
                    companions: crate::decide::Companions::Allowed,
                },
            ),
            is_news: true,
        };
        Seen { frame: Arc::new(frame), sightings: vec![sighting], times: StageTimes::default() }
    }

    #[test]
    fn a_grant_that_cannot_be_journalled_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, subject) = gallery(dir.path());
        let (mut actor, log) = actor(Gallery::open_read_only(&file).unwrap());
        let e = actor.frame(&granted(subject, 100), Millis(100), Timestamp::now()).err().unwrap();
        assert!(e.to_string().contains("the door stays shut"), "{e}");
        assert!(log.edges().is_empty());
    }

    /// A display whose cable is cut.
    struct Cut(crate::display::canvas::Canvas);

    impl Panel for Cut {
        fn canvas(&mut self) -> &mut crate::display::canvas::Canvas {
            &mut self.0
        }

        fn present(
            &mut self,
            _: Millis,
            _: crate::display::ScreenKind,
        ) -> Result<(), crate::display::PanelError> {
            let source = std::io::Error::other("cut");
            Err(crate::display::PanelError::Device { path: "/dev/test".into(), source })
        }

        fn describe(&self) -> String {
            "cut".into()
        }
    }

    #[test]
    fn a_door_without_a_display_opens_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (file, subject) = gallery(dir.path());
        let (mut actor, log) = actor(Gallery::open(&file).unwrap());
        actor.panel = Some(Box::new(Cut(crate::display::canvas::Canvas::new(240, 240).unwrap())));
        assert_eq!(actor.frame(&granted(subject, 100), Millis(100), Timestamp::now()).unwrap().len(), 1);
        assert_eq!(log.edges().len(), 1);
        assert!(actor.dark);
        actor.out_of_order(Millis(300), Timestamp::now(), ("lost", None)).unwrap();
        assert_eq!(log.edges().len(), 2);
    }

    #[test]
    fn a_pulse_ends_at_its_own_moment_however_late_the_call() {
        let dir = tempfile::tempdir().unwrap();
        let (file, subject) = gallery(dir.path());
        let (mut actor, log) = actor(Gallery::open(&file).unwrap());
        let written = actor.frame(&granted(subject, 100), Millis(100), Timestamp::now()).unwrap();
        assert_eq!(written.len(), 1);
        assert_eq!(actor.tick(Millis(1099), Timestamp::now()).unwrap(), None);
        assert_eq!(log.edges().len(), 1);
        assert_eq!(actor.tick(Millis(9000), Timestamp::now()).unwrap(), None);
        let times: Vec<u64> = log.edges().iter().map(|e| e.at_ms.0).collect();
        assert_eq!(times, [100, 1100]);
    }

    #[test]
    fn switches_open_the_door_shut_it_and_are_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let (mut actor, log) = actor(Gallery::open(&gallery(dir.path()).0).unwrap());
        let mut told = |at, change: Option<Change>| -> Vec<String> {
            let wall = Timestamp::now();
            let events = match change {
                Some(change) => actor.switch(change, Millis(at), wall).unwrap(),
                None => Vec::from_iter(actor.tick(Millis(at), wall).unwrap()),
            };
            events.iter().map(|e| format!("{} {}", e.kind, e.reason.as_deref().unwrap_or_default())).collect()
        };
        let contact = |open| Some(Change::Contact { open });
        assert!(told(0, contact(false)).is_empty());
        assert_eq!(told(100, Some(Change::Exit { pressed: true })), ["granted exit-button"]);
        assert!(told(500, contact(true)).is_empty());
        assert!(told(1100, None).is_empty(), "the bolt falls");
        assert_eq!(told(6100, None), ["door-held "]);
        assert!(told(7000, contact(false)).is_empty());
        assert_eq!(told(8000, contact(true)), ["door-forced "]);
        assert!(told(8100, Some(Change::Exit { pressed: false })).is_empty());
        assert_eq!(told(8200, Some(Change::Exit { pressed: true })), ["granted exit-button"]);
        assert_eq!(told(8300, Some(Change::Tamper { alarm: true })), ["fault tamper"]);
        assert_eq!(told(8400, Some(Change::Tamper { alarm: false })), ["fault tamper-over"]);
        assert_eq!(log.edges().iter().map(|e| e.at_ms.0).collect::<Vec<_>>(), [100, 1100, 8200, 8300]);
    }

    #[test]
    fn whoever_goes_out_is_let_out_though_nothing_can_be_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let (mut actor, log) = actor(Gallery::open_read_only(&gallery(dir.path()).0).unwrap());
        let press = Change::Exit { pressed: true };
        assert_eq!(actor.switch(press, Millis(100), Timestamp::now()).unwrap(), Vec::new());
        assert_eq!(log.edges().len(), 1);
    }

    #[test]
    fn a_lost_camera_shuts_the_door_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, subject) = gallery(dir.path());
        let (mut actor, log) = actor(Gallery::open(&file).unwrap());
        actor.frame(&granted(subject, 100), Millis(100), Timestamp::now()).unwrap();
        let event = actor.out_of_order(Millis(300), Timestamp::now(), ("lost", Some(0))).unwrap();
        assert_eq!(event.kind, EventKind::CameraLost);
        assert_eq!(log.edges().last().map(|e| e.at_ms.0), Some(300));
        // A verdict on what was seen before comes too late; one on what the camera sees once it is back does not.
        let late = granted(subject, 290);
        assert!(actor.frame(&late, Millis(400), Timestamp::now()).unwrap().is_empty());
        assert_eq!(log.edges().len(), 2);
        let mut frame = Frame::clone(&late.frame);
        frame.opening = 1;
        let back = Seen { frame: Arc::new(frame), ..late };
        assert_eq!(actor.frame(&back, Millis(900), Timestamp::now()).unwrap().len(), 1);
        assert_eq!(log.edges().last().map(|e| e.at_ms.0), Some(900));
    }
}
