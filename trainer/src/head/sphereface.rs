//! SphereFace as OpenSphere revived it: unit features scaled by s, any real m, no annealing (T-PAMI 2022).

use serde::{Deserialize, Serialize};

use super::angular::{Angular, MarginGradient};
use super::config::{HeadError, require_factor, require_scale};
use super::cross_entropy::with_target;
use super::phi::Phi;
use super::{Head, HeadInput, Loss, WeightRule};

/// Logits s ((-1)^k cos(m theta_y) - 2k), k = floor(m theta_y / pi), and s cos theta_j.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SphereFace {
    /// Scale; 30 by default, 64 in OpenSphere's MS1M run.
    pub s: f64,
    /// The angle's factor, at least 1; 1.7 by default, 1.5 in the VGGFace2 run.
    pub m: f64,
    /// The margin's gradient; detached by default.
    pub gradient: MarginGradient,
}

impl Default for SphereFace {
    fn default() -> Self {
        Self { s: 30.0, m: 1.7, gradient: MarginGradient::Detached }
    }
}

impl Head for SphereFace {
    fn loss(&self, input: HeadInput, _step: u64) -> Loss {
        let angular = Angular::scaled(input, self.s, self.gradient);
        let target = angular.target(Phi::Folded(self.m));
        with_target(angular.input, angular.plain, target)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn validate(&self) -> Result<(), HeadError> {
        require_scale("s", self.s)?;
        require_factor(self.m)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::head::testing::{Case, assert_close};

    fn psi(c: f64, m: f64) -> f64 {
        let k = (m * c.acos() / PI).floor();
        (1.0 - 2.0 * k.rem_euclid(2.0)) * (m * c.acos()).cos() - 2.0 * k
    }

    #[test]
    fn loss_and_detached_gradient_by_hand() {
        let case = Case::unit();
        let head = SphereFace { s: 5.0, ..SphereFace::default() };
        let logit = |i: usize, j: usize, c: f64| 5.0 * if case.labels[i] == j { psi(c, 1.7) } else { c };
        assert_close(&[case.loss(&head, 1)], &[case.entropy(logit)], 1e-9);
        let (dx, dw) = case.cos_gradients(logit, 5.0);
        let got = case.gradients(&head, 1);
        assert_close(&got.x, &dx, 1e-9);
        assert_close(&got.weight, &dw, 1e-9);
    }

    #[test]
    fn exact_is_the_slope_of_the_loss() {
        let head = SphereFace { s: 4.0, m: 1.7, gradient: MarginGradient::Exact };
        Case::free().assert_gradients(&head, 1, 1e-7);
    }
}
