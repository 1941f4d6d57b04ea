//! A door's searches one after the other: they ask for no memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_gallery_db::{
    Candidates, DuplicateRule, EnrolPolicy, Gallery, Index, ModelId, NewSubject, Sample, SubjectId,
    TemplateId, Workspace,
};

/// Values of a template.
const LENGTH: usize = 128;
/// Candidates asked for, as at the door.
const K: usize = 2;

/// `count` vectors that look random, the same each time.
fn crowd(count: usize) -> Vec<Vec<f32>> {
    let mut state = 1u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| (0..LENGTH).map(|_| number()).collect()).collect()
}

/// How often memory was asked for while each of the `probes` was searched for once.
fn asked(probes: &[Vec<f32>], mut search: impl FnMut(&[f32])) -> u64 {
    allocation_counter::measure(|| probes.iter().for_each(|probe| search(probe))).count_total
}

fn index(vectors: &[Vec<f32>]) -> Index {
    let mut index = Index::new(LENGTH).unwrap();
    for (i, v) in vectors.iter().enumerate() {
        // Two templates of each.
        let subject = SubjectId::from_bytes((i as u128 / 2).to_be_bytes());
        index.insert(subject, TemplateId::new(i as i64 + 1), v).unwrap();
    }
    index
}

#[test]
fn a_search_asks_for_no_memory_in_the_steady_state() {
    let vectors = crowd(20_100);
    let (probes, templates) = vectors.split_at(100);
    let index = index(templates);
    let mut workspace = Workspace::default();
    let mut search = |probe: &[f32]| {
        index.identify_in(probe, K, &mut workspace).unwrap();
    };
    let first = asked(&probes[..1], &mut search);
    assert!(first > 0, "the first search prepares everything");
    assert_eq!(asked(probes, &mut search), 0, "searches for others");
}

#[test]
fn a_gallery_in_memory_asks_for_none_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open(&folder.path().join("gallery.db")).unwrap();
    let (model, other) = (ModelId::new("m").unwrap(), ModelId::new("other").unwrap());
    let policy = EnrolPolicy { allow_duplicate: DuplicateRule::Allow, ..EnrolPolicy::default() };
    let vectors = crowd(60);
    for (i, vector) in vectors.iter().enumerate() {
        let sample = Sample { vector: vector.clone(), quality: 0.9, source: String::new() };
        gallery.enrol(&NewSubject::new(i.to_string(), "Somebody"), &model, &[sample], &policy).unwrap();
    }
    let mut workspace = Workspace::default();
    let mut search = |probe: &[f32]| {
        gallery.identify_in(&model, probe, K, &mut workspace).unwrap();
    };
    assert!(asked(&vectors[..1], &mut search) > 0, "the first search prepares everything");
    assert_eq!(asked(&vectors, &mut search), 0, "searches for others");

    // What the last search found is not found again where nobody is.
    assert_eq!(gallery.identify_in(&other, &vectors[0], K, &mut workspace).unwrap(), &Candidates::default());
}

#[test]
fn one_workspace_serves_galleries_of_any_size() {
    let vectors = crowd(3_000);
    let (large, small, none) = (index(&vectors), index(&vectors[..3]), index(&[]));
    let mut workspace = Workspace::default();
    for probe in &vectors[..20] {
        for index in [&small, &large, &none, &small, &none] {
            for k in [0, 1, 2, 4000] {
                let alone = index.identify(probe, k).unwrap();
                assert_eq!(index.identify_in(probe, k, &mut workspace).unwrap(), &alone);
            }
            assert!(index.identify_in(&probe[1..], K, &mut workspace).is_err());
        }
    }
    assert_eq!(format!("{workspace:?}"), "Workspace(1 probes)");
}
