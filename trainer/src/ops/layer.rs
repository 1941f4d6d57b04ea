//! The passes of one convolution over a batch of channels-last images.

use rayon::prelude::*;

use super::activate::{self, Epilogue, Plane, Sums};
use super::buffer::Buffer;
use super::direct::{self, Adjoint, Packed};
use super::gemm::Panels;
use super::scratch;
use super::shape::Shape;
use super::simd::Level;

/// Parts of a batch whose weight gradients are summed apart and then in order, so that the result does not depend on
/// how many threads there are or which was faster.
fn parts(shape: &Shape) -> usize {
    // Each part holds a copy of the weights' size.
    const MOST: usize = 8;
    const BIG: usize = 1 << 20;
    shape.batch.clamp(1, if shape.weights() > BIG { MOST / 2 } else { MOST })
}

/// `y = activate(conv(x) + bias) + residual`; `z` receives `conv(x) + bias` where the way back will want it.
#[allow(clippy::too_many_arguments, reason = "operands of one formula")]
pub fn forward(
    level: Level,
    shape: &Shape,
    x: &[f32],
    weights: &[f32],
    epilogue: &Epilogue<'_>,
    residual: Option<&[f32]>,
    z: Option<&mut [f32]>,
    y: &mut [f32],
) {
    assert_eq!(x.len(), shape.batch * shape.image(), "input of another size");
    assert_eq!(y.len(), shape.batch * shape.out_image(), "output of another size");
    if y.is_empty() {
        return;
    }
    let packed = Packed::forward(level, shape, weights);
    let size = shape.out_image();
    let row = shape.out_width() * shape.outputs;
    let image = |n: usize| &x[n * shape.image()..(n + 1) * shape.image()];
    let beside = |n: usize, rows: std::ops::Range<usize>| {
        residual.map(|r| &r[n * size + rows.start * row..n * size + rows.end * row])
    };
    match z {
        Some(z) => z.par_chunks_mut(size).zip(y.par_chunks_mut(size)).enumerate().for_each(|(n, (z, y))| {
            scratch::with(|s| {
                direct::pad(image(n), shape.height, shape.width, shape.inputs, shape.inputs, &mut s.input);
                direct::forward(shape, &packed, &s.input, z, |rows, z| {
                    let y = &mut y[rows.start * row..rows.end * row];
                    activate::forward(level, epilogue, shape.outputs, z, y, beside(n, rows));
                });
            });
        }),
        None => y.par_chunks_mut(size).enumerate().for_each(|(n, y)| {
            scratch::with(|s| {
                direct::pad(image(n), shape.height, shape.width, shape.inputs, shape.inputs, &mut s.input);
                direct::forward(shape, &packed, &s.input, y, |rows, y| {
                    activate::forward_in_place(level, epilogue, shape.outputs, y, beside(n, rows));
                });
            });
        }),
    }
}

/// What the way back is asked for and gives.
#[derive(Debug, Default)]
pub struct Gradients {
    /// To the weights, `[outputs, inputs, 3, 3]`.
    pub weights: Vec<f32>,
    /// To the bias, `[outputs]`.
    pub bias: Vec<f32>,
    /// To the slope, `[outputs]`; zeros without one.
    pub slope: Vec<f32>,
}

/// The gradients of [`forward`] from `g`, the gradient to `y`. `activation` is `z` and the slope. `dx` receives the
/// gradient to the input where it is wanted.
pub fn backward(
    level: Level,
    shape: &Shape,
    x: &[f32],
    weights: &[f32],
    activation: Option<(&[f32], &[f32])>,
    g: &[f32],
    dx: Option<&mut [f32]>,
) -> Gradients {
    assert_eq!(x.len(), shape.batch * shape.image(), "input of another size");
    assert_eq!(g.len(), shape.batch * shape.out_image(), "gradient of another size");
    let mut result = Gradients {
        weights: vec![0.0; shape.weights()],
        bias: vec![0.0; shape.outputs],
        slope: vec![0.0; shape.outputs],
    };
    if shape.batch == 0 || shape.weights() == 0 {
        return result;
    }
    let pitch = Panels::new(level, shape.outputs).padded();
    let per = shape.batch.div_ceil(parts(shape));
    let count = shape.batch.div_ceil(per);
    let adjoint = dx.is_some().then(|| Adjoint::new(level, shape, weights));
    let (size, out_size) = (shape.image(), shape.out_image());
    // Without dx each part gets an empty slice.
    let mut slices: Vec<&mut [f32]> = match dx {
        Some(dx) => {
            assert_eq!(dx.len(), x.len(), "gradient of another size");
            dx.chunks_mut((per * size).max(1)).collect()
        }
        None => Vec::new(),
    };
    slices.resize_with(count, Default::default);
    let plane = Plane { height: shape.out_height(), width: shape.out_width(), channels: shape.outputs };
    let (buffers, sums): (Vec<Buffer>, Vec<Sums>) = slices
        .into_par_iter()
        .enumerate()
        .map(|(part, dx)| {
            let mut buffer = Buffer::zeroed(9 * shape.inputs * pitch);
            let mut sums = Sums::new(pitch);
            scratch::with(|s| {
                for n in part * per..shape.batch.min((part + 1) * per) {
                    let out = n * out_size..(n + 1) * out_size;
                    let activation = activation.map(|(z, slope)| (&z[out.clone()], slope));
                    activate::backward(level, plane, pitch, &g[out], activation, &mut s.gradient, &mut sums);
                    if let Some(adjoint) = &adjoint {
                        let n = n - part * per;
                        adjoint.run(shape, &s.gradient, &mut dx[n * size..(n + 1) * size]);
                    }
                    let image = &x[n * size..(n + 1) * size];
                    direct::pad(image, shape.height, shape.width, shape.inputs, shape.inputs, &mut s.input);
                    direct::weights(level, shape, &s.input, &s.gradient, &mut buffer);
                }
            });
            (buffer, sums)
        })
        .unzip();
    direct::reduce(level, shape, &buffers, &mut result.weights);
    for part in &sums {
        for (to, from) in result.bias.iter_mut().zip(part.bias.iter()) {
            *to += from;
        }
        for (to, from) in result.slope.iter_mut().zip(part.slope.iter()) {
            *to += from;
        }
    }
    result
}
