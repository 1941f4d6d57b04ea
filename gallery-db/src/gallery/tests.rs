//! The gallery as its callers see it, and what they must never see: a change by halves.

use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::event::{EventKind, Order, Seq};
use crate::score::cosine;
use crate::{DuplicateRule, Encoding, EnrolPolicy, Existing, Sample};

fn room() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery.db");
    (folder, path)
}

fn model() -> ModelId {
    ModelId::new("m").unwrap()
}

/// 32 values: a direction of its own for each n, at right angles to the others.
fn face(n: usize) -> Vec<f32> {
    let mut v = vec![0.0; 32];
    v[n] = 1.0;
    v
}

fn sample(vector: Vec<f32>) -> Sample {
    Sample { vector, quality: 0.8, source: "camera".into() }
}

fn enrol(gallery: &mut Gallery, id: &str, vector: Vec<f32>) -> SubjectId {
    let policy = EnrolPolicy { allow_duplicate: DuplicateRule::Allow, ..EnrolPolicy::default() };
    let new = NewSubject::new(id, format!("name of {id}"));
    gallery.enrol(&new, &model(), &[sample(vector)], &policy).unwrap().subject.id
}

fn best(gallery: &Gallery, probe: &[f32]) -> Option<(SubjectId, f32)> {
    gallery.identify(&model(), probe, 1).unwrap().best().map(|c| (c.subject, c.score.value()))
}

#[test]
fn a_gallery_can_go_to_another_thread() {
    fn send<T: Send>() {}
    send::<Gallery>();
}

#[test]
fn persons_come_change_and_go() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let mut new = NewSubject::new("B", "Boris");
    new.groups = vec!["staff".into(), "lab".into()];
    new.valid_from = Some("2025-01-01T00:00:00Z".parse().unwrap());
    new.consent = Some("2024-12-01T10:00:00.123Z".parse().unwrap());
    let boris = gallery.add_subject(&new).unwrap();
    let anna = gallery.add_subject(&NewSubject::new("A", "Anna")).unwrap();
    assert_eq!(gallery.subjects().unwrap(), [anna.clone(), boris.clone()]);
    assert_eq!(gallery.subject(boris.id).unwrap().unwrap(), boris);
    assert_eq!(boris.groups, ["lab", "staff"]);

    let error = gallery.add_subject(&NewSubject::new("A", "Another")).unwrap_err();
    assert!(matches!(&error, GalleryError::Exists { external_id } if external_id == "A"), "{error}");
    assert!(matches!(gallery.add_subject(&NewSubject::new("a b", "x")), Err(GalleryError::Invalid { .. })));
    let taken = Subject { external_id: "A".into(), ..boris.clone() };
    assert!(matches!(gallery.update_subject(&taken), Err(GalleryError::Exists { .. })));
    assert_eq!(gallery.subject(boris.id).unwrap().unwrap(), boris, "refused as a whole");

    let changed = Subject {
        external_id: "C".into(),
        groups: vec!["door".into()],
        valid_until: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        created: Timestamp::UNIX_EPOCH,
        ..boris.clone()
    };
    let now = gallery.update_subject(&changed).unwrap();
    assert_eq!(now, Subject { created: boris.created, ..changed.clone() });
    assert!(gallery.subject_by_external_id("B").unwrap().is_none());
    assert_eq!(gallery.set_standing(boris.id, Standing::Suspended).unwrap().standing, Standing::Suspended);
    assert_eq!(gallery.subject_by_external_id("C").unwrap().unwrap().standing, Standing::Suspended);
    assert_eq!(gallery.set_standing(boris.id, Standing::Active).unwrap(), now);

    assert_eq!(gallery.remove_subject(boris.id).unwrap(), now);
    for error in [
        gallery.remove_subject(boris.id).unwrap_err(),
        gallery.update_subject(&changed).unwrap_err(),
        gallery.set_standing(boris.id, Standing::Active).unwrap_err(),
    ] {
        assert!(matches!(error, GalleryError::UnknownSubject { .. }), "{error}");
    }
    assert_eq!(gallery.subjects().unwrap(), [anna]);
}

