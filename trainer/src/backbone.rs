//! SphereFace-4 to -64 as plain networks with their first weights: layer by layer as published, and the options for
//! small boards and ablations.
//!
//! Source: `wy1iu/sphereface`, `train/code/sphereface_model.prototxt` (reference section 3.1). A backbone is a
//! [`Network`] from the start: the same data that is trained, drawn, counted, exported and run.

pub mod draw;
pub mod init;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::backbone::init::Init;
use crate::graph::{
    BatchNorm, Conv2d, Gemm, GraphError, InputShape, Network, Op, Shape, Size2, Tensor, ValueId,
};

/// The aligned crop that SphereFace takes: 3 x 112 rows x 96 columns.
pub const INPUT: InputShape = InputShape::fixed(3, 112, 96);
/// Name of the network's input.
pub const INPUT_NAME: &str = "face";
/// Name of the network's output: the embedding, not normalised.
pub const OUTPUT_NAME: &str = "embedding";
/// First slope of every PReLU (Caffe `prelu_layer.cpp`, default filler).
const SLOPE: f32 = 0.25;
/// What is added to the variance in batch normalisation.
pub const EPSILON: f32 = 1e-5;
/// Channels of the four stages at width 1.
const CHANNELS: [usize; 4] = [64, 128, 256, 512];

/// Number of convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Depth {
    /// No residual unit.
    D4,
    /// Residual units 0, 1, 2, 0.
    D10,
    /// 1, 2, 4, 1: the paper's network.
    D20,
    /// 2, 4, 8, 2.
    D36,
    /// 3, 8, 16, 3.
    D64,
}

impl Depth {
    /// All of them, from small to large.
    pub const ALL: [Self; 5] = [Self::D4, Self::D10, Self::D20, Self::D36, Self::D64];

    /// Convolutions.
    pub const fn convolutions(self) -> u32 {
        match self {
            Self::D4 => 4,
            Self::D10 => 10,
            Self::D20 => 20,
            Self::D36 => 36,
            Self::D64 => 64,
        }
    }

    /// Residual units of each stage.
    pub const fn units(self) -> [usize; 4] {
        match self {
            Self::D4 => [0, 0, 0, 0],
            Self::D10 => [0, 1, 2, 0],
            Self::D20 => [1, 2, 4, 1],
            Self::D36 => [2, 4, 8, 2],
            Self::D64 => [3, 8, 16, 3],
        }
    }
}

impl From<Depth> for u32 {
    fn from(depth: Depth) -> Self {
        depth.convolutions()
    }
}

impl TryFrom<u32> for Depth {
    type Error = String;

    fn try_from(n: u32) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|d| d.convolutions() == n);
        known.ok_or_else(|| format!("depth {n} is not known; there are 4, 10, 20, 36 and 64"))
    }
}

/// What makes the embedding of the last map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Fully connected with bias over the whole map: the paper's fc5, half of SphereFace-20's weights.
    Fc5,
    /// One depthwise convolution as large as the map, then fully connected without bias (MobileFaceNet's light head).
    Depthwise,
}

/// What stands between a convolution and its activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Nothing: the paper.
    None,
    /// Batch normalisation, folded into the convolution at export.
    Batch,
}

/// Which convolutions learn a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Biases {
    /// The four stride-2 convolutions and fc5; those of residual units are frozen at 0 (the prototxt's lr_mult 0).
    Published,
    /// None at all (paper, appendix E).
    None,
}

/// What follows the embedding layer in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastActivation {
    /// Nothing: "the last ReLU is removed" (paper, appendix A).
    None,
    /// A ReLU, for the paper's ablation (appendix E).
    Relu,
}

/// A backbone in words. The default is the paper's SphereFace-20.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Convolutions: 4, 10, 20, 36 or 64.
    pub depth: Depth,
    /// Channels of every stage times this: 1 = 64, 128, 256, 512.
    pub width: f64,
    /// Numbers of the embedding.
    pub embedding: usize,
    /// What makes the embedding of the last map.
    pub output: Output,
    /// Batch normalisation after each convolution, or not.
    pub normalisation: Normalisation,
    /// Which convolutions learn a bias. With batch normalisation none has one.
    pub biases: Biases,
    /// What follows the embedding layer.
    pub last_activation: LastActivation,
}

