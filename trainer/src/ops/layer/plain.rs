//! The passes by sums of products over the taps: stride 2 and small sizes.

use rayon::prelude::*;

use super::{Backward, Forward, Image, PartSums};
use crate::ops::activate::{self, Sums};
use crate::ops::buffer::Buffer;
use crate::ops::direct::{self, Adjoint, Packed};
use crate::ops::scratch;

pub fn forward(pass: &Forward<'_>, images: Vec<Image<'_>>) {
    let packed = Packed::forward(pass.level, pass.shape, pass.weights);
    images.into_par_iter().enumerate().for_each(|(n, Image { sums, mut y })| {
        scratch::with(|s| {
            direct::pad(pass.image(n), &direct::frame(pass.shape), &mut s.input);
            direct::forward(pass.shape, &packed, &s.input, sums, |rows, sums| {
                pass.finish(n, rows, sums, y.as_deref_mut());
            });
        });
    });
}

pub fn backward(pass: &Backward<'_>, dx: Option<&mut [f32]>, weights: &mut [f32]) -> PartSums {
    let (level, shape) = (pass.level, pass.shape);
    let adjoint = dx.is_some().then(|| Adjoint::new(level, shape, pass.weights));
    let frame = direct::gradient_frame(level, shape);
    let parts = pass.by_part(dx, |images, mut dx| {
        let mut buffer = Buffer::zeroed(9 * shape.inputs * frame.pitch);
        let mut sums = Sums::new(frame.pitch);
        scratch::with(|s| {
            for n in images.clone() {
                let (g, activation) = pass.gradient(n);
                activate::backward(level, &frame, g, activation, &mut s.gradient, &mut sums);
                if let (Some(adjoint), Some(dx)) = (&adjoint, dx.as_deref_mut()) {
                    let at = (n - images.start) * shape.image();
                    adjoint.run(shape, &s.gradient, &mut dx[at..at + shape.image()]);
                }
                direct::pad(pass.image(n), &direct::frame(shape), &mut s.input);
                direct::weights(level, shape, &s.input, &s.gradient, &mut buffer);
            }
        });
        (buffer, sums)
    });
    let (buffers, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    direct::reduce(level, shape, &buffers, weights);
    sums
}
