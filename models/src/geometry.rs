//! Points, boxes and the five landmarks, in pixels of the frame: x to the right, y down, origin at the top left.

use serde::{Deserialize, Serialize};

/// A place in a picture, px.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Column, px.
    pub x: f32,
    /// Row, px.
    pub y: f32,
}

impl Point {
    /// A point at column `x`, row `y`.
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// Euclidean distance, px.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// Two opposite corners, px; `x2`, `y2` are the last column and row covered, as MTCNN counts them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BBox {
    /// First column.
    pub x1: f32,
    /// First row.
    pub y1: f32,
    /// Last column.
    pub x2: f32,
    /// Last row.
    pub y2: f32,
}

impl BBox {
    /// Width in px, both ends counted (MTCNN `nms.m`: `x2 - x1 + 1`).
    pub fn width(&self) -> f32 {
        self.x2 - self.x1 + 1.0
    }

    /// Height in px, both ends counted.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1 + 1.0
    }

    /// Area in px, 0 for an inverted box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The middle.
    pub fn centre(&self) -> Point {
        Point::new((self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0)
    }

    /// Area shared with `other`, px.
    pub fn intersection(&self, other: &Self) -> f32 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1) + 1.0;
        let h = self.y2.min(other.y2) - self.y1.max(other.y1) + 1.0;
        w.max(0.0) * h.max(0.0)
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let i = self.intersection(other);
        let u = self.area() + other.area() - i;
        if u > 0.0 { i / u } else { 0.0 }
    }
}

/// The five landmarks: eye on the image's left, eye on its right, nose tip, mouth corner left, mouth corner right
/// (the order of SphereFace `preprocess/code/face_align_demo.m`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Landmarks(pub [Point; 5]);

impl Landmarks {
    /// Distance between the eyes, px.
    pub fn eye_distance(&self) -> f32 {
        self.0[0].distance(self.0[1])
    }

    /// The same face in a picture of `width` px mirrored left to right: x -> width - 1 - x, left and right swapped.
    pub fn mirrored(&self, width: usize) -> Self {
        let m = |p: Point| Point::new(width as f32 - 1.0 - p.x, p.y);
        let [le, re, nose, lm, rm] = self.0;
        Self([m(re), m(le), m(nose), m(rm), m(lm)])
    }
}

/// One face as the detector saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where it is.
    pub bbox: BBox,
    /// Its landmarks.
    pub landmarks: Landmarks,
    /// The last stage's face probability, 0 to 1.
    pub confidence: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_counts_both_ends() {
        // 10x10 and 10x10 shifted by 5: intersection 5 * 10 = 50, union 150.
        let a = BBox { x1: 0.0, y1: 0.0, x2: 9.0, y2: 9.0 };
        let b = BBox { x1: 5.0, y1: 0.0, x2: 14.0, y2: 9.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&BBox { x1: 20.0, y1: 0.0, x2: 29.0, y2: 9.0 }), 0.0);
    }

    #[test]
    fn mirroring_twice_is_the_identity() {
        let l = Landmarks([
            Point::new(1.0, 2.0),
            Point::new(8.0, 2.5),
            Point::new(5.0, 5.0),
            Point::new(2.0, 8.0),
            Point::new(7.0, 8.5),
        ]);
        assert_eq!(l.mirrored(10).mirrored(10), l);
        assert_eq!(l.mirrored(10).0[0], Point::new(1.0, 2.5));
    }
}
