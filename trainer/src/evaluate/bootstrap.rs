//! Percentile intervals by resampling subjects: pictures of one person are not independent, people are.
//!
//! A replicate draws as many subjects as there are, with replacement. A genuine comparison then counts as often as its
//! subject was drawn, an impostor comparison as often as the pair of its subjects: the product of both counts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::evaluate::comparisons::{Comparison, Comparisons};
use crate::evaluate::rates::rule_of_three;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// 2.5 % of the replicates lie below.
    pub low: f64,
    /// 2.5 % of the replicates lie above.
    pub high: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(i: Interval) -> Self {
        [i.low, i.high]
    }
}

impl Interval {
    /// Where all replicates agree that something never or always happens, the bound that so many `people` can carry
    /// (rule of three): resampling cannot draw what was not seen.
    fn honest(self, people: usize) -> Self {
        let bound = rule_of_three(people as u64);
        match (self.low, self.high) {
            (0.0, 0.0) => Self { low: 0.0, high: bound },
            (1.0, 1.0) => Self { low: 1.0 - bound, high: 1.0 },
            _ => self,
        }
    }

    /// The middle 95 % of `values`, between neighbours in proportion; `None` of fewer than 20, whose ends say nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.len() < 20 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (i, part) = (place.floor() as usize, place.fract());
            let next = values[(i + 1).min(values.len() - 1)];
            values[i] + part * (next - values[i])
        };
        Some(Self { low: at(0.025), high: at(0.975) })
    }
}

/// How often and from which seed subjects are drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Draws; none gives no intervals.
    pub replicates: usize,
    /// The same seed gives the same intervals.
    pub seed: u64,
}

impl Plan {
    /// For each replicate, how often each of `subjects` was drawn.
    fn draws(self, subjects: usize) -> impl Iterator<Item = Vec<u32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        (0..if subjects == 0 { 0 } else { self.replicates }).map(move |_| {
            let mut counts = vec![0; subjects];
            for _ in 0..subjects {
                counts[rng.random_range(0..subjects)] += 1;
            }
            counts
        })
    }

    /// The interval of a share: of `cases`, each of a subject below `subjects`, those that are true.
    pub fn share(self, subjects: usize, cases: &[(u32, bool)]) -> Option<Interval> {
        let mut sums = vec![(0u64, 0u64); subjects];
        for (subject, hit) in cases {
            if let Some(sum) = sums.get_mut(*subject as usize) {
                sum.0 += u64::from(*hit);
                sum.1 += 1;
            }
        }
        let shares = self.draws(subjects).filter_map(|counts| {
            let (hits, all) = counts
                .iter()
                .zip(&sums)
                .fold((0, 0), |(h, a), (c, s)| (h + u64::from(*c) * s.0, a + u64::from(*c) * s.1));
            (all > 0).then(|| hits as f64 / all as f64)
        });
        let people = sums.iter().filter(|s| s.1 > 0).count();
        Interval::of(shares.collect()).map(|i| i.honest(people))
    }

    /// For each of `fmrs` the interval of the false non-match rate at it. Each replicate sets its own thresholds, so
    /// the uncertainty of the threshold is in the interval too.
    pub fn fnmr(self, all: &Comparisons, fmrs: &[f64]) -> Vec<Option<Interval>> {
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); fmrs.len()];
        for counts in self.draws(all.subjects()) {
            for (values, rate) in values.iter_mut().zip(replicate(all, &counts, fmrs)) {
                values.extend(rate);
            }
        }
        let mut people: Vec<u32> = all.genuine().iter().map(|c| all.subjects_of(c).0).collect();
        people.sort_unstable();
        people.dedup();
        values.into_iter().map(|v| Interval::of(v).map(|i| i.honest(people.len()))).collect()
    }
}

/// The false non-match rates of one replicate.
fn replicate(all: &Comparisons, counts: &[u32], fmrs: &[f64]) -> Vec<Option<f64>> {
    let times = |c: &Comparison| {
        let (a, b) = all.subjects_of(c);
        let count = |s: u32| u64::from(counts.get(s as usize).copied().unwrap_or(0));
        if a == b { count(a) } else { count(a) * count(b) }
    };
    let impostors: u64 = all.impostor().iter().map(times).sum();
    let genuine: u64 = all.genuine().iter().map(times).sum();
    let cut = cuts(all.impostor(), times, fmrs.iter().map(|f| f * impostors as f64 + 1e-9).collect());
    cut.into_iter()
        .map(|cut| {
            let cut = cut?;
            let missed = all.genuine().partition_point(|c| c.score <= cut);
            let missed: u64 = all.genuine()[..missed].iter().map(times).sum();
            (genuine > 0).then(|| missed as f64 / genuine as f64)
        })
        .collect()
}

