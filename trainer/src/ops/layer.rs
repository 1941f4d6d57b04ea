//! The passes of one convolution over a batch of channels-last images, each by the way that suits its sizes.

mod blocks;
mod plain;
mod wide;

use std::ops::Range;

use limen_models::kernels::activate::{self as forward_activate, Epilogue};
use limen_models::kernels::simd::Level;
use rayon::prelude::*;

use super::activate::Sums;
use super::direct;
use super::shape::Shape;
use super::winograd;

/// Operands of a forward pass: `prelu(conv(x) + bias) + residual`.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// What the CPU can do.
    pub level: Level,
    /// Sizes.
    pub shape: &'a Shape,
    /// `[n, h, w, inputs]`.
    pub x: &'a [f32],
    /// `[outputs, inputs, 3, 3]`.
    pub weights: &'a [f32],
    /// Bias and slope.
    pub epilogue: Epilogue<'a>,
    /// `[n, h, w, outputs]`.
    pub residual: Option<&'a [f32]>,
}

/// What a PReLU was given, bias included, and its slope.
pub type Activation<'a> = Option<(&'a [f32], &'a [f32])>;

/// Operands of a backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// What the CPU can do.
    pub level: Level,
    /// Sizes.
    pub shape: &'a Shape,
    /// `[n, h, w, inputs]`.
    pub x: &'a [f32],
    /// `[outputs, inputs, 3, 3]`.
    pub weights: &'a [f32],
    /// Where there is a PReLU.
    pub activation: Activation<'a>,
    /// The gradient to the output, `[n, h, w, outputs]`.
    pub g: &'a [f32],
}

/// What the way back gives.
#[derive(Debug, Default)]
pub struct Gradients {
    /// To the weights, `[outputs, inputs, 3, 3]`.
    pub weights: Vec<f32>,
    /// To the bias, `[outputs]`.
    pub bias: Vec<f32>,
    /// To the slope, `[outputs]`; zeros without one.
    pub slope: Vec<f32>,
}

/// Ways to do a convolution.
enum Method {
    /// Sums of products over the taps.
    Plain,
    /// Winograd, each thread with blocks of an image that fit its cache.
    Blocks,
    /// Winograd, the threads sharing the 36 products of many images: for weights too large to hold a copy a thread.
    Wide,
}

impl Method {
    fn of(level: Level, shape: &Shape) -> Self {
        if !winograd::suits(level, shape) {
            Method::Plain
        } else if shape.inputs * shape.outputs <= 128 * 128 {
            Method::Blocks
        } else {
            Method::Wide
        }
    }
}

impl<'a> Forward<'a> {
    /// Image `n` of the input.
    fn image(&self, n: usize) -> &'a [f32] {
        &self.x[n * self.shape.image()..(n + 1) * self.shape.image()]
    }

    /// What follows the sums of some rows, counted from image `n` on; `z` holds them and `y`, where there is one, is to receive them.
    fn finish(&self, n: usize, rows: Range<usize>, z: &mut [f32], y: Option<&mut [f32]>) {
        let row = self.shape.out_width() * self.shape.outputs;
        let start = n * self.shape.out_image();
        let residual = self.residual.map(|r| &r[start + rows.start * row..start + rows.end * row]);
        match y {
            Some(y) => {
                let y = &mut y[rows.start * row..rows.end * row];
                forward_activate::forward(self.level, &self.epilogue, self.shape.outputs, z, y, residual);
            }
            None => forward_activate::forward_in_place(
                self.level,
                &self.epilogue,
                self.shape.outputs,
                z,
                residual,
            ),
        }
    }

    /// Writes the output to `y` and, where the way back will want them, the sums with their bias to `z`.
    pub fn run(&self, z: Option<&mut [f32]>, y: &mut [f32]) {
        let out = self.shape.batch * self.shape.out_image();
        assert_eq!(self.x.len(), self.shape.batch * self.shape.image(), "input of another size");
        assert!(y.len() == out && z.as_ref().is_none_or(|z| z.len() == out), "output of another size");
        if out == 0 {
            return;
        }
        let method = Method::of(self.level, self.shape);
        // The sums of each image (or of a few) go to z where it is kept, else to y.
        let size = self.shape.out_image()
            * if matches!(method, Method::Plain) { direct::together(self.shape) } else { 1 };
        let images: Vec<Image<'_>> = match z {
            Some(z) => z
                .chunks_mut(size)
                .zip(y.chunks_mut(size))
                .map(|(z, y)| Image { sums: z, y: Some(y) })
                .collect(),
            None => y.chunks_mut(size).map(|y| Image { sums: y, y: None }).collect(),
        };
        match method {
            Method::Plain => plain::forward(self, images),
            Method::Blocks => blocks::forward(self, images),
            Method::Wide => wide::forward(self, images),
        }
    }
}