/// Numbers of the published embedding.
const EMBEDDING: usize = 512;

impl Default for Spec {
    fn default() -> Self {
        Self::published(Depth::D20)
    }
}

impl Spec {
    /// The published network of this depth.
    pub fn published(depth: Depth) -> Self {
        Self {
            depth,
            width: 1.0,
            embedding: EMBEDDING,
            output: Output::Fc5,
            normalisation: Normalisation::None,
            biases: Biases::Published,
            last_activation: LastActivation::None,
        }
    }

    /// What cannot be built, by field.
    pub fn validate(&self) -> Result<(), String> {
        if !(1.0 / 16.0..=4.0).contains(&self.width) {
            return Err(format!("network.width {} lies outside 0.0625 to 4", self.width));
        }
        if !(2..=4096).contains(&self.embedding) {
            return Err(format!("network.embedding {} lies outside 2 to 4096", self.embedding));
        }
        Ok(())
    }

    /// A short name such as `sphereface-20` or `sphereface-10-w0.5-bn-dw-128`.
    pub fn name(&self) -> String {
        let mut name = format!("sphereface-{}", self.depth.convolutions());
        if self.width != 1.0 {
            name += &format!("-w{}", self.width);
        }
        if self.normalisation == Normalisation::Batch {
            name += "-bn";
        }
        if self.output == Output::Depthwise {
            name += "-dw";
        }
        if self.embedding != EMBEDDING {
            name += &format!("-{}", self.embedding);
        }
        name
    }

    /// Channels of the four stages: whole multiples of 8, so that every vector unit is filled.
    pub fn channels(&self) -> [usize; 4] {
        CHANNELS.map(|c| (((c as f64 * self.width) / 8.0).round() as usize).max(1) * 8)
    }

    /// The places of all residual units, two convolutions each.
    pub fn units(&self) -> impl Iterator<Item = [String; 2]> {
        let stages = (1..).zip(self.depth.units());
        stages.flat_map(|(stage, units)| (0..units).map(move |unit| places(stage, unit)))
    }

    /// The network for crops of [`INPUT`], its weights drawn from `seed`.
    ///
    /// # Errors
    /// Never for a spec that [`Spec::validate`] lets pass.
    pub fn build(&self, seed: u64) -> Result<Network, GraphError> {
        Builder { spec: self, net: Network::new(self.name(), INPUT_NAME, INPUT), seed }.build()
    }
}

struct Builder<'a> {
    spec: &'a Spec,
    net: Network,
    seed: u64,
}

