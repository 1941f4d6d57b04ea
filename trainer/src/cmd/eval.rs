//! `limen-train eval`: the evaluations, one a file.

pub mod afs;
pub mod groups;
pub mod identify;
pub mod lfw;
pub mod pairs;
pub mod seeds;
pub mod source;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use limen_models::detect::mtcnn::Settings;
use limen_models::manifest::Manifest;
use limen_models::pipeline::Pipeline;
use limen_models::quality::Limits;

/// Detector settings by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// As SphereFace prepares data: min face 20 px, pyramid factor 0.85.
    TrainingData,
    /// As at the door: min face an eighth of the frame, factor 0.709.
    Door,
    /// As at the door, for pictures that one face fills: min face 0.35 of the frame.
    CloseUp,
}

impl Preset {
    /// The settings.
    pub fn settings(self) -> Settings {
        match self {
            Self::TrainingData => Settings::training_data(),
            Self::Door => Settings::door(),
            Self::CloseUp => Settings::close_up(),
        }
    }
}

/// A model and how it is run.
#[derive(Debug, Args)]
pub struct Common {
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    pub models: PathBuf,
    /// Embedder by id; the manifest's default otherwise
    #[arg(long, value_name = "ID")]
    pub embedder: Option<String>,
    /// Detector settings
    #[arg(long, value_enum, default_value = "training-data")]
    pub detector: Preset,
    /// Threads
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    pub workers: usize,
}

impl Common {
    /// The manifest and the pipeline, without quality limits: an evaluation judges every face.
    ///
    /// # Errors
    /// When the manifest or a network cannot be read.
    pub fn load(&self) -> Result<(Manifest, Pipeline)> {
        let manifest = Manifest::load(&self.models)?;
        let pipeline =
            Pipeline::load(&manifest, self.embedder.as_deref(), self.detector.settings(), Limits::none())?;
        Ok((manifest, pipeline))
    }
}

/// The evaluations.
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// LFW view 2: ten folds, SphereFace's protocol
    Lfw(lfw::Lfw),
    /// Verification: FNMR at low false match rates with intervals, equal error rate, worst errors
    Pairs(pairs::Pairs),
    /// Identification: against growing numbers of distractors, or a few subjects and strangers at one threshold
    Identify(identify::Identify),
    /// Angular Fisher score
    Afs(afs::Afs),
    /// Error rates per group of people, from a table
    Groups(groups::Groups),
    /// Mean and spread of the results of several runs
    Seeds(seeds::Seeds),
}

/// Runs an evaluation.
///
/// # Errors
/// Those of the evaluation.
pub fn run(eval: &Eval) -> Result<()> {
    match eval {
        Eval::Lfw(args) => lfw::run(args),
        Eval::Pairs(args) => pairs::run(args),
        Eval::Identify(args) => identify::run(args),
        Eval::Afs(args) => afs::run(args),
        Eval::Groups(args) => groups::run(args),
        Eval::Seeds(args) => seeds::run(args),
    }
}
