//! MTCNN exactly as SphereFace calls it: pyramid, three networks, official box arithmetic and NMS kinds.
//!
//! Source: kpzhang93 `code/codes/MTCNNv1/detect_face.m` and its helpers, SphereFace
//! `preprocess/code/face_detect_demo.m`; reference section 2.1. Box numbers are the Matlab ones, as every port keeps
//! them: pixel 1 is the first column.

use serde::{Deserialize, Serialize};

use crate::detect::mtcnn::boxes::{Candidate, placed, shifted, square};
use crate::detect::mtcnn::nms::Overlap;
use crate::detect::mtcnn::stage::{Look, Stage, View};
use crate::error::ModelError;
use crate::geometry::{BBox, Detection, Point};
use crate::image::RgbView;
use crate::manifest::{Manifest, ModelEntry};
use crate::resample::Resampler;
use crate::resample::halves::Halves;
use crate::session::Output;

pub use boxes::region;
pub use front::Front;

mod boxes;
mod front;
pub mod nms;
mod stage;

/// Side of P-Net's cell, px.
const CELL: f32 = 12.0;

/// Smallest face that is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinFace {
    /// A side in px.
    Px(f32),
    /// A share of the frame's shorter side, but at least 20 px (the networks' own limit).
    OfFrame(f32),
}

impl MinFace {
    /// In px for a frame of `width` x `height`.
    pub fn px(self, width: usize, height: usize) -> f32 {
        match self {
            Self::Px(px) => px.max(CELL),
            Self::OfFrame(share) => (share * width.min(height) as f32).max(20.0),
        }
    }
}

/// How O-Net finds landmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandmarkPasses {
    /// One pass.
    Single,
    /// A second pass on the mirrored crop, averaged (`detect_face.m` L104-110).
    Mirrored,
}

/// What the levels of the pyramid are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pyramid {
    /// Each of the frame itself, as published.
    Frame,
    /// Each of the smallest half of the frame, or half of a half, that has two pixels for one of its own: fewer pixels
    /// to read, and windows that differ a little. Crops are of the frame all the same.
    Halves,
}

/// How the cascade is run.
///
/// The face probabilities from which windows pass are no setting: they belong to the networks
/// ([`ModelEntry::face_threshold`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Smallest face.
    pub min_face: MinFace,
    /// Ratio of one pyramid level to the one before, below 1.
    pub factor: f32,
    /// What its levels are made of.
    pub pyramid: Pyramid,
    /// Landmark passes.
    pub landmarks: LandmarkPasses,
}

impl Settings {
    /// As SphereFace prepares training and test data (`face_detect_demo.m` L31-33).
    pub fn training_data() -> Self {
        Self {
            min_face: MinFace::Px(20.0),
            factor: 0.85,
            pyramid: Pyramid::Frame,
            landmarks: LandmarkPasses::Mirrored,
        }
    }

    /// For a door: a face worth recognising fills an eighth of the frame's shorter side (60 px of 480), and the
    /// pyramid takes MTCNN's own coarser steps of half the area.
    pub fn door() -> Self {
        Self { min_face: MinFace::OfFrame(0.125), factor: 0.709, ..Self::training_data() }
    }

    /// For pictures that one face fills, as loose crops of a training set are: the first levels of the pyramid, which
    /// take most of the time, could find only faces that nobody wants there.
    pub fn close_up() -> Self {
        Self { min_face: MinFace::OfFrame(0.35), ..Self::door() }
    }
}

/// Memory that faces are detected in, kept from frame to frame.
#[derive(Debug, Default)]
pub struct Scratch {
    resampler: Resampler,
    halves: Halves,
    /// Of each network.
    outputs: [Vec<Output>; 3],
    /// Of one level of the pyramid.
    level: Vec<Candidate>,
    /// What goes from one stage to the next.
    candidates: Vec<Candidate>,
    boxes: Vec<BBox>,
    looks: Vec<Look>,
    mirrored: Vec<Look>,
    /// Of the frame before.
    size: (usize, usize),
}

impl Scratch {
    /// Makes the candidates' boxes those that the next stage looks at.
    fn show_candidates(&mut self) {
        self.boxes.clear();
        self.boxes.extend(self.candidates.iter().map(|c| c.bbox));
    }
}

/// The cascade, loaded once.
#[derive(Debug)]
pub struct Mtcnn {
    front: Front,
    output: Stage,
    /// Whether O-Net looks for the landmarks again, in the box that it found.
    looks_again: bool,
}

impl Mtcnn {
    /// Loads the three networks of [`Manifest::cascade`].
    pub fn load(manifest: &Manifest, [p, r, o]: [&ModelEntry; 3]) -> Result<Self, ModelError> {
        Ok(Self {
            front: Front::load(manifest, p, Some(r))?,
            output: Stage::load(manifest, o)?,
            looks_again: o.landmark_looks == Some(2),
        })
    }

    /// As [`Session::with_threads`], of each network.
    pub fn with_threads(self, threads: usize) -> Self {
        let Self { front: Front { propose, refine }, output, looks_again } = self;
        let (propose, refine) = (propose.with_threads(threads), refine.map(|r| r.with_threads(threads)));
        Self { front: Front { propose, refine }, output: output.with_threads(threads), looks_again }
    }

