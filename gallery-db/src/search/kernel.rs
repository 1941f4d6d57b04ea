//! Integer products of one coded probe with many coded rows, with the widest vector unit that this processor has.
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(unused, reason = "the ways of the two have no use here")
)]

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;

/// Bytes of one block of a row: a register of AVX-512, two of AVX2, four of NEON. Rows and probe are padded to whole
/// blocks with zeros, so that no kernel has a rest to care for.
pub(super) const BLOCK: usize = 64;

/// Codes of one block, each -127 to 127: -128 has no opposite, which AVX2's way needs.
pub(super) type Block = [i8; BLOCK];

/// Rows that the vector kernels take at a time: each load of the probe serves four, and sixteen registers hold it all.
const GROUP: usize = 4;

/// A way to compute the products. All give the same numbers to the bit, so which one is chosen is a matter of time
/// only. Made by [`Kernel::available`] alone, so that one which this processor cannot run does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Way);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    DotProduct,
}

impl Kernel {
    /// The kernels that this processor can run, the fastest last.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self(Way::Portable)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            all.push(Self(Way::Avx2));
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vnni")
        {
            all.push(Self(Way::Vnni));
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self(Way::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                all.push(Self(Way::DotProduct));
            }
        }
        all
    }

    /// The fastest kernel of this processor.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self(Way::Portable))
    }

    /// Writes to `out` the product of `probe` ([blocks], not empty) with each row of `rows` ([n, blocks]).
    #[allow(unsafe_code)]
    pub(super) fn scan(self, rows: &[Block], probe: &[Block], out: &mut Vec<i32>) {
        out.clear();
        match self.0 {
            Way::Portable => out.extend(rows.chunks_exact(probe.len()).map(|row| portable(row, probe))),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` hands this kernel out only where the processor has AVX2.
            Way::Avx2 => unsafe { x86::avx2(rows, probe, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` hands this kernel out only where the processor has AVX2, AVX-512 F and VNNI.
            Way::Vnni => unsafe { x86::vnni(rows, probe, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `available` hands this kernel out only where the processor has NEON.
            Way::Neon => unsafe { arm::neon(rows, probe, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `available` hands this kernel out only where the processor has NEON and the dot product.
            Way::DotProduct => unsafe { arm::dot_product(rows, probe, out) },
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            Way::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Way::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Way::Vnni => "AVX-512 VNNI",
            #[cfg(target_arch = "aarch64")]
            Way::Neon => "NEON",
            #[cfg(target_arch = "aarch64")]
            Way::DotProduct => "dot product",
        })
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Splits [n, blocks] into whole groups and the rows left over, fewer than [`GROUP`].
fn groups(rows: &[Block], blocks: usize) -> (impl Iterator<Item = [&[Block]; GROUP]>, &[Block]) {
    let all = rows.chunks_exact(GROUP * blocks);
    let rest = all.remainder();
    (all.map(move |group| std::array::from_fn(|r| &group[r * blocks..][..blocks])), rest)
}

/// One product in plain Rust, in a form that the compiler turns into vector instructions of the target.
fn portable(row: &[Block], probe: &[Block]) -> i32 {
    let pairs = row.as_flattened().iter().zip(probe.as_flattened());
    // 4096 products of at most 127 * 127 stay below 2^27; "wrapping" spares the check of each sum, which would keep
    // the compiler from vectors.
    pairs.fold(0i32, |sum, (x, y)| sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(values: &[i8]) -> Vec<Block> {
        let mut padded = values.to_vec();
        padded.resize(values.len().next_multiple_of(BLOCK), 0);
        padded.as_chunks::<BLOCK>().0.to_vec()
    }

    #[test]
    fn products_worked_by_hand() {
        // Probe: 1 at 0, -2 at 9, 3 at 63, 4 at 70. Row: place + 1 at each place: 1 - 2 * 10 + 3 * 64 + 4 * 71 = 457.
        let mut probe = [0; 100];
        (probe[0], probe[9], probe[63], probe[70]) = (1, -2, 3, 4);
        let row: Vec<i8> = (1..=100).collect();
        let opposite: Vec<i8> = row.iter().map(|x| -x).collect();
        // Five rows: one group of four and one more.
        let rows = [&row, &opposite, &row, &row, &opposite].map(|r| blocks(r)).concat();
        for kernel in Kernel::available() {
            let mut out = vec![99];
            kernel.scan(&rows, &blocks(&probe), &mut out);
            assert_eq!(out, [457, -457, 457, 457, -457], "{kernel}");
            kernel.scan(&[], &blocks(&probe), &mut out);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn the_largest_codes_overflow_nowhere() {
        // 4096 * 127 * 127, in each pair of signs.
        for (x, y) in [(127, 127), (127, -127), (-127, 127), (-127, -127)] {
            let rows = [x; 4096 * 4];
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                kernel.scan(&blocks(&rows), &blocks(&[y; 4096]), &mut out);
                assert_eq!(out, [66_064_384 * i32::from(x.signum() * y.signum()); 4], "{kernel} {x} {y}");
            }
        }
    }

    /// Mostly the ends of the range and zero: where saturation and lost signs would show.
    fn code() -> impl Strategy<Value = i8> {
        prop_oneof![2 => prop::sample::select(vec![-127i8, 0, 127]), 1 => -127i8..=127]
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_to_the_bit(
            length in 16usize..=4096,
            n in 0usize..10,
            pool in prop::collection::vec(code(), 997),
        ) {
            // 997 is prime, so the rows differ though they are cut from one pool.
            let values: Vec<i8> = pool.iter().copied().cycle().take(length * (n + 1)).collect();
            let (probe, rest) = values.split_at(length);
            let rows: Vec<Block> = rest.chunks(length).flat_map(blocks).collect();
            let expected: Vec<i32> = rest
                .chunks(length)
                .map(|row| row.iter().zip(probe).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum())
                .collect();
            for kernel in Kernel::available() {
                let mut out = Vec::new();
                kernel.scan(&rows, &blocks(probe), &mut out);
                prop_assert_eq!(&out, &expected, "{}", kernel);
            }
        }
    }
}
