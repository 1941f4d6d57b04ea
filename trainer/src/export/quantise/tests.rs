//! Whole networks: the engine on the written file against the int8 arithmetic worked out layer by layer.

use std::path::Path;

use limen_models::session::Session;

use super::equalise::equalise;
use super::graph::{Layer, chosen, quantisable};
use super::measure::{Agreement, outputs};
use super::observe::{Observed, observe};
use super::scheme::Affine;
use super::sensitivity::sensitivity;
use super::*;
use crate::export::{onnx, onnx_int8, proto};
use crate::graph::reference::evaluate;
use crate::graph::{Conv2d, Gemm, InputShape, MaxPool, Network, Op, Rounding, Shape, Size2, Tensor, ValueId};

/// Numbers from -1 to 1 that are the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn list(&mut self, n: usize, width: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * width).collect()
    }

    fn conv(
        &mut self,
        [outs, ins, kh, kw]: [usize; 4],
        groups: usize,
        stride: usize,
        pad: usize,
        bias: bool,
    ) -> Op {
        let count = outs * ins * kh * kw;
        let weight = self.list(count, (3.0 / (ins * kh * kw) as f32).sqrt());
        Op::Conv2d(Conv2d {
            weight: Tensor::new([outs, ins, kh, kw], weight).unwrap(),
            bias: bias.then(|| self.list(outs, 0.3)),
            stride: Size2::square(stride),
            pad: Size2::square(pad),
            groups,
        })
    }

    fn dense(&mut self, outs: usize, ins: usize, bias: bool) -> Op {
        let weight = Tensor::new([outs, ins], self.list(outs * ins, (3.0 / ins as f32).sqrt())).unwrap();
        Op::Gemm(Gemm { weight, bias: bias.then(|| self.list(outs, 0.3)) })
    }
}

/// A residual unit as SphereFace has it, then the head asked for. 3 x 14 x 12 in, 20 numbers out.
fn network(light: bool) -> Network {
    let mut d = Dice(if light { 7 } else { 8 });
    let mut n = Network::new("small", "data", InputShape::fixed(3, 14, 12));
    let slope =
        |d: &mut Dice, c: usize| Op::PRelu { slope: d.list(c, 0.2).iter().map(|v| v + 0.25).collect() };
    let y = n.push("conv1", d.conv([8, 3, 3, 3], 1, 2, 1, true), &[ValueId::INPUT]);
    let first = n.push("act1", slope(&mut d, 8), &[y]);
    let y = n.push("conv2", d.conv([8, 8, 3, 3], 1, 1, 1, true), &[first]);
    let y = n.push("act2", slope(&mut d, 8), &[y]);
    let y = n.push("conv3", d.conv([8, 8, 3, 3], 1, 1, 1, false), &[y]);
    let y = n.push("act3", slope(&mut d, 8), &[y]);
    let sum = n.push("sum", Op::Add, &[first, y]);
    // Two groups of four channels, 1 x 1 after it.
    let y = n.push("grouped", d.conv([12, 4, 3, 3], 2, 1, 1, true), &[sum]);
    let y = n.push("relu", Op::Relu, &[y]);
    let y = n.push("point", d.conv([10, 12, 1, 1], 1, 1, 0, true), &[y]);
    let y = if light {
        // Global depthwise, no activation: int8 goes straight on.
        let y = n.push("global", d.conv([10, 1, 7, 6], 10, 1, 0, true), &[y]);
        let y = n.push("flatten", Op::Flatten, &[y]);
        n.push("fc", d.dense(20, 10, false), &[y])
    } else {
        let pool = MaxPool {
            kernel: Size2::square(2),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        let y = n.push("pool", Op::MaxPool(pool), &[y]);
        let y = n.push("flatten", Op::Flatten, &[y]);
        let y = n.push("hidden", d.dense(24, 10 * 4 * 3, true), &[y]);
        let y = n.push("act4", slope(&mut d, 24), &[y]);
        n.push("fc", d.dense(20, 24, true), &[y])
    };
    n.output("embedding", y);
    n
}

fn samples(count: usize, seed: u64) -> Samples {
    let mut d = Dice(seed);
    Samples { shape: [1, 3, 14, 12], inputs: (0..count).map(|_| d.list(3 * 14 * 12, 1.0)).collect() }
}

fn calibrated(network: &Network) -> Calibration {
    observe(network, &samples(8, 1), || ()).unwrap().calibrate(Method::MinMax)
}

fn engine(bytes: &[u8]) -> Session {
    Session::from_bytes("small", bytes, &["embedding"], Path::new("small.onnx")).unwrap()
}

fn through(affine: Affine, values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = affine.dequantise(affine.quantise(*v)));
}

