//! Two forms of one network side by side: how far their outputs lie apart, and how long each takes.

use std::time::{Duration, Instant};

use limen_gallery_db::score::cosine;
use limen_models::error::ModelError;
use limen_models::session::Session;

use super::Samples;

/// Cosine of the outputs of two networks, over some pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Mean over the pictures.
    pub mean: f64,
    /// The worst picture.
    pub min: f64,
    /// How many pictures.
    pub pictures: usize,
}

impl Agreement {
    /// Compares output by output; `None` without any.
    pub fn new(a: &[Vec<f32>], b: &[Vec<f32>]) -> Option<Self> {
        let scores: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(cosine(a, b).value())).collect();
        let min = scores.iter().copied().min_by(f64::total_cmp)?;
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        Some(Self { mean, min, pictures: scores.len() })
    }
}

/// The first output of `session` for each of `samples`, calling `tick` after each.
///
/// # Errors
/// When the engine cannot run it.
pub fn outputs(
    session: &Session,
    samples: &Samples,
    mut tick: impl FnMut(),
) -> Result<Vec<Vec<f32>>, ModelError> {
    let one = |input: &Vec<f32>| {
        let output = session.run(samples.shape, input)?.swap_remove(0);
        tick();
        Ok(output.data)
    };
    samples.inputs.iter().map(one).collect()
}

/// Times of two networks on one picture, one thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Median of the first.
    pub first: Duration,
    /// Median of the second.
    pub second: Duration,
    /// Median over the rounds of second / first: less moved by what else the machine does than either time.
    pub ratio: f64,
}

/// Runs both `rounds` times (at least once) on the first of `samples`, turn by turn; `None` without a sample.
///
/// # Errors
/// When the engine cannot run one of them.
pub fn speed(
    first: &Session,
    second: &Session,
    samples: &Samples,
    rounds: usize,
) -> Result<Option<Speed>, ModelError> {
    let Some(input) = samples.inputs.first() else { return Ok(None) };
    let time = |session: &Session| -> Result<Duration, ModelError> {
        let start = Instant::now();
        session.run(samples.shape, input)?;
        Ok(start.elapsed())
    };
    // Not counted: the first run of each prepares its plan.
    time(first)?;
    time(second)?;
    let rounds = (0..rounds.max(1))
        .map(|_| Ok((time(first)?, time(second)?)))
        .collect::<Result<Vec<_>, ModelError>>()?;
    let ratios = rounds.iter().map(|(a, b)| b.as_secs_f64() / a.as_secs_f64().max(1e-9));
    Ok(Some(Speed {
        first: median(rounds.iter().map(|r| r.0), Duration::cmp),
        second: median(rounds.iter().map(|r| r.1), Duration::cmp),
        ratio: median(ratios, f64::total_cmp),
    }))
}

/// The middle one of some values, of which there is at least one.
fn median<T: Copy>(values: impl Iterator<Item = T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> T {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_by(order);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_by_hand() {
        let a = [vec![1.0, 0.0], vec![1.0, 0.0]];
        let b = [vec![2.0, 0.0], vec![3.0, 4.0]];
        let agreement = Agreement::new(&a, &b).unwrap();
        assert!((agreement.min - 0.6).abs() < 1e-6 && (agreement.mean - 0.8).abs() < 1e-6);
        assert_eq!(agreement.pictures, 2);
        assert_eq!(Agreement::new(&[], &[]), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter(), f64::total_cmp), 2.0);
    }
}
