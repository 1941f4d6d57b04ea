//! Winograd's way for 3x3 at stride 1: F(4x4, 3x3), 36 products instead of 144 for every 4x4 outputs, or F(2x2, 3x3).
//!
//! With tiles d of inputs (6x6 or 4x4), kernels g and tiles y of outputs (4x4 or 2x2), y = A' [(G g G') * (B' d B)] A, where ' transposes
//! and * multiplies by element. The sum over channels turns each of the 36 (16) elements into a matrix product over tiles.
//! Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, sections 4.1 to 4.3.

pub mod transform;

use std::ops::Range;

use rayon::prelude::*;

use super::activate::{Finish, Target};
use super::buffer::Buffer;
use super::frame::{Frame, Plane};
use super::gemm::{Number, Panels, Tile};
use super::simd::Level;

/// Elements of a transformed tile of F(4x4, 3x3).
pub const ELEMENTS: usize = Form::F4.elements();
/// Output pixels along a tile's side of F(4x4, 3x3).
pub const SIDE: usize = Form::F4.side();
/// Tiles worked on at once by one thread, so that their transforms stay in the second-level cache.
const BLOCK: usize = 44;

/// How large the tiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// F(4x4, 3x3): the fewest products, and weights four times as large.
    F4,
    /// F(2x2, 3x3): weights less than twice as large, and 16 products instead of 36 for every 2x2 outputs.
    F2,
}

impl Form {
    /// Output pixels along a tile's side.
    pub const fn side(self) -> usize {
        match self {
            Self::F4 => 4,
            Self::F2 => 2,
        }
    }

    /// Elements of a transformed tile: products a pair of channels.
    pub const fn elements(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }

    /// Tiles that cover an image.
    pub fn tiles(self, of: Plane) -> usize {
        of.height.div_ceil(self.side()) * of.width.div_ceil(self.side())
    }
}

/// The tiles of one image: what is before, what is after, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    level: Level,
    /// Size of the tiles.
    pub form: Form,
    /// Image before.
    pub frame: Frame,
    /// Where in the frame the first tile begins.
    origin: usize,
    /// Image after.
    pub out: Plane,
    panels: Panels,
    /// Rows of tiles.
    pub down: usize,
    /// Tiles in a row.
    pub across: usize,
}

impl Grid {
    /// The grid of [`Form::F4`] from `plane`, in a frame of its own, to an image of the same size with `columns` channels.
    pub fn new(level: Level, plane: Plane, columns: usize) -> Self {
        let frame = Frame::new(plane, plane.channels.next_multiple_of(level.lanes()), SIDE);
        Self::over(level, Form::F4, frame, 1, columns)
    }

    /// The grid over images in `frame` with `pad` (0 or 1) zeros around them, to `columns` channels.
    ///
    /// # Panics
    /// When the frame has not the [`Grid::room`] for it or its pixels are no whole vectors.
    pub fn over(level: Level, form: Form, frame: Frame, pad: usize, columns: usize) -> Self {
        let Plane { height, width, .. } = frame.plane;
        let (room, gone) = (Self::room(form, frame.plane, pad), 2 - 2 * pad);
        assert!(frame.rows >= room[0] && frame.columns >= room[1], "a frame without room for its tiles");
        assert!(frame.pitch.is_multiple_of(level.lanes()), "pixels of whole vectors");
        let out = Plane { height: height - gone, width: width - gone, channels: columns };
        let (down, across) = (out.height.div_ceil(form.side()), out.width.div_ceil(form.side()));
        let origin = frame.first_tap([pad; 2]);
        Self { level, form, frame, origin, out, panels: Panels::new(level, columns), down, across }
    }

    /// The same for products of other numbers.
    pub fn of<T: Number>(self) -> Self {
        Self { panels: T::panels(self.level, self.out.channels), ..self }
    }

    /// Rows and columns that a frame of `plane` must have, border included.
    pub fn room(form: Form, plane: Plane, pad: usize) -> [usize; 2] {
        [plane.height, plane.width].map(|n| (n + 2 * pad - 2).next_multiple_of(form.side()) + 3 - pad)
    }

    /// Tiles of an image.
    pub fn tiles(&self) -> usize {
        self.down * self.across
    }

