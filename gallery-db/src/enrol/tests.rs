//! Enrolments that succeed, by parts or not at all, with the reasons given.

use super::*;
use crate::error::GalleryError;
use crate::gallery::Gallery;
use crate::subject::{NewSubject, Standing};
use crate::template::ModelId;

/// `parts` of the axes given, 16 values.
fn v(parts: &[(usize, f32)]) -> Vec<f32> {
    let mut v = vec![0.0; 16];
    parts.iter().for_each(|(axis, part)| v[*axis] = *part);
    v
}

fn sample(vector: Vec<f32>, quality: f32, source: &str) -> Sample {
    Sample { vector, quality, source: source.into() }
}

struct Room {
    _folder: tempfile::TempDir,
    gallery: Gallery,
    model: ModelId,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
        Self { _folder: folder, gallery, model: ModelId::new("m").unwrap() }
    }

    fn enrol(
        &mut self,
        id: &str,
        samples: &[Sample],
        policy: &EnrolPolicy,
    ) -> Result<Enrolment, GalleryError> {
        self.gallery.enrol(&NewSubject::new(id, "Somebody"), &self.model, samples, policy)
    }

    fn refused(&mut self, id: &str, samples: &[Sample], policy: &EnrolPolicy) -> EnrolRefusal {
        let before = (self.gallery.subjects().unwrap(), self.gallery.contents().unwrap());
        let error = self.enrol(id, samples, policy).unwrap_err();
        assert_eq!((self.gallery.subjects().unwrap(), self.gallery.contents().unwrap()), before);
        match error {
            GalleryError::Enrolment(refusal) => refusal,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_documented_defaults() {
    let d = EnrolPolicy::default();
    assert_eq!((d.min_samples, d.max_templates, d.min_quality), (1, 8, 0.3));
    assert_eq!((d.min_agreement.value(), d.duplicate.value()), (0.35, 0.6));
}

#[test]
fn good_samples_become_templates_and_each_other_says_why_not() {
    let mut room = Room::new();
    let samples = [
        sample(v(&[(0, 1.0)]), 0.9, "front.jpg"),
        sample(v(&[(0, 1.0), (1, 0.5)]), 0.8, "left.jpg"),
        sample(v(&[(0, 1.0), (2, 0.1)]), 0.2, "dark.jpg"),
        sample(v(&[(9, 1.0)]), 0.9, "brother.jpg"),
        sample(v(&[(0, 2.0)]), 0.7, "front-again.jpg"),
        sample(v(&[(0, f32::NAN)]), 0.9, ""),
        sample(v(&[(0, 1.0), (3, 0.5)]), 0.8, "right.jpg"),
    ];
    let done = room.enrol("A", &samples, &EnrolPolicy::default()).unwrap();
    assert_eq!(
        done.kept.iter().map(|k| (k.index, k.template.number())).collect::<Vec<_>>(),
        [(0, 1), (1, 2), (6, 3)]
    );
    let reasons: Vec<String> = done.dropped.iter().map(Dropped::to_string).collect();
    assert!(reasons[0].starts_with("dark.jpg: quality 0.20 is below 0.30"), "{reasons:?}");
    assert!(
        reasons[1].starts_with("brother.jpg: similarity 0.0000 to the others is below 0.3500"),
        "{reasons:?}"
    );
    assert!(reasons[2].starts_with("front-again.jpg: the same picture"), "{reasons:?}");
    assert!(
        reasons[3].starts_with("sample 6: no usable embedding: value 0 is not a finite number"),
        "{reasons:?}"
    );
    assert_eq!(reasons.len(), 4);
    let stored = room.gallery.templates(done.subject.id).unwrap();
    assert_eq!(
        stored.iter().map(|t| t.source.as_str()).collect::<Vec<_>>(),
        ["front.jpg", "left.jpg", "right.jpg"]
    );
}

#[test]
fn too_few_good_samples_are_refused_with_all_reasons() {
    let mut room = Room::new();
    let policy = EnrolPolicy { min_samples: 2, ..EnrolPolicy::default() };
    let samples = [sample(v(&[(0, 1.0)]), 0.9, "a.jpg"), sample(v(&[(0, 1.0), (1, 0.5)]), 0.1, "b.jpg")];
    let refusal = room.refused("A", &samples, &policy);
    let text = refusal.to_string();
    assert!(text.starts_with("1 of 2 samples needed are usable; b.jpg: quality 0.10"), "{text}");

    let two = [sample(v(&[(0, 1.0)]), 0.9, "a.jpg"), sample(v(&[(1, 1.0)]), 0.8, "b.jpg")];
    let refusal = room.refused("A", &two, &EnrolPolicy::default());
    assert!(
        matches!(&refusal, EnrolRefusal::TooFewSamples { kept: 0, dropped, .. } if dropped.len() == 2),
        "{refusal}"
    );
    assert!(matches!(room.refused("A", &[], &EnrolPolicy::default()), EnrolRefusal::TooFewSamples { .. }));
}

#[test]
fn the_same_face_under_another_id_is_refused_or_reported() {
    let mut room = Room::new();
    room.enrol("A", &[sample(v(&[(0, 1.0)]), 0.9, "a")], &EnrolPolicy::default()).unwrap();
    room.enrol("B", &[sample(v(&[(1, 1.0)]), 0.9, "b")], &EnrolPolicy::default()).unwrap();
    // cos 0.8 to A, 0.6 to B: both at or above 0.6.
    let twin = [sample(v(&[(0, 0.8), (1, 0.6)]), 0.9, "c")];
    match room.refused("C", &twin, &EnrolPolicy::default()) {
        EnrolRefusal::DuplicatePerson { external_id, score } => {
            assert_eq!((external_id.as_str(), score.value()), ("A", 0.8));
        }
        other => panic!("{other}"),
    }
    let policy = EnrolPolicy { allow_duplicate: DuplicateRule::Allow, ..EnrolPolicy::default() };
    let done = room.enrol("C", &twin, &policy).unwrap();
    let found: Vec<_> = done.look_alikes.iter().map(|l| (l.external_id.as_str(), l.score.value())).collect();
    assert_eq!(found, [("A", 0.8), ("B", 0.6)]);
    // Just below the threshold it is nobody's business.
    let policy = EnrolPolicy { duplicate: Threshold::new(0.81).unwrap(), ..EnrolPolicy::default() };
    let other = [sample(v(&[(0, 0.8), (5, 0.6)]), 0.9, "d")];
    assert!(room.enrol("D", &other, &policy).unwrap().look_alikes.is_empty());
}

#[test]
fn a_known_id_is_refused_grows_or_is_replaced() {
    let mut room = Room::new();
    let first = [sample(v(&[(0, 1.0)]), 0.9, "a")];
    let id = room.enrol("A", &first, &EnrolPolicy::default()).unwrap().subject.id;
    room.gallery.set_standing(id, Standing::Suspended).unwrap();
    let more = [sample(v(&[(0, 1.0), (1, 0.5)]), 0.9, "b")];
    let refusal = room.refused("A", &more, &EnrolPolicy::default());
    assert!(
        matches!(&refusal, EnrolRefusal::AlreadyEnrolled { external_id } if external_id == "A"),
        "{refusal}"
    );

    let add = EnrolPolicy { existing: Existing::AddSamples, ..EnrolPolicy::default() };
    let new = NewSubject::new("A", "Other Name");
    let done = room.gallery.enrol(&new, &room.model, &more, &add).unwrap();
    assert_eq!((done.subject.id, done.subject.name.as_str()), (id, "Somebody"), "the data stay");
    assert_eq!(room.gallery.templates(id).unwrap().len(), 2);
    // Old templates vouch: a stranger's face is not added to A, the same picture neither.
    let stranger = [sample(v(&[(8, 1.0)]), 0.9, "c")];
    let refusal = room.refused("A", &stranger, &add);
    assert!(refusal.to_string().contains("similarity 0.0000 to the others"), "{refusal}");
    assert!(room.refused("A", &more, &add).to_string().contains("the same picture"));

    let replace = EnrolPolicy { existing: Existing::Replace, ..EnrolPolicy::default() };
    let done = room.gallery.enrol(&new, &room.model, &stranger, &replace).unwrap();
    assert_eq!((done.subject.id, done.subject.name.as_str()), (id, "Other Name"));
    assert_eq!(done.subject.standing, Standing::Suspended, "a new photograph lifts no suspension");
    assert_eq!(room.gallery.subject(id).unwrap().unwrap(), done.subject);
    let left = room.gallery.templates(id).unwrap();
    assert_eq!(left.iter().map(|t| t.source.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(
        room.gallery.identify(&room.model, &v(&[(8, 1.0)]), 1).unwrap().best().unwrap().score,
        Score::MAX
    );
    assert_eq!(room.gallery.verify(&room.model, id, &v(&[(0, 1.0)])).unwrap().unwrap().value(), 0.0);
    // Replaced by embeddings of another length: only the person's own templates stood against it.
    let long = [sample(vec![1.0; 40], 0.9, "d")];
    room.gallery.enrol(&new, &room.model, &long, &replace).unwrap();
    assert_eq!(room.gallery.verify(&room.model, id, &[1.0; 40]).unwrap(), Some(Score::MAX));
}

#[test]
fn no_more_templates_than_allowed() {
    let mut room = Room::new();
    let policy = EnrolPolicy { max_templates: 2, existing: Existing::AddSamples, ..EnrolPolicy::default() };
    let three = [
        sample(v(&[(0, 1.0)]), 0.9, "a"),
        sample(v(&[(0, 1.0), (1, 0.1)]), 0.8, "b"),
        sample(v(&[(0, 1.0), (2, 0.9)]), 0.7, "c"),
    ];
    let done = room.enrol("A", &three, &policy).unwrap();
    assert_eq!(
        done.kept.iter().map(|k| k.index).collect::<Vec<_>>(),
        [0, 2],
        "the best, and the farthest from it"
    );
    assert_eq!(done.dropped[0].fault, SampleFault::Surplus { max: 2 });
    let more = [sample(v(&[(0, 1.0), (3, 0.4)]), 0.9, "d")];
    let refusal = room.refused("A", &more, &policy);
    assert!(matches!(refusal, EnrolRefusal::NoRoom { max: 2, .. }), "{refusal}");
}

#[test]
fn samples_of_another_model_or_out_of_range_are_no_samples() {
    let mut room = Room::new();
    room.enrol("A", &[sample(v(&[(0, 1.0)]), 0.9, "a")], &EnrolPolicy::default()).unwrap();
    let good = sample(v(&[(1, 1.0)]), 0.9, "b");
    for bad in [
        vec![sample(vec![1.0; 17], 0.9, "long")],
        vec![sample(vec![1.0; 4], 0.9, "short")],
        vec![good.clone(), sample(vec![1.0; 17], 0.9, "mixed")],
        vec![good.clone(), Sample { quality: 1.5, ..good.clone() }],
        vec![Sample { source: "a\nb".into(), ..good.clone() }],
        vec![good.clone(); MAX_SAMPLES + 1],
    ] {
        let error = room.enrol("B", &bad, &EnrolPolicy::default()).unwrap_err();
        assert!(matches!(error, GalleryError::Invalid { .. }), "{error}");
    }
    let nameless =
        room.gallery.enrol(&NewSubject::new("B", ""), &room.model, &[good], &EnrolPolicy::default());
    assert!(matches!(nameless, Err(GalleryError::Invalid { field: "name", .. })));
    assert_eq!(room.gallery.subjects().unwrap().len(), 1);
}

#[test]
fn debug_shows_no_numbers() {
    assert_eq!(format!("{:?}", sample(vec![0.123; 16], 0.5, "anna.jpg")), "Sample(16 values, quality 0.5)");
}
