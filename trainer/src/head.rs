//! Classification heads: embeddings, class weights and labels in, a loss to train on out.
//!
//! A head is one file below and one variant of [`HeadConfig`]. All of them meet in [`Head::loss`]; the softmax ones
//! share [`cross_entropy`], which computes the logits a block of classes at a time.
//!
//! Symbols, in code and comments: n batch, d embedding length, w_j weight of class j, y the label,
//! c_j = cos theta_j = w_j.x / (|w_j| |x|). Section and table numbers are those of the project's SphereFace notes;
//! they follow `wy1iu/sphereface` (Caffe) and `ydwen/opensphere` (PyTorch).

use std::fmt::Debug;
use std::num::NonZeroUsize;

use burn::tensor::{Int, Tensor};

pub mod a_softmax;
pub mod angular;
pub mod annealing;
pub mod arcface;
pub mod back_off;
pub mod config;
pub mod cosface;
pub mod cross_entropy;
pub mod energy;
pub mod l_softmax;
pub mod margin;
pub mod memory;
pub mod modified_softmax;
pub mod phi;
pub mod sampling;
pub mod softmax;
pub mod sphereface;
pub mod sphereface2;
pub mod sphereface_plus;
pub mod sphereface_r;
mod surrogate;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use annealing::Annealing;
pub use config::{HeadConfig, HeadError};
pub use memory::Memory;
pub use sampling::PartialFc;
pub use surrogate::unit_rows;

/// What a head computes its loss from.
#[derive(Debug, Clone)]
pub struct HeadInput {
    /// [n, d], the network's raw output, not normalised.
    pub x: Tensor<2>,
    /// [classes, d]. Rows are of unit length where the head's rule is [`WeightRule::Unit`].
    pub weight: Tensor<2>,
    /// One number; only SphereFace2 reads it.
    pub bias: Option<Tensor<1>>,
    /// [n], each from 0 to classes - 1.
    pub labels: Tensor<1, Int>,
    /// Classes whose logits are in memory at a time; all at once without it.
    pub chunk: Option<NonZeroUsize>,
}

impl HeadInput {
    /// Without a bias and with all logits at once.
    pub fn new(x: Tensor<2>, weight: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        Self { x, weight, bias: None, labels, chunk: None }
    }

    /// With a bias, for heads that learn one.
    pub fn with_bias(self, bias: Option<Tensor<1>>) -> Self {
        Self { bias, ..self }
    }

    /// With the logits of at most this many classes in memory at a time.
    pub fn with_chunk(self, chunk: Option<NonZeroUsize>) -> Self {
        Self { chunk, ..self }
    }

    /// [n, d], the weight of each sample's own class.
    fn own(&self) -> Tensor<2> {
        self.weight.clone().select(0, self.labels.clone())
    }
}

/// A step's loss. Only `value` has a gradient; the rest is for the log.
#[derive(Debug, Clone)]
pub struct Loss {
    /// What is trained on, one number.
    pub value: Tensor<1>,
    /// Mean classification loss in nats without the head's own weights: cross-entropy of the margin's logits, or
    /// SphereFace2's binary cross-entropy summed over the classes.
    pub classification: Tensor<1>,
    /// Share of the batch whose own class has the greatest logit before any margin, 0 to 1.
    pub accuracy: Tensor<1>,
    /// What the head adds to the classification loss.
    pub extra: Option<Extra>,
}

/// A term beside the classification loss.
#[derive(Debug, Clone)]
pub struct Extra {
    /// For the log: `energy`, `distance`, `length`.
    pub name: &'static str,
    /// One number, before its strength.
    pub value: Tensor<1>,
}

/// What has to happen to the class weights after every step of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightRule {
    /// Rows are put back to unit length in place ([`unit_rows`]), after momentum and decay have acted,
    /// as Caffe's `MarginInnerProduct` does at every forward (`margin_inner_product_layer.cpp` L120-127).
    Unit,
    /// Rows keep their length.
    Free,
}

/// A classification head.
pub trait Head: Debug + Send + Sync {
    /// The loss of one batch, mean over its samples. `step` counts from 1, as Caffe's layer does; annealing depends
    /// on it. A head keeps no state of its own: the same input and step give the same loss.
    fn loss(&self, input: HeadInput, step: u64) -> Loss;

    /// What the optimizer's step has to be followed by.
    fn weight_rule(&self) -> WeightRule;

    /// Weight of the plain cosine against the margin at a step, for heads that anneal it.
    fn lambda(&self, _step: u64) -> Option<f64> {
        None
    }

    /// Where the scalar bias starts, for heads that learn one.
    fn initial_bias(&self, _classes: usize) -> Option<f64> {
        None
    }

    /// Is every setting in its range? The error names the setting and the cure.
    fn validate(&self) -> Result<(), HeadError>;
}
