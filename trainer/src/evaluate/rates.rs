//! Verification figures of scored comparisons: FNMR at a false match rate, equal error rate, DET, histogram.
//!
//! A comparison passes at or above the threshold. Scores that tie pass together: no threshold can part them, so all
//! counts here are of thresholds that exist. A comparison that could not be made (a picture without a face) has the
//! score [`NONE`] and never passes: a genuine one counts as a miss, an impostor one as rightly kept out.

use serde::{Deserialize, Serialize};

/// The score of a comparison that could not be made; it lies below every threshold.
pub const NONE: f32 = f32::NEG_INFINITY;

/// A threshold with what passed and what did not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Operating {
    /// The false match rate asked for, 0 to 1.
    pub fmr: f64,
    /// The least threshold that keeps to it, -1 to 1.
    pub threshold: f32,
    /// Impostor comparisons that pass.
    pub false_matches: u64,
    /// All impostor comparisons.
    pub impostors: u64,
    /// Genuine comparisons that do not pass.
    pub false_non_matches: u64,
    /// All genuine comparisons.
    pub genuine: u64,
}

impl Operating {
    /// False non-match rate, 0 to 1; `None` without genuine comparisons.
    pub fn fnmr(&self) -> Option<f64> {
        share(self.false_non_matches, self.genuine)
    }

    /// The false match rate that was reached, 0 to 1.
    pub fn reached_fmr(&self) -> Option<f64> {
        share(self.false_matches, self.impostors)
    }
}

/// `part` of `all`; `None` of nothing.
pub fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// The upper end of a 95 % interval for a rate of which no case was seen in `trials` (rule of three; reference
/// section 9).
pub fn rule_of_three(trials: u64) -> f64 {
    if trials == 0 { 1.0 } else { (3.0 / trials as f64).min(1.0) }
}

/// The least threshold at which at most `fmr` of the impostors pass. `None` where they cannot carry the rate: with
/// fewer than 3/fmr of them even zero false matches would not bound it.
///
/// `impostors` ascend.
pub fn threshold(impostors: &[f32], fmr: f64) -> Option<f32> {
    let n = impostors.len();
    if (n as f64) < 3.0 / fmr * (1.0 - 1e-9) {
        return None;
    }
    // The best impostor that must stay out; the threshold lies just above it. 1e-9: 0.29 * 100 is 28.999999999999996.
    let allowed = (fmr * n as f64 + 1e-9).floor() as usize;
    let out = *impostors.get(n.checked_sub(allowed + 1)?)?;
    Some(out.max(-1.0).next_up().min(1.0))
}

/// What passes at `threshold`; `fmr` is only noted. Both lists ascend.
pub fn at(genuine: &[f32], impostors: &[f32], fmr: f64, threshold: f32) -> Operating {
    let below = |scores: &[f32]| scores.partition_point(|s| *s < threshold) as u64;
    Operating {
        fmr,
        threshold,
        false_matches: impostors.len() as u64 - below(impostors),
        impostors: impostors.len() as u64,
        false_non_matches: below(genuine),
        genuine: genuine.len() as u64,
    }
}

/// The operating point of a false match rate, as [`threshold`] and [`at`]. Both lists ascend.
pub fn operating(genuine: &[f32], impostors: &[f32], fmr: f64) -> Option<Operating> {
    threshold(impostors, fmr).map(|t| at(genuine, impostors, fmr, t))
}

/// One threshold's two rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetPoint {
    /// Passes at and above it.
    pub threshold: f64,
    /// False match rate, 0 to 1.
    pub fmr: f64,
    /// False non-match rate, 0 to 1.
    pub fnmr: f64,
}

