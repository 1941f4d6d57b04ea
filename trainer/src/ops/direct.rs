//! Convolution as a sum of matrix products over the taps, in rows of channels-last images.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::gemm::{Panels, Tile, gather};
use super::shape::{Frame, Plane, Shape, Stride};
use super::simd::Level;

/// Terms summed before the sums go back to memory: a panel's weights for them stay in the first-level cache.
const TERMS: usize = 160;
/// Pixels that share the weights in cache.
const PIXELS: usize = 96;

/// Weights that do not fit the second-level cache: more pixels share each pass over them.
const BIG: usize = 1 << 18;

/// Images that are taken at once, where one has too few pixels for the weights that are read for it.
pub fn together(shape: &Shape) -> usize {
    /// Of the weights that pass through the cache, each is used for so many pixels at least.
    const SHARED: usize = 4 * PIXELS;
    (SHARED / (shape.out_height() * shape.out_width())).clamp(1, 8)
}

/// Weights in the order the kernel reads them: `[panel][row tap][column tap][term][lane]`.
#[derive(Debug)]
pub struct Packed {
    panels: Panels,
    weights: Buffer,
    /// Row taps.
    rows: usize,
    /// Terms of one row tap: column taps times channels.
    span: usize,
}

/// What a pack is read from: `(term, column, row tap, column tap)` to the number.
type At<'a> = &'a (dyn Fn(usize, usize, usize, usize) -> f32 + Sync);

impl Packed {
    /// Packs the taps `kys` x `kxs`; terms from `terms` up to `padded` are zero.
    fn new(
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
        Self { panels, weights, rows: kys.len(), span: kxs.len() * padded }
    }

    /// Weights `[outputs, inputs, 3, 3]` for the forward pass.
    pub fn forward(level: Level, shape: &Shape, weights: &[f32]) -> Self {
        let (ci, co) = (shape.inputs, shape.outputs);
        assert_eq!(weights.len(), shape.weights(), "weights of another shape");
        let all = [0, 1, 2];
        Self::new(Panels::new(level, co), co, &all, &all, ci, ci, &|k, n, ky, kx| {
            weights[(n * ci + k) * 9 + ky * 3 + kx]
        })
    }

    /// Weights for the gradient to the input. `pitch`: channels of a gradient pixel, filled up.
    fn backward(
        level: Level,
        shape: &Shape,
        weights: &[f32],
        pitch: usize,
        kys: &[usize],
        kxs: &[usize],
    ) -> Self {
        let (ci, co) = (shape.inputs, shape.outputs);
        Self::new(Panels::new(level, ci), ci, kys, kxs, co, pitch, &|k, n, ky, kx| {
            weights[(k * ci + n) * 9 + ky * 3 + kx]
        })
    }
}

/// Where a correlation reads and writes, in f32 from the pointers.
struct Walk {
    a: *const f32,
    /// From one row tap to the next.
    a_tap: usize,
    /// From one output row to the next.
    a_row: usize,
    /// From one output pixel to the next.
    a_pixel: usize,
    c: *mut f32,
    c_row: usize,
    c_pixel: usize,
    /// Of one image.
    rows: usize,
    columns: usize,
    images: usize,
    /// From one image to the next.
    a_image: usize,
    c_image: usize,
}

