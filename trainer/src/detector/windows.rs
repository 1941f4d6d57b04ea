//! Squares of pictures with what a network shall say of them.

use limen_models::geometry::{BBox, Detection, Point};

/// What a window is to the faces of its picture (thresholds of section IV-A of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Overlaps every face by less than 0.3.
    Negative,
    /// Overlaps one by 0.4 or more.
    Part,
    /// Overlaps one by 0.65 or more.
    Positive,
}

/// Overlap (intersection over union) below which a window shows no face.
const NONE_BELOW: f32 = 0.3;
/// Overlap from which it shows a part of one.
const PART_FROM: f32 = 0.4;
/// Overlap from which it shows one.
const FACE_FROM: f32 = 0.65;

/// A square of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Index of the picture.
    pub picture: u32,
    /// The square, in MTCNN's pixels.
    pub bbox: BBox,
    /// What it shows.
    pub kind: Kind,
    /// Index of the face it overlaps most; none of a negative.
    pub face: Option<u32>,
}

/// What `bbox` is to `faces`; `None` between the kinds, and where the face it overlaps most is no `sure` one.
pub fn judge(bbox: &BBox, faces: &[Detection], sure: f32) -> Option<(Kind, Option<u32>)> {
    let overlaps = faces.iter().zip(0u32..).map(|(f, i)| (f.bbox.iou(bbox), i));
    let Some((most, face)) = overlaps.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Some((Kind::Negative, None));
    };
    let certain = faces[face as usize].confidence >= sure;
    match most {
        m if m < NONE_BELOW => Some((Kind::Negative, None)),
        m if m >= FACE_FROM && certain => Some((Kind::Positive, Some(face))),
        m if (PART_FROM..FACE_FROM).contains(&m) && certain => Some((Kind::Part, Some(face))),
        _ => None,
    }
}

/// The box of `face` as MTCNN's regression has it: each edge's way from `window`'s, as shares of its sides
/// (`bbreg.m`).
pub fn box_target(window: &BBox, face: &BBox) -> [f32; 4] {
    let (w, h) = (window.width(), window.height());
    [
        (face.x1 - window.x1) / w,
        (face.y1 - window.y1) / h,
        (face.x2 - window.x2) / w,
        (face.y2 - window.y2) / h,
    ]
}

/// The landmarks as O-Net gives them: x1..x5, y1..y5 as shares of the window (`detect_face.m` L113-114).
pub fn landmark_target(window: &BBox, points: &[Point; 5]) -> [f32; 10] {
    std::array::from_fn(|i| {
        let p = points[i % 5];
        if i < 5 {
            (p.x - window.x1 + 1.0) / window.width()
        } else {
            (p.y - window.y1 + 1.0) / window.height()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::geometry::Landmarks;

    fn square(x: f32, y: f32, side: f32) -> BBox {
        BBox { x1: x, y1: y, x2: x + side - 1.0, y2: y + side - 1.0 }
    }

    fn face(bbox: BBox, confidence: f32) -> Detection {
        Detection { bbox, landmarks: Landmarks::default(), confidence }
    }

    #[test]
    fn kinds_by_hand() {
        let faces = [face(square(100.0, 100.0, 20.0), 0.999), face(square(0.0, 0.0, 20.0), 0.92)];
        let at = |x: f32, y: f32| judge(&square(x, y, 20.0), &faces, 0.95);
        assert_eq!(at(100.0, 102.0), Some((Kind::Positive, Some(0))), "18 of 22");
        assert_eq!(at(100.0, 106.0), Some((Kind::Part, Some(0))), "14 of 26 = 0.54");
        assert_eq!(at(100.0, 110.0), None, "10 of 30 = 0.33");
        assert_eq!(at(100.0, 112.0), Some((Kind::Negative, None)), "8 of 32 = 0.25");
        assert_eq!(at(0.0, 1.0), None, "nobody is sure of that face");
        assert_eq!(judge(&square(0.0, 0.0, 9.0), &[], 0.95), Some((Kind::Negative, None)));
    }

    #[test]
    fn targets_are_what_the_cascade_turns_back() {
        let (w, f) = (square(10.0, 20.0, 40.0), BBox { x1: 14.0, y1: 18.0, x2: 45.0, y2: 63.0 });
        assert_eq!(box_target(&w, &f), [0.1, -0.05, -0.1, 0.1]);
        let points =
            [Point::new(9.0, 19.0), Point::new(49.0, 39.0), Point::new(29.0, 59.0), w.centre(), w.centre()];
        let t = landmark_target(&w, &points);
        assert_eq!((t[0], t[5], t[1], t[6], t[2], t[7]), (0.0, 0.0, 1.0, 0.5, 0.5, 1.0));
    }
}
