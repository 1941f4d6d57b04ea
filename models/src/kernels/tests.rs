//! Every kernel at every level against the formula, and our layers inside tract's graph against tract's own.

use half::f16;
use proptest::prelude::*;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::{DataFormat, sigmoid};
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8};
use tract_onnx::tract_core::ops::{cnn::MaxPool, cnn::conv::KernelFormat};
use tract_onnx::tract_hir::internal::*;

use super::activate::Activation;
use super::convolution::Convolution;
use super::dense::Dense;
use super::depthwise::Depthwise;
use super::entry::planar_row;
use super::frame::Plane;
use super::fused::{Fused, fuse, whole};
use super::int8::{Int8, Over};
use super::pool::Pool;
use super::prelu::PRelu;
use super::program::{Image, Kind, Layer, Program, Value};
use super::quantise::{Quantise, Steps};
use super::simd::Level;
use super::softmax::Softmax;

/// Numbers in -1..1 without a pattern.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Largest difference, in units of the largest number, which is 1 at least: terms of that size may cancel out.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let scale = b.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    most_off(a, b) / scale
}

fn most_off(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

/// f32 sums of some hundred to some thousand terms in another order; Winograd's transforms cost about one digit.
const TOLERANCE: f32 = 3e-5;

#[derive(Debug, Clone, Copy)]
struct Case {
    images: usize,
    before: Plane,
    outputs: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    /// Zeros after the last row and column.
    after: [usize; 2],
}

impl Case {
    fn out(&self) -> Plane {
        let size = |n: usize, axis: usize| {
            (n + self.pad[axis] + self.after[axis] - self.kernel[axis]) / self.stride[axis] + 1
        };
        Plane {
            height: size(self.before.height, 0),
            width: size(self.before.width, 1),
            channels: self.outputs,
        }
    }

    fn weights(&self) -> usize {
        self.outputs * self.before.channels * self.kernel[0] * self.kernel[1]
    }

    /// The convolution by its formula.
    fn convolve(&self, x: &[f32], weights: &[f32]) -> Vec<f32> {
        let (b, o) = (self.before, self.out());
        let mut y = vec![0.0; self.images * o.channels * o.height * o.width];
        for (at, y) in y.iter_mut().enumerate() {
            let (ox, rest) = (at % o.width, at / o.width);
            let (oy, rest) = (rest % o.height, rest / o.height);
            let (co, n) = (rest % o.channels, rest / o.channels);
            let mut sum = 0.0f64;
            for ci in 0..b.channels {
                for ky in 0..self.kernel[0] {
                    for kx in 0..self.kernel[1] {
                        let (iy, ix) = (oy * self.stride[0] + ky, ox * self.stride[1] + kx);
                        let (Some(iy), Some(ix)) = (iy.checked_sub(self.pad[0]), ix.checked_sub(self.pad[1]))
                        else {
                            continue;
                        };
                        if iy < b.height && ix < b.width {
                            let x = x[((n * b.channels + ci) * b.height + iy) * b.width + ix];
                            let w = ((co * b.channels + ci) * self.kernel[0] + ky) * self.kernel[1] + kx;
                            sum += f64::from(x) * f64::from(weights[w]);
                        }
                    }
                }
            }
            *y = sum as f32;
        }
        y
    }
}

/// `prelu(y + bias)` by channel.
fn activate(y: &mut [f32], plane: Plane, bias: &[f32], slope: &[f32]) {
    for (at, y) in y.iter_mut().enumerate() {
        let c = at / (plane.height * plane.width) % plane.channels;
        *y += bias[c];
        if *y < 0.0 {
            *y *= slope[c];
        }
    }
}

/// What it gives, which must be the same to the bit by several threads.
fn run(program: &Program, images: usize, x: &[f32]) -> Vec<Vec<f32>> {
    let by = |threads: usize| {
        let mut outputs: Vec<Vec<f32>> =
            program.outputs().map(|p| vec![f32::NAN; images * p.height * p.width * p.channels]).collect();
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let Plane { height, channels, .. } = program.image();
        let rows = &mut |n: usize, y: usize, row: &mut [f32]| planar_row(x, height, (n, y), row, channels);
        program.run(&mut program.memory(threads), images, rows, &mut slices);
        outputs
    };
    let alone = by(1);
    let bits = |all: &[Vec<f32>]| all.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
    for threads in [2, 3] {
        assert!(bits(&by(threads)) == bits(&alone), "other numbers by {threads} threads");
    }
    alone
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..3usize, 1..40usize, 1..70usize, 1..22usize, 1..22usize);
    let window = (1..4usize, 1..4usize, 1..3usize, 1..3usize, 0..2usize, 0..2usize, 0..2usize, 0..2usize);
    // Half of them of the kind that Winograd does.
    (sizes, window, any::<bool>()).prop_filter_map("a window larger than the image", |(s, w, square)| {
        let (kernel, stride) = if square { ([3, 3], [1, 1]) } else { ([w.0, w.1], [w.2, w.3]) };
        let (pad, after) = if square { ([w.4; 2], [w.4; 2]) } else { ([w.4, w.5], [w.6, w.7]) };
        let before = Plane { height: s.3, width: s.4, channels: s.1 };
        let fits = before.height + pad[0] + after[0] >= kernel[0]
            && before.width + pad[1] + after[1] >= kernel[1]
            && after[0] < kernel[0].max(2)
            && after[1] < kernel[1].max(2);
        fits.then_some(Case { images: s.0, before, outputs: s.2, kernel, stride, pad, after })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_convolution_is_its_formula_at_every_level(case in cases()) {
        let (b, o) = (case.before, case.out());
        let x = noise(case.images * b.height * b.width * b.channels, 1);
        let (weights, bias, slope) = (noise(case.weights(), 2), noise(case.outputs, 3), noise(case.outputs, 4));
        let mut want = case.convolve(&x, &weights);
        activate(&mut want, o, &bias, &slope);
        // Then 1x1 over the result, with the result itself added: a residual that others read too.
        let (mix, shift) = (noise(case.outputs * case.outputs, 5), noise(case.outputs, 6));
        let one = Case {
            before: o, kernel: [1, 1], stride: [1, 1], pad: [0, 0], after: [0, 0], ..case
        };
        let mut both = one.convolve(&want, &mix);
        activate(&mut both, o, &shift, &vec![1.0; case.outputs]);
        both.iter_mut().zip(&want).for_each(|(y, r)| *y += r);
        for level in Level::available() {
            let layers = vec![
                Layer::Convolution(Convolution {
                    from: Value(0), to: Value(1), weights: weights.clone(), kernel: case.kernel,
                    stride: case.stride, pad: case.pad, activation: Activation { bias: Some(bias.clone()), slope: Some(slope.clone()), most: None }, residual: None,
                }),
                Layer::Convolution(Convolution {
                    from: Value(1), to: Value(2), weights: mix.clone(), kernel: [1, 1], stride: [1, 1],
                    pad: [0, 0], activation: Activation { bias: Some(shift.clone()), ..Activation::default() }, residual: Some(Value(1)),
                }),
            ];
            let images = [b, o, o].map(Image::f32);
            let program = Program::new(level, &images, Value(0), layers, &[Value(1), Value(2)]);
            let got = run(&program, case.images, &x);
            let d = [distance(&got[0], &want), distance(&got[1], &both)];
            prop_assert!(d[0] < TOLERANCE && d[1] < TOLERANCE, "{level:?}: off by {d:?}");
        }
    }

    #[test]
    fn a_convolution_in_half_precision_is_near_its_formula(case in cases()) {
        // Whole vectors of channels; others stay in f32.
        let case = Case {
            before: Plane { channels: case.before.channels.next_multiple_of(8), ..case.before },
            outputs: case.outputs.next_multiple_of(8),
            ..case
        };
        let (b, o) = (case.before, case.out());
        let x = noise(case.images * b.height * b.width * b.channels, 1);
        let (weights, bias, slope) = (noise(case.weights(), 2), noise(case.outputs, 3), noise(case.outputs, 4));
        let mut want = case.convolve(&x, &weights);
        activate(&mut want, o, &bias, &slope);
        if let Some(level) = Level::half() {
            let layer = Convolution {
                from: Value(0), to: Value(1), weights: weights.clone(), kernel: case.kernel,
                stride: case.stride, pad: case.pad, activation: Activation { bias: Some(bias.clone()), slope: Some(slope.clone()), most: None }, residual: None,
            };
            let layers = vec![Layer::Convolution(layer)];
            let program = Program::new(level, &[b, o].map(Image::f32), Value(0), layers, &[Value(1)]);
            // By the largest sum of magnitudes: products may cancel, and what each lost in rounding stays.
            let [x_size, w_size] = [&x, &weights].map(|all| all.iter().map(|v| v.abs()).collect::<Vec<_>>());
            let size = case.convolve(&x_size, &w_size).into_iter().fold(1.0, f32::max);
            let off = most_off(&run(&program, case.images, &x)[0], &want) / size;
            prop_assert!(off < 0.03, "off by {off}");
        }
    }

    #[test]
    fn a_depthwise_convolution_is_its_formula_at_every_level(case in cases()) {
        let case = Case { outputs: case.before.channels, ..case };
        let (b, o) = (case.before, case.out());
        let taps = case.kernel[0] * case.kernel[1];
        let x = noise(case.images * b.numbers(), 1);
        let (weights, bias) = (noise(o.channels * taps, 2), noise(o.channels, 3));
        // Channel by channel, each an image of its own.
        let one = Case { images: 1, before: Plane { channels: 1, ..b }, outputs: 1, ..case };
        let mut want: Vec<f32> = x
            .chunks_exact(b.height * b.width)
            .enumerate()
            .flat_map(|(at, plane)| one.convolve(plane, &weights[at % o.channels * taps..][..taps]))
            .collect();
        activate(&mut want, o, &bias, &vec![0.0; o.channels]);
        want.iter_mut().for_each(|y| *y = y.min(0.7));
        for level in Level::available() {
            let activation =
                Activation { bias: Some(bias.clone()), slope: Some(vec![0.0; o.channels]), most: Some(0.7) };
            let layers = vec![Layer::Depthwise(Depthwise {
                from: Value(0), to: Value(1), weights: weights.clone(), kernel: case.kernel,
                stride: case.stride, pad: case.pad, activation, residual: None,
            })];
            let program = Program::new(level, &[b, o].map(Image::f32), Value(0), layers, &[Value(1)]);
            let got = run(&program, case.images, &x);
            prop_assert!(distance(&got[0], &want) < TOLERANCE, "{level:?}");
        }
    }

    #[test]
    fn dense_pool_and_softmax_are_their_formulas_at_every_level(
        (images, height, width, channels, outputs) in (1..3usize, 1..12usize, 1..12usize, 1..40usize, 1..40usize),
        (kernel, stride) in (1..4usize, 1..4usize),
        half in prop::bool::ANY,
    ) {
        let plane = Plane { height, width, channels };
        let one = height * width * channels;
        let x = noise(images * one, 1);
        let (mut weights, bias, slope) = (noise(outputs * one, 2), noise(outputs, 3), noise(outputs, 4));
        if half {
            weights.iter_mut().for_each(|w| *w = f16::from_f32(*w).to_f32());
        }
        let out = Plane { height: 1, width: 1, channels: outputs };
        let mut dense: Vec<f32> = (0..images * outputs)
            .map(|at| {
                let (n, o) = (at / outputs, at % outputs);
                let products = x[n * one..][..one].iter().zip(&weights[o * one..][..one]);
                products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
            })
            .collect();
        activate(&mut dense, out, &bias, &slope);
        // Rounded up, as Caffe does: the last window may reach beyond the edge.
        let count = |n: usize| n.saturating_sub(kernel).div_ceil(stride) + 1;
        let count = |n: usize| { let c = count(n); if (c - 1) * stride >= n { c - 1 } else { c } };
        let pooled = Plane { height: count(height), width: count(width), channels };
        let mut most = Vec::new();
        for plane in x.chunks_exact(height * width) {
            for y in 0..pooled.height {
                for x in 0..pooled.width {
                    let rows = y * stride..(y * stride + kernel).min(height);
                    let all = rows.flat_map(|i| (x * stride..(x * stride + kernel).min(width)).map(move |j| plane[i * width + j]));
                    most.push(all.fold(f32::NEG_INFINITY, f32::max));
                }
            }
        }
        let soft: Vec<f32> = dense
            .chunks_exact(outputs)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
                row.iter().map(move |v| (f64::from(*v).exp() / sum) as f32)
            })
            .collect();
        for level in Level::available() {
            let layers = vec![
                Layer::Dense(Dense {
                    from: Value(0), to: Value(1), weights: weights.clone(), activation: Activation { bias: Some(bias.clone()), slope: Some(slope.clone()), most: None } }), Layer::Pool(Pool { from: Value(0), to: Value(2), kernel: [kernel; 2], stride: [stride; 2] }),
                Layer::Softmax(Softmax { from: Value(1), to: Value(3) }),
            ];
            let all = [plane, out, pooled, out].map(Image::f32);
            let program = Program::new(level, &all, Value(0), layers, &[Value(1), Value(2), Value(3)]);
            let got = run(&program, images, &x);
            prop_assert!(distance(&got[0], &dense) < TOLERANCE, "{level:?}: {:?} for {dense:?}", got[0]);
            prop_assert_eq!(&got[1], &most, "{:?}", level);
            prop_assert!(distance(&got[2], &soft) < TOLERANCE, "{level:?}: {:?} for {soft:?}", got[2]);
        }
    }
}

