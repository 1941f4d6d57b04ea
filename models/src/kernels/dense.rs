//! Fully connected: each output is the product of a row of weights with the whole image before. Each weight is used
//! once an image, so memory sets the pace: weights that half precision holds exactly are kept in it.

use half::f16;

use std::ops::Range;

use super::activate::{Activation, Finish, Finishing, Target};
use super::buffer::Buffer;
use super::fetch;
use super::frame::Plane;
use super::program::{Map, Step, Value};
use super::simd::{Level, Simd, by_level};

/// A fully connected layer.
#[derive(Debug)]
pub struct Dense {
    /// What it reads.
    pub from: Value,
    /// What it writes, one pixel.
    pub to: Value,
    /// `[outputs, c h w]`.
    pub weights: Vec<f32>,
    /// What is done to the sums.
    pub activation: Activation,
}

/// Rows of weights that are worked on at once.
const ROWS: usize = 4;

#[derive(Debug)]
enum Weights {
    F32(Buffer),
    /// Where none of them loses anything by it, and the CPU widens them in one instruction.
    Half(Vec<u16>),
}

impl Weights {
    fn of(level: Level, weights: Buffer) -> Self {
        if level == Level::Portable {
            return Self::F32(weights);
        }
        let half = |w: &f32| Some(f16::from_f32(*w)).filter(|h| h.to_f32().to_bits() == w.to_bits());
        match weights.iter().map(|w| half(w).map(f16::to_bits)).collect() {
            Some(half) => Self::Half(half),
            None => Self::F32(weights),
        }
    }
}

#[derive(Debug)]
struct Connected {
    level: Level,
    from: Map,
    to: Map,
    /// `[outputs filled up to ROWS][terms filled up to two vectors]`, terms in the order of the image in memory.
    weights: Weights,
    terms: usize,
    activation: Activation,
}

impl Dense {
    /// The kernel.
    ///
    /// # Panics
    /// When the weights, bias or slope do not fit.
    pub fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        let Plane { height, width, channels } = from.frame.plane;
        let (one, outputs) = (height * width * channels, to.frame.plane.channels);
        assert_eq!(self.weights.len(), outputs * one, "weights of another shape");
        let terms = (height * width * from.frame.pitch).next_multiple_of(2 * level.lanes());
        let mut weights = Buffer::zeroed(outputs.next_multiple_of(ROWS) * terms);
        for (row, from_row) in weights.chunks_exact_mut(terms).zip(self.weights.chunks_exact(one)) {
            for (c, plane) in from_row.chunks_exact(height * width).enumerate() {
                for (pixel, w) in plane.iter().enumerate() {
                    row[pixel * from.frame.pitch + c] = *w;
                }
            }
        }
        let weights = Weights::of(level, weights);
        Box::new(Connected { level, from, to, weights, terms, activation: self.activation })
    }
}

impl Step for Connected {
    fn weights(&self) -> usize {
        match &self.weights {
            Weights::F32(all) => size_of_val::<[f32]>(all),
            Weights::Half(all) => size_of_val::<[u16]>(all),
        }
    }

    fn scratch(&self) -> usize {
        let outputs = self.to.frame.plane.channels.next_multiple_of(ROWS);
        self.terms + outputs
    }

    fn lines(&self) -> usize {
        self.to.frame.plane.channels.div_ceil(ROWS)
    }

    fn products(&self) -> usize {
        self.to.frame.plane.channels * self.terms
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, scratch: &mut Buffer) {
        let Plane { height, width, .. } = self.from.frame.plane;
        let run = width * self.from.frame.pitch;
        let (x, sums) = scratch.split_at_mut(self.terms);
        x[height * run..].fill(0.0);
        for (y, row) in x.chunks_exact_mut(run).take(height).enumerate() {
            let at = self.from.inside() + y * self.from.frame.row();
            // SAFETY: a row of the image, in the maps as laid out.
            row.copy_from_slice(unsafe { std::slice::from_raw_parts(maps.add(at), run) });
        }
        let all = self.to.frame.plane.channels;
        let outputs = lines.start * ROWS..all.min(lines.end * ROWS);
        let sums = &mut sums[..lines.len() * ROWS];
        let rows = lines.start * ROWS * self.terms..lines.end * ROWS * self.terms;
        let finish = self.activation.finish(all);
        // SAFETY: the weights hold `terms` numbers for each sum, a multiple of two vectors; bias and slope one each, as
        // the image in the maps has one for each output.
        unsafe {
            let to = maps.add(self.to.inside());
            match &self.weights {
                Weights::F32(all) => multiply(self.level, x, &all[rows], sums, outputs, to, &finish),
                Weights::Half(all) => multiply(self.level, x, &all[rows], sums, outputs, to, &finish),
            }
        }
    }
}

/// A number that weights are kept as.
trait Weight: Copy {
    /// Reads a vector.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load<S: Simd>(p: *const Self) -> S::V;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const f32) -> S::V {
        // SAFETY: the caller's promise, handed on.
        unsafe { S::load(p) }
    }
}

/// Half precision.
impl Weight for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const u16) -> S::V {
        // SAFETY: the caller's promise, handed on.
        unsafe { S::load_half(p) }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn dense<S: Simd, W: Weight>(
    x: &[f32],
    weights: &[W],
    sums: &mut [f32],
    outputs: Range<usize>,
    to: *mut f32,
    finish: &Finish,
) {
    let terms = x.len();
    // SAFETY: the caller vouches for rows of `terms` numbers, a multiple of two vectors.
    unsafe {
        for (rows, out) in weights.chunks_exact(ROWS * terms).zip(sums.chunks_exact_mut(ROWS)) {
            let (w, x) = (rows.as_ptr(), x.as_ptr());
            let mut acc = [[S::splat(0.0); 2]; ROWS];
            let mut k = 0;
            while k < terms {
                let x = [S::load(x.add(k)), S::load(x.add(k + S::LANES))];
                for r in 0..ROWS {
                    let w = w.wrapping_add(r.wrapping_mul(terms)).add(k);
                    fetch::ahead(w);
                    if size_of::<W>() * S::LANES == 64 {
                        fetch::ahead(w.wrapping_add(S::LANES));
                    }
                    acc[r][0] = S::fma(x[0], W::load::<S>(w), acc[r][0]);
                    acc[r][1] = S::fma(x[1], W::load::<S>(w.add(S::LANES)), acc[r][1]);
                }
                k += 2 * S::LANES;
            }
            for (sum, acc) in out.iter_mut().zip(acc) {
                *sum = S::sum(S::add(acc[0], acc[1]));
            }
        }
        let target = Target { to, row: 0, pixel: 0, finish: *finish };
        let mut c = outputs.start;
        while c < outputs.end {
            let lanes = S::LANES.min(outputs.end - c);
            let finishing = Finishing::<S>::new(finish, c, lanes);
            finishing.store(&target, 0, 0, S::load_n(sums.as_ptr().add(c - outputs.start), lanes));
            c += S::LANES;
        }
    }
}

by_level! {
    /// Products with rows of weights, finished.
    fn multiply<W: Weight> = dense(
        x: &[f32], weights: &[W], sums: &mut [f32], outputs: Range<usize>, to: *mut f32, finish: &Finish,
    )
}
