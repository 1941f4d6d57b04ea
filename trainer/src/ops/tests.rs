//! The kernels against burn's own operations and against finite differences.

use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor, TensorData, activation};
use limen_models::kernels::activate::Epilogue;
use limen_models::kernels::simd::Level;
use proptest::prelude::*;

use super::{Fused, Kernels, Normalised, SgdRule, Shape, Stride, activated, layer, sgd_step};

/// Largest difference, in units of the largest number.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs())) / scale
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

/// Numbers in -1..1 without a pattern.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Ours, without PReLU and residual.
fn conv3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    super::conv3x3(x, weight, Fused { bias, ..Fused::default() }, stride, 1, Kernels::Ours)
}

/// Ours, with PReLU.
fn conv_prelu(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    slope: Tensor<1>,
    stride: usize,
) -> Tensor<4> {
    let fused = Fused { bias, slope: Some(slope), residual: None };
    super::conv3x3(x, weight, fused, stride, 1, Kernels::Ours)
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(shape.iter().product(), seed), shape), device)
}

/// Operands that ask for gradients, alike at every call.
struct Case {
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: Tensor<1>,
    residual: Tensor<4>,
    up: Tensor<4>,
}

fn options(s: &Shape) -> ConvOptions<2> {
    let step = s.stride.pixels();
    ConvOptions::new([step, step], [1, 1], [1, 1], 1)
}

impl Case {
    fn new(s: &Shape) -> Self {
        let device = Device::flex().autodiff();
        let out = [s.batch, s.outputs, s.out_height(), s.out_width()];
        let x = tensor([s.batch, s.inputs, s.height, s.width], 1, &device);
        let weight = tensor([s.outputs, s.inputs, 3, 3], 2, &device);
        let bias = tensor([s.outputs], 3, &device);
        // A sum beside zero may fall on either side of PReLU's bend, by rounding alone: nothing is asked back of those.
        let sums = conv2d(x.clone(), weight.clone(), Some(bias.clone()), options(s));
        let clear = sums.abs().greater_elem(1e-3).float();
        Self {
            x: x.require_grad(),
            weight: weight.require_grad(),
            bias: bias.require_grad(),
            slope: tensor([s.outputs], 4, &device).require_grad(),
            residual: tensor(out, 5, &device).require_grad(),
            up: tensor(out, 6, &device) * clear,
        }
    }

    /// `y`, then the gradients of `sum(y * up)` to x, weight, bias, slope and residual.
    fn results(&self, y: Tensor<4>) -> Vec<Vec<f32>> {
        let grads = (y.clone() * self.up.clone()).sum().backward();
        vec![
            values(y),
            values(self.x.grad(&grads).unwrap()),
            values(self.weight.grad(&grads).unwrap()),
            values(self.bias.grad(&grads).unwrap()),
            values(self.slope.grad(&grads).unwrap()),
            values(self.residual.grad(&grads).unwrap()),
        ]
    }

    fn ours(&self, s: &Shape) -> Vec<Vec<f32>> {
        let fused = Fused {
            bias: Some(self.bias.clone()),
            slope: Some(self.slope.clone()),
            residual: Some(self.residual.clone()),
        };
        self.results(super::conv3x3(
            self.x.clone(),
            self.weight.clone(),
            fused,
            s.stride.pixels(),
            1,
            Kernels::Ours,
        ))
    }

    fn burns(&self, s: &Shape) -> Vec<Vec<f32>> {
        let y = conv2d(self.x.clone(), self.weight.clone(), Some(self.bias.clone()), options(s));
        self.results(activation::prelu(y, self.slope.clone()) + self.residual.clone())
    }
}

const NAMES: [&str; 6] = ["y", "dx", "dw", "dbias", "dslope", "dresidual"];
/// f32 sums of up to 9 x 300 terms in another order; Winograd's transforms cost about one digit.
const TOLERANCE: f32 = 3e-5;