#[test]
fn the_index_follows_the_file() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    assert_eq!(best(&gallery, &face(0)), None);
    let (a, b) = (enrol(&mut gallery, "A", face(0)), enrol(&mut gallery, "B", face(1)));
    assert_eq!(best(&gallery, &face(1)), Some((b, 1.0)));
    assert_eq!(gallery.verify(&model(), a, &face(1)).unwrap().unwrap().value(), 0.0);

    let template = gallery.templates(a).unwrap()[0].clone();
    assert_eq!(gallery.remove_template(template.id).unwrap(), template);
    assert!(matches!(gallery.remove_template(template.id), Err(GalleryError::UnknownTemplate { .. })));
    assert_eq!(gallery.verify(&model(), a, &face(0)).unwrap(), None);
    assert_eq!(best(&gallery, &face(0)), Some((b, 0.0)));

    gallery.remove_subject(b).unwrap();
    assert_eq!(best(&gallery, &face(1)), None);
    // With the last template gone the model may come with another length.
    assert!(gallery.identify(&model(), &[1.0; 64], 1).unwrap().best().is_none());
    let policy = EnrolPolicy { existing: Existing::AddSamples, ..EnrolPolicy::default() };
    gallery.enrol(&NewSubject::new("A", "A"), &model(), &[sample(vec![1.0; 64])], &policy).unwrap();
    assert_eq!(best(&gallery, &[1.0; 64]), Some((a, 1.0)));
    assert!(matches!(
        gallery.identify(&model(), &face(0), 1),
        Err(GalleryError::Invalid { field: "probe", .. })
    ));
    assert_eq!(gallery.contents().unwrap().templates, [(model(), 1)]);
    assert_eq!(gallery.enrolled().unwrap(), (gallery.contents().unwrap().subjects, 1));
}

#[test]
fn vectors_left_in_the_file_give_the_same() {
    let (_folder, path) = room();
    let mut all = Gallery::open(&path).unwrap();
    let mut codes = Gallery::open(&path).unwrap();
    codes.set_memory(3 * 32 * size_of::<f32>()); // of three templates
    let policy = EnrolPolicy { allow_duplicate: DuplicateRule::Allow, ..EnrolPolicy::default() };
    let faces: Vec<Vec<f32>> =
        (0..8).map(|n| (0..32).map(|i| ((i * n) % 7) as f32 - 2.9).collect()).collect();
    let mut people = Vec::new();
    for (n, v) in faces.iter().enumerate() {
        let encoding = if n % 2 == 0 { Encoding::F32 } else { Encoding::Int8 };
        let policy = EnrolPolicy { encoding, ..policy };
        let new = NewSubject::new(n.to_string(), "Somebody");
        // Through `codes`, so that its index grows out of the memory with the fourth.
        people.push(codes.enrol(&new, &model(), &[sample(v.clone())], &policy).unwrap().subject.id);
        all.refresh().unwrap();
        let probes = [faces[0].as_slice(), &faces[3], &face(5)];
        let found = codes.identify_all(&model(), &probes, 3).unwrap();
        assert_eq!(found, all.identify_all(&model(), &probes, 3).unwrap());
        assert_eq!(found[1], all.identify(&model(), probes[1], 3).unwrap());
        for person in &people {
            let verify = |g: &Gallery| g.verify(&model(), *person, probes[2]).unwrap();
            assert!(verify(&codes).is_some() && verify(&codes) == verify(&all));
        }
        let held = codes.indices.borrow_mut().of(&codes.db, &model()).unwrap().unwrap().reads_file();
        assert_eq!(held, n >= 3, "after {} enrolments", n + 1);
    }
    // What another program took out of the file is not looked for in vain.
    assert_eq!(best(&codes, &faces[3]).unwrap().0, people[3]);
    all.remove_subject(people[3]).unwrap();
    assert_ne!(best(&codes, &faces[3]).unwrap().0, people[3]);
    assert_eq!(codes.verify(&model(), people[3], &face(5)).unwrap(), None);
    assert!(matches!(
        codes.identify(&model(), &[1.0; 16], 1),
        Err(GalleryError::Invalid { field: "probe", .. })
    ));
    // An index that is not in step with the file (never so) says which template it misses.
    all.remove_subject(people[4]).unwrap();
    codes.indices.borrow_mut().sync(&codes.db).unwrap();
    codes.db.execute("DELETE FROM template WHERE id = 6", []).unwrap();
    let error = codes.identify(&model(), &faces[5], 1).unwrap_err().to_string();
    assert!(error.contains("template 6: it is not in the file any more"), "{error}");
}

