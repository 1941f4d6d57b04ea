//! The convolution as a step of burn's gradient tape.

use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::Tensor;

use super::memory;
use super::tape::{self, Recorded, Tracked, Way};
use limen_models::kernels::activate::Epilogue;
use limen_models::kernels::simd::Level;

use crate::ops::{Fused, Shape, Stride, layer};

/// The operands once more, where this back end has nothing for them.
type Declined = (Tensor<4>, Tensor<4>, Fused);

/// The sizes of the convolution if the operands fit together and the kernels do this stride.
fn shape(x: &Tensor<4>, weight: &Tensor<4>, fused: &Fused, stride: usize) -> Option<Shape> {
    let ([batch, inputs, height, width], [outputs, per, kh, kw]) = (x.dims(), weight.dims());
    let stride = match stride {
        1 => Stride::One,
        2 => Stride::Two,
        _ => return None,
    };
    let shape = Shape { batch, inputs, outputs, height, width, stride };
    let out = [batch, outputs, shape.out_height(), shape.out_width()];
    let fits = per == inputs
        && (kh, kw) == (3, 3)
        && batch * inputs * outputs * height * width > 0
        && fused.bias.as_ref().is_none_or(|b| b.dims() == [outputs])
        && fused.slope.as_ref().is_none_or(|s| s.dims() == [outputs])
        && fused.residual.as_ref().is_none_or(|r| r.dims() == out);
    fits.then_some(shape)
}

/// The operands on a back end.
struct Operands<T> {
    x: T,
    weight: T,
    bias: Option<T>,
    slope: Option<T>,
    residual: Option<T>,
}

impl<T> Operands<T> {
    fn map<'a, U>(&'a self, f: impl Fn(&'a T) -> U) -> Operands<U> {
        Operands {
            x: f(&self.x),
            weight: f(&self.weight),
            bias: self.bias.as_ref().map(&f),
            slope: self.slope.as_ref().map(&f),
            residual: self.residual.as_ref().map(&f),
        }
    }
}

/// All operands on the back end `B`, if they lie there.
fn primitives<B: Backend>(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    fused: &Fused,
) -> Option<Operands<FloatTensor<B>>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Some(Operands {
        x: tape::primitive::<B, 4>(x)?,
        weight: tape::primitive::<B, 4>(weight)?,
        bias: tape::optional::<B, 1>(&fused.bias)?,
        slope: tape::optional::<B, 1>(&fused.slope)?,
        residual: tape::optional::<B, 4>(&fused.residual)?,
    })
}

/// `prelu(conv(x) + bias) + residual` by our kernels, or the operands back where they do not lie on the CPU back end in
/// f32 or do not fit together.
pub fn conv3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    fused: Fused,
    stride: usize,
) -> Result<Tensor<4>, Box<Declined>> {
    memory::keep_heap();
    if let Some(shape) = shape(&x, &weight, &fused, stride) {
        if let Some(operands) = primitives::<Flex>(&x, &weight, &fused) {
            let (y, _) = run(&shape, &operands.map(|t| t), Way::ForwardOnly);
            return Ok(Tensor::from_primitive::<Flex>(y));
        }
        type Plain = Autodiff<Flex, NoCheckpointing>;
        if let Some(operands) = primitives::<Plain>(&x, &weight, &fused) {
            return Ok(Tensor::from_primitive::<Plain>(tracked::<NoCheckpointing>(&shape, &operands)));
        }
        type Balanced = Autodiff<Flex, BalancedCheckpointing>;
        if let Some(operands) = primitives::<Balanced>(&x, &weight, &fused) {
            return Ok(Tensor::from_primitive::<Balanced>(tracked::<BalancedCheckpointing>(
                &shape, &operands,
            )));
        }
    }
    Err(Box::new((x, weight, fused)))
}

