//! The stages in order: frame -> detections -> quality -> aligned faces -> embeddings, each timed.

use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::align::{AlignedFace, Aligner};
use crate::detect::mtcnn::{self, Mtcnn, Settings};
use crate::embed::{self, Embedder, Embedding};
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

/// Memory that frames are processed in, and the faces of the last one. Once it has seen as many faces as a frame has,
/// the next frame asks for no more memory (`models/tests/steady.rs`).
#[derive(Debug, Default)]
pub struct Workspace {
    detector: mtcnn::Scratch,
    embedder: embed::Scratch,
    detections: Vec<Detection>,
    crops: Vec<Vec<u8>>,
    luma: Vec<f32>,
    faces: Vec<Face>,
}

impl Workspace {
    /// The faces of the last frame, taken out.
    pub fn into_faces(self) -> Vec<Face> {
        self.faces
    }

    /// Takes the memory of the last frame's faces.
    fn reuse_faces(&mut self) {
        for face in self.faces.drain(..) {
            self.crops.extend(face.aligned.map(|a| a.crop.into_data()));
            face.embedding.into_iter().for_each(|e| self.embedder.reuse(e));
        }
    }
}

/// A way to detect.
type Detect =
    fn(&Mtcnn, RgbView<'_>, &Settings, &mut mtcnn::Scratch, &mut Vec<Detection>) -> Result<(), ModelError>;

/// All networks of one recognition pipeline, loaded once. Shared between threads by reference.
#[derive(Debug)]
pub struct Pipeline {
    detector: Mtcnn,
    aligner: Aligner,
    embedder: Embedder,
    settings: Settings,
    limits: Limits,
    /// Those that share a frame, where there is more than the caller's.
    threads: Option<ThreadPool>,
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
            threads: None,
        })
    }

    /// Shares the work on each frame among `threads` threads; the numbers stay the same.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn with_threads(self, threads: usize) -> Result<Self, ModelError> {
        if threads < 2 {
            return Ok(self);
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("networks-{i}"));
        let pool = pool.build().map_err(|e| ModelError::Threads { threads, why: e.to_string() })?;
        Ok(Self {
            detector: self.detector.with_threads(threads),
            embedder: self.embedder.with_threads(threads),
            threads: Some(pool),
            ..self
        })
    }

    /// Has the embedder multiply in half precision ([`Embedder::in_half`]); the detector stays as it is.
    ///
    /// # Errors
    /// When this CPU or this embedder does not.
    pub fn in_half(self) -> Result<Self, ModelError> {
        let model = self.embedder.model().to_string();
        let embedder = self.embedder.in_half().ok_or(ModelError::Half { model })?;
        Ok(Self { embedder, ..self })
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

    /// All stages on one frame, in `workspace`; faces by falling confidence.
    pub fn process<'w>(
        &self,
        frame: RgbView<'_>,
        embed: Embed,
        workspace: &'w mut Workspace,
    ) -> Result<(&'w mut [Face], StageTimes), ModelError> {
        self.by_threads(|| self.stages(Mtcnn::detect_in, frame, embed, workspace))
    }

    /// As [`Pipeline::process`] for the next frame of a video, whose faces are looked for near those of the frame before
    /// ([`Mtcnn::follow_in`]).
    pub fn follow<'w>(
        &self,
        frame: RgbView<'_>,
        embed: Embed,
        workspace: &'w mut Workspace,
    ) -> Result<(&'w mut [Face], StageTimes), ModelError> {
        self.by_threads(|| self.stages(Mtcnn::follow_in, frame, embed, workspace))
    }

    fn by_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.threads {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn stages<'w>(
        &self,
        detect: Detect,
        frame: RgbView<'_>,
        embed: Embed,
        workspace: &'w mut Workspace,
    ) -> Result<(&'w mut [Face], StageTimes), ModelError> {
        let mut times = StageTimes::default();
        workspace.reuse_faces();
        let Workspace { detector, embedder, detections, crops, luma, faces } = workspace;
        timed(&mut times.detect, || detect(&self.detector, frame, &self.settings, detector, detections))?;
        faces.extend(detections.iter().map(|&detection| {
            let mut spare = crops.pop().unwrap_or_default();
            let aligned = timed(&mut times.align, || {
                self.aligner.align_in(frame, &detection.landmarks, &mut spare).ok()
            });
            let quality = timed(&mut times.quality, || match &aligned {
                Some(a) => assess(frame, &detection, a, &self.limits, luma),
                None => Quality::misaligned(),
            });
            Face { detection, quality, aligned, embedding: None }
        }));
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
                face.embedding = Some(timed(&mut times.embed, || self.embedder.embed_in(aligned, embedder))?);
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