    /// Rows of tiles in a block.
    pub fn strips(&self) -> usize {
        BLOCK.div_ceil(self.across).min(self.down)
    }

    /// The blocks of some rows of tiles of an image.
    pub fn blocks(&self, of: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (end, strips) = (of.end, self.strips());
        of.step_by(strips).map(move |at| at..end.min(at + strips))
    }

    /// Rows of pixels that rows of tiles cover.
    pub fn rows(&self, strips: Range<usize>) -> Range<usize> {
        strips.start * self.form.side()..(strips.end * self.form.side()).min(self.out.height)
    }
}

/// Transformed tiles, `[element][tile][channel]`, elements a cache line apart so that they do not share a cache set.
#[derive(Clone, Copy, Debug)]
pub struct Tiles<T = f32> {
    at: *mut T,
    /// Tiles of an element.
    pub count: usize,
    /// Numbers a tile.
    pub pitch: usize,
}

// SAFETY: a plain address; what is done with it is guarded where it is done (threads take tiles or elements apart).
unsafe impl<T> Send for Tiles<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Tiles<T> {}

impl<T: Number> Tiles<T> {
    /// Numbers that `count` tiles of `pitch` take.
    pub fn size(form: Form, count: usize, pitch: usize) -> usize {
        form.elements() * (count * pitch + 16)
    }

    /// `count` tiles of `pitch` numbers at the beginning of `numbers`.
    ///
    /// # Panics
    /// When they are too few.
    fn in_slice(form: Form, numbers: &mut [f32], count: usize, pitch: usize) -> Self {
        let bytes = size_of::<T>() * Self::size(form, count, pitch);
        assert!(size_of_val(numbers) >= bytes, "too little memory for the tiles");
        Self { at: numbers.as_mut_ptr().cast(), count, pitch }
    }

    /// Step from element to element.
    pub fn step(&self) -> usize {
        self.count * self.pitch + 16
    }

    /// Where an element starts.
    pub fn element(&self, element: usize) -> *mut T {
        self.at.wrapping_add(element * self.step())
    }
}

impl Grid {
    /// Room for transformed inputs.
    pub fn input_tiles(&self, buffer: &mut Buffer, count: usize) -> Tiles {
        buffer.resize(Tiles::<f32>::size(self.form, count, self.frame.pitch));
        self.input_tiles_in(buffer, count)
    }

    /// Transformed inputs in memory that is there.
    pub fn input_tiles_in<T: Number>(&self, numbers: &mut [f32], count: usize) -> Tiles<T> {
        Tiles::in_slice(self.form, numbers, count, self.frame.pitch)
    }

    /// Products in memory that is there.
    pub fn output_tiles_in(&self, numbers: &mut [f32], count: usize) -> Tiles {
        Tiles::in_slice(self.form, numbers, count, self.panels.padded())
    }

    /// Room for products or transformed gradients.
    pub fn output_tiles(&self, buffer: &mut Buffer, count: usize) -> Tiles {
        buffer.resize(Tiles::<f32>::size(self.form, count, self.panels.padded()));
        self.output_tiles_in(buffer, count)
    }

