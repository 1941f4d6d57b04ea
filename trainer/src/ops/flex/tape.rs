//! A step of burn's gradient tape with as many inputs as it happens to have.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
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

/// Runs a step of two to five inputs and puts it on the tape.
pub fn record<C: CheckpointStrategy, R: Recorded>(
    inputs: Vec<NodeGuard>,
    run: impl FnOnce(Way) -> (FlexTensor, Option<R>),
) -> Tracked<C> {
    // The tape's arrays have their length in the type.
    match inputs.len() {
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
