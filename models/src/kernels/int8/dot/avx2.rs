//! By AVX2: bytes and weights as i16, the even terms and the odd ones apart, and sums of two products a lane. The
//! shorter way, products of bytes summed in i16, would cut them off.

use std::arch::x86_64::*;

use super::{LANES, TERMS, Tile};

/// One vector of outputs in two registers.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX2.
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile<const MR: usize>(t: &Tile, vectors: usize) {
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        let low = _mm256_set1_epi16(0xff);
        for v in 0..vectors {
            let mut sums = [[_mm256_setzero_si256(); 2]; MR];
            let mut w = t.weights.add(v * LANES * TERMS);
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups {
                    let weights = [0, 1].map(|h| {
                        let both = _mm256_loadu_si256(w.add(h * LANES * TERMS / 2).cast());
                        (_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(both)), _mm256_srai_epi16::<8>(both))
                    });
                    for i in 0..MR {
                        let x = a.wrapping_add(i.wrapping_mul(t.pixel)).cast::<i32>().read_unaligned();
                        let x = _mm256_set1_epi32(x);
                        let (even, odd) = (_mm256_and_si256(x, low), _mm256_srli_epi16::<8>(x));
                        for h in 0..2 {
                            let pairs = _mm256_add_epi32(
                                _mm256_madd_epi16(even, weights[h].0),
                                _mm256_madd_epi16(odd, weights[h].1),
                            );
                            sums[i][h] = _mm256_add_epi32(sums[i][h], pairs);
                        }
                    }
                    a = a.wrapping_add(TERMS);
                    w = w.wrapping_add(vectors * LANES * TERMS);
                }
            }
            for i in 0..MR {
                let to = t.sums.wrapping_add(i.wrapping_mul(t.padded)).add(v * LANES);
                for h in 0..2 {
                    _mm256_storeu_si256(to.add(h * LANES / 2).cast(), sums[i][h]);
                }
            }
        }
    }
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX2.
pub unsafe fn run(t: &Tile, vectors: usize, left: usize) -> usize {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match left {
            4.. => tile::<4>(t, vectors),
            2.. => tile::<2>(t, vectors),
            _ => tile::<1>(t, vectors),
        }
    }
    [4, 2, 1].into_iter().find(|n| left >= *n).unwrap_or(0)
}