/// A graph of a convolution, a PReLU, a second convolution with the first added, pooling, and what `then` adds.
fn graph(images: usize, then: impl FnOnce(&mut TypedModel, OutletId) -> TVec<OutletId>) -> TypedModel {
    let mut model = TypedModel::default();
    let source = model.add_source("x", f32::fact([images, 3, 20, 18])).unwrap();
    let constant = |model: &mut TypedModel, name: &str, shape: &[usize], seed: u64| {
        let tensor = Tensor::from_shape(shape, &noise(shape.iter().product(), seed)).unwrap();
        model.add_const(name, tensor).unwrap()
    };
    let spec = |kernel: usize, padding: PaddingSpec, stride: usize, inputs: usize, outputs: usize| PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec!(kernel; 2),
        padding,
        dilations: None,
        strides: Some(tvec!(stride; 2)),
        input_channels: inputs,
        output_channels: outputs,
    };
    let around = || PaddingSpec::Explicit(tvec!(1, 1), tvec!(1, 1));
    let conv = |model: &mut TypedModel, name: &str, x: OutletId, inputs: usize, stride: usize, seed: u64| {
        let weights = constant(model, &format!("{name}.w"), &[24, inputs, 3, 3], seed);
        let bias = constant(model, &format!("{name}.b"), &[24], seed + 1);
        let op = Conv {
            pool_spec: spec(3, around(), stride, inputs, 24),
            kernel_fmt: KernelFormat::OIHW,
            group: 1,
            q_params: None,
        };
        model.wire_node(name, op, &[x, weights, bias]).unwrap()[0]
    };
    let a = conv(&mut model, "a", source, 3, 2, 1);
    let slope = constant(&mut model, "slope", &[1, 24, 1, 1], 3);
    let a = model.wire_node("p", PRelu, &[a, slope]).unwrap()[0];
    let b = conv(&mut model, "b", a, 24, 1, 4);
    let bound = |model: &mut TypedModel, name: &str, bound: f32| {
        model.add_const(name, tensor0(bound).broadcast_into_rank(4).unwrap()).unwrap()
    };
    let (least, most) = (bound(&mut model, "least", 0.0), bound(&mut model, "most", 0.5));
    let b = model.wire_node("relu", tract_core::ops::math::max(), &[b, least]).unwrap()[0];
    let b = model.wire_node("relu6", tract_core::ops::math::min(), &[b, most]).unwrap()[0];
    let sum = model.wire_node("sum", tract_core::ops::math::add(), &[a, b]).unwrap()[0];
    let pool = MaxPool { pool_spec: spec(2, PaddingSpec::Valid, 2, 24, 24), with_index_outputs: None };
    let pooled = model.wire_node("pool", pool, &[sum]).unwrap()[0];
    let outputs = then(&mut model, pooled);
    model.select_output_outlets(&outputs).unwrap();
    model
}

