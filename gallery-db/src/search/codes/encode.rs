//! From a direction to its codes, with the widest vectors that give the same bits.
#![allow(unsafe_code)]

use crate::score::Direction;
use crate::search::codes::Measure;
use crate::search::kernel::{BLOCK, Block};

/// Adds the codes of `direction` to the end of `out`.
pub(super) fn encode(direction: Direction<'_>, out: &mut Vec<Block>) -> Measure {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2(direction, out) };
    }
    plain(direction, out)
}

/// As [`plain`], which the compiler turns into vectors of twice the width here.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(direction: Direction<'_>, out: &mut Vec<Block>) -> Measure {
    plain(direction, out)
}

#[inline(always)]
fn plain(direction: Direction<'_>, out: &mut Vec<Block>) -> Measure {
    let over_norm = 1.0 / direction.norm();
    let part = |x: &f32| (f64::from(*x) * over_norm) as f32;
    let (whole, rest) = direction.values().as_chunks::<BLOCK>();
    let mut last = [0f32; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let blocks = || whole.iter().chain((!rest.is_empty()).then_some(&last));

    let mut largest = [0f32; BLOCK];
    for block in blocks() {
        for (m, x) in largest.iter_mut().zip(block) {
            *m = if x.abs() > *m { x.abs() } else { *m };
        }
    }
    // Rounding keeps the order, so this is the largest part of the direction: 1/64 at least, for 4096 values of one
    // size.
    let largest = part(&largest.iter().fold(0f32, |m, x| m.max(*x)));
    let (scale, steps) = (largest / 127.0, 127.0 / largest);

    let mut sums = [0f32; BLOCK];
    for block in blocks() {
        let mut codes = [0; BLOCK];
        for ((code, sum), x) in codes.iter_mut().zip(&mut sums).zip(block) {
            // 1.5 * 2^23: added to a small number it leaves the nearest whole one in the low bits. `f32::round` is a
            // call on processors without SSE4.1, for which the program is built.
            const WHOLE: f32 = 12_582_912.0;
            let u = part(x);
            let shifted = u * steps + WHOLE;
            *code = (shifted.to_bits().wrapping_sub(WHOLE.to_bits())) as i8;
            let rest = u - (shifted - WHOLE) * scale;
            *sum += rest * rest;
        }
        out.push(codes);
    }
    // The sum is 128 additions long, so its root is right within 1e-5 of itself; the direction and the rests are
    // rounded by 2^-24 of values whose norm is about 1.
    let rest = sums.iter().sum::<f32>().sqrt() * 1.0001 + 2e-7;
    Measure { scale, rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wide_and_plain_agree_to_the_bit(
            values in prop::collection::vec(-1f32..1.0, 16..700)
                .prop_filter("a direction", |v| v.iter().any(|x| *x != 0.0)),
            power in -120i32..120,
        ) {
            let values: Vec<f32> = values.iter().map(|x| x * 2f32.powi(power)).collect();
            if let Ok(direction) = Direction::of(&values) {
                let (mut wide, mut narrow) = (Vec::new(), Vec::new());
                prop_assert_eq!(encode(direction, &mut wide), plain(direction, &mut narrow));
                prop_assert_eq!(wide, narrow);
            }
        }
    }
}
