//! The stages in order: frame -> detections -> quality -> aligned faces -> embeddings, each timed.

use std::time::{Duration, Instant};

use crate::align::{AlignedFace, Aligner};
use crate::detect::mtcnn::{Mtcnn, Settings};
use crate::embed::{Embedder, Embedding};
use crate::error::ModelError;
use crate::geometry::Detection;
use crate::image::RgbView;
use crate::manifest::Manifest;
use crate::quality::{Limits, Quality, assess};

/// Which faces get an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// Those of good quality.
    Good,
    /// All that can be aligned.
    All,
    /// The largest, if it is of good quality; the others are only detected.
    Largest,
}

/// One face of a frame with all that is known of it.
#[derive(Debug, Clone)]
pub struct Face {
    /// Box, landmarks, confidence.
    pub detection: Detection,
    /// Verdict.
    pub quality: Quality,
    /// The crop, unless the face could not be aligned.
    pub aligned: Option<AlignedFace>,
    /// The probe, when one was asked for and could be made.
    pub embedding: Option<Embedding>,
}

/// How long each stage took on one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Detection over the whole frame.
    pub detect: Duration,
    /// Alignment of all faces.
    pub align: Duration,
    /// Quality of all faces.
    pub quality: Duration,
    /// Embedding of the faces that got one.
    pub embed: Duration,
}

/// All networks of one recognition pipeline, loaded once. Shared between threads by reference.
#[derive(Debug)]
pub struct Pipeline {
    detector: Mtcnn,
    aligner: Aligner,
    embedder: Embedder,
    settings: Settings,
    limits: Limits,
}

impl Pipeline {
    /// Loads the cascade and the embedder (`embedder` by id, else the manifest's default) from one model folder.
    pub fn load(
        manifest: &Manifest,
        embedder: Option<&str>,
        settings: Settings,
        limits: Limits,
    ) -> Result<Self, ModelError> {
        let selection = manifest.select(embedder)?;
        let Some(aligner) = Aligner::for_embedder(selection.embedder) else {
            return Err(ModelError::Missing {
                path: manifest.path(),
                why: format!("model {:?} has no alignment section", selection.embedder.id),
            });
        };
        Ok(Self {
            detector: Mtcnn::load(manifest, selection.cascade)?,
            aligner,
            embedder: Embedder::load(manifest, &selection)?,
            settings,
            limits,
        })
    }

    /// The embedder, for protocols that want its raw outputs.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// Detection alone.
    pub fn detect(&self, frame: RgbView<'_>) -> Result<Vec<Detection>, ModelError> {
        self.detector.detect(frame, &self.settings)
    }

    /// Alignment alone; `None` where the landmarks fit no upright face.
    pub fn align(&self, frame: RgbView<'_>, detection: &Detection) -> Option<AlignedFace> {
        self.aligner.align(frame, &detection.landmarks).ok()
    }

    /// All stages on one frame; faces by falling confidence.
    pub fn process(&self, frame: RgbView<'_>, embed: Embed) -> Result<(Vec<Face>, StageTimes), ModelError> {
        let mut times = StageTimes::default();
        let detections = timed(&mut times.detect, || self.detect(frame))?;
        let mut faces: Vec<Face> = detections
            .into_iter()
            .map(|detection| {
                let aligned = timed(&mut times.align, || self.align(frame, &detection));
                let quality = timed(&mut times.quality, || match &aligned {
                    Some(a) => assess(frame, &detection, a, &self.limits),
                    None => Quality::misaligned(),
                });
                Face { detection, quality, aligned, embedding: None }
            })
            .collect();
        let largest = faces
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.detection.bbox.area().total_cmp(&b.1.detection.bbox.area()))
            .map(|(i, _)| i);
        for (i, face) in faces.iter_mut().enumerate() {
            let wanted = match embed {
                Embed::All => true,
                Embed::Good => face.quality.is_good(),
                Embed::Largest => Some(i) == largest && face.quality.is_good(),
            };
            if let (true, Some(aligned)) = (wanted, &face.aligned) {
                face.embedding = Some(timed(&mut times.embed, || self.embedder.embed(aligned))?);
            }
        }
        Ok((faces, times))
    }
}

fn timed<T>(total: &mut Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = f();
    *total += start.elapsed();
    result
}
