//! Int8 codes of directions, and a proven bound of how far the product of two codes lies from the cosine.
//!
//! A direction u (a vector over its norm) is kept as u = scale * codes + rest, and the norm of the rest is measured,
//! not guessed. For a probe p and a row r, with their rests e:
//!
//! cosine = scale_p * scale_r * <codes_p, codes_r> + <u_p - e_p, e_r> + <e_p, u_r>
//!
//! The last two terms are at most (1 + |e_p|) * |e_r| + |e_p| (Cauchy and Schwarz). With 512 values of about equal size
//! |e| is 0.007, so the bound is 0.014, while what is really lost is some 0.0004.

use std::ops::Range;

use crate::score::{VectorError, check_direction};
use crate::search::kernel::{BLOCK, Block, Kernel};

/// More than all rounding that the bound leaves out, each at most 4 * 2^-24: the product of two scales and the dot
/// product, the sum that makes the bound, the score rounded to f32, and the row rounded to f32 before it is scored.
const ROUNDING: f32 = 2e-6;

/// The codes of one direction.
pub(crate) struct Code {
    /// [blocks], -127 to 127, padded with zeros.
    blocks: Vec<Block>,
    measure: Measure,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    /// Of one step of the codes; 1/127 at most.
    scale: f32,
    /// At least the norm of what the codes leave of the direction, 0 to 0.26.
    rest: f32,
}

impl Code {
    /// The codes of `vector`'s direction. Errors where it has no finite one.
    pub(crate) fn new(vector: &[f32]) -> Result<Self, VectorError> {
        let over_norm = 1.0 / check_direction(vector)?;
        let mut direction = vec![[0f32; BLOCK]; vector.len().div_ceil(BLOCK)]; // [blocks]
        for (u, x) in direction.as_flattened_mut().iter_mut().zip(vector) {
            *u = (f64::from(*x) * over_norm) as f32;
        }
        let mut largest = [0f32; BLOCK];
        for block in &direction {
            for (m, u) in largest.iter_mut().zip(block) {
                *m = if u.abs() > *m { u.abs() } else { *m };
            }
        }
        // At least 1/64, for 4096 values of one size.
        let largest = largest.iter().fold(0f32, |m, x| m.max(*x));
        let (scale, steps) = (largest / 127.0, 127.0 / largest);

        let mut blocks = Vec::with_capacity(direction.len());
        let mut sums = [0f32; BLOCK];
        for u in &direction {
            let mut codes = [0; BLOCK];
            for ((code, sum), u) in codes.iter_mut().zip(&mut sums).zip(u) {
                // 1.5 * 2^23: added to a small number it leaves the nearest whole one in the low bits. `f32::round` is
                // a call on processors without SSE4.1, for which the program is built.
                const WHOLE: f32 = 12_582_912.0;
                let shifted = u * steps + WHOLE;
                *code = (shifted.to_bits().wrapping_sub(WHOLE.to_bits())) as i8;
                let rest = u - (shifted - WHOLE) * scale;
                *sum += rest * rest;
            }
            blocks.push(codes);
        }
        // The sum is 128 additions long, so its root is right within 1e-5 of itself; the direction and the rests are
        // rounded by 2^-24 of values whose norm is about 1.
        let rest = sums.iter().sum::<f32>().sqrt() * 1.0001 + 2e-7;
        Ok(Self { blocks, measure: Measure { scale, rest } })
    }
}

/// The codes of many directions of one length.
pub(crate) struct Codes {
    /// Blocks of a row.
    width: usize,
    /// [n, width]
    rows: Vec<Block>,
    /// [n]
    measures: Vec<Measure>,
}

/// What the codes say of a cosine: it lies within `error` of `estimate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) row: usize,
    pub(super) estimate: f32,
    pub(super) error: f32,
}

impl Near {
    pub(super) fn least(&self) -> f32 {
        self.estimate - self.error
    }

    pub(super) fn most(&self) -> f32 {
        self.estimate + self.error
    }
}

impl Codes {
    /// None yet; for directions of `length` values.
    pub(super) fn new(length: usize) -> Self {
        Self { width: length.div_ceil(BLOCK), rows: Vec::new(), measures: Vec::new() }
    }

    /// Bytes of a row.
    pub(super) fn row_size(&self) -> usize {
        self.width * BLOCK
    }

    /// Adds a row at the end.
    pub(super) fn push(&mut self, code: &Code) {
        self.rows.extend_from_slice(&code.blocks);
        self.measures.push(code.measure);
    }

    /// Takes row `at` out and puts the last one there.
    pub(super) fn swap_remove(&mut self, at: usize) {
        self.measures.swap_remove(at);
        let last = self.measures.len() * self.width;
        self.rows.copy_within(last.., at * self.width);
        self.rows.truncate(last);
    }

