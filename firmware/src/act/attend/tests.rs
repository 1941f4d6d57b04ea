//! Wrong PINs count over restarts and clocks that are set; whoever comes first to a device without a PIN chooses it; and
//! people are enrolled, with nothing left behind where it was cancelled.

use std::path::Path;

use jiff::SignedDuration;
use limen_gallery_db::subject::NewSubject;
use limen_gallery_db::{EnrolPolicy, Existing, Sample, Standing};
use limen_models::embed::Embedding;
use limen_models::geometry::{BBox, Detection, Landmarks};
use limen_models::image::RgbImage;
use limen_models::pipeline::StageTimes;
use limen_models::quality::{Measures, Quality};
use proptest::prelude::*;

use super::*;
use crate::camera::Frame;
use crate::decide::PinMatch;
use crate::display::screens::pin_pad::{self, Key};
use crate::display::screens::{choice, service_menu};
use crate::kiosk::enrol::{Answer as Says, Asked, Outcome, View as People};
use crate::menu::{Choice, Item, Note};
use crate::pin::chosen;
use crate::recognise::{Seen, Sighting};
use crate::track::TrackId;

const SIZE: Size = Size::new(240, 240);
const HASH: &str = "\"$argon2id$v=19$m=64,t=2,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA\"";

fn hash() -> PinHash {
    serde_json::from_str(HASH).unwrap()
}

fn at(ms: u64) -> Moment {
    let wall = Timestamp::from_second(1_700_000_000).unwrap();
    Moment { now: Millis(ms), wall: wall + SignedDuration::from_millis(ms as i64) }
}

/// A device at a gallery, as it is after a start.
struct Device {
    attendant: Attendant,
    gallery: Gallery,
}

impl Device {
    fn start(file: &Path) -> Self {
        let settings = Settings {
            pin: PinHash::default(),
            limits: Limits::default(),
            same_face: Threshold::new(0.35).unwrap(),
            threshold: 0.6,
            model: ModelId::new("m").unwrap(),
        };
        Self { attendant: Attendant::new(SIZE, settings), gallery: Gallery::open(file).unwrap() }
    }

    fn input(&mut self, input: Input, at: Moment) -> Option<Question> {
        self.attendant.input(input, at, &mut self.gallery).unwrap().1
    }

    fn tap(&mut self, area: embedded_graphics::primitives::Rectangle, at: Moment) -> Option<Question> {
        self.input(Input::Tap { x: area.center().x as u32, y: area.center().y as u32 }, at)
    }

    fn view(&mut self, at: Moment) -> Option<View> {
        self.attendant.view(at.now, (Camera::Seeing, Door::Locked), &self.gallery)
    }

    /// Types digits and enters them, after a touch that wakes the keys where they are not there.
    fn type_in(&mut self, digits: &[u8], at: Moment) -> Option<Question> {
        if self.view(at).is_none() {
            assert!(self.input(Input::Tap { x: 0, y: 0 }, at).is_none());
        }
        digits.iter().for_each(|d| drop(self.tap(pin_pad::place(SIZE, Key::Digit(*d)), at)));
        self.tap(pin_pad::place(SIZE, Key::Enter), at)
    }

    fn answer(&mut self, answer: Answer, at: Moment) -> Option<Event> {
        self.attendant.answer(answer, at, &mut self.gallery).unwrap()
    }

    /// The PIN is typed, and is right.
    fn admit(&mut self, at: Moment) {
        assert!(self.type_in(&[2, 5, 8, 0], at).is_some());
        self.answer(Answer::Compared(PinMatch::Right), at);
    }

    /// Turns to the people and enters an id.
    fn find(&mut self, id: &[u8], at: Moment) {
        self.admit(at);
        self.tap(service_menu::place(SIZE, Item::ALL.len(), 0), at);
        id.iter().for_each(|d| drop(self.tap(pin_pad::place(SIZE, Key::Digit(*d)), at)));
        self.tap(pin_pad::place(SIZE, Key::Enter), at);
    }

    fn asked(&mut self, at: Moment) -> Option<Asked> {
        match self.view(at) {
            Some(View::People(People::Ask { asked, .. })) => Some(asked),
            _ => None,
        }
    }

    fn says(&mut self, says: Says, at: Moment) {
        let keys = self.asked(at).expect("something is asked").keys();
        let key = keys.iter().position(|k| *k == says).expect("there is that key");
        self.tap(choice::place(SIZE, keys.len(), key), at);
    }

    /// Shows one frame with somebody's face, or with none.
    fn look(&mut self, face: Option<(&[f32], (f32, f32))>, at: Moment) -> Option<Event> {
        let seen = seen(face);
        self.attendant.look(&seen, at, (&mut self.gallery, Door::Locked)).unwrap()
    }

