//! Cut and resize in one pass, row by row straight to where a network reads: preprocessed numbers.
//!
//! Shrinking averages over the exact area that an output pixel covers, growing interpolates between pixel centres;
//! this is what `imResample(.., 'bilinear')` of the Matlab MTCNN does, each axis by itself.

use std::ops::Range;

use crate::image::RgbView;
use crate::kernels::entry::to_planes;
use crate::kernels::frame::Plane;
use crate::kernels::rows::add;
use crate::kernels::simd::Level;
use crate::manifest::{Colour, Input};

pub mod halves;

/// A rectangle of the frame in whole px from its top left corner; it may reach outside, where the frame is black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First column, may be negative.
    pub x: i32,
    /// First row, may be negative.
    pub y: i32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl Region {
    /// All of `frame`.
    pub fn whole(frame: RgbView<'_>) -> Self {
        Self { x: 0, y: 0, width: frame.width() as u32, height: frame.height() as u32 }
    }
}

/// What each output pixel takes from one axis, as far as it lies inside the frame.
#[derive(Debug, Default)]
struct Axis {
    /// First source index of each output pixel, and where its weights begin.
    starts: Vec<(usize, usize)>,
    /// Weights of one output pixel after the other.
    weights: Vec<f32>,
}

impl Axis {
    /// Fills it for the `length` px from `offset` on, of an axis of `size` px, resized to `to` px.
    fn set(&mut self, offset: f64, length: f64, size: f64, to: usize) {
        self.starts.clear();
        self.weights.clear();
        let step = length / to as f64;
        for i in 0..to {
            let at = self.weights.len();
            // The source pixels that it takes from and, of each, how much.
            let (from, until, weight): (f64, f64, &dyn Fn(f64) -> f64) = if step > 1.0 {
                let lo = offset + i as f64 * step;
                let hi = lo + step;
                let until = (hi - 1e-9).ceil().max(lo.floor() + 1.0);
                (lo.floor(), until, &move |s: f64| ((s + 1.0).min(hi) - s.max(lo)) / step)
            } else {
                let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, length - 1.0);
                let first = centre.floor().min((length - 2.0).max(0.0));
                let part = centre - first;
                let until = offset + first + length.min(2.0);
                (offset + first, until, &move |s: f64| if s > offset + first { part } else { 1.0 - part })
            };
            let (first, until) = (from.max(0.0), until.min(size));
            let inside = (until - first).max(0.0) as usize;
            self.weights.extend((0..inside).map(|k| weight(first + k as f64) as f32));
            self.starts.push((first as usize, at));
        }
    }

    /// First source index and weights of output pixel `i`.
    fn of(&self, i: usize) -> (usize, &[f32]) {
        let (first, at) = self.starts[i];
        let end = self.starts.get(i + 1).map_or(self.weights.len(), |next| next.1);
        (first, &self.weights[at..end])
    }

    /// The source indices that it takes from.
    fn span(&self) -> Range<usize> {
        let taken = || (0..self.starts.len()).map(|i| self.of(i)).filter(|(_, weights)| !weights.is_empty());
        let from = taken().map(|(first, _)| first).min().unwrap_or(0);
        from..taken().map(|(first, weights)| first + weights.len()).max().unwrap_or(from)
    }
}

/// Resizes parts of frames; its buffers are used again from one to the next.
#[derive(Debug, Default)]
pub struct Resampler {
    columns: Axis,
    rows: Axis,
    /// Columns of the frame that it takes from.
    span: Range<usize>,
    /// One row of the region at its new height, and a number more.
    row: Vec<f32>,
}

impl Resampler {
    /// Turns to `region` of `frame`, to be made `width` x `height`.
    pub fn aim(&mut self, frame: RgbView<'_>, region: Region, (width, height): (usize, usize)) {
        let Region { x, y, width: w, height: h } = region;
        self.columns.set(x.into(), w.max(1).into(), frame.width() as f64, width);
        self.rows.set(y.into(), h.max(1).into(), frame.height() as f64, height);
        self.span = self.columns.span();
    }

    /// Row `y` of the region of `frame` that it was turned to, preprocessed as `input` says, to `out`
    /// (`[width, 3]`, channels in the input's order).
    ///
    /// # Panics
    /// When the region has no such row.
    pub fn row(&mut self, frame: RgbView<'_>, input: &Input, y: usize, out: &mut [f32]) {
        let level = Level::detect();
        let Self { columns, rows, span, row } = self;
        row.clear();
        row.resize(span.len() * 3 + 1, 0.0);
        let (first, weights) = rows.of(y);
        for (sy, weight) in (first..).zip(weights) {
            let bytes = &frame.row(sy)[span.start * 3..span.end * 3];
            add(level, row, bytes, *weight);
        }
        for (x, out) in out.chunks_exact_mut(3).enumerate() {
            let (first, weights) = columns.of(x);
            let at = first.saturating_sub(span.start) * 3;
            // Four numbers at a time, the fourth in vain, make one vector.
            let mut sum = [0.0f32; 4];
            if !weights.is_empty() {
                for (p, w) in row[at..].windows(4).step_by(3).zip(weights) {
                    for (sum, p) in sum.iter_mut().zip(p) {
                        *sum += w * p;
                    }
                }
            }
            if input.colour == Colour::Bgr {
                sum.swap(0, 2);
            }
            for (out, v) in out.iter_mut().zip(sum) {
                *out = (v - input.offset) * input.scale;
            }
        }
    }
}

