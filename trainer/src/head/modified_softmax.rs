//! Modified softmax: unit weights, no margin (m = 1 of A-Softmax); with a scale also unit features (NormFace).

use serde::{Deserialize, Serialize};

use super::config::{HeadError, require_scale};
use super::cross_entropy::with_target;
use super::surrogate::{dot_rows, unit_rows};
use super::{Head, HeadInput, Loss, WeightRule};

/// Logits |x| cos theta_j, or s cos theta_j.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModifiedSoftmax {
    /// Length that features are scaled to; their own without it.
    pub scale: Option<f64>,
}

impl Head for ModifiedSoftmax {
    fn loss(&self, mut input: HeadInput, _step: u64) -> Loss {
        if let Some(scale) = self.scale {
            input.x = unit_rows(input.x) * scale;
        }
        let plain = dot_rows(input.x.clone(), input.own());
        with_target(input, plain.clone(), plain)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn validate(&self) -> Result<(), HeadError> {
        self.scale.map_or(Ok(()), |s| require_scale("scale", s))
    }
}
