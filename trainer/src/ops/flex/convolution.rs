//! The convolution as a step of burn's gradient tape.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::{DType, Tensor};

use super::memory;
use crate::ops::activate::Epilogue;
use crate::ops::{Fused, Level, Shape, Stride, layer};

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
        && fused.residual.as_ref().is_none_or(|r| r.dims() == out)
        && [x.dtype(), weight.dtype()].iter().all(|t| *t == DType::F32)
        && fused.bias.as_ref().is_none_or(|b| b.dtype() == DType::F32)
        && fused.slope.as_ref().is_none_or(|s| s.dtype() == DType::F32)
        && fused.residual.as_ref().is_none_or(|r| r.dtype() == DType::F32);
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

/// The primitive of a tensor on the back end `B`, if it lies there.
fn primitive<B: burn::backend::Backend, const D: usize>(tensor: &Tensor<D>) -> Option<FloatTensor<B>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    tensor.clone().try_into_primitive::<B>().ok()
}

/// All operands on the back end `B`, if they lie there.
fn primitives<B: burn::backend::Backend>(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    fused: &Fused,
) -> Option<Operands<FloatTensor<B>>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    // An absent operand is no obstacle, one on another back end is.
    let one = |t: &Option<Tensor<1>>| t.as_ref().map_or(Some(None), |t| primitive::<B, 1>(t).map(Some));
    Some(Operands {
        x: primitive::<B, 4>(x)?,
        weight: primitive::<B, 4>(weight)?,
        bias: one(&fused.bias)?,
        slope: one(&fused.slope)?,
        residual: fused.residual.as_ref().map_or(Some(None), |t| primitive::<B, 4>(t).map(Some))?,
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
    if let Some(shape) = shape(&x, &weight, &fused, stride) {
        if let Some(operands) = primitives::<Flex>(&x, &weight, &fused) {
            let (y, _) = run(&shape, &operands.map(|t| t), Keep::Nothing);
            return Ok(Tensor::from_primitive::<Flex>(y));
        }
        if let Some(operands) = primitives::<Autodiff<Flex, NoCheckpointing>>(&x, &weight, &fused) {
            return Ok(Tensor::from_primitive::<Autodiff<Flex, NoCheckpointing>>(
                tracked::<NoCheckpointing>(&shape, operands),
            ));
        }
        if let Some(operands) = primitives::<Autodiff<Flex, BalancedCheckpointing>>(&x, &weight, &fused) {
            return Ok(Tensor::from_primitive::<Autodiff<Flex, BalancedCheckpointing>>(tracked::<
                BalancedCheckpointing,
            >(
                &shape, operands
            )));
        }
    }
    Err(Box::new((x, weight, fused)))
}

/// Whether the sums are kept for the way back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Sums,
    Nothing,
}

