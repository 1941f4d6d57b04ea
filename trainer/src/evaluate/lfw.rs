//! LFW view 2 exactly as SphereFace evaluates it (reference section 9): mean of the other nine folds removed,
//! threshold chosen on them, accuracy on the tenth. A pair with a picture that gave no face counts as an error.

use limen_gallery_db::score::cosine;
use limen_models::manifest::Mirror;

use crate::dataset::{Pair, Truth};
use crate::evaluate::extract::Feature;

/// How the face and its mirror image become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fusion {
    /// The face alone.
    Single,
    /// Both raw outputs one after the other: the paper's protocol.
    Concat,
    /// The sum of both, each of unit length.
    Sum,
}

impl Fusion {
    /// Its word on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Concat => "concat",
            Self::Sum => "sum",
        }
    }

    /// One vector of a feature.
    pub fn apply(self, f: &Feature) -> Vec<f32> {
        match self {
            Self::Single => f.plain.clone(),
            Self::Concat => [f.plain.as_slice(), &f.mirrored].concat(),
            Self::Sum => {
                let unit = |v: &[f32]| {
                    let n = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
                    v.iter().map(move |x| x / n).collect::<Vec<_>>()
                };
                unit(&f.plain).iter().zip(unit(&f.mirrored)).map(|(a, b)| a + b).collect()
            }
        }
    }
}

impl From<Mirror> for Fusion {
    fn from(mirror: Mirror) -> Self {
        match mirror {
            Mirror::None => Self::Single,
            Mirror::Sum => Self::Sum,
            Mirror::Concat => Self::Concat,
        }
    }
}

/// Accuracy and threshold of one fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fold {
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
    /// Chosen on the other folds.
    pub threshold: f64,
    /// Pairs without a score, all counted as errors.
    pub missing: usize,
}

/// Runs the protocol; `vector` gives a picture's vector, or `None` where no face was found.
pub fn ten_fold<'a>(
    pairs: &'a [Pair],
    vector: impl Fn(&'a std::path::Path) -> Option<&'a [f32]>,
) -> Vec<Fold> {
    let folds = pairs.iter().map(|p| p.fold + 1).max().unwrap_or(0);
    let vectors: Vec<_> = pairs.iter().map(|p| vector(&p.left).zip(vector(&p.right))).collect();
    (0..folds)
        .map(|fold| {
            let others = || pairs.iter().zip(&vectors).filter(move |(p, _)| p.fold != fold);
            let mean = mean(others().filter_map(|(_, v)| *v).flat_map(|(l, r)| [l, r]));
            let scored = |held_out: bool| {
                pairs
                    .iter()
                    .zip(&vectors)
                    .filter(move |(p, _)| (p.fold == fold) == held_out)
                    .map(|(p, v)| (p.truth, v.and_then(|(l, r)| centred_cosine(l, r, &mean))))
                    .collect::<Vec<_>>()
            };
            let threshold = best_threshold(&scored(false));
            let test = scored(true);
            let right = test.iter().filter(|(t, s)| is_right(*t, *s, threshold)).count();
            Fold {
                accuracy: right as f64 / test.len().max(1) as f64,
                threshold,
                missing: test.iter().filter(|(_, s)| s.is_none()).count(),
            }
        })
        .collect()
}

/// A tie is wrong both ways (`evaluation.m` L124-127), a missing score too.
fn is_right(truth: Truth, score: Option<f64>, threshold: f64) -> bool {
    match (truth, score) {
        (Truth::Same, Some(s)) => s > threshold,
        (Truth::Different, Some(s)) => s < threshold,
        (_, None) => false,
    }
}

/// The mean of all of -1, -0.9999, .. 1 that tie for the most right answers (L115-122).
fn best_threshold(scored: &[(Truth, Option<f64>)]) -> f64 {
    let mut same: Vec<f64> = of(scored, Truth::Same);
    let mut different: Vec<f64> = of(scored, Truth::Different);
    same.sort_by(f64::total_cmp);
    different.sort_by(f64::total_cmp);
    let (mut best, mut sum, mut ties) = (0, 0.0, 0usize);
    for i in 0..=20_000 {
        let t = f64::from(i - 10_000) / 10_000.0;
        let right = same.len() - same.partition_point(|s| *s <= t) + different.partition_point(|s| *s < t);
        if right > best || ties == 0 {
            (best, sum, ties) = (right, t, 1);
        } else if right == best {
            sum += t;
            ties += 1;
        }
    }
    sum / ties.max(1) as f64
}

