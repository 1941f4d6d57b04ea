//! The engine against the plain reference evaluator, gradients against differences, statistics by hand.

use super::*;
use crate::backbone::{Biases, Depth, INPUT, Normalisation, Output, Spec};
use crate::graph::reference::evaluate;
use burn::tensor::TensorData;

fn faces(n: usize, [c, h, w]: [usize; 3]) -> Vec<f32> {
    (0..n * c * h * w).map(|i| ((i * 7919 + i / 13) % 255) as f32 / 128.0 - 1.0).collect()
}

fn tensor(values: &[f32], shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn small(normalisation: Normalisation, output: Output) -> Network {
    let spec = Spec {
        width: 0.125,
        embedding: 6,
        normalisation,
        output,
        biases: Biases::Published,
        ..Spec::published(Depth::D10)
    };
    spec.build(5).unwrap()
}

#[test]
fn the_engine_computes_what_the_reference_computes() {
    let device = Device::flex();
    let pixels = faces(2, [3, 112, 96]);
    for (normalisation, output) in [
        (Normalisation::None, Output::Fc5),
        (Normalisation::Batch, Output::Depthwise),
        (Normalisation::Batch, Output::Fc5),
    ] {
        let network = small(normalisation, output);
        let want = evaluate(&network, &pixels, 2, 112, 96).unwrap()[0].data.clone();
        let mut net = Trainable::new(network.clone(), Precision::F32, &device).unwrap();
        let values: Vec<Tensor<1>> = net.params().iter().map(|p| p.value.clone()).collect();
        let got = net.forward(&values, tensor(&pixels, [2, 3, 112, 96], &device), Mode::Judge).unwrap();
        let scale = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (a, b) in param::read(&got).unwrap().iter().zip(&want) {
            assert!((a - b).abs() <= 1e-5 * scale, "{a} {b} of {scale}");
        }
        assert_eq!(net.to_network().unwrap(), network, "nothing was learnt, nothing changes");
    }
}

#[test]
fn pooling_and_several_outputs_are_the_references_too() {
    use crate::detector::{Stage, nets::begin};
    let device = Device::flex();
    for stage in Stage::ALL {
        let (network, side) = (begin(stage, 5).unwrap(), stage.side());
        let pixels = faces(2, [3, side, side]);
        let mut net = Trainable::new(network.clone(), Precision::F32, &device).unwrap();
        let values: Vec<Tensor<1>> = net.params().iter().map(|p| p.value.clone()).collect();
        let got =
            net.forward_all(&values, tensor(&pixels, [2, 3, side, side], &device), Mode::Judge).unwrap();
        let want = evaluate(&network, &pixels, 2, side, side).unwrap();
        assert_eq!(got.len(), 3);
        for (got, want) in got.iter().zip(&want) {
            let scale = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (a, b) in param::read(got).unwrap().iter().zip(&want.data) {
                assert!((a - b).abs() <= 1e-5 * scale, "{stage:?}: {a} {b} of {scale}");
            }
        }
    }
}

#[test]
fn our_kernels_and_burns_learn_alike() {
    let device = Device::flex();
    let pixels = faces(3, [3, 112, 96]);
    for normalisation in [Normalisation::None, Normalisation::Batch] {
        let network = small(normalisation, Output::Fc5);
        alike(&network, &tensor(&pixels, [3, 3, 112, 96], &device), &format!("{normalisation:?}"));
    }
}

/// Our kernels and burn's give `network` the same gradients on `faces`, parameter by parameter.
fn alike(network: &Network, faces: &Tensor<4>, which: &str) {
    let run = |kernels| {
        let mut net =
            Trainable::new(network.clone(), Precision::F32, &faces.device()).unwrap().with_kernels(kernels);
        let leaves = net.leaves();
        let outputs = net.forward_all(&leaves, faces.clone().autodiff(), Mode::Learn).unwrap();
        let sum = outputs.into_iter().map(|y| (y.clone() * y).sum()).reduce(|a, b| a + b).unwrap();
        let mut grads = sum.backward();
        let of = |leaf: &Tensor<1>| param::read(&leaf.grad_remove(&mut grads).unwrap()).unwrap();
        leaves.iter().map(of).collect::<Vec<_>>()
    };
    for (i, (a, b)) in run(Kernels::Ours).iter().zip(run(Kernels::Burn)).enumerate() {
        let scale = b.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        let off = a.iter().zip(&b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs())) / scale;
        assert!(off < 2e-2, "{which}, parameter {i}: off by {off}");
    }
}

