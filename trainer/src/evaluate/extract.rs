//! Pictures to raw features, several at a time; what cannot be used is listed and never dropped in silence.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use limen_models::align::{AlignedFace, Aligner};
use limen_models::embed::Embedder;
use limen_models::error::ModelError;
use limen_models::geometry::{Detection, Point};
use limen_models::image::RgbImage;
use limen_models::photo;
use limen_models::pipeline::Pipeline;

use crate::evaluate::parallel;

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
    Found {
        /// What the network gave.
        feature: Feature,
        /// Where the face is; none for a picture that was aligned already.
        face: Option<Detection>,
    },
    /// No usable face (failure to acquire), with the reason.
    Failed(String),
}

impl Outcome {
    /// The feature, if there is one.
    pub fn feature(&self) -> Option<&Feature> {
        match self {
            Self::Found { feature, .. } => Some(feature),
            Self::Failed(_) => None,
        }
    }
}

/// How a picture becomes a feature.
#[derive(Debug)]
pub enum Way<'a> {
    /// Detection, then alignment to the model's template.
    Detected(&'a Pipeline),
    /// Detection, then alignment to a template of one's own (a patch).
    Patch(&'a Pipeline, Aligner),
    /// The picture is a crop already: of this width and height (px) as it is, larger its middle without scaling.
    Aligned(&'a Embedder, usize, usize),
}

impl Way<'_> {
    fn embedder(&self) -> &Embedder {
        match self {
            Self::Detected(pipeline) | Self::Patch(pipeline, _) => pipeline.embedder(),
            Self::Aligned(embedder, ..) => embedder,
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
pub fn extract_one(way: &Way<'_>, path: &Path) -> Result<Outcome, ModelError> {
    let failed = |why: &str| Ok(Outcome::Failed(format!("{}: {why}", path.display())));
    let image = match photo::decode_file(path) {
        Ok(image) => image,
        Err(e) => return Ok(Outcome::Failed(e.to_string())),
    };
    let (aligned, face) = match way {
        Way::Aligned(_, width, height) => {
            let Some(crop) = middle(&image, *width, *height) else {
                let (w, h) = (image.width(), image.height());
                return failed(&format!("{w}x{h} px, an aligned face has at least {width}x{height}"));
            };
            (AlignedFace { crop, residual_px: 0.0, outside: 0.0 }, None)
        }
        Way::Detected(pipeline) | Way::Patch(pipeline, _) => {
            let faces = pipeline.detect(image.view())?;
            let Some(face) = central_face(&image, &faces) else { return failed("no face found") };
            let aligned = match way {
                Way::Patch(_, aligner) => aligner.align(image.view(), &face.landmarks).ok(),
                _ => pipeline.align(image.view(), &face),
            };
            let Some(aligned) = aligned else { return failed("the landmarks fit no upright face") };
            (aligned, Some(face))
        }
    };
    let [plain, mirrored] = way.embedder().raw(&aligned)?;
    Ok(Outcome::Found { feature: Feature { plain, mirrored }, face })
}

/// The `width` x `height` px in the middle of `image`; `None` where it is smaller.
pub fn middle(image: &RgbImage, width: usize, height: usize) -> Option<RgbImage> {
    let (left, top) = (image.width().checked_sub(width)? / 2, image.height().checked_sub(height)? / 2);
    let rows = (top..top + height).flat_map(|y| image.view().row(y)[3 * left..3 * (left + width)].to_vec());
    RgbImage::new(width, height, rows.collect()).ok()
}

/// All `paths` on `workers` threads with a progress bar on stderr; results in the order of `paths`.
pub fn extract(way: &Way<'_>, paths: &[PathBuf], workers: usize) -> Result<Vec<Outcome>> {
    let bar = progress(paths.len() as u64, "faces");
    let beat = Beat::default();
    let done = parallel::map(paths.len(), workers, |i| {
        let outcome = extract_one(way, &paths[i])?;
        bar.inc(1);
        beat.beat(&bar);
        Ok(outcome)
    });
    bar.finish_and_clear();
    done
}

/// Where no bar can be seen (a log file), a line a minute in its place.
#[derive(Default)]
struct Beat(Mutex<Option<Instant>>);

impl Beat {
    fn beat(&self, bar: &ProgressBar) {
        let Ok(mut last) = self.0.lock() else { return };
        let now = Instant::now();
        if bar.is_hidden() && now.duration_since(*last.get_or_insert(now)) >= Duration::from_secs(60) {
            *last = Some(now);
            let (done, all) = (bar.position(), bar.length().unwrap_or(0));
            eprintln!(
                "{done} of {all}, {:.1}/s, {:.0} min left",
                bar.per_sec(),
                bar.eta().as_secs_f64() / 60.0
            );
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_larger_crop_is_taken() {
        let mut image = RgbImage::filled(6, 5, [0; 3]).unwrap();
        image.set_pixel(2, 1, [9, 8, 7]);
        let m = middle(&image, 2, 3).unwrap();
        assert_eq!((m.width(), m.height(), m.pixel(0, 0)), (2, 3, [9, 8, 7]));
        assert!(middle(&image, 7, 3).is_none());
    }
}
