//! The passes by Winograd where each thread works through blocks of its own images.

use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::direct::pad;
use limen_models::kernels::winograd::{Direction, ELEMENTS, Grid, Weights};
use rayon::prelude::*;

use super::{Backward, Forward, Image, PartSums};
use crate::ops::activate::{self, Sums};
use crate::ops::scratch;
use crate::ops::winograd;

pub fn forward(pass: &Forward<'_>, images: Vec<Image<'_>>) {
    let shape = pass.shape;
    let grid = Grid::new(pass.level, shape.plane(), shape.outputs);
    let weights = Weights::new(grid, Direction::Forward, pass.weights);
    let row = shape.width * shape.outputs;
    images.into_par_iter().enumerate().for_each(|(n, Image { sums, mut y })| {
        scratch::with(|s| {
            s.input.resize(grid.frame.numbers());
            pad(pass.image(n), &grid.frame, &mut s.input);
            for strips in grid.blocks(0..grid.down) {
                let count = strips.len() * grid.across;
                let tiles = grid.input_tiles(&mut s.tiles, count);
                let products = grid.output_tiles(&mut s.products, count);
                let rows = grid.rows(strips.clone());
                let sums = &mut sums[rows.start * row..rows.end * row];
                // SAFETY: the buffers are this thread's own.
                unsafe {
                    grid.transform_input(&s.input, strips.clone(), tiles, 0);
                    for element in 0..ELEMENTS {
                        weights.multiply(element, tiles, products, count);
                    }
                    grid.transform_output(products, 0, strips, sums);
                }
                pass.finish(n, rows, sums, y.as_deref_mut());
            }
        });
    });
}

pub fn backward(pass: &Backward<'_>, dx: Option<&mut [f32]>, weights: &mut [f32]) -> PartSums {
    let (level, shape) = (pass.level, pass.shape);
    let grid = Grid::new(level, shape.plane(), shape.outputs);
    let back = Grid::new(level, shape.out_plane(), shape.inputs);
    let turned = dx.is_some().then(|| Weights::new(back, Direction::Backward, pass.weights));
    let length = winograd::sums(level, shape);
    let row = shape.width * shape.inputs;
    let parts = pass.by_part(dx, |images, mut dx| {
        let mut buffer = Buffer::new(ELEMENTS * length);
        let mut fresh = true;
        let mut sums = Sums::new(back.frame.pitch);
        scratch::with(|s| {
            for n in images.clone() {
                let (g, activation) = pass.gradient(n);
                s.gradient.resize(back.frame.numbers());
                activate::backward(level, &back.frame, g, activation, &mut s.gradient, &mut sums);
                s.input.resize(grid.frame.numbers());
                pad(pass.image(n), &grid.frame, &mut s.input);
                for strips in grid.blocks(0..grid.down) {
                    let count = strips.len() * grid.across;
                    // SAFETY: the buffers are this thread's own.
                    unsafe {
                        let tiles = grid.input_tiles(&mut s.tiles, count);
                        let gradients = grid.output_tiles(&mut s.gradient_tiles, count);
                        grid.transform_input(&s.input, strips.clone(), tiles, 0);
                        winograd::transform_gradient(
                            level,
                            &back.frame,
                            &s.gradient,
                            strips.clone(),
                            gradients,
                            0,
                        );
                        for (element, sums) in buffer.chunks_exact_mut(length).enumerate() {
                            winograd::accumulate(
                                level,
                                element,
                                shape,
                                tiles,
                                gradients,
                                count,
                                sums,
                                fresh,
                                &mut s.panel,
                            );
                        }
                        fresh = false;
                        if let (Some(turned), Some(dx)) = (&turned, dx.as_deref_mut()) {
                            let tiles = back.input_tiles(&mut s.tiles, count);
                            let products = back.output_tiles(&mut s.products, count);
                            back.transform_input(&s.gradient, strips.clone(), tiles, 0);
                            for element in 0..ELEMENTS {
                                turned.multiply(element, tiles, products, count);
                            }
                            let rows = back.rows(strips.clone());
                            let at = (n - images.start) * shape.image();
                            let rows = at + rows.start * row..at + rows.end * row;
                            back.transform_output(products, 0, strips, &mut dx[rows]);
                        }
                    }
                }
            }
        });
        (buffer, sums)
    });
    let (buffers, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    winograd::reduce(level, shape, &buffers, weights);
    sums
}
