//! MTCNN's three networks for drawn faces: weights worked out by hand, plus a little seeded noise.
//!
//! Layer 1 makes a mask: 1 where red is 80 or more above blue, 0 where it is 40 or less. From the mask come four
//! numbers: how well it fits a disc in the middle, its area, and its first moments. The disc's shift is the moment
//! over the area of a whole disc, its growth half that of the area: both linear, as a layer has to be.

use limen_train::graph::{InputShape, Network, Op, ValueId};

use super::Layers;
use crate::dice::Dice;
use crate::people::{LANDMARKS, RADIUS};

/// Channels of layer 1: two that make the mask, the rest noise.
const CHANNELS: usize = 6;
/// Numbers made of the mask: four with a meaning, the rest noise.
const UNITS: usize = 8;
/// Deviation of the noise on weights that have a meaning, relative to theirs.
const NOISE: f64 = 0.004;

/// Fully convolutional, cell 12 px, stride 2: outputs `prob` [n, 2, h, w], `box` [n, 4, h, w].
pub fn proposal() -> Network {
    let mut d = Dice::new(12);
    let mut l = Layers::new("drawn-p", InputShape::free(3));
    let y = mask(&mut l, &mut d); // [6, 5, 5] a cell
    let y = l.conv("conv2", y, (UNITS, CHANNELS, 5), (1, 0), units(&pooled_disc(12), CHANNELS, &mut d));
    let y = l.prelu("prelu2", y, slopes());
    let prob = l.conv("conv3_1", y, (2, UNITS, 1), (1, 0), face_or_not(8.0, 0.15, &mut d));
    let boxes = l.conv("conv3_2", y, (4, UNITS, 1), (1, 0), shifts(0.6, &mut d));
    let prob = l.0.push("softmax", Op::Softmax { axis: 1 }, &[prob]);
    l.finish(&[("prob", prob), ("box", boxes)])
}

/// 24x24: outputs `prob` [n, 2], `box` [n, 4].
pub fn refinement() -> Network {
    let mut d = Dice::new(24);
    let mut l = Layers::new("drawn-r", InputShape::fixed(3, 24, 24));
    let y = mask(&mut l, &mut d); // [6, 11, 11]
    let y = l.0.push("flatten", Op::Flatten, &[y]);
    let y = l.dense("dense2", y, UNITS, units(&pooled_disc(24), CHANNELS, &mut d));
    let y = l.prelu("prelu2", y, slopes());
    let prob = l.dense("dense3_1", y, 2, face_or_not(8.0, 0.25, &mut d));
    let boxes = l.dense("dense3_2", y, 4, shifts(1.0, &mut d));
    let prob = l.0.push("softmax", Op::Softmax { axis: 1 }, &[prob]);
    l.finish(&[("prob", prob), ("box", boxes)])
}

/// 48x48: outputs `prob` [n, 2], `box` [n, 4], `landmarks` [n, 10] (x1..x5, y1..y5 of the unit square).
pub fn output() -> Network {
    let mut d = Dice::new(48);
    let mut l = Layers::new("drawn-o", InputShape::fixed(3, 48, 48));
    let y = mask(&mut l, &mut d); // [6, 23, 23]
    // Three by three means of each channel, a little mixed: [6, 11, 11].
    let mut mean = d.bells(CHANNELS * CHANNELS * 9, 0.001);
    for c in 0..CHANNELS {
        mean[(c * CHANNELS + c) * 9..][..9].iter_mut().for_each(|w| *w += 1.0 / 9.0);
    }
    let y = l.conv("conv2", y, (CHANNELS, CHANNELS, 3), (2, 0), (mean, d.bells(CHANNELS, 0.001)));
    let y = l.prelu("prelu2", y, vec![0.25; CHANNELS]);
    let y = l.0.push("flatten", Op::Flatten, &[y]);
    let disc = pooled_disc(48);
    let thinned: Vec<f64> = (0..121)
        .map(|i| {
            let (x, y) = (i % 11 * 2, i / 11 * 2);
            (0..9).map(|k| disc[(y + k / 3) * 23 + x + k % 3] / 9.0).sum()
        })
        .collect();
    let y = l.dense("dense3", y, UNITS, units(&thinned, CHANNELS, &mut d));
    let y = l.prelu("prelu3", y, slopes());
    let prob = l.dense("dense4_1", y, 2, face_or_not(10.0, 0.4, &mut d));
    let boxes = l.dense("dense4_2", y, 4, shifts(1.0, &mut d));
    let points = l.dense("dense4_3", y, 10, points(&mut d));
    let prob = l.0.push("softmax", Op::Softmax { axis: 1 }, &[prob]);
    l.finish(&[("prob", prob), ("box", boxes), ("landmarks", points)])
}

