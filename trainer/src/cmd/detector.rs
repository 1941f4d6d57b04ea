//! `limen-train detector`: teach a face detector, from labels to a measured cascade.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use limen_models::detect::mtcnn::Mtcnn;
use limen_models::geometry::Detection;
use limen_models::manifest::Manifest;
use limen_models::photo;
use serde_json::json;

use crate::cmd::eval::Preset;
use crate::cmd::train::stop_flag;
use crate::dataset::parallel::{self, Progress};
use crate::dataset::pictures;
use crate::detector::config::{Config, FILE_NAME};
use crate::detector::measure::{Measured, apart, measure};
use crate::detector::pictures::{Pictures, labels};
use crate::detector::run;
use crate::device::{self, Backend};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Detector {
    /// Write down the faces that a teacher finds in pictures
    Label(LabelArgs),
    /// Train the three networks as a configuration file says
    Train(TrainArgs),
    /// Measure cascades on the pictures that were held out
    Measure(MeasureArgs),
}

/// Arguments of `label`.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// Model folder with the teacher
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Detector settings
    #[arg(long, value_enum, default_value = "door")]
    detector: Preset,
    /// Most pictures of the folder, evenly from all of it
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    most: usize,
    /// Labels of a second teacher (as this command or tests/peers/yunet_labels.py writes them): a face that it does
    /// not see too, landmarks included, is neither learnt nor taken for background
    #[arg(long, value_name = "FILE")]
    agree: Option<PathBuf>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Folder of pictures, or of folders of pictures
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// File of JSON lines
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train detector label --models teacher --images scenes/people --out people.jsonl
  limen-train detector train trainer/configs/detector/mtcnn.toml --out runs/detector --licence own
Stages that are done are not begun again: the same command, or --resume, goes on where it was stopped.")]
pub struct TrainArgs {
    /// The run's configuration; with --resume the one kept in the run's folder
    #[arg(value_name = "CONFIG", required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Folder of the run; the networks go to DIR/models
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Terms of the networks, for the manifest
    #[arg(long)]
    licence: String,
    /// Go on with the run in the folder
    #[arg(long)]
    resume: bool,
    /// Threads that read and mine pictures
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Where it computes
    #[arg(long, value_enum, default_value = "cpu")]
    device: Backend,
}

/// Arguments of `measure`.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// A run's configuration: its labels, and what it holds out
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Labels other than the run's, for pictures of the same names
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    labels: Vec<PathBuf>,
    /// Model folders, measured one after the other
    #[arg(long, value_name = "DIR", required = true, value_delimiter = ',')]
    models: Vec<PathBuf>,
    /// Detector settings
    #[arg(long, value_enum, default_value = "door")]
    detector: Preset,
    /// Threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written, or a network cannot be run.
pub fn run(command: &Detector) -> Result<()> {
    match command {
        Detector::Label(args) => label(args),
        Detector::Train(args) => train(args),
        Detector::Measure(args) => measured(args),
    }
}

fn cascade(models: &Path) -> Result<Mtcnn> {
    let manifest = Manifest::load(models)?;
    Ok(Mtcnn::load(&manifest, manifest.cascade()?)?)
}

fn label(args: &LabelArgs) -> Result<()> {
    let detector = cascade(&args.models)?;
    let settings = args.detector.settings();
    let second: Option<HashMap<PathBuf, Vec<Detection>>> = match &args.agree {
        Some(path) => Some(labels(path)?.into_iter().map(|l| (l.file, l.faces)).collect()),
        None => None,
    };
    let all = pictures(&args.images)?;
    let step = all.len().div_ceil(args.most.max(1)).max(1);
    let chosen: Vec<PathBuf> = all.into_iter().step_by(step).collect();
    ensure!(!chosen.is_empty(), "{}: no pictures", args.images.display());
    let progress = Progress::new(chosen.len() as u64, "pictures");
    let lines = parallel::map(chosen.len(), args.workers, &progress, |i| {
        let path = &chosen[i];
        let image = match photo::decode_file(path) {
            Ok(image) => image,
            Err(e) => return Ok((json!({ "file": path, "error": e.to_string() }), 0, 0)),
        };
        let mut faces = detector.detect(image.view(), &settings)?;
        let found = faces.len();
        if let Some(second) = &second {
            doubt(&mut faces, second.get(path).map_or(&[], Vec::as_slice));
        }
        let kept = faces.iter().filter(|f| f.confidence > DOUBTFUL).count();
        let line = json!({ "file": path, "width": image.width(), "height": image.height(), "faces": faces });
        Ok((line, found, kept))
    })?;
    let mut file = Vec::new();
    for (line, ..) in &lines {
        writeln!(file, "{line}")?;
    }
    std::fs::write(&args.out, file).with_context(|| format!("{}: cannot be written", args.out.display()))?;
    let sum = |f: fn(&(serde_json::Value, usize, usize)) -> usize| lines.iter().map(f).sum::<usize>();
    crate::say!("{} pictures, {} faces", lines.len(), sum(|l| l.1));
    if second.is_some() {
        crate::say!("{} of them seen by both teachers", sum(|l| l.2));
    }
    Ok(())
}