fn results(model: &TypedModel, x: &[f32]) -> Vec<Vec<f32>> {
    let shape = model.input_fact(0).unwrap().shape.as_concrete().unwrap().to_vec();
    let input = Tensor::from_shape(&shape, x).unwrap().into_tvalue();
    let plan = model.clone().into_optimized().unwrap().into_runnable().unwrap();
    let values = plan.run(tvec!(input)).unwrap();
    values.iter().map(|v| v.to_plain_array_view::<f32>().unwrap().iter().copied().collect()).collect()
}

#[test]
fn layers_that_are_ours_become_one_operation_and_the_others_stay_with_tract() {
    for images in [1, 3] {
        let x = noise(images * 3 * 20 * 18, 9);
        let all = graph(images, |_, last| tvec!(last));
        // What comes after a layer that is not ours stays too, and what it needs is handed over.
        let some = graph(images, |model, last| {
            let odd = model.wire_node("odd", sigmoid(), &[last]).unwrap()[0];
            let sum = model.wire_node("end", tract_core::ops::math::add(), &[odd, last]).unwrap()[0];
            tvec!(sum, last)
        });
        for (model, ours) in [(all, true), (some, false)] {
            let fused = fuse(model.clone(), Level::detect()).unwrap();
            assert_eq!(whole(&fused).is_some(), ours);
            assert_eq!(fused.nodes.iter().filter(|n| n.op_is::<Fused>()).count(), 1);
            assert!(
                !fused.nodes.iter().any(|n| n.op_is::<Conv>() || n.op_is::<PRelu>() || n.op_is::<MaxPool>())
            );
            for (got, want) in results(&fused, &x).iter().zip(results(&model, &x)) {
                assert!(distance(got, &want) < TOLERANCE);
            }
        }
    }
}

