//! Batch normalisation: the batch's statistics while learning, running ones afterwards.

use anyhow::Result;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::engine::Mode;
use crate::engine::param::{flat, read};
use crate::graph::BatchNorm;
use crate::ops::{Kernels, Normalised};

/// Share of a new batch in the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// What a batch normalisation and what follows it in the same pass take.
#[derive(Debug)]
pub struct Operands {
    /// [n, c, h, w].
    pub x: Tensor<4>,
    /// Gamma, [c].
    pub scale: Tensor<1>,
    /// Beta, [c].
    pub shift: Tensor<1>,
    /// Of the PReLU that follows, [c].
    pub slope: Option<Tensor<1>>,
    /// Added last, [n, c, h, w].
    pub residual: Option<Tensor<4>>,
}

/// Running statistics of one layer.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Name of the layer.
    pub name: String,
    /// Running mean, one a channel.
    pub mean: Tensor<1>,
    /// Running variance (of the sample, n - 1), one a channel.
    pub variance: Tensor<1>,
    epsilon: f64,
}

impl Statistics {
    /// Those of `b` on `device`.
    pub fn new(layer: &str, b: &BatchNorm, device: &Device) -> Self {
        Self {
            name: layer.to_owned(),
            mean: flat(&b.mean, device),
            variance: flat(&b.variance, device),
            epsilon: f64::from(b.epsilon),
        }
    }

    /// `prelu((x - mean) / sqrt(variance + epsilon) * scale + shift) + residual`, computed in f32.
    pub fn apply(&mut self, operands: Operands, mode: Mode, kernels: Kernels) -> Tensor<4> {
        let Operands { x, scale, shift, slope, residual } = operands;
        let kind = x.dtype();
        let [n, c, h, w] = x.dims();
        let x = x.cast(FloatDType::F32);
        let residual = residual.map(|r| r.cast(FloatDType::F32));
        let normalised = Normalised { x, scale, shift, slope, residual, epsilon: self.epsilon };
        let y = match mode {
            Mode::Judge => normalised.judge(self.mean.clone(), self.variance.clone()),
            Mode::Learn => {
                let (y, [mean, variance]) = normalised.learn(kernels);
                let count = (n * h * w) as f64;
                let unbiased = variance * (count / (count - 1.0).max(1.0));
                self.mean = self.mean.clone() * (1.0 - MOMENTUM) + mean.reshape([c]) * MOMENTUM;
                self.variance = self.variance.clone() * (1.0 - MOMENTUM) + unbiased * MOMENTUM;
                y
            }
        };
        y.cast(kind)
    }

    /// Mean and variance.
    pub fn values(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((read(&self.mean)?, read(&self.variance)?))
    }
}
