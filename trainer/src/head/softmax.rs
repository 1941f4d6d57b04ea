//! Plain softmax: inner products with weights of any length. The baseline, and a way to pretrain.

use serde::{Deserialize, Serialize};

use super::config::HeadError;
use super::cross_entropy::with_target;
use super::surrogate::dot_rows;
use super::{Head, HeadInput, Loss, WeightRule};

/// Logits w_j.x, no bias, as every classifier here (a bias would let classes differ by more than their angle).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {}

impl Head for Softmax {
    fn loss(&self, input: HeadInput, _step: u64) -> Loss {
        let plain = dot_rows(input.x.clone(), input.own());
        with_target(input, plain.clone(), plain)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Free
    }

    fn validate(&self) -> Result<(), HeadError> {
        Ok(())
    }
}