/// Confidence of a face that only one teacher saw.
const DOUBTFUL: f32 = 0.0;
/// Overlap from which two teachers mean one face.
const SAME_FROM: f32 = 0.5;
/// Most that their landmarks may lie apart in the mean, as a share of the eye distance.
const APART_MOST: f32 = 0.15;

/// Takes the confidence from the `faces` that are not in `others` too.
fn doubt(faces: &mut [Detection], others: &[Detection]) {
    for face in faces {
        let near = |other: &Detection| {
            face.bbox.iou(&other.bbox) >= SAME_FROM && apart(&other.landmarks, &face.landmarks) <= APART_MOST
        };
        if !others.iter().any(near) {
            face.confidence = DOUBTFUL;
        }
    }
}

fn train(args: &TrainArgs) -> Result<()> {
    let kept = args.out.join(FILE_NAME);
    let path = args.config.clone().unwrap_or_else(|| kept.clone());
    let config = Config::load(&path)?;
    if kept.exists() && path != kept && Config::load(&kept)? != config {
        bail!("{}: a run with another configuration; name another folder", kept.display());
    }
    let stop = stop_flag()?;
    let device = device::open(args.device)?;
    let pictures = Pictures::load(&config.data, args.workers)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("{}: cannot be made", args.out.display()))?;
    if path != kept {
        std::fs::copy(&path, &kept).with_context(|| format!("{}: cannot be written", kept.display()))?;
    }
    if run::run(&config, &pictures, &args.out, &args.licence, args.workers, &device, &stop)? {
        crate::say!("{}", args.out.join(run::MODELS).display());
    } else {
        eprintln!("limen-train: stopped; the same command goes on");
    }
    Ok(())
}

fn measured(args: &MeasureArgs) -> Result<()> {
    let mut config = Config::load(&args.config)?;
    if !args.labels.is_empty() {
        config.data.labels.clone_from(&args.labels);
    }
    let pictures = Pictures::load(&config.data, args.workers)?.held_out;
    let all: Vec<(&PathBuf, Measured)> = args
        .models
        .iter()
        .map(|models| {
            let detector = cascade(models)?;
            Ok((
                models,
                measure(&detector, &args.detector.settings(), &pictures, config.data.sure, args.workers)?,
            ))
        })
        .collect::<Result<_>>()?;
    let Some((_, first)) = all.first() else { return Ok(()) };
    crate::say!("{} held-out pictures, {} faces", first.pictures, first.faces);
    // Each at its own thresholds, and all where the one that errs least lets as many mistakes through.
    let equal = all.iter().map(|(_, m)| m.false_positives()).min().unwrap_or_default();
    for (models, m) in &all {
        let wrong = m.false_positives();
        let recall =
            |n| m.recall(n).map_or_else(|| "-".into(), |(r, t)| format!("{:.2} % (from {t:.3})", 100.0 * r));
        let error =
            |part| m.landmark_error(part).map_or_else(|| "-".into(), |e| format!("{:.2} %", 100.0 * e));
        crate::say!("{}", models.display());
        crate::say!("  found {} with {wrong} false positives, {} with {equal}", recall(wrong), recall(equal));
        crate::say!(
            "  landmarks off by {} of the eye distance in the median, {} at the 95th percentile",
            error(0.5),
            error(0.95)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::geometry::{BBox, Landmarks, Point};

    #[test]
    fn a_face_needs_the_second_teachers_word() {
        let face = |x: f32, eyes: f32| Detection {
            bbox: BBox { x1: x, y1: 0.0, x2: x + 39.0, y2: 39.0 },
            landmarks: Landmarks([
                Point::new(x + 10.0, eyes),
                Point::new(x + 30.0, eyes),
                Point::new(x + 20.0, 20.0),
                Point::new(x + 12.0, 30.0),
                Point::new(x + 28.0, 30.0),
            ]),
            confidence: 0.99,
        };
        let mut faces = [face(0.0, 10.0), face(100.0, 10.0), face(200.0, 10.0)];
        // Nearly the same; the same box, the eyes 8 px lower (3.2 px in the mean of 20); nothing.
        doubt(&mut faces, &[face(3.0, 10.0), face(100.0, 18.0)]);
        assert_eq!(faces.map(|f| f.confidence), [0.99, DOUBTFUL, DOUBTFUL]);
    }
}
