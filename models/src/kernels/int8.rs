//! Convolution and fully connected in int8, with all that follows up to the next layer's u8 in one pass.
//!
//! What the file says happens to a sum, in this order and in f32, so that any engine that follows it gives the same
//! bits: times the channel's factor, rounded to the layer's own int8 output; that as f32; a bias; PReLU; the residual;
//! times 1 / scale of the next layer's input, rounded to int8.

mod by_channel;
mod dot;

use std::ops::Range;

use super::buffer::Buffer;
use super::frame::{Frame, Plane};
use super::program::{Image, Kind, Map, Need, Step, Value};
use super::quantise::Steps;
use super::simd::{Level, Simd, by_level};
use by_channel::ByChannel;
use dot::{Dots, Walk};

/// What a sum goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// All channels of a window: weights `[outputs, inputs, height, width]`.
    All,
    /// The output's own channel of a window: weights `[channels, height, width]`.
    Own,
}

/// A layer of u8 by int8.
#[derive(Debug)]
pub struct Int8 {
    /// What it reads, u8.
    pub from: Value,
    /// What a sum goes over.
    pub over: Over,
    /// As that says.
    pub weights: Vec<i8>,
    /// Height and width of the kernel, px; that of the image for a fully connected layer.
    pub kernel: [usize; 2],
    /// From window to window, px.
    pub stride: [usize; 2],
    /// Zeros before the first row and column, 0 or 1.
    pub pad: [usize; 2],
    /// `[outputs]`, in steps of the sums.
    pub bias: Vec<i32>,
    /// `[outputs]`: a step of the sums in steps of the output.
    pub factors: Vec<f32>,
    /// What stands for 0 in the layer's own output.
    pub zero: i8,
    /// The layer's own output as u8, for who reads that.
    pub own: Value,
    /// A step of the layer's own output, where somebody wants it as f32.
    pub scale: f32,
    /// `[outputs]`, added to that.
    pub shift: Option<Vec<f32>>,
    /// PReLU.
    pub slope: Option<Vec<f32>>,
    /// Added last, f32.
    pub residual: Option<Value>,
    /// The result in f32.
    pub to: Value,
    /// The result as u8 for the next layer.
    pub next: Option<(Value, Steps)>,
}

impl Int8 {
    /// What it reads and what it needs of it.
    pub fn reads(&self, images: &[Image]) -> Vec<(Value, Need)> {
        let after = images[self.to.0].plane;
        let need = Need::of_window(self.kernel, self.stride, self.pad, after);
        let multiple = match self.over {
            Over::All => dot::TERMS,
            Over::Own => by_channel::LANES,
        };
        let need = Need { multiple, ..need };
        std::iter::once((self.from, need)).chain(self.residual.map(|v| (v, Need::default()))).collect()
    }

    /// All that it may write.
    pub fn writes(&self) -> Vec<Value> {
        [self.own, self.to].into_iter().chain(self.next.map(|n| n.0)).collect()
    }

    /// The kernel; it writes what is `wanted`.
    ///
    /// # Panics
    /// When weights, bias, factors, slope or residual do not fit.
    pub fn step(self, level: Level, maps: &[Map], wanted: &[bool]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        let (before, after) = (from.frame.plane, to.frame.plane);
        // What an image of f32 would carry does not matter: `start_byte` refuses it.
        let zero = if let Kind::U8 { zero } = from.kind { zero } else { 0 };
        let [kh, kw] = self.kernel;
        let each = kh * kw * if self.over == Over::All { before.channels } else { 1 };
        let by_channel = |v: &Option<Vec<f32>>| v.as_ref().map_or(after.channels, Vec::len);
        let all = [self.bias.len(), self.factors.len(), by_channel(&self.shift), by_channel(&self.slope)];
        assert_eq!(self.weights.len(), after.channels * each, "weights of another shape");
        assert!(all.iter().all(|n| *n == after.channels), "one number a channel");
        let residual = self.residual.map(|v| maps[v.0]);
        let written = self.writes().into_iter().map(|v| maps[v.0]).chain(residual);
        assert!(written.into_iter().all(|m| m.frame.plane == after), "an image of another size");
        let sums = match self.over {
            Over::All => Sums::Dots(Dots::new(
                level,
                after.channels,
                self.kernel,
                before.channels,
                from.frame.pitch,
                &self.weights,
            )),
            Over::Own => {
                assert_eq!(before.channels, after.channels, "as many channels as before");
                Sums::ByChannel(ByChannel::new(
                    level,
                    after.channels,
                    self.kernel,
                    from.frame.pitch,
                    &self.weights,
                ))
            }
        };
        // Every term carries the zero point of the image, less what is taken from every byte: that part of the sum is
        // known beforehand.
        let zero = i32::from(zero) - i32::from(sums.offset());
        let of = |row: &[i8]| row.iter().fold(0i32, |all, w| all.wrapping_add(i32::from(*w)));
        let bias = self.bias.iter().zip(self.weights.chunks_exact(each));
        let mut bias: Vec<i32> = bias.map(|(b, row)| b.wrapping_sub(zero.wrapping_mul(of(row)))).collect();
        let origin = from.start_byte() + from.frame.first_tap(self.pad);
        let map = |v: Value| wanted[v.0].then(|| maps[v.0]);
        bias.resize(sums.padded(), 0);
        let filled = |mut v: Vec<f32>| {
            v.resize(sums.padded(), 0.0);
            v
        };
        let tail = Tail {
            bias,
            factors: filled(self.factors),
            zero: f32::from(self.zero),
            scale: self.scale,
            // -0 leaves every number as it is.
            shift: filled(self.shift.unwrap_or_else(|| vec![-0.0; after.channels])),
            slope: filled(self.slope.unwrap_or_else(|| vec![1.0; after.channels])),
            next: self.next.map_or(Steps { inverse: 1.0, zero: 0 }, |n| n.1),
        };
        Box::new(Connected {
            level,
            from: from.frame,
            origin,
            stride: self.stride,
            after,
            sums,
            tail,
            residual,
            own: map(self.own),
            to: map(self.to),
            next: self.next.and_then(|n| map(n.0)),
        })
    }
}

