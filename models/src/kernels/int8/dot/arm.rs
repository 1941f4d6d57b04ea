//! By NEON, with the dot product instructions and without: bytes less 128, so that both factors are signed.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{LANES, TERMS, Tile, widest};

/// Registers of a vector of outputs: four outputs of four terms each.
const QUADS: usize = LANES / 4;

/// Four bytes less 128 in every lane.
///
/// # Safety
/// Four readable bytes.
#[inline(always)]
unsafe fn broadcast(a: *const u8) -> int8x16_t {
    // SAFETY: the caller vouches for the bytes; every aarch64 has NEON.
    unsafe { signed(vreinterpretq_u8_u32(vdupq_n_u32(a.cast::<u32>().read_unaligned()))) }
}

/// Bytes less 128.
#[inline(always)]
fn signed(x: uint8x16_t) -> int8x16_t {
    // SAFETY: every aarch64 has NEON.
    unsafe { vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80))) }
}

/// Adds to each lane of `sum` the products of its four terms. (`vdotq_s32` is not in stable Rust yet.)
#[inline]
#[target_feature(enable = "dotprod")]
fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction on registers, which the CPU has.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// The same with the four terms in lane `LANE` of `b`.
#[inline]
#[target_feature(enable = "dotprod")]
fn dot_lane<const LANE: i32>(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction on registers, which the CPU has.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{3}]", inout(vreg) sum, in(vreg) a, in(vreg) b, const LANE,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Adds one group's products: lane `LANE` of each pixel's `x` with the weights at `w`.
///
/// # Safety
/// The CPU must have the dot product instructions, and a vector of outputs must lie at `w`.
#[inline]
#[target_feature(enable = "dotprod")]
unsafe fn add_lane<const MR: usize, const LANE: i32>(
    sums: &mut [[int32x4_t; QUADS]; MR],
    x: &[int8x16_t; MR],
    w: *const i8,
) {
    for q in 0..QUADS {
        // SAFETY: the caller vouches for the weights.
        let weights = unsafe { vld1q_s8(w.add(q * 4 * TERMS)) };
        for i in 0..MR {
            sums[i][q] = dot_lane::<LANE>(sums[i][q], weights, x[i]);
        }
    }
}

/// # Safety
/// As [`super::Unit::tile`], and the CPU must have the dot product instructions.
#[target_feature(enable = "dotprod")]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile_dot<const MR: usize>(t: &Tile, vectors: usize) {
    let step = vectors * LANES * TERMS;
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        for v in 0..vectors {
            let mut sums = [[vdupq_n_s32(0); QUADS]; MR];
            let mut w = t.weights.add(v * LANES * TERMS);
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups / 4 {
                    let mut x = [vdupq_n_s8(0); MR];
                    for i in 0..MR {
                        x[i] = signed(vld1q_u8(a.wrapping_add(i.wrapping_mul(t.pixel))));
                    }
                    add_lane::<MR, 0>(&mut sums, &x, w);
                    add_lane::<MR, 1>(&mut sums, &x, w.wrapping_add(step));
                    add_lane::<MR, 2>(&mut sums, &x, w.wrapping_add(2 * step));
                    add_lane::<MR, 3>(&mut sums, &x, w.wrapping_add(3 * step));
                    a = a.wrapping_add(4 * TERMS);
                    w = w.wrapping_add(4 * step);
                }
                for _ in 0..t.groups % 4 {
                    let weights = [0, 1, 2, 3].map(|q| vld1q_s8(w.add(q * 4 * TERMS)));
                    for i in 0..MR {
                        let x = broadcast(a.wrapping_add(i.wrapping_mul(t.pixel)));
                        for q in 0..QUADS {
                            sums[i][q] = dot(sums[i][q], weights[q], x);
                        }
                    }
                    a = a.wrapping_add(TERMS);
                    w = w.wrapping_add(step);
                }
            }
            for i in 0..MR {
                let to = t.sums.wrapping_add(i.wrapping_mul(t.padded)).add(v * LANES);
                for q in 0..QUADS {
                    vst1q_s32(to.add(q * 4), sums[i][q]);
                }
            }
        }
    }
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`], and the CPU must have the dot product instructions.
pub unsafe fn run_dot(t: &Tile, vectors: usize, left: usize) -> usize {
    widest!(left: 6 4 2 1, tile_dot(t, vectors))
}

/// Of each register of four outputs the sums of the first two and of the last two, each in two lanes.
type Halves = [[int32x4_t; 2]; QUADS];

/// Adds one group of terms, or two: two products of i8 fit in i16 where no weight is -128.
///
/// # Safety
/// As [`super::Unit::tile`], from pixel `a` and weights `w` on; the next group's weights are `step` further.
#[inline(always)]
unsafe fn add_groups<const MR: usize, const TWO: bool>(
    sums: &mut [Halves; MR],
    (a, pixel): (*const u8, usize),
    (w, step): (*const i8, usize),
) {
    // SAFETY: the caller vouches for every byte under the taps and for the weights.
    unsafe {
        let at = |i: usize| a.wrapping_add(i.wrapping_mul(pixel));
        let x: [int8x16_t; MR] = std::array::from_fn(|i| broadcast(at(i)));
        let next: [int8x16_t; MR] =
            std::array::from_fn(|i| if TWO { broadcast(at(i).wrapping_add(TERMS)) } else { x[i] });
        for q in 0..QUADS {
            let one = vld1q_s8(w.add(q * 4 * TERMS));
            let other = if TWO { vld1q_s8(w.add(step + q * 4 * TERMS)) } else { one };
            for (i, sums) in sums.iter_mut().enumerate() {
                let mut low = vmull_s8(vget_low_s8(one), vget_low_s8(x[i]));
                let mut high = vmull_high_s8(one, x[i]);
                if TWO {
                    low = vmlal_s8(low, vget_low_s8(other), vget_low_s8(next[i]));
                    high = vmlal_high_s8(high, other, next[i]);
                }
                sums[q] = [vpadalq_s16(sums[q][0], low), vpadalq_s16(sums[q][1], high)];
            }
        }
    }
}

/// # Safety
/// As [`super::Unit::tile`]; no weight may be -128.
unsafe fn tile_neon<const MR: usize>(t: &Tile, vectors: usize) {
    let step = vectors * LANES * TERMS;
    // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
    unsafe {
        for v in 0..vectors {
            let mut sums: [Halves; MR] = [[[vdupq_n_s32(0); 2]; QUADS]; MR];
            let mut w = t.weights.add(v * LANES * TERMS);
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups / 2 {
                    add_groups::<MR, true>(&mut sums, (a, t.pixel), (w, step));
                    a = a.wrapping_add(2 * TERMS);
                    w = w.wrapping_add(2 * step);
                }
                if t.groups % 2 == 1 {
                    add_groups::<MR, false>(&mut sums, (a, t.pixel), (w, step));
                    w = w.wrapping_add(step);
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                let to = t.sums.wrapping_add(i.wrapping_mul(t.padded)).add(v * LANES);
                for (q, [low, high]) in sums.iter().enumerate() {
                    vst1q_s32(to.add(q * 4), vpaddq_s32(*low, *high));
                }
            }
        }
    }
}

/// As many pixels as a tile has, and no more than `left`.
///
/// # Safety
/// As [`super::Unit::tile`]; no weight may be -128.
pub unsafe fn run_neon(t: &Tile, vectors: usize, left: usize) -> usize {
    widest!(left: 2 1, tile_neon(t, vectors))
}
