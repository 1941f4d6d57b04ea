//! Somebody is enrolled at the door, by touches and as the camera sees them, with the shipped networks; and is let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use embedded_graphics::geometry::Size;
use embedded_graphics::primitives::Rectangle;
use jiff::Timestamp;
use limen::act::attend::Settings;
use limen::act::{Actor, Voice};
use limen::camera::Frame;
use limen::config::Config;
use limen::controls::Input;
use limen::display::panel;
use limen::display::screens::enrol::Reach;
use limen::display::screens::pin_pad::{self, Key};
use limen::display::screens::{choice, service_menu};
use limen::display::{Language, Stage};
use limen::doorway::Doorway;
use limen::gate::Gate;
use limen::menu::Item;
use limen::pin::{PinHash, Question};
use limen::recognise::{GalleryFile, Recogniser, Watch};
use limen::relay::fake::{EdgeLog, FakeRelay};
use limen::relay::{FailState, Pulse};
use limen::time::Millis;
use limen::track;
use limen_gallery_db::score::Threshold;
use limen_gallery_db::{Event, EventKind, Gallery};
use limen_models::image::RgbImage;
use limen_tests::doorstep;

const SIZE: Size = Size::new(240, 240);
const ROOM: (usize, usize) = (640, 480);

/// A door with the shipped networks, a display to be touched, and a clock.
struct House {
    watch: Watch,
    actor: Actor,
    edges: EdgeLog,
    now: u64,
    seq: u64,
}

impl House {
    fn new(folder: &Path) -> Self {
        let mut config = Config::default();
        config.models.folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/weights")).into();
        config.models.threads = 1;
        config.gallery.file = folder.join("gallery.db");
        (config.display.width_px, config.display.height_px) = (SIZE.width, SIZE.height);
        let screen = format!("png-latest:{}", folder.join("screen.png").display());
        let recogniser = Recogniser::open(&config, None, GalleryFile::MayBeNew).unwrap();
        let (model, threshold) = (recogniser.model.clone(), recogniser.policy.threshold);
        let relay = FakeRelay::new();
        let edges = relay.log();
        let voice = Voice {
            panel: panel::open(&screen.parse().unwrap(), config.panel_settings()).unwrap(),
            language: Language::open(&"en".parse().unwrap(), &Default::default()).unwrap().into(),
            stage: Stage::Real,
            verdict_ms: 500,
            reach: Reach::Standing,
            cues: Arc::default(),
        };
        let pulse = Pulse::new(FailState::Secure, 1000, 5000).unwrap();
        let journal = Gallery::open(&config.gallery.file).unwrap();
        let house = limen::gate::House::new("", "front").unwrap();
        let gate = Gate::new(recogniser.policy, model.clone(), house);
        let door = (model.clone(), gate);
        let mut actor =
            Actor::new(Box::new(relay), (pulse, Doorway::new(5000)), voice, journal, door).unwrap();
        actor.attend(Settings {
            pin: PinHash::default(),
            limits: config.quality,
            same_face: Threshold::new(config.decision.same_face).unwrap(),
            threshold,
            model,
        });
        let tracks = track::Settings { min_iou: 0.3, min_likeness: 0.35, lost_after_ms: 1000, samples: 5 };
        Self { watch: Watch::new(recogniser, tracks, 0), actor, edges, now: 0, seq: 0 }
    }

    fn tap(&mut self, area: Rectangle) -> Vec<Event> {
        self.now += 100;
        let tap = Input::Tap { x: area.center().x as u32, y: area.center().y as u32 };
        let (mut written, question) = self.actor.press(tap, Millis(self.now), Timestamp::now()).unwrap();
        if let Some(question) = question {
            assert!(matches!(question, Question::Compare(..) | Question::Hash(_)));
            let answer = question.answer();
            written.extend(self.actor.pin(answer, Millis(self.now), Timestamp::now()).unwrap());
        }
        written
    }

    fn key(&mut self, key: Key) -> Vec<Event> {
        self.tap(pin_pad::place(SIZE, key))
    }

    fn type_in(&mut self, digits: &[u8]) -> Vec<Event> {
        digits.iter().for_each(|digit| drop(self.key(Key::Digit(*digit))));
        self.key(Key::Enter)
    }

    fn see(&mut self, image: &RgbImage) -> Vec<Event> {
        self.now += 200;
        self.seq += 1;
        let (seq, at) = (self.seq, Millis(self.now));
        let frame = Frame { image: image.clone(), seq, at, opening: 0, source: "test".into() };
        let seen = self.watch.look(Arc::new(frame)).unwrap();
        if std::env::var_os("LIMEN_SHOW").is_some() {
            for s in &seen.sightings {
                println!("{} {:?} {:?}", self.now, s.quality, s.best.as_ref().map(|b| b.score));
            }
        }
        self.actor.frame(&seen, at, Timestamp::now()).unwrap()
    }

    fn kinds(events: &[Event]) -> Vec<EventKind> {
        events.iter().map(|e| e.kind).collect()
    }
}

#[test]
fn ada_is_enrolled_as_the_camera_sees_her_and_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path());
    let ada = |shift| doorstep::turned(ROOM, "enrolled/Ada/1.jpg", 2, shift);
    let nobody = doorstep::room(ROOM, None, 2);

    // Nobody knows her, and nobody has chosen a PIN.
    let written: Vec<Event> = (0..4).flat_map(|_| house.see(&ada((0.0, 0.0)))).collect();
    assert_eq!(House::kinds(&written), [EventKind::Denied]);
    (0..6).for_each(|_| drop(house.see(&nobody)));
    house.tap(pin_pad::place(SIZE, Key::Digit(5)));
    house.type_in(&[2, 5, 8, 0]);
    let written = house.type_in(&[2, 5, 8, 0]);
    assert_eq!(written.iter().map(|e| e.reason.as_deref()).collect::<Vec<_>>(), [Some("pin-chosen")]);

    // People, id 42, she agrees.
    house.tap(service_menu::place(SIZE, Item::ALL.len(), 0));
    house.type_in(&[4, 2]);
    house.tap(choice::place(SIZE, 2, 1));
    let (begun, mut written) = (house.now, Vec::new());
    for (_, shift) in doorstep::POSES {
        for _ in 0..3 {
            written.extend(house.see(&ada(shift)));
        }
    }
    written.extend(house.see(&nobody));
    assert_eq!(House::kinds(&written), [EventKind::Enrolled], "and nobody was denied meanwhile");
    assert!(house.now - begun <= 20_000);
    assert!(house.edges.edges().is_empty(), "nobody was let in meanwhile");
    house.tap(choice::place(SIZE, 1, 0));

    // By another photograph of hers; Ben is a stranger.
    (0..6).for_each(|_| drop(house.see(&nobody)));
    let at_the_door = |house: &mut House, file: &str| -> Vec<Event> {
        let frame = doorstep::room(ROOM, Some(file), 2);
        (0..4).flat_map(|_| house.see(&frame)).collect()
    };
    let ben = at_the_door(&mut house, "enrolled/Ben/1.jpg");
    assert_eq!(House::kinds(&ben), [EventKind::Denied]);
    (0..6).for_each(|_| drop(house.see(&nobody)));
    let let_in = at_the_door(&mut house, "enrolled/Ada/2.jpg");
    assert_eq!(House::kinds(&let_in), [EventKind::Granted]);
    assert_eq!(let_in[0].external_id.as_deref(), Some("42"));
    assert_eq!(house.edges.edges().len(), 1);
}
