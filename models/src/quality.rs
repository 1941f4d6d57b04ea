//! Is this face good enough? Size, pose, sharpness, light, contrast, border: each with a code and a sentence.

use std::fmt;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::align::AlignedFace;
use crate::geometry::{BBox, Detection, Landmarks, Point};
use crate::image::RgbView;

/// Nose tip in front of the eye line, in eye distances; makes angles out of landmark shifts (a mean head).
const NOSE_DEPTH: f32 = 0.45;
/// On the SphereFace template: eye line to nose over eye line to mouth, (71.74 - 51.60) / (92.28 - 51.60).
const NOSE_HEIGHT: f32 = 0.495;
/// On the template: eye line to mouth in eye distances, 40.69 / 35.24.
const MOUTH_DROP: f32 = 1.155;

/// Why a face is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Fewer pixels between the eyes than needed.
    TooSmall,
    /// Part of the face lies outside the frame.
    CutOff,
    /// Turned to the left or right.
    TurnedAway,
    /// Looking up or down.
    LookingUpOrDown,
    /// Head leaning to a shoulder.
    Leaning,
    /// The landmarks fit no upright face.
    Misaligned,
    /// Not sharp.
    Blurred,
    /// Too little light on the face.
    TooDark,
    /// Too much light on the face.
    TooBright,
    /// Hardly any light and shade, as in fog or against the sun.
    LowContrast,
}

impl Reason {
    /// How many there are.
    pub const ALL: usize = 10;

    /// The kebab-case code used in JSON and the journal.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooSmall => "too-small",
            Self::CutOff => "cut-off",
            Self::TurnedAway => "turned-away",
            Self::LookingUpOrDown => "looking-up-or-down",
            Self::Leaning => "leaning",
            Self::Misaligned => "misaligned",
            Self::Blurred => "blurred",
            Self::TooDark => "too-dark",
            Self::TooBright => "too-bright",
            Self::LowContrast => "low-contrast",
        }
    }

    /// What the person in front of the camera should do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooSmall => "Please come closer.",
            Self::CutOff => "Please step to the middle of the picture.",
            Self::TurnedAway => "Please turn your face to the camera.",
            Self::LookingUpOrDown => "Please look straight ahead.",
            Self::Leaning => "Please hold your head upright.",
            Self::Misaligned => "Please look at the camera with your whole face visible.",
            Self::Blurred => "Please hold still.",
            Self::TooDark => "It is too dark here: please turn to the light.",
            Self::TooBright => "There is too much light on your face.",
            Self::LowContrast => "Your face is hard to see: please turn away from the bright background.",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What was measured on one face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Between the eyes in the frame, px.
    pub eye_distance_px: f32,
    /// Turn to the side, degrees, positive to the image's right; an estimate from five points.
    pub yaw_deg: f32,
    /// Looking down is positive, degrees; an estimate from five points.
    pub pitch_deg: f32,
    /// Lean, degrees, positive clockwise.
    pub roll_deg: f32,
    /// Variance of the Laplacian of the aligned crop's luma (0 to 255), after smoothing away single-pixel noise.
    pub sharpness: f32,
    /// Mean luma of the aligned crop, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of that luma.
    pub contrast: f32,
    /// Share of the crop outside the frame, 0 to 1.
    pub outside: f32,
    /// Landmark residual of the alignment, crop px.
    pub residual_px: f32,
}

/// Limits beyond which a face is refused.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Least distance between the eyes, px.
    pub min_eye_distance_px: f32,
    /// Largest turn to either side, degrees.
    pub max_yaw_deg: f32,
    /// Largest look up or down, degrees.
    pub max_pitch_deg: f32,
    /// Largest lean, degrees.
    pub max_roll_deg: f32,
    /// Least sharpness.
    pub min_sharpness: f32,
    /// Least mean luma, 0 to 255.
    pub min_brightness: f32,
    /// Largest mean luma.
    pub max_brightness: f32,
    /// Least standard deviation of luma.
    pub min_contrast: f32,
    /// Largest share outside the frame.
    pub max_outside: f32,
    /// Largest residual, crop px.
    pub max_residual_px: f32,
}