    /// Shows a face in every pose, from `ms` on, and one frame more; when that was, and what was written down.
    fn pose(&mut self, face: &[f32], mut ms: u64) -> (u64, Option<Event>) {
        let mut other = 0;
        for angles in [(0.0, 0.0), (20.0, 0.0), (-20.0, 0.0), (0.0, -15.0), (0.0, 15.0)] {
            for _ in 0..3 {
                // No two frames are the same.
                let mut face = face.to_vec();
                face[other] += 0.2;
                other += 1;
                ms += 200;
                assert!(self.look(Some((&face, angles)), at(ms)).is_none());
            }
        }
        assert!(self.view(at(ms)) == Some(View::People(People::Checking)));
        let event = self.look(None, at(ms + 100));
        (ms + 100, event)
    }

    /// All that is in the gallery, but the events of the menu itself.
    fn contents(&self) -> (usize, u64, Vec<EventKind>) {
        let events = self.gallery.events(&EventFilter::default()).unwrap();
        let kinds = events.iter().map(|e| e.kind).filter(|kind| *kind != EventKind::Service).collect();
        (self.gallery.subjects().unwrap().len(), self.gallery.enrolled().unwrap().1, kinds)
    }
}

fn face(axis: usize) -> Vec<f32> {
    let mut vector = vec![0.0; 16];
    vector[axis] = 1.0;
    vector
}

fn seen(face: Option<(&[f32], (f32, f32))>) -> Seen {
    let image = RgbImage::filled(8, 8, [0; 3]).unwrap();
    let frame = Frame { image, seq: 1, at: Millis(0), opening: 0, source: "test".into() };
    let sighting = |(vector, (yaw_deg, pitch_deg)): (&[f32], (f32, f32))| Sighting {
        track: TrackId(0),
        detection: Detection {
            bbox: BBox { x1: 0.0, y1: 0.0, x2: 50.0, y2: 50.0 },
            landmarks: Landmarks::default(),
            confidence: 1.0,
        },
        quality: Quality {
            measures: Some(Measures {
                eye_distance_px: 60.0,
                yaw_deg,
                pitch_deg,
                roll_deg: 0.0,
                sharpness: 100.0,
                brightness: 120.0,
                contrast: 50.0,
                outside: 0.0,
                residual_px: 1.0,
            }),
            score: 0.8,
            reasons: Default::default(),
        },
        best: None,
        margin: None,
        fault: None,
        frames: 1,
        companions: 0,
        probe: None,
        sample: Embedding::new(vector.to_vec(), "m".into()),
    };
    let sightings = face.map(sighting).into_iter().collect();
    Seen { frame: frame.into(), sightings, times: StageTimes::default() }
}

/// A gallery with the PIN, and with "7", whose face is the first axis.
fn house(file: &Path) {
    let mut gallery = Gallery::open(file).unwrap();
    gallery.set(&hash()).unwrap();
    let sample = Sample { vector: face(0), quality: 0.9, source: String::new() };
    let model = ModelId::new("m").unwrap();
    let policy = EnrolPolicy::default();
    gallery.enrol(&NewSubject::new("7", "Somebody"), &model, &[sample], &policy).unwrap();
}

#[test]
fn without_a_pin_whoever_comes_first_chooses_it_and_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut device = Device::start(&dir.path().join("g.db"));
    assert!(device.type_in(&[2, 5, 8, 0], at(0)).is_none());
    let note = |device: &mut Device| match device.view(at(0)) {
        Some(View::Menu(menu::View::Pin { note, .. }, _)) => note,
        _ => panic!("no keys"),
    };
    assert_eq!(note(&mut device), Note::Choose(Choice::Again));
    let Some(Question::Hash(digits)) = device.type_in(&[2, 5, 8, 0], at(0)) else { panic!("not hashed") };
    assert_eq!(digits, chosen("2580").unwrap());
    // One that the system could not hash is none.
    assert_eq!(device.answer(Answer::Hashed(PinHash::default()), at(0)), None);
    assert_eq!(note(&mut device), Note::Choose(Choice::First));
    (0..2).for_each(|_| drop(device.type_in(&[2, 5, 8, 0], at(0))));
    let event = device.answer(Answer::Hashed(hash()), at(0)).unwrap();
    assert_eq!((event.kind, event.reason.as_deref()), (EventKind::Service, Some("pin-chosen")));
    assert!(matches!(device.view(at(0)), Some(View::Menu(menu::View::Items { .. }, _))));
    let mut device = Device::start(&dir.path().join("g.db"));
    let Some(Question::Compare(_, kept)) = device.type_in(&[2, 5, 8, 0], at(0)) else { panic!("not asked") };
    assert_eq!(kept, hash());
}

