//! A door of fakes, seen, touched and let go.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use limen_gallery_db::subject::{NewSubject, Subject};
use limen_gallery_db::{CredentialKind, NewPass, PassText, Use};
use limen_models::geometry::{BBox, Detection, Landmarks};
use limen_models::image::RgbImage;
use limen_models::pipeline::StageTimes;
use limen_models::quality::Quality;

use super::orders::OpenOrder;
use super::*;
use crate::camera::Frame;
use crate::decide::{Companions, PinMatch, Policy, Readers};
use crate::display::canvas::Canvas;
use crate::display::screens::enrol::Reach;
use crate::display::{Language, Panel, PanelError, ScreenKind, Stage};
use crate::gate::House;
use crate::input::{Reader, What};
use crate::pin;
use crate::recognise::{Match, Sighting};
use crate::relay::FailState;
use crate::relay::fake::{EdgeLog, FakeRelay};
use crate::slot::Taken;
use crate::sound::Tone;
use crate::track::TrackId;

const POLICY: Policy = Policy {
    threshold: 0.4,
    verify_threshold: 0.3,
    min_margin: 0.0,
    min_frames: 1,
    cool_down_ms: 0,
    companions: Companions::Allowed,
    readers: Readers::None,
};

/// A gallery with one subject, "7".
fn gallery(folder: &Path) -> (std::path::PathBuf, Subject) {
    let file = folder.join("g.db");
    let subject = Gallery::open(&file).unwrap().add_subject(&NewSubject::new("7", "Somebody")).unwrap();
    (file, subject)
}

fn voice(panel: Option<Box<dyn Panel>>) -> Voice {
    let language = Language::open(&"en".parse().unwrap(), &Default::default()).unwrap();
    let cues = Arc::default();
    let (stage, reach) = (Stage::Real, Reach::Standing);
    Voice { panel, language: language.into(), stage, verdict_ms: 500, reach, cues }
}

fn actor(journal: Gallery) -> (Actor, EdgeLog) {
    let relay = FakeRelay::new();
    let log = relay.log();
    let pulse = Pulse::new(FailState::Secure, 1000, 5000).unwrap();
    let model = ModelId::new("m").unwrap();
    let gate = Gate::new(POLICY, model.clone(), House::new("", "front").unwrap());
    let door_of = (pulse, Doorway::new(5000));
    (Actor::new(Box::new(relay), door_of, voice(None), journal, (model, gate)).unwrap(), log)
}

/// What the device is looked after by, with a PIN of which no digit is known.
fn settings() -> Settings {
    let pin = "\"$argon2id$v=19$m=64,t=2,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA\"";
    Settings {
        pin: serde_json::from_str(pin).unwrap(),
        limits: Default::default(),
        same_face: Threshold::new(0.35).unwrap(),
        threshold: 0.4,
        model: ModelId::new("m").unwrap(),
    }
}

/// A frame at `at` ms in which the subject is let in.
fn granted(subject: &Subject, at: u64) -> Seen {
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
        best: Some(Match { subject: subject.clone(), score: 0.6 }),
        margin: None,
        fault: None,
        frames: 1,
        companions: 0,
        probe: None,
        sample: None,
    };
    Seen { frame: Arc::new(frame), sightings: vec![sighting], times: StageTimes::default() }
}

#[test]
fn a_grant_that_cannot_be_journalled_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open_read_only(&file).unwrap());
    let e = actor.frame(&granted(&subject, 100), Millis(100), Timestamp::now()).err().unwrap();
    assert!(e.to_string().contains("the door stays shut"), "{e}");
    assert!(log.edges().is_empty());
}

/// A display that keeps what it is shown, or one whose cable is cut.
struct Seeing(Canvas, Option<Sender<ScreenKind>>);

impl Panel for Seeing {
    fn canvas(&mut self) -> &mut Canvas {
        &mut self.0
    }

    fn present(&mut self, _: Millis, kind: ScreenKind) -> Result<(), PanelError> {
        let cut = || PanelError::Device { path: "/dev/test".into(), source: std::io::Error::other("cut") };
        self.1.as_ref().ok_or_else(cut)?.send(kind).unwrap();
        Ok(())
    }

