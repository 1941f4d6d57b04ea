//! A face out of focus or in motion: a Gaussian, or the mean along a line.

use anyhow::Result;
use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{range, share};
use crate::dataset::dice::Dice;

/// Blurs; a share of the blurred samples by motion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blur {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// Standard deviation of the Gaussian, px, least and most.
    pub sigma_px: [f32; 2],
    /// Share of the blurred samples that are moved instead, sideways or up and down, 0 to 1.
    pub motion: f32,
    /// Length of the motion, px, shortest and longest.
    pub motion_px: [f32; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self { probability: 0.1, sigma_px: [0.4, 2.0], motion: 0.3, motion_px: [3.0, 9.0] }
    }
}

/// Weights are whole 2^-16ths that sum to one, so that a result does not depend on the machine's rounding.
const ONE: u32 = 1 << 16;

impl Blur {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("blur.probability", self.probability)?;
        range("blur.sigma_px", self.sigma_px, 0.1, 10.0)?;
        share("blur.motion", self.motion)?;
        range("blur.motion_px", self.motion_px, 1.0, 31.0)
    }

    /// Changes `face` or leaves it, as `dice` falls.
    pub fn apply(&self, face: &mut RgbImage, dice: &mut Dice) {
        if !dice.chance(self.probability) {
            return;
        }
        if dice.chance(self.motion) {
            let length = dice.between(self.motion_px[0], self.motion_px[1]).round().max(1.0) as usize | 1;
            let weights = normal(&vec![1.0; length]);
            if dice.chance(0.5) { columns(face, &weights) } else { rows(face, &weights) }
        } else {
            let weights = gaussian(dice.between(self.sigma_px[0], self.sigma_px[1]));
            rows(face, &weights);
            columns(face, &weights);
        }
    }
}

/// Weights of a Gaussian out to three standard deviations.
fn gaussian(sigma_px: f32) -> Vec<u32> {
    let reach = (3.0 * sigma_px).ceil().max(1.0) as i32;
    normal(&(-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma_px).powi(2)).exp()).collect::<Vec<_>>())
}

/// Brings an odd number of weights to the sum [`ONE`]; what rounding leaves goes to the middle.
fn normal(weights: &[f32]) -> Vec<u32> {
    let sum: f32 = weights.iter().sum();
    let mut whole: Vec<u32> = weights.iter().map(|w| (w / sum * ONE as f32) as u32).collect();
    let rest = ONE.saturating_sub(whole.iter().sum());
    let middle = whole.len() / 2;
    if let Some(w) = whole.get_mut(middle) {
        *w += rest;
    }
    whole
}

/// Along each row; the border pixel goes on outside.
fn rows(face: &mut RgbImage, weights: &[u32]) {
    let width = face.width();
    let mut line = vec![0u8; width * 3];
    for row in face.data_mut().chunks_exact_mut(width * 3) {
        line.copy_from_slice(row);
        for (x, px) in row.chunks_exact_mut(3).enumerate() {
            px.copy_from_slice(&weighted(weights, x, width, |i| {
                [line[i * 3], line[i * 3 + 1], line[i * 3 + 2]]
            }));
        }
    }
}

/// Along each column.
fn columns(face: &mut RgbImage, weights: &[u32]) {
    let (width, height) = (face.width(), face.height());
    let source = face.clone();
    for (y, row) in face.data_mut().chunks_exact_mut(width * 3).enumerate() {
        for (x, px) in row.chunks_exact_mut(3).enumerate() {
            px.copy_from_slice(&weighted(weights, y, height, |i| source.pixel(x, i)));
        }
    }
}

/// The weighted mean around place `at` of a line of `n` pixels.
fn weighted(weights: &[u32], at: usize, n: usize, pixel: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
    let mut sum = [ONE / 2; 3];
    for (k, w) in weights.iter().enumerate() {
        let i = (at + k).saturating_sub(weights.len() / 2).min(n - 1);
        for (s, v) in sum.iter_mut().zip(pixel(i)) {
            *s += w * u32::from(v);
        }
    }
    sum.map(|s| (s / ONE) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motion_of_three_pixels_is_their_mean_and_borders_go_on() {
        let mut face = RgbImage::new(3, 1, vec![0, 0, 0, 30, 60, 90, 90, 0, 30]).unwrap();
        rows(&mut face, &normal(&[1.0; 3]));
        // (0+0+30)/3, (0+30+90)/3, (30+90+90)/3 of red.
        assert_eq!([face.pixel(0, 0)[0], face.pixel(1, 0)[0], face.pixel(2, 0)[0]], [10, 40, 70]);
        assert_eq!(face.pixel(1, 0), [40, 20, 40]);
        let mut down = RgbImage::new(1, 3, vec![0, 0, 0, 30, 60, 90, 90, 0, 30]).unwrap();
        columns(&mut down, &normal(&[1.0; 3]));
        assert_eq!(down.data(), face.data());
    }

    #[test]
    fn weights_sum_to_one_and_a_plain_surface_stays() {
        for sigma in [0.1, 0.7, 2.0, 10.0] {
            let w = gaussian(sigma);
            assert_eq!(w.iter().sum::<u32>(), ONE);
            assert!(w.len() % 2 == 1 && w.iter().all(|v| *v <= w[w.len() / 2]));
            let mut face = RgbImage::filled(9, 5, [255, 7, 0]).unwrap();
            rows(&mut face, &w);
            columns(&mut face, &w);
            assert_eq!(face, RgbImage::filled(9, 5, [255, 7, 0]).unwrap());
        }
        // exp(-1/2) / (1 + 2 exp(-1/2) + 2 exp(-2) + 2 exp(-9/2)) = 0.2420 for the neighbour at sigma 1.
        let w = gaussian(1.0);
        assert!((f64::from(w[2]) / f64::from(ONE) - 0.2420).abs() < 1e-3, "{w:?}");
    }
}
