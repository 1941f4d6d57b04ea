//! A face from afar: the crop made small and large again (AdaFace's low-resolution augmentation, OpenSphere
//! `augmenter.py` L20-33).

use anyhow::Result;
use image::imageops::{FilterType, resize};
use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{range, share};
use crate::dataset::dice::Dice;

/// Throws resolution away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LowResolution {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// The small picture's side as a share of the crop's, smallest and largest.
    pub side: [f32; 2],
}

impl Default for LowResolution {
    fn default() -> Self {
        Self { probability: 0.2, side: [0.2, 1.0] }
    }
}

impl LowResolution {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("low_resolution.probability", self.probability)?;
        range("low_resolution.side", self.side, 0.05, 1.0)
    }

    /// Changes `face` or leaves it, as `dice` falls; each way has an interpolation of its own.
    pub fn apply(&self, face: RgbImage, dice: &mut Dice) -> RgbImage {
        if !dice.chance(self.probability) {
            return face;
        }
        let side = dice.between(self.side[0], self.side[1]);
        let (down, up) = (filter(dice), filter(dice));
        let (w, h) = (face.width() as u32, face.height() as u32);
        let small = |n: u32| ((n as f32 * side).round() as u32).clamp(1, n);
        let before = face.clone();
        let Some(buffer) = image::RgbImage::from_raw(w, h, face.into_data()) else { return before };
        let buffer = resize(&resize(&buffer, small(w), small(h), down), w, h, up);
        RgbImage::new(w as usize, h as usize, buffer.into_raw()).unwrap_or(before)
    }
}

fn filter(dice: &mut Dice) -> FilterType {
    const ALL: [FilterType; 4] =
        [FilterType::Nearest, FilterType::Triangle, FilterType::CatmullRom, FilterType::Lanczos3];
    ALL[dice.below(ALL.len() as u32) as usize]
}
