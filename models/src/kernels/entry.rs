//! How pictures come into a program: row by row, straight to where the first layer reads them.

use super::buffer::Buffer;
use super::frame::Plane;
use super::program::Map;
use super::quantise::Steps;
use super::simd::Level;

/// Gives the pictures of a run: `(n, y, row)` writes all of row `y` of picture `n` to `row`, `[width, channels]`. It is
/// asked for every row once, picture by picture, from the top.
pub type Rows<'a> = &'a mut dyn FnMut(usize, usize, &mut [f32]);

/// Row `y` of image `n` of `images`, `[n, c, h, w]`, to `row`, `[w, c]`.
pub fn planar_row(images: &[f32], height: usize, (n, y): (usize, usize), row: &mut [f32], channels: usize) {
    let width = row.len() / channels;
    for c in 0..channels {
        let line = &images[((n * channels + c) * height + y) * width..][..width];
        for (pixel, x) in row.chunks_exact_mut(channels).zip(line) {
            pixel[c] = *x;
        }
    }
}

/// The other way round: rows `[w, c]` of an image that `fill` gives, from the top, to `image`, `[c, h, w]`.
pub fn to_planes(plane: Plane, image: &mut [f32], mut fill: impl FnMut(usize, &mut [f32])) {
    let Plane { height, width, channels } = plane;
    let mut row = vec![0.0; width * channels];
    for y in 0..height {
        fill(y, &mut row);
        for (x, pixel) in row.chunks_exact(channels).enumerate() {
            for (c, v) in pixel.iter().enumerate() {
                image[(c * height + y) * width + x] = *v;
            }
        }
    }
}

/// Where the pictures go.
#[derive(Debug)]
pub struct Entry {
    /// Their place.
    pub map: Map,
    /// How they become u8, where all that reads them is u8.
    pub steps: Option<Steps>,
    /// What the CPU can do.
    pub level: Level,
}

impl Entry {
    /// Numbers of a row.
    pub fn row(&self) -> usize {
        let Plane { width, channels, .. } = self.map.frame.plane;
        width * channels
    }

    /// Puts picture `n` into its place; `scratch` holds a row at least.
    pub fn fill(&self, maps: &mut Buffer, scratch: &mut [f32], n: usize, rows: Rows<'_>) {
        let Map { frame, .. } = self.map;
        let Plane { height, width, channels } = frame.plane;
        let scratch = &mut scratch[..self.row()];
        for y in 0..height {
            let (at, numbers) = (y * frame.row(), width * frame.pitch);
            match self.steps {
                None if frame.pitch == channels => rows(n, y, &mut maps[self.map.inside() + at..][..numbers]),
                None => {
                    rows(n, y, scratch);
                    let line = &mut maps[self.map.inside() + at..][..numbers];
                    for (to, from) in line.chunks_exact_mut(frame.pitch).zip(scratch.chunks_exact(channels)) {
                        to[..channels].copy_from_slice(from);
                    }
                }
                Some(steps) => {
                    rows(n, y, scratch);
                    let line = &mut maps.bytes_mut()[self.map.inside_byte() + at..][..numbers];
                    steps.row(self.level, channels, (scratch, channels), (line, frame.pitch));
                }
            }
        }
    }
}
