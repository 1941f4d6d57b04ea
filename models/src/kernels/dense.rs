//! Fully connected: each output is the product of a row of weights with the whole image before.

use super::activate::{Activation, Finish, Finishing, Target};
use super::buffer::Buffer;
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
struct Connected {
    level: Level,
    from: Map,
    to: Map,
    /// `[outputs filled up to ROWS][terms filled up to two vectors]`, terms in the order of the image in memory.
    weights: Buffer,
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
        Box::new(Connected { level, from, to, weights, terms, activation: self.activation })
    }
}

impl Step for Connected {
    fn weights(&self) -> usize {
        size_of_val::<[f32]>(&self.weights)
    }

    fn scratch(&self) -> usize {
        let outputs = self.to.frame.plane.channels.next_multiple_of(ROWS);
        self.terms + outputs
    }

    fn run(&self, maps: &mut Buffer, scratch: &mut Buffer) {
        let Plane { height, width, .. } = self.from.frame.plane;
        let run = width * self.from.frame.pitch;
        let (x, rest) = scratch.split_at_mut(self.terms);
        x[height * run..].fill(0.0);
        for (y, row) in x.chunks_exact_mut(run).take(height).enumerate() {
            let at = self.from.inside() + y * self.from.frame.row();
            row.copy_from_slice(&maps[at..at + run]);
        }
        let outputs = self.to.frame.plane.channels;
        let sums = &mut rest[..outputs.next_multiple_of(ROWS)];
        let finish = self.activation.finish(outputs);
        let to = maps[self.to.inside()..][..outputs].as_mut_ptr();
        // SAFETY: the weights hold `terms` numbers for each sum, a multiple of two vectors; bias and slope one each.
        unsafe { dense(self.level, x, &self.weights, sums, outputs, to, &finish) };
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn dense_body<S: Simd>(
    x: &[f32],
    weights: &[f32],
    sums: &mut [f32],
    outputs: usize,
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
                    acc[r][0] = S::fma(x[0], S::load(w), acc[r][0]);
                    acc[r][1] = S::fma(x[1], S::load(w.add(S::LANES)), acc[r][1]);
                }
                k += 2 * S::LANES;
            }
            for (sum, acc) in out.iter_mut().zip(acc) {
                *sum = S::sum(S::add(acc[0], acc[1]));
            }
        }
        let target = Target { to, row: 0, pixel: 0, finish: *finish };
        let mut c = 0;
        while c < outputs {
            let lanes = S::LANES.min(outputs - c);
            let finishing = Finishing::<S>::new(finish, c, lanes);
            finishing.store(&target, 0, 0, S::load_n(sums.as_ptr().add(c), lanes));
            c += S::LANES;
        }
    }
}

by_level! {
    /// Products with rows of weights, finished.
    fn dense = dense_body(
        x: &[f32], weights: &[f32], sums: &mut [f32], outputs: usize, to: *mut f32, finish: &Finish,
    )
}
