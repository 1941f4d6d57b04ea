//! Int8 codes of directions, and a proven bound of how far the product of two codes lies from the cosine.
//!
//! A direction u (a vector over its norm) is kept as u = scale * codes + rest, and the norm of the rest is measured,
//! not guessed. For a probe p and a row r, with their rests e:
//!
//! cosine = scale_p * scale_r * <codes_p, codes_r> + <u_p - e_p, e_r> + <e_p, u_r>
//!
//! The last two terms are at most (1 + |e_p|) * |e_r| + |e_p| (Cauchy and Schwarz). With 512 values of about equal size
//! |e| is 0.007, so the bound is 0.014, while what is really lost is some 0.0004.

mod encode;
mod huge;

use std::ops::Range;

use crate::score::Direction;
use crate::search::codes::encode::encode;
use crate::search::kernel::{BLOCK, Block, Kernel};

/// More than all rounding that the bound leaves out, each at most 4 * 2^-24: the product of two scales and the dot
/// product, the sum that makes the bound, the score rounded to f32, and the row rounded to f32 before it is scored.
const ROUNDING: f32 = 2e-6;

/// The codes of one direction; of none before [`Code::set`].
#[derive(Default)]
pub(super) struct Code {
    /// [blocks], -127 to 127, padded with zeros.
    blocks: Vec<Block>,
    measure: Measure,
}

/// What the codes of a direction leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Measure {
    /// Of one step of the codes; 1/127 at most.
    scale: f32,
    /// At least the norm of what the codes leave of the direction, 0 to 0.26.
    rest: f32,
}

impl Code {
    /// Becomes the codes of `direction`.
    pub(super) fn set(&mut self, direction: Direction<'_>) {
        self.blocks.clear();
        self.measure = encode(direction, &mut self.blocks);
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

    /// Makes room for `rows` more if there is as much memory: a damaged file may promise anything.
    pub(super) fn reserve(&mut self, rows: usize) {
        let _ = self.measures.try_reserve_exact(rows);
        let _ = self.rows.try_reserve_exact(rows.saturating_mul(self.width));
    }

    /// To be called when as many rows are there as are expected for long.
    pub(super) fn settle(&mut self) {
        huge::wish(&mut self.rows);
    }

    /// Adds the row of `direction` at the end.
    pub(super) fn push(&mut self, direction: Direction<'_>) {
        if self.rows.capacity() - self.rows.len() < self.width {
            self.rows.reserve(self.width);
            huge::wish(&mut self.rows);
        }
        self.measures.push(encode(direction, &mut self.rows));
    }

    /// Takes row `at` out and puts the last one there.
    pub(super) fn swap_remove(&mut self, at: usize) {
        self.measures.swap_remove(at);
        let last = self.measures.len() * self.width;
        self.rows.copy_within(last.., at * self.width);
        self.rows.truncate(last);
    }

    /// Gives `each` what the codes say of the cosine of `probe` and each of the `rows`, save those that cannot reach
    /// `floor`, which `each` may raise by what it returns. `dots` is scratch.
    pub(super) fn scan(
        &self,
        kernel: Kernel,
        rows: Range<usize>,
        probe: &Code,
        dots: &mut Vec<i32>,
        mut floor: f32,
        mut each: impl FnMut(Near) -> f32,
    ) {
        /// Rows that are looked at together, nearly always to be left out together.
        const TOGETHER: usize = 32;
        kernel.scan(&self.rows[rows.start * self.width..rows.end * self.width], &probe.blocks, dots);
        let Measure { scale, rest } = probe.measure;
        let (most, rounding) = (1.0 + rest, rest + ROUNDING);
        let near = |row, dot: i32, m: &Measure| {
            let estimate = dot as f32 * (scale * m.scale);
            Near { row, estimate, error: most * m.rest + rounding }
        };
        let measures = self.measures[rows.clone()].chunks(TOGETHER);
        for ((start, dots), measures) in rows.step_by(TOGETHER).zip(dots.chunks(TOGETHER)).zip(measures) {
            let of_all = || dots.iter().zip(measures).map(|(dot, m)| near(0, *dot, m));
            if !of_all().fold(false, |any, near| any | (near.most() >= floor)) {
                continue;
            }
            for ((row, dot), m) in (start..).zip(dots).zip(measures) {
                let near = near(row, *dot, m);
                if near.most() >= floor {
                    floor = each(near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{cosine, unit};
    use proptest::prelude::*;

    fn code(vector: &[f32]) -> Code {
        let mut code = Code::default();
        code.set(Direction::of(vector).unwrap());
        code
    }

    fn near(probe: &[f32], row: &[f32]) -> Near {
        let mut codes = Codes::new(row.len());
        codes.push(Direction::of(row).unwrap());
        let mut found = Vec::new();
        let probe = code(probe);
        codes.scan(Kernel::best(), 0..1, &probe, &mut Vec::new(), f32::NEG_INFINITY, |near| {
            found.push(near);
            f32::NEG_INFINITY
        });
        assert_eq!(found.len(), 1);
        found[0]
    }

    #[test]
    fn codes_worked_by_hand() {
        // (3, -4, 12, 0, ...) / 13: scale (12/13)/127; 3 * 127/12 = 31.75 -> 32, -4 * 127/12 = -42.33 -> -42, 12 -> 127.
        let mut v = [0.0; 16];
        (v[0], v[1], v[2]) = (3.0, -4.0, 12.0);
        let code = code(&v);
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
        let of = |x: f32| code(&[x; 16]);
        for x in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), -1.0] {
            assert!(of(x).blocks[0][..16].iter().all(|c| *c == 127 * x.signum() as i8), "{x}");
            assert!(of(x).measure.rest < 1e-6, "{x}");
        }
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
