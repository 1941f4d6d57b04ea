//! Runs pictures through the f32 network and looks at every value that int8 will have to hold.
//!
//! The network is written once more with those values as its outputs and run by the engine of the door, since the
//! plain evaluator would need minutes for one picture.

use std::path::Path;

use limen_models::session::Session;

use super::range::{Histogram, Method};
use super::scheme::Affine;
use super::{QuantiseError, Samples};
use crate::export::onnx;
use crate::graph::{GraphError, Network, Op, ValueId};

/// Histograms of one network's values over some pictures.
#[derive(Debug, Clone)]
pub struct Observed {
    /// One a value (as `Network::shapes`); `None` where no int8 layer can read or make it.
    values: Vec<Option<Histogram>>,
    /// Of fully connected layers with a bias, by the value they make: the sums before the bias, which is added in
    /// f32 (QLinearMatMul has none).
    before_bias: Vec<Option<Histogram>>,
    /// One a value, as `values`.
    channels: Vec<Option<Channels>>,
    pictures: usize,
}

/// Sums over pictures of what each channel of a value was, per picture.
#[derive(Debug, Clone, Default)]
struct Channels {
    mean: Vec<f64>,
    peak: Vec<f64>,
}

impl Channels {
    /// Adds a picture's value of `count` channels, the channels slowest.
    fn add(&mut self, count: usize, data: &[f32]) {
        self.mean.resize(count, 0.0);
        self.peak.resize(count, 0.0);
        let places = (data.len() / count.max(1)).max(1);
        for ((mean, peak), x) in self.mean.iter_mut().zip(&mut self.peak).zip(data.chunks(places)) {
            *mean += x.iter().map(|v| f64::from(*v)).sum::<f64>() / places as f64;
            *peak += f64::from(x.iter().fold(0f32, |m, v| m.max(v.abs())));
        }
    }
}

/// Scales of one network's values, by one method.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// One a value; `None` where no int8 layer can read or make it.
    pub values: Vec<Option<Affine>>,
    /// The same before the bias of fully connected layers.
    pub before_bias: Vec<Option<Affine>>,
    /// The mean of every channel, one list a value; empty where no int8 layer can read or make it.
    pub means: Vec<Vec<f32>>,
    /// How the ranges were chosen.
    pub method: Method,
    /// Pictures they rest on.
    pub pictures: usize,
}

impl Observed {
    /// The range of every value by `method`, as a scale and a zero point.
    pub fn calibrate(&self, method: Method) -> Calibration {
        let affine = |h: &Option<Histogram>| h.as_ref().map(|h| Affine::for_range(h.range(method)));
        Calibration {
            values: self.values.iter().map(affine).collect(),
            before_bias: self.before_bias.iter().map(affine).collect(),
            means: self.channels.iter().map(|c| self.share(c.as_ref().map(|c| &c.mean))).collect(),
            method,
            pictures: self.pictures,
        }
    }
}

impl Observed {
    /// How far each channel of a value went from zero in a picture, in the mean over the pictures; `None` where no
    /// int8 layer can read or make it.
    pub(super) fn peaks(&self, value: usize) -> Option<Vec<f32>> {
        let channels = self.channels.get(value)?.as_ref()?;
        Some(self.share(Some(&channels.peak)))
    }

    fn share(&self, sums: Option<&Vec<f64>>) -> Vec<f32> {
        sums.into_iter().flatten().map(|s| (s / self.pictures.max(1) as f64) as f32).collect()
    }
}

/// The value that `id` is a flattened form of, or `id` itself: one range holds for both.
pub(super) fn unflattened(network: &Network, mut id: ValueId) -> ValueId {
    while let Some(node) = id.node().and_then(|n| network.nodes().get(n)) {
        match (&node.op, node.inputs.first()) {
            (Op::Flatten, Some(&input)) => id = input,
            _ => break,
        }
    }
    id
}

/// What an int8 layer would read or make: one flag a value, flattened forms left out.
fn wanted(network: &Network) -> Vec<bool> {
    let mut wanted = vec![false; network.nodes().len() + 1];
    for (i, node) in network.nodes().iter().enumerate() {
        if matches!(node.op, Op::Conv2d(_) | Op::Gemm(_)) {
            wanted[i + 1] = true;
            for &input in &node.inputs {
                wanted[unflattened(network, input).index()] = true;
            }
        }
    }
    wanted
}

/// Runs `samples` through `network`, calling `tick` after each.
///
/// # Errors
/// When the network is not well formed or the engine cannot run it.
pub fn observe(
    network: &Network,
    samples: &Samples,
    mut tick: impl FnMut(),
) -> Result<Observed, QuantiseError> {
    network.check()?;
    let wanted = wanted(network);
    let fresh = |want: bool| want.then(Histogram::default);
    let mut values: Vec<_> = wanted.iter().map(|&w| fresh(w)).collect();
    let bias = |value: usize| match value.checked_sub(1).and_then(|n| network.nodes().get(n)).map(|n| &n.op) {
        Some(Op::Gemm(gemm)) => gemm.bias.as_deref(),
        _ => None,
    };
    let mut before_bias: Vec<_> = (0..wanted.len()).map(|v| fresh(bias(v).is_some())).collect();
    let mut channels: Vec<_> = wanted.iter().map(|&w| w.then(Channels::default)).collect();
    // The input is at hand; all else is tapped.
    let taps: Vec<ValueId> =
        network.value_ids().filter(|v| v.node().is_some() && wanted[v.index()]).collect();
    if taps.is_empty() {
        return Err(GraphError::Network {
            network: network.name.clone(),
            what: "has neither a convolution nor a fully connected layer to quantise".into(),
        }
        .into());
    }
    let session = tapped(network, &taps)?;
    for input in &samples.inputs {
        if let Some(h) = &mut values[ValueId::INPUT.index()] {
            h.add(input.iter().copied());
        }
        if let Some(c) = &mut channels[ValueId::INPUT.index()] {
            c.add(samples.shape[1], input);
        }
        for (tap, output) in taps.iter().zip(session.run(samples.shape, input)?) {
            let at = tap.index();
            if let (Some(h), Some(bias)) = (&mut before_bias[at], bias(at)) {
                h.add(output.data.iter().zip(bias).map(|(y, b)| y - b));
            }
            if let Some(c) = &mut channels[at] {
                c.add(output.shape.get(1).copied().unwrap_or(1), &output.data);
            }
            if let Some(h) = &mut values[at] {
                h.add(output.data);
            }
        }
        tick();
    }
    Ok(Observed { values, before_bias, channels, pictures: samples.inputs.len() })
}

/// `network` with `taps` as its outputs, ready to run.
fn tapped(network: &Network, taps: &[ValueId]) -> Result<Session, QuantiseError> {
    let mut tapped = network.clone();
    tapped.outputs.clear();
    let names: Vec<String> = taps.iter().map(|v| format!("tap {}", v.index())).collect();
    for (name, &value) in names.iter().zip(taps) {
        tapped.output(name, value);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = onnx::to_bytes(&tapped)?;
    Ok(Session::from_bytes(&network.name, &bytes, &names, Path::new(&network.name))?)
}
