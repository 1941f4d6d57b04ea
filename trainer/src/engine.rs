//! A network that learns: the layers of a [`Network`] run by burn, with gradients.
//!
//! Any network of the plain layers can learn, so that fine-tuning takes what the importer reads. Parameters are flat
//! tensors outside of autodiff; each step makes leaves of them, and the solver moves the tensors themselves.

pub mod norm;
pub mod param;

use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, linear};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, FloatDType, Tensor};

use crate::engine::norm::{Operands, Statistics};
pub use crate::engine::param::{Kind, Param};
use crate::graph::{GraphError, MaxPool, Network, Node, Op, Rounding, Size2};
use crate::ops::{Fused, Kernels, conv3x3, max_pool};

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch normalisation takes the batch's own statistics and moves the running ones.
    Learn,
    /// Batch normalisation takes the running statistics.
    Judge,
}

/// In what numbers the layers compute. Parameters, the head and the loss are always f32.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits (on CUDA cards with tensor cores multiplied as TF32).
    #[default]
    F32,
    /// Weights and maps rounded to bfloat16 for each layer.
    Bf16,
}

/// A layer with the places of its parameters.
#[derive(Debug, Clone)]
enum Layer {
    Conv { weight: usize, bias: Option<usize>, stride: Size2, pad: Size2, groups: usize },
    Norm { scale: usize, shift: usize, statistics: usize },
    PRelu { slope: usize },
    Relu,
    Pool(MaxPool),
    Flatten,
    Gemm { weight: usize, bias: Option<usize> },
    Add,
}

/// What a convolution does in one pass beside its own work.
#[derive(Debug, Clone, Copy, Default)]
struct Fusion {
    /// Slope of the PReLU that alone reads the convolution.
    slope: Option<usize>,
    /// The other value of the sum that alone reads that PReLU.
    residual: Option<usize>,
    /// Node whose value comes out.
    last: usize,
}

/// A value between layers.
#[derive(Clone)]
enum Value {
    /// [n, channels, height, width].
    Map(Tensor<4>),
    /// [n, length].
    Vector(Tensor<2>),
}

/// A network with parameters on a device.
pub struct Trainable {
    network: Network,
    layers: Vec<Layer>,
    params: Vec<Param>,
    statistics: Vec<Statistics>,
    /// One a node; `None` for those that another node does as well.
    fusions: Vec<Option<Fusion>>,
    precision: Precision,
    kernels: Kernels,
}

impl std::fmt::Debug for Trainable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trainable({}, {} parameters)", self.network.name, self.params.len())
    }
}

impl Trainable {
    /// The network's weights as parameters on `device` (without autodiff).
    ///
    /// # Errors
    /// When a layer is of a kind that does not learn here (softmax, clipping), by name.
    pub fn new(network: Network, precision: Precision, device: &Device) -> Result<Self, GraphError> {
        network.check()?;
        let mut params = Vec::new();
        let mut statistics = Vec::new();
        let mut layers = Vec::with_capacity(network.nodes().len());
        for node in network.nodes() {
            let mut add = |kind: Kind, shape: &[usize], values: &[f32]| {
                params.push(Param::new(&node.name, kind, shape, values, device));
                params.len() - 1
            };
            layers.push(match &node.op {
                Op::Conv2d(c) => Layer::Conv {
                    weight: add(Kind::Weight, c.weight.shape(), c.weight.data()),
                    bias: c.bias.as_ref().map(|b| add(Kind::Bias, &[b.len()], b)),
                    stride: c.stride,
                    pad: c.pad,
                    groups: c.groups,
                },
                Op::BatchNorm(b) => {
                    statistics.push(Statistics::new(&node.name, b, device));
                    Layer::Norm {
                        scale: add(Kind::Scale, &[b.scale.len()], &b.scale),
                        shift: add(Kind::Shift, &[b.shift.len()], &b.shift),
                        statistics: statistics.len() - 1,
                    }
                }
                Op::PRelu { slope } => Layer::PRelu { slope: add(Kind::Slope, &[slope.len()], slope) },
                Op::Gemm(g) => Layer::Gemm {
                    weight: add(Kind::Weight, g.weight.shape(), g.weight.data()),
                    bias: g.bias.as_ref().map(|b| add(Kind::Bias, &[b.len()], b)),
                },
                Op::Relu => Layer::Relu,
                Op::Flatten => Layer::Flatten,
                Op::Add => Layer::Add,
                Op::MaxPool(pool) => Layer::Pool(*pool),
                Op::Softmax { .. } | Op::Clip { .. } => {
                    return Err(GraphError::Layer {
                        layer: node.name.clone(),
                        what: format!("is a {}; networks with one cannot be trained here", node.op.kind()),
                    });
                }
            });
        }
        let fusions = fusions(&network, &layers);
        Ok(Self { network, layers, params, statistics, fusions, precision, kernels: Kernels::default() })
    }