impl Default for Limits {
    /// Lenient enough for photographs, strict enough that a refused face would be a gamble; see
    /// docs/reference/quality.md for what share of LFW each limit refuses.
    fn default() -> Self {
        Self {
            min_eye_distance_px: 24.0,
            max_yaw_deg: 40.0,
            max_pitch_deg: 35.0,
            max_roll_deg: 35.0,
            min_sharpness: 15.0,
            min_brightness: 35.0,
            max_brightness: 225.0,
            min_contrast: 15.0,
            max_outside: 0.10,
            max_residual_px: 6.0,
        }
    }
}

impl Limits {
    /// No limit at all: every face that can be aligned passes.
    pub fn none() -> Self {
        Self {
            min_eye_distance_px: 0.0,
            max_yaw_deg: f32::INFINITY,
            max_pitch_deg: f32::INFINITY,
            max_roll_deg: f32::INFINITY,
            min_sharpness: 0.0,
            min_brightness: 0.0,
            max_brightness: f32::INFINITY,
            min_contrast: 0.0,
            max_outside: f32::INFINITY,
            max_residual_px: f32::INFINITY,
        }
    }
}

/// The verdict on one face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// `None` when the face could not even be aligned.
    pub measures: Option<Measures>,
    /// 0 (useless) to 1 (ideal); ranks frames of one person.
    pub score: f32,
    /// Empty when the face may be used, the most helpful first.
    pub reasons: ArrayVec<Reason, { Reason::ALL }>,
}

impl Quality {
    /// A face whose landmarks fit nothing.
    pub fn misaligned() -> Self {
        Self { measures: None, score: 0.0, reasons: ArrayVec::from_iter([Reason::Misaligned]) }
    }

