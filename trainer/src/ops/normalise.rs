//! Batch normalisation by channel, with PReLU and residual in the same pass, on channels-last images.

#![allow(clippy::too_many_arguments, reason = "a kernel's operands")]

use rayon::prelude::*;

use limen_models::by_level;
use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::simd::{Level, Simd};

/// Mean and biased variance by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances.
    pub variance: Vec<f32>,
}

/// Numbers by channel that turn x into `prelu(x * scale + shift)`.
#[derive(Clone, Debug)]
pub struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Statistics {
    /// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` as an affine map.
    pub fn affine(&self, gamma: &[f32], beta: &[f32], epsilon: f64) -> Affine {
        let scale: Vec<f32> = gamma.iter().zip(self.inverse(epsilon)).map(|(g, i)| g * i).collect();
        let shift = beta.iter().zip(&scale).zip(&self.mean).map(|((b, s), m)| b - s * m).collect();
        Affine { scale, shift }
    }

    /// `1 / sqrt(variance + epsilon)`.
    fn inverse(&self, epsilon: f64) -> impl Iterator<Item = f32> {
        self.variance.iter().map(move |v| (1.0 / (f64::from(*v) + epsilon).sqrt()) as f32)
    }
}

#[inline(always)]
unsafe fn moments_body<S: Simd>(
    x: *const f32,
    pixels: usize,
    channels: usize,
    mean: *mut f32,
    square: *mut f32,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind x and channels behind the others.
    unsafe {
        let share = S::splat(1.0 / pixels as f32);
        let mut c = 0;
        while c < channels {
            let n = S::LANES.min(channels - c);
            let load = |p: *const f32| S::load_part(p, n);
            let mut sum = S::splat(0.0);
            for pixel in 0..pixels {
                sum = S::add(sum, load(x.add(pixel.wrapping_mul(channels) + c)));
            }
            // Around the image's own mean: squares of raw values would lose the variance of a far-off channel.
            let centre = S::mul(sum, share);
            let mut squares = S::splat(0.0);
            for pixel in 0..pixels {
                let d = S::sub(load(x.add(pixel.wrapping_mul(channels) + c)), centre);
                squares = S::fma(d, d, squares);
            }
            S::store_n(mean.add(c), centre, n);
            S::store_n(square.add(c), squares, n);
            c += S::LANES;
        }
    }
}

by_level! {
    /// Mean and sum of squared distances from it, by channel.
    fn moments_raw = moments_body(x: *const f32, pixels: usize, channels: usize, mean: *mut f32, square: *mut f32)
}

/// The statistics of a batch of images of `pixels` pixels.
pub fn statistics(level: Level, x: &[f32], pixels: usize, channels: usize) -> Statistics {
    let image = pixels * channels;
    assert!(image > 0 && x.len().is_multiple_of(image) && !x.is_empty(), "whole images");
    let images = x.len() / image;
    let mut parts = Buffer::new(images * 2 * channels);
    parts.par_chunks_exact_mut(2 * channels).zip(x.par_chunks_exact(image)).for_each(|(part, x)| {
        let (mean, square) = part.split_at_mut(channels);
        // SAFETY: one image of whole pixels, and channels numbers each.
        unsafe { moments_raw(level, x.as_ptr(), pixels, channels, mean.as_mut_ptr(), square.as_mut_ptr()) };
    });
    let mut result = Statistics { mean: vec![0.0; channels], variance: vec![0.0; channels] };
    for c in 0..channels {
        let part = |n: usize| f64::from(parts[n * 2 * channels + c]);
        let mean = (0..images).map(part).sum::<f64>() / images as f64;
        // Squares inside the images and of their means around the common one (Chan, Golub, LeVeque 1979).
        let squares: f64 = (0..images)
            .map(|n| f64::from(parts[(n * 2 + 1) * channels + c]) + pixels as f64 * (part(n) - mean).powi(2))
            .sum();
        result.mean[c] = mean as f32;
        result.variance[c] = (squares / (images * pixels) as f64) as f32;
    }
    result
}

