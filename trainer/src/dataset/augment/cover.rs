//! Things before a face: a rectangle anywhere, a mask over nose and mouth, dark glasses.

use anyhow::Result;
use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{range, share};
use crate::dataset::dice::Dice;

/// Where the five landmarks lie in the crop: eyes, nose tip, mouth corners; (x, y) px.
type Points = [[f32; 2]; 5];

/// A rectangle of one colour (random erasing, Zhong et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Occlusion {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// Share of the crop's area that it covers, least and most.
    pub area: [f32; 2],
    /// Its height over its width, least and most.
    pub aspect: [f32; 2],
}

impl Default for Occlusion {
    fn default() -> Self {
        Self { probability: 0.1, area: [0.02, 0.2], aspect: [0.33, 3.0] }
    }
}

impl Occlusion {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("occlusion.probability", self.probability)?;
        range("occlusion.area", self.area, 0.001, 0.8)?;
        range("occlusion.aspect", self.aspect, 0.1, 10.0)
    }

    /// Changes `face` or leaves it, as `dice` falls. A rectangle too long for the crop is cut.
    pub fn apply(&self, face: &mut RgbImage, dice: &mut Dice) {
        if !dice.chance(self.probability) {
            return;
        }
        let (w, h) = (face.width(), face.height());
        let area = dice.between(self.area[0], self.area[1]) * (w * h) as f32;
        // Even in the logarithm: as often twice as high as half as high.
        let aspect = dice.between(self.aspect[0].ln(), self.aspect[1].ln()).exp();
        let side = |px: f32, most: usize| (px.round().max(1.0) as usize).min(most);
        let (rw, rh) = (side((area / aspect).sqrt(), w), side((area * aspect).sqrt(), h));
        let x = dice.below((w - rw + 1) as u32) as usize;
        let y = dice.below((h - rh + 1) as u32) as usize;
        let colour = colour(dice);
        paint(face, colour, |px, py| (x..x + rw).contains(&px) && (y..y + rh).contains(&py));
    }
}

/// A mask from the nose's bridge to the chin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mask {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// Where its upper edge crosses the nose: 0 at the eyes' line, 1 at the nose tip, highest and lowest.
    pub edge: [f32; 2],
}

impl Default for Mask {
    fn default() -> Self {
        Self { probability: 0.1, edge: [0.35, 0.9] }
    }
}

impl Mask {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("mask.probability", self.probability)?;
        range("mask.edge", self.edge, 0.0, 1.5)
    }

    /// Changes `face` or leaves it, as `dice` falls.
    pub fn apply(&self, face: &mut RgbImage, points: &Points, dice: &mut Dice) {
        if !dice.chance(self.probability) {
            return;
        }
        let edge = dice.between(self.edge[0], self.edge[1]);
        // How much lower the edge lies at the cheeks, as a share of the distance from nose to mouth.
        let sag = dice.between(0.2, 0.8);
        // Half its width over the distance between the eyes.
        let half = dice.between(0.95, 1.2);
        let colour = colour(dice);
        let shape = MaskShape::new(points, edge, sag, half);
        paint(face, colour, |x, y| shape.covers(x as f32, y as f32));
    }
}

/// A mask's outline in a crop, px.
struct MaskShape {
    middle_x: f32,
    half_width: f32,
    top_y: f32,
    sag: f32,
    chin_y: f32,
}

impl MaskShape {
    fn new(points: &Points, edge: f32, sag: f32, half: f32) -> Self {
        let [left, right, nose, mouth_l, mouth_r] = points;
        let eyes_y = (left[1] + right[1]) / 2.0;
        let mouth_y = (mouth_l[1] + mouth_r[1]) / 2.0;
        Self {
            middle_x: (left[0] + right[0]) / 2.0,
            half_width: half * (right[0] - left[0]),
            top_y: eyes_y + edge * (nose[1] - eyes_y),
            sag: sag * (mouth_y - nose[1]),
            // A chin lies about as far below the mouth as the mouth below the nose, and a half more.
            chin_y: mouth_y + 1.5 * (mouth_y - nose[1]),
        }
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        // -1 at the left cheek, 1 at the right one.
        let across = (x - self.middle_x) / self.half_width;
        if across.abs() > 1.0 {
            return false;
        }
        let top = self.top_y + self.sag * across * across;
        // The lower edge is half an ellipse.
        let bottom = top + (self.chin_y - top) * (1.0 - across * across).sqrt();
        (top..=bottom).contains(&y)
    }
}