fn of(scored: &[(Truth, Option<f64>)], truth: Truth) -> Vec<f64> {
    scored.iter().filter(|(t, _)| *t == truth).filter_map(|(_, s)| *s).collect()
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

fn centred_cosine(l: &[f32], r: &[f32], mean: &[f32]) -> Option<f64> {
    let centre = |v: &[f32]| v.iter().zip(mean).map(|(x, m)| x - m).collect::<Vec<f32>>();
    Some(f64::from(cosine(&centre(l), &centre(r)).value()))
}

/// Mean and standard deviation of the folds' accuracies.
pub fn summary(folds: &[Fold]) -> (f64, f64) {
    let n = folds.len().max(1) as f64;
    let mean = folds.iter().map(|f| f.accuracy).sum::<f64>() / n;
    let var = folds.iter().map(|f| (f.accuracy - mean).powi(2)).sum::<f64>() / n;
    (mean, var.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};

    #[test]
    fn ties_are_averaged_and_wrong_both_ways() {
        // Same at 0.5, different at 0.1: every t in (0.1, 0.5) is right twice: 0.1001 .. 0.4999, mean 0.3.
        let s = [(Truth::Same, Some(0.5)), (Truth::Different, Some(0.1))];
        assert!((best_threshold(&s) - 0.3).abs() < 1e-9);
        assert!(!is_right(Truth::Same, Some(0.5), 0.5));
        assert!(!is_right(Truth::Different, Some(0.5), 0.5));
    }

    #[test]
    fn a_toy_set_scores_as_worked_by_hand() {
        // Two folds of one genuine and one impostor pair on the plane, the mean being zero in each fold.
        // Pictures: a (1,0), a' (1,0), b (-1,0), c (0,1), c' (0,1), d (0,-1).
        let v: HashMap<PathBuf, Vec<f32>> = [
            ("a", [1.0, 0.0]),
            ("a2", [1.0, 0.0]),
            ("b", [-1.0, 0.0]),
            ("b2", [-1.0, 0.0]),
            ("c", [0.0, 1.0]),
            ("d", [0.0, -1.0]),
        ]
        .into_iter()
        .map(|(n, x)| (PathBuf::from(n), x.to_vec()))
        .collect();
        let pair = |l: &str, r: &str, truth, fold| Pair { left: l.into(), right: r.into(), truth, fold };
        let pairs = [
            pair("a", "a2", Truth::Same, 0),
            pair("b", "a", Truth::Different, 0),
            pair("b", "b2", Truth::Same, 1),
            pair("c", "d", Truth::Different, 1),
        ];
        let folds = ten_fold(&pairs, |p: &Path| v.get(p).map(Vec::as_slice));
        assert_eq!(folds.len(), 2);
        assert!(folds.iter().all(|f| f.accuracy == 1.0 && f.missing == 0), "{folds:?}");
        // Without a picture of the second fold's genuine pair that pair is an error: 1/2 there.
        let folds = ten_fold(&pairs, |p: &Path| v.get(p).filter(|_| p != Path::new("b2")).map(Vec::as_slice));
        assert_eq!((folds[1].accuracy, folds[1].missing), (0.5, 1));
        assert_eq!(summary(&folds).0, 0.75);
    }

    #[test]
    fn a_toy_set_with_ties_at_the_threshold() {
        // Fold 0 leaves one threshold of the 20,001 without an error: 0.5, between 0.49995 and 0.50005. Each of its
        // pairs comes with its opposite, so that its mean is zero. In fold 1 a genuine and an impostor pair score 0.5
        // exactly, 1 / (1 * 2): both are wrong; one pair of each kind beside them is right.
        let at = |cosine: f32| vec![cosine, (1.0 - cosine * cosine).sqrt(), 0.0, 0.0];
        let minus = |v: &[f32]| v.iter().map(|x| -x).collect::<Vec<f32>>();
        let (u, near, far) = (vec![1.0, 0.0, 0.0, 0.0], at(0.500_05), at(0.499_95));
        let v: HashMap<PathBuf, Vec<f32>> = [
            ("-u", minus(&u)),
            ("near", near.clone()),
            ("-near", minus(&near)),
            ("far", far.clone()),
            ("-far", minus(&far)),
            ("half", vec![1.0; 4]),
            ("side", vec![0.0, 1.0, 0.0, 0.0]),
            ("u", u),
        ]
        .into_iter()
        .map(|(n, x)| (PathBuf::from(n), x))
        .collect();
        let pair = |l: &str, r: &str, truth, fold| Pair { left: l.into(), right: r.into(), truth, fold };
        let pairs = [
            pair("u", "near", Truth::Same, 0),
            pair("-u", "-near", Truth::Same, 0),
            pair("u", "far", Truth::Different, 0),
            pair("-u", "-far", Truth::Different, 0),
            pair("u", "half", Truth::Same, 1),
            pair("u", "half", Truth::Different, 1),
            pair("u", "u", Truth::Same, 1),
            pair("u", "side", Truth::Different, 1),
        ];
        let folds = ten_fold(&pairs, |p: &Path| v.get(p).map(Vec::as_slice));
        assert_eq!((folds[1].threshold, folds[1].accuracy), (0.5, 0.5));
    }

    #[test]
    fn fusions() {
        let f = Feature { plain: vec![3.0, 4.0], mirrored: vec![0.0, 2.0] };
        assert_eq!(Fusion::Concat.apply(&f), vec![3.0, 4.0, 0.0, 2.0]);
        assert_eq!(Fusion::Sum.apply(&f), vec![0.6, 1.8]);
    }
}