    /// May the face be used?
    pub fn is_good(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Measures a detected and aligned face and compares with `limits`; `luma` is memory that it may use.
pub fn assess(
    frame: RgbView<'_>,
    face: &Detection,
    aligned: &AlignedFace,
    limits: &Limits,
    luma: &mut Vec<f32>,
) -> Quality {
    let m = measure(frame, face, aligned, luma);
    let checks = [
        (m.eye_distance_px < limits.min_eye_distance_px, Reason::TooSmall),
        (m.outside > limits.max_outside, Reason::CutOff),
        (m.residual_px > limits.max_residual_px, Reason::Misaligned),
        (m.yaw_deg.abs() > limits.max_yaw_deg, Reason::TurnedAway),
        (m.pitch_deg.abs() > limits.max_pitch_deg, Reason::LookingUpOrDown),
        (m.roll_deg.abs() > limits.max_roll_deg, Reason::Leaning),
        (m.brightness < limits.min_brightness, Reason::TooDark),
        (m.brightness > limits.max_brightness, Reason::TooBright),
        (m.contrast < limits.min_contrast, Reason::LowContrast),
        (m.sharpness < limits.min_sharpness, Reason::Blurred),
    ];
    let reasons = checks.into_iter().filter(|(fails, _)| *fails).map(|(_, r)| r).collect();
    Quality { measures: Some(m), score: score(&m), reasons }
}

/// 0 to 1 by how near each measure is to ideal: 60 px between the eyes, frontal, sharp, evenly lit.
fn score(m: &Measures) -> f32 {
    let size = (m.eye_distance_px / 60.0).clamp(0.0, 1.0).sqrt();
    let pose =
        [m.yaw_deg, m.pitch_deg, m.roll_deg].map(|d| d.to_radians().cos().max(0.0)).iter().product::<f32>();
    let sharp = (m.sharpness / 150.0).clamp(0.0, 1.0).sqrt();
    let light = (1.0 - ((m.brightness - 128.0).abs() / 128.0).powi(2)).clamp(0.0, 1.0);
    // 16 px of the crop's 96 is half the distance between the eyes: no face is left to speak of.
    let fit = (1.0 - m.residual_px / 16.0).clamp(0.0, 1.0);
    let s = size * pose * sharp * light * fit * (1.0 - m.outside).clamp(0.0, 1.0);
    if s.is_finite() { s } else { 0.0 }
}

fn measure(frame: RgbView<'_>, face: &Detection, aligned: &AlignedFace, luma: &mut Vec<f32>) -> Measures {
    let (yaw_deg, pitch_deg, roll_deg) = pose(&face.landmarks);
    let luma = Luma::of(aligned, luma);
    let (brightness, contrast) = luma.mean_and_deviation();
    Measures {
        eye_distance_px: face.landmarks.eye_distance(),
        yaw_deg,
        pitch_deg,
        roll_deg,
        sharpness: luma.laplacian_variance(),
        brightness,
        contrast,
        outside: aligned.outside.max(outside(frame, &face.bbox)),
        residual_px: aligned.residual_px,
    }
}

/// Yaw, pitch and roll in degrees. In the frame of the eye line: a nose tip `NOSE_DEPTH` before the eyes moves by
/// depth x tan(angle) against what the turn shrinks.
fn pose(l: &Landmarks) -> (f32, f32, f32) {
    let [le, re, nose, lm, rm] = l.0;
    let eye = le.distance(re).max(1e-6);
    let (ex, ey) = ((re.x - le.x) / eye, (re.y - le.y) / eye);
    let mid = Point::new((le.x + re.x) / 2.0, (le.y + re.y) / 2.0);
    let along = |p: Point| ((p.x - mid.x) * ex + (p.y - mid.y) * ey) / eye;
    let down = |p: Point| (-(p.x - mid.x) * ey + (p.y - mid.y) * ex) / eye;
    let mouth = Point::new((lm.x + rm.x) / 2.0, (lm.y + rm.y) / 2.0);
    let yaw = (along(nose) / NOSE_DEPTH).atan().to_degrees();
    let drop = down(mouth);
    let drop = if drop.abs() < 1e-3 { 1e-3 } else { drop };
    let pitch = ((down(nose) / drop - NOSE_HEIGHT) * MOUTH_DROP / NOSE_DEPTH).atan().to_degrees();
    (yaw, pitch, ey.atan2(ex).to_degrees())
}

/// Share of the box outside the frame.
fn outside(frame: RgbView<'_>, b: &BBox) -> f32 {
    let whole = BBox { x1: 0.0, y1: 0.0, x2: frame.width() as f32 - 1.0, y2: frame.height() as f32 - 1.0 };
    if b.area() > 0.0 { 1.0 - (b.intersection(&whole) / b.area()).min(1.0) } else { 1.0 }
}

/// Luma plane of an aligned crop.
struct Luma<'a> {
    width: usize,
    values: &'a mut [f32],
}

impl<'a> Luma<'a> {
    /// BT.601 weights.
    fn of(face: &AlignedFace, values: &'a mut Vec<f32>) -> Self {
        let pixels = face.crop.data().chunks_exact(3);
        values.clear();
        values.extend(
            pixels.map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2])),
        );
        Self { width: face.crop.width(), values }
    }

    fn mean_and_deviation(&self) -> (f32, f32) {
        let n = self.values.len().max(1) as f32;
        let mean = self.values.iter().sum::<f32>() / n;
        let var = self.values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n;
        (mean, var.sqrt())
    }

    /// 2x2 means, then the variance of the 4-neighbour Laplacian: sensor noise counts little, edges count.
    fn laplacian_variance(self) -> f32 {
        let (w, h) = (self.width / 2, self.values.len() / self.width.max(1) / 2);
        if w < 3 || h < 3 {
            return 0.0;
        }
        // The means go to the front, where nothing is read any more.
        for i in 0..w * h {
            let at = 2 * (i / w) * self.width + 2 * (i % w);
            let below = at + self.width;
            self.values[i] =
                (self.values[at] + self.values[at + 1] + self.values[below] + self.values[below + 1]) / 4.0;
        }
        let half = &self.values[..w * h];
        let laplacian = |i: usize| 4.0 * half[i] - half[i - 1] - half[i + 1] - half[i - w] - half[i + w];
        let inner = || (1..h - 1).flat_map(|y| (1..w - 1).map(move |x| y * w + x)).map(laplacian);
        let n = ((w - 2) * (h - 2)) as f32;
        let mean = inner().sum::<f32>() / n;
        inner().map(|v| (v - mean).powi(2)).sum::<f32>() / n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::RgbImage;
    use crate::manifest::Alignment;

    fn template() -> Landmarks {
        Landmarks(Alignment::SPHEREFACE_112X96.template())
    }

    fn crop(f: impl Fn(usize, usize) -> u8) -> AlignedFace {
        let mut im = RgbImage::filled(96, 112, [0; 3]).unwrap();
        for y in 0..112 {
            for x in 0..96 {
                im.set_pixel(x, y, [f(x, y); 3]);
            }
        }
        AlignedFace { crop: im, residual_px: 0.5, outside: 0.0 }
    }

    fn verdict(face: &AlignedFace, l: Landmarks, limits: &Limits) -> Quality {
        let d =
            Detection { bbox: BBox { x1: 5.0, y1: 5.0, x2: 90.0, y2: 100.0 }, landmarks: l, confidence: 1.0 };
        assess(face.crop.view(), &d, face, limits, &mut Vec::new())
    }

    /// Blocks of 8 px in two tones: sharp edges, mean 120, deviation 60.
    fn good() -> AlignedFace {
        crop(|x, y| if (x / 8 + y / 8) % 2 == 0 { 60 } else { 180 })
    }

    #[test]
    fn the_template_is_frontal_and_its_mirror_image_too() {
        let (yaw, pitch, roll) = pose(&template());
        assert!(yaw.abs() < 1.0 && pitch.abs() < 1.0 && roll.abs() < 1.0, "{yaw} {pitch} {roll}");
    }

    #[test]
    fn angles_follow_the_landmarks() {
        // Eyes 40 px apart, the nose shifted by 0.45 * 40 = 18 px: 45 degrees.
        let face = |nose: Point| {
            Landmarks([
                Point::new(0.0, 0.0),
                Point::new(40.0, 0.0),
                nose,
                Point::new(4.0, 46.2),
                Point::new(36.0, 46.2),
            ])
        };
        let level = NOSE_HEIGHT * 46.2;
        assert!((pose(&face(Point::new(38.0, level))).0 - 45.0).abs() < 0.1);
        // Nose lower by 18 px of 46.2: pitch 45 degrees down.
        assert!((pose(&face(Point::new(20.0, level + 18.0))).1 - 45.0).abs() < 0.1);
        let mut leaning = face(Point::new(20.0, level));
        for p in &mut leaning.0 {
            *p = Point::new(p.x * 0.5 - p.y * 0.866_025, p.x * 0.866_025 + p.y * 0.5);
        }
        let (yaw, pitch, roll) = pose(&leaning);
        assert!((roll - 60.0).abs() < 0.1 && yaw.abs() < 0.1 && pitch.abs() < 0.1);
    }

    #[test]
    fn a_good_face_passes_and_each_fault_has_its_own_reason() {
        let l = Limits::default();
        let ok = verdict(&good(), template(), &l);
        assert!(ok.is_good(), "{ok:?}");
        assert!(ok.score > 0.4 && ok.score <= 1.0);
        let only = |face: &AlignedFace, marks: Landmarks, want: Reason| {
            let q = verdict(face, marks, &l);
            assert_eq!(q.reasons.first(), Some(&want), "{q:?}");
            assert!(q.score < ok.score);
        };
        only(&crop(|x, y| if (x / 8 + y / 8) % 2 == 0 { 10 } else { 50 }), template(), Reason::TooDark);
        only(&crop(|x, y| if (x / 8 + y / 8) % 2 == 0 { 215 } else { 255 }), template(), Reason::TooBright);
        only(&crop(|x, y| if (x / 8 + y / 8) % 2 == 0 { 118 } else { 128 }), template(), Reason::LowContrast);
        only(&crop(|x, _| (x * 2) as u8 + 20), template(), Reason::Blurred);
        let small = Landmarks(template().0.map(|p| Point::new(p.x / 2.0, p.y / 2.0)));
        only(&good(), small, Reason::TooSmall);
        let mut turned = template();
        turned.0[2].x += 40.0;
        only(&good(), turned, Reason::TurnedAway);
        only(&AlignedFace { outside: 0.3, ..good() }, template(), Reason::CutOff);
        only(&AlignedFace { residual_px: 9.0, ..good() }, template(), Reason::Misaligned);
    }

    #[test]
    fn without_limits_everything_passes() {
        assert!(verdict(&crop(|_, _| 0), template(), &Limits::none()).is_good());
    }

    #[test]
    fn a_box_half_outside_is_half_outside() {
        let im = RgbImage::filled(100, 100, [0; 3]).unwrap();
        let b = BBox { x1: -50.0, y1: 0.0, x2: 49.0, y2: 49.0 };
        assert!((outside(im.view(), &b) - 0.5).abs() < 1e-6);
    }
}
