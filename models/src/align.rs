//! Five landmarks to an aligned face: non-reflective least-squares similarity, bilinear, outside black.

use thiserror::Error;

use crate::geometry::{Landmarks, Point};
use crate::image::{RgbImage, RgbView};
use crate::manifest::ModelEntry;

/// Why a face cannot be aligned. The face is refused, never guessed.
#[derive(Debug, Error, PartialEq)]
pub enum AlignError {
    /// The landmarks coincide or are not numbers.
    #[error("the landmarks span no face")]
    Degenerate,
    /// A mirrored fit is better: left and right are swapped.
    #[error("the landmarks are mirrored: left and right are swapped")]
    Reflected,
}

/// `x' = a x - b y + tx`, `y' = b x + a y + ty`: scale, rotation and translation from frame to crop, px.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the turn.
    pub a: f32,
    /// Scale times the sine of the turn.
    pub b: f32,
    /// Shift to the right, px.
    pub tx: f32,
    /// Shift down, px.
    pub ty: f32,
}

impl Similarity {
    /// The least-squares fit of `from` onto `to` and its residual (root of the mean squared distance, px of `to`).
    /// With `s`, `d` the centred points: a = sum(d.s) / n, b = sum(dy sx - dx sy) / n, n = sum |s|^2.
    pub fn fit(from: &[Point; 5], to: &[Point; 5]) -> Result<(Self, f32), AlignError> {
        let mean = |p: &[Point; 5]| {
            let s = p.iter().fold((0.0f64, 0.0f64), |m, q| (m.0 + f64::from(q.x), m.1 + f64::from(q.y)));
            (s.0 / 5.0, s.1 / 5.0)
        };
        let (mf, mt) = (mean(from), mean(to));
        let (mut n, mut a, mut b, mut ra, mut rb) = (0.0f64, 0.0, 0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (sx, sy) = (f64::from(f.x) - mf.0, f64::from(f.y) - mf.1);
            let (dx, dy) = (f64::from(t.x) - mt.0, f64::from(t.y) - mt.1);
            n += sx * sx + sy * sy;
            a += dx * sx + dy * sy;
            b += dy * sx - dx * sy;
            // The same sums with the source mirrored (x -> -x).
            ra += dy * sy - dx * sx;
            rb += -(dy * sx) - dx * sy;
        }
        if !(n.is_finite() && n > 1e-6 && a.hypot(b).is_finite() && a.hypot(b) > 1e-9) {
            return Err(AlignError::Degenerate);
        }
        // The explained part of the spread is (a^2 + b^2) / n, so the larger one fits better.
        if ra.hypot(rb) > a.hypot(b) {
            return Err(AlignError::Reflected);
        }
        let (a, b) = (a / n, b / n);
        let fit = Self {
            a: a as f32,
            b: b as f32,
            tx: (mt.0 - (a * mf.0 - b * mf.1)) as f32,
            ty: (mt.1 - (b * mf.0 + a * mf.1)) as f32,
        };
        let sum: f32 = from.iter().zip(to).map(|(f, t)| fit.apply(*f).distance(*t).powi(2)).sum();
        Ok((fit, (sum / 5.0).sqrt()))
    }

    /// Where `p` of the frame lies in the crop.
    pub fn apply(&self, p: Point) -> Point {
        Point::new(self.a * p.x - self.b * p.y + self.tx, self.b * p.x + self.a * p.y + self.ty)
    }

    /// Frame px to crop px.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

/// A face in the crop that an embedder takes, its landmarks on the template.
#[derive(Debug, Clone)]
pub struct AlignedFace {
    /// The crop, RGB.
    pub crop: RgbImage,
    /// How far the landmarks lie from the template after the fit: root of the mean squared distance, crop px.
    pub residual_px: f32,
    /// Share of the crop that lies outside the frame, 0 to 1.
    pub outside: f32,
}

/// Turns, scales and cuts faces to one template.
#[derive(Debug, Clone)]
pub struct Aligner {
    width: usize,
    height: usize,
    template: [Point; 5],
}

impl Aligner {
    /// To the template of `embedder`; `None` when the entry has none (it is no embedder).
    pub fn for_embedder(embedder: &ModelEntry) -> Option<Self> {
        let template = embedder.alignment?.template();
        Some(Self { width: embedder.input.width, height: embedder.input.height, template })
    }