/// Resizes `region` of `frame` to `width` x `height` and writes it, preprocessed as `input` says, to `out`
/// (`[3, height, width]`, channels in the input's order).
///
/// # Panics
/// When `out` has another size.
pub fn resample(
    frame: RgbView<'_>,
    region: Region,
    (width, height): (usize, usize),
    input: &Input,
    out: &mut [f32],
    resampler: &mut Resampler,
) {
    assert_eq!(out.len(), 3 * width * height, "an output of another size");
    resampler.aim(frame, region, (width, height));
    to_planes(Plane { height, width, channels: 3 }, out, |y, row| resampler.row(frame, input, y, row));
}

/// Row `y` of a picture that already has the input's size to `out` (`[width, 3]`), preprocessed; `mirror` reads its
/// columns from the right.
pub fn pixels(picture: RgbView<'_>, y: usize, mirror: bool, input: &Input, out: &mut [f32]) {
    for (px, out) in picture.row(y).chunks_exact(3).zip(out.chunks_exact_mut(3)) {
        for (v, out) in px.iter().zip(out.iter_mut()) {
            *out = (f32::from(*v) - input.offset) * input.scale;
        }
        if input.colour == Colour::Bgr {
            out.swap(0, 2);
        }
    }
    if mirror {
        mirrored(out);
    }
}

/// Turns a row of pixels around.
pub fn mirrored(row: &mut [f32]) {
    row.as_chunks_mut::<3>().0.reverse();
}

/// Writes a picture that already has the input's size to `out` (`[3, height, width]`), preprocessed; `mirror` reads
/// its columns from the right.
pub fn planes(picture: RgbView<'_>, mirror: bool, input: &Input, out: &mut [f32]) {
    let plane = Plane { height: picture.height(), width: picture.width(), channels: 3 };
    debug_assert_eq!(out.len(), plane.numbers());
    to_planes(plane, out, |y, row| pixels(picture, y, mirror, input, row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::RgbImage;

    const PLAIN: Input = Input {
        width: 0,
        height: 0,
        layout: crate::manifest::Layout::Nchw,
        colour: Colour::Rgb,
        offset: 0.0,
        scale: 1.0,
    };

    fn run(im: &RgbImage, region: Region, size: (usize, usize)) -> Vec<f32> {
        let mut out = vec![9.0; size.0 * size.1 * 3];
        resample(im.view(), region, size, &PLAIN, &mut out, &mut Resampler::default());
        out
    }

    #[test]
    fn three_pixels_to_two_weigh_by_area() {
        // Output 0 covers 0..1.5: (10 + 0.5 * 40) / 1.5 = 20; output 1 covers 1.5..3: (0.5 * 40 + 70) / 1.5 = 60.
        let im = RgbImage::new(3, 1, vec![10, 0, 0, 40, 0, 0, 70, 0, 0]).unwrap();
        let out = run(&im, Region::whole(im.view()), (2, 1));
        assert!((out[0] - 20.0).abs() < 1e-4 && (out[1] - 60.0).abs() < 1e-4, "{out:?}");
    }

    #[test]
    fn two_pixels_to_four_interpolate_between_centres() {
        // Centres at -0.25, 0.25, 0.75, 1.25 of the source, ends held: 0, 25, 75, 100.
        let im = RgbImage::new(2, 1, vec![0, 0, 0, 100, 0, 0]).unwrap();
        let out = run(&im, Region::whole(im.view()), (4, 1));
        for (got, want) in out[..4].iter().zip([0.0, 25.0, 75.0, 100.0]) {
            assert!((got - want).abs() < 1e-4, "{out:?}");
        }
    }

    #[test]
    fn outside_is_black_and_channels_follow_the_input() {
        let im = RgbImage::filled(2, 2, [30, 60, 90]).unwrap();
        // Two columns left of the frame and its first two: 4x2 to 2x1.
        let region = Region { x: -2, y: 0, width: 4, height: 2 };
        let out = run(&im, region, (2, 1));
        assert_eq!(out, vec![0.0, 30.0, 0.0, 60.0, 0.0, 90.0]);
        let bgr = Input { colour: Colour::Bgr, offset: 30.0, scale: 0.5, ..PLAIN };
        let mut out = vec![0.0; 6];
        resample(im.view(), region, (2, 1), &bgr, &mut out, &mut Resampler::default());
        assert_eq!(out, vec![-15.0, 30.0, -15.0, 15.0, -15.0, 0.0]);
    }

    #[test]
    fn planes_mirror_and_order() {
        let im = RgbImage::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let mut out = vec![0.0; 6];
        planes(im.view(), false, &PLAIN, &mut out);
        assert_eq!(out, vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        planes(im.view(), true, &Input { colour: Colour::Bgr, ..PLAIN }, &mut out);
        assert_eq!(out, vec![6.0, 3.0, 5.0, 2.0, 4.0, 1.0]);
    }

    proptest::proptest! {
        #[test]
        fn a_plain_surface_stays_plain_and_weights_sum_to_one(from in 1usize..60, to in 1usize..60) {
            let mut axis = Axis::default();
            axis.set(0.0, from as f64, from as f64, to);
            for (first, weights) in (0..to).map(|i| axis.of(i)) {
                let sum: f32 = weights.iter().sum();
                proptest::prop_assert!((sum - 1.0).abs() < 1e-4);
                proptest::prop_assert!(first + weights.len() <= from);
            }
            let im = RgbImage::filled(from, from, [77; 3]).unwrap();
            for v in run(&im, Region::whole(im.view()), (to, to)) {
                proptest::prop_assert!((v - 77.0).abs() < 1e-2);
            }
        }

        #[test]
        fn any_region_is_served(x in -50i32..50, y in -50i32..50, w in 1u32..70, h in 1u32..70) {
            let im = RgbImage::filled(20, 20, [255; 3]).unwrap();
            let out = run(&im, Region { x, y, width: w, height: h }, (24, 24));
            proptest::prop_assert!(out.iter().all(|v| (-0.01..=255.1).contains(v)));
        }
    }
}