#[test]
fn convolutions_without_padding_learn_alike_too() {
    use crate::detector::{Stage, nets::begin};
    let device = Device::flex();
    for stage in Stage::ALL {
        let side = stage.side();
        let pixels = faces(3, [3, side, side]);
        alike(
            &begin(stage, 5).unwrap(),
            &tensor(&pixels, [3, 3, side, side], &device),
            &format!("{stage:?}"),
        );
    }
}

#[test]
fn parameters_are_named_after_the_layers_and_move_as_published() {
    let net = Trainable::new(Spec::published(Depth::D4).build(1).unwrap(), Precision::F32, &Device::flex())
        .unwrap();
    let told: Vec<(&str, f64, f64)> =
        net.params().iter().map(|p| (p.name.as_str(), p.rate.lr, p.rate.decay)).collect();
    assert_eq!(
        &told[..3],
        [("conv1_1.weight", 1.0, 1.0), ("conv1_1.bias", 2.0, 0.0), ("relu1_1.slope", 1.0, 1.0)]
    );
    assert_eq!(&told[12..], [("fc5.weight", 1.0, 1.0), ("fc5.bias", 2.0, 0.0)]);
    assert_eq!(net.params().iter().map(|p| p.value.dims()[0] as u64).sum::<u64>(), 12_562_496);
}

/// conv 3x3 / 2 -> norm -> PReLU -> sum with itself convolved -> flatten -> fully connected, on 2 x 6 x 4.
fn tiny() -> Network {
    use crate::graph::{BatchNorm, Conv2d, Gemm, InputShape, Tensor as Weights, ValueId};
    let mut n = Network::new("tiny", "x", InputShape::fixed(2, 6, 4));
    let weights = |shape: &[usize], k: usize| {
        let n = shape.iter().product::<usize>();
        Weights::new(shape.to_vec(), (0..n).map(|i| ((i * k) % 11) as f32 / 11.0 - 0.4).collect()).unwrap()
    };
    let conv = |out, from, stride, k| {
        Op::Conv2d(Conv2d {
            weight: weights(&[out, from, 3, 3], k),
            bias: (stride == 2).then(|| vec![0.1; out]),
            stride: Size2::square(stride),
            pad: Size2::square(1),
            groups: 1,
        })
    };
    let y = n.push("a", conv(3, 2, 2, 5), &[ValueId::INPUT]);
    let y = n.push(
        "n",
        Op::BatchNorm(BatchNorm {
            scale: vec![1.0, 0.5, 2.0],
            shift: vec![0.0, 0.1, -0.2],
            mean: vec![0.0; 3],
            variance: vec![1.0; 3],
            epsilon: 1e-5,
        }),
        &[y],
    );
    let y = n.push("p", Op::PRelu { slope: vec![0.25, 0.1, 0.5] }, &[y]);
    let z = n.push("b", conv(3, 3, 1, 3), &[y]);
    let y = n.push("sum", Op::Add, &[y, z]);
    let y = n.push("flat", Op::Flatten, &[y]);
    let y = n.push("fc", Op::Gemm(Gemm { weight: weights(&[2, 18], 7), bias: Some(vec![0.0, 0.3]) }), &[y]);
    n.output("y", y);
    n
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let device = Device::flex();
    let pixels = faces(3, [2, 6, 4]);
    let mut net = Trainable::new(tiny(), Precision::F32, &device).unwrap();
    // Some smooth number of the outputs.
    let loss = |net: &mut Trainable, leaves: &[Tensor<1>]| {
        let x = tensor(&pixels, [3, 2, 6, 4], &device);
        let y = net.forward(leaves, x, Mode::Learn).unwrap();
        (y.clone() * y).sum()
    };
    let leaves = net.leaves();
    let mut grads = loss(&mut net, &leaves).backward();
    for (i, leaf) in leaves.iter().enumerate() {
        let got = param::read(&leaf.grad_remove(&mut grads).unwrap()).unwrap();
        let values = net.params()[i].values().unwrap();
        let largest = got.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for k in [0, values.len() / 2, values.len() - 1] {
            let at = |net: &mut Trainable, by: f32| {
                let mut moved: Vec<Tensor<1>> = net.params().iter().map(|p| p.value.clone()).collect();
                let mut v = values.clone();
                v[k] += by;
                moved[i] = param::flat(&v, &device);
                f64::from(param::read(&loss(net, &moved)).unwrap()[0])
            };
            let h = 2e-3;
            let want = ((at(&mut net, h) - at(&mut net, -h)) / (2.0 * f64::from(h))) as f32;
            // f32 sums of about 50 lose 1e-5 a difference; the bias before a normalisation has no gradient at all.
            let slack = 0.02 * largest.max(want.abs()).max(0.2);
            assert!(
                (got[k] - want).abs() < slack,
                "{} [{k}]: {} against {want}",
                net.params()[i].name,
                got[k]
            );
        }
    }
}