    /// The same with other kernels.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// The parameters, in running order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The parameters, for the solver and for loading.
    pub fn params_mut(&mut self) -> &mut [Param] {
        &mut self.params
    }

    /// Running statistics of the batch normalisations, in running order.
    pub fn statistics(&self) -> &[Statistics] {
        &self.statistics
    }

    /// The same, for loading.
    pub fn statistics_mut(&mut self) -> &mut [Statistics] {
        &mut self.statistics
    }

    /// Whether a batch's result depends on who else is in it.
    pub fn has_batch_norm(&self) -> bool {
        !self.statistics.is_empty()
    }

    /// One autodiff leaf a parameter, for one step.
    pub fn leaves(&self) -> Vec<Tensor<1>> {
        self.params.iter().map(Param::leaf).collect()
    }

    /// The network's first output for `faces` [n, 3, h, w]; `leaves` as made by [`Trainable::leaves`], or the bare
    /// values where no gradient is wanted. [n, embedding].
    ///
    /// # Errors
    /// When the layers do not fit each other, which [`Network::check`] has ruled out for a fixed input.
    pub fn forward(
        &mut self,
        leaves: &[Tensor<1>],
        faces: Tensor<4>,
        mode: Mode,
    ) -> Result<Tensor<2>, GraphError> {
        Ok(self.forward_all(leaves, faces, mode)?.swap_remove(0))
    }

    /// The same with all outputs, in the network's order; a map is flattened. [n, length] each.
    ///
    /// # Errors
    /// As [`Trainable::forward`].
    pub fn forward_all(
        &mut self,
        leaves: &[Tensor<1>],
        faces: Tensor<4>,
        mode: Mode,
    ) -> Result<Vec<Tensor<2>>, GraphError> {
        let mut uses = self.network.readers();
        let mut values: Vec<Option<Value>> = vec![None; self.layers.len() + 1];
        values[0] = Some(Value::Map(self.narrow(faces)));
        for (i, (node, layer)) in self.network.nodes().iter().zip(&self.layers).enumerate() {
            let Some(fusion) = self.fusions[i] else { continue };
            let mut read = |i: usize| take(&mut values, &mut uses, node, i);
            let made = match layer {
                Layer::Conv { weight, bias, stride, pad, groups } => {
                    let [o, c, h, w] = four(&self.params[*weight].shape);
                    let kernel = self.narrow(leaves[*weight].clone().reshape([o, c, h, w]));
                    let bias = bias.map(|b| self.narrow(leaves[b].clone()));
                    let x = map(read(0)?, node)?;
                    Value::Map(if is_3x3(layer, [h, w]) {
                        let slope = fusion.slope.map(|s| self.narrow(leaves[s].clone()));
                        let residual = residual(&mut values, &mut uses, fusion, node)?;
                        let fused = Fused { bias, slope, residual };
                        conv3x3(x, kernel, fused, stride.height, pad.height, self.kernels)
                    } else {
                        let (stride, pad) = ([stride.height, stride.width], [pad.height, pad.width]);
                        conv2d(x, kernel, bias, ConvOptions::new(stride, pad, [1, 1], *groups))
                    })
                }
                Layer::Norm { scale, shift, statistics } => {
                    let x = read(0)?;
                    let operands = |x, residual| Operands {
                        x,
                        scale: leaves[*scale].clone(),
                        shift: leaves[*shift].clone(),
                        slope: fusion.slope.map(|s| leaves[s].clone()),
                        residual,
                    };
                    let statistics = &mut self.statistics[*statistics];
                    match x {
                        Value::Map(x) => {
                            let residual = residual(&mut values, &mut uses, fusion, node)?;
                            Value::Map(statistics.apply(operands(x, residual), mode, self.kernels))
                        }
                        Value::Vector(x) => {
                            let [n, c] = x.dims();
                            let x = x.reshape([n, c, 1, 1]);
                            let y = statistics.apply(operands(x, None), mode, self.kernels);
                            Value::Vector(y.reshape([n, c]))
                        }
                    }
                }
                Layer::PRelu { slope } => {
                    let slope = self.narrow(leaves[*slope].clone());
                    let c = slope.dims()[0];
                    match read(0)? {
                        Value::Map(x) => Value::Map(prelu(x, slope.reshape([1, c, 1, 1]))),
                        Value::Vector(x) => Value::Vector(prelu(x, slope.reshape([1, c]))),
                    }
                }
                Layer::Relu => match read(0)? {
                    Value::Map(x) => Value::Map(relu(x)),
                    Value::Vector(x) => Value::Vector(relu(x)),
                },
                Layer::Pool(pool) => Value::Map(max_pool(map(read(0)?, node)?, window(pool), self.kernels)),
                Layer::Flatten => match read(0)? {
                    Value::Map(x) => Value::Vector(x.flatten(1, 3)),
                    vector => vector,
                },
                Layer::Gemm { weight, bias } => {
                    let [o, i] = two(&self.params[*weight].shape);
                    // Ours is [out, in], burn's [in, out].
                    let weight = self.narrow(leaves[*weight].clone().reshape([o, i]).transpose());
                    let bias = bias.map(|b| self.narrow(leaves[b].clone()));
                    Value::Vector(linear(vector(read(0)?, node)?, weight, bias))
                }
                Layer::Add => match (read(0)?, read(1)?) {
                    (Value::Map(a), Value::Map(b)) => Value::Map(a + b),
                    (Value::Vector(a), Value::Vector(b)) => Value::Vector(a + b),
                    _ => return Err(unfit(node)),
                },
            };
            values[fusion.last + 1] = Some(made);
        }
        let out = self.network.outputs.iter().map(|output| match &values[output.value.index()] {
            Some(Value::Vector(x)) => Ok(x.clone().cast(FloatDType::F32)),
            Some(Value::Map(x)) => Ok(x.clone().flatten(1, 3).cast(FloatDType::F32)),
            None => Err(GraphError::Network {
                network: self.network.name.clone(),
                what: format!("its output {:?} was not kept", output.name),
            }),
        });
        out.collect()
    }

