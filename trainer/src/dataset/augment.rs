//! Seeded changes of a crop before a network sees it: each sample of a run has its own draws, and always the same.

use anyhow::{Result, ensure};
use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::dataset::crop::{Crops, cut};
use crate::dataset::dice::{Dice, Purpose};

pub mod blur;
pub mod cover;
pub mod low_resolution;
pub mod photometric;

use blur::Blur;
use cover::{Glasses, Mask, Occlusion};
use low_resolution::LowResolution;
use photometric::Photometric;

/// Which changes are made, how often and how strongly. The default is SphereFace's: the mirror image half of the
/// time, nothing else (`sphereface_model.prototxt` L12).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Share of mirrored samples, 0 to 1.
    pub mirror: f32,
    /// The crop moved inside its margin.
    pub shift: Option<Shift>,
    /// Made small and large again.
    pub low_resolution: Option<LowResolution>,
    /// Out of focus.
    pub blur: Option<Blur>,
    /// Light and colour.
    pub photometric: Option<Photometric>,
    /// A rectangle in front of the face.
    pub occlusion: Option<Occlusion>,
    /// A mask over nose and mouth.
    pub mask: Option<Mask>,
    /// Dark glasses.
    pub glasses: Option<Glasses>,
}

impl Default for Augment {
    fn default() -> Self {
        Self { mirror: 0.5, ..Self::NONE }
    }
}

/// The crop is taken from another place of the stored picture; needs crops with a margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shift {
    /// Share of samples that are moved, 0 to 1; the others stay in the middle.
    pub probability: f32,
    /// Farthest in each direction, px; at most the margin.
    pub max_px: u32,
}

impl Default for Shift {
    /// Half of the time up to 2 px (clcarwin `train.py` L28-67).
    fn default() -> Self {
        Self { probability: 0.5, max_px: 2 }
    }
}

/// A crop ready for a network, but for its mirror image.
#[derive(Debug)]
pub struct View {
    /// The stored picture, changed.
    pub image: RgbImage,
    /// First column of the 96 that are shown.
    pub x: usize,
    /// First row of the 112 that are shown.
    pub y: usize,
    /// Whether columns are read from the right.
    pub mirrored: bool,
}

impl Augment {
    /// The middle of the crop as it is: for measuring.
    pub const NONE: Self = Self {
        mirror: 0.0,
        shift: None,
        low_resolution: None,
        blur: None,
        photometric: None,
        occlusion: None,
        mask: None,
        glasses: None,
    };

    /// Whether all numbers make sense for `crops`.
    ///
    /// # Errors
    /// Names the field and what it may be.
    pub fn validate(&self, crops: &Crops) -> Result<()> {
        share("mirror", self.mirror)?;
        if let Some(s) = self.shift {
            share("shift.probability", s.probability)?;
            ensure!(
                s.max_px as usize <= crops.margin,
                "augment.shift.max_px: {} px, but the crops have a margin of {} px; \
                 make crops with `limen-train preprocess --margin {}`",
                s.max_px,
                crops.margin,
                s.max_px
            );
        }
        self.low_resolution.map_or(Ok(()), |a| a.validate())?;
        self.blur.map_or(Ok(()), |a| a.validate())?;
        self.photometric.map_or(Ok(()), |a| a.validate())?;
        self.occlusion.map_or(Ok(()), |a| a.validate())?;
        self.mask.map_or(Ok(()), |a| a.validate())?;
        self.glasses.map_or(Ok(()), |a| a.validate())
    }

    /// What the network sees of the stored crop `image`, of `crops`' size, as sample `number` of the run `seed`.
    pub fn view(&self, image: RgbImage, crops: &Crops, seed: u64, number: u64) -> View {
        let dice = |purpose| Dice::new(seed, purpose, number);
        let mirrored = self.mirror > 0.0 && dice(Purpose::Mirror).chance(self.mirror);
        let (mut x, mut y) = (crops.margin, crops.margin);
        if let Some(s) = self.shift {
            let mut dice = dice(Purpose::Shift);
            if dice.chance(s.probability) {
                let farthest = (s.max_px as usize).min(crops.margin);
                let mut place = || crops.margin - farthest + dice.below(2 * farthest as u32 + 1) as usize;
                (x, y) = (place(), place());
            }
        }
        if !self.changes_pixels() {
            return View { image, x, y, mirrored };
        }
        // The window lies inside: the margin was checked, and the crop has the size that `crops` says.
        let Some(mut face) = cut(&image, x, y) else { return View { image, x, y, mirrored } };
        // As a camera would: things before the face, then light, then the lens, then too few pixels.
        let points = crops.template.map(|[px, py]| [px - x as f32, py - y as f32]);
        if let Some(a) = self.mask {
            a.apply(&mut face, &points, &mut dice(Purpose::Mask));
        }
        if let Some(a) = self.glasses {
            a.apply(&mut face, &points, &mut dice(Purpose::Glasses));
        }
        if let Some(a) = self.occlusion {
            a.apply(&mut face, &mut dice(Purpose::Occlusion));
        }
        if let Some(a) = self.photometric {
            a.apply(&mut face, &mut dice(Purpose::Photometric));
        }
        if let Some(a) = self.blur {
            a.apply(&mut face, &mut dice(Purpose::Blur));
        }
        if let Some(a) = self.low_resolution {
            face = a.apply(face, &mut dice(Purpose::LowResolution));
        }
        View { image: face, x: 0, y: 0, mirrored }
    }

    fn changes_pixels(&self) -> bool {
        self.low_resolution.is_some()
            || self.blur.is_some()
            || self.photometric.is_some()
            || self.occlusion.is_some()
            || self.mask.is_some()
            || self.glasses.is_some()
    }
}

/// Checks a share; `field` is its name below `augment.`.
fn share(field: &str, value: f32) -> Result<()> {
    ensure!((0.0..=1.0).contains(&value), "augment.{field}: {value} is no share; 0 to 1 is");
    Ok(())
}

/// Checks a range; `field` is its name below `augment.`, and both ends must lie in `low..=high`.
fn range(field: &str, [from, to]: [f32; 2], low: f32, high: f32) -> Result<()> {
    ensure!(
        low <= from && from <= to && to <= high,
        "augment.{field}: [{from}, {to}] is no range from {low} up to {high}"
    );
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
