//! The networks of the measurement, each able to run on our kernels or on burn's.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PRelu, PReluConfig, PaddingConfig2d,
};
use burn::tensor::{Device, Tensor, activation};

use super::Net;
use crate::ops::{self, Fused};

/// Whose kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// `crate::ops`.
    Ours,
    /// burn's modules.
    Burn,
}

impl Kernels {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Kernels::Ours => "ours",
            Kernels::Burn => "burn",
        }
    }
}

/// Convolution, batch norm where there is one, PReLU.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    act: PRelu,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, stride: usize, bias: bool, norm: bool, device: &Device) -> Self {
        let bound = (3.0 / (9 * inputs) as f64).sqrt();
        let conv = Conv2dConfig::new([inputs, outputs], [3, 3])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(bias && !norm)
            .with_initializer(Initializer::Uniform { min: -bound, max: bound })
            .init(device);
        let norm = norm.then(|| BatchNormConfig::new(outputs).init(device));
        Self { conv, norm, act: PReluConfig::new().with_num_parameters(outputs).init(device) }
    }

    /// The layer, plus `residual` where there is one.
    fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, kernels: Kernels) -> Tensor<4> {
        let slope = self.act.alpha.val();
        let y = match (kernels, &self.norm) {
            (Kernels::Ours, None) => {
                let bias = self.conv.bias.as_ref().map(|b| b.val());
                let fused = Fused { bias, slope: Some(slope), residual };
                return ops::conv3x3_fused(x, self.conv.weight.val(), fused, self.conv.stride[0]);
            }
            (Kernels::Ours, Some(norm)) => {
                let y = ops::conv3x3(x, self.conv.weight.val(), None, self.conv.stride[0]);
                return ops::batch_norm_prelu(norm, y, Some(slope), residual);
            }
            (Kernels::Burn, None) => activation::prelu(self.conv.forward(x), slope),
            (Kernels::Burn, Some(norm)) => activation::prelu(norm.forward(self.conv.forward(x)), slope),
        };
        match residual {
            Some(r) => y + r,
            None => y,
        }
    }
}

/// A stride-2 layer and its residual pairs.
#[derive(Module, Debug)]
struct Stage {
    down: Layer,
    units: Vec<[Layer; 2]>,
}

/// A network with a classifier behind it.
#[derive(Module, Debug)]
pub struct Network {
    stages: Vec<Stage>,
    /// Each channel's plane to one number.
    plane: Option<Conv2d>,
    fc: Linear,
    classes: Linear,
}

impl Network {
    /// With random weights.
    pub fn new(net: Net, classes: usize, device: &Device) -> Self {
        let (width, units, norm) = match net {
            Net::SphereFace4 => (64, [0, 0, 0, 0], false),
            Net::SphereFace20 => (64, [1, 2, 4, 1], false),
            Net::Half10 => (32, [0, 1, 2, 0], true),
        };
        let channels = [3, width, 2 * width, 4 * width, 8 * width];
        let stages = (0..4)
            .map(|i| {
                let wide = channels[i + 1];
                let layer = || Layer::new(wide, wide, 1, false, norm, device);
                Stage {
                    down: Layer::new(channels[i], wide, 2, true, norm, device),
                    units: (0..units[i]).map(|_| [layer(), layer()]).collect(),
                }
            })
            .collect();
        let last = channels[4];
        let (pixels, embedding) = if norm { (1, 128) } else { (42, 512) };
        Self {
            stages,
            plane: norm.then(|| {
                Conv2dConfig::new([last, last], [7, 6]).with_groups(last).with_bias(false).init(device)
            }),
            fc: LinearConfig::new(last * pixels, embedding).init(device),
            classes: LinearConfig::new(embedding, classes).with_bias(false).init(device),
        }
    }

    /// `[n, 3, 112, 96]` to `[n, classes]`.
    pub fn forward(&self, mut x: Tensor<4>, kernels: Kernels) -> Tensor<2> {
        for stage in &self.stages {
            x = stage.down.forward(x, None, kernels);
            for [first, second] in &stage.units {
                let y = first.forward(x.clone(), None, kernels);
                x = second.forward(y, Some(x), kernels);
            }
        }
        if let Some(plane) = &self.plane {
            x = plane.forward(x);
        }
        let x = self.fc.forward(x.flatten::<2>(1, 3));
        self.classes.forward(x)
    }
}
