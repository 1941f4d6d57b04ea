//! Winograd's F(4x4, 3x3) for stride 1: 36 products instead of 144 for every 4x4 outputs, also in the gradients.
//!
//! With tiles d of 6x6 inputs, kernels g and tiles y of 4x4 outputs, y = A' [(G g G') * (B' d B)] A, where ' transposes
//! and * multiplies by element. The sum over channels turns each of the 36 elements into a matrix product over tiles.
//! Read backward the same bilinear form gives the gradient to g: G' [(B' d B) * (A dy A')] G.
//! Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, sections 4.1 and 4.3 (matrices of F(4,3)).

mod transform;

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::direct;
use super::gemm::{Panels, Tile, gather};
use super::shape::{Frame, Plane, Shape, Stride};
use super::simd::Level;

/// Elements of a transformed tile.
pub const ELEMENTS: usize = 36;
/// Output pixels along a tile's side.
const SIDE: usize = 4;
/// Tiles worked on at once by one thread, so that their transforms stay in the second-level cache.
const BLOCK: usize = 44;

/// Sizes of the tiles of one image and its channels before (`terms`) and after (`columns`).
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    level: Level,
    /// Image before.
    pub frame: Frame,
    /// Channels after.
    columns: usize,
    panels: Panels,
    /// Rows of tiles.
    pub down: usize,
    /// Tiles in a row.
    pub across: usize,
}

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

impl Grid {
    /// The grid from `plane` to an image of the same size with `columns` channels.
    pub fn new(level: Level, plane: Plane, columns: usize) -> Self {
        let frame = Frame::new(plane, plane.channels.next_multiple_of(level.lanes()), SIDE);
        let panels = Panels::new(level, columns);
        let (down, across) = (plane.height.div_ceil(SIDE), plane.width.div_ceil(SIDE));
        Self { level, frame, columns, panels, down, across }
    }

    /// Tiles of an image.
    pub fn tiles(&self) -> usize {
        self.down * self.across
    }

    /// Rows of tiles in a block.
    pub fn strips(&self) -> usize {
        BLOCK.div_ceil(self.across).min(self.down)
    }

    /// The blocks of an image, as rows of tiles.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (down, strips) = (self.down, self.strips());
        (0..down).step_by(strips).map(move |at| at..down.min(at + strips))
    }

    /// Rows of pixels that rows of tiles cover.
    pub fn rows(&self, strips: Range<usize>) -> Range<usize> {
        strips.start * SIDE..(strips.end * SIDE).min(self.frame.plane.height)
    }
}

/// Transformed tiles, `[element][tile][channel]`, elements a cache line apart so that they do not share a cache set.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    at: *mut f32,
    /// Tiles of an element.
    count: usize,
    /// Numbers a tile.
    pitch: usize,
}

// SAFETY: a plain address; what is done with it is guarded where it is done (threads take tiles or elements apart).
unsafe impl Send for Tiles {}
// SAFETY: as above.
unsafe impl Sync for Tiles {}

impl Tiles {
    /// Numbers that `count` tiles of `pitch` take.
    fn size(count: usize, pitch: usize) -> usize {
        ELEMENTS * (count * pitch + 16)
    }

    /// Room for `count` tiles of `pitch` numbers in `buffer`.
    pub fn in_buffer(buffer: &mut Buffer, count: usize, pitch: usize) -> Self {
        buffer.resize(Self::size(count, pitch));
        Self { at: buffer.as_mut_ptr(), count, pitch }
    }

    /// Step from element to element.
    fn step(&self) -> usize {
        self.count * self.pitch + 16
    }

    /// Where an element starts.
    fn element(&self, element: usize) -> *mut f32 {
        self.at.wrapping_add(element * self.step())
    }
}

impl Grid {
    /// Room for transformed inputs.
    pub fn input_tiles(&self, buffer: &mut Buffer, count: usize) -> Tiles {
        Tiles::in_buffer(buffer, count, self.frame.pitch)
    }

    /// Room for products or transformed gradients.
    pub fn output_tiles(&self, buffer: &mut Buffer, count: usize) -> Tiles {
        Tiles::in_buffer(buffer, count, self.panels.padded())
    }

