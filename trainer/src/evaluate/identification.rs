//! One against many with distractors (the MegaFace shape): does a probe find its mate among N strangers, and is a
//! stranger left unnamed?
//!
//! A mated search looks through one mate and the first N distractors, a non-mated search through the N alone. The
//! distractor sets are nested, so that a larger one is never easier. A distractor that ties with the mate counts as
//! ahead of it.

use limen_gallery_db::score::cosine;

use crate::evaluate::bootstrap::{Interval, Plan};
use crate::evaluate::rates::{self, NONE};

/// A probe whose person is enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Mated {
    /// Number of the person, from 0.
    pub subject: u32,
    /// Score with the mate; [`NONE`] where the probe or the mate gave no face.
    pub score: f32,
    /// For each gallery size how many distractors score as high as the mate or higher.
    pub ahead: Vec<u32>,
}

/// Searches for `mate` with `probe` among the first `sizes[k]` of `distractors`, for all k; `sizes` ascend.
pub fn mated(
    subject: u32,
    probe: Option<&[f32]>,
    mate: Option<&[f32]>,
    distractors: &[Vec<f32>],
    sizes: &[usize],
) -> Mated {
    let Some((probe, mate)) = probe.zip(mate) else {
        // Without a face nobody is found, among however few.
        return Mated { subject, score: NONE, ahead: vec![u32::MAX; sizes.len()] };
    };
    let score = cosine(probe, mate).value();
    let mut ahead = Vec::with_capacity(sizes.len());
    let (mut so_far, mut done) = (0, 0);
    for &size in sizes {
        let part = &distractors[done.min(distractors.len())..size.min(distractors.len())];
        so_far += part.iter().filter(|d| cosine(probe, d).value() >= score).count() as u32;
        ahead.push(so_far);
        done = size;
    }
    Mated { subject, score, ahead }
}

/// The highest score of a stranger's `probe` among the first `sizes[k]` of `distractors`, for all k; [`NONE`] without a
/// face. `sizes` ascend.
pub fn non_mated(probe: Option<&[f32]>, distractors: &[Vec<f32>], sizes: &[usize]) -> Vec<f32> {
    let Some(probe) = probe else { return vec![NONE; sizes.len()] };
    let (mut best, mut done) = (NONE, 0);
    sizes
        .iter()
        .map(|&size| {
            let part = &distractors[done.min(distractors.len())..size.min(distractors.len())];
            best = part.iter().map(|d| cosine(probe, d).value()).fold(best, f32::max);
            done = size;
            best
        })
        .collect()
}

/// Share of mated searches with the mate among the first `rank`, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// 1 is the first.
    pub rank: u32,
    /// 0 to 1.
    pub rate: f64,
    /// By resampling subjects.
    pub interval: Option<Interval>,
}

/// The open-set figure at one false positive identification rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenSet {
    /// The rate asked for, 0 to 1.
    pub fpir: f64,
    /// The least threshold that keeps to it.
    pub threshold: f32,
    /// Non-mated searches that named somebody.
    pub false_positives: u64,
    /// Share of mated searches whose mate is below the threshold or not first, 0 to 1.
    pub fnir: f64,
    /// Of `fnir`, by resampling subjects.
    pub interval: Option<Interval>,
}

/// All figures at one number of distractors.
#[derive(Debug, Clone, PartialEq)]
pub struct AtSize {
    /// How many.
    pub distractors: usize,
    /// One for each rank asked for.
    pub ranks: Vec<Rank>,
    /// One for each rate asked for that the non-mated searches can carry (rule of three).
    pub open_set: Vec<OpenSet>,
}

/// What is asked of the searches.
#[derive(Debug, Clone, Copy)]
pub struct Questions<'a> {
    /// Numbers of distractors, ascending.
    pub sizes: &'a [usize],
    /// Ranks, from 1.
    pub ranks: &'a [u32],
    /// False positive identification rates.
    pub fpirs: &'a [f64],
    /// For the intervals.
    pub plan: Plan,
}

