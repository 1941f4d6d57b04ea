//! The angular Fisher score (reference section 10): how wide people spread around their own middle, against how far
//! their middles lie from the middle of all. Lower is better.

use std::collections::BTreeMap;

use limen_gallery_db::score::cosine;

/// The score and its two parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AngularFisher {
    /// Sum over all samples of 1 - cosine to the mean of their class.
    pub within: f64,
    /// Sum over all classes of the number of samples times 1 - cosine of their mean to the mean of all.
    pub between: f64,
    /// within / between.
    pub score: f64,
    /// People.
    pub classes: usize,
    /// Faces.
    pub samples: usize,
}

/// Over `samples` (class, vector as the network gives it: the means are of vectors that are not normalised). Classes of
/// fewer than `least` samples are left out: one sample alone is its own mean and spreads by nothing.
///
/// `None` where the classes' means all point the same way, or there is nothing to measure.
pub fn angular_fisher(samples: &[(u32, Vec<f32>)], least: usize) -> Option<AngularFisher> {
    let mut classes = BTreeMap::<u32, Vec<&[f32]>>::new();
    for (class, vector) in samples {
        classes.entry(*class).or_default().push(vector);
    }
    classes.retain(|_, v| v.len() >= least);
    let all = mean(classes.values().flatten().copied());
    let (mut within, mut between, mut count) = (0.0, 0.0, 0);
    for vectors in classes.values() {
        let middle = mean(vectors.iter().copied());
        within += vectors.iter().map(|v| away(v, &middle)).sum::<f64>();
        between += vectors.len() as f64 * away(&middle, &all);
        count += vectors.len();
    }
    // Cosines are f32: a difference below their rounding is none.
    (between > 1e-7 * count as f64 && count > 0).then_some(AngularFisher {
        within,
        between,
        score: within / between,
        classes: classes.len(),
        samples: count,
    })
}

fn away(a: &[f32], b: &[f32]) -> f64 {
    1.0 - f64::from(cosine(a, b).value())
}

fn mean<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f64> = Vec::new();
    let mut n = 0usize;
    for v in vectors {
        sum.resize(v.len(), 0.0);
        sum.iter_mut().zip(v).for_each(|(s, x)| *s += f64::from(*x));
        n += 1;
    }
    sum.iter().map(|s| (s / n.max(1) as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_samples_of_two_classes_worked_by_hand() {
        // Class 0: (2, 0) and (0, 2): mean (1, 1), both at 45 degrees to it. Class 1: (-3, 0) twice: mean (-3, 0).
        // Mean of all (-1, 0.5). within = 2 (1 - cos 45). Class 0 to all: cos = (-1 + 0.5) / (sqrt 2 * sqrt 1.25);
        // class 1 to all: cos = 3 / (3 * sqrt 1.25).
        let s = [(0, vec![2.0, 0.0]), (0, vec![0.0, 2.0]), (1, vec![-3.0, 0.0]), (1, vec![-3.0, 0.0])];
        let a = angular_fisher(&s, 1).unwrap();
        let within = 2.0 * (1.0 - 0.5f64.sqrt());
        let between = 2.0 * (1.0 + 0.5 / 2.5f64.sqrt()) + 2.0 * (1.0 - 1.0 / 1.25f64.sqrt());
        assert!((a.within - within).abs() < 1e-6 && (a.between - between).abs() < 1e-6, "{a:?}");
        assert!((a.score - within / between).abs() < 1e-6);
        assert_eq!((a.classes, a.samples), (2, 4));
    }

    #[test]
    fn raw_means_weigh_long_vectors_more() {
        // (9, 0) and (0, 1): the raw mean lies near the long one; of unit vectors it would lie in the middle.
        let s = [(0, vec![9.0, 0.0]), (0, vec![0.0, 1.0]), (1, vec![-1.0, 0.0])];
        let a = angular_fisher(&s, 1).unwrap();
        let c = 82f64.sqrt();
        assert!((a.within - (2.0 - 9.0 / c - 1.0 / c)).abs() < 1e-6, "{a:?}");
    }

    #[test]
    fn nothing_between_is_no_score() {
        assert_eq!(angular_fisher(&[], 1), None);
        assert_eq!(angular_fisher(&[(0, vec![1.0, 0.0]), (1, vec![2.0, 0.0])], 1), None);
        let s = [(0, vec![1.0, 0.0]), (0, vec![1.0, 0.1]), (1, vec![0.0, 1.0])];
        assert!(angular_fisher(&s, 1).is_some());
        assert_eq!(angular_fisher(&s, 2), None, "one class alone has nothing between");
    }
}
