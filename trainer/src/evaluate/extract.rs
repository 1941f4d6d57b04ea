//! Pictures to raw features, several at a time; what cannot be used is listed and never dropped in silence.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use limen_models::error::ModelError;
use limen_models::geometry::{Detection, Point};
use limen_models::image::RgbImage;
use limen_models::photo;
use limen_models::pipeline::Pipeline;

/// The network's outputs for one face and for its mirror image, neither normalised.
#[derive(Clone)]
pub struct Feature {
    /// The face as it is.
    pub plain: Vec<f32>,
    /// The mirrored crop.
    pub mirrored: Vec<f32>,
}

/// What became of one picture.
pub enum Outcome {
    /// A face was found and embedded.
    Feature(Feature),
    /// No usable face (failure to acquire), with the reason.
    Failed(String),
}

impl Outcome {
    /// The feature, if there is one.
    pub fn feature(&self) -> Option<&Feature> {
        match self {
            Self::Feature(f) => Some(f),
            Self::Failed(_) => None,
        }
    }
}

/// The face whose middle is nearest to the picture's middle (SphereFace `face_detect_demo.m` L73-79).
pub fn central_face(image: &RgbImage, faces: &[Detection]) -> Option<Detection> {
    let middle = Point::new(image.width() as f32 / 2.0, image.height() as f32 / 2.0);
    let off = |d: &Detection| d.bbox.centre().distance(middle);
    faces.iter().min_by(|a, b| off(a).total_cmp(&off(b))).copied()
}

/// The central face of one picture as a raw feature.
pub fn extract_one(pipeline: &Pipeline, path: &Path) -> Result<Outcome, ModelError> {
    let image = match photo::decode_file(path) {
        Ok(image) => image,
        Err(e) => return Ok(Outcome::Failed(e.to_string())),
    };
    let faces = pipeline.detect(image.view())?;
    let Some(face) = central_face(&image, &faces) else {
        return Ok(Outcome::Failed(format!("{}: no face found", path.display())));
    };
    let Some(aligned) = pipeline.align(image.view(), &face) else {
        return Ok(Outcome::Failed(format!("{}: the landmarks fit no upright face", path.display())));
    };
    let plain = pipeline.embedder().raw(&aligned, false)?;
    let mirrored = pipeline.embedder().raw(&aligned, true)?;
    Ok(Outcome::Feature(Feature { plain, mirrored }))
}

/// All `paths` on `workers` threads with a progress bar on stderr; results in the order of `paths`.
pub fn extract(pipeline: &Pipeline, paths: &[PathBuf], workers: usize) -> Result<Vec<Outcome>> {
    let bar = progress(paths.len() as u64, "faces");
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let run = || -> Result<Vec<(usize, Outcome)>, ModelError> {
            let mut mine = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = paths.get(i) else { return Ok(mine) };
                mine.push((i, extract_one(pipeline, path)?));
                bar.inc(1);
            }
        };
        let handles: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::with_capacity(paths.len());
        for handle in handles {
            match handle.join() {
                Ok(part) => all.extend(part?),
                Err(_) => anyhow::bail!("a worker thread died"),
            }
        }
        Ok(all)
    })?;
    bar.finish_and_clear();
    done.sort_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, outcome)| outcome).collect())
}

/// A bar on stderr with rate and time left; hidden where stderr is no terminal.
pub fn progress(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!(
        "{{bar:30}} {{pos}}/{{len}} {what}  {{per_sec}}  {{eta}} left"
    ));
    let bar = ProgressBar::new(length);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
