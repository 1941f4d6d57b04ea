//! The passes of a convolution over the taps, in rows of channels-last images.

use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::direct::{PIXELS, Packed, Walk, correlate};
use limen_models::kernels::frame::Frame;
use limen_models::kernels::gemm::{Panels, Tile, gather};
use limen_models::kernels::simd::Level;
use rayon::prelude::*;

use super::shape::{Shape, Stride};

/// Images that are taken at once, where one has too few pixels for the weights that are read for it.
pub fn together(shape: &Shape) -> usize {
    /// Of the weights that pass through the cache, each is used for so many pixels at least.
    const SHARED: usize = 4 * PIXELS;
    (SHARED / (shape.out_height() * shape.out_width())).clamp(1, 8)
}

/// Weights `[outputs, inputs, 3, 3]` for the forward pass.
pub fn forward_weights(level: Level, shape: &Shape, weights: &[f32]) -> Packed {
    let (ci, co) = (shape.inputs, shape.outputs);
    assert_eq!(weights.len(), shape.weights(), "weights of another shape");
    let all = [0, 1, 2];
    Packed::new(Panels::new(level, co), co, &all, &all, ci, ci, &|k, n, ky, kx| {
        weights[(n * ci + k) * 9 + ky * 3 + kx]
    })
}

/// Weights for the gradient to the input. `pitch`: channels of a gradient pixel, filled up.
fn backward_weights(
    level: Level,
    shape: &Shape,
    weights: &[f32],
    pitch: usize,
    kys: &[usize],
    kxs: &[usize],
) -> Packed {
    let (ci, co) = (shape.inputs, shape.outputs);
    Packed::new(Panels::new(level, ci), ci, kys, kxs, co, pitch, &|k, n, ky, kx| {
        weights[(k * ci + n) * 9 + ky * 3 + kx]
    })
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
                parities.iter().map(|kxs| backward_weights(level, shape, weights, pitch, kys, kxs))
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
