//! Convolution with what follows it in one pass: by Winograd where that is fewer products, else as products over the taps.

use std::ops::Range;

use super::activate::{self, Activation, Finish, Target};
use super::buffer::Buffer;
use super::direct::{Packed, Walk, correlate};
use super::frame::Plane;
use super::gemm::Number;
use super::program::{Image, Map, Need, Step, Value};
use super::simd::Level;
use super::winograd::{Direction, Form, Grid, Tiles, Weights};

/// Weights that stay in no cache of a core's own; the tests' layers are small.
const FAR: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };
/// Products in the time that such a weight takes from memory.
const WAIT: usize = 20;

/// A convolution layer: `activation(conv(from)) + residual`.
#[derive(Debug)]
pub struct Convolution {
    /// What it reads.
    pub from: Value,
    /// What it writes.
    pub to: Value,
    /// `[outputs, inputs, height, width]`.
    pub weights: Vec<f32>,
    /// Height and width of the kernel, px.
    pub kernel: [usize; 2],
    /// From window to window, px.
    pub stride: [usize; 2],
    /// Zeros before the first row and column, 0 or 1.
    pub pad: [usize; 2],
    /// What is done to the sums.
    pub activation: Activation,
    /// Added last.
    pub residual: Option<Value>,
}

impl Convolution {
    /// Size of the tiles and zeros on all sides where Winograd's way is the best, else nothing.
    fn winograd(&self, level: Level, before: Plane, after: Plane) -> Option<(Form, usize)> {
        let lanes = level.lanes();
        let [pad, across] = self.pad;
        let fits = self.kernel == [3, 3]
            && self.stride == [1, 1]
            && pad == across
            && after.height + 2 == before.height + 2 * pad
            && after.width + 2 == before.width + 2 * pad
            && before.channels >= lanes
            && after.channels >= lanes;
        if !fits {
            return None;
        }
        let pairs = before.channels * after.channels;
        // Weights are `each` a pair of channels.
        let cost = |products: usize, each: usize| match each * pairs {
            near if near <= FAR => products,
            _ => products.max(each * WAIT),
        };
        // A tile's transforms take about as long as a quarter of its products; small images waste most of the tile.
        let tiles = |form: Form| cost(form.elements() * form.tiles(after) * 5 / 4, form.elements());
        let direct = cost(9 * after.height * after.width * 3 / 4, 9);
        let best = [Form::F4, Form::F2].into_iter().min_by_key(|form| tiles(*form))?;
        (tiles(best) <= direct).then_some((best, pad))
    }

    /// What it reads and what it needs of it.
    pub fn reads(&self, level: Level, images: &[Image]) -> Vec<(Value, Need)> {
        let (before, after) = (images[self.from.0].plane, images[self.to.0].plane);
        let need = match self.winograd(level, before, after) {
            Some((form, pad)) => Need { room: Grid::room(form, before, pad), multiple: level.lanes() },
            None => Need::of_window(self.kernel, self.stride, self.pad, after),
        };
        let residual = self.residual.map(|v| (v, Need::default()));
        std::iter::once((self.from, need)).chain(residual).collect()
    }

    /// The kernel.
    ///
    /// # Panics
    /// When weights, bias, slope or residual do not fit.
    pub fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        let (before, after) = (from.frame.plane, to.frame.plane);
        let [kh, kw] = self.kernel;
        assert_eq!(
            self.weights.len(),
            after.channels * before.channels * kh * kw,
            "weights of another shape"
        );
        let residual = self.residual.map(|v| maps[v.0]);
        assert!(residual.is_none_or(|r| r.frame.plane == after), "a residual of another size");
        #[cfg(target_arch = "aarch64")]
        if matches!(level, Level::NeonHalf(_))
            && [before.channels, after.channels, from.frame.pitch].iter().all(|n| n.is_multiple_of(u16::STEP))
        {
            return self.step_of::<u16>(level, from, to, residual);
        }
        self.step_of::<f32>(level, from, to, residual)
    }

    /// The kernel that multiplies such numbers.
    fn step_of<T: Number>(self, level: Level, from: Map, to: Map, residual: Option<Map>) -> Box<dyn Step> {
        let (before, after) = (from.frame.plane, to.frame.plane);
        let [kh, kw] = self.kernel;
        let winograd = self.winograd(level, before, after);
        let out = Out { level, to, residual, activation: self.activation };
        match winograd {
            Some((form, pad)) => {
                let grid = Grid::over(level, form, from.frame, pad, after.channels).of::<T>();
                let weights = Weights::<T>::new(grid, Direction::Forward, &self.weights);
                Box::new(ByTiles { from, grid, weights, out })
            }
            None => {
                let (rows, columns): (Vec<_>, Vec<_>) = ((0..kh).collect(), (0..kw).collect());
                let (ci, w) = (before.channels, &self.weights);
                let packed = Packed::<T>::new(
                    T::panels(level, after.channels),
                    after.channels,
                    &rows,
                    &columns,
                    ci,
                    from.frame.pitch,
                    &|term, column, y, x| w[((column * ci + term) * kh + y) * kw + x],
                );
                Box::new(ByTaps { from, pad: self.pad, kernel_rows: kh, stride: self.stride, packed, out })
            }
        }
    }
}