#[test]
fn somebody_is_enrolled_at_the_door_and_cancelling_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.db");
    house(&file);
    let mut device = Device::start(&file);
    let before = device.contents();
    // Cancelled at consent, while poses are taken, and given up.
    let cancels: [fn(&mut Device) -> u64; 3] = [
        |device| {
            device.says(Says::Cancel, at(0));
            0
        },
        |device| {
            device.says(Says::Agree, at(0));
            (1..9).for_each(|n| drop(device.look(Some((&face(3), (0.0, 0.0))), at(n * 200))));
            let key = crate::display::screens::enrol::place(SIZE);
            device.tap(key, at(2000));
            2000
        },
        |device| {
            device.says(Says::Agree, at(0));
            (1..9).for_each(|n| drop(device.look(Some((&face(3), (0.0, 0.0))), at(n * 200))));
            90_000
        },
    ];
    for cancel in cancels {
        device.find(&[4, 2], at(0));
        assert!(device.asked(at(0)) == Some(Asked::Consent { id: "42".into() }));
        // Nothing is looked at before.
        assert!(device.look(Some((&face(3), (0.0, 0.0))), at(0)).is_none());
        let end = cancel(&mut device);
        assert!(device.view(at(end)).is_none() && !device.attendant.is_busy());
        assert_eq!(device.contents(), before);
        device = Device::start(&file);
    }
    device.find(&[4, 2], at(0));
    device.says(Says::Agree, at(0));
    let (ms, event) = device.pose(&face(3), 0);
    let event = event.unwrap();
    assert_eq!(
        (event.kind, event.external_id.as_deref(), event.reason.as_deref()),
        (EventKind::Enrolled, Some("42"), Some("at-the-door"))
    );
    assert!(device.asked(at(ms)) == Some(Asked::Told { id: "42".into(), what: Outcome::Enrolled(8) }));
    let subject = device.gallery.subject_by_external_id("42").unwrap().unwrap();
    assert!(subject.consent.is_some() && subject.name == "42");
    device.says(Says::Close, at(ms));
    assert!(device.view(at(ms)).is_none(), "back at the door, without the menu");
}

#[test]
fn a_look_alike_is_named_to_whoever_types_the_pin_again_and_enrolled_at_their_word() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.db");
    house(&file);
    let mut device = Device::start(&file);
    let before = device.contents();
    let like_seven = |device: &mut Device| {
        device.find(&[4, 2], at(0));
        device.says(Says::Agree, at(0));
        let (ms, event) = device.pose(&face(0), 0);
        assert!(event.is_none() && device.asked(at(ms)) == Some(Asked::Alike));
        device.says(Says::Pin, at(ms));
        ms
    };
    // Nobody has the PIN.
    let ms = like_seven(&mut device);
    device.tap(pin_pad::place(SIZE, Key::Close), at(ms));
    assert!(device.view(at(ms)).is_none());
    let ms = like_seven(&mut device);
    device.view(at(ms + 30_000));
    assert!(!device.attendant.is_busy());
    assert_eq!(device.contents(), before);

    let ms = like_seven(&mut device);
    assert!(device.type_in(&[2, 5, 8, 0], at(ms)).is_some());
    device.answer(Answer::Compared(PinMatch::Right), at(ms));
    let Some(Asked::AlikeTo(like)) = device.asked(at(ms)) else { panic!("nobody is named") };
    assert_eq!((like.id.as_str(), like.name.as_str()), ("7", "Somebody"));
    device.says(Says::Anyway, at(ms));
    assert_eq!(device.look(None, at(ms + 100)).map(|e| e.kind), Some(EventKind::Enrolled));
}

#[test]
fn the_enrolled_are_added_to_renewed_suspended_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("g.db");
    house(&file);
    let mut device = Device::start(&file);
    let templates = |device: &Device| {
        let subject = device.gallery.subject_by_external_id("7").unwrap().unwrap();
        assert_eq!(subject.name, "Somebody", "a new photograph is no new name");
        device.gallery.templates(subject.id).unwrap().len()
    };
    for (says, left) in [(Says::Add, 8), (Says::Renew, 8)] {
        device.find(&[7], at(0));
        device.says(says, at(0));
        device.says(Says::Agree, at(0));
        let (ms, event) = device.pose(&face(0), 0);
        assert_eq!(event.map(|e| e.kind), Some(EventKind::Enrolled));
        assert_eq!(templates(&device), left);
        device.says(Says::Close, at(ms));
    }
    // There is no room for more.
    device.find(&[7], at(0));
    device.says(Says::Add, at(0));
    device.says(Says::Agree, at(0));
    let (ms, event) = device.pose(&face(0), 0);
    assert!(event.is_none());
    assert!(device.asked(at(ms)) == Some(Asked::Told { id: "7".into(), what: Outcome::Full }));
    device.says(Says::Close, at(ms));

    let standing = |device: &Device| device.gallery.subject_by_external_id("7").unwrap().unwrap().standing;
    for (says, after) in [(Says::Suspend, Standing::Suspended), (Says::Resume, Standing::Active)] {
        device.find(&[7], at(0));
        device.says(says, at(0));
        assert_eq!(standing(&device), after);
        device.says(Says::Close, at(0));
        assert!(matches!(device.view(at(0)), Some(View::Menu(..))), "the admin is still there");
        device.attendant.menu.close();
    }
    device.find(&[7], at(0));
    device.says(Says::Remove, at(0));
    device.says(Says::Remove, at(0));
    assert_eq!(device.gallery.subjects().unwrap(), []);
    let kinds = device.contents().2;
    let wanted = [EventKind::Enrolled, EventKind::Enrolled, EventKind::Suspended, EventKind::Resumed];
    assert_eq!(kinds, [&wanted[..], &[EventKind::Removed]].concat());
    assert_eq!(Existing::default(), Existing::Refuse);
}

