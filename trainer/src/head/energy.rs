//! Hyperspherical energy: terms that spread the classes of a batch over the sphere (SphereFace+).

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::Extra;
use super::config::{HeadError, require};
use super::cross_entropy::COSINE_LIMIT;
use super::surrogate::{carrier, constant, dot_rows, with_gradient_of};

/// How classes are driven apart. Weights are of unit length; there is no gradient to x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Energy {
    /// strength times the mean of 1 / theta_ij^2 over all pairs of different classes in the batch, theta in radians
    /// (`spherefaceplus.py` L40-47). A true objective with its true gradient, but for classes closer than 0.0045 rad,
    /// which have none.
    Angular {
        /// Strength; 0.1 by default.
        #[serde(default = "a_tenth")]
        strength: f64,
    },
    /// Caffe's `InterClass` layer, type AMONG: the weight of each sample's class gets the gradient
    /// -4 alpha / (n D^2 + 1e-5) (w_y - mean), the mean of all weights scaled to unit length, and
    /// D = sum over samples and classes of |w_i - w_y|^2 / classes. It adds nothing to the loss's value.
    InterClass {
        /// Strength; 10 by default, for batches of 256 (1 to 10 there, 0.1 to 2 for 128).
        #[serde(default = "ten")]
        alpha: f64,
        /// First step at which it acts, from 1.
        #[serde(default = "first")]
        start: u64,
    },
}

impl Default for Energy {
    fn default() -> Self {
        Self::Angular { strength: a_tenth() }
    }
}

fn a_tenth() -> f64 {
    0.1
}

fn ten() -> f64 {
    10.0
}

fn first() -> u64 {
    1
}

impl Energy {
    /// What is added to the loss, one number, and what is logged of it.
    pub fn term(&self, weight: Tensor<2>, labels: Tensor<1, Int>, step: u64) -> (Tensor<1>, Extra) {
        match *self {
            Self::Angular { strength } => {
                let energy = angular(weight.select(0, labels.clone()), labels);
                let extra = Extra { name: "energy", value: constant(&energy) };
                (energy * strength, extra)
            }
            Self::InterClass { alpha, start } => {
                inter_class(weight, labels, if step < start { 0.0 } else { alpha })
            }
        }
    }

    /// Is every setting in its range?
    pub fn validate(&self) -> Result<(), HeadError> {
        let (field, value) = match *self {
            Self::Angular { strength } => ("energy.strength", strength),
            Self::InterClass { alpha, .. } => ("energy.alpha", alpha),
        };
        require(value.is_finite() && value >= 0.0, field, value, "give a strength, at least 0")
    }
}

/// Mean of theta^-2 over the pairs of different classes among the rows, [n, d]; 0 if all are of one class.
fn angular(own: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = own.dims();
    let across = labels.clone().reshape([1, n]).repeat_dim(0, n); // [n, n]
    let down = labels.reshape([n, 1]).repeat_dim(1, n);
    let blank = constant(&own).narrow(1, 0, 1).zeros_like().repeat_dim(1, n);
    let same = blank.clone().mask_fill(across.clone().equal(down.clone()), 1.0);
    // A class with k samples stands in k rows: each counts 1/k, so that each pair of classes counts once.
    let weight = same.sum_dim(1).recip(); // [n, 1]
    let classes = weight.clone().sum(); // [1]
    let pairs = ((classes.clone() - 1.0) * classes / 2.0).clamp_min(1.0);
    let each = blank.mask_fill(down.lower(across), 1.0) * weight.clone() * weight.transpose();
    let cosines = own.clone().matmul(own.transpose()).clamp(-COSINE_LIMIT, COSINE_LIMIT);
    let theta = cosines.acos();
    ((theta.clone() * theta).recip() * each).sum() / pairs
}

fn inter_class(weight: Tensor<2>, labels: Tensor<1, Int>, alpha: f64) -> (Tensor<1>, Extra) {
    let w = constant(&weight);
    let own = weight.select(0, labels);
    let y = constant(&own);
    let [n, _] = y.dims();
    let mean = w.clone().mean_dim(0); // [1, d]
    // Mean over i of |w_i - y|^2, without the n x classes differences.
    let squares = dot_rows(w.clone(), w).mean_dim(0); // [1, 1]
    let cross = dot_rows(y.clone() * mean.clone(), y.ones_like());
    let distance = (dot_rows(y.clone(), y.clone()) + squares - cross * 2.0).sum(); // [1]
    let length = (dot_rows(mean.clone(), mean.clone()) + 1e-5).sqrt();
    let factor = (distance.clone() * distance.clone() * n as f64 + 1e-5).recip() * (-4.0 * alpha);
    let gradient = (y - mean / length) * factor.reshape([1, 1]); // [n, d]
    let carried = carrier(own, gradient);
    (with_gradient_of(distance.zeros_like(), carried), Extra { name: "distance", value: distance })
}

#[cfg(test)]
mod tests;
