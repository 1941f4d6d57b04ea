//! Histograms of what flows through a network, and the range to keep by each of three methods.

use std::fmt;

/// Cells on each side of zero. A histogram's reach is less than twice the largest value, so that at least half of
/// these cells lie within it: 32 to each of the 127 steps of int8.
const SIDE: usize = 8192;
/// Smallest reach: below it a value is nothing but zeros.
const LEAST: f32 = 1e-12;
/// Values that int8 tells apart, -128 to 127.
const LEVELS: usize = 256;

/// How the range of a value is chosen from the pictures it was seen on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Everything that was seen.
    MinMax,
    /// All but the outermost: percent that stays inside, half of the rest cut off at each end.
    Percentile(f64),
    /// The range whose int8 values tell most about the values seen: least Kullback-Leibler divergence (Migacz,
    /// "8-bit inference with TensorRT", GTC 2017).
    Kl,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => write!(f, "min-max"),
            Self::Percentile(p) => write!(f, "percentile {p}"),
            Self::Kl => write!(f, "KL"),
        }
    }
}

/// Least and greatest value to be kept; zero lies inside, since padding and a silent neuron are zero exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// At most 0.
    pub min: f32,
    /// At least 0.
    pub max: f32,
}

impl Range {
    /// From `min` to `max`, widened to zero.
    pub fn new(min: f32, max: f32) -> Self {
        Self { min: min.min(0.0), max: max.max(0.0) }
    }
}

/// How often which values were seen. It grows with the values: no first pass for their range is needed.
#[derive(Debug, Clone)]
pub struct Histogram {
    min: f32,
    max: f32,
    /// The cells go from -reach to reach; a power of two times [`LEAST`].
    reach: f32,
    /// 2 * SIDE counts, the most negative first.
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { min: 0.0, max: 0.0, reach: LEAST, counts: vec![0; 2 * SIDE], total: 0 }
    }
}

impl Histogram {
    /// Counts `values`; one that is not finite is left out (the engine refuses networks that give such values).
    pub fn add(&mut self, values: impl IntoIterator<Item = f32>) {
        for v in values {
            if !v.is_finite() {
                continue;
            }
            while v.abs() >= self.reach {
                self.double();
            }
            self.min = self.min.min(v);
            self.max = self.max.max(v);
            // In [0, 2 SIDE): |v| < reach.
            let cell = ((v / self.reach + 1.0) * SIDE as f32) as usize;
            self.counts[cell.min(2 * SIDE - 1)] += 1;
            self.total += 1;
        }
    }

    /// Values seen.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Twice the reach: each two neighbouring cells become one, nearer to zero.
    fn double(&mut self) {
        let mut counts = vec![0; 2 * SIDE];
        for (i, n) in self.counts.iter().enumerate() {
            counts[SIDE / 2 + i / 2] += n;
        }
        self.counts = counts;
        self.reach *= 2.0;
    }

    /// Lower edge of cell `i`; the upper edge of the last is that of cell 2 * SIDE.
    fn edge(&self, i: usize) -> f32 {
        (i as f32 / SIDE as f32 - 1.0) * self.reach
    }

    /// The range that `method` keeps; nothing at all when nothing but zeros was seen.
    pub fn range(&self, method: Method) -> Range {
        match method {
            Method::MinMax => Range::new(self.min, self.max),
            Method::Percentile(percent) => self.percentile(percent),
            Method::Kl => self.kl(),
        }
    }

    fn percentile(&self, percent: f64) -> Range {
        let cut = (self.total as f64 * (100.0 - percent).max(0.0) / 200.0) as u64;
        let low = self.beyond(cut, 0..2 * SIDE).map_or(self.min, |i| self.edge(i));
        let high = self.beyond(cut, (0..2 * SIDE).rev()).map_or(self.max, |i| self.edge(i + 1));
        // An edge may lie outside what was seen.
        Range::new(low.max(self.min), high.min(self.max))
    }

    /// The first of `cells` by which more than `cut` values have been passed.
    fn beyond(&self, cut: u64, mut cells: impl Iterator<Item = usize>) -> Option<usize> {
        let mut passed = 0;
        cells.find(|&i| {
            passed += self.counts[i];
            passed > cut
        })
    }

