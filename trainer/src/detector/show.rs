//! A window as a network sees it: cut out, in some light, turned, mirrored; and what it shall say of that.

use limen_models::detect::mtcnn::region;
use limen_models::geometry::{BBox, Detection, Landmarks, Point};
use limen_models::manifest::{Colour, Input};
use limen_models::resample::{Region, Resampler, resample};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::pictures::Picture;
use super::windows::{Kind, Window, box_target, landmark_target};

/// Shares of the windows that are changed in each way.
const TURNED: f64 = 0.4;
const GREY: f64 = 0.15;
const BLURRED: f64 = 0.15;
const COARSE: f64 = 0.15;
const NOISY: f64 = 0.2;
/// Most that a face is turned, degrees.
const MOST_DEGREES: f32 = 30.0;

/// Windows shown at once, one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// [n, 3, side, side], prepared as the firmware prepares them.
    pub pixels: Vec<f32>,
    /// What each shows.
    pub kinds: Vec<Kind>,
    /// [n, 4]; zeros for negatives.
    pub boxes: Vec<f32>,
    /// [n, 10]; zeros for negatives.
    pub landmarks: Vec<f32>,
}

impl Batch {
    /// Windows in it.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adds `window` of `picture` as a square of `side` px; `rng` decides on turn, light and mirror image.
    pub fn add(&mut self, picture: &Picture, window: &Window, side: usize, rng: &mut ChaCha8Rng) {
        let face = window.face.and_then(|f| picture.faces.get(f as usize));
        let turn = if face.is_some() && rng.random_bool(TURNED) {
            rng.random_range(-MOST_DEGREES..=MOST_DEGREES).to_radians()
        } else {
            0.0
        };
        let mirror = rng.random_bool(0.5);
        let mut pixels = cut(picture, &window.bbox, side, turn, rng.random_bool(COARSE));
        if mirror {
            pixels.chunks_exact_mut(side).for_each(<[f32]>::reverse);
        }
        light(&mut pixels, side, rng);
        self.pixels.append(&mut pixels);
        self.kinds.push(window.kind);
        let (mut bbox, mut points) = ([0.0; 4], [0.0; 10]);
        if let Some(face) = face {
            let turned = turned(face, window.bbox.centre(), turn);
            bbox = box_target(&window.bbox, &turned.bbox);
            points = landmark_target(&window.bbox, &turned.landmarks.0);
            if mirror {
                (bbox, points) = mirrored(bbox, points);
            }
        }
        self.boxes.extend(bbox);
        self.landmarks.extend(points);
    }
}

/// The pixels of a window, [3, side, side], turned about its middle by `turn` radians (clockwise as seen); `coarse`
/// throws away half of its resolution.
fn cut(picture: &Picture, window: &BBox, side: usize, turn: f32, coarse: bool) -> Vec<f32> {
    let input = Input::sphereface(side, side, Colour::Rgb);
    let whole = region(window);
    let mut resampler = Resampler::default();
    let mut take = |region: Region, side: usize| {
        let mut out = vec![0.0; 3 * side * side];
        resample(picture.image.view(), region, (side, side), &input, &mut out, &mut resampler);
        out
    };
    let fine = if turn == 0.0 {
        take(whole, side)
    } else {
        // A turned square fits into one 1.5 times as large, whatever the angle.
        let (large, margin) = (side * 3 / 2, whole.width / 4);
        let around = Region {
            x: whole.x - margin as i32,
            y: whole.y - margin as i32,
            width: whole.width + 2 * margin,
            height: whole.height + 2 * margin,
        };
        turn_about_middle(&take(around, large), large, side, turn)
    };
    if coarse { stretched(&halved(&fine, side), side / 2, side) } else { fine }
}

/// The middle `side` px of `from` ([3, large, large]), turned.
fn turn_about_middle(from: &[f32], large: usize, side: usize, turn: f32) -> Vec<f32> {
    let (sin, cos) = turn.sin_cos();
    let (middle, half) = ((large as f32 - 1.0) / 2.0, (side as f32 - 1.0) / 2.0);
    let mut out = Vec::with_capacity(3 * side * side);
    for plane in from.chunks_exact(large * large) {
        for y in 0..side {
            for x in 0..side {
                let (dx, dy) = (x as f32 - half, y as f32 - half);
                // Where the pixel was before the turn.
                out.push(between(plane, large, middle + cos * dx + sin * dy, middle - sin * dx + cos * dy));
            }
        }
    }
    out
}