#[test]
fn a_refused_replacement_leaves_the_person_searchable() {
    let (_folder, path) = room();
    let a = enrol(&mut Gallery::open(&path).unwrap(), "A", face(0));
    enrol(&mut Gallery::open(&path).unwrap(), "B", face(1));
    let mut gallery = Gallery::open(&path).unwrap(); // its index is loaded within the enrolment
    let policy = EnrolPolicy { existing: Existing::Replace, ..EnrolPolicy::default() };
    let refused = gallery.enrol(&NewSubject::new("A", "A"), &model(), &[sample(face(1))], &policy);
    assert!(matches!(refused, Err(GalleryError::Enrolment(_))), "{refused:?}");
    assert_eq!(best(&gallery, &face(0)), Some((a, 1.0)));
}

#[test]
fn templates_of_two_models_never_meet() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let a = enrol(&mut gallery, "A", face(0));
    let other = ModelId::new("other").unwrap();
    assert!(gallery.identify(&other, &face(0), 3).unwrap().best().is_none());
    assert_eq!(gallery.verify(&other, a, &[1.0; 999]).unwrap(), None);
    let policy = EnrolPolicy { existing: Existing::AddSamples, ..EnrolPolicy::default() };
    gallery.enrol(&NewSubject::new("A", "A"), &other, &[sample(vec![1.0; 48])], &policy).unwrap();
    assert_eq!(gallery.identify(&other, &[1.0; 48], 3).unwrap().as_slice().len(), 1);
    assert_eq!(gallery.templates(a).unwrap().len(), 2);
    assert_eq!(best(&gallery, &face(0)), Some((a, 1.0)));
}

#[test]
fn changes_of_another_program_are_noticed() {
    let (_folder, path) = room();
    let mut here = Gallery::open(&path).unwrap();
    let mut there = Gallery::open(&path).unwrap();
    let a = enrol(&mut here, "A", face(0));
    assert_eq!(best(&here, &face(0)), Some((a, 1.0)));
    assert_eq!(here.refresh().unwrap(), Refresh::Unchanged, "own changes are no news");

    let b = enrol(&mut there, "B", face(1));
    assert_eq!(best(&here, &face(1)), Some((a, 0.0)), "not yet");
    assert_eq!(here.refresh().unwrap(), Refresh::Reloaded);
    assert_eq!(best(&here, &face(1)), Some((b, 1.0)));
    assert_eq!(here.refresh().unwrap(), Refresh::Unchanged);

    there.remove_subject(a).unwrap();
    there.remove_subject(b).unwrap();
    here.refresh().unwrap();
    assert_eq!(best(&here, &face(1)), None);

    // An enrolment looks for duplicates among what others enrolled a moment ago, refreshed or not.
    enrol(&mut here, "E", face(4));
    assert!(best(&here, &face(4)).is_some());
    enrol(&mut there, "C", face(2));
    let error = here
        .enrol(&NewSubject::new("D", "D"), &model(), &[sample(face(2))], &EnrolPolicy::default())
        .unwrap_err();
    assert!(error.to_string().contains("looks like C"), "{error}");
}