    /// The network with the weights and statistics as they are now.
    ///
    /// # Errors
    /// When the device fails to hand a tensor over.
    pub fn to_network(&self) -> anyhow::Result<Network> {
        let mut network = self.network.clone();
        for (node, layer) in network.nodes_mut().iter_mut().zip(&self.layers) {
            let values = |i: usize| self.params[i].values();
            match (&mut node.op, layer) {
                (Op::Conv2d(c), Layer::Conv { weight, bias, .. }) => {
                    c.weight.data_mut().copy_from_slice(&values(*weight)?);
                    c.bias = bias.map(values).transpose()?;
                }
                (Op::Gemm(g), Layer::Gemm { weight, bias }) => {
                    g.weight.data_mut().copy_from_slice(&values(*weight)?);
                    g.bias = bias.map(values).transpose()?;
                }
                (Op::PRelu { slope }, Layer::PRelu { slope: i }) => *slope = values(*i)?,
                (Op::BatchNorm(b), Layer::Norm { scale, shift, statistics }) => {
                    (b.scale, b.shift) = (values(*scale)?, values(*shift)?);
                    (b.mean, b.variance) = self.statistics[*statistics].values()?;
                }
                _ => {}
            }
        }
        Ok(network)
    }

    /// Rounded for the layers where the precision says so.
    fn narrow<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.precision {
            Precision::F32 => x,
            Precision::Bf16 => x.cast(FloatDType::BF16),
        }
    }
}

/// max(x, 0) + slope * min(x, 0), in the form whose gradients burn makes fastest (12 % of a step, measured).
fn prelu<const D: usize>(x: Tensor<D>, slope: Tensor<D>) -> Tensor<D> {
    relu(x.clone()) - relu(x.neg()) * slope
}

fn window(pool: &MaxPool) -> MaxPoolOptions<2> {
    MaxPoolOptions::new([pool.kernel.height, pool.kernel.width])
        .with_stride([pool.stride.height, pool.stride.width])
        .with_padding([pool.pad.height, pool.pad.width])
        .with_ceil_mode(pool.rounding == Rounding::Ceil)
}

