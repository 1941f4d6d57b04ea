//! A-Softmax, SphereFace's loss: unit weights, and the own class's angle counts m times.
//!
//! The own class's logit is |x| (lambda c + psi(theta)) / (1 + lambda), the others' |x| c_j (section 4.2). The Caffe
//! code trains with something else than this loss's gradient; [`Gradient`] says which.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::config::{HeadError, require_scale};
use super::cross_entropy::with_target;
use super::margin::Margin;
use super::surrogate::{constant, dot_rows, length, unit_rows, with_gradient_of};
use super::{Annealing, Head, HeadInput, Loss, WeightRule};

/// SphereFace's head. Its default is the published training: m = 4, lambda 1000 to 5, the Caffe code's gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ASoftmax {
    /// The margin.
    pub m: Margin,
    /// How the margin comes in.
    pub lambda: Annealing,
    /// What is propagated back from the own class's logit.
    pub gradient: Gradient,
    /// Length that features are scaled to before everything else; their own without it, as published.
    pub scale: Option<f64>,
}

impl Default for ASoftmax {
    fn default() -> Self {
        Self {
            m: Margin::Quadruple,
            lambda: Annealing::SPHEREFACE,
            gradient: Gradient::Reference,
            scale: None,
        }
    }
}

/// What goes back from the own class's logit f = |x| psi(theta) to x and w (section 4.4). The part lambda of the plain
/// cosine always has its true gradient. With f taken as |w| |x| psi(theta) and p = psi, p' = d psi / d c:
/// df/dx = p' w + (p - c p') / |x| x and df/dw = p' x + (p - c p') |x| w.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// As the Caffe code runs: df/dx divided by the length of its pair of coefficients, sqrt(cw^2 + cx^2);
    /// df/dw = x, without the margin (`margin_inner_product_layer.cpp` L275-279, L374-382).
    Reference,
    /// As SphereFace's README says it runs: both divided by the length of their own pair of coefficients.
    Readme,
    /// The true gradient of the loss, with the division of w by its length as part of it. It needs other lambda,
    /// iterations and learning rates than the published ones (README L210).
    Exact,
}

impl Head for ASoftmax {
    fn loss(&self, mut input: HeadInput, step: u64) -> Loss {
        let lambda = self.lambda.at(step);
        if let Some(scale) = self.scale {
            input.x = unit_rows(input.x) * scale;
        }
        if self.gradient == Gradient::Exact {
            input.weight = unit_rows(input.weight);
        }
        let own = input.own();
        let plain = dot_rows(input.x.clone(), own.clone());
        let target = match self.gradient {
            Gradient::Exact => {
                let length = length(input.x.clone());
                let psi = self.m.psi(plain.clone() / length.clone());
                mixed(plain.clone(), length * psi, lambda)
            }
            Gradient::Reference | Gradient::Readme => self.target(input.x.clone(), own, lambda),
        };
        with_target(input, plain, target)
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn lambda(&self, step: u64) -> Option<f64> {
        Some(self.lambda.at(step))
    }

    fn validate(&self) -> Result<(), HeadError> {
        self.lambda.validate()?;
        self.scale.map_or(Ok(()), |s| require_scale("scale", s))
    }
}

impl ASoftmax {
    /// The own class's logit, [n, 1], with a gradient of the code's making. `own` is [n, d], each sample's class.
    fn target(&self, feature: Tensor<2>, own: Tensor<2>, lambda: f64) -> Tensor<2> {
        let (x, w) = (constant(&feature), constant(&own));
        let length = length(x.clone()); // [n, 1], as all below
        let plain = dot_rows(x.clone(), w.clone());
        let c = plain.clone() / length.clone();
        let (psi, slope) = (self.m.psi(c.clone()), self.m.slope(c.clone()));
        let value = mixed(plain, length.clone() * psi.clone(), lambda);

        let rest = psi - c * slope.clone();
        let to_x = combined(&w, slope.clone(), &x, rest.clone() / length.clone());
        let to_x = mixed(w.clone(), to_x, lambda); // [n, d]
        let to_w = match self.gradient {
            Gradient::Readme => mixed(x.clone(), combined(&x, slope, &w, rest * length), lambda),
            Gradient::Reference | Gradient::Exact => x,
        };
        with_gradient_of(value, dot_rows(feature, to_x) + dot_rows(own, to_w))
    }
}

/// (lambda a + b) / (1 + lambda).
pub(super) fn mixed(a: Tensor<2>, b: Tensor<2>, lambda: f64) -> Tensor<2> {
    // As shares of one: a lambda of 1e300 is a number like any other.
    a * (lambda / (1.0 + lambda)) + b * (1.0 / (1.0 + lambda))
}

/// (p a + q b) / sqrt(p^2 + q^2); p and q are [n, 1]. They are never both 0: psi has no slope only between two
/// pieces, and is not 0 there.
fn combined(a: &Tensor<2>, p: Tensor<2>, b: &Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    // |q| may be 1e12 (all-zero x), its square does not overflow f32.
    let length = (p.clone() * p.clone() + q.clone() * q.clone()).sqrt();
    a.clone() * (p / length.clone()) + b.clone() * (q / length)
}

#[cfg(test)]
mod tests;
