//! SGD with momentum and weight decay as one of burn's optimizers, an update being one pass over the memory.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

use super::{SgdRule, sgd_step};

/// Ways to write momentum down; they part where the learning rate changes or looks ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Momentum {
    /// [`SgdRule::plain`].
    Plain,
    /// [`SgdRule::nesterov`].
    Nesterov,
    /// [`SgdRule::caffe`].
    Caffe,
}

/// The optimizer. `ModuleOptimizer::from(sgd)` makes it that of a whole module; groups of parameters get others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// How the velocity is used.
    pub form: Momentum,
    /// Share of the velocity that stays, 0 to 1.
    pub momentum: f64,
    /// Weight decay, added to the gradient.
    pub decay: f64,
}

/// What is kept of each parameter.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    /// Of the parameter's shape.
    pub velocity: Tensor<D>,
}

// By hand: burn 0.22.1's derive names its traits by `crate::`, which only works inside burn-optim.
impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, "velocity", self.velocity.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = Tensor::from_data(source.take_tensor(prefix, "velocity")?, device);
        Some(Self { velocity })
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let rule = match self.form {
            Momentum::Plain => SgdRule::plain(lr, self.momentum, self.decay),
            Momentum::Nesterov => SgdRule::nesterov(lr, self.momentum, self.decay),
            Momentum::Caffe => SgdRule::caffe(lr, self.momentum, self.decay),
        };
        let (tensor, velocity) = sgd_step(tensor, grad, state.map(|s| s.velocity), &rule);
        (tensor, Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState { velocity: state.velocity.to_device(device) }
    }
}
