//! The matrix kernel in half precision, by ARMv8.2's FP16: eight products an instruction where f32 has four.
//!
//! At most [`Number::MOST`] products are summed in half precision, then f32 goes on. What is broadcast is kept as a
//! sixteenth: Winograd's tiles are up to a hundred times their pixels, and half precision ends at 65,504.

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use super::{Family, Number, Panels, Tile};
use crate::kernels::buffer::Buffer;
use crate::kernels::simd::{Level, Neon, Simd};

/// Numbers of a vector.
const LANES: usize = 8;
/// What numbers that are broadcast are a part of, and sums are multiplied by.
const SCALE: f32 = 16.0;

impl Number for u16 {
    type Kept = Vec<u16>;
    const STEP: usize = LANES;
    const MOST: usize = 64;

    fn keep(weights: Buffer) -> Vec<u16> {
        weights.iter().map(|w| half::f16::from_f32(*w).to_bits()).collect()
    }

    fn panels(level: Level, columns: usize) -> Panels {
        Panels { level, lanes: LANES, widest: 2, columns }
    }

    fn family(_: Level, vectors: usize) -> Family<u16> {
        match vectors {
            2 => &[
                (8, tile::<8, 2>),
                (6, tile::<6, 2>),
                (4, tile::<4, 2>),
                (2, tile::<2, 2>),
                (1, tile::<1, 2>),
            ],
            _ => &[
                (8, tile::<8, 1>),
                (6, tile::<6, 1>),
                (4, tile::<4, 1>),
                (2, tile::<2, 1>),
                (1, tile::<1, 1>),
            ],
        }
    }

    #[inline(always)]
    unsafe fn put<S: Simd>(p: *mut u16, v: S::V) {
        // SAFETY: the caller's promise, handed on.
        unsafe { S::store_half(p, S::mul(v, S::splat(1.0 / SCALE))) }
    }

    fn room(numbers: usize) -> usize {
        numbers.div_ceil(2)
    }

    unsafe fn framed(image: *const f32, read: Range<usize>, scratch: &mut Buffer) -> *const u16 {
        let to = scratch.as_mut_ptr().cast::<u16>();
        for at in read.step_by(Neon::LANES) {
            // SAFETY: the caller vouches for whole vectors of the image, as its rows are such, and for the room.
            unsafe { Self::put::<Neon>(to.add(at), Neon::load(image.add(at))) };
        }
        to
    }
}

/// `x[LANE] * b + sum`, eight at once. (There are no such vectors in stable Rust yet.)
#[inline(always)]
fn fma_lane<const LANE: i32>(mut sum: uint16x8_t, b: uint16x8_t, x: uint16x8_t) -> uint16x8_t {
    // SAFETY: one instruction on registers; `family` is asked for at a level of which the CPU has it.
    unsafe {
        asm!(".arch_extension fp16", "fmla {0:v}.8h, {1:v}.8h, {2:v}.h[{3}]", inout(vreg) sum, in(vreg) b,
            in(vreg_low16) x, const LANE, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// The two halves of a vector as f32.
#[inline(always)]
fn widened(v: uint16x8_t) -> [float32x4_t; 2] {
    let (low, high);
    // SAFETY: two instructions on registers, which every aarch64 has.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) low, in(vreg) v, options(pure, nomem, nostack, preserves_flags));
        asm!("fcvtl2 {0:v}.4s, {1:v}.8h", out(vreg) high, in(vreg) v, options(pure, nomem, nostack, preserves_flags));
    }
    [low, high]
}

/// Adds one term's products: lane `LANE` of each row's `x` with the vectors at `b`.
///
/// # Safety
/// `NV` vectors must lie at `b`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn add_lane<const MR: usize, const NV: usize, const LANE: i32>(
    sums: &mut [[uint16x8_t; NV]; MR],
    x: &[uint16x8_t; MR],
    b: *const u16,
) {
    for v in 0..NV {
        // SAFETY: the caller vouches for the vectors.
        let b = unsafe { vld1q_u16(b.wrapping_add(v * LANES)) };
        for i in 0..MR {
            sums[i][v] = fma_lane::<LANE>(sums[i][v], b, x[i]);
        }
    }
}

/// `MR` rows of `NV` vectors; whole vectors reach `c`.
///
/// # Safety
/// As [`super::Kernel`], of a level whose CPU computes in half precision; terms are a multiple of eight.
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn tile<const MR: usize, const NV: usize>(t: &Tile<'_, u16>) {
    debug_assert!(t.k.is_multiple_of(LANES) && t.a_k == 1 && t.tail == LANES, "whole vectors");
    // SAFETY: the caller vouches for every offset named by the operands.
    unsafe {
        let mut sums = [[vdupq_n_u16(0); NV]; MR];
        for &(a, b) in t.segments {
            let (mut a, mut b) = (t.a.wrapping_add(a), t.b.wrapping_add(b));
            for _ in 0..t.k / LANES {
                let mut x = [vdupq_n_u16(0); MR];
                for i in 0..MR {
                    x[i] = vld1q_u16(a.wrapping_add(i.wrapping_mul(t.a_row)));
                }
                add_lane::<MR, NV, 0>(&mut sums, &x, b);
                add_lane::<MR, NV, 1>(&mut sums, &x, b.wrapping_add(t.b_k));
                add_lane::<MR, NV, 2>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(2)));
                add_lane::<MR, NV, 3>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(3)));
                add_lane::<MR, NV, 4>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(4)));
                add_lane::<MR, NV, 5>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(5)));
                add_lane::<MR, NV, 6>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(6)));
                add_lane::<MR, NV, 7>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(7)));
                a = a.wrapping_add(LANES);
                b = b.wrapping_add(t.b_k.wrapping_mul(LANES));
            }
        }
        let scale = vdupq_n_f32(SCALE);
        for i in 0..MR {
            for v in 0..NV {
                let c = t.c.wrapping_add(i.wrapping_mul(t.c_row)).wrapping_add(v * LANES);
                for (h, sum) in widened(sums[i][v]).into_iter().enumerate() {
                    let c = c.wrapping_add(h * LANES / 2);
                    let before = if t.add { vld1q_f32(c) } else { vdupq_n_f32(0.0) };
                    vst1q_f32(c, vfmaq_f32(before, sum, scale));
                }
            }
        }
    }
}