/// The rates at every distinct score and above all of them, by rising threshold; empty where one kind is missing.
fn all_points(genuine: &[f32], impostors: &[f32]) -> Vec<DetPoint> {
    if genuine.is_empty() || impostors.is_empty() {
        return vec![];
    }
    let (n, m) = (genuine.len(), impostors.len());
    let (mut i, mut j) = (genuine.partition_point(|s| *s == NONE), impostors.partition_point(|s| *s == NONE));
    let point = |threshold: f32, i: usize, j: usize| DetPoint {
        threshold: f64::from(threshold),
        fmr: (m - j) as f64 / m as f64,
        fnmr: i as f64 / n as f64,
    };
    let mut points = vec![];
    while i < n || j < m {
        let t = match (genuine.get(i), impostors.get(j)) {
            (Some(a), Some(b)) => a.min(*b),
            (Some(a), None) | (None, Some(a)) => *a,
            (None, None) => break,
        };
        points.push(point(t, i, j));
        i += genuine[i..].partition_point(|s| *s <= t);
        j += impostors[j..].partition_point(|s| *s <= t);
    }
    let last = genuine.last().copied().unwrap_or(NONE).max(impostors.last().copied().unwrap_or(NONE));
    points.push(point(last.max(-1.0).next_up(), n, m));
    points
}

/// The rate at which both errors are alike, 0 to 1: where the line between two neighbouring thresholds' points crosses
/// equality. `None` where one kind is missing. Both lists ascend.
pub fn equal_error_rate(genuine: &[f32], impostors: &[f32]) -> Option<f64> {
    let points = all_points(genuine, impostors);
    let cross = points.iter().position(|p| p.fnmr >= p.fmr)?;
    let after = points[cross];
    let Some(before) = cross.checked_sub(1).map(|i| points[i]) else { return Some(after.fnmr) };
    let (gap_before, gap_after) = (before.fmr - before.fnmr, after.fnmr - after.fmr);
    let part = gap_before / (gap_before + gap_after);
    Some(before.fmr + part * (after.fmr - before.fmr))
}

/// The trade-off by rising threshold, at most about `most` points: those where a rate moved enough on a logarithmic or
/// a linear scale to be seen. Both lists ascend.
pub fn det(genuine: &[f32], impostors: &[f32], most: usize) -> Vec<DetPoint> {
    let points = all_points(genuine, impostors);
    // Log rates fall over about 7 decades, both rates over 1: so coarse a grid keeps to the number wanted.
    let cells = (most / 4).max(1) as f64;
    let cell = |p: &DetPoint| {
        let log = |r: f64| (r.max(1e-9).log10() * cells / 7.0).floor() as i64;
        let flat = |r: f64| (r * cells).floor() as i64;
        [log(p.fmr), log(p.fnmr), flat(p.fmr), flat(p.fnmr)]
    };
    let mut kept: Vec<DetPoint> = vec![];
    for p in points {
        if kept.last().is_none_or(|last| cell(last) != cell(&p)) {
            kept.push(p);
        }
    }
    kept
}

/// Counts of scores in equal bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower end of the first bin.
    pub low: f64,
    /// Upper end of the last bin.
    pub high: f64,
    /// Genuine comparisons in each bin.
    pub genuine: Vec<u64>,
    /// Impostor comparisons in each bin.
    pub impostor: Vec<u64>,
}

