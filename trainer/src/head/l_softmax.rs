//! L-Softmax, SphereFace's predecessor: the margin of A-Softmax on weights that keep their length (ICML 2016).

use serde::{Deserialize, Serialize};

use super::a_softmax::mixed;
use super::config::HeadError;
use super::cross_entropy::with_target;
use super::margin::Margin;
use super::surrogate::{dot_rows, length};
use super::{Annealing, Head, HeadInput, Loss, WeightRule};

/// The own class's logit is (lambda w.x + |w| |x| psi(theta)) / (1 + lambda), the others' w_j.x. True gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LSoftmax {
    /// The margin; 4 by default.
    pub m: Margin,
    /// How the margin comes in; 1000, 2.5e-5, 35, floor 0 by default.
    pub lambda: Annealing,
}

impl Default for LSoftmax {
    fn default() -> Self {
        Self { m: Margin::Quadruple, lambda: Annealing::L_SOFTMAX }
    }
}

impl Head for LSoftmax {
    fn loss(&self, input: HeadInput, step: u64) -> Loss {
        let own = input.own();
        let plain = dot_rows(input.x.clone(), own.clone());
        let lengths = length(input.x.clone()) * length(own); // [n, 1]
        let psi = self.m.psi(plain.clone() / lengths.clone());
        let target = mixed(plain.clone(), lengths * psi, self.lambda.at(step));
        with_target(input, plain, target)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Free
    }

    fn lambda(&self, step: u64) -> Option<f64> {
        Some(self.lambda.at(step))
    }

    fn validate(&self) -> Result<(), HeadError> {
        self.lambda.validate()
    }
}

#[cfg(test)]
mod tests;