/// Sums `packed` over its taps for every output pixel of `walk`; `after` is told of each finished range of rows, counted
/// through all images.
///
/// # Safety
/// Every offset that `walk` and `packed` name must lie inside the allocations, and `c` must be the caller's alone.
unsafe fn correlate(packed: &Packed, walk: &Walk, mut after: impl FnMut(std::ops::Range<usize>)) {
    let whole = packed.rows * packed.span <= TERMS;
    let piece = packed.span.div_ceil(packed.span.div_ceil(TERMS));
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
                let mut segments = [(0, 0); 3];
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
    assert_eq!(out.len(), frame.len(), "frame of another size");
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

/// The frame of an input image: pixels side by side, so that the column taps of a pixel are one run.
pub fn frame(shape: &Shape) -> Frame {
    Frame::new(shape.plane(), shape.inputs, 1)
}

/// The frame of an output image's gradient: pixels of whole vectors.
pub fn gradient_frame(level: Level, shape: &Shape) -> Frame {
    Frame::new(shape.out_plane(), Panels::new(level, shape.outputs).padded(), 1)
}

/// The forward pass of images that lie one after the other. `padded` are their [`frame`]s; rows are counted through all.
pub fn forward(
    shape: &Shape,
    packed: &Packed,
    padded: &[f32],
    out: &mut [f32],
    mut after: impl FnMut(std::ops::Range<usize>, &mut [f32]),
) {
    let (ci, co, step) = (shape.inputs, shape.outputs, shape.stride.pixels());
    let pitch = (shape.width + 2) * ci;
    let frame = (shape.height + 2) * pitch;
    let images = out.len() / shape.out_image();
    assert_eq!(padded.len(), images * frame, "images of another size");
    assert_eq!(out.len(), images * shape.out_image(), "output of another size");
    let row = shape.out_width() * co;
    let walk = Walk {
        a: padded.as_ptr(),
        a_tap: pitch,
        a_row: step * pitch,
        a_pixel: step * ci,
        c: out.as_mut_ptr(),
        c_row: row,
        c_pixel: co,
        rows: shape.out_height(),
        columns: shape.out_width(),
        images,
        a_image: frame,
        c_image: shape.out_image(),
    };
    // SAFETY: the farthest tap of the farthest pixel is at row step * (rows - 1) + 2 <= height + 1 and the same in
    // columns, inside the padded image (asserted above); packed sums 3 x 3 x ci terms. While `after` holds `out`,
    // correlate does not touch it.
    unsafe {
        correlate(packed, &walk, |rows| {
            let done = std::slice::from_raw_parts_mut(walk.c.add(rows.start * row), rows.len() * row);
            after(rows, done);
        });
    }
}

/// Weights for the gradient to the input: one pack at stride 1, four by the parity of row and column at stride 2.
#[derive(Debug)]
pub struct Adjoint {
    packs: Vec<Packed>,
    pitch: usize,
}

impl Adjoint {
    /// Packs `[outputs, inputs, 3, 3]`.
    pub fn new(level: Level, shape: &Shape, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), shape.weights(), "weights of another shape");
        let pitch = Panels::new(level, shape.outputs).padded();
        let parities: &[&[usize]] = match shape.stride {
            // An input pixel meets the output before it through tap 2, the one after it through tap 0.
            Stride::One => &[&[2, 1, 0]],
            Stride::Two => &[&[1], &[2, 0]],
        };
        let packs = parities
            .iter()
            .flat_map(|kys| {
                parities.iter().map(|kxs| Packed::backward(level, shape, weights, pitch, kys, kxs))
            })
            .collect();
        Self { packs, pitch }
    }

    /// The gradient to images that lie one after the other. `gradient` are their [`gradient_frame`]s.
    pub fn run(&self, shape: &Shape, gradient: &[f32], out: &mut [f32]) {
        let pitch = (shape.out_width() + 2) * self.pitch;
        let frame = (shape.out_height() + 2) * pitch;
        let images = out.len() / shape.image();
        assert_eq!(gradient.len(), images * frame, "gradient of another size");
        assert_eq!(out.len(), images * shape.image(), "images of another size");
        let step = shape.stride.pixels();
        let ci = shape.inputs;
        for (phase, packed) in self.packs.iter().enumerate() {
            let (py, px) = (phase / step, phase % step);
            // At stride 1 the first of three taps is the border; at stride 2 the taps start at the pixel itself.
            let first = match shape.stride {
                Stride::One => 0,
                Stride::Two => pitch + self.pitch,
            };
            let walk = Walk {
                a: gradient.as_ptr().wrapping_add(first),
                a_tap: pitch,
                a_row: pitch,
                a_pixel: self.pitch,
                c: out.as_mut_ptr().wrapping_add((py * shape.width + px) * ci),
                c_row: step * shape.width * ci,
                c_pixel: step * ci,
                rows: (shape.height - py).div_ceil(step),
                columns: (shape.width - px).div_ceil(step),
                images,
                a_image: frame,
                c_image: shape.image(),
            };
            if walk.rows == 0 || walk.columns == 0 {
                continue;
            }
            // SAFETY: at stride 1 taps reach rows 0 to height + 1 of the padded gradient; at stride 2 row r of a phase
            // reads rows r + 1 and, at odd parity, r + 2 <= out_height + 1, and the same in columns. Written are
            // pixels of the phase's parity inside the image.
            unsafe { correlate(packed, &walk, |_| ()) };
        }
    }
}