    fn describe(&self) -> String {
        "a test".into()
    }
}

/// Gives the door a display of 240x240 px; what it is shown from now on.
fn watched(actor: &mut Actor) -> Receiver<ScreenKind> {
    let (send, shown) = channel();
    let panel = Seeing(Canvas::new(240, 240).unwrap(), Some(send));
    actor.board = Board::new(voice(Some(Box::new(panel))));
    shown
}

#[test]
fn a_door_without_a_display_opens_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let cut = Seeing(Canvas::new(240, 240).unwrap(), None);
    actor.board = Board::new(voice(Some(Box::new(cut))));
    assert_eq!(actor.frame(&granted(&subject, 100), Millis(100), Timestamp::now()).unwrap().len(), 1);
    assert_eq!(log.edges().len(), 1);
    actor.camera_lost(Millis(300), Timestamp::now(), None).unwrap();
    assert_eq!(log.edges().len(), 2);
}

#[test]
fn verdicts_stay_for_their_time_and_alarms_and_a_lost_camera_while_they_last() {
    use ScreenKind::{Alarm, CameraLost, Granted, Idle, OutOfOrder};
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, _) = actor(Gallery::open(&file).unwrap());
    let shown = watched(&mut actor);
    let wall = Timestamp::now();
    let nobody = |at| Seen { sightings: vec![], ..granted(&subject, at) };
    let contact = |open| Change::Contact { open };
    let told = || shown.try_iter().collect::<Vec<_>>();

    actor.switch(contact(false), Millis(0), wall).unwrap();
    actor.frame(&nobody(50), Millis(50), wall).unwrap();
    actor.frame(&granted(&subject, 100), Millis(100), wall).unwrap();
    actor.frame(&nobody(599), Millis(599), wall).unwrap();
    actor.frame(&nobody(600), Millis(600), wall).unwrap();
    assert_eq!(told(), [Idle, Granted, Idle]);
    // Forced, and shut before anybody could read it.
    actor.switch(contact(true), Millis(5000), wall).unwrap();
    actor.switch(contact(false), Millis(5010), wall).unwrap();
    actor.frame(&nobody(5499), Millis(5499), wall).unwrap();
    assert_eq!(told(), [Alarm]);
    actor.frame(&nobody(5500), Millis(5500), wall).unwrap();
    // Forced, and left open, and the camera is gone: the worse of both is told.
    actor.switch(contact(true), Millis(6000), wall).unwrap();
    actor.frame(&granted(&subject, 6100), Millis(6100), wall).unwrap();
    actor.frame(&nobody(6700), Millis(6700), wall).unwrap();
    actor.camera_lost(Millis(6800), wall, None).unwrap();
    actor.tick(Millis(6900), wall).unwrap();
    assert_eq!(told(), [Idle, Alarm, Granted, Alarm]);
    actor.switch(contact(false), Millis(7000), wall).unwrap();
    actor.tick(Millis(7100), wall).unwrap();
    assert_eq!(told(), [CameraLost]);
    // A frame that was on its way does not hide it.
    actor.frame(&nobody(7200), Millis(7200), wall).unwrap();
    actor.camera_back(Millis(7300), wall).unwrap();
    actor.frame(&nobody(7400), Millis(7400), wall).unwrap();
    actor.out_of_order();
    assert_eq!(told(), [Idle, OutOfOrder]);
}