impl Builder<'_> {
    fn build(mut self) -> Result<Network, GraphError> {
        let mut value = ValueId::INPUT;
        let mut channels = INPUT.channels;
        for (stage, (out, units)) in self.spec.channels().into_iter().zip(self.spec.depth.units()).enumerate()
        {
            let s = stage + 1;
            // The first of a stage halves the map; all others are in residual units.
            value = self.conv(&format!("{s}_1"), value, [out, channels], 2)?;
            channels = out;
            for unit in 0..units {
                let [first, last] = places(s, unit);
                let inner = self.conv(&first, value, [out, out], 1)?;
                let inner = self.conv(&last, inner, [out, out], 1)?;
                // Nothing follows the sum (reference trap 7).
                value = self.net.push(format!("res{last}"), Op::Add, &[value, inner]);
            }
        }
        value = match self.spec.output {
            Output::Fc5 => {
                let bias = self.spec.biases == Biases::Published;
                self.flat(value, bias)?
            }
            Output::Depthwise => {
                let (height, width) = self.last_map()?;
                let weight = self.weight("conv5_dw", [channels, 1, height, width], Init::Xavier)?;
                let conv = Conv2d {
                    weight,
                    bias: None,
                    stride: Size2::square(1),
                    pad: Size2::square(0),
                    groups: channels,
                };
                let mut pooled = self.net.push("conv5_dw", Op::Conv2d(conv), &[value]);
                if self.spec.normalisation == Normalisation::Batch {
                    pooled = self.net.push("bn5_dw", batch_norm(channels), &[pooled]);
                }
                self.flat(pooled, false)?
            }
        };
        if self.spec.last_activation == LastActivation::Relu {
            value = self.net.push("relu5", Op::Relu, &[value]);
        }
        self.net.output(OUTPUT_NAME, value);
        self.net.check()?;
        Ok(self.net)
    }

    /// Convolution 3x3 pad 1, batch normalisation where asked for, PReLU.
    fn conv(
        &mut self,
        place: &str,
        from: ValueId,
        [out, into]: [usize; 2],
        stride: usize,
    ) -> Result<ValueId, GraphError> {
        let transition = stride == 2;
        let name = format!("conv{place}");
        let init = if transition { Init::Xavier } else { Init::Gaussian { std: 0.01 } };
        let weight = self.weight(&name, [out, into, 3, 3], init)?;
        let batch = self.spec.normalisation == Normalisation::Batch;
        let biased = transition && !batch && self.spec.biases == Biases::Published;
        let conv = Conv2d {
            weight,
            bias: biased.then(|| vec![0.0; out]),
            stride: Size2::square(stride),
            pad: Size2::square(1),
            groups: 1,
        };
        let mut value = self.net.push(name, Op::Conv2d(conv), &[from]);
        if batch {
            value = self.net.push(format!("bn{place}"), batch_norm(out), &[value]);
        }
        Ok(self.net.push(format!("relu{place}"), Op::PRelu { slope: vec![SLOPE; out] }, &[value]))
    }

    /// All of the map into one embedding.
    fn flat(&mut self, from: ValueId, biased: bool) -> Result<ValueId, GraphError> {
        let flat = self.net.push("flatten", Op::Flatten, &[from]);
        let length = self.shape_of(flat)?.channels();
        let out = self.spec.embedding;
        let weight = self.weight("fc5", [out, length], Init::Xavier)?;
        let bias = biased.then(|| vec![0.0; out]);
        Ok(self.net.push("fc5", Op::Gemm(Gemm { weight, bias }), &[flat]))
    }

    fn weight<const N: usize>(
        &self,
        name: &str,
        shape: [usize; N],
        init: Init,
    ) -> Result<Tensor, GraphError> {
        let values = init.values(self.seed, name, &shape);
        Tensor::new(shape, values)
            .map_err(|e| GraphError::Layer { layer: name.to_owned(), what: e.to_string() })
    }

    fn shape_of(&self, value: ValueId) -> Result<Shape, GraphError> {
        let shapes = self.net.shapes()?;
        shapes.get(value.index()).copied().ok_or_else(|| GraphError::Network {
            network: self.net.name.clone(),
            what: "a value without a layer".into(),
        })
    }

    fn last_map(&self) -> Result<(usize, usize), GraphError> {
        match self.net.shapes()?.last() {
            Some(Shape::Map { height: Some(h), width: Some(w), .. }) => Ok((*h, *w)),
            _ => Err(GraphError::Network {
                network: self.net.name.clone(),
                what: "no map before the embedding".into(),
            }),
        }
    }
}

/// Where the convolutions of a stage's residual unit stand, as the published network counts them: `2_2` and `2_3` are
/// the first unit of stage 2. A layer is called by its kind and its place.
fn places(stage: usize, unit: usize) -> [String; 2] {
    [2, 3].map(|first| format!("{stage}_{}", 2 * unit + first))
}

fn batch_norm(channels: usize) -> Op {
    Op::BatchNorm(BatchNorm {
        scale: vec![1.0; channels],
        shift: vec![0.0; channels],
        mean: vec![0.0; channels],
        variance: vec![1.0; channels],
        epsilon: EPSILON,
    })
}

#[cfg(test)]
mod tests;