/// Adds the gradient of images that lie one after the other to the weights, laid out `[3][3][inputs][outputs filled up]`; `fresh` sums are written, not
/// added to.
pub fn weights(
    level: Level,
    shape: &Shape,
    padded: &[f32],
    gradient: &[f32],
    sums: &mut [f32],
    fresh: bool,
    copy: &mut Buffer,
) {
    let panels = Panels::new(level, shape.outputs);
    let (ci, step, cop) = (shape.inputs, shape.stride.pixels(), panels.padded());
    let pitch = (shape.width + 2) * ci;
    let (rows, columns) = (shape.out_height(), shape.out_width());
    let gradient_pitch = (columns + 2) * cop;
    let (frame, gradient_frame) = ((shape.height + 2) * pitch, (rows + 2) * gradient_pitch);
    let images = padded.len() / frame;
    assert_eq!(padded.len(), images * frame, "images of another size");
    assert_eq!(gradient.len(), images * gradient_frame, "gradients of another size");
    assert_eq!(sums.len(), 9 * ci * cop, "sums of another size");
    let group = PIXELS.div_ceil(columns.max(1));
    let mut starts = Vec::with_capacity(group);
    let mut segments = Vec::with_capacity(group);
    let mut start = 0;
    while start < rows * images {
        let end = (rows * images).min(start + group);
        starts.clear();
        starts.extend((start..end).map(|row| {
            let (image, row) = (row / rows, row % rows);
            (image * frame + row * step * pitch, image * gradient_frame + (row + 1) * gradient_pitch + cop)
        }));
        for panel in panels.iter() {
            let width = panels.width(panel);
            let from = gradient.as_ptr().wrapping_add(panel.column);
            copy.resize((end - start) * columns * width);
            // SAFETY: the panel's columns of the pixels of the group's rows.
            unsafe { gather(from, starts.iter().map(|s| s.1), columns, cop, width, copy) };
            segments.clear();
            segments.extend(starts.iter().enumerate().map(|(i, s)| (s.0, i * columns * width)));
            for ky in 0..3 {
                let tile = Tile {
                    a: padded.as_ptr().wrapping_add(ky * pitch),
                    a_row: 1,
                    a_k: step * ci,
                    b: copy.as_ptr(),
                    b_k: width,
                    c: sums.as_mut_ptr().wrapping_add(ky * 3 * ci * cop + panel.column),
                    c_row: cop,
                    k: columns,
                    segments: &segments,
                    tail: 0,
                    add: !fresh || start > 0,
                };
                // SAFETY: rows of the tile are the 3 x inputs numbers under the three column taps, which lie side by
                // side in the padded image; its terms are the pixels of the group's rows.
                unsafe { panels.run(panels.whole(panel), tile, 3 * ci) };
            }
        }
        start = end;
    }
}

/// Sums the parts of [`weights`] in their order into `[outputs, inputs, 3, 3]`.
pub fn reduce(level: Level, shape: &Shape, parts: &[Buffer], out: &mut [f32]) {
    let (ci, cop, lanes) = (shape.inputs, Panels::new(level, shape.outputs).padded(), level.lanes());
    out.par_chunks_mut((lanes * ci * 9).max(1)).enumerate().for_each(|(block, out)| {
        let mut taps = [[0.0f32; 16]; 9];
        for c in 0..ci {
            for (tap, sums) in taps.iter_mut().enumerate() {
                sum(parts, (tap * ci + c) * cop + block * lanes, lanes, sums);
            }
            spread(&taps, ci, c, out);
        }
    });
}

/// Sums `lanes` numbers at `at` over the parts, in their order.
pub fn sum(parts: &[Buffer], at: usize, lanes: usize, sums: &mut [f32; 16]) {
    // A length known to the compiler makes vectors of the loop.
    fn fixed<const L: usize>(parts: &[Buffer], at: usize, sums: &mut [f32; 16]) {
        let mut all = [0.0f32; L];
        for part in parts {
            let Some(part) = part[at..].first_chunk::<L>() else { continue };
            for (s, x) in all.iter_mut().zip(part) {
                *s += x;
            }
        }
        sums[..L].copy_from_slice(&all);
    }
    match lanes {
        16 => fixed::<16>(parts, at, sums),
        8 => fixed::<8>(parts, at, sums),
        _ => fixed::<4>(parts, at, sums),
    }
}

/// Writes the taps of input `c` to each output that `out`, some rows of `[outputs, inputs, 3, 3]`, has.
pub fn spread(taps: &[[f32; 16]; 9], inputs: usize, c: usize, out: &mut [f32]) {
    for (lane, out) in out.chunks_exact_mut(inputs * 9).enumerate() {
        let out = &mut out[c * 9..c * 9 + 9];
        for (to, line) in out.iter_mut().zip(taps) {
            *to = line[lane];
        }
    }
}