    /// Tries cuts at 64/64 to 1/64 of the largest magnitude; the shorter side is kept whole as long as it is shorter.
    fn kl(&self) -> Range {
        const TRIES: usize = 64;
        let largest = self.max.max(-self.min);
        let candidates = (1..=TRIES).rev().map(|i| {
            let cut = largest * i as f32 / TRIES as f32;
            Range::new(self.min.max(-cut), self.max.min(cut))
        });
        let best = candidates.map(|range| (self.divergence(range), range)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(Range::new(self.min, self.max), |(_, range)| range)
    }

    /// Kullback-Leibler divergence of the values clipped to `range` from the same written with [`LEVELS`] levels.
    fn divergence(&self, range: Range) -> f64 {
        let cell = |v: f32| (((v / self.reach + 1.0) * SIDE as f32) as usize).min(2 * SIDE - 1);
        let (low, high) = (cell(range.min), cell(range.max));
        let inside = &self.counts[low..=high];
        let mut clipped: Vec<f64> = inside.iter().map(|&n| n as f64).collect();
        if clipped.len() < LEVELS {
            return f64::INFINITY; // Coarser than int8: this histogram can say nothing of it.
        }
        let last = clipped.len() - 1;
        clipped[0] += self.counts[..low].iter().sum::<u64>() as f64;
        clipped[last] += self.counts[high + 1..].iter().sum::<u64>() as f64;
        // Each level spreads what it holds over those of its cells that hold anything.
        let mut spread = vec![0.0; clipped.len()];
        for level in 0..LEVELS {
            let cells = level * inside.len() / LEVELS..(level + 1) * inside.len() / LEVELS;
            let held: u64 = inside[cells.clone()].iter().sum();
            let filled = inside[cells.clone()].iter().filter(|&&n| n > 0).count();
            for i in cells.filter(|&i| inside[i] > 0) {
                spread[i] = held as f64 / filled as f64;
            }
        }
        let (all, left) = (clipped.iter().sum::<f64>(), spread.iter().sum::<f64>());
        if left == 0.0 {
            return f64::INFINITY;
        }
        // A cell that only clipped values fill has no share on the other side: a millionth stands for none.
        let term =
            |p: f64, q: f64| if p > 0.0 { p / all * (p / all / (q / left).max(1e-6)).ln() } else { 0.0 };
        clipped.iter().zip(&spread).map(|(&p, &q)| term(p, q)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn min_max_keeps_everything_and_zero() {
        let mut h = Histogram::default();
        h.add([0.5, 3.0, 2.0]);
        assert_eq!(h.range(Method::MinMax), Range { min: 0.0, max: 3.0 });
        h.add([-1.5]);
        assert_eq!(h.range(Method::MinMax), Range { min: -1.5, max: 3.0 });
        assert_eq!(Histogram::default().range(Method::Kl), Range { min: 0.0, max: 0.0 });
        assert_eq!(Histogram::default().range(Method::Percentile(99.0)), Range { min: 0.0, max: 0.0 });
    }

    #[test]
    fn a_percentile_cuts_half_of_the_rest_at_each_end() {
        let mut h = Histogram::default();
        h.add((0..=1000).map(|i| i as f32 / 500.0 - 1.0)); // -1 .. 1 in steps of 0.002
        h.add([50.0]); // 1 of 1,002
        // 1 % of 1,002 is 10: 5 go at each end, the 50 among them.
        let r = h.range(Method::Percentile(99.0));
        let width = 64.0 / SIDE as f32; // reach is below 128
        assert!((r.min + 0.99).abs() <= 0.002 + width, "{r:?}");
        assert!((r.max - 0.992).abs() <= 0.002 + width, "{r:?}");
        assert_eq!(h.range(Method::Percentile(100.0)), Range { min: -1.0, max: 50.0 });
    }

    #[test]
    fn kl_cuts_a_thin_tail_and_keeps_an_even_spread() {
        // 100,000 values of a bell of width 1 (by its quantiles), and two strays at 40.
        let bell = |n: usize| {
            (0..n).map(move |i| {
                let u = (i as f64 + 0.5) / n as f64;
                (((u / (1.0 - u)).ln()) * 0.5513) as f32 // the logistic of deviation 1
            })
        };
        let mut h = Histogram::default();
        h.add(bell(100_000));
        h.add([40.0, 40.0]);
        let r = h.range(Method::Kl);
        assert!(r.max < 20.0 && r.max > 2.0, "{r:?}");
        let mut even = Histogram::default();
        even.add((0..100_000).map(|i| i as f32 / 50_000.0 - 1.0));
        let r = even.range(Method::Kl);
        assert!(r.max > 0.95 && r.min < -0.95, "{r:?}");
    }

    proptest! {
        #[test]
        fn every_method_stays_within_what_was_seen(
            values in prop::collection::vec(-1e3f32..1e3, 1..300),
            percent in 50.0f64..100.0,
        ) {
            let mut h = Histogram::default();
            h.add(values.iter().copied());
            let low = values.iter().copied().fold(0.0, f32::min);
            let high = values.iter().copied().fold(0.0, f32::max);
            prop_assert_eq!(h.total(), values.len() as u64);
            for method in [Method::MinMax, Method::Percentile(percent), Method::Kl] {
                let r = h.range(method);
                prop_assert!(r.min >= low && r.max <= high && r.min <= 0.0 && r.max >= 0.0, "{method}: {r:?}");
            }
        }

        #[test]
        fn growing_loses_no_value(small in prop::collection::vec(-1.0f32..1.0, 1..50), large in 1e3f32..1e6) {
            let mut h = Histogram::default();
            h.add(small.iter().copied());
            h.add([large]);
            prop_assert_eq!(h.counts.iter().sum::<u64>(), small.len() as u64 + 1);
            prop_assert!(h.reach > large && h.reach <= 2.0 * large);
        }
    }
}