fn int8s(len: usize, seed: u64) -> Vec<i8> {
    noise(len, seed).iter().map(|x| (x * 127.0) as i8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_int8_layer_is_its_formula_to_the_bit_at_every_level(
        mut case in cases(), zero in -128i8..=127, y_zero in -128i8..=127, next_zero in -128i8..=127,
        own in prop::bool::ANY,
    ) {
        let over = if own { Over::Own } else { Over::All };
        let mut weights = int8s(case.weights(), 2);
        let mut every = weights.clone();
        if own {
            // The same as over all channels with zeros for the others.
            case.outputs = case.before.channels;
            let taps = case.kernel[0] * case.kernel[1];
            weights = int8s(case.outputs * taps, 2);
            every = vec![0; case.weights()];
            for (c, own) in weights.chunks_exact(taps).enumerate() {
                every[c * (case.outputs + 1) * taps..][..taps].copy_from_slice(own);
            }
        }
        let (b, o) = (case.before, case.out());
        let x = int8s(case.images * b.numbers(), 1);
        let bias: Vec<i32> = int8s(case.outputs, 3).iter().map(|b| i32::from(*b) * 50).collect();
        let factors: Vec<f32> = noise(case.outputs, 4).iter().map(|f| f.abs() * 0.002 + 1e-4).collect();
        let (slope, shift) = (noise(case.outputs, 5), noise(case.outputs, 6));
        let (scale, steps) = (0.037, Steps { inverse: 21.7, zero: next_zero });
        // The convolution of what the steps stand for is exact in f32: no sum here reaches 2^24.
        let whole = |v: &[i8], zero: i8| -> Vec<f32> {
            v.iter().map(|q| f32::from(*q) - f32::from(zero)).collect()
        };
        let sums = case.convolve(&whole(&x, zero), &whole(&every, 0));
        let mut want = [Vec::new(), Vec::new(), Vec::new()];
        for (at, sum) in sums.iter().enumerate() {
            let c = at / (o.height * o.width) % o.channels;
            let zero = f32::from(y_zero);
            let q = ((sum + bias[c] as f32) * factors[c]).round_ties_even() + zero;
            let q = q.clamp(-128.0, 127.0);
            let v = (q - zero) * scale + shift[c];
            let v = if v < 0.0 { v * slope[c] } else { v };
            let n = (v * steps.inverse).round_ties_even() + f32::from(steps.zero);
            let n = n.clamp(-128.0, 127.0);
            want[0].push((q - f32::from(y_zero)) * scale);
            want[1].push(v);
            want[2].push((n - f32::from(steps.zero)) / steps.inverse);
        }
        let u8_of = |zero: i8| Kind::U8 { zero: (i16::from(zero) + 128) as u8 };
        // The input as f32, whole steps of a scale of 1; what is u8 at the end comes back as f32 by layers of one tap.
        let images = [
            Image::f32(b),
            Image { plane: b, kind: u8_of(zero) },
            Image { plane: o, kind: u8_of(y_zero) },
            Image::f32(o),
            Image { plane: o, kind: u8_of(next_zero) },
            Image { plane: o, kind: u8_of(0) },
            Image::f32(o),
            Image { plane: o, kind: u8_of(0) },
            Image::f32(o),
        ];
        let same: Vec<i8> = (0..o.channels * o.channels).map(|i| i8::from(i % (o.channels + 1) == 0)).collect();
        let back = |from: usize, own: usize, scale: f32| Layer::Int8(Int8 {
            from: Value(from), over: Over::All, weights: same.clone(), kernel: [1, 1], stride: [1, 1], pad: [0, 0],
            bias: vec![0; o.channels], factors: vec![1.0; o.channels], zero: 0, own: Value(own), scale,
            shift: None, slope: None, residual: None, to: Value(own + 1), next: None,
        });
        for level in Level::available() {
            let layers = vec![
                Layer::Quantise(Quantise {
                    from: Value(0), to: Value(1), steps: Steps { inverse: 1.0, zero },
                }),
                Layer::Int8(Int8 {
                    from: Value(1), over, weights: weights.clone(), kernel: case.kernel, stride: case.stride,
                    pad: case.pad, bias: bias.clone(), factors: factors.clone(), zero: y_zero, own: Value(2),
                    scale, shift: Some(shift.clone()), slope: Some(slope.clone()), residual: None,
                    to: Value(3), next: Some((Value(4), steps)),
                }),
                back(2, 5, scale),
                back(4, 7, 1.0),
            ];
            let outputs = [Value(6), Value(3), Value(8)];
            let program = Program::new(level, &images, Value(0), layers, &outputs);
            let got = run(&program, case.images, &whole(&x, zero));
            prop_assert_eq!(&got[1], &want[1], "{:?}", level);
            // Where a step lies outside of int8 about another zero point, nothing comes back.
            let inside = |at: usize, inverse: f32, values: &[f32]| {
                values.iter().zip(&want[at]).all(|(g, w)| {
                    let steps = w * inverse;
                    !(-128.0..=127.0).contains(&steps.round()) || (g - w).abs() <= 1e-5 * w.abs()
                })
            };
            let third: Vec<f32> = got[2].iter().map(|s| s / steps.inverse).collect();
            prop_assert!(inside(0, 1.0 / scale, &got[0]), "{level:?}: its own output");
            prop_assert!(inside(2, steps.inverse, &third), "{level:?}: the next layer's input");
        }
    }
}

/// As [`graph`], in int8 as the trainer writes it: two convolutions, the first one's result added, one by channel, one of
/// one pixel, fully connected.
fn int8_graph(images: usize) -> TypedModel {
    let mut model = TypedModel::default();
    let source = model.add_source("x", f32::fact([images, 3, 20, 18])).unwrap();
    fn number<T: Datum>(model: &mut TypedModel, name: String, value: T) -> OutletId {
        model.add_const(name, tensor0(value)).unwrap()
    }
    let quantise = |model: &mut TypedModel, name: &str, x: OutletId, inverse: f32, zero: i8| {
        let rank = model.outlet_fact(x).unwrap().rank();
        let by = tensor0(inverse).broadcast_into_rank(rank).unwrap();
        let by = model.add_const(format!("{name}.by"), by).unwrap();
        let product = model.wire_node(format!("{name}.mul"), tract_core::ops::math::mul(), &[x, by]).unwrap();
        let op = ElementWiseOp(Box::new(QuantizeLinearI8 { scale: 1.0, zero_point: zero }), None);
        model.wire_node(format!("{name}.q"), op, &product).unwrap()[0]
    };
    let others = |model: &mut TypedModel, name: &str, outputs: usize, zeros: [i8; 2], scales: [f32; 2]| {
        let bias: Vec<i32> = int8s(outputs, 11).iter().map(|b| i32::from(*b) * 9).collect();
        let scale: Vec<f32> = noise(outputs, 12).iter().map(|s| s.abs() * 0.01 + 0.001).collect();
        tvec!(
            model.add_const(format!("{name}.bias"), tensor1(&bias)).unwrap(),
            number(model, format!("{name}.x0"), i32::from(zeros[0])),
            number(model, format!("{name}.xs"), scales[0]),
            number(model, format!("{name}.k0"), 0i32),
            model.add_const(format!("{name}.ks"), tensor1(&scale)).unwrap(),
            number(model, format!("{name}.y0"), i32::from(zeros[1])),
            number(model, format!("{name}.ys"), scales[1])
        )
    };
    let weights = |model: &mut TypedModel, name: &str, shape: &[usize], seed: u64| {
        let tensor = Tensor::from_shape(shape, &int8s(shape.iter().product(), seed)).unwrap();
        model.add_const(format!("{name}.w"), tensor).unwrap()
    };
    // `size` is that of the kernel, `inputs` the channels that it sees.
    let convolve = |model: &mut TypedModel,
                    name: &str,
                    x: OutletId,
                    [inputs, stride, size]: [usize; 3],
                    zeros: [i8; 2]| {
        let channels = model.outlet_fact(x).unwrap().shape[1].to_usize().unwrap();
        let op = Conv {
            pool_spec: PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: tvec!(size, size),
                padding: PaddingSpec::Explicit(tvec!(size / 2; 2), tvec!(size / 2; 2)),
                dilations: None,
                strides: Some(tvec!(stride; 2)),
                input_channels: channels,
                output_channels: 24,
            },
            kernel_fmt: KernelFormat::OIHW,
            group: channels / inputs,
            q_params: Some(i8::datum_type()),
        };
        let mut all = tvec!(x, weights(model, name, &[24, inputs, size, size], inputs as u64));
        all.extend(others(model, name, 24, zeros, [0.02, 0.07]));
        let y = model.wire_node(name, op, &all).unwrap()[0];
        let op = DequantizeLinearF32 { scale: 0.07, zero_point: i32::from(zeros[1]) };
        model.wire_node(format!("{name}.f"), op, &[y]).unwrap()[0]
    };
    let x = quantise(&mut model, "x", source, 50.0, -3);
    let a = convolve(&mut model, "a", x, [3, 2, 3], [-3, 17]);
    let slope = Tensor::from_shape(&[1, 24, 1, 1], &noise(24, 7)).unwrap();
    let slope = model.add_const("slope", slope).unwrap();
    let a = model.wire_node("p", PRelu, &[a, slope]).unwrap()[0];
    let next = quantise(&mut model, "a", a, 30.0, -90);
    let b = convolve(&mut model, "b", next, [24, 1, 3], [-90, 5]);
    let sum = model.wire_node("sum", tract_core::ops::math::add(), &[a, b]).unwrap()[0];
    let flat = AxisOp::Reshape(1, tvec!(24.to_dim(), 10.to_dim(), 9.to_dim()), tvec!(2160.to_dim()));
    let next = quantise(&mut model, "sum", sum, 20.0, -7);
    let pixel = convolve(&mut model, "pixel", next, [24, 1, 1], [-7, 3]);
    let next = quantise(&mut model, "pixel", pixel, 20.0, 9);
    let own = convolve(&mut model, "own", next, [1, 1, 3], [9, 0]);
    let flat = model.wire_node("flat", flat, &[own]).unwrap()[0];
    let flat = quantise(&mut model, "flat", flat, 20.0, -70);
    let op = EinSum {
        axes: "mk,kn,n,,,,n,,->mn".parse().unwrap(),
        operating_dt: i32::datum_type(),
        q_params: Some(i8::datum_type()),
    };
    let mut all = tvec!(flat, weights(&mut model, "fc", &[2160, 20], 8));
    all.extend(others(&mut model, "fc", 20, [-70, -8], [0.05, 0.9]));
    let y = model.wire_node("fc", op, &all).unwrap()[0];
    let y = model.wire_node("y", DequantizeLinearF32 { scale: 0.9, zero_point: -8 }, &[y]).unwrap()[0];
    model.select_output_outlets(&[y]).unwrap();
    model
}