/// Where the results of an image, or of a few that lie one after the other, go.
struct Image<'a> {
    /// The sums, overwritten by the output where `y` is absent.
    sums: &'a mut [f32],
    y: Option<&'a mut [f32]>,
}

impl<'a> Backward<'a> {
    fn image(&self, n: usize) -> &'a [f32] {
        &self.x[n * self.shape.image()..(n + 1) * self.shape.image()]
    }

    /// Gradient and activation of image `n`.
    fn gradient(&self, n: usize) -> (&'a [f32], Activation<'a>) {
        let out = n * self.shape.out_image()..(n + 1) * self.shape.out_image();
        (&self.g[out.clone()], self.activation.map(|(z, slope)| (&z[out], slope)))
    }

    /// The gradients; that to the input goes to `dx` where it is wanted.
    pub fn run(&self, dx: Option<&mut [f32]>) -> Gradients {
        let shape = self.shape;
        assert_eq!(self.x.len(), shape.batch * shape.image(), "input of another size");
        assert_eq!(self.g.len(), shape.batch * shape.out_image(), "gradient of another size");
        assert!(dx.as_ref().is_none_or(|dx| dx.len() == self.x.len()), "gradient of another size");
        let mut found = Gradients {
            weights: vec![0.0; shape.weights()],
            bias: vec![0.0; shape.outputs],
            slope: vec![0.0; shape.outputs],
        };
        if self.x.is_empty() || self.g.is_empty() {
            return found;
        }
        let sums = match Method::of(self.level, shape) {
            Method::Plain => plain::backward(self, dx, &mut found.weights),
            Method::Blocks => blocks::backward(self, dx, &mut found.weights),
            Method::Wide => wide::backward(self, dx, &mut found.weights),
        };
        for part in &sums {
            for (to, from) in found.bias.iter_mut().zip(part.bias.iter()) {
                *to += from;
            }
            for (to, from) in found.slope.iter_mut().zip(part.slope.iter()) {
                *to += from;
            }
        }
        found
    }

    /// Images of one part: parts of a batch have their weight gradients summed apart and then in order, so that the
    /// result does not depend on how many threads there are or which was faster.
    fn per_part(&self) -> usize {
        /// Each part holds a copy of the (transformed) weights.
        const PARTS: usize = 8;
        /// Weights of which fewer copies are made.
        const BIG: usize = 1 << 20;
        let parts = if self.shape.weights() > BIG { PARTS / 2 } else { PARTS };
        self.shape.batch.div_ceil(parts)
    }

    /// Runs `work` on each part: its number, its images, its share of `dx` (empty where `dx` is not wanted).
    fn by_part<R: Send>(
        &self,
        dx: Option<&mut [f32]>,
        work: impl Fn(Range<usize>, Option<&mut [f32]>) -> R + Sync,
    ) -> Vec<R> {
        let per = self.per_part();
        let count = self.shape.batch.div_ceil(per);
        let mut shares: Vec<Option<&mut [f32]>> = match dx {
            Some(dx) => dx.chunks_mut(per * self.shape.image()).map(Some).collect(),
            None => Vec::new(),
        };
        shares.resize_with(count, || None);
        shares
            .into_par_iter()
            .enumerate()
            .map(|(part, dx)| work(part * per..self.shape.batch.min((part + 1) * per), dx))
            .collect()
    }
}

/// Sums of the bias and slope gradients, one of each part in order.
type PartSums = Vec<Sums>;