    /// B' d B of the tiles of `strips`, put at tile `first` and on.
    ///
    /// # Safety
    /// No other thread may touch these tiles.
    pub unsafe fn transform_input(&self, framed: &[f32], strips: Range<usize>, tiles: Tiles, first: usize) {
        assert_eq!(framed.len(), self.frame.len(), "image of another size");
        assert!(
            tiles.pitch == self.frame.pitch && first + strips.len() * self.across <= tiles.count,
            "too many tiles"
        );
        for (strip, at) in strips.zip((first..).step_by(self.across)) {
            // SAFETY: row of tiles `strip` covers frame rows 4 strip to 4 strip + 5 <= rows - 1 and so in columns.
            unsafe {
                transform::input(
                    self.level,
                    framed.as_ptr().add(strip * SIDE * self.frame.row()),
                    self.frame.row(),
                    self.frame.pitch,
                    self.across,
                    tiles.at.add(at * tiles.pitch),
                    tiles.step(),
                );
            }
        }
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
        assert_eq!(framed.len(), frame.len(), "image of another size");
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
                    tiles.at.add(at * tiles.pitch),
                    tiles.step(),
                );
            }
        }
    }

    /// A' m A of `strips` from tile `first` on, into those rows of a channels-last image.
    ///
    /// # Safety
    /// No other thread may write these tiles.
    pub unsafe fn transform_output(
        &self,
        tiles: Tiles,
        first: usize,
        strips: Range<usize>,
        rows: &mut [f32],
    ) {
        let Plane { height, width, .. } = self.frame.plane;
        let top = strips.start * SIDE;
        assert_eq!(
            rows.len(),
            self.rows(strips.clone()).len() * width * self.columns,
            "rows of another size"
        );
        assert!(first + strips.len() * self.across <= tiles.count, "too many tiles");
        for (strip, at) in strips.zip((first..).step_by(self.across)) {
            // SAFETY: written are rows 4 strip and on that the image has, asserted to be what `rows` holds.
            unsafe {
                transform::output(
                    self.level,
                    tiles.at.add(at * tiles.pitch),
                    tiles.step(),
                    tiles.pitch,
                    rows.as_mut_ptr().add((strip * SIDE - top) * width * self.columns),
                    (height - strip * SIDE).min(SIDE),
                    width,
                    self.columns,
                );
            }
        }
    }
}

/// Transformed weights: `[element][panel][term][lane]`.
#[derive(Debug)]
pub struct Weights {
    grid: Grid,
    weights: Buffer,
}

/// Which way the weights are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From inputs to outputs.
    Forward,
    /// From output gradients to input gradients: transposed and turned by half a turn.
    Backward,
}

impl Weights {
    /// Transforms `[outputs, inputs, 3, 3]` for a grid in the given direction.
    pub fn new(grid: Grid, direction: Direction, weights: &[f32]) -> Self {
        let (terms, columns) = (grid.frame.plane.channels, grid.columns);
        assert_eq!(weights.len(), terms * columns * 9, "weights of another shape");
        // The steps of the weights from term to term and column to column, and where taps 0 to 8 lie.
        let (term, column) = match direction {
            Direction::Forward => (9, terms * 9),
            Direction::Backward => (columns * 9, 9),
        };
        let turned = direction == Direction::Backward;
        let step = element_step(grid.panels.padded() * terms);
        let mut out = Buffer::new(ELEMENTS * step);
        let to = Tiles { at: out.as_mut_ptr(), count: 0, pitch: 0 };
        let list: Vec<_> = grid.panels.iter().collect();
        list.into_par_iter().for_each(|panel| {
            // The wrapper is what crosses threads.
            let to = &to;
            let width = grid.panels.width(panel);
            let mut taps = [[0.0; 16]; 9];
            for t in 0..terms {
                for first in (0..panel.columns).step_by(grid.level.lanes()) {
                    let lanes = grid.level.lanes().min(panel.columns - first);
                    let from = &weights[t * term + (panel.column + first) * column..];
                    for lane in 0..lanes {
                        let from = &from[lane * column..lane * column + 9];
                        for (tap, line) in taps.iter_mut().enumerate() {
                            line[lane] = from[if turned { 8 - tap } else { tap }];
                        }
                    }
                    for line in &mut taps {
                        line[lanes..].fill(0.0);
                    }
                    // SAFETY: vector `first` of term t of this panel, of each of the 36 elements; panels are apart.
                    unsafe {
                        let at = to.at.add(panel.column * terms + t * width + first);
                        transform::weights(grid.level, taps.as_ptr().cast(), at, step);
                    }
                }
            }
        });
        Self { grid, weights: out }
    }

    /// One element's product of `count` tiles.
    ///
    /// # Safety
    /// Only this thread may touch the element of `products`, and nobody may write that of `tiles`.
    pub unsafe fn multiply(&self, element: usize, tiles: Tiles, products: Tiles, count: usize) {
        /// Terms whose weights stay in the first-level cache beside the tiles.
        const TERMS: usize = 128;
        let grid = &self.grid;
        let terms = grid.frame.plane.channels;
        assert!(count <= tiles.count && count <= products.count, "too many tiles");
        assert!(
            tiles.pitch == grid.frame.pitch && products.pitch == grid.panels.padded(),
            "tiles of another size"
        );
        let weights = &self.weights[element * element_step(grid.panels.padded() * terms)..];
        let piece = terms.div_ceil(terms.div_ceil(TERMS));
        for panel in grid.panels.iter() {
            let width = grid.panels.width(panel);
            for from in (0..terms).step_by(piece) {
                let tile = Tile {
                    a: tiles.element(element),
                    a_row: tiles.pitch,
                    a_k: 1,
                    b: weights[panel.column * terms..].as_ptr(),
                    b_k: width,
                    c: products.element(element).wrapping_add(panel.column),
                    c_row: products.pitch,
                    k: piece.min(terms - from),
                    segments: &[(from, from * width)],
                    tail: 0,
                    add: from > 0,
                };
                // SAFETY: count rows of both, as asserted, and terms x width weights of the panel.
                unsafe { grid.panels.run(grid.panels.whole(panel), tile, count) };
            }
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

/// Step from element to element of transformed weights: a cache line more than they need, as steps of a power of two
/// would put all 36 into one set of each cache.
fn element_step(numbers: usize) -> usize {
    numbers + 16
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
