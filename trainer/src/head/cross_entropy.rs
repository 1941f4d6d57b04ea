//! Softmax cross-entropy over a block of classes at a time, with memory for one block only.
//!
//! The forward runs through the blocks once for the denominator and, with more than one block, once more for the
//! gradients; none of it is recorded. The gradients are then carried by a linear term (`surrogate`). With one
//! block this costs the three matrix products that any softmax costs, with more one product more.

use std::num::NonZeroUsize;

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::surrogate::{carrier, constant, with_gradient_of};
use super::{HeadInput, Loss};

/// Added to a logit that must not count: exp gives 0 for it.
const NEVER: f64 = -1e30;

/// The logits of a batch, not multiplied out: other classes have feature . weight_j, changed by `others`.
#[derive(Debug, Clone)]
pub struct Logits {
    /// [n, d].
    pub feature: Tensor<2>,
    /// [classes, d].
    pub weight: Tensor<2>,
    /// [n, 1], the own class's logit with its margin.
    pub target: Tensor<2>,
    /// [n, 1], the own class's logit without a margin, for the accuracy alone.
    pub plain: Tensor<2>,
    /// What the other classes' logits are.
    pub others: Others,
}

/// The logits of the other classes. One a step, so that its size is of no weight.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a step")]
pub enum Others {
    /// feature . weight_j.
    Plain,
    /// SphereFace-R v2: `scale` cos(theta_j / divisor), the change from the cosine without a gradient.
    Narrowed {
        /// [n, 1]; feature . weight_j = scale cos theta_j.
        scale: Tensor<2>,
        /// The margin m.
        divisor: f64,
    },
}

/// Greatest cosine that the arc cosine is taken of, and least with its sign changed (OpenSphere, all heads).
pub(super) const COSINE_LIMIT: f64 = 1.0 - 1e-5;

/// One block of classes.
struct Block {
    /// [n, block], logits; the own class's is [`NEVER`].
    logits: Tensor<2>,
    /// [n, block], what `Others::Narrowed` adds to the cosine.
    change: Option<Tensor<2>>,
    /// [n, 1], the greatest logit before any change.
    best: Tensor<2>,
}

/// Runs over the classes in blocks.
pub(super) struct Blocks {
    classes: usize,
    size: usize,
}

impl Blocks {
    pub(super) fn new(classes: usize, chunk: Option<NonZeroUsize>) -> Self {
        Self { classes, size: chunk.map_or(classes, |c| c.get().min(classes)) }
    }

    /// First class and number of classes of each block.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        let (classes, size) = (self.classes, self.size);
        (0..classes).step_by(size.max(1)).map(move |start| (start, size.min(classes - start)))
    }

    fn single(&self) -> bool {
        self.size >= self.classes
    }
}

/// Adds [`NEVER`] to each row's own class if it is among `len` classes from `start`. `block` is [n, len].
pub(super) fn without_own(block: Tensor<2>, labels: &Tensor<1, Int>, start: usize, len: usize) -> Tensor<2> {
    let [n, _] = block.dims();
    let at = labels.clone().reshape([n, 1]) - start as i64;
    let outside = at.clone().lower_elem(0).bool_or(at.clone().greater_equal_elem(len as i64));
    let bump = block.clone().narrow(1, 0, 1).full_like(NEVER).mask_fill(outside, 0.0);
    block.scatter(1, at.clamp(0, len as i64 - 1), bump, IndexingUpdateOp::Add)
}

/// Cross-entropy, its mean over the batch. The gradients to feature, weight, target and scale are those of the
/// unblocked form.
pub fn cross_entropy(logits: Logits, labels: &Tensor<1, Int>, chunk: Option<NonZeroUsize>) -> Loss {
    let Logits { feature, weight, target, plain, others } = logits;
    let ([n, _], [classes, _]) = (feature.dims(), weight.dims());
    let (x, w, z) = (constant(&feature), constant(&weight), constant(&target));
    let labels = labels.clone().without_autodiff();
    let scale = match &others {
        Others::Plain => None,
        Others::Narrowed { scale, divisor } => Some((constant(scale), *divisor)),
    };
    let blocks = Blocks::new(classes, chunk);
    let block = |start: usize, len: usize| {
        let raw = x.clone().matmul(w.clone().narrow(0, start, len).transpose()); // [n, len]
        let change = scale.as_ref().map(|(scale, divisor)| {
            let c = raw.clone() / scale.clone();
            (c.clone().clamp(-COSINE_LIMIT, COSINE_LIMIT).acos() / *divisor).cos() - c
        });
        let raw = without_own(raw, &labels, start, len);
        let best = raw.clone().max_dim(1);
        let logits = match (&scale, &change) {
            (Some((scale, _)), Some(change)) => raw + change.clone() * scale.clone(),
            _ => raw,
        };
        Block { logits, change, best }
    };

    // ln sum exp as a running pair: the greatest logit so far, the sum of exp relative to it.
    let mut greatest = z.clone();
    let mut sum = z.ones_like();
    let mut best = z.full_like(NEVER);
    let mut kept = None;
    for (start, len) in blocks.ranges() {
        let block = block(start, len);
        let next = greatest.clone().max_pair(block.logits.clone().max_dim(1));
        sum = sum * (greatest - next.clone()).exp() + (block.logits.clone() - next.clone()).exp().sum_dim(1);
        greatest = next;
        best = best.max_pair(block.best.clone());
        if blocks.single() {
            kept = Some(block);
        }
    }
    let total = greatest + sum.log(); // [n, 1]

    let share = 1.0 / n.max(1) as f64;
    let mut dx: Option<Tensor<2>> = None;
    let mut dscale: Option<Tensor<2>> = None;
    let mut dw = Vec::new();
    for (start, len) in blocks.ranges() {
        let Block { logits, change, .. } = kept.take().unwrap_or_else(|| block(start, len));
        let p = (logits - total.clone()).exp() * share; // [n, len]
        let part = p.clone().matmul(w.clone().narrow(0, start, len));
        dx = Some(dx.map_or(part.clone(), |d| d + part));
        dw.push(p.clone().transpose().matmul(x.clone()));
        if let Some(change) = change {
            let part = (p * change).sum_dim(1);
            dscale = Some(dscale.map_or(part.clone(), |d| d + part));
        }
    }
    let dz = ((z.clone() - total.clone()).exp() - 1.0) * share;

    let mut carried = carrier(target, dz) + carrier(weight, Tensor::cat(dw, 0));
    if let Some(dx) = dx {
        carried = carried + carrier(feature, dx);
    }
    if let (Others::Narrowed { scale, .. }, Some(dscale)) = (others, dscale) {
        carried = carried + carrier(scale, dscale);
    }
    let mean = (total - z.clone()).mean();
    let right = z.zeros_like().mask_fill(constant(&plain).greater(best), 1.0);
    Loss {
        value: with_gradient_of(mean.clone(), carried),
        classification: mean,
        accuracy: right.mean(),
        extra: None,
    }
}

/// Cross-entropy of plain inner products but for the own class's logit.
pub(super) fn with_target(input: HeadInput, plain: Tensor<2>, target: Tensor<2>) -> Loss {
    let HeadInput { x: feature, weight, labels, chunk, .. } = input;
    cross_entropy(Logits { feature, weight, target, plain, others: Others::Plain }, &labels, chunk)
}

#[cfg(test)]
mod tests;
