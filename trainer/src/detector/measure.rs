//! How well a cascade finds the faces that somebody labelled: recall over false positives, landmark error.

use anyhow::{Result, ensure};
use limen_models::detect::mtcnn::{Mtcnn, Settings};
use limen_models::geometry::{Detection, Landmarks};

use super::pictures::Picture;
use crate::dataset::parallel::{self, Progress};

/// Overlap (intersection over union) from which a detection has found a labelled face.
const FOUND_FROM: f32 = 0.5;

/// What a cascade did on some pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Faces labelled for sure.
    pub faces: usize,
    /// Pictures.
    pub pictures: usize,
    /// For each detection, best first: its confidence, and whether it is a face.
    answers: Vec<(f32, bool)>,
    /// Mean distance of the five landmarks of each face found from those labelled, as shares of the eye distance,
    /// sorted.
    errors: Vec<f32>,
}

impl Measured {
    /// Share of the faces found when the threshold lets `false_positives` through; and that threshold. `None` where
    /// there are no faces.
    pub fn recall(&self, false_positives: usize) -> Option<(f64, f32)> {
        let (mut right, mut wrong, mut threshold) = (0, 0, 1.0);
        for (confidence, is_face) in &self.answers {
            if !is_face {
                if wrong == false_positives {
                    break;
                }
                wrong += 1;
            } else {
                right += 1;
            }
            threshold = *confidence;
        }
        (self.faces > 0).then(|| (right as f64 / self.faces as f64, threshold))
    }

    /// Detections that are no face, at the settings' own threshold.
    pub fn false_positives(&self) -> usize {
        self.answers.iter().filter(|(_, is_face)| !is_face).count()
    }

    /// The landmark error that a share `part` of the faces stays below.
    pub fn landmark_error(&self, part: f64) -> Option<f32> {
        let last = self.errors.len().checked_sub(1)?;
        self.errors.get((last as f64 * part).round() as usize).copied()
    }
}

/// Runs `detector` over `pictures`. Faces below the confidence `sure` are neither asked for nor counted as mistakes.
///
/// # Errors
/// When a network cannot be run.
pub fn measure(
    detector: &Mtcnn,
    settings: &Settings,
    pictures: &[Picture],
    sure: f32,
    workers: usize,
) -> Result<Measured> {
    ensure!(!pictures.is_empty(), "no picture to measure on");
    let progress = Progress::new(pictures.len() as u64, "pictures");
    let all = parallel::map(pictures.len(), workers, &progress, |i| {
        let Picture { image, faces, .. } = &pictures[i];
        Ok(compare(&detector.detect(image.view(), settings)?, faces, sure))
    })?;
    let mut out = Measured { faces: 0, pictures: pictures.len(), answers: vec![], errors: vec![] };
    for (picture, (answers, errors)) in pictures.iter().zip(all) {
        out.faces += picture.faces.iter().filter(|f| f.confidence >= sure).count();
        out.answers.extend(answers);
        out.errors.extend(errors);
    }
    // A face before a mistake of the same confidence would flatter.
    out.answers.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    out.errors.sort_by(f32::total_cmp);
    Ok(out)
}

/// Mean distance of the five landmarks of `a` from those of `b`, as a share of `b`'s eye distance.
pub fn apart(a: &Landmarks, b: &Landmarks) -> f32 {
    let mean = a.0.iter().zip(&b.0).map(|(a, b)| a.distance(*b)).sum::<f32>() / 5.0;
    mean / b.eye_distance().max(1.0)
}

/// What each detection (best first) is, and the landmark errors of those that are faces. Every labelled face is found
/// once; a second detection of it is a mistake.
fn compare(detections: &[Detection], labels: &[Detection], sure: f32) -> (Vec<(f32, bool)>, Vec<f32>) {
    let mut taken = vec![false; labels.len()];
    let (mut answers, mut errors) = (Vec::new(), Vec::new());
    for d in detections {
        let overlaps = labels.iter().enumerate().map(|(i, l)| (i, l.bbox.iou(&d.bbox)));
        let best = overlaps.filter(|(_, o)| *o >= FOUND_FROM).max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, _)) if labels[i].confidence < sure => {}
            Some((i, _)) if !taken[i] => {
                taken[i] = true;
                answers.push((d.confidence, true));
                errors.push(apart(&d.landmarks, &labels[i].landmarks));
            }
            _ => answers.push((d.confidence, false)),
        }
    }
    (answers, errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::geometry::{BBox, Point};

    fn face(x: f32, confidence: f32) -> Detection {
        let points = [(10.0, 10.0), (30.0, 10.0), (20.0, 20.0), (12.0, 30.0), (28.0, 30.0)];
        Detection {
            bbox: BBox { x1: x, y1: 0.0, x2: x + 39.0, y2: 39.0 },
            landmarks: Landmarks(points.map(|(px, py)| Point::new(x + px, py))),
            confidence,
        }
    }

    #[test]
    fn recall_over_false_positives_by_hand() {
        let labels = [face(0.0, 1.0), face(100.0, 1.0), face(200.0, 0.9)];
        // Found 2 px aside; a mistake; the doubtful one; the first a second time.
        let seen = [face(2.0, 0.99), face(400.0, 0.97), face(200.0, 0.96), face(1.0, 0.95)];
        let (answers, errors) = compare(&seen, &labels, 0.98);
        assert_eq!(answers, [(0.99, true), (0.97, false), (0.95, false)]);
        // 2 px of an eye distance of 20.
        assert!(errors.len() == 1 && (errors[0] - 0.1).abs() < 1e-6);
        let m = Measured { faces: 2, pictures: 1, answers, errors };
        assert_eq!(m.recall(0), Some((0.5, 0.99)));
        assert_eq!(m.recall(9), Some((0.5, 0.95)));
        assert_eq!((m.false_positives(), m.landmark_error(0.5)), (2, Some(0.1)));
        assert_eq!(Measured { faces: 0, ..m }.recall(0), None);
    }
}
