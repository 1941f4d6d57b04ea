//! A quantised network as data: which layers run in int8, with which weights and scales.

use std::str::FromStr;

use super::observe::{Calibration, unflattened};
use super::reads::Reads;
use super::scheme::{Affine, Weight};
use crate::graph::{Gemm, GraphError, Network, Node, Op, Tensor};

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
    /// The network in f32, but for the biases of int8 fully connected layers, which make up for their weights' rounding.
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

/// How far the rounding of its weights moves each output in the mean, where the channels it reads have the means
/// `means` (Nagel et al., 2019, section 4.2, without the borders, where padding takes the place of a part).
fn mean_shift(exact: &Tensor, rounded: &Weight, groups: usize, means: &[f32]) -> Vec<f32> {
    let reads = Reads::new(exact, groups, means.len());
    let rounded = rounded.dequantised();
    let rows = exact.data().chunks(reads.row.max(1)).zip(rounded.chunks(reads.row.max(1))).enumerate();
    let of_row = |(o, (exact, rounded)): (usize, (&[f32], &[f32]))| {
        let moved = exact.iter().zip(rounded).enumerate();
        moved
            .map(|(k, (e, r))| (r - e) * means.get(reads.channel(o, k / reads.block.max(1))).unwrap_or(&0.0))
            .sum()
    };
    rows.map(of_row).collect()
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
            values[id.index()] = values[unflattened(network, id).index()];
        }
        let mut out = network.clone();
        let mut layers = vec![None; network.nodes().len()];
        for &i in int8 {
            let Some(node) = network.nodes().get(i) else { continue };
            let fault = |what: &str| GraphError::Layer { layer: node.name.clone(), what: what.into() };
            let (weight, bias, groups): (&Tensor, _, _) = match &node.op {
                Op::Conv2d(c) => (&c.weight, c.bias.as_deref(), c.groups),
                Op::Gemm(g) => (&g.weight, None, 1),
                other => return Err(fault(&format!("is a {}, which has no int8 form", other.kind()))),
            };
            let unseen = || fault("was not calibrated: its ranges were taken from another network");
            let input = node.inputs.first().and_then(|v| values[v.index()]).ok_or_else(unseen)?;
            let output = match &node.op {
                Op::Gemm(g) if g.bias.is_some() => calibration.before_bias.get(i + 1).copied().flatten(),
                _ => values[i + 1],
            };
            let output = output.ok_or_else(unseen)?;
            let means = node.inputs.first().map(|v| unflattened(network, *v).index());
            let means = means.and_then(|v| calibration.means.get(v)).map_or(&[][..], Vec::as_slice);
            let exact = weight;
            let mut weight = Weight::new(exact, bias, input);
            weight.settle(input, output);
            let shift = mean_shift(exact, &weight, groups, means);
            let shifted: Vec<f32> =
                shift.iter().enumerate().map(|(o, s)| bias.map_or(0.0, |b| b[o]) - s).collect();
            let bias = weight.bias(if means.is_empty() { bias } else { Some(&shifted) }, input);
            if let Op::Gemm(Gemm { bias: Some(later), .. }) = &mut out.nodes_mut()[i].op {
                later.iter_mut().zip(&shift).for_each(|(b, s)| *b -= s);
            }
            layers[i] = Some(Layer { weight, bias, input, output });
        }
        Ok(Self { network: out, layers, values })
    }

    /// Layers in int8.
    pub fn int8_layers(&self) -> usize {
        self.layers.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_shift_by_hand() {
        let rounded = |data: &[i8], scales: &[f32], shape: [usize; 4]| Weight {
            shape: shape.to_vec(),
            data: data.to_vec(),
            scales: scales.to_vec(),
        };
        // Two channels of two taps: (1.0 - 0.9 + 0.5 - 0.5) * 3 + (0.5 - 0.7 + 0 - 0.1) * 10.
        let exact = Tensor::new([1, 2, 1, 2], vec![0.9, 0.5, 0.7, 0.1]).unwrap();
        let got = mean_shift(&exact, &rounded(&[2, 1, 1, 0], &[0.5], [1, 2, 1, 2]), 1, &[3.0, 10.0]);
        assert!((got[0] - (0.3 - 3.0)).abs() < 1e-5, "{got:?}");
        // Depthwise: each output its own channel.
        let exact = Tensor::new([2, 1, 1, 1], vec![0.9, 0.7]).unwrap();
        let got = mean_shift(&exact, &rounded(&[1, 1], &[1.0, 0.5], [2, 1, 1, 1]), 2, &[3.0, 10.0]);
        assert!((got[0] - 0.3).abs() < 1e-5 && (got[1] + 2.0).abs() < 1e-5, "{got:?}");
        assert_eq!(mean_shift(&exact, &rounded(&[1, 1], &[1.0, 0.5], [2, 1, 1, 1]), 2, &[]), [0.0, 0.0]);
    }
}
