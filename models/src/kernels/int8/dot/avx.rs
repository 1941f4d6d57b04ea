//! In 256-bit registers: by AVX-VNNI, or by AVX2 alone.

use std::arch::x86_64::*;

use crate::kernels::fetch;

use super::{LANES, TERMS, Tile, widest};

/// How eight outputs' four terms each are multiplied and added.
trait Products {
    /// The weights of eight outputs, made ready.
    type Weights: Copy;

    /// # Safety
    /// The CPU must have the instructions, and 32 weights must lie at `w`.
    unsafe fn weights(w: *const i8) -> Self::Weights;

    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn add(sum: __m256i, x: __m256i, w: Self::Weights) -> __m256i;
}

/// Bytes and weights as i16, the even terms and the odd ones apart, and sums of two products a lane. The shorter way,
/// products of bytes summed in i16, would cut them off.
struct Pairs;

#[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
impl Products for Pairs {
    type Weights = [__m256i; 2];

    #[inline(always)]
    unsafe fn weights(w: *const i8) -> [__m256i; 2] {
        // SAFETY: the caller vouches for the CPU and for the weights.
        unsafe {
            let both = _mm256_loadu_si256(w.cast());
            [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(both)), _mm256_srai_epi16::<8>(both)]
        }
    }

    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, [even, odd]: [__m256i; 2]) -> __m256i {
        // SAFETY: the caller vouches for the CPU.
        unsafe {
            let low = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
            let pairs = _mm256_add_epi32(
                _mm256_madd_epi16(low, even),
                _mm256_madd_epi16(_mm256_srli_epi16::<8>(x), odd),
            );
            _mm256_add_epi32(sum, pairs)
        }
    }
}

/// One instruction.
struct Vnni;

#[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
impl Products for Vnni {
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn weights(w: *const i8) -> __m256i {
        // SAFETY: the caller vouches for the CPU and for the weights.
        unsafe { _mm256_loadu_si256(w.cast()) }
    }

    #[inline(always)]
    unsafe fn add(sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller vouches for the CPU.
        unsafe { _mm256_dpbusd_avx_epi32(sum, x, w) }
    }
}

/// One vector of outputs in two registers.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have the instructions of `P`.
#[inline(always)]
#[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile<P: Products, const MR: usize>(t: &Tile, vectors: usize) {
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        for v in 0..vectors {
            let mut sums = [[_mm256_setzero_si256(); 2]; MR];
            let mut w = t.weights.add(v * LANES * TERMS);
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups {
                    let weights = [P::weights(w), P::weights(w.add(LANES * TERMS / 2))];
                    fetch::ahead(w);
                    for i in 0..MR {
                        let x = a.wrapping_add(i.wrapping_mul(t.pixel)).cast::<i32>().read_unaligned();
                        let x = _mm256_set1_epi32(x);
                        for h in 0..2 {
                            sums[i][h] = P::add(sums[i][h], x, weights[h]);
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

#[target_feature(enable = "avx2")]
unsafe fn pairs<const MR: usize>(t: &Tile, vectors: usize) {
    // SAFETY: the caller's promise, handed on.
    unsafe { tile::<Pairs, MR>(t, vectors) }
}

#[target_feature(enable = "avx2,avxvnni")]
unsafe fn vnni<const MR: usize>(t: &Tile, vectors: usize) {
    // SAFETY: the caller's promise, handed on.
    unsafe { tile::<Vnni, MR>(t, vectors) }
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX2.
pub unsafe fn run_pairs(t: &Tile, vectors: usize, left: usize) -> usize {
    widest!(left: 4 2 1, pairs(t, vectors))
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX-VNNI.
pub unsafe fn run_vnni(t: &Tile, vectors: usize, left: usize) -> usize {
    widest!(left: 6 4 2 1, vnni(t, vectors))
}