    /// Gives `each` what the codes say of the cosine of `probe` and each of the `rows`. `dots` is scratch.
    pub(super) fn scan(
        &self,
        kernel: Kernel,
        rows: Range<usize>,
        probe: &Code,
        dots: &mut Vec<i32>,
        mut each: impl FnMut(Near),
    ) {
        kernel.scan(&self.rows[rows.start * self.width..rows.end * self.width], &probe.blocks, dots);
        let Measure { scale, rest } = probe.measure;
        let (most, rounding) = (1.0 + rest, rest + ROUNDING);
        for ((row, dot), m) in rows.clone().zip(&*dots).zip(&self.measures[rows]) {
            let estimate = *dot as f32 * (scale * m.scale);
            each(Near { row, estimate, error: most * m.rest + rounding });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{cosine, unit};
    use proptest::prelude::*;

    fn near(probe: &[f32], row: &[f32]) -> Near {
        let mut codes = Codes::new(row.len());
        codes.push(&Code::new(row).unwrap());
        let mut found = Vec::new();
        let probe = Code::new(probe).unwrap();
        codes.scan(Kernel::best(), 0..1, &probe, &mut Vec::new(), |near| found.push(near));
        assert_eq!(found.len(), 1);
        found[0]
    }

    #[test]
    fn codes_worked_by_hand() {
        // (3, -4, 12, 0, ...) / 13: scale (12/13)/127; 3 * 127/12 = 31.75 -> 32, -4 * 127/12 = -42.33 -> -42, 12 -> 127.
        let mut v = [0.0; 16];
        (v[0], v[1], v[2]) = (3.0, -4.0, 12.0);
        let code = Code::new(&v).unwrap();
        assert_eq!(code.blocks[0][..4], [32, -42, 127, 0]);
        assert_eq!((code.blocks.len(), code.measure.scale), (1, 12f32 / 13.0 / 127.0));
        // The rests are 0.25 and 0.3333 steps: sqrt(0.0625 + 0.1111) = 0.416667 steps of 0.0072683 = 0.0030285.
        assert!((code.measure.rest - 0.003_028_5).abs() < 1e-6, "{}", code.measure.rest);
    }

    #[test]
    fn what_the_codes_hold_exactly_has_a_bound_of_rounding_alone() {
        let mut v = [0.0; 100];
        v[70] = -3.0;
        let found = near(&v, &v);
        assert!((found.estimate - 1.0).abs() < 1e-6 && found.error < 3e-6, "{found:?}");
    }

    #[test]
    fn the_bound_is_reached() {
        // 0.4 of a step at fifteen places: all of it is lost, and the other vector lies just there. No product of the
        // codes is left, and the cosine is the whole rest.
        let step = 1.0 / 127.0;
        let mut lossy = [0.4 * step; 16];
        lossy[0] = 1.0;
        for sign in [1.0, -1.0] {
            let mut there = [sign; 16];
            there[0] = 0.0;
            let score = cosine(&lossy, &there).value();
            assert!((score.abs() - 15f32.sqrt() * 0.4 * step).abs() < 1e-5, "{score}");
            for found in [near(&lossy, &there), near(&there, &lossy)] {
                assert_eq!(found.estimate, 0.0);
                assert!(found.least() <= score && score <= found.most(), "{found:?} {score}");
                assert!(
                    found.error < score.abs() + 5e-6,
                    "{found:?} {score}: no tighter bound is true, this is looser"
                );
            }
        }
    }

    #[test]
    fn a_vector_of_any_size_has_codes() {
        let of = |x: f32| Code::new(&[x; 16]).unwrap();
        for x in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), -1.0] {
            assert!(of(x).blocks[0][..16].iter().all(|c| *c == 127 * x.signum() as i8), "{x}");
            assert!(of(x).measure.rest < 1e-6, "{x}");
        }
        assert_eq!(Code::new(&[0.0; 16]).err(), Some(VectorError::Zero));
        let mut bad = [1.0; 16];
        bad[3] = f32::INFINITY;
        assert_eq!(Code::new(&bad).err(), Some(VectorError::NotFinite { at: 3 }));
    }

    /// Values of one size, or a few that dwarf the others: where the codes say little.
    fn vector(length: usize) -> impl Strategy<Value = Vec<f32>> {
        prop_oneof![
            prop::collection::vec(-1f32..1.0, length),
            prop::collection::vec(prop_oneof![9 => -1e-2f32..1e-2, 1 => -1f32..1.0], length),
            prop::collection::vec(prop::sample::select(vec![-1.0f32, 1e-9, 0.0039, 0.0040, 1.0]), length),
        ]
    }

    proptest! {
        #[test]
        fn the_score_lies_within_the_bound(
            (probe, row) in (16usize..700).prop_flat_map(|n| (vector(n), vector(n))),
            alike in 0f32..1.0,
        ) {
            // Rows near the probe as well as far from it.
            let row: Vec<f32> = row.iter().zip(&probe).map(|(r, p)| r * (1.0 - alike) + p * alike).collect();
            let mut exact = row.clone();
            if unit(&mut exact).is_ok() && unit(&mut probe.clone()).is_ok() {
                let (found, score) = (near(&probe, &row), cosine(&probe, &exact).value());
                prop_assert!(found.least() <= score && score <= found.most(), "{:?} {}", found, score);
            }
        }
    }
}
