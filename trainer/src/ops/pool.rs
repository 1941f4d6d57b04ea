//! Maxima over windows of channels-last images, and the way back to where they lay.

use rayon::prelude::*;

use limen_models::by_level;
use limen_models::kernels::simd::{Level, Simd};

/// Sizes of a pooling without padding; windows that reach beyond the far edges are cut there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Height and width of an image, px.
    pub size: [usize; 2],
    /// Height and width of a window, px.
    pub kernel: [usize; 2],
    /// From window to window, px.
    pub stride: [usize; 2],
    /// Windows down and across.
    pub out: [usize; 2],
}

impl Pool {
    /// Numbers of an input image.
    pub const fn image(&self) -> usize {
        self.channels * self.size[0] * self.size[1]
    }

    /// Numbers of an output image.
    pub const fn out_image(&self) -> usize {
        self.channels * self.out[0] * self.out[1]
    }

    /// The maxima of `x` to `y`, and to `places` where in its image each lay: the first of equal ones, as they are read.
    pub fn forward(&self, level: Level, x: &[f32], y: &mut [f32], places: &mut [u32]) {
        let images = y.par_chunks_mut(self.out_image()).zip(places.par_chunks_mut(self.out_image()));
        images.zip(x.par_chunks(self.image())).for_each(|((y, places), x)| {
            // SAFETY: the body is safe code.
            unsafe { forward_image(level, self, x, y, places) };
        });
    }

    /// The gradient to the input from `g`, that to the output.
    pub fn backward(&self, g: &[f32], places: &[u32]) -> Vec<f32> {
        let mut dx = vec![0.0; self.batch * self.image()];
        let images = dx.par_chunks_mut(self.image()).zip(places.par_chunks(self.out_image()));
        images.zip(g.par_chunks(self.out_image())).for_each(|((dx, places), g)| {
            places.iter().zip(g).for_each(|(place, g)| dx[*place as usize] += g);
        });
        dx
    }
}

/// The maxima of one image. Loops over channels become vectors of the level by themselves.
#[allow(clippy::extra_unused_type_parameters, reason = "names the level")]
#[inline(always)]
unsafe fn image_body<S: Simd>(pool: &Pool, x: &[f32], y: &mut [f32], places: &mut [u32]) {
    let ([height, width], c) = (pool.size, pool.channels);
    let pixels = y.chunks_exact_mut(c).zip(places.chunks_exact_mut(c));
    for (n, (y, places)) in pixels.enumerate() {
        let (top, left) = (n / pool.out[1] * pool.stride[0], n % pool.out[1] * pool.stride[1]);
        for row in top..height.min(top + pool.kernel[0]) {
            for column in left..width.min(left + pool.kernel[1]) {
                let first = (row * width + column) * c;
                let from = first as u32..(first + c) as u32;
                let begins = (row, column) == (top, left);
                for (((y, place), x), at) in
                    y.iter_mut().zip(&mut *places).zip(&x[first..first + c]).zip(from)
                {
                    let more = begins || *x > *y;
                    *y = if more { *x } else { *y };
                    *place = if more { at } else { *place };
                }
            }
        }
    }
}

by_level! {
    /// Runs the maxima of one image.
    fn forward_image = image_body(pool: &Pool, x: &[f32], y: &mut [f32], places: &mut [u32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_by_hand() {
        // One image of 2 x 3 px with two channels; windows of 2 x 2, the second one cut at the right edge.
        let pool = Pool { batch: 1, channels: 2, size: [2, 3], kernel: [2, 2], stride: [2, 2], out: [1, 2] };
        let x = [1.0, 8.0, 5.0, 7.0, 3.0, -2.0, 5.0, 6.0, 4.0, 5.0, 2.0, -1.0];
        for level in Level::available() {
            let (mut y, mut places) = ([0.0; 4], [99; 4]);
            pool.forward(level, &x, &mut y, &mut places);
            // Channel 0: 1 5 | 3 over 5 4 | 2; of the two fives the first counts.
            assert_eq!((y, places), ([5.0, 8.0, 3.0, -1.0], [2, 1, 4, 11]));
            let dx = pool.backward(&[10.0, 20.0, 30.0, 40.0], &places);
            assert_eq!(dx, [0.0, 20.0, 10.0, 0.0, 30.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 40.0]);
        }
    }
}
