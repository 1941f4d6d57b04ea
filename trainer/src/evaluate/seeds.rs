//! Several runs of one recipe: mean and spread of each figure, as the paper gives its five runs.

use std::collections::BTreeMap;

use serde::Serialize;

/// What several runs say of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Runs that have it.
    pub runs: usize,
    /// Their mean.
    pub mean: f64,
    /// Standard deviation of a run (n - 1 in the divisor); none of a single one.
    pub deviation: Option<f64>,
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
}

/// Of the finite `values`; `None` without one.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    Some(Spread {
        runs: values.len(),
        mean,
        deviation: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// The spread of each figure over several runs' figures, by name.
pub fn by_figure<'a>(runs: impl IntoIterator<Item = &'a BTreeMap<String, f64>>) -> BTreeMap<String, Spread> {
    let mut values = BTreeMap::<&str, Vec<f64>>::new();
    for run in runs {
        for (name, value) in run {
            values.entry(name).or_default().push(*value);
        }
    }
    values.into_iter().filter_map(|(name, v)| Some((name.to_owned(), spread(&v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_five_runs() {
        // Reference section 5.1: mean 99.23. Deviations 0.012, -0.028, 0.072, 0.042, -0.098: squares sum to 0.01748.
        let s = spread(&[99.24, 99.20, 99.30, 99.27, 99.13]).unwrap();
        assert!((s.mean - 99.228).abs() < 1e-9);
        assert!((s.deviation.unwrap() - (0.01748f64 / 4.0).sqrt()).abs() < 1e-9);
        assert_eq!((s.runs, s.low, s.high), (5, 99.13, 99.30));
    }

    #[test]
    fn one_run_has_no_spread_and_a_diverged_one_does_not_count() {
        let s = spread(&[0.5, f64::NAN]).unwrap();
        assert_eq!((s.runs, s.mean, s.deviation), (1, 0.5, None));
        assert_eq!(spread(&[f64::NAN]), None);
        let run = |pairs: &[(&str, f64)]| {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect::<BTreeMap<_, _>>()
        };
        let (a, b) = (run(&[("lfw", 0.9), ("afs", 0.3)]), run(&[("lfw", 1.0)]));
        let all = by_figure([&a, &b]);
        assert_eq!((all["lfw"].runs, all["lfw"].mean, all["afs"].runs), (2, 0.95, 1));
    }
}
