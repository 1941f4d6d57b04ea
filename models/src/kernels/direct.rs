//! Convolution as a sum of matrix products over the taps, in rows of channels-last images.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::frame::{Frame, Plane};
use super::gemm::{Number, Panels, Tile};

/// Terms summed before the sums go back to memory: a panel's weights for them stay in the first-level cache.
const TERMS: usize = 160;
/// Pixels that share the weights in cache.
pub const PIXELS: usize = 96;

/// Weights that do not fit the second-level cache: more pixels share each pass over them.
const BIG: usize = 1 << 18;

/// Weights in the order the kernel reads them: `[panel][row tap][column tap][term][lane]`.
#[derive(Debug)]
pub struct Packed<T: Number = f32> {
    panels: Panels,
    weights: T::Kept,
    /// Row taps.
    rows: usize,
    /// Terms of one row tap: column taps times channels.
    span: usize,
}

/// What a pack is read from: `(term, column, row tap, column tap)` to the number.
pub type At<'a> = &'a (dyn Fn(usize, usize, usize, usize) -> f32 + Sync);

impl<T: Number> Packed<T> {
    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        size_of_val::<[T]>(&self.weights)
    }

    /// Weights, those that fill up left in.
    pub fn count(&self) -> usize {
        self.weights.len()
    }

    /// Packs the taps `kys` x `kxs`; terms from `terms` up to `padded` are zero.
    pub fn new(
        panels: Panels,
        columns: usize,
        kys: &[usize],
        kxs: &[usize],
        terms: usize,
        padded: usize,
        at: At<'_>,
    ) -> Self {
        let total = kys.len() * kxs.len() * padded;
        let mut weights = Buffer::zeroed(panels.padded() * total);
        let list: Vec<_> = panels.iter().collect();
        let widest = list.first().map_or(1, |p| panels.width(*p));
        weights.par_chunks_mut((widest * total).max(1)).zip(list).for_each(|(out, panel)| {
            let width = panels.width(panel);
            let columns = panel.column..columns.min(panel.column + panel.columns);
            for (row, &ky) in kys.iter().enumerate() {
                for (col, &kx) in kxs.iter().enumerate() {
                    let start = (row * kxs.len() + col) * padded * width;
                    for (lane, column) in columns.clone().enumerate() {
                        for term in 0..terms {
                            out[start + term * width + lane] = at(term, column, ky, kx);
                        }
                    }
                }
            }
        });
        Self { panels, weights: T::keep(weights), rows: kys.len(), span: kxs.len() * padded }
    }
}

/// Where a correlation reads and writes, in numbers from the pointers.
#[derive(Debug, Clone, Copy)]
pub struct Walk<T = f32> {
    /// The first tap of the first output pixel.
    pub a: *const T,
    /// From one row tap to the next.
    pub a_tap: usize,
    /// From one output row to the next.
    pub a_row: usize,
    /// From one output pixel to the next.
    pub a_pixel: usize,
    /// The first output pixel.
    pub c: *mut f32,
    /// From one output row to the next.
    pub c_row: usize,
    /// From one output pixel to the next.
    pub c_pixel: usize,
    /// Output rows of one image.
    pub rows: usize,
    /// Output pixels of a row.
    pub columns: usize,
    /// Images.
    pub images: usize,
    /// From one image to the next, before.
    pub a_image: usize,
    /// From one image to the next, after.
    pub c_image: usize,
}

/// Sums `packed` over its taps for every output pixel of `walk`; `after` is told of each finished range of rows, counted
/// through all images.
///
/// # Safety
/// Every offset that `walk` and `packed` name must lie inside the allocations, and `c` must be the caller's alone.
pub unsafe fn correlate<T: Number>(
    packed: &Packed<T>,
    walk: &Walk<T>,
    mut after: impl FnMut(std::ops::Range<usize>),
) {
    /// Most row taps that are summed at once.
    const TAPS: usize = 8;
    let most = TERMS.min(T::MOST);
    let whole = packed.rows * packed.span <= most && packed.rows <= TAPS;
    let piece = packed.span.div_ceil(packed.span.div_ceil(most)).next_multiple_of(T::STEP);
    let group = if packed.weights.len() > BIG { 4 * PIXELS } else { PIXELS }.div_ceil(walk.columns.max(1));
    let mut start = 0;
    let rows = walk.rows * walk.images;
    while start < rows {
        let end = rows.min(start + group);
        for panel in packed.panels.iter() {
            let width = packed.panels.width(panel);
            let weights = &packed.weights[panel.column * packed.rows * packed.span..];
            let chunk = |segments: &[(usize, usize)], k: usize, add: bool| {
                for row in start..end {
                    let (image, row) = (row / walk.rows, row % walk.rows);
                    let tile = Tile {
                        a: walk.a.wrapping_add(image * walk.a_image + row * walk.a_row),
                        a_row: walk.a_pixel,
                        a_k: 1,
                        b: weights.as_ptr(),
                        b_k: width,
                        c: walk.c.wrapping_add(image * walk.c_image + row * walk.c_row + panel.column),
                        c_row: walk.c_pixel,
                        k,
                        segments,
                        tail: 0,
                        add,
                    };
                    // SAFETY: the caller vouches for the walk; the packed weights hold rows x span x width numbers.
                    unsafe { packed.panels.run(panel, tile, walk.columns) };
                }
            };
            if whole {
                let mut segments = [(0, 0); TAPS];
                for (tap, s) in segments.iter_mut().enumerate().take(packed.rows) {
                    *s = (tap * walk.a_tap, tap * packed.span * width);
                }
                chunk(&segments[..packed.rows], packed.span, false);
            } else {
                for tap in 0..packed.rows {
                    for from in (0..packed.span).step_by(piece) {
                        let k = piece.min(packed.span - from);
                        chunk(
                            &[(tap * walk.a_tap + from, (tap * packed.span + from) * width)],
                            k,
                            tap + from > 0,
                        );
                    }
                }
            }
        }
        after(start..end);
        start = end;
    }
}

/// Copies a channels-last image into its frame.
pub fn pad(image: &[f32], frame: &Frame, out: &mut [f32]) {
    let (Plane { height, width, channels }, pitch, row) = (frame.plane, frame.pitch, frame.row());
    assert_eq!(out.len(), frame.numbers(), "frame of another size");
    out[..row].fill(0.0);
    out[(height + 1) * row..].fill(0.0);
    for y in 0..height {
        let line = &mut out[(y + 1) * row..(y + 2) * row];
        line[..pitch].fill(0.0);
        line[(width + 1) * pitch..].fill(0.0);
        let from = &image[y * width * channels..(y + 1) * width * channels];
        if pitch == channels {
            line[pitch..(width + 1) * pitch].copy_from_slice(from);
        } else {
            for (to, from) in line[pitch..].chunks_exact_mut(pitch).zip(from.chunks_exact(channels)) {
                to[..channels].copy_from_slice(from);
                to[channels..].fill(0.0);
            }
        }
    }
}
