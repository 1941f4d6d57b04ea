//! The way from a frame to a score once more, by plain code: no engine, no shared arithmetic, one loop a formula.
//!
//! Written from the publications (MTCNN v1's Matlab, SphereFace's alignment: reference sections 2.1 and 2.2) and not
//! from `limen-models`, whose judge it is. All arithmetic is f64, but for the pyramid's scales: `fix` and `ceil` of
//! a quotient that is a whole number hang on its last bit, so both sides compute those in f32.

use limen_models::image::RgbImage;
use limen_models::manifest::Mirror;
use limen_train::graph::Network;
use limen_train::graph::reference::{Output, evaluate};

use crate::nets::Nets;

/// SphereFace's template for 112x96 (`face_align_demo.m` L22-26).
const TEMPLATE: [[f64; 2]; 5] =
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]];
const CROP: [usize; 2] = [96, 112];

/// How the cascade is run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Smallest face, px.
    pub min_face: f32,
    /// Step of the pyramid.
    pub factor: f32,
    /// Thresholds of P, R and O.
    pub thresholds: [f64; 3],
}

impl Settings {
    /// SphereFace's, as `face_detect_demo.m` calls MTCNN.
    pub const SPHEREFACE: Self = Self { min_face: 20.0, factor: 0.85, thresholds: [0.6, 0.7, 0.9] };

    /// The door's: an eighth of the shorter side, at least 20 px, and half the area a step.
    pub fn door(image: &RgbImage) -> Self {
        let side = image.width().min(image.height()) as f32;
        Self { min_face: (side / 8.0).max(20.0), factor: 0.709, ..Self::SPHEREFACE }
    }
}

/// A face as the plain cascade sees it. Numbers count as MTCNN's do.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// First column, first row, last column, last row.
    pub bbox: [f64; 4],
    /// Face probability.
    pub score: f64,
    /// Eyes, nose, mouth corners.
    pub landmarks: [[f64; 2]; 5],
}

type Box4 = [f64; 4];

/// All faces, most certain first.
pub fn detect(nets: &Nets, image: &RgbImage, settings: Settings) -> Vec<Found> {
    let mut proposals: Vec<(Box4, f64, Box4)> = Vec::new();
    let shorter = image.width().min(image.height()) as f32;
    let (mut scale, mut side) = (12.0 / settings.min_face, shorter * (12.0 / settings.min_face));
    while side >= 12.0 {
        let mut level = propose(nets, image, scale, settings.thresholds[0]);
        level = suppressed(level, |c| (c.0, c.1), |shared, a, b| shared / (a + b - shared) > 0.5);
        proposals.append(&mut level);
        scale *= settings.factor;
        side *= settings.factor;
    }
    let union = |shared: f64, a: f64, b: f64| shared / (a + b - shared) > 0.7;
    let proposals = suppressed(proposals, |c| (c.0, c.1), union);
    // Here the width goes without the one pixel more.
    let squares = proposals.iter().map(|(b, _, shift)| squared(moved(*b, *shift, b[2] - b[0], b[3] - b[1])));

    let mut refined: Vec<(Box4, f64, Box4)> = Vec::new();
    for square in squares {
        let out = run(&nets.r, &crop(image, square, 24), 24, 24);
        let score = f64::from(out[0].data[1]);
        if score > settings.thresholds[1] {
            refined.push((square, score, four(&out[1])));
        }
    }
    let refined = suppressed(refined, |c| (c.0, c.1), union);
    let squares =
        refined.iter().map(|(b, _, s)| squared(moved(*b, *s, b[2] - b[0] + 1.0, b[3] - b[1] + 1.0)));

    let mut found: Vec<Found> = Vec::new();
    for b in squares {
        let straight = crop(image, b, 48);
        let out = run(&nets.o, &straight, 48, 48);
        let score = f64::from(out[0].data[1]);
        if score <= settings.thresholds[2] {
            continue;
        }
        let mirrored = run(&nets.o, &flipped(&straight, 48), 48, 48);
        let (width, height) = (b[2] - b[0] + 1.0, b[3] - b[1] + 1.0);
        let mut landmarks = [[0.0; 2]; 5];
        for (i, twin) in [1, 0, 2, 4, 3].into_iter().enumerate() {
            let at = |o: &Output, k: usize| f64::from(o.data[k]);
            let x = (at(&out[2], i) + 1.0 - at(&mirrored[2], twin)) / 2.0;
            let y = (at(&out[2], 5 + i) + at(&mirrored[2], 5 + twin)) / 2.0;
            landmarks[i] = [width * x + b[0] - 1.0, height * y + b[1] - 1.0];
        }
        found.push(Found { bbox: moved(b, four(&out[1]), width, height), score, landmarks });
    }
    suppressed(found, |f| (f.bbox, f.score), |shared, a, b| shared / a.min(b) > 0.7)
}

