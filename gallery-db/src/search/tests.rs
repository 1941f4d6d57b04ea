//! The index against plain code: a list of vectors, every one scored.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn person(n: u8) -> SubjectId {
    SubjectId::from_bytes([n; 16])
}

fn template(n: i64) -> TemplateId {
    TemplateId::new(n)
}

/// 16 values, all zero but those given.
fn vector(set: &[(usize, f32)]) -> Vec<f32> {
    let mut v = vec![0.0; 16];
    set.iter().for_each(|(i, x)| v[*i] = *x);
    v
}

#[test]
fn best_template_of_each_subject_best_subject_first() {
    let mut index = Index::new(16).unwrap();
    index.insert(person(1), template(10), &vector(&[(0, 2.0)])).unwrap(); // cos 0.6
    index.insert(person(1), template(11), &vector(&[(1, 5.0)])).unwrap(); // cos 0.8
    index.insert(person(2), template(12), &vector(&[(0, 3.0), (1, 4.0)])).unwrap(); // cos 1
    index.insert(person(3), template(13), &vector(&[(2, 1.0)])).unwrap(); // cos 0
    let probe = vector(&[(0, 0.3), (1, 0.4)]);
    let found = index.identify(&probe, 2).unwrap();
    let flat: Vec<_> = found.as_slice().iter().map(|c| (c.subject, c.template, c.score.value())).collect();
    assert_eq!(flat, [(person(2), template(12), 1.0), (person(1), template(11), 0.8)]);
    assert!((found.margin().unwrap() - 0.2).abs() < 1e-6);

    let one = index.identify(&probe, 1).unwrap();
    assert_eq!(one.as_slice().len(), 1);
    assert_eq!(one.margin(), found.margin(), "the margin is known though one candidate was asked for");
    assert_eq!(index.identify(&probe, 9).unwrap().as_slice().len(), 3);
    assert!(index.identify(&probe, 0).unwrap().best().is_none());

    assert_eq!(index.verify(person(1), &probe).unwrap().unwrap().value(), 0.8);
    assert_eq!(index.verify(person(9), &probe).unwrap(), None);
}

#[test]
fn equal_scores_stand_in_the_order_of_the_ids() {
    let mut index = Index::new(16).unwrap();
    for n in [7, 3, 5] {
        index.insert(person(n), template(n.into()), &vector(&[(4, 1.0)])).unwrap();
        index.insert(person(n), template(i64::from(n) - 2), &vector(&[(4, 9.0)])).unwrap();
    }
    let found = index.identify(&vector(&[(4, 1.0)]), 3).unwrap();
    let order: Vec<_> = found.as_slice().iter().map(|c| (c.subject, c.template)).collect();
    assert_eq!(order, [(person(3), template(1)), (person(5), template(3)), (person(7), template(5))]);
    assert_eq!(found.margin(), Some(0.0));
}

#[test]
fn alone_there_is_no_margin() {
    let mut index = Index::new(16).unwrap();
    assert_eq!(index.identify(&vector(&[(0, 1.0)]), 3).unwrap(), Candidates::default());
    index.insert(person(1), template(1), &vector(&[(0, 1.0)])).unwrap();
    let found = index.identify(&vector(&[(0, 1.0)]), 3).unwrap();
    assert_eq!((found.best().unwrap().subject, found.margin()), (person(1), None));
}

#[test]
fn what_is_no_embedding_is_refused() {
    assert_eq!(Index::new(15).unwrap_err(), VectorError::Length { got: 15 });
    assert_eq!(Index::new(4097).unwrap_err(), VectorError::Length { got: 4097 });
    let mut index = Index::new(16).unwrap();
    let other = VectorError::OtherLength { got: 17, expected: 16 };
    assert_eq!(index.insert(person(1), template(1), &[1.0; 17]).unwrap_err(), other);
    assert_eq!(index.insert(person(1), template(1), &[0.0; 16]).unwrap_err(), VectorError::Zero);
    assert_eq!((index.len(), index.subjects()), (0, 0), "a refused vector leaves nothing behind");
    assert_eq!(index.identify(&[1.0; 17], 1).unwrap_err(), other);
    assert_eq!(index.verify(person(1), &[f32::NAN; 16]).unwrap_err(), VectorError::NotFinite { at: 0 });
}

#[test]
fn debug_shows_sizes_only() {
    let mut index = Index::new(16).unwrap();
    index.insert(person(1), template(1), &[0.25; 16]).unwrap();
    assert_eq!(format!("{index:?}"), "Index(1 templates of 1 subjects, 16 values)");
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u8, Vec<f32>),
    RemoveTemplate(usize),
    RemoveSubject(u8),
    Identify(Vec<f32>, usize),
    Verify(u8, Vec<f32>),
}

