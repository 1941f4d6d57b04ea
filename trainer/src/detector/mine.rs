//! What the stages before let through: the windows that a later stage learns from.

use anyhow::Result;
use limen_models::detect::mtcnn::{Front, Settings};
use limen_models::manifest::{Manifest, ModelEntry};

use super::Stage;
use super::pictures::Picture;
use super::windows::{Kind, Window, judge};
use crate::dataset::parallel::{self, Progress};

/// Most negatives taken of one picture: a texture that fires everywhere must not outvote the others.
const MOST_NEGATIVES: usize = 40;

/// Face probability from which a window counts as let through: less than at the door, as a stage shall know what lies
/// just below too.
const LENIENT: f32 = 0.1;

/// Windows by kind.
#[derive(Debug, Default, PartialEq)]
pub struct Mined {
    /// Without a face.
    pub negatives: Vec<Window>,
    /// With a part of one.
    pub parts: Vec<Window>,
    /// With a face.
    pub positives: Vec<Window>,
}

impl Mined {
    /// Those of a kind.
    pub fn of(&self, kind: Kind) -> &[Window] {
        match kind {
            Kind::Negative => &self.negatives,
            Kind::Part => &self.parts,
            Kind::Positive => &self.positives,
        }
    }
}

/// The squares of `pictures` that the networks before `stage` in the folder of `manifest` let through.
///
/// # Errors
/// When a network is not there or cannot be run.
pub fn mine(
    stage: Stage,
    manifest: &Manifest,
    pictures: &[Picture],
    sure: f32,
    workers: usize,
) -> Result<Mined> {
    let lenient = |stage: Stage| -> Result<ModelEntry> {
        let entry = manifest.model(stage.role().name())?.clone();
        Ok(ModelEntry { face_threshold: Some(LENIENT), ..entry })
    };
    let refine = if stage == Stage::O { Some(lenient(Stage::R)?) } else { None };
    let front = Front::load(manifest, &lenient(Stage::P)?, refine.as_ref())?;
    let settings = Settings::door();
    let progress = Progress::new(pictures.len() as u64, "pictures mined");
    let found = parallel::map(pictures.len(), workers, &progress, |i| {
        let Picture { image, faces, .. } = &pictures[i];
        Ok(front
            .candidates(image.view(), &settings)?
            .into_iter()
            .filter_map(|bbox| {
                let (kind, face) = judge(&bbox, faces, sure)?;
                Some(Window { picture: i as u32, bbox, kind, face })
            })
            .collect::<Vec<_>>())
    })?;
    let mut mined = Mined::default();
    for windows in found {
        let mut negatives = 0;
        for window in windows {
            match window.kind {
                // Candidates come best first.
                Kind::Negative if negatives == MOST_NEGATIVES => {}
                Kind::Negative => {
                    negatives += 1;
                    mined.negatives.push(window);
                }
                Kind::Part => mined.parts.push(window),
                Kind::Positive => mined.positives.push(window),
            }
        }
    }
    Ok(mined)
}
