//! Softmax over the channels of each pixel.

use std::ops::Range;

use super::buffer::Buffer;
use super::frame::Plane;
use super::program::{Map, Step, Value};

/// A softmax layer.
#[derive(Debug, Clone, Copy)]
pub struct Softmax {
    /// What it reads.
    pub from: Value,
    /// What it writes.
    pub to: Value,
}

#[derive(Debug)]
struct Row {
    from: Map,
    to: Map,
}

impl Softmax {
    /// The kernel.
    pub fn step(self, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        assert_eq!(from.frame.plane, to.frame.plane, "a softmax of another size");
        Box::new(Row { from, to })
    }
}

impl Step for Row {
    fn lines(&self) -> usize {
        self.from.frame.plane.height
    }

    fn products(&self) -> usize {
        /// What an exponential takes.
        const EXP: usize = 16;
        EXP * self.from.frame.plane.numbers()
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, _: &mut Buffer) {
        let Plane { width, channels, .. } = self.from.frame.plane;
        for y in lines {
            for x in 0..width {
                let at = |m: &Map| maps.wrapping_add(m.inside() + y * m.frame.row() + x * m.frame.pitch);
                // SAFETY: a pixel of each image; the two lie apart in the maps, as laid out.
                let (from, to) = unsafe {
                    (
                        std::slice::from_raw_parts(at(&self.from).cast_const(), channels),
                        std::slice::from_raw_parts_mut(at(&self.to), channels),
                    )
                };
                let most = from.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for (to, from) in to.iter_mut().zip(from) {
                    *to = (from - most).exp();
                    sum += *to;
                }
                for v in to {
                    *v /= sum;
                }
            }
        }
    }
}