/// The output and, where kept and not the same, the sums before the PReLU.
fn run(shape: &Shape, operands: &Operands<&FlexTensor>, way: Way) -> (FlexTensor, Option<FlexTensor>) {
    let out = [shape.batch, shape.outputs, shape.out_height(), shape.out_width()];
    let x = memory::channels_last(operands.x, [shape.batch, shape.inputs, shape.height, shape.width]);
    let weight = memory::row_major(operands.weight);
    let bias = operands.bias.map(memory::row_major);
    let slope = operands.slope.map(memory::row_major);
    let residual = operands.residual.map(|r| memory::channels_last(r, out));
    let mut y = memory::unwritten(shape.batch * shape.out_image());
    let mut z = (way == Way::Back && slope.is_some()).then(|| memory::unwritten(y.len()));
    let pass = layer::Forward {
        level: Level::detect(),
        shape,
        x: &x,
        weights: &weight,
        epilogue: Epilogue { bias: bias.as_deref(), slope: slope.as_deref() },
        residual: residual.as_deref(),
    };
    pass.run(z.as_deref_mut(), &mut y);
    (memory::from_channels_last(y, out), z.map(|z| memory::from_channels_last(z, out)))
}

/// The part an input of the step plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    X,
    Weight,
    Bias,
    Slope,
    Residual,
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct State {
    shape: Shape,
    roles: Vec<Role>,
    x: FlexTensor,
    weight: FlexTensor,
    /// Sums before the PReLU, and its slope.
    activation: Option<(FlexTensor, FlexTensor)>,
}

impl Recorded for State {
    fn backward(self, gradient: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let State { shape, roles, x, weight, activation } = self;
        let sizes = [shape.batch, shape.inputs, shape.height, shape.width];
        let out = [shape.batch, shape.outputs, shape.out_height(), shape.out_width()];
        let asked = roles.iter().zip(wanted).any(|(r, w)| *r == Role::X && *w);
        let mut dx = asked.then(|| memory::unwritten(shape.batch * shape.image()));
        let mut found = {
            let g = memory::channels_last(&gradient, out);
            let x = memory::channels_last(&x, sizes);
            let weight = memory::row_major(&weight);
            let activation =
                activation.as_ref().map(|(z, s)| (memory::channels_last(z, out), memory::row_major(s)));
            let activation = activation.as_ref().map(|(z, slope)| (&**z, &**slope));
            let pass = layer::Backward {
                level: Level::detect(),
                shape: &shape,
                x: &x,
                weights: &weight,
                activation,
                g: &g,
            };
            pass.run(dx.as_deref_mut())
        };
        let mut gradient = Some(gradient);
        let vector =
            |values: &mut Vec<f32>| Some(memory::from_row_major(std::mem::take(values), [shape.outputs]));
        roles
            .iter()
            .map(|role| match role {
                Role::X => dx.take().map(|dx| memory::from_channels_last(dx, sizes)),
                Role::Weight => {
                    let weights = std::mem::take(&mut found.weights);
                    Some(memory::from_row_major(weights, [shape.outputs, shape.inputs, 3, 3]))
                }
                Role::Bias => vector(&mut found.bias),
                Role::Slope => vector(&mut found.slope),
                Role::Residual => gradient.take(),
            })
            .collect()
    }
}

/// Runs the convolution and puts it on the tape.
fn tracked<C: CheckpointStrategy>(shape: &Shape, operands: &Operands<Tracked<C>>) -> Tracked<C> {
    let inputs = [
        Some((Role::X, &operands.x)),
        Some((Role::Weight, &operands.weight)),
        operands.bias.as_ref().map(|t| (Role::Bias, t)),
        operands.slope.as_ref().map(|t| (Role::Slope, t)),
        operands.residual.as_ref().map(|t| (Role::Residual, t)),
    ];
    let (roles, guards): (Vec<Role>, Vec<_>) =
        inputs.into_iter().flatten().map(|(r, t)| (r, t.node())).unzip();
    let plain = operands.map(|t| t.primitive());
    tape::record::<C, State>(guards, |way| {
        let (y, z) = run(shape, &plain, way);
        let state = (way == Way::Back).then(|| State {
            shape: *shape,
            roles,
            x: plain.x.clone(),
            weight: plain.weight.clone(),
            activation: z.zip(plain.slope.cloned()),
        });
        (y, state)
    })
}
