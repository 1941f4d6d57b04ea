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

/// The estimate, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The class weights.
    pub weight: u64,
    /// The optimizer's momentum.
    pub momentum: u64,
    /// Gradients of the weights and their temporaries at the backward's peak.
    pub gradient: u64,
    /// Logits and their temporaries.
    pub logits: u64,
}

/// Arrays of batch x chunk alive together in `cross_entropy`: logits, their exponential, one temporary.
const LOGIT_COPIES: u64 = 3;
/// Arrays of drawn x d alive together at the peak: the gradient, its product with the weight, what the backward makes of
/// it, and the zeros that the own class's gradient is added into.
const GRADIENT_COPIES: u64 = 4;

impl Memory {
    /// The estimate for f32 numbers and SGD with momentum.
    pub fn estimate(sizes: Sizes) -> Self {
        let Sizes { batch, classes, d, drawn, chunk } = sizes;
        let bytes = |a: usize, b: usize| (a as u64).saturating_mul(b as u64).saturating_mul(F32);
        let (all, drawn, chunk) = (classes, drawn.min(classes), chunk.min(drawn).min(classes));
        // Drawn rows are copies, and their gradient is spread over all rows.
        let copies = if drawn < all { bytes(drawn, d).saturating_add(bytes(all, d)) } else { 0 };
        Self {
            weight: bytes(all, d),
            momentum: bytes(all, d),
            gradient: bytes(drawn, d).saturating_mul(GRADIENT_COPIES).saturating_add(copies),
            logits: bytes(batch, chunk).saturating_mul(LOGIT_COPIES),
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        [self.weight, self.momentum, self.gradient, self.logits].iter().fold(0, |a, b| a.saturating_add(*b))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        write!(
            f,
            "classifier about {:.0} MiB: weights {:.0}, momentum {:.0}, gradients {:.0}, logits {:.0}",
            mib(self.total()),
            mib(self.weight),
            mib(self.momentum),
            mib(self.gradient),
            mib(self.logits)
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
        assert_eq!(memory.logits, 3 * 21_651_456);
        assert_eq!(memory.total(), (1 + 1 + 4 + 3) * 21_651_456);
        assert_eq!(
            memory.to_string(),
            "classifier about 186 MiB: weights 21, momentum 21, gradients 83, logits 62"
        );
    }

    #[test]
    fn chunks_and_draws_are_smaller() {
        let all = Sizes { batch: 512, classes: 1_000_000, d: 512, drawn: 1_000_000, chunk: 1_000_000 };
        let chunked = Sizes { chunk: 8192, ..all };
        let drawn = Sizes { drawn: 100_000, chunk: 100_000, ..all };
        let [all, chunked, drawn] = [all, chunked, drawn].map(Memory::estimate);
        assert_eq!(chunked.logits, 3 * 512 * 8192 * 4);
        assert_eq!((chunked.weight, chunked.gradient), (all.weight, all.gradient));
        assert!(drawn.total() < chunked.total() && chunked.total() < all.total());
    }

    #[test]
    fn no_size_overflows() {
        let n = usize::MAX;
        let memory = Memory::estimate(Sizes { batch: n, classes: n, d: n, drawn: n, chunk: n });
        assert_eq!(memory.total(), u64::MAX);
    }
}
