//! NEON, and NEON with the dot product of ARMv8.2: four rows at a time, so that each load of the probe serves four.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Block, GROUP, groups, portable};

/// 128-bit registers, part of every aarch64 processor that runs Linux.
#[target_feature(enable = "neon")]
pub(super) fn neon(rows: &[Block], probe: &[Block], out: &mut Vec<i32>) {
    let (groups, rest) = groups(rows, probe.len());
    for group in groups {
        let mut sums = [vdupq_n_s32(0); GROUP];
        for (at, p) in probe.iter().enumerate() {
            let p = quarters(p);
            for (sum, row) in sums.iter_mut().zip(group) {
                for (x, p) in quarters(&row[at]).into_iter().zip(p) {
                    // Two products of at most 127 * 127 are 32258 and fit i16.
                    let pairs = vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(p)), x, p);
                    *sum = vpadalq_s16(*sum, pairs);
                }
            }
        }
        out.extend(sums.map(|sum| vaddvq_s32(sum)));
    }
    out.extend(rest.chunks_exact(probe.len()).map(|row| portable(row, probe)));
}

/// As [`neon`], with the instruction that adds four products to an i32.
#[target_feature(enable = "neon,dotprod")]
pub(super) fn dot_product(rows: &[Block], probe: &[Block], out: &mut Vec<i32>) {
    let (groups, rest) = groups(rows, probe.len());
    for group in groups {
        let mut sums = [vdupq_n_s32(0); GROUP];
        for (at, p) in probe.iter().enumerate() {
            let p = quarters(p);
            for (sum, row) in sums.iter_mut().zip(group) {
                for (x, p) in quarters(&row[at]).into_iter().zip(p) {
                    *sum = sdot(*sum, x, p);
                }
            }
        }
        out.extend(sums.map(|sum| vaddvq_s32(sum)));
    }
    out.extend(rest.chunks_exact(probe.len()).map(|row| portable(row, probe)));
}

/// sum + products of x and p, four of them to each i32. By the instruction's name, because `vdotq_s32` is not yet in
/// stable Rust.
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, x: int8x16_t, p: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes the three registers named and nothing else.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {x:v}.16b, {p:v}.16b",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            p = in(vreg) p,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

#[target_feature(enable = "neon")]
fn quarters(block: &Block) -> [int8x16_t; 4] {
    let at = block.as_ptr();
    // SAFETY: a block is 64 bytes, so 16 lie from 0, 16, 32 and 48 each; the loads need no alignment.
    unsafe { [vld1q_s8(at), vld1q_s8(at.add(16)), vld1q_s8(at.add(32)), vld1q_s8(at.add(48))] }
}