/// Convolution 3x3, PReLU, pool 2x2. Channel 0 less channel 1 is the mask: two ramps 1 apart, flat below 0.
fn mask(l: &mut Layers, d: &mut Dice) -> ValueId {
    // Input is RGB, (x - 127.5) / 128: a difference of 40 is 0.3125. Ramp 0: 3.2 * difference - 1; ramp 1: 1 less.
    let mut weight = d.bells(CHANNELS * 27, 0.15);
    weight[..2 * 27].iter_mut().for_each(|w| *w *= NOISE as f32);
    for ramp in 0..2 {
        weight[ramp * 27 + 4] += 3.2; // red, middle of the window
        weight[ramp * 27 + 2 * 9 + 4] -= 3.2; // blue
    }
    let mut bias = d.bells(CHANNELS, 0.1);
    (bias[0], bias[1]) = (-1.0, -2.0);
    let mut slope = vec![0.25; CHANNELS];
    (slope[0], slope[1]) = (0.0, 0.0);
    let y = l.conv("conv1", ValueId::INPUT, (CHANNELS, 3, 3), (1, 0), (weight, bias));
    let y = l.prelu("prelu1", y, slope);
    l.pool("pool1", y)
}

/// What [`mask`] makes of a disc in the middle of a square of `n` px: (n - 2) / 2 cells a side.
fn pooled_disc(n: usize) -> Vec<f64> {
    let pixel = |x: usize, y: usize| {
        let inside = |k: usize| {
            let (dx, dy) = ((k % 8) as f64 / 8.0 + 0.0625, (k / 8) as f64 / 8.0 + 0.0625);
            let half = n as f64 / 2.0;
            (x as f64 + dx - half).hypot(y as f64 + dy - half) <= RADIUS * n as f64
        };
        let cover = (0..64).filter(|&k| inside(k)).count() as f64 / 64.0;
        // A face is about 155 redder than blue, its background 15 bluer than red.
        ((cover * 170.0 - 15.0 - 40.0) / 40.0).clamp(0.0, 1.0)
    };
    let side = (n - 2) / 2;
    (0..side * side)
        .map(|i| {
            let (x, y) = (i % side * 2 + 1, i / side * 2 + 1);
            (0..4).map(|k| pixel(x + k % 2, y + k / 2)).fold(0.0, f64::max)
        })
        .collect()
}

/// Weights and biases of the numbers made of a mask of the size of `disc`: 0 fit, 1 area, 2 and 3 shift, then noise.
/// The order is [unit, channel, row, column].
fn units(disc: &[f64], channels: usize, d: &mut Dice) -> (Vec<f32>, Vec<f32>) {
    let side = (disc.len() as f64).sqrt() as usize;
    let area: f64 = disc.iter().sum();
    let around = disc.len() as f64 - area;
    let mut weight = d.bells(UNITS * channels * disc.len(), 0.3 / disc.len() as f64);
    weight[..4 * channels * disc.len()].iter_mut().for_each(|w| *w *= (NOISE * 5.0) as f32);
    for (i, m) in disc.iter().enumerate() {
        // Middle of the cell from the middle of the square, in sides: cells are 1 / (side + 1) apart.
        let from_middle = |k: usize| (k as f64 + 1.0) / (side as f64 + 1.0) - 0.5;
        let meaning = [
            m / area - (1.0 - m) / around,
            1.0 / area,
            from_middle(i % side) / area,
            from_middle(i / side) / area,
        ];
        for (unit, w) in meaning.into_iter().enumerate() {
            let at = unit * channels * disc.len() + i;
            weight[at] += w as f32;
            weight[at + disc.len()] -= w as f32;
        }
    }
    (weight, d.bells(UNITS, 0.001))
}

/// Numbers with a meaning go straight through.
fn slopes() -> Vec<f32> {
    (0..UNITS).map(|u| if u < 4 { 1.0 } else { 0.25 }).collect()
}

/// Two logits, `steep` apart for a fit 1 above `level`.
fn face_or_not(steep: f64, level: f64, d: &mut Dice) -> (Vec<f32>, Vec<f32>) {
    let mut weight = d.bells(2 * UNITS, 0.02);
    weight[0] -= (steep / 2.0) as f32;
    weight[UNITS] += (steep / 2.0) as f32;
    let level = (steep * level / 2.0) as f32;
    (weight, vec![level, -level])
}

/// Left, top, right and bottom edge: shift minus or plus half the growth, `part` of it.
fn shifts(part: f64, d: &mut Dice) -> (Vec<f32>, Vec<f32>) {
    let mut weight = d.bells(4 * UNITS, 0.002);
    let mut bias = vec![0.0; 4];
    for edge in 0..4 {
        let outward = if edge < 2 { -1.0 } else { 1.0 };
        weight[edge * UNITS + 1] += (part * outward / 4.0) as f32;
        weight[edge * UNITS + 2 + edge % 2] += part as f32;
        bias[edge] = (-part * outward / 4.0) as f32;
    }
    (weight, bias)
}

/// The landmarks of the disc where it is: shifted and grown with it.
fn points(d: &mut Dice) -> (Vec<f32>, Vec<f32>) {
    let mut weight = d.bells(10 * UNITS, 0.002);
    let mut bias = vec![0.0; 10];
    for (i, point) in LANDMARKS.iter().enumerate() {
        for (axis, p) in point.iter().enumerate() {
            let row = axis * 5 + i;
            weight[row * UNITS + 1] += (p / 2.0) as f32;
            weight[row * UNITS + 2 + axis] += 1.0;
            bias[row] = (0.5 + p / 2.0) as f32;
        }
    }
    (weight, bias)
}
