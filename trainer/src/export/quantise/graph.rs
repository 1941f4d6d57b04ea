//! A quantised network as data: which layers run in int8, with which weights and scales.

use std::str::FromStr;

use super::observe::Calibration;
use super::scheme::{Affine, Weight};
use crate::graph::{GraphError, Network, Node, Op, Tensor};

/// A layer that shall stay in f32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exempt {
    /// The first convolution or fully connected layer.
    First,
    /// The last one.
    Last,
    /// Every convolution with one input channel a group: few weights, and slow as int8 in the engine.
    Depthwise,
    /// A layer by its name.
    Layer(String),
}

impl FromStr for Exempt {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "first" => Self::First,
            "last" => Self::Last,
            "depthwise" => Self::Depthwise,
            name => Self::Layer(name.to_owned()),
        })
    }
}

/// An int8 layer: a convolution, or a fully connected layer whose bias is added in f32 afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// As the f32 layer's own, [out, ...].
    pub weight: Weight,
    /// Of a convolution, in steps of the input's scale times each channel's scale.
    pub bias: Vec<i32>,
    /// How the input is written.
    pub input: Affine,
    /// How the result is written; of a fully connected layer before its bias.
    pub output: Affine,
}

/// A network some of whose layers are int8.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The network in f32.
    pub network: Network,
    /// One a node: `None` runs in f32.
    pub layers: Vec<Option<Layer>>,
    /// How each value is written where it is written as int8 (indexed as `Network::shapes`).
    pub values: Vec<Option<Affine>>,
}

/// Indices of the layers that can be int8, in running order.
pub fn quantisable(network: &Network) -> Vec<usize> {
    let can = |node: &Node| matches!(node.op, Op::Conv2d(_) | Op::Gemm(_));
    network.nodes().iter().enumerate().filter(|(_, n)| can(n)).map(|(i, _)| i).collect()
}

/// The layers left when `exempt` are taken out, by index.
///
/// # Errors
/// When a layer is named that is not there or has no weights, or nothing is left.
pub fn chosen(network: &Network, exempt: &[Exempt]) -> Result<Vec<usize>, GraphError> {
    let all = quantisable(network);
    let mut left = all.clone();
    for one in exempt {
        match one {
            Exempt::First => left.retain(|i| Some(i) != all.first()),
            Exempt::Last => left.retain(|i| Some(i) != all.last()),
            Exempt::Depthwise => left.retain(|&i| !is_depthwise(&network.nodes()[i])),
            Exempt::Layer(name) => {
                let Some(at) = all.iter().position(|&i| network.nodes()[i].name == *name) else {
                    let names: Vec<_> = all.iter().map(|&i| network.nodes()[i].name.as_str()).collect();
                    return Err(GraphError::Network {
                        network: network.name.clone(),
                        what: format!(
                            "no convolution or fully connected layer is called {name:?}; there are {}, and the words first, \
                             last and depthwise",
                            names.join(", ")
                        ),
                    });
                };
                left.retain(|i| *i != all[at]);
            }
        }
    }
    if left.is_empty() {
        return Err(GraphError::Network {
            network: network.name.clone(),
            what: "no layer is left to quantise; exempt fewer".into(),
        });
    }
    Ok(left)
}

/// One input channel a group, more than one group.
fn is_depthwise(node: &Node) -> bool {
    matches!(&node.op, Op::Conv2d(c) if c.groups > 1 && c.weight.shape().get(1) == Some(&1))
}

impl Quantised {
    /// Makes the layers `int8` (by index, see [`chosen`]) of `network` int8 ones; all else stays in f32.
    ///
    /// # Errors
    /// When a layer has no weights or was not calibrated.
    pub fn new(network: &Network, calibration: &Calibration, int8: &[usize]) -> Result<Self, GraphError> {
        network.check()?;
        let mut values = calibration.values.clone();
        values.resize(network.nodes().len() + 1, None);
        for id in network.value_ids() {
            values[id.index()] = values[super::observe::unflattened(network, id).index()];
        }
        let mut layers = vec![None; network.nodes().len()];
        for &i in int8 {
            let Some(node) = network.nodes().get(i) else { continue };
            let fault = |what: &str| GraphError::Layer { layer: node.name.clone(), what: what.into() };
            let (weight, bias): (&Tensor, _) = match &node.op {
                Op::Conv2d(c) => (&c.weight, c.bias.as_deref()),
                Op::Gemm(g) => (&g.weight, None),
                other => return Err(fault(&format!("is a {}, which has no int8 form", other.kind()))),
            };
            let unseen = || fault("was not calibrated: its ranges were taken from another network");
            let input = node.inputs.first().and_then(|v| values[v.index()]).ok_or_else(unseen)?;
            let output = match &node.op {
                Op::Gemm(g) if g.bias.is_some() => calibration.before_bias.get(i + 1).copied().flatten(),
                _ => values[i + 1],
            };
            let output = output.ok_or_else(unseen)?;
            let mut weight = Weight::new(weight, bias, input);
            weight.settle(input, output);
            let bias = weight.bias(bias, input);
            layers[i] = Some(Layer { weight, bias, input, output });
        }
        Ok(Self { network: network.clone(), layers, values })
    }

    /// Layers in int8.
    pub fn int8_layers(&self) -> usize {
        self.layers.iter().flatten().count()
    }
}
