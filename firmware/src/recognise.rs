//! `models` and `gallery-db` joined: a frame in, who stands there and whom they resemble out.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context, Result};
use limen_gallery_db::Gallery;
use limen_gallery_db::Workspace as SearchWorkspace;
use limen_gallery_db::subject::Subject;
use limen_gallery_db::template::ModelId;
use limen_models::embed::Embedding;
use limen_models::geometry::Detection;
use limen_models::manifest::Manifest;
use limen_models::pipeline::{Embed, Face, Pipeline, StageTimes, Workspace};
use limen_models::quality::{Limits, Quality, Reason};

use crate::camera::Frame;
use crate::config::Config;
use crate::decide::{Policy, Readers};
use crate::time::Millis;
use crate::track::{self, TrackId, Tracker};

/// The best subject for a face.
#[derive(Clone)]
pub struct Match {
    /// Who that is.
    pub subject: Subject,
    /// Cosine, -1 to 1.
    pub score: f32,
}

/// One face of a frame.
#[derive(Clone)]
pub struct Sighting {
    /// Its track.
    pub track: TrackId,
    /// Where it is.
    pub detection: Detection,
    /// How good it is.
    pub quality: Quality,
    /// The best subject, however low its score; `None` without a probe or with an empty gallery.
    pub best: Option<Match>,
    /// Lead over the second-best subject; `None` with fewer than two.
    pub margin: Option<f32>,
    /// Why the newest frame of this face could not be used, if so.
    pub fault: Option<Reason>,
    /// Good frames of it so far.
    pub frames: u32,
    /// Other faces of the frame at least half as large.
    pub companions: u32,
    /// The fused probe, of unit length; `None` before a usable frame, and where the newest is none.
    pub probe: Option<Arc<[f32]>>,
    /// The embedding of this very frame, for whoever is enrolled; `None` where the face cannot be used.
    pub sample: Option<Embedding>,
}

/// Whether a gallery that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GalleryFile {
    /// Made, empty: the first enrolment, a new door.
    MayBeNew,
    /// Missed: a question about people needs people.
    MustExist,
    /// Copied into memory, and left as it is: what would happen if somebody were enrolled?
    Copied,
}

/// What the gallery says of a probe.
#[derive(Default)]
pub struct Nearest {
    /// The best subject; `None` for an empty gallery.
    pub best: Option<Match>,
    /// Lead over the second-best subject; `None` with fewer than two.
    pub margin: Option<f32>,
}

/// Models, gallery and thresholds of one installation: everything that answers "who is it?", without a camera.
pub struct Recogniser {
    /// The networks.
    pub pipeline: Pipeline,
    /// The people.
    pub gallery: Gallery,
    /// Id of the way from frame to embedding.
    pub model: ModelId,
    /// What a grant demands.
    pub policy: Policy,
    search: RefCell<SearchWorkspace>,
}

impl Recogniser {
    /// Loads models and opens the gallery as `config` says; `limits` stand in for the config's quality limits where
    /// given.
    pub fn open(config: &Config, limits: Option<Limits>, gallery: GalleryFile) -> Result<Self> {
        let file = &config.gallery.file;
        if gallery == GalleryFile::MustExist && !file.exists() {
            let why = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(anyhow::Error::new(why).context(format!(
                "{}: no gallery there; name it with --gallery, or enrol somebody first",
                file.display()
            )));
        }
        let manifest = Manifest::load(&config.models.folder)?;
        let selection = manifest.select(config.embedder())?;
        let at = |rate, field| {
            let point = selection.threshold(rate).with_context(|| format!("decision.{field} cannot be met"));
            Ok::<_, anyhow::Error>(point?.threshold)
        };
        let threshold = match config.decision.threshold {
            0.0 => at(config.decision.false_match_rate, "false_match_rate")?,
            set => set,
        };
        let verify_threshold = match config.decision.threshold {
            0.0 => at(config.decision.verify_false_match_rate, "verify_false_match_rate")?,
            set => set,
        };
        let model = ModelId::new(selection.model_id())?;
        let pipeline = Pipeline::load(
            &manifest,
            config.embedder(),
            config.detector(),
            limits.unwrap_or(config.quality),
        )?
        .with_threads(config.threads())?;
        let pipeline = if config.models.half { pipeline.in_half()? } else { pipeline };
        let gallery =
            if gallery == GalleryFile::Copied { Gallery::scratch(file)? } else { Gallery::open(file)? };
        let policy = Policy {
            threshold,
            min_margin: config.decision.min_margin,
            min_frames: config.decision.min_frames,
            cool_down_ms: config.decision.cool_down_ms,
            companions: config.decision.companions,
            verify_threshold,
            readers: Readers::None,
        };
        Ok(Self { pipeline, gallery, model, policy, search: RefCell::default() })
    }