#[test]
fn a_change_and_its_event_are_written_together_or_not_at_all() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let note = |kind| NewEvent::new(Timestamp::UNIX_EPOCH, kind).about_id("A");
    let policy = EnrolPolicy::default();
    let new = NewSubject::new("A", "Anna");
    let samples = [sample(face(0))];

    // The event is refused, and with it the change.
    let error =
        gallery.noting(note(EventKind::Enrolled).because("No")).enrol(&new, &model(), &samples, &policy);
    assert!(matches!(error, Err(GalleryError::Invalid { field: "reason", .. })), "{error:?}");
    assert_eq!((gallery.contents().unwrap().subjects, best(&gallery, &face(0))), (0, None));

    let a = gallery
        .noting(note(EventKind::Enrolled))
        .enrol(&new, &model(), &samples, &policy)
        .unwrap()
        .subject
        .id;
    // The change is refused, and with it the event: in the transaction, and before it begins.
    gallery.noting(note(EventKind::Enrolled)).enrol(&new, &model(), &samples, &policy).unwrap_err();
    gallery.noting(note(EventKind::Changed)).add_subject(&NewSubject::new("a b", "x")).unwrap_err();
    gallery.set_standing(a, Standing::Suspended).unwrap();
    gallery.noting(note(EventKind::Removed)).remove_subject(a).unwrap();

    let events = gallery.events(&EventFilter::default()).unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.kind, e.external_id.as_deref())).collect();
    assert_eq!(told, [(EventKind::Enrolled, Some("A")), (EventKind::Removed, Some("A"))]);
}

#[test]
fn an_event_finds_its_subject_by_either_key() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let a = enrol(&mut gallery, "A", face(0));
    let event = NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::Denied);
    gallery.append(&event.clone().about(a)).unwrap();
    gallery.append(&event.about_id("A")).unwrap();
    for e in gallery.events(&EventFilter::default()).unwrap() {
        assert_eq!((e.subject, e.external_id.as_deref()), (Some(a), Some("A")));
    }
}

#[test]
fn events_stay_when_the_person_goes() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let a = enrol(&mut gallery, "A", face(0));
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    let granted = NewEvent {
        score: Score::new(0.75).ok(),
        threshold: crate::Threshold::new(0.5).ok(),
        model: Some(model()),
        detail: Some(serde_json::json!({"frames": 3})),
        ..NewEvent::new(at(1000), EventKind::Granted).about(a).because("match")
    };
    let written = gallery.append(&granted).unwrap();
    gallery.remove_subject(a).unwrap();
    gallery.append(&NewEvent::new(at(2000), EventKind::Denied).about(a)).unwrap();
    gallery
        .append(&NewEvent {
            external_id: Some("A".into()),
            ..NewEvent::new(at(2000), EventKind::Removed).about(a)
        })
        .unwrap();
    let error = gallery.append(&NewEvent::new(at(1), EventKind::Denied).because("No")).unwrap_err();
    assert!(matches!(error, GalleryError::Invalid { field: "reason", .. }), "{error}");
    gallery.append(&NewEvent::new(at(3000), EventKind::Stopped)).unwrap();

    let all = gallery.events(&EventFilter::default()).unwrap();
    assert_eq!(
        all[0],
        Event {
            seq: Seq::new(1),
            time: at(1000),
            kind: EventKind::Granted,
            subject: Some(a),
            external_id: Some("A".into()),
            score: Score::new(0.75).ok(),
            threshold: crate::Threshold::new(0.5).ok(),
            reason: Some("match".into()),
            model: Some(model()),
            detail: Some(serde_json::json!({"frames": 3})),
            hash: written.hash,
        }
    );
    assert_eq!(all[0], written);
    assert_eq!(all[1].external_id, None, "gone before the event: nobody can say who it was");
    assert_eq!(all[2].external_id.as_deref(), Some("A"));

    let seqs = |filter: EventFilter| -> Vec<i64> {
        gallery.events(&filter).unwrap().into_iter().map(|e| e.seq.number()).collect()
    };
    assert_eq!(seqs(EventFilter::default()), [1, 2, 3, 4]);
    assert_eq!(seqs(EventFilter { since: Some(at(2000)), ..Default::default() }), [2, 3, 4]);
    assert_eq!(seqs(EventFilter { until: Some(at(2000)), ..Default::default() }), [1]);
    assert_eq!(seqs(EventFilter { after: Some(Seq::new(2)), limit: Some(1), ..Default::default() }), [3]);
    let kinds = vec![EventKind::Granted, EventKind::Stopped];
    assert_eq!(seqs(EventFilter { kinds, ..Default::default() }), [1, 4]);
    assert_eq!(seqs(EventFilter { order: Order::NewestFirst, limit: Some(2), ..Default::default() }), [4, 3]);
    assert_eq!(seqs(EventFilter { subject: Some(a), ..Default::default() }), [1]);
}