    /// Face probabilities above which windows pass P-, R- and O-Net.
    pub fn thresholds(&self) -> [f32; 3] {
        let Front { propose, refine } = &self.front;
        [propose.threshold, refine.as_ref().map_or(0.0, |r| r.threshold), self.output.threshold]
    }

    /// All faces of `frame`, most certain first. A frame smaller than a cell has none.
    pub fn detect(&self, frame: RgbView<'_>, settings: &Settings) -> Result<Vec<Detection>, ModelError> {
        let mut faces = Vec::new();
        self.detect_in(frame, settings, &mut Scratch::default(), &mut faces)?;
        Ok(faces)
    }

    /// As [`Mtcnn::detect`], in memory that earlier frames left; what was in `faces` is lost.
    pub fn detect_in(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
        faces: &mut Vec<Detection>,
    ) -> Result<(), ModelError> {
        scratch.size = (frame.width(), frame.height());
        self.front.propose(frame, settings, scratch)?;
        self.finish(frame, settings, scratch, faces)
    }

    /// As [`Mtcnn::detect_in`] for the next frame of a video, `faces` being those of the frame before: looks near them,
    /// and in the whole frame only when there are none or one is not found again. Who comes beside them is not seen.
    pub fn follow_in(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
        faces: &mut Vec<Detection>,
    ) -> Result<(), ModelError> {
        let followed = faces.len();
        if followed > 0 && scratch.size == (frame.width(), frame.height()) {
            self.front.propose_near(frame, faces, scratch)?;
            self.finish(frame, settings, scratch, faces)?;
            if faces.len() >= followed {
                return Ok(());
            }
        }
        self.detect_in(frame, settings, scratch, faces)
    }

    /// The stages after P-Net, on its candidates in `scratch`.
    fn finish(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
        faces: &mut Vec<Detection>,
    ) -> Result<(), ModelError> {
        self.front.refine(frame, scratch)?;
        scratch.show_candidates();
        self.output(frame, settings, scratch, faces)
    }

    /// Stage 3 on the boxes of `scratch`: O-Net, landmarks, box regression before the last NMS (L80-120).
    fn output(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
        faces: &mut Vec<Detection>,
    ) -> Result<(), ModelError> {
        self.output.look(frame, View::Straight, scratch)?;
        // Those that pass go to the front.
        let mut passing = 0;
        for k in 0..scratch.boxes.len() {
            if scratch.looks[k].score > self.output.threshold {
                scratch.boxes.swap(passing, k);
                scratch.looks.swap(passing, k);
                passing += 1;
            }
        }
        scratch.boxes.truncate(passing);
        scratch.looks.truncate(passing);
        self.look_mirrored(frame, settings, scratch)?;
        faces.clear();
        faces.extend(scratch.boxes.iter().zip(&scratch.looks).map(|(b, look)| Detection {
            bbox: shifted(*b, look.shift, b.width(), b.height()),
            landmarks: placed(b, &look.points),
            confidence: look.score,
        }));
        nms::suppress(faces, 0.7, Overlap::Min);
        if self.looks_again {
            self.look_again(frame, faces, settings, scratch)?;
        }
        Ok(())
    }

    /// Where the settings ask for it: takes for the landmarks of the looks of `scratch` the mean of them and of those
    /// of the boxes' mirror images.
    fn look_mirrored(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        if settings.landmarks == LandmarkPasses::Single {
            return Ok(());
        }
        self.output.look(frame, View::Mirrored, scratch)?;
        for (look, flipped) in scratch.looks.iter_mut().zip(&scratch.mirrored) {
            // Mirrored back and left swapped with right: order 2, 1, 3, 5, 4.
            for (p, q) in look.points.iter_mut().zip([1, 0, 2, 4, 3].map(|j| flipped.points[j])) {
                *p = Point::new((p.x + 1.0 - q.x) / 2.0, (p.y + q.y) / 2.0);
            }
        }
        Ok(())
    }

    /// Shows O-Net the boxes that it made, and takes the mean of the landmarks that it sees now and those it saw.
    fn look_again(
        &self,
        frame: RgbView<'_>,
        faces: &mut [Detection],
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        scratch.boxes.clear();
        scratch.boxes.extend(faces.iter().map(|f| square(f.bbox).truncated()));
        self.output.look(frame, View::Straight, scratch)?;
        self.look_mirrored(frame, settings, scratch)?;
        for ((face, b), look) in faces.iter_mut().zip(&scratch.boxes).zip(&scratch.looks) {
            for (p, q) in face.landmarks.0.iter_mut().zip(placed(b, &look.points).0) {
                *p = Point::new((p.x + q.x) / 2.0, (p.y + q.y) / 2.0);
            }
        }
        Ok(())
    }
}

impl nms::Scored for Detection {
    fn bbox(&self) -> &BBox {
        &self.bbox
    }
    fn score(&self) -> f32 {
        self.confidence
    }
}
