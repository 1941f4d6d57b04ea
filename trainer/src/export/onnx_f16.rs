//! The same ONNX network in half the bytes: weights stored as f16, cast to f32 before they are used.
//!
//! The arithmetic stays f32: tract has f16 kernels for some processors alone, and takes seconds without them. The
//! casts are computed once, at load.

use prost::Message;

use super::onnx::{int, to_model};
use super::proto;
use crate::graph::{GraphError, Network};

/// Weights of fewer values stay f32: biases and slopes, which are added and not summed up.
const FEWEST: usize = 1024;
/// Greatest f16.
const GREATEST: f32 = 65504.0;

/// The network as an ONNX file with its weights in half precision.
///
/// # Errors
/// When the network is not well formed, still has a batch normalisation in it, or has a weight beyond f16's range.
pub fn to_bytes(network: &Network) -> Result<Vec<u8>, GraphError> {
    let mut model = to_model(network)?;
    if let Some(graph) = &mut model.graph {
        halve(graph, &network.name)?;
    }
    Ok(model.encode_to_vec())
}

/// Stores the large weights of `graph` as f16 under another name and casts each to the name it had.
fn halve(graph: &mut proto::Graph, network: &str) -> Result<(), GraphError> {
    let mut casts = Vec::new();
    for data in &mut graph.initializer {
        let (numbers, _) = data.raw_data.as_chunks();
        if data.data_type != proto::FLOAT || numbers.len() < FEWEST {
            continue;
        }
        let numbers = numbers.iter().map(|&b| f32::from_le_bytes(b));
        if let Some(v) = numbers.clone().find(|v| v.abs() > GREATEST) {
            return Err(GraphError::Network {
                network: network.to_owned(),
                what: format!("`{}` holds {v}, half precision ends at {GREATEST}; keep it in f32", data.name),
            });
        }
        data.raw_data = numbers.flat_map(|v| half(v).to_le_bytes()).collect();
        data.data_type = proto::FLOAT16;
        let name = data.name.clone();
        data.name = format!("{name}.f16");
        casts.push(proto::Node {
            input: vec![data.name.clone()],
            output: vec![name.clone()],
            name: format!("{name}.Cast"),
            op_type: "Cast".into(),
            attribute: vec![int("to", proto::FLOAT as usize)],
            domain: String::new(),
        });
    }
    graph.node.splice(0..0, casts);
    Ok(())
}

/// `v` as IEEE 754 binary16, to the nearest, ties to even; finite `v` of at most [`GREATEST`] only.
fn half(v: f32) -> u16 {
    let sign = if v.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = v.abs();
    // The step between neighbours: 2^-24 below 2^-14, then 2^(exponent - 10). All of it is exact in f32, and the
    // number of steps carries over into the exponent by itself.
    let exponent = ((magnitude.to_bits() >> 23) as i32 - 127).max(-14);
    let steps = (magnitude * 2f32.powi(10 - exponent)).round_ties_even() as u16;
    sign | (steps + (((exponent + 14) as u16) << 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::onnx;
    use crate::graph::{Gemm, InputShape, Op, Tensor, ValueId};
    use crate::import;
    use limen_models::session::Session;
    use std::path::Path;

    #[test]
    fn halves_by_hand() {
        for (v, bits) in [
            (0.0, 0),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.333_333_33, 0x3555),
            (GREATEST, 0x7bff),
            (2f32.powi(-24), 1),
            (2f32.powi(-25), 0), // a tie goes to the even one
            (3.0 * 2f32.powi(-25), 2),
            (2f32.powi(-14) - 2f32.powi(-26), 0x0400), // the largest subnormal rounds up into the first normal
            (1.0 + 2f32.powi(-11), 0x3c00),
            (1.0 + 3.0 * 2f32.powi(-11), 0x3c02),
            (2.0 - 2f32.powi(-12), 0x4000),
        ] {
            assert_eq!(half(v), bits, "{v}");
        }
    }

    /// 64 inputs, 32 outputs: 2,048 weights, enough to be stored as f16.
    fn network() -> Network {
        let mut n = Network::new("half", "data", InputShape::fixed(1, 8, 8));
        let flat = n.push("flatten", Op::Flatten, &[ValueId::INPUT]);
        let weight: Vec<f32> = (0..2048).map(|i| ((i * 37 % 101) as f32 - 50.0) / 77.0).collect();
        let gemm = Gemm { weight: Tensor::new([32, 64], weight).unwrap(), bias: Some(vec![0.1; 32]) };
        let y = n.push("fc", Op::Gemm(gemm), &[flat]);
        n.output("y", y);
        n
    }

    #[test]
    fn it_is_half_the_size_runs_and_reads_back() {
        let n = network();
        let (whole, half) = (onnx::to_bytes(&n).unwrap(), to_bytes(&n).unwrap());
        assert!(whole.len() - half.len() > 2048 * 2 - 200, "{} and {}", whole.len(), half.len());
        let back = import::onnx::read(&half).unwrap();
        let Op::Gemm(gemm) = &back.nodes()[1].op else { panic!() };
        let Op::Gemm(first) = &n.nodes()[1].op else { panic!() };
        for (a, b) in gemm.weight.data().iter().zip(first.weight.data()) {
            assert!((a - b).abs() <= b.abs() / 2048.0, "{a} and {b}");
        }
        // The engine gives what the rounded weights give.
        let input: Vec<f32> = (0..64).map(|i| (i as f32 / 9.0).sin()).collect();
        let want = crate::graph::reference::evaluate(&back, &input, 1, 8, 8).unwrap();
        let session = Session::from_bytes("half", &half, &["y"], Path::new("half.onnx")).unwrap();
        let got = session.run([1, 1, 8, 8], &input).unwrap();
        for (a, b) in got[0].data.iter().zip(&want[0].data) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
    }

    #[test]
    fn a_weight_beyond_half_precision_is_named() {
        let mut n = Network::new("big", "data", InputShape::fixed(1, 8, 8));
        let flat = n.push("flatten", Op::Flatten, &[ValueId::INPUT]);
        let weight = Tensor::new([32, 64], vec![7e4; 2048]).unwrap();
        let y = n.push("fc", Op::Gemm(Gemm { weight, bias: None }), &[flat]);
        n.output("y", y);
        let error = to_bytes(&n).unwrap_err().to_string();
        assert!(error.contains("fc.weight") && error.contains("70000"), "{error}");
    }
}
