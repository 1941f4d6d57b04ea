//! How light the faces are in a frame. Pure.

use limen_models::geometry::BBox;
use limen_models::image::RgbImage;

use super::exposure::TARGET;
use crate::time::Millis;

/// For so long the light is measured where a face was last seen, ms.
const REMEMBERED_MS: u64 = 2000;
/// Every so many pixels of a row or column are looked at.
const EVERY: usize = 4;

/// Where in a picture the light is measured.
#[derive(Debug, Default)]
pub struct Meter {
    faces: Vec<BBox>,
    /// When they were seen.
    at: Millis,
}

impl Meter {
    /// The faces of a frame of about the time `at`. Where there are none any more the last ones count a while longer, so
    /// that one who looks down does not make the picture darker.
    pub fn see(&mut self, faces: Vec<BBox>, at: Millis) {
        if !faces.is_empty() || at.since(self.at) > REMEMBERED_MS {
            (self.faces, self.at) = (faces, at);
        }
    }

    /// Mean luma, 0 to 255 (BT.601), of the faces in the picture, or where there are none of its middle: half of its width
    /// and height.
    pub fn luma(&self, image: &RgbImage) -> f32 {
        let (w, h) = (image.width() as f32, image.height() as f32);
        let middle = BBox { x1: w / 4.0, y1: h / 4.0, x2: w * 0.75, y2: h * 0.75 };
        mean(image, &self.faces).or_else(|| mean(image, &[middle])).unwrap_or(TARGET)
    }
}

/// Mean luma of the pixels of `parts` that lie in the picture; `None` where none do.
fn mean(image: &RgbImage, parts: &[BBox]) -> Option<f32> {
    // Casts take what lies outside, and what is no number, to the edge.
    let within =
        |from: f32, to: f32, most: usize| ((from as usize).min(most)..(to as usize).min(most)).step_by(EVERY);
    let (mut thousandths, mut pixels) = (0, 0u64);
    for part in parts {
        for y in within(part.y1, part.y2, image.height()) {
            for x in within(part.x1, part.x2, image.width()) {
                let [r, g, b] = image.pixel(x, y).map(u64::from);
                thousandths += 299 * r + 587 * g + 114 * b;
                pixels += 1;
            }
        }
    }
    (pixels > 0).then(|| thousandths as f32 / pixels as f32 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_count_then_the_middle() {
        // 16x16: black, but a red face at the left and a grey middle.
        let mut image = RgbImage::filled(16, 16, [0; 3]).unwrap();
        (0..16).for_each(|y| (0..4).for_each(|x| image.set_pixel(x, y, [200, 0, 0])));
        (4..12).for_each(|y| (4..12).for_each(|x| image.set_pixel(x, y, [100; 3])));
        let face = BBox { x1: -9.0, y1: 2.0, x2: 4.0, y2: 14.0 };
        let mut meter = Meter::default();
        assert!((meter.luma(&image) - 100.0).abs() < 1e-3);
        meter.see(vec![face], Millis(500));
        // 0.299 * 200.
        assert!((meter.luma(&image) - 59.8).abs() < 1e-3);
        meter.see(Vec::new(), Millis(500 + REMEMBERED_MS));
        assert!((meter.luma(&image) - 59.8).abs() < 1e-3);
        meter.see(Vec::new(), Millis(501 + REMEMBERED_MS));
        assert!((meter.luma(&image) - 100.0).abs() < 1e-3);
        // A face beyond the edge, and one that is no number.
        let beyond = BBox { x1: 40.0, y1: 40.0, x2: 50.0, y2: 50.0 };
        let none = BBox { x1: f32::NAN, y1: f32::NAN, x2: f32::NAN, y2: f32::NAN };
        meter.see(vec![beyond, none], Millis(9000));
        assert!((meter.luma(&image) - 100.0).abs() < 1e-3);
    }
}
