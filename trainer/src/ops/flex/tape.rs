//! A step of burn's gradient tape with as many inputs as it happens to have.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::{DType, Tensor};

/// A tensor on the tape.
pub type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// What a step keeps for the way back.
pub trait Recorded: Clone + Send + Debug + 'static {
    /// The gradients to the inputs, in their order, from that to the output. `wanted` says which are looked at.
    fn backward(self, gradient: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>>;
}

#[derive(Debug)]
struct Step<R>(PhantomData<R>);

impl<R: Recorded, const N: usize> Backward<Flex, N> for Step<R> {
    type State = R;

    fn backward(self, ops: Ops<R, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        for (parent, found) in ops.parents.iter().zip(ops.state.backward(gradient, &wanted)) {
            if let (Some(parent), Some(found)) = (parent, found) {
                grads.register::<Flex>(parent.id, found);
            }
        }
    }
}

/// Whether the way back will be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Yes: what it needs is to be kept.
    Back,
    /// No.
    ForwardOnly,
}

/// Runs a step of one to five inputs and puts it on the tape.
pub fn record<C: CheckpointStrategy, R: Recorded>(
    inputs: Vec<NodeGuard>,
    run: impl FnOnce(Way) -> (FlexTensor, Option<R>),
) -> Tracked<C> {
    // The tape's arrays have their length in the type.
    match inputs.len() {
        1 => fixed::<C, R, 1>(inputs, run),
        2 => fixed::<C, R, 2>(inputs, run),
        3 => fixed::<C, R, 3>(inputs, run),
        4 => fixed::<C, R, 4>(inputs, run),
        _ => fixed::<C, R, 5>(inputs, run),
    }
}

fn fixed<C: CheckpointStrategy, R: Recorded, const N: usize>(
    inputs: Vec<NodeGuard>,
    run: impl FnOnce(Way) -> (FlexTensor, Option<R>),
) -> Tracked<C> {
    let Ok(inputs) = <[NodeGuard; N]>::try_from(inputs) else {
        unreachable!("the caller chose N by the length");
    };
    match Step::<R>(PhantomData).prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prep) => match run(Way::Back) {
            (y, Some(state)) => prep.finish(state, y),
            (_, None) => unreachable!("the way back was asked for"),
        },
        OpsKind::UnTracked(prep) => prep.finish(run(Way::ForwardOnly).0),
    }
}

/// The primitive of a tensor on the back end `B`, if it lies there and holds f32.
pub fn primitive<B: Backend, const D: usize>(tensor: &Tensor<D>) -> Option<FloatTensor<B>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    (tensor.dtype() == DType::F32).then(|| tensor.clone().try_into_primitive::<B>().ok()).flatten()
}

/// As [`primitive`] of an operand that may be absent, which is no obstacle.
pub fn optional<B: Backend, const D: usize>(tensor: &Option<Tensor<D>>) -> Option<Option<FloatTensor<B>>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    tensor.as_ref().map_or(Some(None), |t| primitive::<B, D>(t).map(Some))
}

/// Runs a step of `x` alone, which gives its output and what the way back needs, on the tape where `x` is; `None` where it does not lie on this back end in f32.
pub fn alone<R: Recorded>(x: &Tensor<4>, run: impl Fn(&FlexTensor) -> (FlexTensor, R)) -> Option<Tensor<4>> {
    fn tracked<C: CheckpointStrategy, R: Recorded>(
        x: &Tensor<4>,
        run: impl Fn(&FlexTensor) -> (FlexTensor, R),
    ) -> Option<Tensor<4>>
    where
        DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
    {
        let x = primitive::<Autodiff<Flex, C>, 4>(x)?;
        let y = record::<C, R>(vec![x.node()], |_| {
            let (y, state) = run(x.primitive());
            (y, Some(state))
        });
        Some(Tensor::from_primitive::<Autodiff<Flex, C>>(y))
    }
    if let Some(x) = primitive::<Flex, 4>(x) {
        return Some(Tensor::from_primitive::<Flex>(run(&x).0));
    }
    tracked::<NoCheckpointing, R>(x, &run).or_else(|| tracked::<BalancedCheckpointing, R>(x, &run))
}