fn shapes() -> impl Strategy<Value = Shape> {
    (
        1..5usize,
        1..70usize,
        1..70usize,
        1..20usize,
        1..20usize,
        prop_oneof![Just(Stride::One), Just(Stride::Two)],
    )
        .prop_map(|(batch, inputs, outputs, height, width, stride)| Shape {
            batch,
            inputs,
            outputs,
            height,
            width,
            stride,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn forward_and_every_gradient_equal_burns(s in shapes()) {
        let case = Case::new(&s);
        for ((name, ours), burns) in NAMES.iter().zip(case.ours(&s)).zip(case.burns(&s)) {
            let d = distance(&ours, &burns);
            prop_assert!(d < TOLERANCE, "{name} of {s:?} is off by {d}");
        }
    }

    #[test]
    fn every_level_gives_the_portable_result(s in shapes()) {
        let x = noise(s.batch * s.image(), 1);
        let weights = noise(s.weights(), 2);
        let (bias, slope) = (noise(s.outputs, 3), noise(s.outputs, 4));
        let g = noise(s.batch * s.out_image(), 5);
        let run = |level| {
            let (mut z, mut y, mut dx) = (vec![0.0; g.len()], vec![0.0; g.len()], vec![0.0; x.len()]);
            let epilogue = Epilogue { bias: Some(&bias), slope: Some(&slope) };
            let pass = layer::Forward { level, shape: &s, x: &x, weights: &weights, epilogue, residual: None };
            pass.run(Some(&mut z), &mut y);
            let mut alone = vec![0.0; g.len()];
            pass.run(None, &mut alone);
            assert_eq!(y, alone, "the sums kept or not, the output is the same");
            // The same z for all: a sum beside zero may fall on either side of it.
            let z = noise(g.len(), 6);
            let activation = Some((&z[..], &slope[..]));
            let pass = layer::Backward { level, shape: &s, x: &x, weights: &weights, activation, g: &g };
            let r = pass.run(Some(&mut dx));
            [y, dx, r.weights, r.bias, r.slope]
        };
        let portable = run(Level::Portable);
        for level in Level::available() {
            for ((name, one), other) in NAMES.iter().zip(run(level)).zip(&portable) {
                let d = distance(&one, other);
                prop_assert!(d < TOLERANCE, "{name} at {level:?} of {s:?} is off by {d}");
            }
        }
    }
}

#[test]
fn a_convolution_worked_by_hand() {
    // 1 2      all-ones kernel: every output sees all four pixels at stride 1.
    // 3 4
    let device = Device::flex();
    let x = Tensor::<4>::from_data([[[[1.0f32, 2.0], [3.0, 4.0]]]], &device);
    let ones = Tensor::<4>::ones([1, 1, 3, 3], &device);
    assert_eq!(values(conv3x3(x.clone(), ones, None, 1)), [10.0; 4]);
    // Only the tap right of the centre: the picture moves left, zeros come in.
    let right = Tensor::<4>::from_data([[[[0.0f32, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]], &device);
    assert_eq!(values(conv3x3(x.clone(), right.clone(), None, 1)), [2.0, 0.0, 4.0, 0.0]);
    // Bias -3, slope 0.5: 2 - 3 = -1 becomes -0.5.
    let bias = Some(Tensor::from_floats([-3.0], &device));
    let slope = Tensor::from_floats([0.5], &device);
    assert_eq!(values(conv_prelu(x, right, bias, slope, 2)), [-0.5]);
}

#[test]
fn gradients_of_the_fused_prelu_are_finite_differences() {
    let s = Shape { batch: 2, inputs: 3, outputs: 5, height: 6, width: 5, stride: Stride::One };
    let case = Case::new(&s);
    let found = case.ours(&s);
    let y = |x: &Tensor<4>, w: &Tensor<4>, b: &Tensor<1>, a: &Tensor<1>| {
        let y = conv_prelu(x.clone(), w.clone(), Some(b.clone()), a.clone(), 1);
        values(y * case.up.clone()).iter().map(|&v| f64::from(v)).sum::<f64>()
    };
    // Along a random direction d: (f(p + h d) - f(p - h d)) / 2h = grad . d
    let h = 1e-3f32;
    let device = Device::flex().autodiff();
    let check = |name: &str, grad: &[f32], direction: Vec<f32>, difference: f64| {
        let expected: f64 = grad.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
        assert!(
            (difference - expected).abs() < 2e-2 * (1.0 + expected.abs()),
            "{name}: {difference} against {expected}"
        );
    };
    macro_rules! along {
        ($name:literal, $param:expr, $dims:literal, $grad:expr, |$p:ident| $f:expr) => {{
            let param = $param.clone().detach();
            let direction: Tensor<$dims> = tensor(param.dims(), 9, &device);
            let at = |step: f32| {
                let $p = param.clone() + direction.clone() * step;
                $f
            };
            check($name, $grad, values(direction.clone()), (at(h) - at(-h)) / (2.0 * f64::from(h)));
        }};
    }
    along!("x", case.x, 4, &found[1], |p| y(&p, &case.weight, &case.bias, &case.slope));
    along!("weight", case.weight, 4, &found[2], |p| y(&case.x, &p, &case.bias, &case.slope));
    along!("bias", case.bias, 1, &found[3], |p| y(&case.x, &case.weight, &p, &case.slope));
    along!("slope", case.slope, 1, &found[4], |p| y(&case.x, &case.weight, &case.bias, &p));
}

#[test]
fn the_same_bits_with_one_thread_and_with_three() {
    let s = Shape { batch: 7, inputs: 20, outputs: 36, height: 14, width: 12, stride: Stride::One };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Case::new(&s).ours(&s))
    };
    let one = run(1);
    for _ in 0..3 {
        assert_eq!(one, run(3));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pooling_and_its_gradient_equal_burns(
        n in 1..4usize, c in 1..40usize, h in 1..12usize, w in 1..12usize, kernel in 1..4usize, stride in 1..4usize,
        ceil: bool,
    ) {
        let device = Device::flex().autodiff();
        let options = MaxPoolOptions::new([kernel, kernel]).with_stride([stride, stride]).with_ceil_mode(ceil);
        prop_assume!(h.min(w) >= kernel || ceil);
        let run = |kernels| {
            let x = tensor::<4>([n, c, h, w], 1, &device).require_grad();
            let y = match kernels {
                Kernels::Ours => super::max_pool(x.clone(), options.clone(), kernels),
                Kernels::Burn => max_pool2d(x.clone(), options.clone()),
            };
            let up = tensor::<4>(y.dims(), 2, &device);
            let grads = (y.clone() * up).sum().backward();
            (y.dims(), values(y), values(x.grad(&grads).unwrap()))
        };
        let (ours, burns) = (run(Kernels::Ours), run(Kernels::Burn));
        prop_assert_eq!(ours.0, burns.0);
        prop_assert_eq!(ours.1, burns.1);
        prop_assert!(distance(&ours.2, &burns.2) < 1e-6);
    }

    #[test]
    fn a_map_without_its_border_is_the_slice(n in 1..4usize, c in 1..20usize, h in 3..9usize, w in 3..9usize) {
        let device = Device::flex().autodiff();
        let x = tensor::<4>([n, c, h, w], 1, &device).require_grad();
        let up = tensor::<4>([n, c, h - 2, w - 2], 2, &device);
        let results = |y: Tensor<4>| {
            let grads = (y.clone() * up.clone()).sum().backward();
            (values(y), values(x.grad(&grads).unwrap()))
        };
        let slice = x.clone().slice([0..n, 0..c, 1..h - 1, 1..w - 1]);
        prop_assert_eq!(results(super::flex::inside(&x).unwrap()), results(slice));
    }
}

#[test]
fn operands_of_other_kinds_go_to_burn() {
    let device = Device::flex();
    let x = Tensor::<4>::random([1, 4, 6, 6], Distribution::Default, &device);
    let weight = Tensor::<4>::random([2, 4, 3, 3], Distribution::Default, &device);
    // Stride 3 has no kernel here.
    assert_eq!(conv3x3(x.clone(), weight.clone(), None, 3).dims(), [1, 2, 2, 2]);
    let half =
        conv3x3(x.cast(burn::tensor::FloatDType::F16), weight.cast(burn::tensor::FloatDType::F16), None, 1);
    assert_eq!(half.dtype(), burn::tensor::DType::F16);
}

#[test]
fn operands_in_any_memory_order_give_the_same() {
    let device = Device::flex();
    let weight = tensor::<4>([6, 5, 3, 3], 2, &device);
    let x = tensor::<4>([2, 5, 7, 4], 1, &device);
    let expected = values(conv3x3(x.clone(), weight.clone(), None, 1));
    // The same picture as a view of a wider one and as a transposed one.
    let wide = Tensor::cat(vec![x.clone(), x.clone()], 3).slice([0..2, 0..5, 0..7, 0..4]);
    assert_eq!(values(conv3x3(wide, weight.clone(), None, 1)), expected);
    let turned = values(x.clone().swap_dims(2, 3));
    let turned = Tensor::<4>::from_data(TensorData::new(turned, [2, 5, 4, 7]), &device).swap_dims(2, 3);
    assert_eq!(values(conv3x3(turned, weight, None, 1)), expected);
}

/// Batch norm, PReLU and addition by burn's module and by ours, on the same operands: y, gradients, statistics.
fn normalised(ours: bool, sizes: [usize; 4], slope: bool, residual: bool) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let c = sizes[1];
    let scale = (tensor::<1>([c], 11, &device) + 1.5).require_grad();
    let shift = tensor::<1>([c], 12, &device).require_grad();
    // Far from zero, as the variance must not suffer from it.
    let x = (tensor::<4>(sizes, 13, &device) + 30.0).require_grad();
    let a = tensor::<1>([c], 14, &device).require_grad();
    let r = tensor::<4>(sizes, 15, &device).require_grad();
    let mut norm = burn::nn::BatchNormConfig::new(c).init(&device);
    norm.gamma = burn::module::Param::from_tensor(scale.clone());
    norm.beta = burn::module::Param::from_tensor(shift.clone());
    let plain = norm.forward(x.clone());
    // Where PReLU bends, rounding alone says which of its two slopes holds: nothing is asked there.
    let up = tensor::<4>(sizes, 16, &device).mask_fill(plain.clone().detach().abs().lower_elem(1e-3), 0.0);
    let (y, statistics) = if ours {
        let operands = Normalised {
            x: x.clone(),
            scale: scale.clone(),
            shift: shift.clone(),
            slope: slope.then(|| a.clone()),
            residual: residual.then(|| r.clone()),
            epsilon: 1e-5,
        };
        let (y, [mean, variance]) = operands.learn(Kernels::Ours);
        (y, [values(mean), values(variance)])
    } else {
        let y = activated(plain, slope.then(|| a.clone()), residual.then(|| r.clone()));
        // Its running statistics hold a tenth of the batch's: from 0 and from 1.
        let mean = values(norm.running_mean.value_sync() * 10.0);
        (y, [mean, values(norm.running_var.value_sync() * 10.0 - 9.0)])
    };
    let grads = (y.clone() * up).sum().backward();
    let gradient = |t: &Tensor<1>| values(t.grad(&grads).unwrap());
    let mut results = vec![values(y), values(x.grad(&grads).unwrap()), gradient(&scale), gradient(&shift)];
    results.extend(statistics);
    if slope {
        results.push(gradient(&a));
    }
    if residual {
        results.push(values(r.grad(&grads).unwrap()));
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // Of two or three values alone the deviations, and so the gradients, are next to nothing but rounding.
    #[test]
    fn batch_norm_and_its_gradients_equal_burns(
        n in 2..5usize, c in 1..40usize, h in 2..8usize, w in 2..8usize, slope: bool, residual: bool,
    ) {
        let names = ["y", "dx", "dscale", "dshift", "mean", "variance", "dslope or dresidual", "dresidual"];
        let ours = normalised(true, [n, c, h, w], slope, residual);
        for ((name, one), other) in names.iter().zip(&ours).zip(normalised(false, [n, c, h, w], slope, residual)) {
            let d = distance(one, &other);
            // burn's own f32 sums around a mean of 30 are the coarser ones.
            prop_assert!(d < 2e-3, "{name} is off by {d}");
        }
    }
}

#[test]
fn batch_norm_on_given_statistics_equals_the_plain_formula() {
    let device = Device::flex();
    let t = |seed| tensor::<1>([5], seed, &device);
    let operands = || Normalised {
        x: tensor::<4>([2, 5, 3, 4], 3, &device),
        scale: t(5),
        shift: t(6),
        slope: Some(t(4)),
        residual: Some(tensor::<4>([2, 5, 3, 4], 7, &device)),
        epsilon: 1e-5,
    };
    let ours = values(operands().judge(t(1), t(2) + 2.0));
    let plain = values(operands().plainly(t(1), t(2) + 2.0));
    assert!(distance(&ours, &plain) < 1e-5);
}

#[test]
fn an_update_worked_by_hand() {
    let device = Device::flex();
    let one = |x: f32| Tensor::<1>::from_floats([x], &device);
    // w 2, g 1, decay 0.5: g + decay w = 2. v = 0.9 * 10 + 2 = 11; w = 2 - 0.1 * 11 = 0.9.
    let run = |rule: SgdRule, v: Option<f32>| {
        let (w, v) = sgd_step(one(2.0), one(1.0), v.map(one), &rule);
        (values(w)[0], values(v)[0])
    };
    let close = |(w, v): (f32, f32), (a, b): (f32, f32)| {
        assert!((w - a).abs() < 1e-6 && (v - b).abs() < 1e-6, "{w} {v}")
    };
    close(run(SgdRule::plain(0.1, 0.9, 0.5), Some(10.0)), (0.9, 11.0));
    close(run(SgdRule::plain(0.1, 0.9, 0.5), None), (1.8, 2.0));
    // Nesterov: w = 2 - 0.1 * (2 + 0.9 * 11) = 0.81.
    close(run(SgdRule::nesterov(0.1, 0.9, 0.5), Some(10.0)), (0.81, 11.0));
    // Caffe: v = 0.9 * 10 + 0.1 * 2 = 9.2; w = 2 - 9.2.
    close(run(SgdRule::caffe(0.1, 0.9, 0.5), Some(10.0)), (-7.2, 9.2));
    // On the tape burn's operations do the same.
    let taped = Device::flex().autodiff();
    let t = |x: f32| Tensor::<1>::from_floats([x], &taped);
    let (w, v) = sgd_step(t(2.0), t(1.0), Some(t(10.0)), &SgdRule::nesterov(0.1, 0.9, 0.5));
    close((values(w)[0], values(v)[0]), (0.81, 11.0));
}

#[test]
fn an_update_leaves_other_holders_of_the_weight_alone() {
    let device = Device::flex();
    let w = Tensor::<1>::from_floats([1.0, 2.0], &device);
    let (new, _) = sgd_step(w.clone(), w.clone(), None, &SgdRule::plain(0.5, 0.9, 0.0));
    assert_eq!(values(new), [0.5, 1.0]);
    assert_eq!(values(w), [1.0, 2.0]);
}