/// For each allowed weight the highest score that must stay out: going down from the best impostor, the first whose
/// ties would bring the passing weight above it. `None` where all may pass.
fn cuts(impostors: &[Comparison], times: impl Fn(&Comparison) -> u64, allowed: Vec<f64>) -> Vec<Option<f32>> {
    let mut found = vec![None; allowed.len()];
    let (mut passing, mut end) = (0u64, impostors.len());
    while end > 0 && found.iter().any(Option::is_none) {
        let score = impostors[end - 1].score;
        let mut start = end;
        while start > 0 && impostors[start - 1].score == score {
            start -= 1;
            passing += times(&impostors[start]);
        }
        for (found, allowed) in found.iter_mut().zip(&allowed) {
            if found.is_none() && passing as f64 > *allowed {
                *found = Some(score);
            }
        }
        end = start;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::comparisons::tests::face;
    use crate::evaluate::rates;

    #[test]
    fn percentiles_worked_by_hand() {
        // 0 .. 40: 2.5 % of the way over 40 steps is 1, 97.5 % is 39.
        let i = Interval::of((0..=40).rev().map(f64::from).collect()).unwrap();
        assert!((i.low - 1.0).abs() < 1e-9 && (i.high - 39.0).abs() < 1e-9);
        assert_eq!(Interval::of(vec![1.0; 19]), None);
    }

    #[test]
    fn one_subject_with_all_errors_widens_the_interval_as_its_pictures_do_not() {
        // Ten subjects with ten cases each. Errors spread evenly: every replicate has 10 %. All errors in one subject:
        // it is drawn 0, 1, 2 .. times.
        let even: Vec<_> = (0..10).flat_map(|s| (0..10).map(move |k| (s, k == 0))).collect();
        let lumped: Vec<_> = (0..10).flat_map(|s| (0..10).map(move |_| (s, s == 0))).collect();
        let plan = Plan { replicates: 1000, seed: 1 };
        let e = plan.share(10, &even).unwrap();
        assert!((e.low - 0.1).abs() < 1e-9 && (e.high - 0.1).abs() < 1e-9, "{e:?}");
        let l = plan.share(10, &lumped).unwrap();
        assert_eq!((l.low, l.high), (0.0, 0.3), "binomial of ten draws at 1/10");
        assert_eq!(l, plan.share(10, &lumped).unwrap(), "the seed decides");
        assert_eq!(Plan { replicates: 0, seed: 1 }.share(10, &even), None);
        // Nothing seen of ten people: up to 3 in 10, however many cases each has.
        let none: Vec<_> = even.iter().map(|(s, _)| (*s, false)).collect();
        assert_eq!(plan.share(10, &none), Some(Interval { low: 0.0, high: 0.3 }));
    }

    #[test]
    fn weights_of_one_give_the_plain_rate() {
        let faces: Vec<_> = (0..30u16)
            .map(|i| {
                let a = f32::from(i / 3) + 0.25 * f32::from(i % 3);
                face(u32::from(i / 3), &[a.cos(), a.sin()])
            })
            .collect();
        let c = Comparisons::all_pairs(&faces, 10_000, 1, 1).unwrap();
        let (genuine, impostor) = c.scores();
        let fmrs = [0.3, 0.1, 0.02];
        let plain: Vec<_> =
            fmrs.iter().map(|f| rates::operating(&genuine, &impostor, *f).unwrap().fnmr()).collect();
        assert_eq!(replicate(&c, &[1; 10], &fmrs), plain);
        assert!(plain[2] > plain[0], "{plain:?}");
        let intervals = Plan { replicates: 200, seed: 3 }.fnmr(&c, &fmrs);
        for (i, p) in intervals.iter().zip(&plain) {
            let (i, p) = (i.unwrap(), p.unwrap());
            assert!(i.low <= p && p <= i.high, "{i:?} {p}");
        }
        let last = intervals[2].unwrap();
        assert!(last.low < last.high, "{last:?}");
    }

    #[test]
    fn a_drawn_subject_counts_as_often_as_it_was_drawn() {
        // Three subjects: A's genuine pair scores 1, B's 0. Drawn (2, 1, 0): A counts twice, B once.
        let faces = [
            face(0, &[1.0, 0.0]),
            face(0, &[1.0, 0.0]),
            face(1, &[1.0, 0.0]),
            face(1, &[0.0, 1.0]),
            face(2, &[0.6, 0.8]),
        ];
        let c = Comparisons::all_pairs(&faces, 100, 1, 1).unwrap();
        // Impostors between A and B, twice each: 1, 1, 0, 0 -> weight 8; with C: none. Half may pass: those at 1 (weight
        // 4), not those at 0, so B's pair at 0 is missed: 1 of 3.
        assert_eq!(replicate(&c, &[2, 1, 0], &[0.5]), [Some(1.0 / 3.0)]);
        // No weight may pass: A's pair at 1 ties with the impostors at 1 and is missed too.
        assert_eq!(replicate(&c, &[2, 1, 0], &[0.4]), [Some(1.0)]);
    }
}