/// Where the results go and what is done to them.
#[derive(Debug)]
pub struct Out {
    /// What the CPU can do.
    pub level: Level,
    /// Where they go.
    pub to: Map,
    /// What is added last.
    pub residual: Option<Map>,
    /// What is done to the sums.
    pub activation: Activation,
}

impl Out {
    /// By pointers into `maps`.
    pub fn target(&self, maps: *mut f32) -> Target {
        let mut finish = self.activation.finish(self.to.frame.plane.channels);
        if let Some(map) = &self.residual {
            finish.residual = maps.wrapping_add(map.inside());
            finish.residual_row = map.frame.row();
            finish.residual_pixel = map.frame.pitch;
        }
        let frame = &self.to.frame;
        Target { to: maps.wrapping_add(self.to.inside()), row: frame.row(), pixel: frame.pitch, finish }
    }
}

#[derive(Debug)]
struct ByTiles<T: Number> {
    from: Map,
    grid: Grid,
    weights: Weights<T>,
    out: Out,
}

impl<T: Number> ByTiles<T> {
    /// Tiles of a block.
    fn block(&self) -> usize {
        self.grid.strips() * self.grid.across
    }
}

impl<T: Number> Step for ByTiles<T> {
    fn weights(&self) -> usize {
        self.weights.bytes()
    }

    fn scratch(&self) -> usize {
        let products = self.out.to.frame.plane.channels.next_multiple_of(self.out.level.lanes());
        let size = |pitch| Tiles::<T>::size(self.grid.form, self.block(), pitch);
        size(self.from.frame.pitch) + size(products)
    }

    fn lines(&self) -> usize {
        self.grid.down
    }

    fn products(&self) -> usize {
        let pairs = self.from.frame.plane.channels * self.out.to.frame.plane.channels;
        self.grid.tiles() * self.grid.form.elements() * pairs
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, scratch: &mut Buffer) {
        let grid = &self.grid;
        let target = self.out.target(maps);
        for strips in grid.blocks(lines) {
            let count = strips.len() * grid.across;
            let (tiles, rest) = scratch.split_at_mut(Tiles::<T>::size(grid.form, count, grid.frame.pitch));
            let tiles = grid.input_tiles_in::<T>(tiles, count);
            let products = grid.output_tiles_in(rest, count);
            // SAFETY: the maps hold both images and the residual (as laid out), which no other thread has; what is
            // read and written in turn are different images.
            unsafe {
                let framed =
                    std::slice::from_raw_parts(maps.add(self.from.start()), self.from.frame.numbers());
                grid.transform_input(framed, strips.clone(), tiles, 0);
                for element in 0..grid.form.elements() {
                    self.weights.multiply(element, tiles, products, count);
                }
                grid.transform_output_to(products, 0, strips, &target);
            }
        }
    }
}

#[derive(Debug)]
struct ByTaps<T: Number> {
    from: Map,
    pad: [usize; 2],
    kernel_rows: usize,
    stride: [usize; 2],
    packed: Packed<T>,
    out: Out,
}

impl<T: Number> Step for ByTaps<T> {
    fn weights(&self) -> usize {
        self.packed.bytes()
    }

    fn scratch(&self) -> usize {
        T::room(self.from.frame.numbers())
    }

    fn lines(&self) -> usize {
        self.out.to.frame.plane.height
    }

    fn products(&self) -> usize {
        let Plane { height, width, .. } = self.out.to.frame.plane;
        height * width * self.packed.count()
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, scratch: &mut Buffer) {
        let target = self.out.target(maps);
        let frame = &self.from.frame;
        let after = self.out.to.frame.plane;
        let a_row = self.stride[0] * frame.row();
        let first = lines.start * a_row;
        let rows = (lines.len() - 1) * self.stride[0] + self.kernel_rows + 1 - self.pad[0];
        let read = first..frame.numbers().min(first + rows * frame.row());
        // SAFETY: the maps hold the image's frame, which nobody writes, and the scratch memory has the room.
        let framed = unsafe { T::framed(maps.add(self.from.start()), read, scratch) };
        let walk = Walk {
            a: framed.wrapping_add(frame.first_tap(self.pad) + first),
            a_tap: frame.row(),
            a_row,
            a_pixel: self.stride[1] * frame.pitch,
            c: target.to.wrapping_add(lines.start * target.row),
            c_row: target.row,
            c_pixel: target.pixel,
            rows: lines.len(),
            columns: after.width,
            images: 1,
            a_image: 0,
            c_image: 0,
        };
        // SAFETY: the frame has room for every tap (`reads`), the maps hold both images and the residual, which no
        // other thread has, and what is written is neither read nor the residual.
        unsafe {
            correlate(&self.packed, &walk, |rows| {
                let first = lines.start + rows.start;
                let finish = Finish {
                    residual: target.finish.residual.wrapping_add(first * target.finish.residual_row),
                    ..target.finish
                };
                let done = Target { to: target.to.wrapping_add(first * target.row), finish, ..target };
                activate::finish(self.out.level, &done, Plane { height: rows.len(), ..after });
            });
        }
    }
}