#[test]
fn int8_networks_are_ours_and_give_tracts_bits() {
    for images in [1, 3] {
        let model = int8_graph(images);
        let x = noise(images * 3 * 20 * 18, 9);
        let want = results(&model, &x);
        assert!(want[0].iter().map(|v| v.to_bits()).collect::<std::collections::HashSet<_>>().len() > 10);
        for level in Level::available() {
            let fused = fuse(model.clone().into_decluttered().unwrap(), level).unwrap();
            // Of a single one tract leaves the axis out where it can.
            let nodes: Vec<_> = fused.nodes.iter().map(|n| &n.name).collect();
            assert!(whole(&fused).is_some() || images == 1, "{nodes:?}");
            assert_eq!(results(&fused, &x), want, "{level:?}");
        }
    }
}

#[test]
fn what_only_looks_like_a_layer_of_ours_gives_tracts_numbers_too() {
    let constant = |model: &mut TypedModel, name: &str, shape: &[usize]| {
        let tensor = Tensor::from_shape(shape, &noise(shape.iter().product(), 5)).unwrap();
        model.add_const(name, tensor).unwrap()
    };
    type Then<'a> = &'a dyn Fn(&mut TypedModel, OutletId) -> TVec<OutletId>;
    // The graph ends in [n, 24, 5, 4]: reshaped images, slopes and sums by column, sums of one value with itself.
    let cases: [(&str, Then<'_>); 6] = [
        ("a value under two names", &|m, x| {
            let weights = constant(m, "all", &[6, 24, 5, 4]);
            let bias = constant(m, "bias", &[6]);
            let op = Conv {
                pool_spec: PoolSpec {
                    data_format: DataFormat::NCHW,
                    kernel_shape: tvec!(5, 4),
                    padding: PaddingSpec::Valid,
                    dilations: None,
                    strides: None,
                    input_channels: 24,
                    output_channels: 6,
                },
                kernel_fmt: KernelFormat::OIHW,
                group: 1,
                q_params: None,
            };
            let one = m.wire_node("one", op, &[x, weights, bias]).unwrap()[0];
            let op = AxisOp::Reshape(1, tvec!(6.to_dim(), 1.to_dim(), 1.to_dim()), tvec!(6.to_dim()));
            let other = m.wire_node("other", op, &[one]).unwrap()[0];
            let slope = constant(m, "slopes", &[1, 6]);
            let other = m.wire_node("bent", PRelu, &[other, slope]).unwrap()[0];
            tvec!(one, other)
        }),
        ("another shape", &|m, x| {
            let before = tvec!(24.to_dim(), 5.to_dim());
            let op = AxisOp::Reshape(1, before, tvec!(12.to_dim(), 10.to_dim()));
            let x = m.wire_node("shape", op, &[x]).unwrap()[0];
            let pool = PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: tvec!(2, 2),
                padding: PaddingSpec::Valid,
                dilations: None,
                strides: Some(tvec!(2, 2)),
                input_channels: 12,
                output_channels: 12,
            };
            m.wire_node("again", MaxPool { pool_spec: pool, with_index_outputs: None }, &[x]).unwrap()
        }),
        ("slopes by column", &|m, x| {
            let slope = constant(m, "columns", &[1, 1, 1, 4]);
            m.wire_node("odd", PRelu, &[x, slope]).unwrap()
        }),
        ("sums by column", &|m, x| {
            let sum = constant(m, "columns", &[1, 1, 1, 4]);
            m.wire_node("odd", tract_core::ops::math::add(), &[x, sum]).unwrap()
        }),
        ("with itself", &|m, x| m.wire_node("odd", tract_core::ops::math::add(), &[x, x]).unwrap()),
        ("a bound below", &|m, x| {
            let bound = constant(m, "bound", &[1, 1, 1, 1]);
            m.wire_node("odd", tract_core::ops::math::max(), &[x, bound]).unwrap()
        }),
    ];
    let x = noise(2 * 3 * 20 * 18, 9);
    for (name, then) in cases {
        let model = graph(2, then);
        let fused = fuse(model.clone(), Level::detect()).unwrap();
        for (got, want) in results(&fused, &x).iter().zip(results(&model, &x)) {
            assert!(distance(got, &want) < TOLERANCE, "{name}");
        }
    }
}

#[test]
fn a_network_that_is_not_ours_stays_as_it_is() {
    let mut model = TypedModel::default();
    let source = model.add_source("x", f32::fact([1, 2, 3, 3])).unwrap();
    let odd = model.wire_node("odd", sigmoid(), &[source]).unwrap();
    model.select_output_outlets(&odd).unwrap();
    let fused = fuse(model.clone(), Level::detect()).unwrap();
    assert!(whole(&fused).is_none());
    let x = noise(18, 1);
    assert_eq!(results(&fused, &x), results(&model, &x));
}