#[test]
fn what_is_news_on_the_display_is_heard_and_an_alarm_while_it_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, _) = actor(Gallery::open(&file).unwrap());
    let voice = voice(None);
    let cues = Arc::clone(&voice.cues);
    actor.board = Board::new(voice);
    let wall = Timestamp::now();
    let heard = || match cues.take(Duration::ZERO) {
        Taken::Item(cue) => Some((cue.once, cue.then)),
        Taken::Nothing | Taken::Closed => None,
    };
    let contact = |open| Change::Contact { open };
    let (once, alarm) = (|tone| Some((Some(tone), None)), Some(Tone::Alarm));

    actor.frame(&granted(&subject, 100), Millis(100), wall).unwrap();
    assert_eq!(heard(), once(Tone::Granted));
    let mut denied = granted(&subject, 200);
    denied.sightings[0].best = None;
    actor.frame(&denied, Millis(200), wall).unwrap();
    assert_eq!(heard(), once(Tone::Denied));
    actor.frame(&denied, Millis(250), wall).unwrap();
    actor.switch(contact(false), Millis(300), wall).unwrap();
    assert_eq!(heard(), None);

    actor.switch(contact(true), Millis(5000), wall).unwrap();
    assert_eq!(heard(), Some((alarm, alarm)));
    actor.tick(Millis(5500), wall).unwrap();
    assert_eq!(heard(), None, "the player goes on by itself");
    actor.frame(&granted(&subject, 6000), Millis(6000), wall).unwrap();
    assert_eq!(heard(), Some((Some(Tone::Granted), alarm)));
    actor.switch(contact(false), Millis(6500), wall).unwrap();
    assert_eq!(heard(), Some((None, None)));
    actor.camera_lost(Millis(7000), wall, None).unwrap();
    assert_eq!(heard(), once(Tone::CameraLost));
    actor.camera_back(Millis(7500), wall).unwrap();
    assert_eq!(heard(), None);
}

#[test]
fn the_service_menu_is_hidden_by_verdicts_and_alarms_and_written_down() {
    use ScreenKind::{Alarm, CameraLost, Granted, Idle, PinPad, ServiceMenu};
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let shown = watched(&mut actor);
    let wall = Timestamp::now();
    let told = || shown.try_iter().collect::<Vec<_>>();
    // 240x240: columns of 80, rows of 48 below a head of 48; enter is at the lower right.
    let two = Press::Tap { x: 120, y: 70 };
    let enter = Press::Tap { x: 200, y: 220 };
    let untouched = |actor: &mut Actor, press, at| {
        let (written, asked) = actor.press(press, Millis(at), wall).unwrap();
        assert!(written.is_empty() && asked.is_none());
    };
    untouched(&mut actor, two, 0);
    assert_eq!(told(), [], "nobody is attended to");

    actor.attend(settings());
    actor.switch(Change::Contact { open: false }, Millis(0), wall).unwrap();
    untouched(&mut actor, two, 10);
    for _ in 0..4 {
        actor.press(two, Millis(20), wall).unwrap();
    }
    assert_eq!(told(), [PinPad; 5]);
    // Recognition goes on: the door opens, and shuts at its moment while digits are out to be compared.
    let (_, asked) = actor.press(enter, Millis(30), wall).unwrap();
    assert!(matches!(asked, Some(Question::Compare(..))));
    assert_eq!(actor.frame(&granted(&subject, 100), Millis(100), wall).unwrap().len(), 1);
    assert_eq!(told(), [PinPad, Granted]);
    assert_eq!(actor.deadline(Millis(100)), Some(Millis(1100)));
    // What cannot be seen cannot be touched.
    untouched(&mut actor, enter, 200);
    actor.tick(Millis(600), wall).unwrap();
    actor.tick(Millis(1100), wall).unwrap();
    assert_eq!(log.edges().last().map(|e| e.at_ms.0), Some(1100));
    assert_eq!(told(), [PinPad]);
    let opened = actor.pin(Answer::Compared(PinMatch::Right), Millis(1200), wall).unwrap();
    assert_eq!(opened.iter().map(|e| e.reason.as_deref()).collect::<Vec<_>>(), [Some("menu-opened")]);
    assert_eq!(told(), [ServiceMenu]);
    // An alarm hides the menu for as long as it lasts.
    actor.switch(Change::Contact { open: true }, Millis(5000), wall).unwrap();
    actor.tick(Millis(6000), wall).unwrap();
    untouched(&mut actor, two, 6100);
    actor.switch(Change::Contact { open: false }, Millis(7000), wall).unwrap();
    assert_eq!(told(), [Alarm, ServiceMenu]);
    // A camera that is lost is seen for the time of a verdict, and then on the menu.
    actor.camera_lost(Millis(8000), wall, None).unwrap();
    actor.tick(Millis(8499), wall).unwrap();
    assert_eq!(told(), [CameraLost]);
    actor.tick(Millis(8500), wall).unwrap();
    assert_eq!(told(), [ServiceMenu]);
    actor.camera_back(Millis(9000), wall).unwrap();
    actor.tick(Millis(9001), wall).unwrap();
    assert_eq!(told(), [ServiceMenu]);
    // Nobody touched it after the PIN.
    assert_eq!(actor.deadline(Millis(9001)), Some(Millis(31_200)));
    actor.tick(Millis(31_200), wall).unwrap();
    assert_eq!(told(), [Idle]);

    // Five wrong ones.
    for n in 0..5u64 {
        let now = Millis(40_000 + n);
        let taps = if n == 0 { 5 } else { 4 };
        (0..taps).for_each(|_| drop(actor.press(two, now, wall).unwrap()));
        assert!(actor.press(enter, now, wall).unwrap().1.is_some());
        let written = actor.pin(Answer::Compared(PinMatch::Wrong), now, wall).unwrap();
        let refused = written.first().map(|e| (e.kind, e.reason.clone().unwrap(), e.detail.clone().unwrap()));
        let detail = json!({ "wrong": 5, "locked_ms": 60_000 });
        assert_eq!(refused, (n == 4).then_some((EventKind::Service, "pin-locked".into(), detail)));
    }
}

