//! The gradients of Winograd's F(4x4, 3x3).
//!
//! y = A' [(G g G') * (B' d B)] A read backward gives the gradient to g: G' [(B' d B) * (A dy A')] G.

mod transform;

use std::ops::Range;

use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::frame::Frame;
use limen_models::kernels::gemm::{Panels, Tile, gather};
use limen_models::kernels::simd::Level;
use limen_models::kernels::winograd::{ELEMENTS, SIDE, Tiles, element_step};
use rayon::prelude::*;

use super::direct;
use super::shape::{Shape, Stride};

/// Whether a convolution is done this way.
pub fn suits(level: Level, shape: &Shape) -> bool {
    let tiles = shape.height.div_ceil(SIDE) * shape.width.div_ceil(SIDE);
    let lanes = level.lanes();
    // Small planes waste most of each tile; few channels do not pay for the transforms.
    shape.stride == Stride::One
        && shape.inputs >= lanes
        && shape.outputs >= lanes
        && ELEMENTS * tiles * 5 <= 9 * shape.height * shape.width * 3
}

/// A dy A' of the tiles of `strips` of a framed gradient of the size of the grid's frame, put at tile `first` and on.
///
/// # Safety
/// No other thread may touch these tiles.
pub unsafe fn transform_gradient(
    level: Level,
    frame: &Frame,
    framed: &[f32],
    strips: Range<usize>,
    tiles: Tiles,
    first: usize,
) {
    let across = (frame.columns - 2) / SIDE;
    assert_eq!(framed.len(), frame.numbers(), "image of another size");
    assert!(strips.end * SIDE + 2 <= frame.rows, "rows outside the frame");
    assert!(tiles.pitch == frame.pitch && first + strips.len() * across <= tiles.count, "too many tiles");
    for (strip, at) in strips.zip((first..).step_by(across)) {
        // SAFETY: inside the frame as asserted; the image starts one row and one pixel in.
        unsafe {
            transform::gradient(
                level,
                framed.as_ptr().add((strip * SIDE + 1) * frame.row() + frame.pitch),
                frame.row(),
                frame.pitch,
                across,
                tiles.element(0).add(at * tiles.pitch),
                tiles.step(),
            );
        }
    }
}

/// Adds one element's gradient to the transformed weights, `[terms][columns filled up]`, over `count` tiles; `fresh`
/// sums are written, not added to.
///
/// # Safety
/// Only this thread may touch `sums`, and nobody may write the element of `tiles` and `gradients`.
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub unsafe fn accumulate(
    level: Level,
    element: usize,
    shape: &Shape,
    tiles: Tiles,
    gradients: Tiles,
    count: usize,
    sums: &mut [f32],
    fresh: bool,
    copy: &mut Buffer,
) {
    /// Tiles whose gradients stay in the first-level cache.
    const TERMS: usize = 96;
    let panels = Panels::new(level, shape.outputs);
    assert!(count <= tiles.count && count <= gradients.count, "too many tiles");
    assert!(gradients.pitch == panels.padded() && tiles.pitch >= shape.inputs, "tiles of another size");
    assert!(sums.len() >= shape.inputs * panels.padded(), "sums of another size");
    for from in (0..count).step_by(TERMS) {
        for panel in panels.iter() {
            let (width, k) = (panels.width(panel), TERMS.min(count - from));
            let first = gradients.element(element).wrapping_add(from * gradients.pitch + panel.column);
            copy.resize(k * width);
            // SAFETY: tiles up to count, as asserted.
            unsafe { gather(first, std::iter::once(0), k, gradients.pitch, width, copy) };
            let tile = Tile {
                a: tiles.element(element),
                a_row: 1,
                a_k: tiles.pitch,
                b: copy.as_ptr(),
                b_k: width,
                c: sums.as_mut_ptr().wrapping_add(panel.column),
                c_row: panels.padded(),
                k,
                segments: &[(from * tiles.pitch, 0)],
                tail: 0,
                add: !fresh || from > 0,
            };
            // SAFETY: `inputs` rows of the sums, and tiles up to count, as asserted; filled up lanes of the sums exist.
            unsafe { panels.run(panels.whole(panel), tile, shape.inputs) };
        }
    }
}

/// Numbers of one element of a transformed weight gradient, `[inputs][outputs filled up]` and what lies between.
pub fn sums(level: Level, shape: &Shape) -> usize {
    element_step(shape.inputs * Panels::new(level, shape.outputs).padded())
}

/// Sums the parts of a transformed weight gradient in their order and transforms them to `[outputs, inputs, 3, 3]`.
pub fn reduce(level: Level, shape: &Shape, parts: &[Buffer], out: &mut [f32]) {
    let (ci, cop, lanes) = (shape.inputs, Panels::new(level, shape.outputs).padded(), level.lanes());
    let step = sums(level, shape);
    assert!(parts.iter().all(|p| p.len() == ELEMENTS * step), "sums of another size");
    out.par_chunks_mut((lanes * ci * 9).max(1)).enumerate().for_each(|(block, out)| {
        let mut whole = [[0.0f32; 16]; ELEMENTS];
        let mut taps = [[0.0f32; 16]; 9];
        for c in 0..ci {
            for (element, sums) in whole.iter_mut().enumerate() {
                direct::sum(parts, element * step + c * cop + block * lanes, lanes, sums);
            }
            // SAFETY: 36 vectors in, 9 out, 16 numbers apart.
            unsafe { transform::weight_gradient(level, whole.as_ptr().cast(), taps.as_mut_ptr().cast()) };
            direct::spread(&taps, ci, c, out);
        }
    });
}
