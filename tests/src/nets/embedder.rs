//! An embedder of random weights with three habits: it looks past the light, at coarse shapes, inside the face alone.

use limen_models::image::RgbImage;
use limen_train::graph::reference::evaluate;
use limen_train::graph::{InputShape, Network, Op, ValueId};

use super::{LENGTH, Layers};
use crate::dice::Dice;
use crate::people::{Person, Place, RADIUS, SKIN, Scene};

/// Channels of the three stages, each half the size of the one before.
const WIDTHS: [usize; 3] = [8, 16, 16];
/// The last stage's map: 14 rows, 12 columns.
const MAP: [usize; 2] = [14, 12];
/// Faces the common part is taken from; none of them is a [`Person`] of a small seed.
const SITTERS: u64 = 24;

/// 112x96, BGR: output `embedding` [n, 128].
pub fn embedder() -> Network {
    let (mut l, map) = stages();
    l.0.output("map", map);
    // The mean of what the stages say of faces; without it all faces look alike.
    let mut mean = vec![0.0f64; WIDTHS[2] * MAP[0] * MAP[1]];
    for sitter in 0..SITTERS {
        let scene = Scene::new(96, 112, sitter).with(&Person::new(1_000_000 + sitter), Place::aligned());
        let out = evaluate(&l.0, &prepared(&scene.done()), 1, 112, 96).expect("the stages run");
        mean.iter_mut().zip(&out[0].data).for_each(|(m, v)| *m += f64::from(*v) / SITTERS as f64);
    }
    let mut d = Dice::new(64);
    let mut weight = d.bells(LENGTH * mean.len(), 1.0 / (mean.len() as f64).sqrt());
    for (i, w) in weight.iter_mut().enumerate() {
        *w *= on_the_face(i / MAP[1] % MAP[0], i % MAP[1]);
    }
    let bias = weight
        .chunks_exact(mean.len())
        .map(|row| -row.iter().zip(&mean).map(|(w, m)| f64::from(*w) * m).sum::<f64>() as f32)
        .collect();
    let (mut l, map) = stages();
    let y = l.0.push("flatten", Op::Flatten, &[map]);
    let y = l.dense("dense4", y, LENGTH, (weight, bias));
    l.finish(&[("embedding", y)])
}

/// Convolutions of stride 2: 56x48, 28x24, 14x12.
fn stages() -> (Layers, ValueId) {
    let mut d = Dice::new(112);
    let mut l = Layers::new("drawn-embedder", InputShape::fixed(3, 112, 96));
    let (mut y, mut ins) = (ValueId::INPUT, 3);
    for (i, outs) in WIDTHS.into_iter().enumerate() {
        let mut weight = d.bells(outs * ins * 9, 0.01);
        let mut bias = d.bells(outs, 0.01);
        for o in 0..outs {
            let mut mix: Vec<f64> = (0..ins).map(|_| d.bell()).collect();
            if i == 0 {
                // A mix of blue, green and red that skin has none of, in whatever light: what is left is paint.
                let skin = [SKIN[2], SKIN[1], SKIN[0]];
                let part: f64 = mix.iter().zip(skin).map(|(m, s)| m * s).sum::<f64>()
                    / skin.iter().map(|s| s * s).sum::<f64>();
                mix.iter_mut().zip(skin).for_each(|(m, s)| *m -= part * s);
                // Black is 0 again: the input has 127.5 / 128 taken off.
                bias[o] += (mix.iter().sum::<f64>() * 127.5 / 128.0) as f32;
            }
            let length = mix.iter().map(|m| m * m).sum::<f64>().sqrt();
            for (c, m) in mix.into_iter().enumerate() {
                // Coarse: each window is a soft mean (1 2 1 both ways).
                for k in 0..9 {
                    let soft = [1.0, 2.0, 1.0][k / 3] * [1.0, 2.0, 1.0][k % 3] / 16.0;
                    weight[(o * ins + c) * 9 + k] += (m / length * soft) as f32;
                }
            }
        }
        y = l.conv(&format!("conv{}", i + 1), y, (outs, ins, 3), (2, 1), (weight, bias));
        y = l.prelu(&format!("prelu{}", i + 1), y, vec![0.25; outs]);
        ins = outs;
    }
    (l, y)
}

/// 1 well inside the disc of an aligned face, 0 outside it. Cells of the map are 8 px apart, the first at 0.
fn on_the_face(row: usize, column: usize) -> f32 {
    let place = Place::aligned();
    let from = (8.0 * column as f64 - place.x).hypot(8.0 * row as f64 - place.y);
    ((RADIUS * place.side - from) / 8.0).clamp(0.0, 1.0) as f32
}

/// [3, 112, 96], BGR, (x - 127.5) / 128.
fn prepared(crop: &RgbImage) -> Vec<f32> {
    let mut input = Vec::with_capacity(3 * 112 * 96);
    for channel in [2, 1, 0] {
        input.extend(crop.data().chunks_exact(3).map(|px| (f32::from(px[channel]) - 127.5) / 128.0));
    }
    input
}