#[test]
fn a_pulse_ends_at_its_own_moment_however_late_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let written = actor.frame(&granted(&subject, 100), Millis(100), Timestamp::now()).unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!(actor.tick(Millis(1099), Timestamp::now()).unwrap(), []);
    assert_eq!(log.edges().len(), 1);
    assert_eq!(actor.tick(Millis(9000), Timestamp::now()).unwrap(), []);
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
            None => actor.tick(Millis(at), wall).unwrap(),
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
    actor.frame(&granted(&subject, 100), Millis(100), Timestamp::now()).unwrap();
    let event = actor.camera_lost(Millis(300), Timestamp::now(), Some(0)).unwrap();
    assert_eq!(event.kind, EventKind::CameraLost);
    assert_eq!(log.edges().last().map(|e| e.at_ms.0), Some(300));
    // A verdict on what was seen before comes too late; one on what the camera sees once it is back does not.
    let late = granted(&subject, 290);
    assert!(actor.frame(&late, Millis(400), Timestamp::now()).unwrap().is_empty());
    assert_eq!(log.edges().len(), 2);
    let mut frame = Frame::clone(&late.frame);
    frame.opening = 1;
    let back = Seen { frame: Arc::new(frame), ..late };
    assert_eq!(actor.frame(&back, Millis(900), Timestamp::now()).unwrap().len(), 1);
    assert_eq!(log.edges().last().map(|e| e.at_ms.0), Some(900));
}

/// What events say, in words.
fn words(events: &[Event]) -> Vec<String> {
    events.iter().map(|e| format!("{} {}", e.kind, e.reason.as_deref().unwrap_or_default())).collect()
}

#[test]
fn a_lockdown_keeps_out_lets_out_and_gives_way_to_a_fire() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let mut admin = Gallery::open(&file).unwrap();
    let wall = Timestamp::now();
    let order = |number| Some(OpenOrder { number, at: wall, why: "parcel".into() });
    admin.set(&DoorOrders { lockdown: false, open: order(6) }).unwrap();
    assert!(actor.tick(Millis(0), wall).unwrap().is_empty(), "an order from before the start is over");
    admin.set(&DoorOrders { lockdown: false, open: order(7) }).unwrap();
    assert!(actor.tick(Millis(249), wall).unwrap().is_empty());
    let opened = actor.tick(Millis(250), wall).unwrap();
    assert_eq!(words(&opened), ["granted remote-open"]);
    assert_eq!(opened[0].detail, Some(json!({ "order": 7, "why": "parcel" })));
    assert_eq!(words(&actor.tick(Millis(1250), wall).unwrap()), [""; 0], "once, for a pulse");

    admin.set(&DoorOrders { lockdown: true, open: order(8) }).unwrap();
    assert_eq!(words(&actor.tick(Millis(2000), wall).unwrap()), ["denied lockdown"]);
    assert_eq!(
        words(&actor.frame(&granted(&subject, 2100), Millis(2100), wall).unwrap()),
        ["denied lockdown"]
    );
    let exit = |pressed| Change::Exit { pressed };
    assert_eq!(words(&actor.switch(exit(true), Millis(3000), wall).unwrap()), ["granted exit-button"]);
    actor.switch(exit(false), Millis(3100), wall).unwrap();
    let fire = |alarm| Change::Fire { alarm };
    assert_eq!(words(&actor.switch(fire(true), Millis(5000), wall).unwrap()), ["door-mode fire"]);
    actor.camera_lost(Millis(6000), wall, None).unwrap();
    actor.tick(Millis(99_000), wall).unwrap();
    assert_eq!(words(&actor.switch(fire(false), Millis(100_000), wall).unwrap()), ["door-mode fire-over"]);
    admin.set(&DoorOrders::default()).unwrap();
    actor.tick(Millis(101_000), wall).unwrap();
    assert_eq!(
        words(&actor.frame(&granted(&subject, 101_500), Millis(101_500), wall).unwrap()),
        ["granted "]
    );
    let times: Vec<u64> = log.edges().iter().map(|e| e.at_ms.0).collect();
    assert_eq!(times, [250, 1250, 3000, 4000, 5000, 100_000, 101_500]);
}