    /// B' d B of the tiles of `strips`, put at tile `first` and on.
    ///
    /// # Safety
    /// No other thread may touch these tiles.
    pub unsafe fn transform_input<T: Number>(
        &self,
        framed: &[f32],
        strips: Range<usize>,
        tiles: Tiles<T>,
        first: usize,
    ) {
        assert_eq!(framed.len(), self.frame.numbers(), "image of another size");
        assert!(
            tiles.pitch == self.frame.pitch && first + strips.len() * self.across <= tiles.count,
            "too many tiles"
        );
        for (strip, at) in strips.zip((first..).step_by(self.across)) {
            // SAFETY: from the origin on, row of tiles `strip` covers a side of rows and two more, which the frame has by
            // `room`, and so in columns.
            unsafe {
                transform::input(
                    self.level,
                    self.form,
                    framed.as_ptr().add(self.origin + strip * self.form.side() * self.frame.row()),
                    self.frame.row(),
                    self.frame.pitch,
                    self.across,
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
        let row = self.out.width * self.out.channels;
        assert_eq!(rows.len(), self.rows(strips.clone()).len() * row, "rows of another size");
        let target = Target {
            // The image's first row lies before `rows`; it is not touched.
            to: rows.as_mut_ptr().wrapping_sub(strips.start * self.form.side() * row),
            row,
            pixel: self.out.channels,
            finish: Finish::default(),
        };
        // SAFETY: written are the rows that the strips cover, asserted to be what `rows` holds.
        unsafe { self.transform_output_to(tiles, first, strips, &target) };
    }

    /// A' m A of `strips` from tile `first` on, finished, to where `target` says.
    ///
    /// # Safety
    /// No other thread may write these tiles, and the pixels of the rows of `target` that the strips cover must exist,
    /// as must those of its residual, and be the caller's alone.
    pub unsafe fn transform_output_to(
        &self,
        tiles: Tiles,
        first: usize,
        strips: Range<usize>,
        target: &Target,
    ) {
        assert!(first + strips.len() * self.across <= tiles.count, "too many tiles");
        assert!(tiles.pitch >= self.panels.padded(), "tiles of another size");
        let side = self.form.side();
        for (strip, at) in strips.zip((first..).step_by(self.across)) {
            let finish = target.finish;
            let target = Target {
                to: target.to.wrapping_add(strip * side * target.row),
                finish: Finish {
                    residual: finish.residual.wrapping_add(strip * side * finish.residual_row),
                    ..finish
                },
                ..*target
            };
            let plane = Plane { height: (self.out.height - strip * side).min(side), ..self.out };
            // SAFETY: a row of tiles, as asserted, and rows of the target that the caller vouches for.
            unsafe {
                transform::output(
                    self.level,
                    self.form,
                    tiles.at.add(at * tiles.pitch),
                    tiles.step(),
                    tiles.pitch,
                    &target,
                    plane,
                );
            }
        }
    }
}

/// Transformed weights: `[element][panel][term][lane]`.
#[derive(Debug)]
pub struct Weights<T: Number = f32> {
    grid: Grid,
    weights: T::Kept,
}

/// Which way the weights are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From inputs to outputs.
    Forward,
    /// From output gradients to input gradients: transposed and turned by half a turn.
    Backward,
}

impl<T: Number> Weights<T> {
    /// Bytes of the transformed weights.
    pub fn bytes(&self) -> usize {
        size_of_val::<[T]>(&self.weights)
    }

    /// Transforms `[outputs, inputs, 3, 3]` for a grid in the given direction.
    pub fn new(grid: Grid, direction: Direction, weights: &[f32]) -> Self {
        let (terms, columns) = (grid.frame.plane.channels, grid.out.channels);
        assert_eq!(weights.len(), terms * columns * 9, "weights of another shape");
        // The steps of the weights from term to term and column to column, and where taps 0 to 8 lie.
        let (term, column) = match direction {
            Direction::Forward => (9, terms * 9),
            Direction::Backward => (columns * 9, 9),
        };
        let turned = direction == Direction::Backward;
        let step = element_step(grid.panels.padded() * terms);
        let mut out = Buffer::new(grid.form.elements() * step);
        let to = Tiles::<f32> { at: out.as_mut_ptr(), count: 0, pitch: 0 };
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
                    // SAFETY: vector `first` of term t of this panel, of each of the elements; panels are apart.
                    unsafe {
                        let at = to.at.add(panel.column * terms + t * width + first);
                        transform::weights(grid.level, grid.form, taps.as_ptr().cast(), at, step);
                    }
                }
            }
        });
        Self { grid, weights: T::keep(out) }
    }

    /// One element's product of `count` tiles.
    ///
    /// # Safety
    /// Only this thread may touch the element of `products`, and nobody may write that of `tiles`.
    pub unsafe fn multiply(&self, element: usize, tiles: Tiles<T>, products: Tiles, count: usize) {
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
        let piece = terms.div_ceil(terms.div_ceil(TERMS.min(T::MOST))).next_multiple_of(T::STEP);
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

/// Step from element to element of transformed weights: a cache line more than they need, as steps of a power of two
/// would put all of them into one set of each cache.
pub fn element_step(numbers: usize) -> usize {
    numbers + 16
}
