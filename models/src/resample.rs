//! Cut and resize in one pass, straight into a network's input: planes of preprocessed numbers.
//!
//! Shrinking averages over the exact area that an output pixel covers, growing interpolates between pixel centres;
//! this is what `imResample(.., 'bilinear')` of the Matlab MTCNN does, each axis by itself.

use crate::image::RgbView;
use crate::kernels::rows;
use crate::kernels::simd::Level;
use crate::manifest::{Colour, Input};

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

/// What each output pixel takes from one axis.
#[derive(Debug, Default)]
struct Axis {
    /// First source index of each output pixel, and where its weights begin.
    starts: Vec<(usize, usize)>,
    /// Weights of one output pixel after the other.
    weights: Vec<f32>,
}

impl Axis {
    /// Fills it for an axis of `from` px resized to `to` px.
    fn set(&mut self, from: usize, to: usize) {
        self.starts.clear();
        self.weights.clear();
        let step = from as f64 / to as f64;
        for i in 0..to {
            let at = self.weights.len();
            let first = if to < from {
                let (lo, hi) = (i as f64 * step, (i + 1) as f64 * step);
                let first = lo.floor() as usize;
                let last = ((hi - 1e-9).ceil() as usize).clamp(first + 1, from);
                let cover = |s: usize| ((s + 1) as f64).min(hi) - (s as f64).max(lo);
                self.weights.extend((first..last).map(|s| (cover(s) / step) as f32));
                first
            } else {
                let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
                let first = (centre.floor() as usize).min(from.saturating_sub(2));
                let part = (centre - first as f64) as f32;
                let both = [1.0 - part, part];
                self.weights.extend_from_slice(if from == 1 { &[1.0] } else { &both });
                first
            };
            self.starts.push((first, at));
        }
    }

    /// First source index and weights of each output pixel.
    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let ends = self.starts.iter().skip(1).map(|s| s.1).chain([self.weights.len()]);
        self.starts.iter().zip(ends).map(|((first, at), end)| (*first, &self.weights[*at..end]))
    }
}

/// Buffers used again from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    columns: Axis,
    rows: Axis,
    /// One row of the region at its new height, its pixels inside the frame.
    row: Vec<f32>,
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
    scratch: &mut Scratch,
) {
    let plane = width * height;
    assert_eq!(out.len(), 3 * plane, "an output of another size");
    let Scratch { columns, rows, row } = scratch;
    columns.set(region.width.max(1) as usize, width);
    rows.set(region.height.max(1) as usize, height);
    let level = Level::detect();
    // Columns of the frame that the region has, and where in the region they begin.
    let (left, right) = (i64::from(region.x), i64::from(region.x) + i64::from(region.width.max(1)));
    let (from, to) = (left.max(0), right.min(frame.width() as i64));
    let inside = (to - from).max(0) as usize;
    let begin = (from - left).max(0) as usize;
    row.resize(inside * 3, 0.0);
    for (y, (first, weights)) in rows.iter().enumerate() {
        row.fill(0.0);
        for (sy, weight) in (i64::from(region.y) + first as i64..).zip(weights) {
            if inside > 0 && (0..frame.height() as i64).contains(&sy) {
                rows::add(level, row, &frame.row(sy as usize)[from as usize * 3..], *weight);
            }
        }
        for (x, (first, weights)) in columns.iter().enumerate() {
            let mut sum = [0.0f32; 3];
            // The part of the taps that lies inside the frame.
            let skip = begin.saturating_sub(first).min(weights.len());
            let at = ((first + skip).saturating_sub(begin) * 3).min(row.len());
            for (p, w) in row[at..].chunks_exact(3).zip(&weights[skip..]) {
                for (sum, p) in sum.iter_mut().zip(p) {
                    *sum += w * p;
                }
            }
            if input.colour == Colour::Bgr {
                sum.swap(0, 2);
            }
            for (c, v) in sum.into_iter().enumerate() {
                out[c * plane + y * width + x] = (v - input.offset) * input.scale;
            }
        }
    }
}

/// Writes a picture that already has the input's size to `out` (`[3, height, width]`), preprocessed; `mirror` reads
/// its columns from the right.
pub fn planes(picture: RgbView<'_>, mirror: bool, input: &Input, out: &mut [f32]) {
    let (w, h) = (picture.width(), picture.height());
    let plane = w * h;
    debug_assert_eq!(out.len(), 3 * plane);
    let channel = |c: usize| if input.colour == Colour::Bgr { 2 - c } else { c };
    for y in 0..h {
        for (x, px) in picture.row(y).chunks_exact(3).enumerate() {
            let x = if mirror { w - 1 - x } else { x };
            for (c, &v) in px.iter().enumerate() {
                out[channel(c) * plane + y * w + x] = (f32::from(v) - input.offset) * input.scale;
            }
        }
    }
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
        resample(im.view(), region, size, &PLAIN, &mut out, &mut Scratch::default());
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
        resample(im.view(), region, (2, 1), &bgr, &mut out, &mut Scratch::default());
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
            axis.set(from, to);
            for (first, weights) in axis.iter() {
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
