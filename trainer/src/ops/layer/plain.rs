//! The passes by sums of products over the taps: stride 2 and small sizes.

use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::direct::pad;
use rayon::prelude::*;

use super::{Backward, Forward, Image, PartSums};
use crate::ops::activate::{self, Sums};
use crate::ops::direct::{self, Adjoint};
use crate::ops::scratch;

pub fn forward(pass: &Forward<'_>, images: Vec<Image<'_>>) {
    let shape = pass.shape;
    let packed = direct::forward_weights(pass.level, shape, pass.weights);
    let frame = direct::frame(shape);
    let each = direct::together(shape);
    images.into_par_iter().enumerate().for_each(|(group, Image { sums, mut y })| {
        let first = group * each;
        scratch::with(|s| {
            s.input.resize(sums.len() / shape.out_image() * frame.numbers());
            for (i, framed) in s.input.chunks_exact_mut(frame.numbers()).enumerate() {
                pad(pass.image(first + i), &frame, framed);
            }
            direct::forward(shape, &packed, &s.input, sums, |rows, sums| {
                pass.finish(first, rows, sums, y.as_deref_mut());
            });
        });
    });
}

pub fn backward(pass: &Backward<'_>, dx: Option<&mut [f32]>, weights: &mut [f32]) -> PartSums {
    let (level, shape) = (pass.level, pass.shape);
    let adjoint = dx.is_some().then(|| Adjoint::new(level, shape, pass.weights));
    let (frame, back) = (direct::frame(shape), direct::gradient_frame(level, shape));
    let each = direct::together(shape);
    let parts = pass.by_part(dx, |images, mut dx| {
        let mut buffer = Buffer::new(9 * shape.inputs * back.pitch);
        let mut sums = Sums::new(back.pitch);
        scratch::with(|s| {
            for first in images.clone().step_by(each) {
                let group = first..images.end.min(first + each);
                s.gradient.resize(group.len() * back.numbers());
                s.input.resize(group.len() * frame.numbers());
                let frames = s
                    .gradient
                    .chunks_exact_mut(back.numbers())
                    .zip(s.input.chunks_exact_mut(frame.numbers()));
                for (n, (gradient, input)) in group.clone().zip(frames) {
                    let (g, activation) = pass.gradient(n);
                    activate::backward(level, &back, g, activation, gradient, &mut sums);
                    pad(pass.image(n), &frame, input);
                }
                if let (Some(adjoint), Some(dx)) = (&adjoint, dx.as_deref_mut()) {
                    let here = (group.start - images.start) * shape.image()
                        ..(group.end - images.start) * shape.image();
                    adjoint.run(shape, &s.gradient, &mut dx[here]);
                }
                direct::weights(
                    level,
                    shape,
                    &s.input,
                    &s.gradient,
                    &mut buffer,
                    first == images.start,
                    &mut s.panel,
                );
            }
        });
        (buffer, sums)
    });
    let (buffers, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    direct::reduce(level, shape, &buffers, weights);
    sums
}
