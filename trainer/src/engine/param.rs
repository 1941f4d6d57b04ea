//! One set of weights that learns: flat values on a device, and how fast it may move.

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};

/// What a parameter is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a convolution or fully connected layer.
    Weight,
    /// Added to each output.
    Bias,
    /// Of a PReLU.
    Slope,
    /// Gamma of a batch normalisation.
    Scale,
    /// Beta of a batch normalisation.
    Shift,
}

impl Kind {
    /// The word behind the layer's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Slope => "slope",
            Self::Scale => "scale",
            Self::Shift => "shift",
        }
    }

    /// Learning rate and weight decay of this kind, as multiples of the run's (reference section 3.1: biases 2 and 0;
    /// PReLU slopes, which the prototxt gives no `param` block, 1 and 1). Batch normalisation is not decayed.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Weight | Self::Slope => Rate { lr: 1.0, decay: 1.0 },
            Self::Bias => Rate { lr: 2.0, decay: 0.0 },
            Self::Scale | Self::Shift => Rate { lr: 1.0, decay: 0.0 },
        }
    }
}

/// How fast a parameter may move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Times the run's learning rate.
    pub lr: f64,
    /// Times the run's weight decay.
    pub decay: f64,
}

/// One set of weights.
#[derive(Debug, Clone)]
pub struct Param {
    /// Layer and kind: `conv1_1.weight`.
    pub name: String,
    /// Shape that the layer sees.
    pub shape: Vec<usize>,
    /// The values, C order, outside of autodiff.
    pub value: Tensor<1>,
    /// How fast it may move.
    pub rate: Rate,
}

impl Param {
    /// `values` of `shape` on `device`.
    pub fn new(layer: &str, kind: Kind, shape: &[usize], values: &[f32], device: &Device) -> Self {
        Self {
            name: format!("{layer}.{}", kind.word()),
            shape: shape.to_vec(),
            value: flat(values, device),
            rate: kind.rate(),
        }
    }

    /// An autodiff leaf of the values.
    pub fn leaf(&self) -> Tensor<1> {
        self.value.clone().autodiff().require_grad()
    }

    /// The values.
    pub fn values(&self) -> Result<Vec<f32>> {
        read(&self.value).with_context(|| self.name.clone())
    }
}

/// `values` on `device`, outside of autodiff.
pub fn flat(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// The numbers of a tensor, C order.
pub fn read<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_to_vec_as().map_err(|e| anyhow::anyhow!("the device gave no numbers: {e}"))
}
