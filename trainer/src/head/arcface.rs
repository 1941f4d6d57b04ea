//! ArcFace: the own class's angle is widened by m radians (CVPR 2019).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::angular::{Angular, MarginGradient};
use super::config::{HeadError, require_margin, require_scale};
use super::cross_entropy::with_target;
use super::phi::Phi;
use super::{Head, HeadInput, Loss, WeightRule};

/// Logits s cos(theta_y + m), the sum ending at pi, and s cos theta_j.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArcFace {
    /// Scale; 64 by default.
    pub s: f64,
    /// Margin in radians; 0.5 by default.
    pub m: f64,
    /// The margin's gradient; detached by default.
    pub gradient: MarginGradient,
}

impl Default for ArcFace {
    fn default() -> Self {
        Self { s: 64.0, m: 0.5, gradient: MarginGradient::Detached }
    }
}

impl Head for ArcFace {
    fn loss(&self, input: HeadInput, _step: u64) -> Loss {
        let angular = Angular::scaled(input, self.s, self.gradient);
        let target = angular.target(Phi::Turned(self.m));
        with_target(angular.input, angular.plain, target)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn validate(&self) -> Result<(), HeadError> {
        require_scale("s", self.s)?;
        require_margin(self.m, 0.0..PI, "give a margin in radians, at least 0 and below pi, as in 0.5")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::{Case, assert_close};

    #[test]
    fn the_loss_by_hand() {
        let case = Case::unit();
        let expected = case
            .entropy(|i, j, c| 8.0 * if case.labels[i] == j { (c.acos() + 0.5).min(PI).cos() } else { c });
        assert_close(&[case.loss(&ArcFace { s: 8.0, ..ArcFace::default() }, 1)], &[expected], 1e-9);
    }

    #[test]
    fn exact_is_the_slope_of_the_loss() {
        let head = ArcFace { s: 4.0, m: 0.5, gradient: MarginGradient::Exact };
        Case::free().assert_gradients(&head, 1, 1e-7);
    }

    /// Detached: dL/dx is that of logits s cos theta at the probabilities of the margin's logits.
    #[test]
    fn detached_forgets_the_margin() {
        let case = Case::unit();
        let head = ArcFace { s: 4.0, ..ArcFace::default() };
        let logit = |i: usize, j: usize, c: f64| {
            4.0 * if case.labels[i] == j { (c.acos() + 0.5).min(PI).cos() } else { c }
        };
        let (dx, dw) = case.cos_gradients(logit, 4.0);
        let got = case.gradients(&head, 1);
        assert_close(&got.x, &dx, 1e-9);
        assert_close(&got.weight, &dw, 1e-9);
    }
}