/// What `node` reads as its input `i`; the last reader takes it away.
fn take(
    values: &mut [Option<Value>],
    uses: &mut [usize],
    node: &Node,
    i: usize,
) -> Result<Value, GraphError> {
    take_at(values, uses, node.inputs.get(i).map_or(usize::MAX, |id| id.index()), node)
}

fn take_at(
    values: &mut [Option<Value>],
    uses: &mut [usize],
    at: usize,
    node: &Node,
) -> Result<Value, GraphError> {
    let (Some(slot), Some(left)) = (values.get_mut(at), uses.get_mut(at)) else { return Err(unfit(node)) };
    *left = left.saturating_sub(1);
    let value = if *left == 0 { slot.take() } else { slot.clone() };
    value.ok_or_else(|| unfit(node))
}

/// The map that `fusion` adds, if it adds one.
fn residual(
    values: &mut [Option<Value>],
    uses: &mut [usize],
    fusion: Fusion,
    node: &Node,
) -> Result<Option<Tensor<4>>, GraphError> {
    let read = |at| map(take_at(values, uses, at, node)?, node);
    fusion.residual.map(read).transpose()
}

/// Which nodes run, and what each 3x3 convolution or batch normalisation takes over: the PReLU that alone reads it, and the sum that alone
/// reads that PReLU and whose other value is there before.
fn fusions(network: &Network, layers: &[Layer]) -> Vec<Option<Fusion>> {
    let readers = network.readers();
    let nodes = network.nodes();
    let only_reader = |i: usize| {
        let value = i + 1;
        let mut all = nodes.iter().enumerate().filter(|(_, n)| n.inputs.iter().any(|id| id.index() == value));
        all.next().map(|(j, _)| j).filter(|_| readers[value] == 1)
    };
    let mut fusions: Vec<Option<Fusion>> =
        (0..nodes.len()).map(|last| Some(Fusion { last, ..Fusion::default() })).collect();
    for (i, (node, layer)) in nodes.iter().zip(layers).enumerate() {
        let can = match &node.op {
            Op::Conv2d(conv) => {
                let [_, _, h, w] = four(conv.weight.shape());
                is_3x3(layer, [h, w])
            }
            Op::BatchNorm(_) => true,
            _ => false,
        };
        let Some(act) = only_reader(i).filter(|_| can) else { continue };
        let Layer::PRelu { slope } = &layers[act] else { continue };
        let mut fusion = Fusion { slope: Some(*slope), residual: None, last: act };
        fusions[act] = None;
        if let Some(sum) = only_reader(act).filter(|s| matches!(layers[*s], Layer::Add)) {
            let other = nodes[sum].inputs.iter().map(|id| id.index()).find(|v| *v != act + 1);
            if let Some(other) = other.filter(|v| *v <= i) {
                fusion = Fusion { residual: Some(other), last: sum, ..fusion };
                fusions[sum] = None;
            }
        }
        fusions[i] = Some(fusion);
    }
    fusions
}

/// What the kernels of [`ops`](crate::ops) are made for: 3x3, dense, padding 1 at stride 1 or 2, or none at stride 1.
fn is_3x3(layer: &Layer, kernel: [usize; 2]) -> bool {
    let Layer::Conv { stride, pad, groups, .. } = layer else { return false };
    let kinds = [(1, 1), (2, 1), (1, 0)].map(|(s, p)| (Size2::square(s), Size2::square(p)));
    kernel == [3, 3] && *groups == 1 && kinds.contains(&(*stride, *pad))
}

fn map(value: Value, node: &Node) -> Result<Tensor<4>, GraphError> {
    match value {
        Value::Map(x) => Ok(x),
        Value::Vector(_) => Err(unfit(node)),
    }
}

fn vector(value: Value, node: &Node) -> Result<Tensor<2>, GraphError> {
    match value {
        Value::Vector(x) => Ok(x),
        Value::Map(_) => Err(unfit(node)),
    }
}

fn unfit(node: &Node) -> GraphError {
    GraphError::Layer { layer: node.name.clone(), what: "cannot take what comes before it".into() }
}

fn four(shape: &[usize]) -> [usize; 4] {
    std::array::from_fn(|i| shape.get(i).copied().unwrap_or(1))
}

fn two(shape: &[usize]) -> [usize; 2] {
    std::array::from_fn(|i| shape.get(i).copied().unwrap_or(1))
}

#[cfg(test)]
mod tests;
