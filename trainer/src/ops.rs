//! The training step's heavy operations on the CPU: 3x3 convolution with bias, PReLU and residual, forward and backward.
//!
//! On burn's CPU back end (flex) with f32 these run our own SIMD kernels, everywhere else burn's own operations. Results
//! of the kernels are tensors of shape `[n, c, h, w]` whose memory is channels-last; a kernel given such a tensor reads
//! it as it is, burn's operations read it through its strides. The same input gives the same bits whatever the number
//! of threads (`RAYON_NUM_THREADS`) and their timing.
//!
//! `unsafe` is allowed here alone in this crate: SIMD, and raw pointers into images that threads share by rows.
#![allow(unsafe_code, reason = "SIMD kernels; each block says why it is sound")]

mod activate;
mod buffer;
mod direct;
mod flex;
mod gemm;
mod layer;
mod normalise;
mod optimizer;
mod scratch;
mod sgd;
mod shape;
mod simd;
#[cfg(test)]
mod tests;
mod winograd;

use burn::module::RunningState;
use burn::nn::BatchNorm;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation};

pub use optimizer::{Momentum, Sgd, SgdState};
pub use sgd::SgdRule;
pub use shape::{Shape, Stride};
pub use simd::Level;

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

/// Convolution with a 3x3 kernel and padding 1: `[n, c, h, w]` to `[n, outputs, ceil(h / stride), ceil(w / stride)]`.
///
/// `weight` is `[outputs, c, 3, 3]`; `stride` 1 and 2 are fast. Differentiable in every operand.
///
/// # Panics
/// As burn's `conv2d`, on shapes that do not fit.
pub fn conv3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    conv3x3_fused(x, weight, Fused { bias, ..Fused::default() }, stride)
}

/// [`conv3x3`] followed by PReLU with one slope a channel.
///
/// # Panics
/// As burn's `conv2d` and `prelu`, on shapes that do not fit.
pub fn conv_prelu(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    slope: Tensor<1>,
    stride: usize,
) -> Tensor<4> {
    conv3x3_fused(x, weight, Fused { bias, slope: Some(slope), residual: None }, stride)
}

/// [`conv3x3`] and all that can follow it in one pass.
///
/// # Panics
/// As burn's `conv2d`, `prelu` and addition, on shapes that do not fit.
pub fn conv3x3_fused(x: Tensor<4>, weight: Tensor<4>, fused: Fused, stride: usize) -> Tensor<4> {
    match flex::conv3x3(x, weight, fused, stride) {
        Ok(y) => y,
        Err(declined) => {
            let (x, weight, fused) = *declined;
            let mut y = conv2d(x, weight, fused.bias, ConvOptions::new([stride, stride], [1, 1], [1, 1], 1));
            if let Some(slope) = fused.slope {
                y = activation::prelu(y, slope);
            }
            match fused.residual {
                Some(r) => y + r,
                None => y,
            }
        }
    }
}

/// What a burn [`BatchNorm`] does, in training and (off the gradient tape) in inference, then PReLU and residual in the
/// same pass: `prelu(norm(x)) + residual`. The module's running statistics are brought up to date as burn's own forward
/// does it.
///
/// # Panics
/// As burn's, on shapes that do not fit.
pub fn batch_norm_prelu(
    norm: &BatchNorm,
    x: Tensor<4>,
    slope: Option<Tensor<1>>,
    residual: Option<Tensor<4>>,
) -> Tensor<4> {
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let ours = flex::Normalisation {
        x: &x,
        gamma: &gamma,
        beta: &beta,
        slope: &slope,
        residual: &residual,
        epsilon: norm.epsilon,
    };
    let device = x.device();
    if device.is_autodiff() && norm.training.is_enabled() {
        if let Some((y, statistics)) = ours.train() {
            let follow = |running: &RunningState<Tensor<1>>, now: &[f32]| {
                let now = Tensor::<1>::from_floats(now, &device);
                let old = running.value_sync().to_device(&device);
                running.update((old * (1.0 - norm.momentum) + now * norm.momentum).detach());
            };
            follow(&norm.running_mean, &statistics.mean);
            follow(&norm.running_var, &statistics.variance);
            return y;
        }
    } else if let Some(y) = ours.infer(&norm.running_mean.value(), &norm.running_var.value()) {
        return y;
    }
    let mut y = norm.forward(x);
    if let Some(slope) = slope {
        y = activation::prelu(y, slope);
    }
    match residual {
        Some(r) => y + r,
        None => y,
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