#[test]
fn a_door_is_held_open_by_the_clock_and_follows_rules_that_are_set_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let mut admin = Gallery::open(&file).unwrap();
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let (before, during, after) =
        (at("2026-11-30T08:59:59Z"), at("2026-11-30T09:00:00Z"), at("2026-11-30T17:00:00Z"));
    actor.tick(Millis(0), before).unwrap();
    let hours = "time_zone = \"UTC\"\n[schedules.office]\nevery = [\"09:00-17:00\"]\n[[hold_open]]\nschedule = \"office\"\n\
                 [[rules]]\nname = \"all\"\nschedule = \"office\"";
    admin.set(&RulesText(hours.into())).unwrap();
    assert_eq!(words(&actor.tick(Millis(300), before).unwrap()), [""; 0]);
    assert_eq!(
        words(&actor.frame(&granted(&subject, 400), Millis(400), before).unwrap()),
        ["denied outside-hours"]
    );
    assert_eq!(words(&actor.tick(Millis(600), during).unwrap()), ["door-mode held-open"]);
    // Whoever opens the housing does not find it open, and finds it so again afterwards.
    let tamper = |alarm| Change::Tamper { alarm };
    assert_eq!(words(&actor.switch(tamper(true), Millis(700), during).unwrap()), ["fault tamper"]);
    assert_eq!(words(&actor.switch(tamper(false), Millis(800), during).unwrap()), ["fault tamper-over"]);
    // Rules that are none change nothing.
    admin.set(&RulesText("rule = 1".into())).unwrap();
    actor.tick(Millis(1200), during).unwrap();
    assert_eq!(words(&actor.tick(Millis(1500), after).unwrap()), ["door-mode held-open-over"]);
    let times: Vec<u64> = log.edges().iter().map(|e| e.at_ms.0).collect();
    assert_eq!(times, [600, 700, 800, 1500]);
}

#[test]
fn what_is_shown_is_heard_and_a_keyboard_that_nobody_told_of_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = gallery(folder.path());
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    let voice = voice(None);
    let cues = Arc::clone(&voice.cues);
    actor.board = Board::new(voice);
    let before = log.edges();
    let shown = input::Shown { what: What::Card("0012345678".parse().unwrap()), from: Reader::Keyboard };
    let (written, asked) = actor.shown(&shown, Millis(0), Timestamp::now()).unwrap();
    assert_eq!(words(&written), ["denied unknown-credential"]);
    assert!(asked.is_none());
    let Taken::Item(cue) = cues.take(Duration::ZERO) else { panic!("nothing is heard") };
    assert_eq!((cue.once, cue.then), (Some(Tone::Denied), None), "the newer tone");
    let keyboard = Keyboard { name: "Evil Keys".into(), identity: "dead:beef usb-1".into() };
    let event = actor.stranger(&keyboard, Timestamp::now()).unwrap();
    assert_eq!((event.kind, event.reason.as_deref()), (EventKind::Fault, Some("unknown-keyboard")));
    assert_eq!(event.detail, Some(json!({ "name": "Evil Keys" })));
    assert_eq!(log.edges(), before, "neither opens a door");
}