/// Dark glasses: two discs and a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Glasses {
    /// Share of samples, 0 to 1.
    pub probability: f32,
    /// Radius of a glass over the distance between the eyes, least and most.
    pub radius: [f32; 2],
}

impl Default for Glasses {
    fn default() -> Self {
        Self { probability: 0.05, radius: [0.28, 0.42] }
    }
}

impl Glasses {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<()> {
        share("glasses.probability", self.probability)?;
        range("glasses.radius", self.radius, 0.1, 0.8)
    }

    /// Changes `face` or leaves it, as `dice` falls.
    pub fn apply(&self, face: &mut RgbImage, points: &Points, dice: &mut Dice) {
        if !dice.chance(self.probability) {
            return;
        }
        let radius = dice.between(self.radius[0], self.radius[1]) * (points[1][0] - points[0][0]);
        let flat = dice.between(0.7, 1.0);
        let shade = dice.below(60) as u8;
        let [left, right, ..] = *points;
        paint(face, [shade; 3], |x, y| {
            let (x, y) = (x as f32, y as f32);
            let glass = |e: [f32; 2]| ((x - e[0]) / radius).hypot((y - e[1]) / (radius * flat)) <= 1.0;
            let bridge = (left[0]..=right[0]).contains(&x) && (y - (left[1] + right[1]) / 2.0).abs() <= 1.5;
            glass(left) || glass(right) || bridge
        });
    }
}

fn colour(dice: &mut Dice) -> [u8; 3] {
    std::array::from_fn(|_| dice.below(256) as u8)
}

fn paint(face: &mut RgbImage, colour: [u8; 3], covers: impl Fn(usize, usize) -> bool) {
    let width = face.width();
    for (y, row) in face.data_mut().chunks_exact_mut(width * 3).enumerate() {
        for (x, px) in row.chunks_exact_mut(3).enumerate() {
            if covers(x, y) {
                px.copy_from_slice(&colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::augment::tests::faces_points;
    use crate::dataset::dice::Purpose;

    fn grey() -> RgbImage {
        RgbImage::filled(96, 112, [128; 3]).unwrap()
    }

    fn changed(face: &RgbImage) -> Vec<(usize, usize)> {
        (0..112)
            .flat_map(|y| (0..96).map(move |x| (x, y)))
            .filter(|(x, y)| face.pixel(*x, *y) != [128; 3])
            .collect()
    }

    #[test]
    fn a_mask_hides_the_mouth_and_not_the_eyes() {
        let points = faces_points();
        let mask = Mask { probability: 1.0, edge: [0.35, 0.9] };
        for number in 0..50 {
            let mut face = grey();
            mask.apply(&mut face, &points, &mut Dice::new(1, Purpose::Mask, number));
            let at = |p: [f32; 2]| face.pixel(p[0] as usize, p[1] as usize);
            assert_ne!(at(points[3]), [128; 3], "left mouth corner, {number}");
            assert_ne!(at(points[4]), [128; 3], "right mouth corner, {number}");
            assert_ne!(at(points[2]), [128; 3], "nose tip, {number}");
            assert_eq!((at(points[0]), at(points[1])), ([128; 3], [128; 3]), "eyes, {number}");
        }
    }

    #[test]
    fn glasses_hide_the_eyes_and_not_the_mouth() {
        let points = faces_points();
        let glasses = Glasses { probability: 1.0, ..Glasses::default() };
        for number in 0..50 {
            let mut face = grey();
            glasses.apply(&mut face, &points, &mut Dice::new(1, Purpose::Glasses, number));
            let at = |p: [f32; 2]| face.pixel(p[0] as usize, p[1] as usize)[0];
            assert!(at(points[0]) < 60 && at(points[1]) < 60);
            assert_eq!((at(points[3]), at(points[4])), (128, 128));
        }
    }

    #[test]
    fn a_rectangle_has_the_area_asked_for() {
        let occlusion = Occlusion { probability: 1.0, area: [0.1, 0.1], aspect: [1.0, 1.0] };
        // sqrt(0.1 * 96 * 112) = 32.8 px: 33 x 33.
        let mut corners = std::collections::HashSet::new();
        for number in 0..40 {
            let mut face = grey();
            occlusion.apply(&mut face, &mut Dice::new(3, Purpose::Occlusion, number));
            let px = changed(&face);
            assert_eq!(px.len(), 33 * 33);
            corners.insert(px[0]);
        }
        assert!(corners.len() > 30, "it does not stay in one place");
    }
}
