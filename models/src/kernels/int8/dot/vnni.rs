//! By VNNI: one instruction multiplies four bytes with four weights in each lane and adds them to the lane's sum.

use std::arch::x86_64::*;

use super::{LANES, TERMS, Tile};

/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX-512 VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile512<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); NV]; MR];
        let mut w = t.weights;
        for row in 0..t.rows {
            let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
            for _ in 0..t.groups {
                let mut vectors = [_mm512_setzero_si512(); NV];
                for v in 0..NV {
                    vectors[v] = _mm512_loadu_si512(w.add(v * LANES * TERMS).cast());
                }
                for i in 0..MR {
                    let x = a.wrapping_add(i.wrapping_mul(t.pixel)).cast::<i32>().read_unaligned();
                    let x = _mm512_set1_epi32(x);
                    for v in 0..NV {
                        sums[i][v] = _mm512_dpbusd_epi32(sums[i][v], x, vectors[v]);
                    }
                }
                a = a.wrapping_add(TERMS);
                w = w.add(NV * LANES * TERMS);
            }
        }
        for i in 0..MR {
            for v in 0..NV {
                let to = t.sums.wrapping_add(i.wrapping_mul(t.padded)).add(v * LANES);
                _mm512_storeu_si512(to.cast(), sums[i][v]);
            }
        }
    }
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX-512 VNNI.
pub unsafe fn run512(t: &Tile, vectors: usize, left: usize) -> usize {
    macro_rules! sizes {
        ($nv:literal: $($mr:literal)+) => {{
            $(if left >= $mr {
                // SAFETY: the caller's promise, handed on.
                unsafe { tile512::<$mr, $nv>(t) };
                return $mr;
            })+
            0
        }};
    }
    match vectors {
        4 => sizes!(4: 6 4 3 2 1),
        3 => sizes!(3: 8 4 2 1),
        2 => sizes!(2: 12 6 4 2 1),
        _ => sizes!(1: 12 6 4 2 1),
    }
}

/// One vector of outputs in two registers.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile256<const MR: usize>(t: &Tile, vectors: usize) {
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        for v in 0..vectors {
            let mut sums = [[_mm256_setzero_si256(); 2]; MR];
            let mut w = t.weights.add(v * LANES * TERMS);
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups {
                    let weights = [0, 1].map(|h| _mm256_loadu_si256(w.add(h * LANES * TERMS / 2).cast()));
                    for i in 0..MR {
                        let x = a.wrapping_add(i.wrapping_mul(t.pixel)).cast::<i32>().read_unaligned();
                        let x = _mm256_set1_epi32(x);
                        for h in 0..2 {
                            sums[i][h] = _mm256_dpbusd_avx_epi32(sums[i][h], x, weights[h]);
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
/// As [`super::Unit::tile`], and the CPU must have AVX-VNNI.
pub unsafe fn run256(t: &Tile, vectors: usize, left: usize) -> usize {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match left {
            6.. => tile256::<6>(t, vectors),
            4.. => tile256::<4>(t, vectors),
            2.. => tile256::<2>(t, vectors),
            _ => tile256::<1>(t, vectors),
        }
    }
    [6, 4, 2, 1].into_iter().find(|n| left >= *n).unwrap_or(0)
}
