//! Maxima over windows; windows that reach beyond the far edges are cut there.

use std::ops::Range;

use super::buffer::Buffer;
use super::frame::{Frame, Plane};
use super::program::{Map, Step, Value};
use super::simd::{Level, Simd, by_level};

/// A pooling layer without padding before.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// What it reads.
    pub from: Value,
    /// What it writes.
    pub to: Value,
    /// Height and width of a window, px.
    pub kernel: [usize; 2],
    /// From window to window, px.
    pub stride: [usize; 2],
}

#[derive(Debug)]
struct Pooling {
    level: Level,
    from: Map,
    to: Map,
    kernel: [usize; 2],
    stride: [usize; 2],
}

impl Pool {
    /// The kernel.
    pub fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        let ends = |size: usize, out: usize, axis: usize| (out - 1) * self.stride[axis] < size;
        let (before, after) = (from.frame.plane, to.frame.plane);
        assert!(
            before.channels == after.channels
                && ends(before.height, after.height, 0)
                && ends(before.width, after.width, 1),
            "a pooling of another size"
        );
        Box::new(Pooling { level, from, to, kernel: self.kernel, stride: self.stride })
    }
}

impl Step for Pooling {
    fn lines(&self) -> usize {
        self.to.frame.plane.height
    }

    fn products(&self) -> usize {
        self.to.frame.plane.numbers() * self.kernel[0] * self.kernel[1]
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, _: &mut Buffer) {
        // SAFETY: both images lie in the maps, apart, and every window begins inside its image (asserted when made).
        unsafe {
            pool(
                self.level,
                maps.add(self.from.inside()).cast_const(),
                &self.from.frame,
                maps.add(self.to.inside()),
                &self.to.frame,
                lines,
                self.kernel,
                self.stride,
            );
        }
    }
}

#[inline(always)]
unsafe fn pool_body<S: Simd>(
    from: *const f32,
    before: &Frame,
    to: *mut f32,
    after: &Frame,
    lines: Range<usize>,
    kernel: [usize; 2],
    stride: [usize; 2],
) {
    let Plane { width, channels, .. } = after.plane;
    for y in lines {
        let rows = kernel[0].min(before.plane.height - y * stride[0]);
        for x in 0..width {
            let columns = kernel[1].min(before.plane.width - x * stride[1]);
            let window = from.wrapping_add(y * stride[0] * before.row() + x * stride[1] * before.pitch);
            let out = to.wrapping_add(y * after.row() + x * after.pitch);
            let mut c = 0;
            while c < channels {
                let lanes = S::LANES.min(channels - c);
                // SAFETY: the window is cut to the image, and the caller vouches for both.
                unsafe {
                    let load = |i: usize, j: usize| {
                        let at = window.wrapping_add(i * before.row() + j * before.pitch + c);
                        S::load_part(at, lanes)
                    };
                    let mut most = load(0, 0);
                    for i in 0..rows {
                        for j in 0..columns {
                            most = S::max(load(i, j), most);
                        }
                    }
                    S::store_part(out.add(c), most, lanes);
                }
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// Maxima of rows of one image.
    fn pool = pool_body(
        from: *const f32, before: &Frame, to: *mut f32, after: &Frame, lines: Range<usize>, kernel: [usize; 2],
        stride: [usize; 2],
    )
}
