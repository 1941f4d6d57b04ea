//! The official arithmetic of boxes, in Matlab's numbers: pixel 1 is the first.

use crate::detect::mtcnn::nms;
use crate::geometry::{BBox, Landmarks, Point};
use crate::resample::Region;

/// A candidate between stages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) bbox: BBox,
    pub(super) score: f32,
    pub(super) shift: [f32; 4],
}

/// Box regression with the given width and height (`bbreg.m`).
pub(super) fn shifted(b: BBox, shift: [f32; 4], w: f32, h: f32) -> BBox {
    BBox {
        x1: b.x1 + shift[0] * w,
        y1: b.y1 + shift[1] * h,
        x2: b.x2 + shift[2] * w,
        y2: b.y2 + shift[3] * h,
    }
}

/// The square of the longer side about the same middle (`rerec.m`).
pub(super) fn square(b: BBox) -> BBox {
    let (w, h) = (b.x2 - b.x1, b.y2 - b.y1);
    let side = w.max(h);
    let (x1, y1) = (b.x1 + w * 0.5 - side * 0.5, b.y1 + h * 0.5 - side * 0.5);
    BBox { x1, y1, x2: x1 + side, y2: y1 + side }
}

impl BBox {
    /// Every corner cut to whole px toward zero (Matlab `fix`).
    pub(super) fn truncated(self) -> Self {
        Self { x1: self.x1.trunc(), y1: self.y1.trunc(), x2: self.x2.trunc(), y2: self.y2.trunc() }
    }
}

/// The pixels a box covers; Matlab counts from 1.
pub fn region(b: &BBox) -> Region {
    // A far-fetched box stays far outside instead of overflowing.
    let limit = |v: f32| v.clamp(-1e6, 1e6) as i32;
    Region {
        x: limit(b.x1) - 1,
        y: limit(b.y1) - 1,
        width: limit(b.width()).clamp(1, 100_000) as u32,
        height: limit(b.height()).clamp(1, 100_000) as u32,
    }
}

/// Points of the unit square in the square of `b`.
pub(super) fn placed(b: &BBox, points: &[Point; 5]) -> Landmarks {
    let (w, h) = (b.width(), b.height());
    Landmarks(points.map(|p| Point::new(w * p.x + b.x1 - 1.0, h * p.y + b.y1 - 1.0)))
}

pub(super) fn four(v: &[f32]) -> [f32; 4] {
    std::array::from_fn(|i| v.get(i).copied().unwrap_or(0.0))
}

/// O-Net's ten numbers (x1..x5, y1..y5) as points of the unit square.
pub(super) fn unit_points(v: &[f32]) -> [Point; 5] {
    std::array::from_fn(|i| {
        Point::new(v.get(i).copied().unwrap_or(0.5), v.get(5 + i).copied().unwrap_or(0.5))
    })
}

impl nms::Scored for Candidate {
    fn bbox(&self) -> &BBox {
        &self.bbox
    }
    fn score(&self) -> f32 {
        self.score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_shifted_squared_and_truncated() {
        // bbreg with w = h = 10 + 1: x1 = 10 + 1.1, y1 = 20, x2 = 20 - 1.1, y2 = 40.
        let b = BBox { x1: 10.0, y1: 20.0, x2: 20.0, y2: 40.0 };
        let s = shifted(b, [0.1, 0.0, -0.1, 0.0], b.width(), b.height());
        assert!((s.x1 - 11.1).abs() < 1e-5 && (s.x2 - 18.9).abs() < 1e-5 && s.y2 == 40.0);
        // rerec: width 10, height 20 about (15, 30): side 20, from 5 to 25.
        assert_eq!(square(b), BBox { x1: 5.0, y1: 20.0, x2: 25.0, y2: 40.0 });
        let t = BBox { x1: -3.7, y1: 2.9, x2: 5.0, y2: 6.2 }.truncated();
        assert_eq!(t, BBox { x1: -3.0, y1: 2.0, x2: 5.0, y2: 6.0 });
        assert_eq!(region(&b), Region { x: 9, y: 19, width: 11, height: 21 });
    }
}