/// The quantised network by its definition: each int8 layer as a network of one layer with the rounded weights and
/// bias, run by the plain evaluator on rounded inputs, its output rounded. All sums are exact in f64.
fn by_hand(q: &Quantised, input: &[f32]) -> Vec<f32> {
    let shapes = q.network.shapes().unwrap();
    let mut values: Vec<Vec<f32>> = vec![input.to_vec()];
    for (node, layer) in q.network.nodes().iter().zip(&q.layers) {
        let mut op = node.op.clone();
        let mut read: Vec<Vec<f32>> = node.inputs.iter().map(|v| values[v.index()].clone()).collect();
        let mut later = vec![];
        if let Some(Layer { weight, bias, input, .. }) = layer {
            through(*input, &mut read[0]);
            let rounded = Tensor::new(weight.shape.clone(), weight.dequantised()).unwrap();
            match &mut op {
                Op::Conv2d(c) => {
                    c.weight = rounded;
                    let step = |(&b, s): (&i32, &f32)| {
                        (f64::from(b) * f64::from(*s) * f64::from(input.scale)) as f32
                    };
                    c.bias = Some(bias.iter().zip(&weight.scales).map(step).collect());
                }
                Op::Gemm(g) => {
                    g.weight = rounded;
                    later = g.bias.take().unwrap_or_default();
                }
                _ => panic!("no int8 form"),
            }
        }
        let mut out = alone(&op, &node.inputs.iter().map(|v| shapes[v.index()]).collect::<Vec<_>>(), &read);
        if let Some(layer) = layer {
            through(layer.output, &mut out);
        }
        out.iter_mut().zip(&later).for_each(|(y, b)| *y += b);
        values.push(out);
    }
    values.swap_remove(q.network.outputs[0].value.index())
}

/// One operation on its own, through the plain evaluator.
fn alone(op: &Op, shapes: &[Shape], read: &[Vec<f32>]) -> Vec<f32> {
    if matches!(op, Op::Add) {
        return read[0].iter().zip(&read[1]).map(|(a, b)| a + b).collect();
    }
    let input = match shapes[0] {
        Shape::Map { channels, height, width } => InputShape { channels, height, width },
        Shape::Vector { length } => InputShape::fixed(length, 1, 1),
    };
    let mut n = Network::new("one", "x", input);
    let flat = matches!(shapes[0], Shape::Vector { .. }) && matches!(op, Op::Gemm(_));
    let x = if flat { n.push("flat", Op::Flatten, &[ValueId::INPUT]) } else { ValueId::INPUT };
    let y = n.push("op", op.clone(), &[x]);
    n.output("y", y);
    evaluate(&n, &read[0], 1, input.height.unwrap(), input.width.unwrap()).unwrap().remove(0).data
}

#[test]
fn the_engine_computes_what_the_definition_says() {
    for light in [true, false] {
        let network = network(light);
        let calibration = calibrated(&network);
        for exempt in [vec![], vec![Exempt::First, Exempt::Last], vec![Exempt::Depthwise]] {
            let layers = chosen(&network, &exempt).unwrap();
            let q = Quantised::new(&network, &calibration, &layers).unwrap();
            assert_eq!(q.int8_layers(), layers.len());
            let session = engine(&onnx_int8::to_bytes(&q).unwrap());
            let last = q.layers.iter().flatten().last().unwrap().output.scale;
            let checks = samples(6, 2);
            for (got, input) in outputs(&session, &checks, || ()).unwrap().iter().zip(&checks.inputs) {
                let want = by_hand(&q, input);
                // A tie may fall to the other side (the engine multiplies by 1 / scale, in f32) and move what follows:
                // a few steps in a few places, no more.
                let off: f32 = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).sum();
                let most = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(most <= 3.0 * last, "light {light}, {exempt:?}: {most} of steps of {last}");
                assert!(off <= 0.5 * last * got.len() as f32, "light {light}, {exempt:?}: {off}");
            }
        }
    }
}