/// A card, a PIN and a duress PIN of the subject's, given in its gallery.
fn equip(file: &Path, subject: &Subject) -> PassText {
    let mut gallery = Gallery::open(file).unwrap();
    let (secret, now) = (gallery.secret().unwrap(), Timestamp::now());
    let card: input::CardNumber = "0012345678".parse().unwrap();
    gallery.give_credential(subject.id, CredentialKind::Card, &card.key(&secret), now).unwrap();
    for (kind, digits) in [(CredentialKind::Pin, "258013"), (CredentialKind::DuressPin, "258031")] {
        let key = pin::key(&pin::chosen_for_person(digits).unwrap(), &secret).unwrap();
        gallery.give_credential(subject.id, kind, &key, now).unwrap();
    }
    let pass = NewPass {
        subject: subject.id,
        valid_from: now - Duration::from_secs(60),
        valid_until: now + Duration::from_secs(3600),
        usage: Use::Once,
        at: now,
    };
    gallery.issue_pass(&pass).unwrap().1
}

/// Shows something; what the journal says of it.
fn show(actor: &mut Actor, what: What, at: u64) -> Vec<String> {
    let from = if matches!(what, What::Pass(_)) { Reader::Camera } else { Reader::Keyboard };
    let wall = Timestamp::now();
    let (mut written, asked) = actor.shown(&input::Shown { what, from }, Millis(at), wall).unwrap();
    if let Some(question) = asked {
        written.extend(actor.pin(question.answer(), Millis(at), wall).unwrap());
    }
    words(&written)
}

fn card(number: &str) -> What {
    What::Card(number.parse().unwrap())
}

fn digits(text: &str) -> What {
    What::Pin(pin::chosen_for_person(text).unwrap())
}

#[test]
fn a_card_and_a_pin_open_where_rules_say_so_and_duress_is_told_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    let pass = equip(&file, &subject);
    let rules = "[[rules]]\nname = \"two\"\nneeds = \"card + pin or pass\"";
    Gallery::open(&file).unwrap().set(&RulesText(rules.into())).unwrap();
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    actor.tick(Millis(0), Timestamp::now()).unwrap();
    assert_eq!(show(&mut actor, card("0012345678"), 100), ["asked second-factor"]);
    assert_eq!(show(&mut actor, digits("258013"), 200), ["granted "]);
    assert_eq!(show(&mut actor, digits("258031"), 5000), ["asked second-factor"]);
    assert_eq!(show(&mut actor, card("0012345678"), 5100), ["granted ", "duress "]);
    // What opens once.
    assert_eq!(show(&mut actor, What::Pass(pass.clone()), 10_000), ["granted "]);
    assert_eq!(show(&mut actor, What::Pass(pass), 15_000), ["denied unknown-credential"]);
    assert_eq!(log.edges().len(), 6, "open and shut, three times");
}

#[test]
fn wrong_cards_lock_the_reader_and_a_right_one_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let (file, subject) = gallery(dir.path());
    equip(&file, &subject);
    Gallery::open(&file)
        .unwrap()
        .set(&RulesText("[[rules]]\nname = \"card\"\nneeds = \"card\"".into()))
        .unwrap();
    let (mut actor, log) = actor(Gallery::open(&file).unwrap());
    actor.tick(Millis(0), Timestamp::now()).unwrap();
    for n in 0..4 {
        assert_eq!(show(&mut actor, card("DEAD00"), 100 + n), ["denied unknown-credential"]);
    }
    assert_eq!(show(&mut actor, card("0012345678"), 200), ["granted "], "which begins the row anew");
    for n in 0..5 {
        assert_eq!(show(&mut actor, card(&format!("BEEF0{n}")), 5000 + n), ["denied unknown-credential"]);
    }
    assert_eq!(show(&mut actor, card("0012345678"), 6000), ["denied too-many-tries"]);
    assert_eq!(show(&mut actor, card("0012345678"), 7000), [""; 0], "told once");
    assert_eq!(show(&mut actor, card("0012345678"), 5004 + 60_000), ["granted "]);
    assert_eq!(log.edges().len(), 3);
}
