//! The passes by Winograd where the threads transform images apart and then share the 36 products.

use std::ops::Range;

use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::direct::pad;
use limen_models::kernels::winograd::{Direction, ELEMENTS, Grid, Weights};
use rayon::prelude::*;

use super::{Backward, Forward, Image, PartSums};
use crate::ops::activate::{self, Sums};
use crate::ops::scratch;
use crate::ops::winograd;

/// Tiles of one round: enough for the weights to be read seldom, few enough for the shared cache.
const TILES: usize = 512;

/// The rounds of images.
fn rounds(batch: usize, grid: &Grid) -> impl Iterator<Item = Range<usize>> {
    let per = (TILES / grid.tiles()).max(1);
    (0..batch).step_by(per).map(move |n| n..batch.min(n + per))
}

pub fn forward(pass: &Forward<'_>, mut images: Vec<Image<'_>>) {
    let shape = pass.shape;
    let grid = Grid::new(pass.level, shape.plane(), shape.outputs);
    let weights = Weights::new(grid, Direction::Forward, pass.weights);
    let (mut tiles, mut products) = (Buffer::default(), Buffer::default());
    for round in rounds(shape.batch, &grid) {
        let count = round.len() * grid.tiles();
        let tiles = grid.input_tiles(&mut tiles, count);
        let products = grid.output_tiles(&mut products, count);
        round.clone().into_par_iter().for_each(|n| {
            scratch::with(|s| {
                s.input.resize(grid.frame.numbers());
                pad(pass.image(n), &grid.frame, &mut s.input);
                // SAFETY: each image has its own tiles.
                unsafe {
                    grid.transform_input(&s.input, 0..grid.down, tiles, (n - round.start) * grid.tiles())
                };
            });
        });
        (0..ELEMENTS).into_par_iter().for_each(|element| {
            // SAFETY: each element has its own products, and nobody writes tiles now.
            unsafe { weights.multiply(element, tiles, products, count) };
        });
        images[round.clone()].par_iter_mut().enumerate().for_each(|(i, Image { sums, y })| {
            // SAFETY: nobody writes products now.
            unsafe { grid.transform_output(products, i * grid.tiles(), 0..grid.down, sums) };
            pass.finish(round.start + i, 0..shape.height, sums, y.as_deref_mut());
        });
    }
}

pub fn backward(pass: &Backward<'_>, mut dx: Option<&mut [f32]>, weights: &mut [f32]) -> PartSums {
    let (level, shape) = (pass.level, pass.shape);
    let grid = Grid::new(level, shape.plane(), shape.outputs);
    let back = Grid::new(level, shape.out_plane(), shape.inputs);
    let turned = dx.is_some().then(|| Weights::new(back, Direction::Backward, pass.weights));
    let length = winograd::sums(level, shape);
    let mut buffer = Buffer::new(ELEMENTS * length);
    let (mut tiles, mut gradients, mut turned_tiles) =
        (Buffer::default(), Buffer::default(), Buffer::default());
    let mut sums = Vec::with_capacity(shape.batch);
    for round in rounds(shape.batch, &grid) {
        let count = round.len() * grid.tiles();
        let tiles = grid.input_tiles(&mut tiles, count);
        let gradients = grid.output_tiles(&mut gradients, count);
        let turned_tiles = back.input_tiles(&mut turned_tiles, if turned.is_some() { count } else { 0 });
        sums.par_extend(round.clone().into_par_iter().map(|n| {
            let mut sums = Sums::new(back.frame.pitch);
            let first = (n - round.start) * grid.tiles();
            let all = 0..grid.down;
            scratch::with(|s| {
                let (g, activation) = pass.gradient(n);
                s.gradient.resize(back.frame.numbers());
                activate::backward(level, &back.frame, g, activation, &mut s.gradient, &mut sums);
                s.input.resize(grid.frame.numbers());
                pad(pass.image(n), &grid.frame, &mut s.input);
                // SAFETY: each image has its own tiles.
                unsafe {
                    grid.transform_input(&s.input, all.clone(), tiles, first);
                    winograd::transform_gradient(
                        level,
                        &back.frame,
                        &s.gradient,
                        all.clone(),
                        gradients,
                        first,
                    );
                    if turned.is_some() {
                        back.transform_input(&s.gradient, all, turned_tiles, first);
                    }
                }
            });
            sums
        }));
        let fresh = round.start == 0;
        buffer.par_chunks_exact_mut(length).enumerate().for_each(|(element, sums)| {
            // SAFETY: each element has its own sums, and nobody writes tiles now.
            scratch::with(|s| unsafe {
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
            });
        });
        if let (Some(turned), Some(dx)) = (&turned, dx.as_deref_mut()) {
            // The gradients are not needed any more, but the inputs' tiles have the size of the products.
            let products = tiles;
            (0..ELEMENTS).into_par_iter().for_each(|element| {
                // SAFETY: each element has its own products, and nobody writes turned tiles now.
                unsafe { turned.multiply(element, turned_tiles, products, count) };
            });
            let share = &mut dx[round.start * shape.image()..round.end * shape.image()];
            share.par_chunks_exact_mut(shape.image()).enumerate().for_each(|(i, image)| {
                // SAFETY: nobody writes products now.
                unsafe { back.transform_output(products, i * grid.tiles(), 0..grid.down, image) };
            });
        }
    }
    winograd::reduce(level, shape, &[buffer], weights);
    sums
}