fn values() -> impl Strategy<Value = Vec<f32>> {
    // Few distinct values, so that equal scores happen.
    prop::collection::vec(prop::sample::select(vec![-1.0f32, 0.0, 0.5, 1.0]), 20)
        .prop_filter("a direction", |v| v.iter().any(|x| *x != 0.0))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..6, values()).prop_map(|(s, v)| Op::Insert(s, v)),
        1 => (0usize..40).prop_map(Op::RemoveTemplate),
        1 => (0u8..6).prop_map(Op::RemoveSubject),
        3 => (values(), 0usize..5).prop_map(|(v, k)| Op::Identify(v, k)),
        1 => (0u8..6, values()).prop_map(|(s, v)| Op::Verify(s, v)),
    ]
}

/// A number from -1 to 1 that looks random, the next one each time.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// `count` vectors: each a mix of one of `centres` centres (0: none) and of its own, `length` values.
fn crowd(count: usize, centres: usize, length: usize) -> Vec<Vec<f32>> {
    let mut next = numbers(7);
    let mut vector = || (0..length).map(|_| next()).collect::<Vec<f32>>();
    let centres: Vec<_> = (0..centres).map(|_| vector()).collect();
    (0..count)
        .map(|i| {
            let own = vector();
            // Weights 1 to 3: cosines of 0.5 to 0.9 in a cluster.
            let weight = 1.0 + 2.0 * (i % 11) as f32 / 10.0;
            match centres.get(i % centres.len().max(1)) {
                Some(centre) => centre.iter().zip(&own).map(|(c, x)| weight * c + x).collect(),
                None => own,
            }
        })
        .collect()
}

/// Two templates of each subject, far apart in the order of the rows.
fn owner(i: usize, count: usize) -> SubjectId {
    SubjectId::from_bytes(((i % count.div_ceil(2)) as u128).to_be_bytes())
}

#[test]
fn the_scan_of_many_gives_what_scoring_each_gives() {
    for (count, centres, length) in [(20_000, 0, 128), (20_000, 200, 128), (3_000, 30, 500)] {
        let vectors = crowd(count, centres, length);
        let mut index = Index::new(length).unwrap();
        for (i, v) in vectors.iter().enumerate() {
            index.insert(owner(i, count), template(i as i64), v).unwrap();
        }
        // Anybody, somebody known and somebody like a person known.
        let mut next = numbers(99);
        let stranger: Vec<f32> = (0..length).map(|_| next()).collect();
        let known = vectors[count / 3].clone();
        let alike: Vec<f32> = known.iter().map(|x| x + next()).collect();
        let probes = [stranger.as_slice(), &known, &alike];
        let expected = probes.map(|probe| {
            let mut best: BTreeMap<SubjectId, (Score, i64)> = BTreeMap::new();
            for (i, v) in vectors.iter().enumerate() {
                let mut row = v.clone();
                unit(&mut row).unwrap();
                let this = (cosine(probe, &row), i as i64);
                let kept = best.entry(owner(i, count)).or_insert(this);
                *kept = if this.0 > kept.0 { this } else { *kept };
            }
            let mut all: Vec<_> = best.into_iter().map(|(s, (score, t))| (score, s, template(t))).collect();
            all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            all
        });
        for kernel in Kernel::available() {
            index = index.with_kernel(kernel);
            for k in 1..=5 {
                let together = index.identify_all(&probes, k).unwrap();
                for ((found, expected), probe) in together.iter().zip(&expected).zip(probes) {
                    assert_eq!(found, &index.identify(probe, k).unwrap(), "{kernel} {k}");
                    let got: Vec<_> =
                        found.as_slice().iter().map(|c| (c.score, c.subject, c.template)).collect();
                    assert_eq!(got, expected[..k], "{kernel} {count} {centres}");
                    assert_eq!(found.margin(), Some(expected[0].0.value() - expected[1].0.value()));
                }
            }
        }
        let rescored = index.rescored(&stranger, 5).unwrap();
        assert!(
            (5..count / 20).contains(&rescored),
            "{rescored} of {count} rows scored: the codes rule out few"
        );
    }
}

#[test]
fn probes_are_searched_together_or_refused_together() {
    let mut index = Index::new(16).unwrap();
    assert_eq!(index.identify_all(&[], 3).unwrap(), []);
    let a = vector(&[(0, 1.0)]);
    assert_eq!(index.identify_all(&[&a, &a], 3).unwrap(), [Candidates::default(), Candidates::default()]);
    index.insert(person(1), template(1), &a).unwrap();
    assert_eq!(index.identify_all(&[&a, &[0.0; 16]], 3).unwrap_err(), VectorError::Zero);
}

