//! A door of a house with rules, day by day.

use std::sync::Arc;

use limen_gallery_db::event::NewEvent;
use limen_gallery_db::subject::NewSubject;
use limen_gallery_db::template::ModelId;
use limen_gallery_db::{EnrolPolicy, Sample};
use limen_models::geometry::{BBox, Detection, Landmarks};
use limen_models::image::RgbImage;
use limen_models::pipeline::StageTimes;
use limen_models::quality::Quality;

use super::*;
use crate::camera::Frame;
use crate::decide::{Companions, Duress, Readers};
use crate::rules::factors::Factor;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

#[test]
fn validity_begins_with_its_first_moment_and_ends_before_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open(&dir.path().join("g.db")).unwrap();
    let mut new = NewSubject::new("7", "Somebody");
    (new.valid_from, new.valid_until) = (Some(at(0)), Some(at(10)));
    let subject = gallery.add_subject(&new).unwrap();
    for (second, want) in
        [(-1, Standing::NotYetValid), (0, Standing::Valid), (9, Standing::Valid), (10, Standing::Expired)]
    {
        assert_eq!(standing(&subject, at(second)), want, "second {second}");
    }
    let suspended = Subject { standing: Suspension::Suspended, ..subject };
    assert_eq!(standing(&suspended, at(5)), Standing::Suspended);
}

/// A gallery of people whose faces are axes, and a gate before it.
struct Door {
    _folder: tempfile::TempDir,
    gallery: Gallery,
    gate: Gate,
    model: ModelId,
    wall: Timestamp,
}

const PEOPLE: [(&str, &[&str]); 4] =
    [("ada", &["staff"]), ("ben", &["staff", "keys"]), ("cleo", &["cleaners"]), ("dan", &["banned"])];

impl Door {
    fn new(rules: &str, wall: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
        let model = ModelId::new("m").unwrap();
        for (i, (id, groups)) in PEOPLE.iter().enumerate() {
            let mut new = NewSubject::new(*id, *id);
            new.groups = groups.iter().map(|g| (*g).to_owned()).collect();
            let sample = Sample { vector: axis(i), quality: 1.0, source: String::new() };
            gallery.enrol(&new, &model, &[sample], &EnrolPolicy::default()).unwrap();
        }
        let policy = Policy {
            threshold: 0.5,
            verify_threshold: 0.4,
            min_margin: 0.1,
            min_frames: 1,
            cool_down_ms: 1000,
            companions: Companions::Allowed,
            readers: Readers::Some,
        };
        let house = House::new(rules, "front").unwrap();
        let gate = Gate::new(policy, model.clone(), house);
        Self { _folder: folder, gallery, gate, model, wall: wall.parse().unwrap() }
    }

    /// One frame with `who` in it, at `now` on both clocks.
    fn sees(&mut self, track: u64, who: Option<&str>, now: u64) -> Vec<Verdict> {
        let probe = who.map(|who| axis(PEOPLE.iter().position(|(id, _)| *id == who).unwrap()));
        let best = who.map(|who| Match {
            subject: self.gallery.subject_by_external_id(who).unwrap().unwrap(),
            score: 1.0,
        });
        let sighting = Sighting {
            track: TrackId(track),
            detection: Detection {
                bbox: BBox { x1: 0.0, y1: 0.0, x2: 9.0, y2: 9.0 },
                landmarks: Landmarks::default(),
                confidence: 1.0,
            },
            quality: Quality { measures: None, score: 1.0, reasons: Default::default() },
            best,
            margin: None,
            fault: None,
            frames: 1,
            companions: 0,
            probe: probe.map(Arc::from),
            sample: None,
        };
        let frame = Frame {
            image: RgbImage::filled(1, 1, [0; 3]).unwrap(),
            seq: now,
            at: Millis(now),
            opening: 0,
            source: "test".into(),
        };
        let seen = Seen { frame: Arc::new(frame), sightings: vec![sighting], times: StageTimes::default() };
        let verdicts = self.gate.frame(&seen, Millis(now), self.wall(now), &self.gallery).unwrap();
        for verdict in &verdicts {
            self.write(verdict, now);
        }
        verdicts
    }

    /// What follows on a face: its decision in a word, with a mark if it is news.
    fn says(&mut self, track: u64, who: &str, now: u64) -> String {
        said(&self.sees(track, Some(who), now)[0])
    }