#[test]
fn batch_statistics_by_hand() {
    // Two images of one channel of two pixels: 1, 3 and 5, 7: mean 4, variance 5, of the sample 20/3.
    let b = crate::graph::BatchNorm {
        scale: vec![2.0],
        shift: vec![1.0],
        mean: vec![0.0],
        variance: vec![1.0],
        epsilon: 0.0,
    };
    let device = Device::flex();
    let mut s = Statistics::new("n", &b, &device);
    let x = tensor(&[1.0, 3.0, 5.0, 7.0], [2, 1, 1, 2], &device);
    let (scale, shift) = (param::flat(&[2.0], &device), param::flat(&[1.0], &device));
    let mut apply = |mode| {
        let operands = Operands {
            x: x.clone(),
            scale: scale.clone(),
            shift: shift.clone(),
            slope: None,
            residual: None,
        };
        let y = param::read(&s.apply(operands, mode, Kernels::Ours)).unwrap();
        (y, s.values().unwrap())
    };
    let (y, (mean, variance)) = apply(Mode::Learn);
    for (got, v) in y.iter().zip([1.0f32, 3.0, 5.0, 7.0]) {
        assert!((got - ((v - 4.0) / 5.0f32.sqrt() * 2.0 + 1.0)).abs() < 1e-5);
    }
    // 0.9 x 0 + 0.1 x 4; 0.9 x 1 + 0.1 x 20/3.
    assert!((mean[0] - 0.4).abs() < 1e-6 && (variance[0] - (0.9 + 2.0 / 3.0)).abs() < 1e-5);
    let (y, _) = apply(Mode::Judge);
    assert!((y[0] - ((1.0 - 0.4) / (0.9f32 + 2.0 / 3.0).sqrt() * 2.0 + 1.0)).abs() < 1e-5);
}

#[test]
fn what_cannot_learn_is_named() {
    let mut n = Network::new("t", "x", INPUT);
    let y = n.push("probabilities", Op::Softmax { axis: 1 }, &[crate::graph::ValueId::INPUT]);
    n.output("y", y);
    let e = Trainable::new(n, Precision::F32, &Device::flex()).unwrap_err().to_string();
    assert!(e.contains("`probabilities`") && e.contains("Softmax"), "{e}");
}
