//! Sums of pixel rows: what shrinking a picture is made of.

use super::simd::{Level, Simd, by_level};

#[allow(clippy::extra_unused_type_parameters, reason = "names the level")]
#[inline(always)]
unsafe fn add_body<S: Simd>(sums: &mut [f32], row: &[u8], weight: f32) {
    // The compiler makes vectors of the level of this loop by itself.
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum += weight * f32::from(*x);
    }
}

by_level! {
    /// Adds.
    fn add_raw = add_body(sums: &mut [f32], row: &[u8], weight: f32)
}

/// Adds `weight` times `row` to `sums`, as far as both go.
pub fn add(level: Level, sums: &mut [f32], row: &[u8], weight: f32) {
    // SAFETY: the body is safe code, and the level is one that was found on this CPU.
    unsafe { add_raw(level, sums, row, weight) };
}
