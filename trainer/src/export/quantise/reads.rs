//! Which weights of a layer read which channel.

use crate::graph::{Op, Tensor};

/// Where the weights of one layer stand that read a channel.
pub struct Reads {
    /// Weights of an output.
    pub row: usize,
    /// Neighbouring weights of a row that read one channel.
    pub block: usize,
    /// Channels that a row reads.
    pub a_row: usize,
    /// Outputs of a group.
    outputs: usize,
}

impl Reads {
    /// Of a layer of `groups` that reads `channels`.
    pub fn new(weight: &Tensor, groups: usize, channels: usize) -> Self {
        let outputs = weight.shape().first().copied().unwrap_or(0).max(1);
        let row = weight.data().len() / outputs;
        let a_row = (channels / groups.max(1)).max(1);
        Self { row, block: row / a_row, a_row, outputs: (outputs / groups.max(1)).max(1) }
    }

    /// The channel that block `k` of output `o` reads.
    pub fn channel(&self, o: usize, k: usize) -> usize {
        o / self.outputs * self.a_row + k
    }
}

/// Weights ([out, ...]) and groups of a layer that has them.
pub fn weight_of(op: &Op) -> Option<(&Tensor, usize)> {
    match op {
        Op::Conv2d(c) => Some((&c.weight, c.groups)),
        Op::Gemm(g) => Some((&g.weight, 1)),
        _ => None,
    }
}
