//! Other light: brightness, contrast, saturation, and grey pictures as an infrared camera gives them.

use anyhow::{Result, ensure};
use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::share;
use crate::dataset::dice::Dice;

/// Changes light and colour (OpenSphere `augmenter.py` L20-33: brightness, contrast and saturation by 0.5).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Photometric {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// Brightness is multiplied by 1 - this to 1 + this.
    pub brightness: f32,
    /// Contrast around the mean grey is multiplied by 1 - this to 1 + this.
    pub contrast: f32,
    /// Distance from grey is multiplied by 1 - this to 1 + this.
    pub saturation: f32,
    /// Share of the changed samples that become grey, 0 to 1.
    pub grey: f32,
}

impl Default for Photometric {
    fn default() -> Self {
        Self { probability: 0.2, brightness: 0.5, contrast: 0.5, saturation: 0.5, grey: 0.1 }
    }
}

impl Photometric {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("photometric.probability", self.probability)?;
        share("photometric.grey", self.grey)?;
        for (field, value) in
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            ensure!(
                (0.0..1.0).contains(&value),
                "augment.photometric.{field}: {value} is no strength; 0 up to, but without, 1 is"
            );
        }
        Ok(())
    }

    /// Changes `face` or leaves it, as `dice` falls.
    pub fn apply(&self, face: &mut RgbImage, dice: &mut Dice) {
        if !dice.chance(self.probability) {
            return;
        }
        let mut factor = |strength: f32| dice.between(1.0 - strength, 1.0 + strength);
        let (brightness, contrast, saturation) =
            (factor(self.brightness), factor(self.contrast), factor(self.saturation));
        let saturation = if dice.chance(self.grey) { 0.0 } else { saturation };
        change(face, brightness, contrast, saturation);
    }
}

/// In this order: brightness, contrast around the picture's mean luma, saturation around each pixel's luma.
fn change(face: &mut RgbImage, brightness: f32, contrast: f32, saturation: f32) {
    let pixels = (face.width() * face.height()) as f64;
    let total: f64 =
        face.data().chunks_exact(3).map(|p| f64::from(luma([p[0], p[1], p[2]].map(f32::from)))).sum();
    let mean = (total / pixels) as f32 * brightness;
    for px in face.data_mut().chunks_exact_mut(3) {
        let lit = [px[0], px[1], px[2]].map(|v| mean + contrast * (f32::from(v) * brightness - mean));
        let grey = luma(lit);
        for (out, v) in px.iter_mut().zip(lit) {
            // Rounded by + 0.5; the conversion holds at 0 and 255.
            *out = (grey + saturation * (v - grey) + 0.5) as u8;
        }
    }
}

/// Rec. 601 luma, as JPEG has it.
fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_by_hand() {
        // Luma of the two pixels: 100 and 50; mean 75.
        let face = || RgbImage::new(2, 1, vec![100, 100, 100, 50, 50, 50]).unwrap();
        let run = |b, c, s| {
            let mut f = face();
            change(&mut f, b, c, s);
            [f.pixel(0, 0)[0], f.pixel(1, 0)[0]]
        };
        assert_eq!(run(1.0, 1.0, 1.0), [100, 50]);
        assert_eq!(run(2.0, 1.0, 1.0), [200, 100]);
        assert_eq!(run(1.0, 0.5, 1.0), [88, 63], "75 + 12.5 and 75 - 12.5, rounded up");
        assert_eq!(run(1.0, 0.5, 0.0), [88, 63], "grey has no saturation to lose");
        // 200 * 0.299 = 59.8: red loses its colour and keeps its luma.
        let mut red = RgbImage::new(1, 1, vec![200, 0, 0]).unwrap();
        change(&mut red, 1.0, 1.0, 0.0);
        assert_eq!(red.pixel(0, 0), [60, 60, 60]);
        let mut red = RgbImage::new(1, 1, vec![200, 0, 0]).unwrap();
        change(&mut red, 1.0, 1.0, 0.5);
        assert_eq!(red.pixel(0, 0), [130, 30, 30]);
    }
}