#[test]
fn rows_alike_are_all_scored() {
    // More equal rows than a shortlist has room for; the smallest ids must come out.
    let mut index = Index::new(16).unwrap();
    for n in (0..1000).rev() {
        index.insert(owner(n, 2000), template(n as i64), &vector(&[(3, 1.0)])).unwrap();
    }
    let found = index.identify(&vector(&[(3, 2.0)]), 3).unwrap();
    let order: Vec<_> = found.as_slice().iter().map(|c| (c.subject, c.template)).collect();
    assert_eq!(order, [0, 1, 2].map(|n| (owner(n, 2000), template(n as i64))));
    assert_eq!(index.rescored(&vector(&[(3, 2.0)]), 3).unwrap(), 1000);
    assert_eq!(index.identify(&vector(&[(3, 2.0)]), 5000).unwrap().as_slice().len(), 1000);
}

#[test]
fn rows_closer_than_the_codes_can_tell_come_in_their_order() {
    // Forty rows that differ by less than a step of the codes: their estimates stand in no order at all.
    for seed in 0..50 {
        let mut next = numbers(1000 + seed);
        let base: Vec<f32> = (0..64).map(|_| next()).collect();
        let probe: Vec<f32> = base.iter().map(|x| x + next()).collect();
        let mut index = Index::new(64).unwrap();
        let mut expected = Vec::new();
        for n in 0..40 {
            let mut row: Vec<f32> = base.iter().map(|x| x + 0.01 * next()).collect();
            unit(&mut row).unwrap();
            index.insert(person(n), template(n.into()), &row).unwrap();
            unit(&mut row).unwrap();
            expected.push((cosine(&probe, &row), person(n)));
        }
        expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = index.identify(&probe, 3).unwrap();
        let got: Vec<_> = found.as_slice().iter().map(|c| (c.score, c.subject)).collect();
        assert_eq!(got, expected[..3], "seed {seed}");
    }
}

proptest! {
    #[test]
    fn the_index_equals_a_plain_list(ops in prop::collection::vec(op(), 1..60)) {
        let all = Kernel::available();
        let mut indices: Vec<Index> =
            all.iter().map(|k| Index::new(20).unwrap().with_kernel(*k)).collect();
        let mut plain: BTreeMap<i64, (u8, Vec<f32>)> = BTreeMap::new();
        let mut next = 0;
        for op in ops {
            match op {
                Op::Insert(s, v) => {
                    next += 1;
                    for i in &mut indices {
                        i.insert(person(s), template(next), &v).unwrap();
                    }
                    let mut v = v;
                    unit(&mut v).unwrap();
                    plain.insert(next, (s, v));
                }
                Op::RemoveTemplate(n) => {
                    let there = plain.remove(&(n as i64)).is_some();
                    for i in &mut indices {
                        prop_assert_eq!(i.remove_template(template(n as i64)), there);
                    }
                }
                Op::RemoveSubject(s) => {
                    let before = plain.len();
                    plain.retain(|_, (owner, _)| *owner != s);
                    for i in &mut indices {
                        prop_assert_eq!(i.remove_subject(person(s)), before - plain.len());
                    }
                }
                Op::Identify(probe, k) => {
                    let mut best: BTreeMap<u8, (Score, i64)> = BTreeMap::new();
                    for (id, (s, v)) in &plain {
                        let score = cosine(&probe, v);
                        let kept = best.entry(*s).or_insert((score, *id));
                        if score > kept.0 {
                            *kept = (score, *id);
                        }
                    }
                    let mut expected: Vec<_> = best.into_iter().map(|(s, (score, t))| (score, s, t)).collect();
                    expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
                    let margin = (expected.len() > 1).then(|| expected[0].0.value() - expected[1].0.value());
                    expected.truncate(k);
                    for i in &indices {
                        let found = i.identify(&probe, k).unwrap();
                        prop_assert_eq!(found.margin(), margin);
                        let got: Vec<_> = found.as_slice().iter().map(|c| (c.score, c.subject, c.template)).collect();
                        let expected: Vec<_> =
                            expected.iter().map(|(s, p, t)| (*s, person(*p), template(*t))).collect();
                        prop_assert_eq!(got, expected);
                    }
                }
                Op::Verify(s, probe) => {
                    let expected =
                        plain.values().filter(|(o, _)| *o == s).map(|(_, v)| cosine(&probe, v)).max();
                    for i in &indices {
                        prop_assert_eq!(i.verify(person(s), &probe).unwrap(), expected);
                    }
                }
            }
            for i in &indices {
                prop_assert_eq!(i.len(), plain.len());
            }
        }
    }
}
