//! Batch normalisation: the batch's statistics while learning, running ones afterwards.

use anyhow::Result;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::engine::Mode;
use crate::engine::param::{flat, read};
use crate::graph::BatchNorm;

/// Share of a new batch in the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

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

    /// (x - mean) / sqrt(variance + epsilon) * scale + shift, `x` [n, c, h, w], computed in f32.
    pub fn apply(&mut self, x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, mode: Mode) -> Tensor<4> {
        let kind = x.dtype();
        let x = x.cast(FloatDType::F32);
        let [n, c, h, w] = x.dims();
        let across = |v: Tensor<1>| v.reshape([1, c, 1, 1]);
        let (centred, variance) = match mode {
            Mode::Judge => {
                // Constants take part in the graph where x does.
                (x - across(self.mean.clone()), across(self.variance.clone()))
            }
            Mode::Learn => {
                let mean = x.clone().mean_dim(3).mean_dim(2).mean_dim(0);
                let centred = x - mean.clone();
                let variance = (centred.clone() * centred.clone()).mean_dim(3).mean_dim(2).mean_dim(0);
                let count = (n * h * w) as f64;
                let unbiased = variance.clone().inner().reshape([c]) * (count / (count - 1.0).max(1.0));
                self.mean = self.mean.clone() * (1.0 - MOMENTUM) + mean.inner().reshape([c]) * MOMENTUM;
                self.variance = self.variance.clone() * (1.0 - MOMENTUM) + unbiased * MOMENTUM;
                (centred, variance)
            }
        };
        let y = centred * (across(scale) / (variance + self.epsilon).sqrt()) + across(shift);
        y.cast(kind)
    }

    /// Mean and variance.
    pub fn values(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((read(&self.mean)?, read(&self.variance)?))
    }
}
