//! SphereFace2, type C: a yes or no for each class instead of one choice among all (ICLR 2022).
//!
//! With g(c) = 2 ((c + 1) / 2)^t - 1, the logits are r (g(cos theta_y) - m) + b and r (g(cos theta_j) + m) + b. The loss
//! is the binary cross-entropy of each, weighted lw / r by alpha for the own class and 1 - alpha for the others,
//! summed over the classes and averaged over the batch. The change from the cosine is detached: the gradient is that of
//! r cos theta + b (`head/sphereface2.py`).

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use serde::{Deserialize, Serialize};

use super::config::{HeadError, require, require_scale};
use super::cross_entropy::{Blocks, without_own};
use super::surrogate::{carrier, constant, dot_rows, unit_rows, with_gradient_of};
use super::{Head, HeadInput, Loss, WeightRule};

/// SphereFace2's settings. OpenSphere's MS1M run: alpha 0.8, r 64, m 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SphereFace2 {
    /// Weight of the own class, between 0 and 1; 0.7 by default.
    pub alpha: f64,
    /// Scale; 40 by default.
    pub r: f64,
    /// Margin on either side; 0.4 by default.
    pub m: f64,
    /// Exponent of g, above 0; 3 by default.
    pub t: f64,
    /// Loss weight; 50 by default.
    pub lw: f64,
}

impl Default for SphereFace2 {
    fn default() -> Self {
        Self { alpha: 0.7, r: 40.0, m: 0.4, t: 3.0, lw: 50.0 }
    }
}

impl SphereFace2 {
    /// r g(c).
    fn adjusted<const D: usize>(&self, c: Tensor<D>) -> Tensor<D> {
        (((c + 1.0) / 2.0).clamp_min(0.0).powf_scalar(self.t) * 2.0 - 1.0) * self.r
    }
}

/// ln(1 + e^v), without overflow.
fn softplus(v: Tensor<2>) -> Tensor<2> {
    v.clone().clamp_min(0.0) + v.abs().neg().exp().log1p()
}

impl Head for SphereFace2 {
    fn loss(&self, input: HeadInput, _step: u64) -> Loss {
        let [classes, _] = input.weight.dims();
        let feature = unit_rows(input.x.clone());
        let own = input.own();
        let HeadInput { weight, bias, labels, chunk, .. } = input;
        let bias = bias.unwrap_or_else(|| {
            let start = self.start(classes);
            constant(&weight).slice([0..1, 0..1]).reshape([1]).full_like(start)
        });
        let labels = labels.without_autodiff();
        let (x, w, b) = (constant(&feature), constant(&weight), constant(&bias).reshape([1, 1]));
        let [n, _] = x.dims();
        let share = self.lw / (self.r * n.max(1) as f64);

        let cosine = dot_rows(feature.clone(), own); // [n, 1]
        let c = constant(&cosine);
        let yes = self.adjusted(c.clone()) - self.r * self.m + b.clone();
        let mut nats = softplus(yes.clone().neg()); // [n, 1]
        let mut loss = nats.clone() * self.alpha;
        let dyes = sigmoid(yes.neg()) * (-self.alpha * share);
        let mut db = dyes.clone().sum();
        let mut dx = x.zeros_like();
        let mut dw = Vec::new();
        let mut best = c.full_like(-2.0); // below every cosine
        for (start, len) in Blocks::new(classes, chunk).ranges() {
            let block = w.clone().narrow(0, start, len);
            let cosines = x.clone().matmul(block.clone().transpose()); // [n, len]
            best = best.max_pair(without_own(cosines.clone(), &labels, start, len).max_dim(1));
            let no = self.adjusted(cosines) + self.r * self.m + b.clone();
            let no = without_own(no, &labels, start, len);
            let lost = softplus(no.clone()).sum_dim(1);
            nats = nats + lost.clone();
            loss = loss + lost * (1.0 - self.alpha);
            let dno = sigmoid(no) * ((1.0 - self.alpha) * share);
            db = db + dno.clone().sum();
            dx = dx + dno.clone().matmul(block) * self.r;
            dw.push(dno.transpose().matmul(x.clone()) * self.r);
        }
        let carried = carrier(feature, dx)
            + carrier(weight, Tensor::cat(dw, 0))
            + carrier(cosine, dyes * self.r)
            + carrier(bias, db);
        Loss {
            value: with_gradient_of((loss * share).sum(), carried),
            classification: nats.mean(),
            accuracy: c.zeros_like().mask_fill(c.greater(best), 1.0).mean(),
            extra: None,
        }
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn initial_bias(&self, classes: usize) -> Option<f64> {
        Some(self.start(classes))
    }

    fn validate(&self) -> Result<(), HeadError> {
        require(
            self.alpha > 0.0 && self.alpha < 1.0,
            "alpha",
            self.alpha,
            "give a weight between 0 and 1, as in 0.7",
        )?;
        require_scale("r", self.r)?;
        require(
            self.m.is_finite() && self.m >= 0.0,
            "m",
            self.m,
            "give a margin in cosine, at least 0, as in 0.4",
        )?;
        require(self.t.is_finite() && self.t > 0.0, "t", self.t, "give an exponent above 0, as in 3")?;
        require(self.lw.is_finite() && self.lw > 0.0, "lw", self.lw, "give a weight above 0, as in 50")
    }
}

impl SphereFace2 {
    /// The bias at which, with all cosines 0, the loss has no slope in the bias (`sphereface2.py` L33-41). `classes`
    /// is at least 2.
    fn start(&self, classes: usize) -> f64 {
        let z = self.alpha / ((1.0 - self.alpha) * classes.saturating_sub(1).max(1) as f64);
        let middle = 2.0 * 0.5f64.powf(self.t) - 1.0;
        let (yes, no) = (self.r * (middle - self.m), self.r * (middle + self.m));
        let root = ((1.0 - z) * (1.0 - z) + 4.0 * z * (yes - no).exp()).sqrt();
        // 1 - z + root loses its digits where z > 1 (few classes); the other form of the same number does not.
        let sum = if z <= 1.0 { 1.0 - z + root } else { 4.0 * z * (yes - no).exp() / (root + z - 1.0) };
        (2.0 * z).ln() - no - sum.ln()
    }
}

#[cfg(test)]
mod tests;