#[test]
fn int8_stays_near_f32_and_one_layer_nearer() {
    for light in [true, false] {
        let network = network(light);
        let calibration = calibrated(&network);
        let checks = samples(6, 3);
        let f32_session = engine(&onnx::to_bytes(&network).unwrap());
        let reference = outputs(&f32_session, &checks, || ()).unwrap();
        let q = Quantised::new(&network, &calibration, &quantisable(&network)).unwrap();
        let session = engine(&onnx_int8::to_bytes(&q).unwrap());
        let all = Agreement::new(&outputs(&session, &checks, || ()).unwrap(), &reference).unwrap();
        assert!(all.mean > 0.995, "{all:?}");
        let table = sensitivity(&network, &calibration, &checks, &reference, || ()).unwrap();
        let names: Vec<&str> = table.iter().map(|s| s.layer.as_str()).collect();
        let head: &[&str] = if light { &["global", "fc"] } else { &["hidden", "fc"] };
        assert_eq!(names, [&["conv1", "conv2", "conv3", "grouped", "point"], head].concat());
        assert_eq!(table[5].kind, if light { "depthwise" } else { "Gemm" });
        for s in table {
            assert!(s.agreement.mean > all.mean && s.agreement.mean < 1.0, "{s:?}");
        }
    }
}

/// `network` with some channels of its layers far louder than the others.
fn uneven(mut network: Network) -> Network {
    for node in network.nodes_mut() {
        if let Op::Conv2d(Conv2d { weight, bias, .. }) = &mut node.op {
            let row = weight.data().len() / weight.shape()[0];
            for (o, row) in weight.data_mut().chunks_mut(row).enumerate().filter(|(o, _)| o % 5 == 1) {
                row.iter_mut().for_each(|w| *w *= 12.0);
                bias.iter_mut().for_each(|b| b[o] *= 12.0);
            }
        }
    }
    network
}

#[test]
fn equalised_networks_compute_the_same_and_lose_less_as_int8() {
    for light in [true, false] {
        let network = uneven(network(light));
        let seen = observe(&network, &samples(8, 1), || ()).unwrap();
        let even = equalise(&network, &seen).unwrap();
        assert_ne!(even, network);
        let checks = samples(6, 3);
        let run = |n: &Network| outputs(&engine(&onnx::to_bytes(n).unwrap()), &checks, || ()).unwrap();
        let reference = run(&network);
        let largest = reference.iter().flatten().fold(0f32, |m, v| m.max(v.abs()));
        for (a, b) in run(&even).iter().flatten().zip(reference.iter().flatten()) {
            assert!((a - b).abs() <= 5e-5 * largest, "light {light}: {a} {b} of {largest}");
        }
        let int8 = |n: &Network| {
            let q = Quantised::new(n, &calibrated(n), &quantisable(n)).unwrap();
            let session = engine(&onnx_int8::to_bytes(&q).unwrap());
            Agreement::new(&outputs(&session, &checks, || ()).unwrap(), &reference).unwrap().mean
        };
        let (before, after) = (int8(&network), int8(&even));
        assert!(1.0 - after < 0.8 * (1.0 - before), "light {light}: {before} {after}");
    }
}

#[test]
fn the_file_holds_int8_operators_and_no_others_around_weights() {
    let network = network(false);
    let q = Quantised::new(&network, &calibrated(&network), &quantisable(&network)).unwrap();
    let model = onnx_int8::to_model(&q).unwrap();
    assert!(model.opset_import[0].version >= 17);
    let graph = model.graph.unwrap();
    let count = |op: &str| graph.node.iter().filter(|n| n.op_type == op).count();
    assert_eq!((count("QLinearConv"), count("QLinearMatMul")), (5, 2));
    assert_eq!((count("Conv"), count("Gemm"), count("MatMul")), (0, 0, 0));
    let mut made: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    made.push("data");
    let mut read = vec![];
    for node in &graph.node {
        for input in &node.input {
            assert!(made.contains(&input.as_str()), "{input} is read before it is made");
            read.push(input.as_str());
        }
        made.extend(node.output.iter().map(String::as_str));
    }
    let all = made.len();
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), all, "a name is given twice");
    let idle: Vec<_> = graph.initializer.iter().filter(|t| !read.contains(&t.name.as_str())).collect();
    assert!(idle.is_empty(), "{idle:?}");
    let bytes = |kind: i32| -> usize {
        graph.initializer.iter().filter(|t| t.data_type == kind).map(|t| t.raw_data.len()).sum()
    };
    // conv1..3, grouped, point, hidden, fc
    let weights = 8 * 27 + 2 * 8 * 72 + 12 * 36 + 120 + 24 * 120 + 20 * 24;
    assert!(bytes(proto::INT8) >= weights && bytes(proto::INT8) < weights + 200);
}

#[test]
fn light_head_passes_int8_on_without_a_detour() {
    let network = network(true);
    let q = Quantised::new(&network, &calibrated(&network), &quantisable(&network)).unwrap();
    let graph = onnx_int8::to_model(&q).unwrap().graph.unwrap();
    let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
    let tail = ["QLinearConv", "QLinearConv", "Flatten", "QLinearMatMul", "DequantizeLinear"];
    assert_eq!(ops[ops.len() - 5..], tail);
}