/// The output and, where kept and not the same, the sums before the PReLU.
fn run(shape: &Shape, operands: &Operands<&FlexTensor>, keep: Keep) -> (FlexTensor, Option<FlexTensor>) {
    let out = [shape.batch, shape.outputs, shape.out_height(), shape.out_width()];
    let x = memory::channels_last(operands.x, [shape.batch, shape.inputs, shape.height, shape.width]);
    let weight = memory::row_major(operands.weight);
    let bias = operands.bias.map(memory::row_major);
    let slope = operands.slope.map(memory::row_major);
    let residual = operands.residual.map(|r| memory::channels_last(r, out));
    let mut y = vec![0.0; shape.batch * shape.out_image()];
    let mut z = (keep == Keep::Sums && slope.is_some()).then(|| vec![0.0; y.len()]);
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
#[derive(Clone, Copy, Debug)]
enum Role {
    X,
    Weight,
    Bias,
    Slope,
    Residual,
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct State<const N: usize> {
    shape: Shape,
    roles: [Role; N],
    x: FlexTensor,
    weight: FlexTensor,
    /// Sums before the PReLU, and its slope.
    activation: Option<(FlexTensor, FlexTensor)>,
}

/// The step on the tape.
#[derive(Debug)]
struct Step;

impl<const N: usize> Backward<Flex, N> for Step {
    type State = State<N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { shape, roles, x, weight, activation } = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node);
        let sizes = [shape.batch, shape.inputs, shape.height, shape.width];
        let out = [shape.batch, shape.outputs, shape.out_height(), shape.out_width()];
        let wanted =
            |role: fn(&Role) -> bool| roles.iter().zip(&ops.parents).any(|(r, p)| role(r) && p.is_some());
        let mut dx = wanted(|r| matches!(r, Role::X)).then(|| vec![0.0; shape.batch * shape.image()]);
        let mut found = {
            let g = memory::channels_last(&gradient, out);
            let x = memory::channels_last(&x, sizes);
            let weight = memory::row_major(&weight);
            let activation = activation
                .as_ref()
                .map(|(z, slope)| (memory::channels_last(z, out), memory::row_major(slope)));
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
        for (role, parent) in roles.iter().zip(ops.parents) {
            let Some(parent) = parent else { continue };
            let tensor = match role {
                Role::X => dx.take().map(|dx| memory::from_channels_last(dx, sizes)),
                Role::Weight => {
                    let weights = std::mem::take(&mut found.weights);
                    Some(memory::from_row_major(weights, [shape.outputs, shape.inputs, 3, 3]))
                }
                Role::Bias => Some(memory::from_row_major(std::mem::take(&mut found.bias), [shape.outputs])),
                Role::Slope => {
                    Some(memory::from_row_major(std::mem::take(&mut found.slope), [shape.outputs]))
                }
                Role::Residual => gradient.take(),
            };
            if let Some(tensor) = tensor {
                grads.register::<Flex>(parent.id, tensor);
            }
        }
    }
}

type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// Runs the convolution and puts it on the tape.
fn tracked<C: CheckpointStrategy>(shape: &Shape, operands: Operands<Tracked<C>>) -> Tracked<C> {
    let inputs = [
        Some((Role::X, &operands.x)),
        Some((Role::Weight, &operands.weight)),
        operands.bias.as_ref().map(|t| (Role::Bias, t)),
        operands.slope.as_ref().map(|t| (Role::Slope, t)),
        operands.residual.as_ref().map(|t| (Role::Residual, t)),
    ];
    let (roles, guards): (Vec<Role>, Vec<NodeGuard>) =
        inputs.into_iter().flatten().map(|(r, t)| (r, t.node())).unzip();
    let plain = operands.map(|t| t.primitive());
    // The tape's arrays have their length in the type: x and weight, and up to three more.
    match roles.len() {
        2 => record::<C, 2>(shape, &plain, roles, guards),
        3 => record::<C, 3>(shape, &plain, roles, guards),
        4 => record::<C, 4>(shape, &plain, roles, guards),
        _ => record::<C, 5>(shape, &plain, roles, guards),
    }
}

/// [`tracked`] for a known number of inputs.
fn record<C: CheckpointStrategy, const N: usize>(
    shape: &Shape,
    operands: &Operands<&FlexTensor>,
    roles: Vec<Role>,
    guards: Vec<NodeGuard>,
) -> Tracked<C> {
    let (Ok(roles), Ok(guards)) = (<[Role; N]>::try_from(roles), <[NodeGuard; N]>::try_from(guards)) else {
        unreachable!("the caller chose N by the length");
    };
    match Step.prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (y, z) = run(shape, operands, Keep::Sums);
            let state = State {
                shape: *shape,
                roles,
                x: operands.x.clone(),
                weight: operands.weight.clone(),
                activation: z.zip(operands.slope.cloned()),
            };
            prep.finish(state, y)
        }
        OpsKind::UnTracked(prep) => prep.finish(run(shape, operands, Keep::Nothing).0),
    }
}
