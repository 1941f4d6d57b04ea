//! Channels of one value made equally loud before int8 gives them one scale.
//!
//! PReLU, ReLU, sums and maxima all let a positive factor a channel pass: dividing what makes a channel by s and
//! multiplying what reads it by s leaves the network as it was. Chosen well, a quiet channel no longer drowns in the
//! rounding of a loud one (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
//! 2019, section 4.1; with activations measured on pictures, as in Xiao et al., "SmoothQuant", 2022, eq. 4).

use super::observe::Observed;
use super::reads::{Reads, weight_of};
use crate::graph::{GraphError, Network, Op, Shape, ValueId};

/// A factor stays within this and its inverse: what is louder still is rare and would cost the weights too much.
const MOST: f32 = 16.0;

/// `network` with its channels equalised by what `observed` saw of it. It computes the same, but for rounding.
///
/// # Errors
/// When the network is not well formed.
pub fn equalise(network: &Network, observed: &Observed) -> Result<Network, GraphError> {
    network.check()?;
    let shapes = network.shapes()?;
    let channels: Vec<usize> = shapes.iter().map(channels).collect();
    let mut out = network.clone();
    for class in classes(network, &channels) {
        let Some(&first) = class.first() else { continue };
        let loud = loudness(&class, observed, channels[first]);
        let weighty = weight_of_inputs(network, &class, channels[first]);
        let factors = factors(&loud, &weighty);
        for (i, node) in out.nodes_mut().iter_mut().enumerate() {
            if class.contains(&(i + 1)) {
                divide_outputs(&mut node.op, &factors);
            }
            if node.inputs.iter().any(|v| class.contains(&v.index())) {
                multiply_inputs(&mut node.op, &factors);
            }
        }
    }
    Ok(out)
}

fn channels(shape: &Shape) -> usize {
    match shape {
        Shape::Map { channels, .. } => *channels,
        Shape::Vector { length } => *length,
    }
}

/// Values whose channels can only be scaled together, as indices; those that cannot be scaled at all are left out:
/// the input, the outputs, and whatever stands around an operation that is not the same at every scale.
fn classes(network: &Network, channels: &[usize]) -> Vec<Vec<usize>> {
    let n = channels.len();
    let mut class: Vec<usize> = (0..n).collect();
    let mut fixed = vec![false; n];
    fixed[ValueId::INPUT.index()] = true;
    network.outputs.iter().for_each(|o| fixed[o.value.index()] = true);
    let mut tie = |a: usize, b: usize| {
        let (from, to) = (class[a], class[b]);
        class.iter_mut().filter(|c| **c == from).for_each(|c| *c = to);
    };
    for (i, node) in network.nodes().iter().enumerate() {
        let inputs = node.inputs.iter().map(|v| v.index());
        match node.op {
            Op::Conv2d(_) | Op::Gemm(_) => {}
            Op::PRelu { .. } | Op::Relu | Op::MaxPool(_) | Op::Flatten | Op::Add => {
                inputs.for_each(|v| tie(v, i + 1));
            }
            Op::BatchNorm(_) | Op::Clip { .. } | Op::Softmax { .. } => {
                fixed[i + 1] = true;
                inputs.for_each(|v| fixed[v] = true);
            }
        }
    }
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); n];
    (0..n).for_each(|v| all[class[v]].push(v));
    all.retain(|c| c.iter().any(|&v| channels[v] > 1) && !c.iter().any(|&v| fixed[v]));
    // A flattened map has a number of places a channel: its readers are served by blocks, see `multiply_inputs`.
    for c in &mut all {
        c.sort_by_key(|&v| channels[v]);
    }
    all
}

/// Each channel's share of the loudest, in whichever value of the class it is greatest. 0 was never heard.
fn loudness(class: &[usize], observed: &Observed, channels: usize) -> Vec<f32> {
    let mut loud = vec![0f32; channels];
    for peaks in class.iter().filter_map(|&v| observed.peaks(v)).filter(|p| p.len() == channels) {
        let most = peaks.iter().copied().fold(0.0, f32::max);
        if most > 0.0 {
            loud.iter_mut().zip(peaks).for_each(|(l, p)| *l = l.max(p / most));
        }
    }
    loud
}

