//! Pooling, and a map without its border, as steps of burn's gradient tape.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::ops::MaxPoolOptions;
use rayon::prelude::*;

use super::memory;
use super::tape::{self, Recorded};
use crate::ops::pool::Pool;
use limen_models::kernels::simd::Level;

/// Where in its image each maximum lay.
#[derive(Clone, Debug)]
struct Pooled {
    pool: Pool,
    places: Vec<u32>,
}

impl Recorded for Pooled {
    fn backward(self, gradient: FlexTensor, _: &[bool]) -> Vec<Option<FlexTensor>> {
        let Pool { batch: n, channels: c, size: [h, w], out, .. } = self.pool;
        let dx = self.pool.backward(&memory::channels_last(&gradient, [n, c, out[0], out[1]]), &self.places);
        vec![Some(memory::from_channels_last(dx, [n, c, h, w]))]
    }
}

/// The maxima of windows without padding; `None` where `x` does not lie on the CPU back end in f32 or the options are
/// others.
pub fn max_pool(x: &Tensor<4>, options: &MaxPoolOptions<2>) -> Option<Tensor<4>> {
    memory::keep_heap();
    let [batch, channels, h, w] = x.dims();
    let (kernel, stride) = (options.kernel_size, options.stride);
    let windows = |size: usize, kernel: usize, stride: usize| {
        let way = size.saturating_sub(kernel);
        if options.ceil_mode { way.div_ceil(stride) + 1 } else { way / stride + 1 }
    };
    let out = [windows(h, kernel[0], stride[0]), windows(w, kernel[1], stride[1])];
    let pool = Pool { batch, channels, size: [h, w], kernel, stride, out };
    let fits = options.padding == [(0, 0); 2]
        && options.dilation == [1; 2]
        && u32::try_from(pool.image()).is_ok()
        // No window lies outside of the image.
        && kernel[0] <= h && stride[0] <= kernel[0]
        && kernel[1] <= w && stride[1] <= kernel[1]
        && batch * channels > 0;
    if !fits {
        return None;
    }
    tape::alone(x, |x| {
        let mut y = memory::unwritten(batch * pool.out_image());
        let mut places = vec![0; y.len()];
        let x = memory::channels_last(x, [batch, channels, h, w]);
        pool.forward(Level::detect(), &x, &mut y, &mut places);
        (memory::from_channels_last(y, [batch, channels, out[0], out[1]]), Pooled { pool, places })
    })
}

/// The sizes of a map whose border was taken away.
#[derive(Clone, Debug)]
struct Inner([usize; 4]);

impl Recorded for Inner {
    fn backward(self, gradient: FlexTensor, _: &[bool]) -> Vec<Option<FlexTensor>> {
        let Self([n, c, h, w]) = self;
        let g = memory::channels_last(&gradient, [n, c, h - 2, w - 2]);
        let mut dx = vec![0.0; n * c * h * w];
        let images = dx.par_chunks_mut(c * h * w).zip(g.par_chunks(c * (h - 2) * (w - 2)));
        images.for_each(|(dx, g)| {
            let rows = dx.chunks_exact_mut(c * w).skip(1);
            rows.zip(g.chunks_exact(c * (w - 2))).for_each(|(dx, g)| dx[c..c * (w - 1)].copy_from_slice(g));
        });
        vec![Some(memory::from_channels_last(dx, [n, c, h, w]))]
    }
}

/// `x` without its outermost rows and columns; `None` where it does not lie on the CPU back end in f32 or is nothing
/// but border.
pub fn inside(x: &Tensor<4>) -> Option<Tensor<4>> {
    let sizes @ [n, c, h, w] = x.dims();
    if n * c == 0 || h.min(w) < 3 {
        return None;
    }
    tape::alone(x, |x| {
        let x = memory::channels_last(x, sizes);
        let mut y = memory::unwritten(n * c * (h - 2) * (w - 2));
        y.par_chunks_mut(c * (h - 2) * (w - 2)).zip(x.par_chunks(c * h * w)).for_each(|(y, x)| {
            let rows = y.chunks_exact_mut(c * (w - 2)).zip(x.chunks_exact(c * w).skip(1));
            rows.for_each(|(y, x)| y.copy_from_slice(&x[c..c * (w - 1)]));
        });
        (memory::from_channels_last(y, [n, c, h - 2, w - 2]), Inner(sizes))
    })
}