    fn shows(&mut self, factor: Factor, whose: &str, now: u64) -> String {
        let named = match self.gallery.subject_by_external_id(whose).unwrap() {
            Some(s) => Named::Subject { subject: s.id, duress: Duress::None },
            None => Named::Nobody,
        };
        let shown = Shown { factor, named };
        let verdict = self.gate.shown(shown, Millis(now), self.wall(now), &self.gallery).unwrap();
        self.write(&verdict, now);
        said(&verdict)
    }

    fn wall(&self, now: u64) -> Timestamp {
        self.wall + std::time::Duration::from_millis(now)
    }

    /// As the act thread does.
    fn write(&mut self, verdict: &Verdict, now: u64) {
        if let (Decision::Grant { .. }, Some((subject, _))) = (&verdict.decision, &verdict.about) {
            let event = NewEvent::new(self.wall(now), EventKind::Granted).about(*subject);
            match self.gate.house().rules.passback().leads_to("front") {
                Some(area) => self.gallery.append_moving(&event, area),
                None => self.gallery.append(&event),
            }
            .unwrap();
        }
    }

    /// The program is started again.
    fn again(&mut self) {
        let policy = *self.gate.policy();
        self.gate = Gate::new(policy, self.model.clone(), self.gate.house().clone());
    }
}

fn axis(i: usize) -> Vec<f32> {
    (0..16).map(|j| f32::from(u8::from(i == j))).collect()
}

fn said(verdict: &Verdict) -> String {
    let word = match &verdict.decision {
        Decision::Grant { rule, shown, .. } => format!("in by {rule}: {shown}"),
        Decision::Deny(why) => why.code().to_owned(),
        Decision::Ask(Request::Show(missing)) => format!("show {missing}"),
        Decision::Ask(other) => format!("{other:?}"),
        Decision::Pair { rule, .. } => format!("second for {rule}"),
        Decision::Passed { .. } => "passed".to_owned(),
    };
    if verdict.is_news { format!("{word}!") } else { word }
}

const HOUSE: &str = r#"
    time_zone = "Europe/Berlin"
    blocked = ["banned"]
    [schedules.day]
    weekdays = ["07:00-19:00"]
    [[rules]]
    name = "day"
    groups = ["staff"]
    schedule = "day"
    needs = "face or card + pin"
    [[rules]]
    name = "night"
    groups = ["staff"]
    needs = "face + pin"
    [[rules]]
    name = "cleaning"
    groups = ["cleaners"]
    schedule = "day"
    after = ["staff"]
"#;

/// Monday, by daylight and at night in Berlin.
const DAY: &str = "2026-11-30T09:00:00Z";
const NIGHT: &str = "2026-11-30T22:00:00Z";

#[test]
fn by_day_a_face_is_enough_and_each_verdict_is_said_once() {
    let mut door = Door::new(HOUSE, DAY);
    assert_eq!(door.says(1, "ada", 0), "in by day: face!");
    assert_eq!(door.says(1, "ada", 500), "passed");
    assert_eq!(
        door.says(1, "ada", 1500),
        "in by day: face!",
        "they stand there still, and the cool-down is over"
    );
    assert_eq!(door.says(2, "dan", 2000), "blocked!");
    assert_eq!(door.says(2, "dan", 2100), "blocked");
    assert_eq!(door.says(3, "dan", 2200), "blocked!");
    door.gate.set_lockdown(true);
    assert_eq!(door.says(4, "ben", 3000), "lockdown!");
    assert_eq!(door.says(4, "ben", 3100), "lockdown");
    assert_eq!(door.shows(Factor::Card, "ben", 3200), "lockdown!");
    door.gate.set_lockdown(false);
    assert_eq!(door.says(4, "ben", 3300), "in by day: face!");
}

