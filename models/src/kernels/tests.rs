//! Every kernel at every level against the formula, and our layers inside tract's graph against tract's own.

use proptest::prelude::*;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::nn::{DataFormat, sigmoid};
use tract_onnx::tract_core::ops::{cnn::MaxPool, cnn::conv::KernelFormat};
use tract_onnx::tract_hir::internal::*;

use super::convolution::Convolution;
use super::dense::Dense;
use super::frame::Plane;
use super::fused::{Fused, fuse, whole};
use super::pool::Pool;
use super::prelu::PRelu;
use super::program::{Layer, Program, Value};
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

/// Largest difference, in units of the largest number.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs())) / scale
}

/// f32 sums of up to 9 x 80 terms in another order; Winograd's transforms cost about one digit.
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

fn run(program: &Program, images: usize, x: &[f32]) -> Vec<Vec<f32>> {
    let mut outputs: Vec<Vec<f32>> =
        program.outputs().map(|p| vec![f32::NAN; images * p.height * p.width * p.channels]).collect();
    let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    program.run(&mut program.memory(), x, &mut slices);
    outputs
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
                    stride: case.stride, pad: case.pad, bias: Some(bias.clone()), slope: Some(slope.clone()),
                    residual: None,
                }),
                Layer::Convolution(Convolution {
                    from: Value(1), to: Value(2), weights: mix.clone(), kernel: [1, 1], stride: [1, 1],
                    pad: [0, 0], bias: Some(shift.clone()), slope: None, residual: Some(Value(1)),
                }),
            ];
            let program = Program::new(level, &[b, o, o], Value(0), layers, &[Value(1), Value(2)]);
            let got = run(&program, case.images, &x);
            let d = [distance(&got[0], &want), distance(&got[1], &both)];
            prop_assert!(d[0] < TOLERANCE && d[1] < TOLERANCE, "{level:?}: off by {d:?}");
        }
    }

    #[test]
    fn dense_pool_and_softmax_are_their_formulas_at_every_level(
        (images, height, width, channels, outputs) in (1..3usize, 1..12usize, 1..12usize, 1..40usize, 1..40usize),
        (kernel, stride) in (1..4usize, 1..4usize),
    ) {
        let plane = Plane { height, width, channels };
        let one = height * width * channels;
        let x = noise(images * one, 1);
        let (weights, bias, slope) = (noise(outputs * one, 2), noise(outputs, 3), noise(outputs, 4));
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
                    from: Value(0), to: Value(1), weights: weights.clone(), bias: Some(bias.clone()),
                    slope: Some(slope.clone()),
                }),
                Layer::Pool(Pool { from: Value(0), to: Value(2), kernel: [kernel; 2], stride: [stride; 2] }),
                Layer::Softmax(Softmax { from: Value(1), to: Value(3) }),
            ];
            let planes = [plane, out, pooled, out];
            let program = Program::new(level, &planes, Value(0), layers, &[Value(1), Value(2), Value(3)]);
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