    /// The best subject for a probe with the subject's data, and the margin.
    pub fn nearest(&self, probe: &[f32]) -> Result<Nearest> {
        let mut workspace = self.search.borrow_mut();
        let candidates = self.gallery.identify_in(&self.model, probe, 2, &mut workspace)?;
        let Some(best) = candidates.best() else { return Ok(Nearest::default()) };
        let score = best.score.value();
        let subject = self.gallery.subject(best.subject)?;
        let best = subject.map(|subject| Match { subject, score });
        Ok(Nearest { best, margin: candidates.margin() })
    }
}

/// Other faces of the frame at least half as large as face `of`.
pub fn companions(faces: &[Face], of: usize) -> u32 {
    let area = |f: &Face| f.detection.bbox.area();
    let mine = faces.get(of).map_or(0.0, area);
    let others = faces.iter().enumerate().filter(|(i, f)| *i != of && area(f) >= 0.5 * mine);
    others.count() as u32
}

/// A recogniser that follows people from frame to frame.
pub struct Watch {
    recogniser: Recogniser,
    workspace: Workspace,
    /// When the whole picture was last searched, and how long one may go without.
    searched: Option<Millis>,
    full_search_ms: u64,
    /// The camera's opening that is followed.
    opening: u32,
    tracker: Tracker,
}

/// What was seen in one frame.
#[derive(Clone)]
pub struct Seen {
    /// The frame.
    pub frame: Arc<Frame>,
    /// Its faces.
    pub sightings: Vec<Sighting>,
    /// How long the networks took.
    pub times: StageTimes,
}

impl Seen {
    /// Which of the sightings is the largest face; `None` where nobody is.
    pub fn largest(&self) -> Option<usize> {
        let area = |i: &usize| self.sightings[*i].detection.bbox.area();
        (0..self.sightings.len()).max_by(|a, b| area(a).total_cmp(&area(b)))
    }
}

impl Watch {
    /// Begins with nobody in sight; at least every `full_search_ms` the whole picture is searched.
    pub fn new(recogniser: Recogniser, tracks: track::Settings, full_search_ms: u64) -> Self {
        Self {
            recogniser,
            workspace: Workspace::default(),
            searched: None,
            full_search_ms,
            opening: 0,
            tracker: Tracker::new(tracks),
        }
    }

    /// Finds every face of `frame`, and whom it resembles.
    pub fn look(&mut self, frame: Arc<Frame>) -> Result<Seen> {
        // Somebody may have been enrolled or removed by another program.
        self.recogniser.gallery.refresh()?;
        if frame.opening != self.opening {
            // Nobody saw who came and went meanwhile.
            self.opening = frame.opening;
            self.tracker.forget();
            self.searched = None;
        }
        let mut workspace = std::mem::take(&mut self.workspace);
        let (pipeline, view) = (&self.recogniser.pipeline, frame.image.view());
        let (faces, times) = if self.searched.is_some_and(|at| frame.at.since(at) < self.full_search_ms) {
            pipeline.follow(view, Embed::Good, &mut workspace)?
        } else {
            self.searched = Some(frame.at);
            pipeline.process(view, Embed::Good, &mut workspace)?
        };
        let ids = self.tracker.update(frame.at, faces);
        let mut sightings = Vec::with_capacity(faces.len());
        for (i, (face, track)) in faces.iter().zip(ids).enumerate() {
            sightings.push(self.sight(face, track, companions(faces, i))?);
        }
        self.workspace = workspace;
        Ok(Seen { frame, sightings, times })
    }

    fn sight(&mut self, face: &Face, track: TrackId, companions: u32) -> Result<Sighting> {
        let followed = self.tracker.get(track);
        let fault = followed.and_then(|t| t.fault);
        let frames = followed.map_or(0, |t| t.frames);
        // A face that cannot be used now is not named after what it was before.
        let probe = followed.and_then(|t| t.probe()).filter(|_| fault.is_none());
        let Nearest { best, margin } = match probe {
            Some(probe) => self.recogniser.nearest(probe)?,
            None => Nearest::default(),
        };
        Ok(Sighting {
            track,
            detection: face.detection,
            quality: face.quality.clone(),
            best,
            margin,
            fault,
            frames,
            companions,
            probe: probe.map(Arc::from),
            sample: face.embedding.clone(),
        })
    }
}