#[test]
fn a_pin_that_cannot_be_read_lets_nobody_choose_another() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Broken(Vec<u32>);
    impl limen_gallery_db::Setting for Broken {
        const KEY: &'static str = <PinHash as limen_gallery_db::Setting>::KEY;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut device = Device::start(&dir.path().join("g.db"));
    device.gallery.set(&Broken(vec![1])).unwrap();
    assert!(device.input(Input::Ok, at(0)).is_none());
    assert!(device.view(at(0)).is_none());
}

/// What may happen to a device with a PIN, and how long after what was before, ms.
#[derive(Debug, Clone, Copy)]
enum Op {
    Type(PinMatch),
    Restart,
    SetBack(u64),
    SetForward(u64),
}

fn ops() -> impl Strategy<Value = Vec<(Op, u64)>> {
    let op = prop_oneof![
        12 => Just(Op::Type(PinMatch::Wrong)),
        1 => Just(Op::Type(PinMatch::Right)),
        4 => Just(Op::Restart),
        2 => (0..200_000_000u64).prop_map(Op::SetBack),
        1 => (0..4_000_000u64).prop_map(Op::SetForward),
    ];
    let wait = prop_oneof![6 => 0..20_000u64, 2 => 0..200_000u64, 1 => 0..4_000_000u64];
    prop::collection::vec((op, wait), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against a plain record in a time that nobody sets: whatever is done to plug and clock, no PIN is compared before the
    /// lock's time is over (but for what the clock was set forward), and one is as soon as its time is over once more since
    /// the clock was set back and the keys were touched; five wrong ones in a row lock, and a right one makes them forgotten.
    #[test]
    fn wrong_pins_count_over_restarts_and_clocks_that_are_set(ops in ops()) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("g.db");
        house(&file);
        let mut device = Device::start(&file);
        let (mut t, mut started, mut offset) = (0u64, 0u64, 0i64);
        let (mut wrong, mut for_ms) = (0u32, 0u64);
        let (mut earliest, mut latest, mut is_set_back) = (0u64, 0u64, false);
        for (op, wait) in ops {
            t += wait;
            let wall = Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::from_millis(t as i64 + offset);
            let at = Moment { now: Millis(t - started), wall };
            match op {
                Op::Restart => {
                    drop(device);
                    device = Device::start(&file);
                    started = t;
                }
                Op::SetBack(by) => { offset -= by as i64; is_set_back = true; }
                Op::SetForward(by) => { offset += by as i64; earliest = earliest.saturating_sub(by); }
                Op::Type(found) => {
                    if std::mem::take(&mut is_set_back) {
                        // The lock begins anew, at most.
                        latest = latest.max(t + for_ms);
                    }
                    // What was typed before is taken away by a page that was closed.
                    device.attendant.menu.close();
                    let asked = device.type_in(&[1, 3, 5, 7], at);
                    if asked.is_none() {
                        prop_assert!(t < latest, "locked for too long");
                        continue;
                    }
                    prop_assert!(t >= earliest, "{} ms too early", earliest - t);
                    device.answer(Answer::Compared(found), at);
                    let is_open = matches!(device.view(at), Some(View::Menu(menu::View::Items { .. }, _)));
                    prop_assert_eq!(is_open, found == PinMatch::Right);
                    device.attendant.menu.close();
                    wrong = if is_open { 0 } else { wrong + 1 };
                    for_ms = 0;
                    if wrong >= 5 {
                        for_ms = (60_000u64 << (wrong - 5).min(10)).min(3_600_000);
                        (earliest, latest, is_set_back) = (t + for_ms, t + for_ms, false);
                    }
                }
            }
        }
    }
}
