//! Each case of the plan, and that what was done is not done again.

use jiff::Timestamp;
use limen_gallery_db::{Standing, SubjectId};
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn new(name: &str, consent: Option<i64>) -> NewSubject {
    let mut new = NewSubject::new("7", name);
    new.consent = consent.map(at);
    new
}

/// What a gallery has after it took `new`.
fn taken(new: &NewSubject) -> Subject {
    Subject {
        id: SubjectId::from_bytes([7; 16]),
        external_id: new.external_id.clone(),
        name: new.name.clone(),
        groups: new.groups.clone(),
        valid_from: new.valid_from,
        valid_until: new.valid_until,
        standing: Standing::Active,
        consent: new.consent,
        created: new.at,
    }
}

fn known(name: &str, consent: Option<i64>, there: There) -> Known {
    Known { subject: taken(&new(name, consent)), there }
}

fn code(plan: Result<Step, Refusal>) -> &'static str {
    plan.unwrap_err().code
}

#[test]
fn somebody_new_needs_pictures_and_consent() {
    for mode in [Mode::Keep, Mode::Add, Mode::Replace] {
        assert_eq!(code(plan(None, &new("Ada", Some(0)), 0, mode)), "no-pictures");
        assert_eq!(code(plan(None, &new("Ada", None), 2, mode)), "no-consent");
        assert_eq!(plan(None, &new("Ada", Some(0)), 2, mode), Ok(Step::Enrol(Existing::Refuse)));
    }
}

#[test]
fn somebody_known_is_as_the_mode_says() {
    let ada = new("Ada", Some(0));
    let plan = |name: &str, there, pictures, mode| {
        plan(Some(&known(name, Some(0), there)), &ada, pictures, mode).map_err(|r| r.code)
    };
    let (add, replace) = (Step::Enrol(Existing::AddSamples), Step::Enrol(Existing::Replace));
    let refused = Err("already-enrolled");
    for (name, there, pictures, keep, added, replaced) in [
        ("Ada", There::All, 2, Ok(Step::Nothing), Step::Nothing, Step::Nothing),
        ("Ada", There::Some, 2, Ok(Step::Nothing), Step::Nothing, replace),
        ("Ada", There::None, 2, refused, add, replace),
        ("Ada", There::None, 0, Ok(Step::Nothing), Step::Nothing, Step::Nothing),
        ("Eve", There::All, 2, refused, Step::Nothing, Step::Change),
        ("Eve", There::Some, 2, refused, Step::Nothing, replace),
        ("Eve", There::None, 2, refused, add, replace),
        ("Eve", There::None, 0, refused, Step::Nothing, Step::Change),
    ] {
        assert_eq!(plan(name, there, pictures, Mode::Keep), keep, "{name} {there:?} {pictures}");
        assert_eq!(plan(name, there, pictures, Mode::Add), Ok(added), "{name} {there:?} {pictures}");
        assert_eq!(plan(name, there, pictures, Mode::Replace), Ok(replaced), "{name} {there:?} {pictures}");
    }
}

#[test]
fn no_template_is_added_to_somebody_whose_record_has_no_consent() {
    let silent = known("Ada", None, There::None);
    // Adding leaves the data as they are, so that the list's own consent would not be on record.
    assert_eq!(code(plan(Some(&silent), &new("Ada", Some(0)), 1, Mode::Add)), "no-consent");
    assert_eq!(code(plan(Some(&silent), &new("Ada", None), 1, Mode::Replace)), "no-consent");
    let replaced = plan(Some(&silent), &new("Ada", Some(0)), 1, Mode::Replace);
    assert_eq!(replaced, Ok(Step::Enrol(Existing::Replace)));
}

#[test]
fn a_mark_is_of_the_pictures_and_not_of_their_order_or_names() {
    let set = |all: &[&str]| Mark::of(all.iter().map(|s| (*s).to_owned()).collect());
    let mark = set(&["aa", "bb"]);
    assert_eq!(mark, set(&["bb", "aa", "bb"]));
    assert_ne!(mark, set(&["aa"]));
    // The first 16 digits of the SHA-256 of "aabb", by sha256sum.
    assert_eq!(mark.source("7-1.jpg"), "7-1.jpg set:486b34250bd4400c");
    let long = mark.source(&"ä".repeat(300));
    assert_eq!(long.chars().count(), MAX_SOURCE);
    assert_eq!(mark.among([long.as_str()].into_iter()), There::All);
    assert_eq!(mark.among(["x.jpg", long.as_str()].into_iter()), There::Some);
    assert_eq!(mark.among(["x.jpg"].into_iter()), There::None);
    assert_eq!(mark.among([].into_iter()), There::None);
}

proptest! {
    #[test]
    fn what_was_done_is_not_done_again(
        before in prop::option::of((0..2usize, prop::option::of(0..2i64), 0..3usize)),
        (name, agreed) in (0..2usize, prop::option::of(0..2i64)),
        pictures in 0..3usize,
        mode in prop::sample::select(vec![Mode::Keep, Mode::Add, Mode::Replace]),
    ) {
        let names = ["Ada", "Eve"];
        let there = [There::None, There::Some, There::All];
        let before = before.map(|(name, agreed, i)| known(names[name], agreed, there[i]));
        let mut new = new(names[name], agreed);
        let on_record = |k: &Known| k.subject.consent;
        new.consent = new.consent.or(before.as_ref().and_then(on_record));
        let Ok(step) = plan(before.as_ref(), &new, pictures, mode) else { return Ok(()) };
        let after = match (step, before) {
            (Step::Nothing, before) => before.unwrap(),
            (Step::Change, before) => Known { subject: taken(&new), ..before.unwrap() },
            (Step::Enrol(Existing::AddSamples), before) => Known { there: There::Some, ..before.unwrap() },
            (Step::Enrol(_), _) => Known { subject: taken(&new), there: There::All },
        };
        prop_assert!(step == Step::Nothing || step == Step::Change || after.subject.consent.is_some());
        prop_assert_eq!(plan(Some(&after), &new, pictures, mode), Ok(Step::Nothing));
    }
}
