//! Score thresholds from impostor pairs: the least threshold at which no more than the wished share of impostors passes.

use limen_gallery_db::score::cosine;

use crate::evaluate::rates;

/// A threshold and the evidence for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Wished false match rate.
    pub fmr: f64,
    /// Cosine at and above which a comparison passes.
    pub threshold: f32,
    /// Share of genuine comparisons below it, `None` without genuine pairs.
    pub fnmr: Option<f64>,
}

/// Genuine and impostor scores of a labelled set.
#[derive(Debug, Default)]
pub struct Scores {
    /// Same person, ascending.
    pub genuine: Vec<f32>,
    /// Different people, ascending.
    pub impostor: Vec<f32>,
}

impl Scores {
    /// Compares every vector with every later one; `label` tells people apart.
    pub fn all_pairs(vectors: &[(usize, Vec<f32>)]) -> Self {
        let mut scores = Self::default();
        for (i, (a, va)) in vectors.iter().enumerate() {
            for (b, vb) in &vectors[i + 1..] {
                let s = cosine(va, vb).value();
                if a == b { scores.genuine.push(s) } else { scores.impostor.push(s) }
            }
        }
        scores.genuine.sort_by(f32::total_cmp);
        scores.impostor.sort_by(f32::total_cmp);
        scores
    }

    /// The threshold for `fmr`; `None` where the pairs cannot carry it: with fewer than 3/fmr impostor pairs even
    /// zero errors would not bound the rate (rule of three, 95 %).
    pub fn point(&self, fmr: f64) -> Option<Point> {
        let threshold = rates::threshold(&self.impostor, fmr)?;
        let fnmr = rates::at(&self.genuine, &self.impostor, fmr, threshold).fnmr();
        Some(Point { fmr, threshold, fnmr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_allowed_share_passes() {
        let impostor: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let s = Scores { genuine: vec![0.5, 0.98, 0.995, 0.999], impostor };
        let p = s.point(0.01).unwrap();
        // 10 of 1000 may pass: 0.990 .. 0.999; 0.989 must not.
        assert!(p.threshold > 0.989 && p.threshold < 0.990);
        assert_eq!(s.impostor.iter().filter(|v| **v >= p.threshold).count(), 10);
        assert_eq!(p.fnmr, Some(0.5));
        assert!(s.point(1e-3).is_none(), "1000 pairs cannot carry 1e-3");
    }

    #[test]
    fn pairs_are_told_apart_by_label() {
        let v = vec![(0, vec![1.0, 0.0]), (0, vec![1.0, 0.0]), (1, vec![0.0, 1.0])];
        let s = Scores::all_pairs(&v);
        assert_eq!((s.genuine.len(), s.impostor.len()), (1, 2));
        assert!((s.genuine[0] - 1.0).abs() < 1e-6 && s.impostor[1].abs() < 1e-6);
    }
}