/// P-Net over one level: boxes of the frame with their scores and shifts.
fn propose(nets: &Nets, image: &RgbImage, scale: f32, threshold: f64) -> Vec<(Box4, f64, Box4)> {
    let w = (image.width() as f32 * scale).ceil() as usize;
    let h = (image.height() as f32 * scale).ceil() as usize;
    let level = resized(image, 0, 0, image.width(), image.height(), w, h);
    let out = run(&nets.p, &rgb_input(&level), h, w);
    let (rows, columns) = (out[0].shape[2], out[0].shape[3]);
    let mut cells = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let at =
                |o: &Output, channel: usize| f64::from(o.data[(channel * rows + row) * columns + column]);
            if at(&out[0], 1) >= threshold {
                let edge = |cell: usize, reach: f32| f64::from(((2 * cell) as f32 + reach) / scale).trunc();
                let b = [edge(column, 1.0), edge(row, 1.0), edge(column, 12.0), edge(row, 12.0)];
                cells.push((b, at(&out[0], 1), [0, 1, 2, 3].map(|c| at(&out[1], c))));
            }
        }
    }
    cells
}

fn run(network: &Network, input: &[f64], height: usize, width: usize) -> Vec<Output> {
    let input: Vec<f32> = input.iter().map(|&v| v as f32).collect();
    evaluate(network, &input, 1, height, width).expect("the drawn network takes this input")
}

fn four(o: &Output) -> Box4 {
    [0, 1, 2, 3].map(|i| f64::from(o.data[i]))
}

/// Takes the best again and again, and with it whatever `covers(shared, area, area)` says it covers.
fn suppressed<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> (Box4, f64),
    covers: impl Fn(f64, f64, f64) -> bool,
) -> Vec<T> {
    let area = |b: Box4| (b[2] - b[0] + 1.0) * (b[3] - b[1] + 1.0);
    let mut kept = Vec::new();
    while !items.is_empty() {
        let mut best = 0;
        for i in 1..items.len() {
            if key(&items[i]).1 > key(&items[best]).1 {
                best = i;
            }
        }
        let winner = items.remove(best);
        let a = key(&winner).0;
        items.retain(|other| {
            let b = key(other).0;
            let w = (a[2].min(b[2]) - a[0].max(b[0]) + 1.0).max(0.0);
            let h = (a[3].min(b[3]) - a[1].max(b[1]) + 1.0).max(0.0);
            !covers(w * h, area(a), area(b))
        });
        kept.push(winner);
    }
    kept
}

fn moved(b: Box4, shift: Box4, width: f64, height: f64) -> Box4 {
    [b[0] + shift[0] * width, b[1] + shift[1] * height, b[2] + shift[2] * width, b[3] + shift[3] * height]
}

/// The square about the same middle, its corners cut to whole numbers.
fn squared(b: Box4) -> Box4 {
    let (w, h) = (b[2] - b[0], b[3] - b[1]);
    let side = w.max(h);
    let (x, y) = (b[0] + (w - side) / 2.0, b[1] + (h - side) / 2.0);
    [x, y, x + side, y + side].map(f64::trunc)
}

/// R-Net's or O-Net's input for a box; pixel 1 is the first column.
fn crop(image: &RgbImage, b: Box4, side: usize) -> Vec<f64> {
    let (w, h) = ((b[2] - b[0] + 1.0).max(1.0) as usize, (b[3] - b[1] + 1.0).max(1.0) as usize);
    rgb_input(&resized(image, b[0] as i64 - 1, b[1] as i64 - 1, w, h, side, side))
}

fn flipped(input: &[f64], side: usize) -> Vec<f64> {
    (0..input.len()).map(|i| input[i / side * side + side - 1 - i % side]).collect()
}

/// Planes of `0..255` to `(x - 127.5) / 128`.
fn rgb_input(planes: &[f64]) -> Vec<f64> {
    planes.iter().map(|v| (v - 127.5) / 128.0).collect()
}