/// The products of bytes and weights.
#[derive(Debug)]
enum Sums {
    Dots(Dots),
    ByChannel(ByChannel),
}

impl Sums {
    /// What is taken from each byte before its product.
    fn offset(&self) -> u8 {
        match self {
            Self::Dots(dots) => dots.offset(),
            Self::ByChannel(_) => 0,
        }
    }

    /// Sums of a pixel.
    fn padded(&self) -> usize {
        match self {
            Self::Dots(dots) => dots.padded(),
            Self::ByChannel(own) => own.padded(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Dots(dots) => dots.bytes(),
            Self::ByChannel(own) => own.bytes(),
        }
    }

    /// Parts of the outputs, each with weights of its own.
    fn panels(&self) -> usize {
        match self {
            Self::Dots(dots) => dots.panels(),
            Self::ByChannel(_) => 1,
        }
    }

    /// # Safety
    /// As [`Dots::run`].
    unsafe fn run(&self, panel: usize, walk: &Walk, sums: *mut i32) {
        // SAFETY: the caller's promise, handed on.
        unsafe {
            match self {
                Self::Dots(dots) => dots.run(panel, walk, sums),
                Self::ByChannel(own) => own.run(walk, sums),
            }
        }
    }
}

/// What happens to sums.
#[derive(Debug)]
struct Tail {
    bias: Vec<i32>,
    factors: Vec<f32>,
    /// Zero point of the layer's own output.
    zero: f32,
    scale: f32,
    shift: Vec<f32>,
    slope: Vec<f32>,
    next: Steps,
}

#[derive(Debug)]
struct Connected {
    level: Level,
    from: Frame,
    /// The byte under the first tap of the first window.
    origin: usize,
    stride: [usize; 2],
    after: Plane,
    sums: Sums,
    tail: Tail,
    residual: Option<Map>,
    own: Option<Map>,
    to: Option<Map>,
    next: Option<Map>,
}

/// Sums that are finished while they are in the first-level cache, in numbers.
const SUMS: usize = 12 << 10;
/// Bytes of weights that the second-level cache does not hold beside all else, and the sums, in numbers, for which they
/// are read once. The tests' layers are small.
const FAR: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
const FAR_SUMS: usize = 2 * SUMS;

impl Connected {
    /// Pixels of a row that are worked on at once.
    fn pixels(&self) -> usize {
        (SUMS / self.sums.padded()).clamp(6, self.after.width.max(6)).min(self.after.width)
    }

    /// Rows that are worked on at once.
    fn rows(&self) -> usize {
        let rows = FAR_SUMS / (self.pixels() * self.sums.padded());
        if self.sums.bytes() > FAR { rows.clamp(1, self.after.height) } else { 1 }
    }

    /// The pixels from `first` on of row `y`, and under which bytes they lie.
    fn walk(&self, bytes: *const u8, y: usize, first: usize, count: usize) -> Walk {
        let pixel = self.stride[1] * self.from.pitch;
        let from = self.origin + y * self.stride[0] * self.from.row() + first * pixel;
        Walk { a: bytes.wrapping_add(from), tap: self.from.row(), pixel, count }
    }

