//! By AVX-512 VNNI: one instruction multiplies four bytes with four weights in each lane and adds them to the lane's sum.

use std::arch::x86_64::*;

use crate::kernels::fetch;

use super::{LANES, TERMS, Tile, widest};

/// # Safety
/// As [`super::Unit::tile`], and the CPU must have AVX-512 VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile<const MR: usize, const NV: usize>(t: &Tile) {
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
                    fetch::ahead(w.wrapping_add(v * LANES * TERMS));
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
pub unsafe fn run(t: &Tile, vectors: usize, left: usize) -> usize {
    match vectors {
        4 => widest!(left: 6 4 3 2 1, tile, 4, (t)),
        3 => widest!(left: 8 4 2 1, tile, 3, (t)),
        2 => widest!(left: 12 6 4 2 1, tile, 2, (t)),
        _ => widest!(left: 12 6 4 2 1, tile, 1, (t)),
    }
}
