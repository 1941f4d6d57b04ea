//! CosFace: the own class's cosine is lowered by m (CVPR 2018).

use serde::{Deserialize, Serialize};

use super::angular::{Angular, MarginGradient};
use super::config::{HeadError, require_margin, require_scale};
use super::cross_entropy::with_target;
use super::phi::Phi;
use super::{Head, HeadInput, Loss, WeightRule};

/// Logits s (cos theta_y - m) and s cos theta_j.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosFace {
    /// Scale; 64 by default.
    pub s: f64,
    /// Margin in cosine; 0.35 by default, OpenSphere trains MS1M with 0.4.
    pub m: f64,
}

impl Default for CosFace {
    fn default() -> Self {
        Self { s: 64.0, m: 0.35 }
    }
}

impl Head for CosFace {
    fn loss(&self, input: HeadInput, _step: u64) -> Loss {
        let angular = Angular::scaled(input, self.s, MarginGradient::Detached);
        let target = angular.target(Phi::Lowered(self.m));
        with_target(angular.input, angular.plain, target)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn validate(&self) -> Result<(), HeadError> {
        require_scale("s", self.s)?;
        require_margin(self.m, 0.0..2.0, "give a margin in cosine, at least 0 and below 2, as in 0.35")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::{Case, assert_close};

    /// The true gradient is that of the value: the margin is a constant.
    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        Case::unit().assert_gradients(&CosFace { s: 3.0, m: 0.2 }, 1, 1e-7);
    }

    /// Logits by hand: s (c - m) for the own class.
    #[test]
    fn the_loss_by_hand() {
        let case = Case::unit();
        let expected = case.entropy(|i, j, c| 8.0 * if case.labels[i] == j { c - 0.35 } else { c });
        assert_close(&[case.loss(&CosFace { s: 8.0, m: 0.35 }, 1)], &[expected], 1e-12);
    }
}
