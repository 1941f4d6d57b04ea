//! The paper's video demo: every face of every frame is a probe; names from the threshold on, grey below it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use limen_gallery_db::score::cosine;
use limen_models::geometry::Detection;
use limen_models::image::RgbImage;
use limen_models::photo;
use limen_models::pipeline::{Embed, Pipeline, Workspace};
use serde::Serialize;

use crate::display::fonts::Fonts;
use crate::display::overlay::{Tag, draw_face};
use crate::display::palette;

/// A subject of the demo: one photograph.
pub struct Subject {
    /// From the file's or folder's name.
    pub name: String,
    /// Its colour.
    pub colour: [u8; 3],
    template: Vec<f32>,
}

/// One face of a frame with its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Labelled {
    /// Where.
    #[serde(flatten)]
    pub detection: Detection,
    /// Name of the best subject at or above the threshold; `None` is an outlier.
    pub name: Option<String>,
    /// Cosine to each subject, in the gallery's order; empty where the face could not be aligned.
    pub scores: Vec<f32>,
}

/// Gallery and threshold of a demo.
pub struct Annotator<'a> {
    pipeline: &'a Pipeline,
    threshold: f32,
    /// The subjects, in the order of their names.
    pub subjects: Vec<Subject>,
    /// What names are written in.
    pub fonts: Fonts,
}

impl<'a> Annotator<'a> {
    /// Reads `folder`: `NAME.jpg` or `NAME/first.jpg` is one subject each, in name order.
    pub fn new(pipeline: &'a Pipeline, folder: &Path, threshold: f32) -> Result<Self> {
        let (mut subjects, mut workspace) = (Vec::new(), Workspace::default());
        for path in listed(folder)? {
            let name = path.file_stem().map(|n| n.to_string_lossy().replace('_', " ")).unwrap_or_default();
            let photo = if path.is_dir() {
                match listed(&path)?.into_iter().find(|p| p.is_file()) {
                    Some(first) => first,
                    None => bail!("{}: no photograph in it", path.display()),
                }
            } else {
                path
            };
            let image = photo::decode_file(&photo)?;
            pipeline.process(image.view(), Embed::All, &mut workspace)?;
            let mut faces = std::mem::take(&mut workspace).into_faces();
            faces.sort_by(|a, b| b.detection.bbox.area().total_cmp(&a.detection.bbox.area()));
            let Some(embedding) = faces.into_iter().find_map(|f| f.embedding) else {
                bail!("{}: no face found; every gallery photograph needs one", photo.display());
            };
            let colour = palette::colour(subjects.len());
            subjects.push(Subject { name, colour, template: embedding.values().to_vec() });
        }
        ensure!(!subjects.is_empty(), "{}: no photographs; put one a person there", folder.display());
        Ok(Self { pipeline, threshold, subjects, fonts: Fonts::built_in() })
    }

    /// Finds and names every face of `frame`.
    pub fn label(&self, frame: &RgbImage) -> Result<Vec<Labelled>> {
        let mut workspace = Workspace::default();
        let (faces, _) = self.pipeline.process(frame.view(), Embed::All, &mut workspace)?;
        Ok(faces
            .iter()
            .map(|face| {
                let scores: Vec<f32> = match &face.embedding {
                    Some(e) => {
                        self.subjects.iter().map(|s| cosine(e.values(), &s.template).value()).collect()
                    }
                    None => Vec::new(),
                };
                let name = best(&scores)
                    .filter(|(_, score)| *score >= self.threshold)
                    .map(|(i, _)| self.subjects[i].name.clone());
                Labelled { detection: face.detection, name, scores }
            })
            .collect())
    }

    /// Draws the answers into the frame.
    pub fn draw(&self, frame: &mut RgbImage, faces: &[Labelled]) {
        for face in faces {
            let tag = Tag {
                name: face.name.as_deref().unwrap_or("unknown"),
                score: best(&face.scores).map(|(_, s)| s),
            };
            draw_face(frame, &face.detection.bbox, tag, self.colour(face), &self.fonts.bold);
        }
    }

    /// The colour of an answer.
    pub fn colour(&self, face: &Labelled) -> [u8; 3] {
        let subject = face.name.as_ref().and_then(|n| self.subjects.iter().find(|s| s.name == *n));
        subject.map_or(palette::UNKNOWN, |s| s.colour)
    }
}

/// Index and value of the highest score.
pub fn best(scores: &[f32]) -> Option<(usize, f32)> {
    scores.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("{}: cannot be listed", folder.display()))?;
    paths.retain(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}
