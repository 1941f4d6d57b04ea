//! What each layer alone costs: the network with that one layer in int8, against the network in f32.

use super::graph::{Quantised, quantisable};
use super::measure::{Agreement, outputs};
use super::observe::Calibration;
use super::{QuantiseError, Samples};
use crate::export::onnx_int8;
use crate::graph::{Network, Op};
use limen_models::session::Session;
use std::path::Path;

/// One layer's share of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// Name of the layer.
    pub layer: String,
    /// What it is, as in [`Op::kind`], depthwise convolutions told apart.
    pub kind: &'static str,
    /// Its weights, without biases.
    pub weights: usize,
    /// Against f32, this layer alone being int8.
    pub agreement: Agreement,
}

/// Quantises each layer of `network` on its own and compares on `samples` with `reference`, the f32 outputs;
/// `tick` is called after each run of a picture. Layers in running order.
///
/// # Errors
/// When a layer was not calibrated or the engine cannot run the network.
pub fn sensitivity(
    network: &Network,
    calibration: &Calibration,
    samples: &Samples,
    reference: &[Vec<f32>],
    mut tick: impl FnMut(),
) -> Result<Vec<Sensitivity>, QuantiseError> {
    let mut table = Vec::new();
    for i in quantisable(network) {
        let quantised = Quantised::new(network, calibration, &[i])?;
        let bytes = onnx_int8::to_bytes(&quantised)?;
        let names: Vec<&str> = network.outputs.iter().map(|o| o.name.as_str()).collect();
        let session = Session::from_bytes(&network.name, &bytes, &names, Path::new(&network.name))?;
        let Some(agreement) = Agreement::new(&outputs(&session, samples, &mut tick)?, reference) else {
            break; // without samples there is nothing to compare
        };
        let node = &network.nodes()[i];
        let (kind, weights) = match &node.op {
            Op::Conv2d(c) if c.groups > 1 && c.weight.shape().get(1) == Some(&1) => {
                ("depthwise", c.weight.data().len())
            }
            Op::Conv2d(c) => (node.op.kind(), c.weight.data().len()),
            Op::Gemm(g) => (node.op.kind(), g.weight.data().len()),
            _ => continue,
        };
        table.push(Sensitivity { layer: node.name.clone(), kind, weights, agreement });
    }
    Ok(table)
}
