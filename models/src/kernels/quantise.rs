//! f32 to steps of a scale, as ONNX's QuantizeLinear does it after a product with 1 / scale.

use std::ops::Range;

use super::buffer::Buffer;
use super::frame::Plane;
use super::program::{Map, Step, Value};
use super::simd::{Level, Simd, by_level};

/// Steps of a value: `round(x * inverse) + zero`, ties to even, cut to what int8 holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// 1 / scale.
    pub inverse: f32,
    /// What stands for 0, as int8.
    pub zero: i8,
}

/// A layer that makes u8 of f32.
#[derive(Debug, Clone, Copy)]
pub struct Quantise {
    /// What it reads, f32.
    pub from: Value,
    /// What it writes, u8.
    pub to: Value,
    /// How.
    pub steps: Steps,
}

#[derive(Debug)]
struct Quantising {
    level: Level,
    from: Map,
    to: Map,
    steps: Steps,
}

impl Quantise {
    /// The kernel.
    pub fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        assert_eq!(from.frame.plane, to.frame.plane, "an image of another size");
        Box::new(Quantising { level, from, to, steps: self.steps })
    }
}

impl Step for Quantising {
    fn lines(&self) -> usize {
        self.from.frame.plane.height
    }

    fn products(&self) -> usize {
        self.from.frame.plane.numbers()
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, _: &mut Buffer) {
        let Plane { width, channels, .. } = self.from.frame.plane;
        let (from, to) = (self.from.inside(), self.to.inside_byte());
        let (before, after) = (self.from.frame.pitch, self.to.frame.pitch);
        for y in lines {
            // SAFETY: a row of each image; the two lie apart in the maps, as laid out.
            let (row, out) = unsafe {
                (
                    std::slice::from_raw_parts(maps.add(from + y * self.from.frame.row()), width * before),
                    std::slice::from_raw_parts_mut(
                        maps.cast::<u8>().add(to + y * self.to.frame.row()),
                        width * after,
                    ),
                )
            };
            self.steps.row(self.level, channels, (row, before), (out, after));
        }
    }
}

impl Steps {
    /// Makes steps of a row of pixels of `channels` numbers, which lie as far apart as each of the two says.
    pub fn row(
        self,
        level: Level,
        channels: usize,
        (row, before): (&[f32], usize),
        (out, after): (&mut [u8], usize),
    ) {
        if before == after {
            return quantise(level, row, self, out);
        }
        for (row, out) in row.chunks_exact(before).zip(out.chunks_exact_mut(after)) {
            quantise(level, &row[..channels], self, &mut out[..channels]);
        }
    }

    /// The steps of a vector, as whole numbers from 0 to 255.
    ///
    /// # Safety
    /// The CPU must have the level of `S`.
    #[inline(always)]
    pub unsafe fn of_vector<S: Simd>(self, v: S::V) -> S::V {
        // SAFETY: arithmetic on a CPU that the caller vouches for.
        unsafe {
            let q = S::round(S::mul(v, S::splat(self.inverse)));
            let q = S::add(q, S::splat(f32::from(self.zero) + 128.0));
            // NaN becomes 0.
            S::min(S::max(q, S::splat(0.0)), S::splat(255.0))
        }
    }
}

#[inline(always)]
unsafe fn quantise_body<S: Simd>(row: &[f32], steps: Steps, out: &mut [u8]) {
    for (row, out) in row.chunks(S::LANES).zip(out.chunks_mut(S::LANES)) {
        // SAFETY: whole vectors as they are, the rest in a vector of its own.
        unsafe {
            let v = S::load_part(row.as_ptr(), row.len());
            S::store_u8_part(out.as_mut_ptr(), steps.of_vector::<S>(v), out.len());
        }
    }
}

by_level! {
    /// A row.
    fn quantise_raw = quantise_body(row: &[f32], steps: Steps, out: &mut [u8])
}

/// Makes steps of as many numbers as both have.
fn quantise(level: Level, row: &[f32], steps: Steps, out: &mut [u8]) {
    // SAFETY: the body keeps to both slices, and the level is one that was found on this CPU.
    unsafe { quantise_raw(level, row, steps, out) };
}
