//! A photograph to faces, for the commands that take photographs.

use std::path::Path;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use limen_gallery_db::enrol::Sample;
use limen_gallery_db::template::MAX_SOURCE;
use limen_models::embed::Embedding;
use limen_models::image::RgbImage;
use limen_models::photo::{self, PhotoError};
use limen_models::pipeline::{Embed, Face, Workspace};
use serde_json::{Value, json};

use crate::cmd::shown;
use crate::recognise::Recogniser;

/// Faces smaller than this share of the largest one's area are passers-by in the background.
const BACKGROUND: f32 = 0.25;

/// What a photograph shows.
pub struct Photo {
    /// Upright.
    pub image: RgbImage,
    /// Its faces, the largest first, those of good quality with an embedding.
    pub faces: Vec<Face>,
}

/// A bar on stderr for `count` photographs; hidden for the few that take no two seconds, and where stderr is no
/// terminal.
pub fn progress(count: usize) -> ProgressBar {
    if count < 8 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} photographs  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Decodes a photograph and looks at every face. The outer error is the engine's, the inner one the photograph's.
pub fn look(recogniser: &Recogniser, path: &Path) -> Result<Result<Photo, PhotoError>> {
    match photo::decode_file(path) {
        Ok(image) => see(recogniser, image).map(Ok),
        Err(e) => Ok(Err(e)),
    }
}

/// Looks at every face of a decoded photograph.
pub fn see(recogniser: &Recogniser, image: RgbImage) -> Result<Photo> {
    let mut workspace = Workspace::default();
    recogniser.pipeline.process(image.view(), Embed::Good, &mut workspace)?;
    let mut faces = workspace.into_faces();
    faces.sort_by(|a, b| b.detection.bbox.area().total_cmp(&a.detection.bbox.area()));
    Ok(Photo { image, faces })
}

impl Photo {
    /// The one person the photograph is of, or why there is no such.
    pub fn only_face(&self) -> Result<&Face, String> {
        let Some(first) = self.faces.first() else {
            return Err("no face found; take a picture from the front, larger and well lit".into());
        };
        let area = first.detection.bbox.area();
        let near = self.faces.iter().filter(|f| f.detection.bbox.area() >= BACKGROUND * area).count();
        if near > 1 {
            return Err(format!("{near} faces found; one person alone is needed: cut the picture"));
        }
        Ok(first)
    }

    /// The one person's face as a sample that came from `source`, or why it gives none.
    pub fn sample(&self, source: String) -> Result<Sample, String> {
        let face = self.only_face()?;
        let embedding = face.embedding.as_ref().ok_or_else(|| faults(face))?;
        Ok(Sample { vector: embedding.values().to_vec(), quality: face.quality.score, source })
    }
}

/// A file's name as the source of a sample.
pub fn source_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().chars().take(MAX_SOURCE).collect())
}

/// The message of a photograph's error without the name that stands before it already.
pub fn without_name(error: &PhotoError, name: &str) -> String {
    let message = error.to_string();
    message.strip_prefix(name).map_or(message.as_str(), |m| m.trim_start_matches(": ")).to_owned()
}

/// The embedding of the one person that a photograph is of, and its quality; or why there is none, with the photograph.
pub fn only_embedding(recogniser: &Recogniser, path: &Path) -> Result<(Embedding, f32)> {
    let photo = look(recogniser, path)??;
    let face = match photo.only_face() {
        Ok(face) => face,
        Err(why) => bail!("{}: {why}", shown(path)),
    };
    let Some(embedding) = &face.embedding else {
        bail!("{}: the face cannot be judged: {}", shown(path), faults(face));
    };
    Ok((embedding.clone(), face.quality.score))
}

/// Box, confidence and quality of a face as JSON.
pub fn face_json(face: &Face) -> Value {
    let b = &face.detection.bbox;
    let round = |v: f32| (f64::from(v) * 10.0).round() / 10.0;
    json!({
        "box": [round(b.x1), round(b.y1), round(b.x2), round(b.y2)],
        "confidence": face.detection.confidence,
        "quality": face.quality.score,
        "faults": face.quality.reasons.iter().map(|r| r.code()).collect::<Vec<_>>(),
    })
}

/// "too-small: Please come closer." for each fault.
pub fn faults(face: &Face) -> String {
    let all: Vec<String> =
        face.quality.reasons.iter().map(|r| format!("{} ({})", r.code(), r.sentence())).collect();
    all.join(", ")
}