/// Counts the searches; `strangers` as from [`non_mated`]. Empty without a mated search.
pub fn figures(searches: &[Mated], strangers: &[Vec<f32>], questions: &Questions<'_>) -> Vec<AtSize> {
    if searches.is_empty() {
        return vec![];
    }
    let subjects = searches.iter().map(|s| s.subject as usize + 1).max().unwrap_or(0);
    let rate = |hit: &dyn Fn(&Mated) -> bool| {
        let cases: Vec<_> = searches.iter().map(|s| (s.subject, hit(s))).collect();
        let hits = cases.iter().filter(|(_, h)| *h).count();
        (hits as f64 / cases.len() as f64, questions.plan.share(subjects, &cases))
    };
    let at = |(k, &distractors): (usize, &usize)| {
        let ranks = questions.ranks.iter().map(|&rank| {
            let (rate, interval) = rate(&|s| s.ahead[k] < rank);
            Rank { rank, rate, interval }
        });
        let mut best: Vec<f32> = strangers.iter().map(|s| s[k]).collect();
        best.sort_by(f32::total_cmp);
        let open_set = questions.fpirs.iter().filter_map(|&fpir| {
            let threshold = rates::threshold(&best, fpir)?;
            let false_positives = rates::at(&[], &best, fpir, threshold).false_matches;
            let (fnir, interval) = rate(&|s| s.ahead[k] > 0 || s.score < threshold);
            Some(OpenSet { fpir, threshold, false_positives, fnir, interval })
        });
        AtSize { distractors, ranks: ranks.collect(), open_set: open_set.collect() }
    };
    questions.sizes.iter().enumerate().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the unit circle, degrees.
    fn v(degrees: f32) -> Vec<f32> {
        vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
    }

    const PLAN: Plan = Plan { replicates: 0, seed: 1 };

    #[test]
    fn ranks_worked_by_hand() {
        // The probe at 0, its mate at 20 degrees; distractors at 90, 10, 30, 20 (a tie), 5.
        let d: Vec<_> = [90.0, 10.0, 30.0, 20.0, 5.0].map(v).to_vec();
        let m = mated(0, Some(&v(0.0)), Some(&v(20.0)), &d, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(m.ahead, [0, 0, 1, 1, 2, 3]);
        assert!((m.score - 20f32.to_radians().cos()).abs() < 1e-6);
        assert_eq!(mated(0, None, Some(&v(20.0)), &d, &[0, 5]).ahead, [u32::MAX; 2]);
        let s = non_mated(Some(&v(0.0)), &d, &[1, 2, 5]);
        for (got, degrees) in s.iter().zip([90f32, 10.0, 5.0]) {
            assert!((got - degrees.to_radians().cos()).abs() < 1e-6, "{s:?}");
        }
        assert_eq!(non_mated(None, &d, &[1, 2]), [NONE; 2]);
    }

    #[test]
    fn figures_worked_by_hand() {
        let search = |subject, score, ahead: [u32; 2]| Mated { subject, score, ahead: ahead.to_vec() };
        let searches = [
            search(0, 0.9, [0, 0]),
            search(0, 0.5, [0, 1]),
            search(1, 0.2, [0, 3]),
            search(1, NONE, [u32::MAX; 2]),
        ];
        // Ten strangers: their best scores 0.0 .. 0.9 in the small gallery, 0.05 more in the large one.
        let strangers: Vec<Vec<f32>> =
            (0..10u8).map(|i| vec![f32::from(i) / 10.0, f32::from(i) / 10.0 + 0.05]).collect();
        let q = Questions { sizes: &[10, 100], ranks: &[1, 3], fpirs: &[0.3, 0.01], plan: PLAN };
        let f = figures(&searches, &strangers, &q);
        let rates: Vec<_> = f.iter().map(|a| (a.distractors, a.ranks[0].rate, a.ranks[1].rate)).collect();
        assert_eq!(rates, [(10, 0.75, 0.75), (100, 0.25, 0.5)]);
        // 30 %: three strangers pass above 0.6; of four searches only 0.9 is above that and first.
        assert_eq!(f[0].open_set.len(), 1, "ten strangers cannot carry 1 %");
        let o = f[0].open_set[0];
        assert!(o.threshold > 0.6 && o.threshold < 0.600_001);
        assert_eq!((o.false_positives, o.fnir), (3, 0.75));
        assert!(figures(&[], &strangers, &q).is_empty());
    }
}
