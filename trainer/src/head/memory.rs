//! What a classifier takes of the device's memory, estimated before a run starts.

use std::fmt;

/// Bytes of an f32.
const F32: u64 = 4;
/// Bytes of a mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// Sizes that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Samples of a step.
    pub batch: usize,
    /// Identities.
    pub classes: usize,
    /// Embedding length.
    pub d: usize,
    /// Classes that take part in a step: all, or PartialFC's.
    pub drawn: usize,
    /// Classes whose logits are in memory at a time.
    pub chunk: usize,
}

/// The estimate, in bytes. Forward and backward follow each other, so the greater of the two counts.
///
/// Measured on burn-flex as the growth of the process over three steps of SGD with momentum, f32, MiB:
///
/// | head | batch | classes | d | drawn | chunk | estimate | measured |
/// |---|---|---|---|---|---|---|---|
/// | a-softmax | 256 | 50,000 | 128 | all | all | 220 | 228 |
/// | a-softmax | 256 | 50,000 | 128 | all | 4096 | 171 | 138 |
/// | a-softmax | 256 | 50,000 | 128 | 5000 | all | 134 | 137 |
/// | a-softmax | 64 | 10,572 | 512 | all | all | 145 | 138 |
/// | a-softmax | 512 | 10,572 | 512 | all | all | 145 | 157 |
/// | sphereface2 | 256 | 50,000 | 128 | all | 4096 | 171 | 166 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The class weights.
    pub weight: u64,
    /// The optimizer's momentum.
    pub momentum: u64,
    /// The forward: logits, their temporaries, the weights' gradient.
    pub forward: u64,
    /// The backward and the optimizer's step: gradients and their temporaries.
    pub backward: u64,
}

/// Arrays of batch x chunk alive together in `cross_entropy`: logits, their exponential, one temporary.
const LOGIT_COPIES: u64 = 3;
/// Arrays of drawn x d alive together in the backward: the gradient, its product with the weight, what the backward
/// makes of it, the zeros that the own classes' gradient is added into, their sum.
const GRADIENT_COPIES: u64 = 5;
/// Arrays of classes x d beside them where not all are drawn: the gradient spread over all rows, the optimizer's new
/// momentum and weight. Where all are drawn the backward's own arrays are free by then.
const STEP_COPIES: u64 = 3;

impl Memory {
    /// The estimate for f32 numbers and SGD with momentum.
    pub fn estimate(sizes: Sizes) -> Self {
        let Sizes { batch, classes, d, drawn, chunk } = sizes;
        let bytes = |a: usize, b: usize| (a as u64).saturating_mul(b as u64).saturating_mul(F32);
        let drawn = drawn.min(classes);
        let (all, part, logits) = (bytes(classes, d), bytes(drawn, d), bytes(batch, chunk.min(drawn)));
        let step = if drawn < classes { all.saturating_mul(STEP_COPIES) } else { 0 };
        Self {
            weight: all,
            momentum: all,
            forward: logits.saturating_mul(LOGIT_COPIES).saturating_add(part),
            backward: part.saturating_mul(GRADIENT_COPIES).saturating_add(step),
        }
    }

    /// At the peak.
    pub fn total(&self) -> u64 {
        self.weight.saturating_add(self.momentum).saturating_add(self.forward.max(self.backward))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        write!(
            f,
            "classifier about {:.0} MiB: weights {:.0}, momentum {:.0}, the greater of forward {:.0} and backward {:.0}",
            mib(self.total()),
            mib(self.weight),
            mib(self.momentum),
            mib(self.forward),
            mib(self.backward)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 4.5: 512 x 10,572 logits are 21.7 MB each.
    #[test]
    fn sizes_by_hand() {
        let sizes = Sizes { batch: 512, classes: 10_572, d: 512, drawn: 10_572, chunk: 10_572 };
        let memory = Memory::estimate(sizes);
        assert_eq!(memory.weight, 21_651_456);
        assert_eq!((memory.forward, memory.backward), (4 * 21_651_456, 5 * 21_651_456));
        assert_eq!(memory.total(), (1 + 1 + 5) * 21_651_456);
        assert_eq!(
            memory.to_string(),
            "classifier about 145 MiB: weights 21, momentum 21, the greater of forward 83 and backward 103"
        );
    }

    #[test]
    fn chunks_and_draws_are_smaller() {
        let all = Sizes { batch: 512, classes: 1_000_000, d: 128, drawn: 1_000_000, chunk: 1_000_000 };
        let chunked = Sizes { chunk: 8192, ..all };
        let drawn = Sizes { drawn: 100_000, chunk: 100_000, ..all };
        let [all, chunked, drawn] = [all, chunked, drawn].map(Memory::estimate);
        assert_eq!(chunked.forward, 3 * 512 * 8192 * 4 + chunked.weight);
        assert_eq!((chunked.weight, chunked.backward), (all.weight, all.backward));
        // Spread over all rows three times, five times the drawn ones.
        assert_eq!(drawn.backward, 3 * all.weight + 5 * all.weight / 10);
        assert!(drawn.total() < chunked.total() && chunked.total() < all.total());
    }

    #[test]
    fn no_size_overflows() {
        let n = usize::MAX;
        let memory = Memory::estimate(Sizes { batch: n, classes: n, d: n, drawn: n, chunk: n });
        assert_eq!(memory.total(), u64::MAX);
    }
}
