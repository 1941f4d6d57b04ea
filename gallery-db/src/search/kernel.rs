//! Dot products of one probe with every row of a matrix, with the widest vector unit that this processor has.
#![allow(unsafe_code)]

/// Rows and probe are padded with zeros to a multiple of this, so that no kernel has a rest to care for: four
/// registers of eight f32 (AVX2), or eight of four (NEON).
pub(super) const BLOCK: usize = 32;

/// A way to compute the products. All give the same within 1e-5 on unit vectors; which one is chosen never changes a
/// result, because the best rows are scored again by [`crate::score::cosine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Plain Rust: any processor.
    Portable,
    /// 256-bit registers and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 128-bit registers, part of every aarch64 processor that runs Linux.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The kernels that this processor can run, the best last.
    pub(super) fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(Self::Avx2);
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self::Neon);
        }
        all
    }

    /// The best kernel of this processor.
    pub(super) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// Writes to `out` the dot product of `probe` ([stride]) with each row of `rows` ([n, stride]).
    /// `probe.len()` is a multiple of [`BLOCK`] and not 0; `rows.len()` is a multiple of `probe.len()`.
    pub(super) fn scan(self, rows: &[f32], probe: &[f32], out: &mut Vec<f32>) {
        out.clear();
        if probe.is_empty() {
            return;
        }
        match self {
            Self::Portable => out.extend(rows.chunks_exact(probe.len()).map(|row| portable(row, probe))),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` hands this variant out only where the processor has AVX2 and FMA.
            Self::Avx2 => unsafe { x86::scan(rows, probe, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `available` hands this variant out only where the processor has NEON.
            Self::Neon => unsafe { arm::scan(rows, probe, out) },
        }
    }
}

/// The same sum in plain Rust: [`BLOCK`] running sums, which the compiler maps onto what the target has.
fn portable(row: &[f32], probe: &[f32]) -> f32 {
    let mut sums = [0f32; BLOCK];
    for (x, y) in row.as_chunks::<BLOCK>().0.iter().zip(probe.as_chunks::<BLOCK>().0) {
        for i in 0..BLOCK {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! AVX2 with fused multiply-add.
    use std::arch::x86_64::*;

    use super::BLOCK;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn scan(rows: &[f32], probe: &[f32], out: &mut Vec<f32>) {
        out.extend(rows.chunks_exact(probe.len()).map(|row| dot(row, probe)));
    }

    #[target_feature(enable = "avx2,fma")]
    fn dot(row: &[f32], probe: &[f32]) -> f32 {
        let mut sums = [_mm256_setzero_ps(); 4];
        for (x, y) in row.as_chunks::<BLOCK>().0.iter().zip(probe.as_chunks::<BLOCK>().0) {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: x and y are arrays of 32 f32 and i < 4, so 8 values from 8 * i lie inside; the load needs
                // no alignment.
                let (a, b) = unsafe {
                    (_mm256_loadu_ps(x.as_ptr().add(8 * i)), _mm256_loadu_ps(y.as_ptr().add(8 * i)))
                };
                *sum = _mm256_fmadd_ps(a, b, *sum);
            }
        }
        let four = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let mut lanes = [0f32; 8];
        // SAFETY: `lanes` holds the 8 values that are stored; the store needs no alignment.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), four) };
        lanes.iter().sum()
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    //! NEON with fused multiply-add.
    use std::arch::aarch64::*;

    use super::BLOCK;

    #[target_feature(enable = "neon")]
    pub(super) fn scan(rows: &[f32], probe: &[f32], out: &mut Vec<f32>) {
        out.extend(rows.chunks_exact(probe.len()).map(|row| dot(row, probe)));
    }

    #[target_feature(enable = "neon")]
    fn dot(row: &[f32], probe: &[f32]) -> f32 {
        let mut sums = [vdupq_n_f32(0.0); 8];
        for (x, y) in row.as_chunks::<BLOCK>().0.iter().zip(probe.as_chunks::<BLOCK>().0) {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: x and y are arrays of 32 f32 and i < 8, so 4 values from 4 * i lie inside; the load needs
                // no alignment beyond that of f32.
                let (a, b) = unsafe { (vld1q_f32(x.as_ptr().add(4 * i)), vld1q_f32(y.as_ptr().add(4 * i))) };
                *sum = vfmaq_f32(*sum, a, b);
            }
        }
        sums.iter().map(|s| vaddvq_f32(*s)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{cosine, unit};
    use proptest::prelude::*;

    fn row(values: &[f32]) -> Vec<f32> {
        let mut v = values.to_vec();
        unit(&mut v).unwrap();
        v.resize(v.len().next_multiple_of(BLOCK), 0.0);
        v
    }

    #[test]
    fn a_product_worked_by_hand() {
        // Probe: 1 at 0, 2 at 9, 3 at 31, 4 at 40. Row: index + 1 at each place. 1*1 + 2*10 + 3*32 + 4*41 = 281.
        let mut probe = vec![0.0; 64];
        (probe[0], probe[9], probe[31], probe[40]) = (1.0, 2.0, 3.0, 4.0);
        let rows: Vec<f32> = (1..=64).map(|i| i as f32).chain((1..=64).map(|i| -(i as f32))).collect();
        for kernel in Kernel::available() {
            let mut out = vec![99.0];
            kernel.scan(&rows, &probe, &mut out);
            assert_eq!(out, [281.0, -281.0], "{kernel:?}");
            kernel.scan(&[], &probe, &mut out);
            assert!(out.is_empty());
            kernel.scan(&[], &[], &mut out);
        }
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_score(
            length in 16usize..=4096,
            n in 1usize..6,
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0 + 1e-6
            };
            let mut vector = || (0..length).map(|_| next()).collect::<Vec<f32>>();
            let probe = vector();
            let vectors: Vec<Vec<f32>> = (0..n).map(|_| vector()).collect();
            let rows: Vec<f32> = vectors.iter().flat_map(|v| row(v)).collect();
            let mut expected = Vec::new();
            Kernel::Portable.scan(&rows, &row(&probe), &mut expected);
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                kernel.scan(&rows, &row(&probe), &mut out);
                prop_assert_eq!(out.len(), n);
                for ((got, plain), v) in out.iter().zip(&expected).zip(&vectors) {
                    prop_assert!((got - plain).abs() < 1e-5, "{:?} {} {}", kernel, got, plain);
                    prop_assert!((got - cosine(&probe, v).value()).abs() < 1e-5, "{:?}", kernel);
                }
            }
        }
    }
}