/// Of every channel the greatest share that a weight reading it has of its row's largest: what is near 1 sets the
/// rows' scales. 0 where a row reads nothing else (depthwise), since the row's scale then follows the channel.
fn weight_of_inputs(network: &Network, class: &[usize], channels: usize) -> Vec<f32> {
    let mut most = vec![0f32; channels];
    for node in network.nodes() {
        if !node.inputs.iter().any(|v| class.contains(&v.index())) {
            continue;
        }
        let Some((weight, groups)) = weight_of(&node.op) else { continue };
        let reads = Reads::new(weight, groups, channels);
        if reads.a_row == 1 {
            continue;
        }
        for (o, row) in weight.data().chunks(reads.row.max(1)).enumerate() {
            let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
            if largest > 0.0 {
                for (k, block) in row.chunks(reads.block.max(1)).enumerate() {
                    let here = block.iter().fold(0f32, |m, w| m.max(w.abs()));
                    let c = &mut most[reads.channel(o, k)];
                    *c = c.max(here / largest);
                }
            }
        }
    }
    most
}

/// The square root of loudness over weight, about a geometric mean of 1. A channel that is silent or that nothing
/// weighs keeps what the others leave it: 1.
fn factors(loud: &[f32], weighty: &[f32]) -> Vec<f32> {
    let depthwise = weighty.iter().all(|w| *w == 0.0);
    let wanted = |(l, w): (&f32, &f32)| match (*l > 0.0, depthwise, *w > 0.0) {
        (true, true, _) => Some(*l),
        (true, false, true) => Some((l / w).sqrt()),
        _ => None,
    };
    let wanted: Vec<Option<f32>> = loud.iter().zip(weighty).map(wanted).collect();
    let known = wanted.iter().flatten().count().max(1) as f32;
    let middle = (wanted.iter().flatten().map(|s| s.ln()).sum::<f32>() / known).exp();
    wanted.iter().map(|s| s.map_or(1.0, |s| (s / middle).clamp(MOST.recip(), MOST))).collect()
}

fn divide_outputs(op: &mut Op, factors: &[f32]) {
    let (weight, bias) = match op {
        Op::Conv2d(c) => (&mut c.weight, &mut c.bias),
        Op::Gemm(g) => (&mut g.weight, &mut g.bias),
        _ => return,
    };
    let row = weight.data().len() / factors.len().max(1);
    for (weights, s) in weight.data_mut().chunks_mut(row.max(1)).zip(factors) {
        weights.iter_mut().for_each(|w| *w /= s);
    }
    if let Some(bias) = bias {
        let a_channel = (bias.len() / factors.len().max(1)).max(1);
        bias.chunks_mut(a_channel).zip(factors).for_each(|(block, s)| block.iter_mut().for_each(|b| *b /= s));
    }
}

fn multiply_inputs(op: &mut Op, factors: &[f32]) {
    let (weight, groups) = match op {
        Op::Conv2d(c) => (&mut c.weight, c.groups),
        Op::Gemm(g) => (&mut g.weight, 1),
        _ => return,
    };
    let reads = Reads::new(weight, groups, factors.len());
    for (o, row) in weight.data_mut().chunks_mut(reads.row.max(1)).enumerate() {
        for (k, block) in row.chunks_mut(reads.block.max(1)).enumerate() {
            block.iter_mut().for_each(|w| *w *= factors[reads.channel(o, k)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_by_hand() {
        // Channel 1 is a quarter as loud and weighs as much: it gets the louder half. 2 is silent.
        assert_eq!(factors(&[1.0, 0.25, 0.0], &[0.5, 0.5, 1.0]), [2f32.sqrt(), 0.5f32.sqrt(), 1.0]);
        // What is loud and light comes down most: sqrt(1 / 0.01) = 10 against sqrt(0.04 / 1) = 0.2.
        let f = factors(&[1.0, 0.04], &[0.01, 1.0]);
        assert!((f[0] / f[1] - 50.0).abs() < 1e-3 && (f[0] * f[1] - 1.0).abs() < 1e-5, "{f:?}");
        // Depthwise: as loud as each other, whatever the weights.
        assert_eq!(factors(&[1.0, 0.25], &[0.0, 0.0]), [2.0, 0.5]);
        assert_eq!(factors(&[1.0, 1e-9], &[0.0, 0.0]), [MOST, MOST.recip()]);
        assert_eq!(factors(&[0.0], &[0.0]), [1.0]);
    }
}