#[test]
fn two_programs_that_write_at_once_wait_for_each_other() {
    let (_folder, path) = room();
    let a = enrol(&mut Gallery::open(&path).unwrap(), "A", face(0));
    let write = || {
        let mut gallery =
            Gallery::open_with(&path, &Options { busy: Duration::from_secs(60), ..Options::default() })
                .unwrap();
        let event = NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::Denied).about(a);
        (0..60).map(|_| gallery.append(&event).unwrap().seq).collect::<Vec<_>>()
    };
    let mut all = std::thread::scope(|s| {
        let both = [s.spawn(write), s.spawn(write)];
        both.map(|t| t.join().unwrap()).concat()
    });
    all.sort();
    assert_eq!(all, (1..=120).map(Seq::new).collect::<Vec<_>>());
}

/// Lets the file of `gallery` grow by no more than `pages`.
fn limit(gallery: &Gallery, pages: i64) {
    let now: i64 = gallery.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    gallery.db.pragma_update_and_check(None, "max_page_count", now + pages, |_| Ok(())).unwrap();
}

#[test]
fn a_full_disk_changes_nothing() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let a = enrol(&mut gallery, "A", face(0));
    limit(&gallery, 1);
    // Thirty templates want more than one page, so the room ends half way through them.
    let before = (gallery.subjects().unwrap(), gallery.contents().unwrap());
    let samples: Vec<Sample> = (1..30)
        .map(|n| Sample { source: "x".repeat(250), ..sample(face(n)) })
        .chain([sample(face(31))])
        .collect();
    let policy = EnrolPolicy {
        max_templates: 64,
        min_agreement: crate::Threshold::MIN,
        encoding: Encoding::F32,
        ..EnrolPolicy::default()
    };
    let new = NewSubject::new("B", "Boris");
    let error = gallery.enrol(&new, &model(), &samples, &policy).unwrap_err();
    assert!(matches!(error, GalleryError::Full { .. }), "{error}");
    assert_eq!(error.remedy(), crate::Remedy::Retry);
    assert_eq!((gallery.subjects().unwrap(), gallery.contents().unwrap()), before);
    assert_eq!(best(&gallery, &face(5)), Some((a, 0.0)), "the index knows nothing of it");

    // Until it is full to the last byte; what was acknowledged is there.
    let mut written = 0;
    let detail = Some(serde_json::json!({"text": "x".repeat(1000)}));
    let event = NewEvent { detail, ..NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::Denied) };
    let error = loop {
        match gallery.append(&event) {
            Ok(_) => written += 1,
            Err(e) => break e,
        }
        assert!(written < 100);
    };
    assert!(matches!(error, GalleryError::Full { .. }), "{error}");
    drop(gallery);
    let mut gallery =
        Gallery::open_with(&path, &Options { check: Check::Full, ..Options::default() }).unwrap();
    assert_eq!(gallery.contents().unwrap().events, written);
    assert_eq!(best(&gallery, &face(0)), Some((a, 1.0)));
    // With room again the same call succeeds.
    assert_eq!(gallery.enrol(&new, &model(), &samples, &policy).unwrap().kept.len(), 30);
}

