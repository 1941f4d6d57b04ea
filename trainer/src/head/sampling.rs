//! PartialFC: each step trains on the classes of its batch and a random share of the others.
//!
//! For a million identities and more, where the softmax over all is most of the step; shares of 0.1 to 0.3 lose
//! nothing there (`arcface_torch/partial_fc_v2.py` L79-104). Below some hundred thousand it gains little.

use std::collections::BTreeSet;

use burn::tensor::{Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::HeadInput;
use super::config::{HeadError, require};

/// Which classes take part in a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialFc {
    /// Share of the classes, above 0, at most 1.
    pub rate: f64,
    /// Draws the others.
    #[serde(default)]
    pub seed: u64,
}

/// The classes of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Rising class numbers.
    pub classes: Vec<usize>,
    /// For each picture of the batch its class's place in `classes`.
    pub labels: Vec<usize>,
}

impl PartialFc {
    /// Is the rate in its range?
    pub fn validate(&self) -> Result<(), HeadError> {
        require(
            self.rate > 0.0 && self.rate <= 1.0,
            "partial_fc.rate",
            self.rate,
            "give a share of the classes above 0, at most 1, as in 0.1",
        )
    }

    /// Number of classes drawn, unless the batch itself has more.
    pub fn size(&self, classes: usize) -> usize {
        ((self.rate * classes as f64).round() as usize).clamp(1.min(classes), classes)
    }

    /// All classes of the batch, filled up with others. Depends on nothing but the arguments, so a run that is resumed
    /// draws the same. `labels` are below `classes`.
    pub fn draw(&self, labels: &[usize], classes: usize, step: u64) -> Sample {
        let present: BTreeSet<usize> = labels.iter().copied().collect();
        let absent = classes.saturating_sub(present.len());
        let wanted = self.size(classes).saturating_sub(present.len()).min(absent);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step);
        // The k-th class that is not in the batch, k rising, found by counting the batch's classes before it.
        let mut ranks = index::sample(&mut rng, absent, wanted).into_vec();
        ranks.sort_unstable();
        let mut before = present.iter().copied().peekable();
        let mut passed = 0;
        let mut chosen: Vec<usize> = Vec::with_capacity(present.len() + wanted);
        for rank in ranks {
            while let Some(own) = before.next_if(|own| *own <= rank + passed) {
                chosen.push(own);
                passed += 1;
            }
            chosen.push(rank + passed);
        }
        chosen.extend(before);
        let labels = labels.iter().map(|l| chosen.partition_point(|c| c < l)).collect();
        Sample { classes: chosen, labels }
    }
}

impl Sample {
    /// The input with the drawn classes alone. The gradient reaches the whole weight, 0 for classes not drawn.
    pub fn of(&self, input: HeadInput) -> HeadInput {
        let device = input.labels.device();
        let ints = |values: &[usize]| {
            let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
            let shape = [values.len()];
            Tensor::<1, Int>::from_data(TensorData::new(values, shape), &device)
        };
        HeadInput { weight: input.weight.select(0, ints(&self.classes)), labels: ints(&self.labels), ..input }
    }
}

#[cfg(test)]
mod tests;