/// The value at a place between pixels, edges held.
fn between(plane: &[f32], side: usize, x: f32, y: f32) -> f32 {
    let most = (side - 1) as f32;
    let (x, y) = (x.clamp(0.0, most), y.clamp(0.0, most));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(side - 1), (y0 + 1).min(side - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let at = |x: usize, y: usize| plane[y * side + x];
    (at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx) * (1.0 - fy)
        + (at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx) * fy
}

fn halved(from: &[f32], side: usize) -> Vec<f32> {
    let half = side / 2;
    let mut out = Vec::with_capacity(3 * half * half);
    for plane in from.chunks_exact(side * side) {
        for y in 0..half {
            for x in 0..half {
                let at = |dx: usize, dy: usize| plane[(2 * y + dy) * side + 2 * x + dx];
                out.push((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0);
            }
        }
    }
    out
}

fn stretched(from: &[f32], small: usize, side: usize) -> Vec<f32> {
    let scale = small as f32 / side as f32;
    let place = |i: usize| (i as f32 + 0.5) * scale - 0.5;
    let mut out = Vec::with_capacity(3 * side * side);
    for plane in from.chunks_exact(small * small) {
        for y in 0..side {
            out.extend((0..side).map(|x| between(plane, small, place(x), place(y))));
        }
    }
    out
}

/// Contrast, brightness, grey (near infrared has no colour), blur, noise.
fn light(pixels: &mut [f32], side: usize, rng: &mut ChaCha8Rng) {
    let plane = side * side;
    if rng.random_bool(GREY) {
        let (red, rest) = pixels.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let grey = 0.299 * *r + 0.587 * *g + 0.114 * *b;
            (*r, *g, *b) = (grey, grey, grey);
        }
    }
    if rng.random_bool(BLURRED) {
        let sharp = pixels.to_vec();
        for (out, from) in pixels.chunks_exact_mut(plane).zip(sharp.chunks_exact(plane)) {
            for y in 0..side {
                for x in 0..side {
                    let (xs, ys) = (
                        x.saturating_sub(1)..=(x + 1).min(side - 1),
                        y.saturating_sub(1)..=(y + 1).min(side - 1),
                    );
                    let count = (xs.clone().count() * ys.clone().count()) as f32;
                    let sum: f32 = ys.flat_map(|y| xs.clone().map(move |x| from[y * side + x])).sum();
                    out[y * side + x] = sum / count;
                }
            }
        }
    }
    let (contrast, brightness) = (rng.random_range(0.5..=1.3), rng.random_range(-0.35..=0.35));
    let noise = if rng.random_bool(NOISY) { rng.random_range(0.0..=0.08f32) } else { 0.0 };
    for p in pixels {
        *p = *p * contrast + brightness;
        if noise > 0.0 {
            let by: f32 = StandardNormal.sample(rng);
            *p += noise * by;
        }
        *p = p.clamp(-1.0, 1.0);
    }
}

/// `face` after the window about `middle` was turned. Its box keeps its size: faces are taken upright by that.
fn turned(face: &Detection, middle: Point, turn: f32) -> Detection {
    if turn == 0.0 {
        return *face;
    }
    let (sin, cos) = turn.sin_cos();
    let place = |p: Point| {
        let (dx, dy) = (p.x - middle.x, p.y - middle.y);
        Point::new(middle.x + cos * dx - sin * dy, middle.y + sin * dx + cos * dy)
    };
    let (from, to) = (face.bbox.centre(), place(face.bbox.centre()));
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let b = face.bbox;
    Detection {
        bbox: BBox { x1: b.x1 + dx, y1: b.y1 + dy, x2: b.x2 + dx, y2: b.y2 + dy },
        landmarks: Landmarks(face.landmarks.0.map(place)),
        confidence: face.confidence,
    }
}

/// The targets of the mirror image.
fn mirrored([x1, y1, x2, y2]: [f32; 4], p: [f32; 10]) -> ([f32; 4], [f32; 10]) {
    let from = [1, 0, 2, 4, 3];
    let points = std::array::from_fn(|i| if i < 5 { 1.0 - p[from[i]] } else { p[5 + from[i - 5]] });
    ([-x2, y1, -x1, y2], points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::init::stream;
    use crate::detector::draw::tests::pictures;

    fn window(picture: &Picture) -> Window {
        let b = picture.faces[0].bbox;
        let bbox = BBox {
            x1: b.x1.round() - 4.0,
            y1: b.y1.round(),
            x2: b.x1.round() + 51.0,
            y2: b.y1.round() + 55.0,
        };
        Window { picture: 0, bbox, kind: Kind::Positive, face: Some(0) }
    }

    /// Mean of the places of the `side` x `side` pixels darker than -0.5 (the eyes and the mouth).
    fn dark(pixels: &[f32], side: usize, part: std::ops::Range<usize>) -> Point {
        let found: Vec<(f32, f32)> = part
            .flat_map(|y| (0..side).map(move |x| (x, y)))
            .filter(|(x, y)| pixels[y * side + x] < -0.5)
            .map(|(x, y)| (x as f32, y as f32))
            .collect();
        let n = found.len() as f32;
        Point::new(found.iter().map(|p| p.0).sum::<f32>() / n, found.iter().map(|p| p.1).sum::<f32>() / n)
    }

    #[test]
    fn landmarks_stay_on_what_they_mark_when_a_window_is_turned_or_mirrored() {
        let picture = &pictures()[0];
        let w = window(picture);
        for turn in [0.0f32, 0.4, -0.5] {
            for mirror in [false, true] {
                let side = 48;
                let mut pixels = cut(picture, &w.bbox, side, turn, false);
                let face = turned(&picture.faces[0], w.bbox.centre(), turn);
                let mut targets =
                    (box_target(&w.bbox, &face.bbox), landmark_target(&w.bbox, &face.landmarks.0));
                if mirror {
                    pixels.chunks_exact_mut(side).for_each(<[f32]>::reverse);
                    targets = mirrored(targets.0, targets.1);
                }
                // The mean of all five marks is the mean of all that is dark.
                let mean = |k: usize| targets.1[k..k + 5].iter().sum::<f32>() / 5.0 * side as f32 - 0.5;
                let seen = dark(&pixels, side, 0..side);
                assert!((seen.x - mean(0)).abs() < 1.2, "turn {turn} mirror {mirror}: {seen:?} {}", mean(0));
                assert!((seen.y - mean(5)).abs() < 1.2, "turn {turn} mirror {mirror}: {seen:?} {}", mean(5));
                // The left eye is left of the right one, as seen.
                assert!(targets.1[0] < targets.1[1]);
            }
        }
    }

    #[test]
    fn the_mirror_image_by_hand() {
        let (b, p) = mirrored([0.1, 0.2, -0.3, 0.4], [0.2, 0.7, 0.5, 0.3, 0.6, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(b, [0.3, 0.2, -0.1, 0.4]);
        let want = [0.3, 0.8, 0.5, 0.4, 0.7, 2.0, 1.0, 3.0, 5.0, 4.0];
        assert!(p.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{p:?}");
    }

    #[test]
    fn coarse_windows_keep_their_mean() {
        let picture = &pictures()[0];
        let (fine, coarse) = (
            cut(picture, &window(picture).bbox, 24, 0.0, false),
            cut(picture, &window(picture).bbox, 24, 0.0, true),
        );
        let mean = |p: &[f32]| p.iter().sum::<f32>() / p.len() as f32;
        assert!((mean(&fine) - mean(&coarse)).abs() < 0.01);
        assert_ne!(fine, coarse);
    }

    #[test]
    fn a_batch_follows_from_the_seed_and_stays_in_range() {
        let pictures = pictures();
        let w = window(&pictures[0]);
        let make = |seed| {
            let mut batch = Batch::default();
            let mut rng = stream(seed, "show");
            (0..50).for_each(|_| batch.add(&pictures[0], &w, 24, &mut rng));
            batch
        };
        let (a, b) = (make(1), make(1));
        assert_eq!((a.pixels.len(), a.boxes.len(), a.landmarks.len()), (50 * 3 * 576, 200, 500));
        assert_eq!(a.pixels, b.pixels);
        assert_ne!(a.pixels, make(2).pixels);
        assert!(a.pixels.iter().all(|p| (-1.0..=1.0).contains(p)));
    }
}
