//! Photographs to aligned crops, as SphereFace prepares its data: MTCNN, the central face, the 112x96 template.
//!
//! Source: SphereFace `preprocess/code/face_detect_demo.m` L31-81 and `face_align_demo.m` L21-47.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use limen_models::align::Aligner;
use limen_models::detect::mtcnn::{LandmarkPasses, MinFace, Mtcnn, Settings};
use limen_models::manifest::{ModelEntry, sha256_hex};

use crate::dataset::crop::{Crops, Made};
use crate::dataset::decode;
use crate::dataset::index::{Index, Sample};
use crate::dataset::parallel::{self, Progress};
use crate::evaluate::extract::central_face;

pub mod encoding;
pub mod journal;
pub mod sink;

use encoding::Encoding;
use journal::Journal;
use sink::Sink;

/// What makes a crop of a photograph.
pub struct Preparation {
    detector: Mtcnn,
    settings: Settings,
    aligner: Aligner,
    crops: Crops,
    encoding: Encoding,
}

/// What became of a photograph.
enum Outcome {
    /// The crop, encoded.
    Crop(Vec<u8>),
    /// None, and why.
    Failed(String),
}

/// What became of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Crops written now.
    pub written: usize,
    /// Photographs that gave none, now.
    pub failed: usize,
    /// Finished or failed in a run before.
    pub before: usize,
}

/// A crop that is to be made.
struct Job {
    sample: usize,
    /// Name in its identity, in the destination.
    name: String,
}

impl Preparation {
    /// With `detector`, the networks of `cascade`, cutting crops with `margin` px around them.
    pub fn new(
        detector: Mtcnn,
        cascade: [&ModelEntry; 3],
        settings: Settings,
        margin: usize,
        encoding: Encoding,
    ) -> Self {
        let hashes: String = cascade.iter().map(|m| m.sha256.as_str()).collect();
        let made = Made {
            detector: format!("mtcnn@{}", &sha256_hex(hashes.as_bytes())[..12]),
            min_face: match settings.min_face {
                MinFace::Px(px) => format!("{px} px"),
                MinFace::OfFrame(share) => format!("{share} of the frame"),
            },
            factor: settings.factor,
            thresholds: detector.thresholds(),
            landmarks: match settings.landmarks {
                LandmarkPasses::Single => "single",
                LandmarkPasses::Mirrored => "mirrored",
            }
            .into(),
            face: "central".into(),
            stored_as: encoding.to_string(),
            tool: concat!("limen-train ", env!("CARGO_PKG_VERSION")).into(),
        };
        let crops = Crops { made: Some(made), ..Crops::with_margin(margin) };
        Self { detector, settings, aligner: crops.aligner(), crops, encoding }
    }

    /// What the crops will be.
    pub fn crops(&self) -> &Crops {
        &self.crops
    }

    /// Makes the crops of all of `index` that neither `sink` nor `journal` has yet, on `workers` threads.
    ///
    /// # Errors
    /// When the detector fails or the destination cannot be written. A photograph that gives no crop is no error: the
    /// journal has it.
    pub fn run(&self, index: &Index, sink: &Sink, journal: &Journal, workers: usize) -> Result<Counts> {
        let jobs = jobs(index, self.encoding, sink.done(), journal.failed());
        let progress = Progress::new(jobs.len() as u64, "photographs");
        let done = parallel::map(jobs.len(), workers, &progress, |i| {
            let job = &jobs[i];
            let sample = &index.samples()[job.sample];
            match self.crop(index, sample)? {
                Outcome::Crop(bytes) => {
                    sink.put(
                        sample.identity,
                        &index.identities()[sample.identity as usize],
                        &job.name,
                        &bytes,
                    )?;
                    Ok(true)
                }
                Outcome::Failed(why) => {
                    journal.put(&index.name(sample), &why)?;
                    Ok(false)
                }
            }
        })?;
        let written = done.iter().filter(|ok| **ok).count();
        Ok(Counts { written, failed: done.len() - written, before: index.samples().len() - done.len() })
    }

    fn crop(&self, index: &Index, sample: &Sample) -> Result<Outcome> {
        let image = match decode::picture(index, None, sample, &mut Vec::new()) {
            Ok(image) => image,
            Err(e) => return Ok(Outcome::Failed(format!("{e:#}"))),
        };
        let faces = self.detector.detect(image.view(), &self.settings)?;
        let Some(face) = central_face(&image, &faces) else {
            return Ok(Outcome::Failed(format!("no face found in {}x{} px", image.width(), image.height())));
        };
        match self.aligner.align(image.view(), &face.landmarks) {
            Ok(aligned) => Ok(Outcome::Crop(self.encoding.encode(&aligned.crop)?)),
            Err(e) => Ok(Outcome::Failed(e.to_string())),
        }
    }
}

/// What is still to do.
fn jobs(index: &Index, encoding: Encoding, done: &HashSet<String>, failed: &HashSet<String>) -> Vec<Job> {
    let stem = |s: &Sample| s.name.rsplit_once('.').map_or(&*s.name, |(stem, _)| stem).to_owned();
    // `a.jpg` and `a.png` of one person would both become `a.jpg`: those keep their whole names.
    let mut stems: HashMap<(u32, String), u32> = HashMap::new();
    for s in index.samples() {
        *stems.entry((s.identity, stem(s))).or_default() += 1;
    }
    let mut jobs = Vec::new();
    for (sample, s) in index.samples().iter().enumerate() {
        let stem = stem(s);
        let shared = stems.get(&(s.identity, stem.clone())).is_some_and(|n| *n > 1);
        let name = format!("{}.{}", if shared { &*s.name } else { &stem }, encoding.extension());
        let finished = done.contains(&format!("{}/{name}", index.identities()[s.identity as usize]));
        if !finished && !failed.contains(&index.name(s)) {
            jobs.push(Job { sample, name });
        }
    }
    jobs
}

#[cfg(test)]
mod tests;