#[test]
fn a_removed_face_is_gone_from_every_file() {
    let (folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    enrol(&mut gallery, "A", face(0));
    let vector: Vec<f32> = (0..32).map(|i| ((i * 37 + 11) % 101) as f32 - 50.0).collect();
    let b = enrol(&mut gallery, "B", vector.clone());
    let needle = gallery.templates(b).unwrap()[0].vector.to_bytes();
    let found = || {
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| {
                let bytes = std::fs::read(entry.as_ref().unwrap().path()).unwrap();
                bytes.windows(needle.len()).any(|w| w == needle)
            })
            .count()
    };
    assert!(found() > 0);
    gallery.remove_subject(b).unwrap();
    assert_eq!(found(), 0);

    let b = enrol(&mut gallery, "B", vector.clone());
    assert!(found() > 0);
    gallery.remove_template(gallery.templates(b).unwrap()[0].id).unwrap();
    assert_eq!(found(), 0);

    let policy = EnrolPolicy { existing: Existing::AddSamples, ..EnrolPolicy::default() };
    gallery.enrol(&NewSubject::new("B", "B"), &model(), &[sample(vector)], &policy).unwrap();
    assert!(found() > 0);
    let policy = EnrolPolicy { existing: Existing::Replace, ..EnrolPolicy::default() };
    gallery.enrol(&NewSubject::new("B", "B"), &model(), &[sample(face(9))], &policy).unwrap();
    assert_eq!(found(), 0);
}

#[test]
fn scores_are_those_of_the_one_function() {
    let (_folder, path) = room();
    let mut gallery = Gallery::open(&path).unwrap();
    let vector: Vec<f32> = (0..32).map(|i| ((i * 29 + 3) % 31) as f32 - 15.0).collect();
    let probe: Vec<f32> = (0..32).map(|i| ((i * 13 + 5) % 29) as f32 - 14.0).collect();
    let a = enrol(&mut gallery, "A", vector.clone());
    let expected = cosine(&gallery.templates(a).unwrap()[0].vector.decode(), &probe);
    assert!((expected.value() - cosine(&vector, &probe).value()).abs() < 1e-6);
    assert_eq!(best(&gallery, &probe), Some((a, expected.value())));
    drop(gallery);
    assert_eq!(
        best(&Gallery::open(&path).unwrap(), &probe),
        Some((a, expected.value())),
        "loaded as enrolled"
    );
}

#[test]
fn what_is_tried_on_a_copy_in_memory_never_happened() {
    let (folder, path) = room();
    let mut none = Gallery::scratch(&path).unwrap();
    enrol(&mut none, "X", face(3));
    assert_eq!(best(&none, &face(3)).unwrap().1, 1.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file was made");

    let mut gallery = Gallery::open(&path).unwrap();
    let anna = enrol(&mut gallery, "A", face(1));
    gallery.append(&NewEvent::new(Timestamp::now(), EventKind::Started)).unwrap();
    let before = (gallery.contents().unwrap(), gallery.subjects().unwrap(), gallery.templates(anna).unwrap());
    let mut copy = Gallery::scratch(&path).unwrap();
    assert_eq!(copy.subjects().unwrap(), before.1);
    assert_eq!(best(&copy, &face(1)), Some((anna, 1.0)));
    assert_eq!(copy.contents().unwrap().events, 0);
    // As on a file: the events of a change, the same refusals.
    let event = NewEvent::new(Timestamp::now(), EventKind::Removed).about(anna);
    copy.noting(event).remove_subject(anna).unwrap();
    enrol(&mut copy, "B", face(2));
    assert!(matches!(copy.add_subject(&NewSubject::new("B", "x")), Err(GalleryError::Exists { .. })));
    assert_eq!(copy.contents().unwrap().events, 1);
    drop(copy);
    assert_eq!(gallery.refresh().unwrap(), Refresh::Unchanged);
    let after = (gallery.contents().unwrap(), gallery.subjects().unwrap(), gallery.templates(anna).unwrap());
    assert_eq!(after, before);
}