#[test]
fn at_night_the_face_is_asked_for_a_pin_and_a_pin_for_a_face() {
    let mut door = Door::new(HOUSE, NIGHT);
    assert_eq!(door.says(1, "ada", 0), "show pin!");
    assert_eq!(door.says(1, "ada", 100), "show pin");
    assert_eq!(door.shows(Factor::Pin, "ada", 200), "in by night: face + pin!");
    assert_eq!(door.says(1, "ada", 300), "passed");
    // Nobody in sight: the PIN first.
    assert_eq!(door.shows(Factor::Pin, "ben", 60_000), "show face!");
    assert_eq!(door.says(2, "ben", 60_100), "in by night: face + pin!");
    // Another face than the PIN says, and a PIN that is none.
    assert_eq!(door.shows(Factor::Pin, "ben", 120_000), "show face!");
    assert_eq!(door.says(3, "ada", 120_100), "other-face!");
    assert_eq!(door.says(3, "ada", 120_200), "show pin!", "what was shown is used up");
    assert_eq!(door.shows(Factor::Pin, "nobody", 120_300), "unknown-credential!");
    assert_eq!(door.shows(Factor::Pin, "nobody", 120_400), "unknown-credential!", "each try is told");
    // The PIN that was typed counts for twenty seconds.
    assert_eq!(door.shows(Factor::Pin, "ben", 200_000), "show face!");
    assert_eq!(door.says(4, "ben", 219_999), "in by night: face + pin!");
    assert_eq!(door.shows(Factor::Pin, "ada", 300_000), "show face!");
    assert_eq!(door.says(5, "ada", 320_000), "show pin!");
}

#[test]
fn a_card_and_a_pin_are_enough_without_a_face_by_day() {
    let mut door = Door::new(HOUSE, DAY);
    assert_eq!(door.shows(Factor::Card, "ada", 0), "show face!");
    assert_eq!(door.shows(Factor::Pin, "ada", 1000), "in by day: card + pin!");
    assert_eq!(door.shows(Factor::Card, "ada", 5000), "show face!");
    assert_eq!(door.shows(Factor::Pin, "ben", 6000), "mismatch!");
    assert_eq!(door.shows(Factor::Card, "dan", 7000), "blocked!");
}

#[test]
fn whoever_comes_after_others_waits_for_them_also_over_a_restart_and_only_for_today() {
    let mut door = Door::new(HOUSE, DAY);
    assert_eq!(door.says(1, "cleo", 0), "not-yet-opened!");
    assert_eq!(door.says(2, "ada", 1000), "in by day: face!");
    assert_eq!(door.says(3, "cleo", 2000), "in by cleaning: face!");
    door.again();
    assert_eq!(door.says(1, "cleo", 4000), "in by cleaning: face!");
    let tomorrow = 24 * 3600 * 1000;
    assert_eq!(door.says(2, "cleo", tomorrow), "not-yet-opened!");
    door.again();
    assert_eq!(door.says(1, "cleo", tomorrow), "not-yet-opened!");
    assert_eq!(door.says(2, "cleo", tomorrow + 12 * 3600 * 1000), "outside-hours!");
}

#[test]
fn a_safe_takes_two_different_people_within_the_time() {
    let rules = "[[rules]]\nname = \"safe\"\ngroups = [\"staff\"]\npersons = 2\nwithin_s = 20";
    let mut door = Door::new(rules, DAY);
    assert_eq!(door.says(1, "ada", 0), "second for safe!");
    assert_eq!(door.says(1, "ada", 100), "second for safe");
    assert_eq!(door.says(2, "ada", 5000), "second for safe!", "one is not two");
    assert_eq!(door.says(3, "ben", 25_000), "in by safe: face!");
    assert_eq!(door.says(4, "ada", 30_000), "second for safe!", "for the next pair from the beginning");
    assert_eq!(door.says(5, "ben", 50_001), "second for safe!");
}

#[test]
fn whoever_is_inside_does_not_come_in_again_also_after_a_restart() {
    let rules = "[passback]\nmode = \"hard\"\n[doors.front]\nfrom = \"street\"\ninto = \"house\"";
    let mut door = Door::new(rules, DAY);
    assert_eq!(door.says(1, "ada", 0), "in by everybody: face!");
    assert_eq!(door.says(2, "ada", 5000), "passback!");
    door.again();
    assert_eq!(door.says(1, "ada", 9000), "passback!");
    // The way out is another door of the same gallery.
    let ada = door.gallery.subject_by_external_id("ada").unwrap().unwrap().id;
    let event = NewEvent::new(door.wall(10_000), EventKind::Granted).about(ada);
    door.gallery.append_moving(&event, "street").unwrap();
    assert_eq!(door.says(2, "ada", 11_000), "in by everybody: face!");
}