    /// To a template of one's own.
    pub fn new(width: usize, height: usize, template: [Point; 5]) -> Self {
        Self { width, height, template }
    }

    /// Cuts the face with `landmarks` out of `frame`. Pixel numbers are used from 0 on both sides, as in the ports
    /// of SphereFace's alignment (reference section 2.2).
    pub fn align(&self, frame: RgbView<'_>, landmarks: &Landmarks) -> Result<AlignedFace, AlignError> {
        self.align_in(frame, landmarks, &mut Vec::new())
    }

    /// As [`Aligner::align`]; the crop takes the memory that `spare` has.
    pub fn align_in(
        &self,
        frame: RgbView<'_>,
        landmarks: &Landmarks,
        spare: &mut Vec<u8>,
    ) -> Result<AlignedFace, AlignError> {
        let (fit, residual_px) = Similarity::fit(&landmarks.0, &self.template)?;
        let s2 = fit.a * fit.a + fit.b * fit.b;
        let (ia, ib) = (fit.a / s2, fit.b / s2);
        let (w, h) = (frame.width() as f32, frame.height() as f32);
        let mut data = std::mem::take(spare);
        data.clear();
        data.resize(self.width * self.height * 3, 0);
        let mut outside = 0usize;
        for (y, row) in data.chunks_exact_mut(self.width * 3).enumerate() {
            for (x, px) in row.chunks_exact_mut(3).enumerate() {
                let (dx, dy) = (x as f32 - fit.tx, y as f32 - fit.ty);
                let (sx, sy) = (ia * dx + ib * dy, ia * dy - ib * dx);
                if sx <= -1.0 || sy <= -1.0 || sx >= w || sy >= h {
                    outside += 1;
                    continue;
                }
                bilinear(frame, sx, sy, px);
            }
        }
        let outside = outside as f32 / (self.width * self.height) as f32;
        // The buffer is as long as its sides say.
        let crop = RgbImage::new(self.width, self.height, data).map_err(|_| AlignError::Degenerate)?;
        Ok(AlignedFace { crop, residual_px, outside })
    }
}

/// Bilinear sample at column `x`, row `y` (both above -1 and below the side); pixels outside count as black.
fn bilinear(im: RgbView<'_>, x: f32, y: f32, out: &mut [u8]) {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let (x0, y0) = (x0 as isize, y0 as isize);
    let (w, h) = (im.width() as isize, im.height() as isize);
    let mut sum = [0.0f32; 3];
    for (yy, wy) in [(y0, 1.0 - fy), (y0 + 1, fy)] {
        for (xx, wx) in [(x0, 1.0 - fx), (x0 + 1, fx)] {
            let weight = wx * wy;
            if weight > 0.0 && (0..w).contains(&xx) && (0..h).contains(&yy) {
                let p = im.pixel(xx as usize, yy as usize);
                for c in 0..3 {
                    sum[c] += weight * f32::from(p[c]);
                }
            }
        }
    }
    for (o, s) in out.iter_mut().zip(sum) {
        *o = s.round().clamp(0.0, 255.0) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Alignment;

    fn template() -> [Point; 5] {
        Alignment::SPHEREFACE_112X96.template()
    }

    #[test]
    fn a_known_similarity_is_found_again() {
        // Twice as large, turned by 90 degrees, shifted by (10, 20): x' = -2y + 10, y' = 2x + 20, worked by hand.
        let from =
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0)].map(|(x, y)| Point::new(x, y));
        let to = [(10.0, 20.0), (10.0, 22.0), (8.0, 20.0), (8.0, 22.0), (8.0, 24.0)]
            .map(|(x, y)| Point::new(x, y));
        let (fit, residual) = Similarity::fit(&from, &to).unwrap();
        for (got, want) in [fit.a, fit.b, fit.tx, fit.ty].into_iter().zip([0.0, 2.0, 10.0, 20.0]) {
            assert!((got - want).abs() < 1e-5, "{fit:?}");
        }
        assert!(residual < 1e-5);
        assert!((fit.scale() - 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_residual_is_the_distance_that_no_similarity_removes() {
        // Four corners of a square and its centre, the centre pulled away by (0, 5) in the target. By symmetry the
        // fit is the identity shifted by (0, 1): corners miss by 1, the centre by 4; rms = sqrt((4*1 + 16) / 5) = 2.
        let from = [(-10.0, -10.0), (10.0, -10.0), (0.0, 0.0), (-10.0, 10.0), (10.0, 10.0)]
            .map(|(x, y)| Point::new(x, y));
        let mut to = from;
        to[2] = Point::new(0.0, 5.0);
        let (fit, residual) = Similarity::fit(&from, &to).unwrap();
        assert!((fit.a - 1.0).abs() < 1e-6 && fit.b.abs() < 1e-6 && (fit.ty - 1.0).abs() < 1e-6, "{fit:?}");
        assert!((residual - 2.0).abs() < 1e-6);
    }

    #[test]
    fn swapped_landmarks_are_a_rejection() {
        let l = Landmarks(template());
        let [a, b, c, d, e] = l.0;
        assert_eq!(Similarity::fit(&[b, a, c, e, d], &template()).unwrap_err(), AlignError::Reflected);
        assert_eq!(Similarity::fit(&[a; 5], &template()).unwrap_err(), AlignError::Degenerate);
        // A target without extent: no scale is the best one.
        assert_eq!(Similarity::fit(&l.0, &[a; 5]).unwrap_err(), AlignError::Degenerate);
        let nan = Point::new(f32::NAN, 0.0);
        assert_eq!(Similarity::fit(&[nan; 5], &template()).unwrap_err(), AlignError::Degenerate);
    }

    #[test]
    fn landmarks_on_the_template_copy_the_frame() {
        let mut im = RgbImage::filled(96, 112, [0; 3]).unwrap();
        for (i, v) in im.data_mut().iter_mut().enumerate() {
            *v = (i * 7 % 251) as u8;
        }
        let face = Aligner::new(96, 112, template()).align(im.view(), &Landmarks(template())).unwrap();
        assert_eq!(face.crop.data(), im.data());
        assert_eq!(face.outside, 0.0);
    }

    #[test]
    fn a_lying_face_is_turned_upright() {
        let mut im = RgbImage::filled(140, 130, [0; 3]).unwrap();
        for (i, v) in im.data_mut().iter_mut().enumerate() {
            *v = (i * 7 % 251) as u8;
        }
        // A quarter turn: what belongs at (x, y) of the crop lies at (121 - y, x + 20) of the frame.
        let lying = template().map(|p| Point::new(121.0 - p.y, p.x + 20.0));
        let face = Aligner::new(96, 112, template()).align(im.view(), &Landmarks(lying)).unwrap();
        for (x, y) in [(3, 5), (90, 7), (10, 100), (48, 56)] {
            let (got, want) = (face.crop.pixel(x, y), im.view().pixel(121 - y, x + 20));
            // The fit's last bit may move a sample by a thousandth of a pixel.
            assert!(got.iter().zip(want).all(|(g, w)| g.abs_diff(w) <= 1), "({x}, {y}): {got:?} {want:?}");
        }
    }

    #[test]
    fn half_way_between_two_pixels_is_their_mean_and_outside_is_black() {
        let im = RgbImage::new(2, 1, vec![10, 20, 30, 30, 40, 50]).unwrap();
        let mut px = [0u8; 3];
        bilinear(im.view(), 0.5, 0.0, &mut px);
        assert_eq!(px, [20, 30, 40]);
        // 1.5: half of the last pixel, half outside: 30/2, 40/2, 50/2.
        bilinear(im.view(), 1.5, 0.0, &mut px);
        assert_eq!(px, [15, 20, 25]);
    }

    #[test]
    fn a_face_at_the_edge_reports_how_much_is_missing() {
        let im = RgbImage::filled(96, 112, [200; 3]).unwrap();
        let mut l = Landmarks(template());
        for p in &mut l.0 {
            p.x -= 48.0; // half of the crop lies left of the frame
        }
        let face = Aligner::new(96, 112, template()).align(im.view(), &l).unwrap();
        assert!((face.outside - 0.5).abs() < 0.02, "{}", face.outside);
        assert_eq!(face.crop.pixel(10, 50), [0, 0, 0]);
        assert_eq!(face.crop.pixel(60, 50), [200, 200, 200]);
    }
}
