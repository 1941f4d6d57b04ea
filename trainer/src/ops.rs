//! The training step's heavy operations on the CPU, forward and backward: 3x3 convolution with bias, PReLU and
//! residual, batch normalisation, pooling.
//!
//! On burn's CPU back end (flex) with f32 these run our own SIMD kernels, everywhere else burn's own operations. Results
//! of the kernels are tensors of shape `[n, c, h, w]` whose memory is channels-last; a kernel given such a tensor reads
//! it as it is, burn's operations read it through its strides. The same input gives the same bits whatever the number
//! of threads (`RAYON_NUM_THREADS`) and their timing.
//!
//! `unsafe` is allowed here alone in this crate: SIMD, and raw pointers into images that threads share by rows.
#![allow(unsafe_code, reason = "SIMD kernels; each block says why it is sound")]

mod activate;
mod direct;
mod flex;
mod layer;
mod normalise;
mod pool;
mod scratch;
mod sgd;
mod shape;
#[cfg(test)]
mod tests;
mod winograd;

use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation};

pub use sgd::SgdRule;
pub use shape::{Shape, Stride};

/// Whose kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// Ours where they fit, burn's elsewhere.
    #[default]
    Ours,
    /// burn's: to compare with.
    Burn,
}

/// What is done with the sums of a convolution before they leave the cache: `prelu(sums + bias) + residual`.
#[derive(Debug, Default)]
pub struct Fused {
    /// `[outputs]`, added to the sums.
    pub bias: Option<Tensor<1>>,
    /// `[outputs]`, the PReLU's slope of each channel.
    pub slope: Option<Tensor<1>>,
    /// `[n, outputs, out height, out width]`, added last.
    pub residual: Option<Tensor<4>>,
}

/// `prelu(conv(x) + bias) + residual` with a 3x3 kernel: with padding 1 `[n, c, h, w]` to
/// `[n, outputs, ceil(h / stride), ceil(w / stride)]`, with none at stride 1 to `[n, outputs, h - 2, w - 2]`.
///
/// `weight` is `[outputs, c, 3, 3]`; `stride` 1 and 2 are fast. Without padding the kernels make the padded result, of
/// which the inside is taken. Differentiable in every operand.
///
/// # Panics
/// As burn's `conv2d`, `prelu` and addition, on shapes that do not fit.
pub fn conv3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    fused: Fused,
    stride: usize,
    pad: usize,
    kernels: Kernels,
) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    let fits = pad == 1 || (pad, stride) == (0, 1) && h.min(w) > 2;
    let ours = match kernels {
        Kernels::Ours if fits => flex::conv3x3(x, weight, fused, stride),
        _ => Err(Box::new((x, weight, fused))),
    };
    match ours {
        Ok(y) if pad == 0 => flex::inside(&y).unwrap_or_else(|| {
            let [n, c, ..] = y.dims();
            y.slice([0..n, 0..c, 1..h - 1, 1..w - 1])
        }),
        Ok(y) => y,
        Err(declined) => {
            let (x, weight, fused) = *declined;
            let y = conv2d(x, weight, fused.bias, ConvOptions::new([stride, stride], [pad, pad], [1, 1], 1));
            activated(y, fused.slope, fused.residual)
        }
    }
}

/// The maxima of `x` `[n, c, h, w]` over windows. Of equal ones the first gets the gradient.
pub fn max_pool(x: Tensor<4>, options: MaxPoolOptions<2>, kernels: Kernels) -> Tensor<4> {
    let ours = if kernels == Kernels::Ours { flex::max_pool(&x, &options) } else { None };
    ours.unwrap_or_else(|| max_pool2d(x, options))
}

/// `prelu(x) + residual` by burn's operations.
fn activated(x: Tensor<4>, slope: Option<Tensor<1>>, residual: Option<Tensor<4>>) -> Tensor<4> {
    let y = match slope {
        Some(slope) => activation::prelu(x, slope),
        None => x,
    };
    match residual {
        Some(r) => y + r,
        None => y,
    }
}

/// Operands of `prelu(norm(x)) + residual`.
#[derive(Debug)]
pub struct Normalised {
    /// `[n, c, h, w]`.
    pub x: Tensor<4>,
    /// `[c]`.
    pub scale: Tensor<1>,
    /// `[c]`.
    pub shift: Tensor<1>,
    /// `[c]`, the PReLU's slope of each channel.
    pub slope: Option<Tensor<1>>,
    /// `[n, c, h, w]`, added last.
    pub residual: Option<Tensor<4>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Normalised {
    fn operation(&self) -> flex::Normalisation<'_> {
        flex::Normalisation {
            x: &self.x,
            gamma: &self.scale,
            beta: &self.shift,
            slope: &self.slope,
            residual: &self.residual,
            epsilon: self.epsilon,
        }
    }

    /// On the batch's own statistics, and these: mean and biased variance by channel, `[c]` each, off the tape.
    pub fn learn(self, kernels: Kernels) -> (Tensor<4>, [Tensor<1>; 2]) {
        let ours = if kernels == Kernels::Ours { self.operation().train() } else { None };
        if let Some((y, statistics)) = ours {
            let device = self.x.device().inner();
            let known =
                [statistics.mean, statistics.variance].map(|v| Tensor::from_floats(v.as_slice(), &device));
            return (y, known);
        }
        let [_, c, _, _] = self.x.dims();
        let mean = self.x.clone().mean_dim(3).mean_dim(2).mean_dim(0);
        let centred = self.x.clone() - mean.clone();
        let variance = (centred.clone() * centred).mean_dim(3).mean_dim(2).mean_dim(0);
        let (mean, variance) = (mean.reshape([c]), variance.reshape([c]));
        let known = [mean.clone().inner(), variance.clone().inner()];
        (self.plainly(mean, variance), known)
    }

    /// On given statistics, `[c]` each, off the tape.
    pub fn judge(self, mean: Tensor<1>, variance: Tensor<1>) -> Tensor<4> {
        match self.operation().infer(&mean, &variance) {
            Some(y) => y,
            None => self.plainly(mean, variance),
        }
    }

    /// By burn's own operations, on any device.
    fn plainly(self, mean: Tensor<1>, variance: Tensor<1>) -> Tensor<4> {
        let [_, c, _, _] = self.x.dims();
        let across = |v: Tensor<1>| v.reshape([1, c, 1, 1]);
        let factor = across(self.scale) / (across(variance) + self.epsilon).sqrt();
        activated((self.x - across(mean)) * factor + across(self.shift), self.slope, self.residual)
    }
}

/// One update by momentum and decay: the new weight and velocity. Tensors are off the gradient tape, as an
/// [`burn::optim::Optimizer`] has them; the first step has no velocity. In place where nobody else holds the memory.
pub fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Option<Tensor<D>>,
    rule: &SgdRule,
) -> (Tensor<D>, Tensor<D>) {
    match flex::sgd_step(weight, gradient, velocity, rule) {
        Ok(new) => new,
        Err(declined) => {
            let (weight, gradient, velocity) = *declined;
            let gradient = gradient + weight.clone() * rule.decay;
            let fresh = gradient.clone() * rule.gradient;
            let velocity = match velocity {
                Some(v) => v * rule.momentum + fresh,
                None => fresh,
            };
            let mut step = velocity.clone() * rule.velocity;
            if rule.direct != 0.0 {
                step = step + gradient * rule.direct;
            }
            (weight - step, velocity)
        }
    }
}
