//! AVX2 and AVX-512 VNNI: four rows at a time, so that each load of the probe serves four.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Block, GROUP, groups, portable};

/// 256-bit registers.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(rows: &[Block], probe: &[Block], out: &mut Vec<i32>) {
    let (groups, rest) = groups(rows, probe.len());
    for group in groups {
        let mut sums = [_mm256_setzero_si256(); GROUP];
        for (at, p) in probe.iter().enumerate() {
            let (p0, p1) = halves(p);
            for (sum, row) in sums.iter_mut().zip(group) {
                fetch_ahead(&row[at]);
                let (x0, x1) = halves(&row[at]);
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(products(x0, p0), products(x1, p1)));
            }
        }
        out.extend(totals(sums));
    }
    out.extend(rest.chunks_exact(probe.len()).map(|row| portable(row, probe)));
}

/// 512-bit registers and the instruction that multiplies u8 by i8 and adds four products to an i32.
#[target_feature(enable = "avx2,avx512f,avx512vnni")]
pub(super) fn vnni(rows: &[Block], probe: &[Block], out: &mut Vec<i32>) {
    // A row's codes become unsigned by adding 128 (turning the top bit), which adds 128 * (sum of the probe's codes)
    // to each product. No sum leaves i32: 4096 * 255 * 127 < 2^27.
    let top = _mm512_set1_epi8(i8::MIN);
    let sum = probe.as_flattened().iter().fold(0i32, |sum, p| sum.wrapping_add(i32::from(*p)));
    let extra = 128 * sum;
    let (groups, rest) = groups(rows, probe.len());
    for group in groups {
        let mut sums = [_mm512_setzero_si512(); GROUP];
        for (at, p) in probe.iter().enumerate() {
            let p = whole(p);
            for (sum, row) in sums.iter_mut().zip(group) {
                fetch_ahead(&row[at]);
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(whole(&row[at]), top), p);
            }
        }
        let mut folded = [_mm256_setzero_si256(); GROUP];
        for (half, sum) in folded.iter_mut().zip(sums) {
            *half = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
        }
        out.extend(totals(folded).map(|total| total - extra));
    }
    out.extend(rest.chunks_exact(probe.len()).map(|row| portable(row, probe)));
}

/// Sums of neighbouring products as 8 i32. x * p = |x| * (p with the sign of x), the form that the instruction wants;
/// two products of at most 127 * 127 are 32258 and fit i16, where it would saturate.
#[target_feature(enable = "avx2")]
fn products(x: __m256i, p: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(p, x));
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

/// 4 registers of 8 i32 -> the sum of each.
#[target_feature(enable = "avx2")]
fn totals([a, b, c, d]: [__m256i; GROUP]) -> [i32; GROUP] {
    let quarters = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(quarters), _mm256_extracti128_si256::<1>(quarters));
    let mut out = [0; GROUP];
    // SAFETY: `out` holds the 16 bytes that are stored; the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    out
}

/// Asks for the block one page further on: the processor's own prefetch stops at the end of a page, which costs a
/// scan of 512 MB a seventh of its time.
#[target_feature(enable = "avx2")]
fn fetch_ahead(block: &Block) {
    const PAGE: usize = 4096;
    let there = block.as_ptr().wrapping_add(PAGE);
    _mm_prefetch::<_MM_HINT_T0>(there); // a hint: past the end of the rows it does nothing
}

#[target_feature(enable = "avx2")]
fn halves(block: &Block) -> (__m256i, __m256i) {
    let at = block.as_ptr();
    // SAFETY: a block is 64 bytes, so 32 lie at its start and 32 from its middle; the loads need no alignment.
    unsafe { (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())) }
}

#[target_feature(enable = "avx512f")]
fn whole(block: &Block) -> __m512i {
    // SAFETY: a block is the 64 bytes that are loaded; the load needs no alignment.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}
