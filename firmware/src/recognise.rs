//! `models` and `gallery-db` joined: a frame in, who stands there and what is decided of each out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use limen_gallery_db::Gallery;
use limen_gallery_db::Workspace as SearchWorkspace;
use limen_gallery_db::subject::{Standing as Suspension, Subject, SubjectId};
use limen_gallery_db::template::ModelId;
use limen_models::geometry::Detection;
use limen_models::manifest::Manifest;
use limen_models::pipeline::{Embed, Face, Pipeline, StageTimes, Workspace};
use limen_models::quality::{Limits, Quality};

use crate::camera::Frame;
use crate::config::Config;
use crate::decide::{Candidate, Decision, Evidence, Policy, Standing, decide};
use crate::time::Millis;
use crate::track::{self, TrackId, Tracker};

/// The best subject for a face.
#[derive(Clone)]
pub struct Match {
    /// Identity inside the gallery.
    pub subject: SubjectId,
    /// External id.
    pub id: String,
    /// Name, for the screen only.
    pub name: String,
    /// Cosine, -1 to 1.
    pub score: f32,
}

/// One face of a frame, judged.
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
    /// Lead over the second-best subject.
    pub margin: Option<f32>,
    /// The verdict.
    pub decision: Decision,
    /// Whether this verdict on this track is news.
    pub is_news: bool,
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
    /// The best subject and its score; `None` for an empty gallery.
    pub best: Option<(Subject, f32)>,
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
        let threshold = if config.decision.threshold == 0.0 {
            let point = selection.threshold(config.decision.false_match_rate);
            point.context("decision.false_match_rate cannot be met")?.threshold
        } else {
            config.decision.threshold
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
        Ok(Nearest { best: subject.map(|s| (s, score)), margin: candidates.margin() })
    }
}

/// A subject's standing at `now`. The validity ends at its last moment: `valid_until` itself is outside.
pub fn standing(subject: &Subject, now: Timestamp) -> Standing {
    if subject.standing == Suspension::Suspended {
        Standing::Suspended
    } else if subject.valid_from.is_some_and(|from| now < from) {
        Standing::NotYetValid
    } else if subject.valid_until.is_some_and(|until| now >= until) {
        Standing::Expired
    } else {
        Standing::Valid
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
    told: HashMap<TrackId, Decision>,
    granted: HashMap<String, Millis>,
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
            told: HashMap::new(),
            granted: HashMap::new(),
        }
    }

    /// Judges every face of `frame`; `now` is the wall clock, for validity dates.
    pub fn look(&mut self, frame: Arc<Frame>, now: Timestamp) -> Result<Seen> {
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
            sightings.push(self.judge(faces, i, face, track, frame.at, now)?);
        }
        self.workspace = workspace;
        let tracker = &self.tracker;
        self.told.retain(|id, _| tracker.get(*id).is_some());
        let cool_down = self.recogniser.policy.cool_down_ms;
        self.granted.retain(|_, at| frame.at.since(*at) < cool_down);
        Ok(Seen { frame, sightings, times })
    }

    fn judge(
        &mut self,
        faces: &[Face],
        index: usize,
        face: &Face,
        track: TrackId,
        at: Millis,
        now: Timestamp,
    ) -> Result<Sighting> {
        let followed = self.tracker.get(track);
        let fault = followed.and_then(|t| t.fault);
        let frames = followed.map_or(0, |t| t.frames);
        let probe = followed.and_then(|t| t.probe());
        // A face that cannot be used now is not named after what it was before.
        let Nearest { best, margin } = match probe {
            Some(probe) if fault.is_none() => self.recogniser.nearest(probe)?,
            _ => Nearest::default(),
        };
        let evidence = Evidence {
            best: best.as_ref().map(|(s, score)| Candidate {
                id: s.external_id.clone(),
                score: *score,
                standing: standing(s, now),
            }),
            margin,
            frames,
            fault,
            companions: companions(faces, index),
            since_grant_ms: best
                .as_ref()
                .and_then(|(s, _)| self.granted.get(&s.external_id))
                .map(|then| at.since(*then)),
        };
        let decision = decide(&evidence, &self.recogniser.policy);
        if let Decision::Grant { id, .. } = &decision {
            self.granted.insert(id.clone(), at);
        }
        let is_news = self.is_news(track, &decision);
        Ok(Sighting {
            track,
            detection: face.detection,
            quality: face.quality.clone(),
            best: best.map(|(s, score)| Match { subject: s.id, id: s.external_id, name: s.name, score }),
            margin,
            decision,
            is_news,
        })
    }

    /// A grant is always news; a denial once per track and reason; requests never go to the journal.
    fn is_news(&mut self, track: TrackId, decision: &Decision) -> bool {
        match decision {
            Decision::Grant { .. } => {
                self.told.insert(track, decision.clone());
                true
            }
            Decision::Deny(_) => self.told.insert(track, decision.clone()).as_ref() != Some(decision),
            Decision::Ask(_) | Decision::Passed { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_gallery_db::subject::NewSubject;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn validity_begins_with_its_first_moment_and_ends_before_its_last() {
        let dir = tempfile::tempdir().unwrap();
        let mut gallery = Gallery::open(&dir.path().join("g.db")).unwrap();
        let mut new = NewSubject::new("7", "Somebody");
        (new.valid_from, new.valid_until) = (Some(at(0)), Some(at(10)));
        let subject = gallery.add_subject(&new).unwrap();
        for (second, want) in
            [(-1, Standing::NotYetValid), (0, Standing::Valid), (9, Standing::Valid), (10, Standing::Expired)]
        {
            assert_eq!(standing(&subject, at(second)), want, "second {second}");
        }
        let suspended = Subject { standing: Suspension::Suspended, ..subject };
        assert_eq!(standing(&suspended, at(5)), Standing::Suspended);
    }
}