#[inline(always)]
unsafe fn apply_body<S: Simd>(
    x: *const f32,
    y: *mut f32,
    residual: *const f32,
    scale: *const f32,
    shift: *const f32,
    slope: *const f32,
    pixels: usize,
    channels: usize,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind x, y and residual and channels behind the others.
    unsafe {
        for pixel in 0..pixels {
            let at = pixel.wrapping_mul(channels);
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let load = |p: *const f32| S::load_part(p, n);
                let mut v = S::fma(load(x.add(at + c)), load(scale.add(c)), load(shift.add(c)));
                if !slope.is_null() {
                    v = S::fma(S::negative(v), load(slope.add(c)), S::positive(v));
                }
                if !residual.is_null() {
                    v = S::add(v, load(residual.add(at + c)));
                }
                S::store_part(y.add(at + c), v, n);
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// The forward pass of an image.
    fn apply_raw = apply_body(
        x: *const f32, y: *mut f32, residual: *const f32, scale: *const f32, shift: *const f32, slope: *const f32,
        pixels: usize, channels: usize,
    )
}

fn pointer(values: Option<&[f32]>) -> *const f32 {
    values.map_or(std::ptr::null(), <[f32]>::as_ptr)
}

/// `y = prelu(x * scale + shift) + residual`.
pub fn apply(
    level: Level,
    affine: &Affine,
    slope: Option<&[f32]>,
    residual: Option<&[f32]>,
    image: usize,
    x: &[f32],
    y: &mut [f32],
) {
    let channels = affine.scale.len();
    assert!(x.len() == y.len() && residual.is_none_or(|r| r.len() == x.len()), "images of one size");
    assert!(
        affine.shift.len() == channels && slope.is_none_or(|s| s.len() == channels),
        "one number a channel"
    );
    assert!(image.is_multiple_of(channels) && x.len().is_multiple_of(image), "whole images");
    y.par_chunks_exact_mut(image).enumerate().for_each(|(n, y)| {
        let here = n * image..(n + 1) * image;
        let (scale, shift) = (affine.scale.as_ptr(), affine.shift.as_ptr());
        let residual = pointer(residual.map(|r| &r[here.clone()]));
        // SAFETY: one image of each, whole pixels, and channels numbers each, as asserted.
        unsafe {
            apply_raw(
                level,
                x[here].as_ptr(),
                y.as_mut_ptr(),
                residual,
                scale,
                shift,
                pointer(slope),
                image / channels,
                channels,
            );
        }
    });
}

#[inline(always)]
unsafe fn sums_body<S: Simd>(
    x: *const f32,
    g: *const f32,
    scale: *const f32,
    shift: *const f32,
    slope: *const f32,
    mean: *const f32,
    pixels: usize,
    channels: usize,
    sums: *mut f32,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind x and g, channels behind the vectors and three
    // times channels behind sums.
    unsafe {
        let mut c = 0;
        while c < channels {
            let n = S::LANES.min(channels - c);
            let load = |p: *const f32| S::load_part(p, n);
            let (scales, shifts, means) = (load(scale.add(c)), load(shift.add(c)), load(mean.add(c)));
            let slopes = if slope.is_null() { S::splat(1.0) } else { load(slope.add(c)) };
            let (mut plain, mut moment, mut negative) = (S::splat(0.0), S::splat(0.0), S::splat(0.0));
            for pixel in 0..pixels {
                let at = pixel.wrapping_mul(channels) + c;
                let (x, up) = (load(x.add(at)), load(g.add(at)));
                let u = S::fma(x, scales, shifts);
                let v = S::if_negative(u, S::mul(up, slopes), up);
                negative = S::fma(up, S::negative(u), negative);
                plain = S::add(plain, v);
                moment = S::fma(v, S::sub(x, means), moment);
            }
            S::store_n(sums.add(c), plain, n);
            S::store_n(sums.add(channels + c), moment, n);
            S::store_n(sums.add(2 * channels + c), negative, n);
            c += S::LANES;
        }
    }
}

by_level! {
    /// The sums of an image's gradients that beta, gamma and slope need.
    fn sums_raw = sums_body(
        x: *const f32, g: *const f32, scale: *const f32, shift: *const f32, slope: *const f32, mean: *const f32,
        pixels: usize, channels: usize, sums: *mut f32,
    )
}

#[inline(always)]
unsafe fn input_body<S: Simd>(
    x: *const f32,
    g: *const f32,
    scale: *const f32,
    shift: *const f32,
    slope: *const f32,
    by_x: *const f32,
    constant: *const f32,
    dx: *mut f32,
    pixels: usize,
    channels: usize,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind x, g and dx and channels behind the vectors.
    unsafe {
        for pixel in 0..pixels {
            let at = pixel.wrapping_mul(channels);
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let load = |p: *const f32| S::load_part(p, n);
                let (x, up) = (load(x.add(at + c)), load(g.add(at + c)));
                let scales = load(scale.add(c));
                let mut v = up;
                if !slope.is_null() {
                    let u = S::fma(x, scales, load(shift.add(c)));
                    v = S::if_negative(u, S::mul(up, load(slope.add(c))), up);
                }
                let v = S::fma(v, scales, S::fma(x, load(by_x.add(c)), load(constant.add(c))));
                S::store_part(dx.add(at + c), v, n);
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// The gradient to an image.
    fn input_raw = input_body(
        x: *const f32, g: *const f32, scale: *const f32, shift: *const f32, slope: *const f32, by_x: *const f32,
        constant: *const f32, dx: *mut f32, pixels: usize, channels: usize,
    )
}

/// Operands of the way back of [`apply`] on a batch's own statistics.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// What the CPU can do.
    pub level: Level,
    /// What was normalised.
    pub x: &'a [f32],
    /// The gradient to the output.
    pub g: &'a [f32],
    /// Numbers of an image.
    pub image: usize,
    /// The batch's statistics.
    pub statistics: &'a Statistics,
    /// Scales.
    pub gamma: &'a [f32],
    /// Shifts.
    pub beta: &'a [f32],
    /// The PReLU's slope.
    pub slope: Option<&'a [f32]>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Gradients by channel.
#[derive(Debug)]
pub struct Gradients {
    /// To gamma.
    pub gamma: Vec<f32>,
    /// To beta.
    pub beta: Vec<f32>,
    /// To the slope, where there is one.
    pub slope: Vec<f32>,
}

impl Backward<'_> {
    /// The gradients; that to x goes to `dx` where it is wanted.
    pub fn run(&self, dx: Option<&mut [f32]>) -> Gradients {
        let channels = self.gamma.len();
        let Affine { scale, shift } = self.statistics.affine(self.gamma, self.beta, self.epsilon);
        assert!(
            self.x.len() == self.g.len() && self.slope.is_none_or(|s| s.len() == channels),
            "operands of one size"
        );
        assert!(
            self.image.is_multiple_of(channels) && self.x.len().is_multiple_of(self.image),
            "whole images"
        );
        let (pixels, images) = (self.image / channels, self.x.len() / self.image);
        let mut parts = Buffer::new(images * 3 * channels);
        parts.par_chunks_exact_mut(3 * channels).enumerate().for_each(|(n, part)| {
            let here = n * self.image..(n + 1) * self.image;
            // SAFETY: one image of each, whole pixels, and channels numbers each, as asserted.
            unsafe {
                sums_raw(
                    self.level,
                    self.x[here.clone()].as_ptr(),
                    self.g[here].as_ptr(),
                    scale.as_ptr(),
                    shift.as_ptr(),
                    pointer(self.slope),
                    self.statistics.mean.as_ptr(),
                    pixels,
                    channels,
                    part.as_mut_ptr(),
                );
            }
        });
        let sum = |which: usize, c: usize| -> f64 {
            (0..images).map(|n| f64::from(parts[(n * 3 + which) * channels + c])).sum()
        };
        let inverse: Vec<f32> = self.statistics.inverse(self.epsilon).collect();
        let beta: Vec<f64> = (0..channels).map(|c| sum(0, c)).collect();
        let gamma: Vec<f64> = (0..channels).map(|c| sum(1, c) * f64::from(inverse[c])).collect();
        if let Some(dx) = dx {
            // dx = scale (v - mean of v - xhat * mean of v xhat), with xhat = (x - mean) inverse, gathered by x.
            let count = (images * pixels) as f64;
            let by_x: Vec<f32> = (0..channels)
                .map(|c| (-f64::from(scale[c]) * gamma[c] * f64::from(inverse[c]) / count) as f32)
                .collect();
            let constant: Vec<f32> = (0..channels)
                .map(|c| {
                    let plain = f64::from(scale[c]) * beta[c] / count;
                    (-plain - f64::from(by_x[c]) * f64::from(self.statistics.mean[c])) as f32
                })
                .collect();
            assert_eq!(dx.len(), self.x.len(), "operands of one size");
            dx.par_chunks_exact_mut(self.image).enumerate().for_each(|(n, dx)| {
                let here = n * self.image..(n + 1) * self.image;
                // SAFETY: as above.
                unsafe {
                    input_raw(
                        self.level,
                        self.x[here.clone()].as_ptr(),
                        self.g[here].as_ptr(),
                        scale.as_ptr(),
                        shift.as_ptr(),
                        pointer(self.slope),
                        by_x.as_ptr(),
                        constant.as_ptr(),
                        dx.as_mut_ptr(),
                        pixels,
                        channels,
                    );
                }
            });
        }
        let narrow = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect();
        let slope =
            if self.slope.is_some() { (0..channels).map(|c| sum(2, c)).collect() } else { Vec::new() };
        Gradients { gamma: narrow(gamma), beta: narrow(beta), slope: narrow(slope) }
    }
}