impl Histogram {
    /// `bins` equal bins from -1 to 1; comparisons that could not be made stand in none.
    pub fn of(genuine: &[f32], impostors: &[f32], bins: usize) -> Self {
        let count = |scores: &[f32]| {
            let mut counts = vec![0; bins];
            for s in scores.iter().filter(|s| s.is_finite()) {
                let at = ((f64::from(*s) + 1.0) / 2.0 * bins as f64) as usize;
                if let Some(c) = counts.get_mut(at.min(bins.saturating_sub(1))) {
                    *c += 1;
                }
            }
            counts
        };
        Self { low: -1.0, high: 1.0, genuine: count(genuine), impostor: count(impostors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tied_impostors_pass_together_or_not_at_all() {
        // Ten impostors, four of them tied at 0.5. At most 30 % may pass: that would be 0.9, 0.8 and one of the ties,
        // so none of the ties may.
        let impostors = [0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.5, 0.8, 0.9];
        let genuine = [NONE, 0.5, 0.6, 0.9];
        let o = operating(&genuine, &impostors, 0.3).unwrap();
        assert!(o.threshold > 0.5 && o.threshold < 0.500_001);
        assert_eq!((o.false_matches, o.false_non_matches), (2, 2));
        assert_eq!((o.fnmr(), o.reached_fmr()), (Some(0.5), Some(0.2)));
        assert!(operating(&genuine, &impostors, 0.29).is_none(), "ten cannot carry less than 0.3");
    }

    #[test]
    fn equal_error_rates_worked_by_hand() {
        // At 0.6 one of four impostors passes and one of four genuine ones does not.
        let e = equal_error_rate(&[0.4, 0.6, 0.8, 0.9], &[0.1, 0.3, 0.5, 0.7]).unwrap();
        assert!((e - 0.25).abs() < 1e-12);
        // All at the tie 0.5: FMR 1/2, FNMR 0 at 0.5; FMR 0, FNMR 1 above. The line between them meets equality at 1/3.
        let e = equal_error_rate(&[0.5, 0.5], &[0.1, 0.5]).unwrap();
        assert!((e - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(equal_error_rate(&[0.9], &[0.1]), Some(0.0));
        assert_eq!(equal_error_rate(&[0.1], &[0.9]), Some(1.0));
        assert_eq!(equal_error_rate(&[], &[0.9]), None);
        // Nothing could be compared: every genuine one is a miss at every threshold.
        assert_eq!(equal_error_rate(&[NONE, NONE], &[NONE]), Some(1.0));
    }

    #[test]
    fn the_trade_off_has_every_threshold_of_a_small_set() {
        let d = det(&[0.2, 0.8], &[0.1, 0.2], 400);
        let rates: Vec<_> = d.iter().map(|p| (p.fmr, p.fnmr)).collect();
        assert_eq!(rates, [(1.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.0, 1.0)]);
        assert!((d[1].threshold - 0.2).abs() < 1e-6);
    }

    #[test]
    fn zero_errors_are_bounded_by_the_rule_of_three() {
        assert_eq!(rule_of_three(300), 0.01);
        assert_eq!((rule_of_three(0), rule_of_three(2)), (1.0, 1.0));
    }

    #[test]
    fn bins_hold_their_lower_end() {
        let h = Histogram::of(&[-1.0, 0.0, 1.0, NONE], &[0.49, 0.5], 4);
        assert_eq!((h.genuine, h.impostor), (vec![1, 0, 1, 1], vec![0, 0, 1, 1]));
    }

    proptest! {
        #[test]
        fn the_threshold_keeps_to_the_rate_and_the_next_lower_does_not(
            mut impostors in prop::collection::vec(-9i8..9, 10..200), fmr in 0.3f64..0.9,
        ) {
            impostors.sort_unstable();
            let impostors: Vec<f32> = impostors.into_iter().map(|i| f32::from(i) / 10.0).collect();
            let t = threshold(&impostors, fmr).unwrap();
            let passing = |t: f32| impostors.iter().filter(|s| **s >= t).count() as f64 / impostors.len() as f64;
            prop_assert!(passing(t) <= fmr + 1e-9);
            // Just below it stands an impostor that would break the rate.
            prop_assert!(passing(t.next_down()) > fmr - 1e-9);
        }

        #[test]
        fn a_trade_off_only_falls_and_rises(
            mut g in prop::collection::vec(-1f32..1.0, 1..300), mut i in prop::collection::vec(-1f32..1.0, 1..300),
        ) {
            g.sort_by(f32::total_cmp);
            i.sort_by(f32::total_cmp);
            let d = det(&g, &i, 100);
            prop_assert!(d.windows(2).all(|w| w[0].fmr >= w[1].fmr && w[0].fnmr <= w[1].fnmr && w[0].threshold < w[1].threshold));
            prop_assert!(d.len() <= 500);
        }
    }
}