    /// Where the sums of these pixels go.
    fn row(&self, maps: *mut f32, sums: *const i32, y: usize, first: usize, count: usize) -> Row {
        let bytes = maps.cast::<u8>();
        let f32_at = |m: &Map| maps.wrapping_add(m.inside() + y * m.frame.row() + first * m.frame.pitch);
        let u8_at = |m: &Map| bytes.wrapping_add(m.inside_byte() + y * m.frame.row() + first * m.frame.pitch);
        Row {
            sums,
            padded: self.sums.padded(),
            count,
            channels: self.after.channels,
            residual: self.residual.as_ref().map_or(std::ptr::null(), |m| f32_at(m).cast_const()),
            residual_pixel: self.residual.map_or(0, |m| m.frame.pitch),
            own: self.own.as_ref().map_or(std::ptr::null_mut(), u8_at),
            own_pixel: self.own.map_or(0, |m| m.frame.pitch),
            to: self.to.as_ref().map_or(std::ptr::null_mut(), f32_at),
            to_pixel: self.to.map_or(0, |m| m.frame.pitch),
            next: self.next.as_ref().map_or(std::ptr::null_mut(), u8_at),
            next_pixel: self.next.map_or(0, |m| m.frame.pitch),
        }
    }
}

impl Step for Connected {
    fn weights(&self) -> usize {
        self.sums.bytes()
    }

    fn scratch(&self) -> usize {
        self.rows() * self.pixels() * self.sums.padded()
    }

    fn lines(&self) -> usize {
        self.after.height
    }

    fn products(&self) -> usize {
        self.after.height * self.after.width * self.sums.bytes()
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, scratch: &mut Buffer) {
        let all = scratch.as_mut_ptr().cast::<i32>();
        for start in lines.clone().step_by(self.rows()) {
            let rows = start..lines.end.min(start + self.rows());
            for first in (0..self.after.width).step_by(self.pixels()) {
                let count = self.pixels().min(self.after.width - first);
                let sums = |y: usize| all.wrapping_add((y - start) * count * self.sums.padded());
                // SAFETY: the frame has room for every tap (`reads`); the scratch memory holds the sums of the pixels
                // of these rows; the images written, read and added lie apart in the maps, as laid out, and are no
                // other thread's.
                unsafe {
                    for panel in 0..self.sums.panels() {
                        for y in rows.clone() {
                            self.sums.run(panel, &self.walk(maps.cast(), y, first, count), sums(y));
                        }
                    }
                    for y in rows.clone() {
                        finish(self.level, &self.row(maps, sums(y), y, first, count), &self.tail);
                    }
                }
            }
        }
    }
}

/// Sums of some pixels of a row and where they go; null is left out.
struct Row {
    sums: *const i32,
    padded: usize,
    count: usize,
    channels: usize,
    residual: *const f32,
    residual_pixel: usize,
    own: *mut u8,
    own_pixel: usize,
    to: *mut f32,
    to_pixel: usize,
    next: *mut u8,
    next_pixel: usize,
}

#[inline(always)]
unsafe fn finish_body<S: Simd>(row: &Row, tail: &Tail) {
    // SAFETY: the caller vouches for the sums and the images of these pixels; the numbers by channel are filled up to
    // whole vectors (`padded`).
    unsafe {
        let mut c = 0;
        while c < row.channels {
            let lanes = S::LANES.min(row.channels - c);
            let by_channel = |v: &[f32]| S::load(v.as_ptr().add(c));
            let (factors, shift, slope) =
                (by_channel(&tail.factors), by_channel(&tail.shift), by_channel(&tail.slope));
            let (zero, scale) = (S::splat(tail.zero), S::splat(tail.scale));
            let (least, most) = (S::splat(-128.0), S::splat(127.0));
            for pixel in 0..row.count {
                let at = |step: usize| pixel.wrapping_mul(step).wrapping_add(c);
                let sums = S::sum_i32(row.sums.wrapping_add(at(row.padded)), tail.bias.as_ptr().add(c));
                // Not fused anywhere: the file rounds each product.
                let q = S::add(S::round(S::mul(sums, factors)), zero);
                let q = S::min(S::max(q, least), most);
                if !row.own.is_null() {
                    S::store_u8_part(
                        row.own.wrapping_add(at(row.own_pixel)),
                        S::add(q, S::splat(128.0)),
                        lanes,
                    );
                }
                let v = S::add(S::mul(S::sub(q, zero), scale), shift);
                let mut v = S::if_negative(v, S::mul(v, slope), v);
                if !row.residual.is_null() {
                    let r = row.residual.wrapping_add(at(row.residual_pixel));
                    v = S::add(v, S::load_part(r, lanes));
                }
                if !row.to.is_null() {
                    let to = row.to.wrapping_add(at(row.to_pixel));
                    S::store_part(to, v, lanes);
                }
                if !row.next.is_null() {
                    let next = row.next.wrapping_add(at(row.next_pixel));
                    S::store_u8_part(next, tail.next.of_vector::<S>(v), lanes);
                }
            }
            c += S::LANES;
        }
    }
}

by_level! {
    /// Finishes the sums of a row.
    fn finish = finish_body(row: &Row, tail: &Tail)
}