#[test]
fn layers_are_exempted_by_word_and_name() {
    let network = network(true);
    let names = |exempt: &str| {
        let exempt: Vec<Exempt> = exempt.split(',').map(|e| e.parse().unwrap()).collect();
        chosen(&network, &exempt)
            .map(|l| l.iter().map(|&i| network.nodes()[i].name.clone()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names("first,last").unwrap(), "conv2 conv3 grouped point global");
    assert_eq!(names("depthwise,conv3").unwrap(), "conv1 conv2 grouped point fc");
    let error = names("conv9").unwrap_err().to_string();
    assert!(error.contains("conv9") && error.contains("conv1, conv2"), "{error}");
    let all = "conv1,conv2,conv3,grouped,point,global,fc";
    assert!(names(all).unwrap_err().to_string().contains("exempt fewer"));
}

#[test]
fn ranges_are_seen_before_the_bias_of_a_fully_connected_layer() {
    // y = 2 x + 100 on x in {-1, 1}: the sums go from -2 to 2.
    let mut n = Network::new("bias", "data", InputShape::fixed(1, 1, 1));
    let x = n.push("flatten", Op::Flatten, &[ValueId::INPUT]);
    let gemm = Gemm { weight: Tensor::new([16, 1], vec![2.0; 16]).unwrap(), bias: Some(vec![100.0; 16]) };
    let y = n.push("fc", Op::Gemm(gemm), &[x]);
    n.output("embedding", y);
    let samples = Samples { shape: [1, 1, 1, 1], inputs: vec![vec![-1.0], vec![1.0], vec![0.5]] };
    let seen: Observed = observe(&n, &samples, || ()).unwrap();
    let calibration = seen.calibrate(Method::MinMax);
    assert_eq!(calibration.pictures, 3);
    let q = Quantised::new(&n, &calibration, &quantisable(&n)).unwrap();
    let layer = q.layers[1].as_ref().unwrap();
    assert_eq!(layer.output.zero_point, 0);
    assert!((layer.output.scale / (2.0 / 127.0) - 1.0).abs() < 0.01, "{:?}", layer.output);
    let got = outputs(&engine(&onnx_int8::to_bytes(&q).unwrap()), &samples, || ()).unwrap();
    assert!((got[0][0] - 98.0).abs() < 0.02 && (got[2][3] - 101.0).abs() < 0.02, "{got:?}");
}

#[test]
fn weights_beyond_four_mebibytes_are_prepared_once() {
    // 1100 x 1100 x 4 bytes is above tract's limit for folding; the result must be right all the same.
    let mut d = Dice(5);
    let mut n = Network::new("large", "data", InputShape::fixed(1, 22, 50));
    let x = n.push("flatten", Op::Flatten, &[ValueId::INPUT]);
    let y = n.push("fc", d.dense(1100, 1100, true), &[x]);
    n.output("embedding", y);
    let samples = Samples { shape: [1, 1, 22, 50], inputs: (0..2).map(|_| d.list(1100, 1.0)).collect() };
    let calibration = observe(&n, &samples, || ()).unwrap().calibrate(Method::MinMax);
    let q = Quantised::new(&n, &calibration, &quantisable(&n)).unwrap();
    let got = outputs(&engine(&onnx_int8::to_bytes(&q).unwrap()), &samples, || ()).unwrap();
    for (got, input) in got.iter().zip(&samples.inputs) {
        let want = by_hand(&q, input);
        let most = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most <= 1.01 * q.layers[1].as_ref().unwrap().output.scale, "{most}");
    }
}

#[test]
fn a_network_without_layers_of_weights_is_refused() {
    let mut n = Network::new("none", "data", InputShape::fixed(1, 4, 4));
    let y = n.push("relu", Op::Relu, &[ValueId::INPUT]);
    n.output("embedding", y);
    let samples = Samples { shape: [1, 1, 4, 4], inputs: vec![vec![0.0; 16]] };
    assert!(observe(&n, &samples, || ()).unwrap_err().to_string().contains("neither a convolution"));
    let other = network(true);
    let calibration =
        Calibration { values: vec![], before_bias: vec![], means: vec![], method: Method::Kl, pictures: 0 };
    let error = Quantised::new(&other, &calibration, &[0]).unwrap_err().to_string();
    assert!(error.contains("conv1") && error.contains("not calibrated"), "{error}");
}