/// A rectangle of the picture (black outside it) as three planes of another size.
fn resized(
    image: &RgbImage,
    left: i64,
    top: i64,
    width: usize,
    height: usize,
    to_width: usize,
    to_height: usize,
) -> Vec<f64> {
    let pixel = |x: i64, y: i64, c: usize| {
        let inside = x >= 0 && y >= 0 && x < image.width() as i64 && y < image.height() as i64;
        if inside { f64::from(image.pixel(x as usize, y as usize)[c]) } else { 0.0 }
    };
    let mut out = Vec::with_capacity(3 * to_width * to_height);
    for c in 0..3 {
        for y in 0..to_height {
            for x in 0..to_width {
                let mut sum = 0.0;
                for (sy, wy) in shares(height, to_height, y) {
                    for (sx, wx) in shares(width, to_width, x) {
                        sum += wx * wy * pixel(left + sx as i64, top + sy as i64, c);
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

/// What pixel `i` of `to` takes of the `from` pixels of an axis: when shrinking the part of each that it covers,
/// when growing the two whose middles it lies between.
fn shares(from: usize, to: usize, i: usize) -> Vec<(usize, f64)> {
    let step = from as f64 / to as f64;
    if to < from {
        let (low, high) = (i as f64 * step, (i + 1) as f64 * step);
        let covered = |s: usize| (high.min((s + 1) as f64) - low.max(s as f64)).max(0.0) / step;
        let last = (high.ceil() as usize).min(from);
        return (low as usize..last).map(|s| (s, covered(s))).collect();
    }
    let middle = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
    let low = middle.floor();
    let next = (low as usize + 1).min(from - 1);
    vec![(low as usize, 1.0 - (middle - low)), (next, middle - low)]
}

/// The aligned crop: RGB bytes, 112 rows of 96 pixels. Least squares by the normal equations of a, b, tx, ty in
/// `x' = a x - b y + tx`, `y' = b x + a y + ty`.
pub fn align(image: &RgbImage, landmarks: &[[f64; 2]; 5]) -> Vec<u8> {
    let mut m = [[0.0f64; 5]; 4];
    for ([x, y], [u, v]) in landmarks.iter().zip(TEMPLATE) {
        for (row, target) in [([*x, -*y, 1.0, 0.0], u), ([*y, *x, 0.0, 1.0], v)] {
            for i in 0..4 {
                for j in 0..4 {
                    m[i][j] += row[i] * row[j];
                }
                m[i][4] += row[i] * target;
            }
        }
    }
    let [a, b, tx, ty] = solved(m);
    let mut out = Vec::with_capacity(CROP[0] * CROP[1] * 3);
    for y in 0..CROP[1] {
        for x in 0..CROP[0] {
            let (dx, dy) = (x as f64 - tx, y as f64 - ty);
            let s2 = a * a + b * b;
            let (sx, sy) = ((a * dx + b * dy) / s2, (a * dy - b * dx) / s2);
            for c in 0..3 {
                out.push(between(image, sx, sy, c).round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    out
}

/// Gauss, with the largest pivot first.
fn solved(mut m: [[f64; 5]; 4]) -> [f64; 4] {
    for i in 0..4 {
        let pivot = (i..4).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs())).unwrap_or(i);
        m.swap(i, pivot);
        for row in 0..4 {
            if row != i {
                let (f, above) = (m[row][i] / m[i][i], m[i]);
                m[row].iter_mut().zip(above).for_each(|(v, a)| *v -= f * a);
            }
        }
    }
    [0, 1, 2, 3].map(|i| m[i][4] / m[i][i])
}

/// Bilinear, black outside.
fn between(image: &RgbImage, x: f64, y: f64, c: usize) -> f64 {
    let mut sum = 0.0;
    for dy in 0..2 {
        for dx in 0..2 {
            let (px, py) = (x.floor() + f64::from(dx), y.floor() + f64::from(dy));
            let weight = (1.0 - (x - px).abs()) * (1.0 - (y - py).abs());
            if px >= 0.0 && py >= 0.0 && px < image.width() as f64 && py < image.height() as f64 {
                sum += weight * f64::from(image.pixel(px as usize, py as usize)[c]);
            }
        }
    }
    sum
}

/// The embedding of an aligned crop, of unit length: BGR, `(x - 127.5) / 128`, the mirror rule.
pub fn embed(nets: &Nets, crop: &[u8], mirror: Mirror) -> Vec<f64> {
    let raw = |mirrored: bool| {
        let [w, h] = CROP;
        let mut input = Vec::with_capacity(3 * w * h);
        for c in [2, 1, 0] {
            for y in 0..h {
                for x in 0..w {
                    let x = if mirrored { w - 1 - x } else { x };
                    input.push((f64::from(crop[(y * w + x) * 3 + c]) - 127.5) / 128.0);
                }
            }
        }
        run(&nets.embedder, &input, h, w)[0].data.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>()
    };
    unit(match mirror {
        Mirror::None => raw(false),
        Mirror::Sum => unit(raw(false)).iter().zip(unit(raw(true))).map(|(a, b)| a + b).collect(),
        Mirror::Concat => [raw(false), raw(true)].concat(),
    })
}

fn unit(v: Vec<f64>) -> Vec<f64> {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.into_iter().map(|x| x / length).collect()
}

/// Cosine of the angle between two vectors.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
