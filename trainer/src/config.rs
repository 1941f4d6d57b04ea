//! One file per training run, saved with the run: data, network, head, schedule, guard.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limen_models::manifest::Colour;
use serde::{Deserialize, Serialize};

use crate::backbone::Spec;
use crate::dataset::augment::Augment;
use crate::engine::Precision;
use crate::head::HeadConfig;
use crate::training::guard::Guard;
use crate::training::schedule::Schedule;

/// The file's name inside a run's folder.
pub const FILE_NAME: &str = "config.toml";

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Decides the first weights, the order of the pictures, every augmentation and every sample of classes.
    #[serde(default = "seed")]
    pub seed: u64,
    /// Pictures.
    pub data: Data,
    /// The backbone.
    #[serde(default)]
    pub network: Spec,
    /// What the weights begin as; drawn from the seed where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The loss.
    pub head: HeadConfig,
    /// How many of the classes are looked at.
    #[serde(default)]
    pub classes: Classes,
    /// Steps, learning rate, batch.
    pub schedule: Schedule,
    /// What is changed in the pictures.
    #[serde(default)]
    pub augment: Augment,
    /// An embedder to learn from besides the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Teacher>,
    /// What happens when training diverges.
    #[serde(default)]
    pub guard: Guard,
    /// Checkpoints, validation, reports.
    #[serde(default)]
    pub output: Output,
}

fn seed() -> u64 {
    1
}

/// Which pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Sets of crops: a folder of identity folders, a list file, tar shards or a raw cache. Relative paths start at
    /// the working folder.
    pub paths: Vec<PathBuf>,
    /// Identities left out: a list file as `limen-train overlap` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<PathBuf>,
    /// Takes the first so many identities; all where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<u32>,
    /// Identities with fewer pictures are left out.
    #[serde(default = "one")]
    pub min_pictures: u32,
    /// Share of the identities held out for validation and thresholds, 0 to 0.5.
    #[serde(default = "held_out")]
    pub held_out: f64,
    /// Channel order of the network's input; SphereFace is BGR (reference trap 8).
    #[serde(default = "bgr")]
    pub colour: Colour,
    /// Decoding threads; all cores where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

fn one() -> u32 {
    1
}
fn held_out() -> f64 {
    0.02
}
fn bgr() -> Colour {
    Colour::Bgr
}

/// Weights to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Start {
    /// A checkpoint of a run: backbone, and the classifier too where it has as many classes.
    Checkpoint(PathBuf),
    /// An ONNX network, its batch normalisation folded already.
    Onnx(PathBuf),
    /// Named tensors (.safetensors) of this run's own network.
    Weights(PathBuf),
    /// The same of a smaller network, which this one begins as: fewer residual units, or the light head for fc5.
    Smaller(PathBuf),
    /// A checkpoint as above, with embeddings of another length in the same directions.
    Scaled {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// How many times as long.
        by: f32,
    },
}

/// An embedder whose embeddings the network is pulled toward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// Model folder with the teacher's manifest entry, which says how pictures go in.
    pub models: PathBuf,
    /// Its id there.
    pub id: String,
    /// Times the teacher's loss, 1 - cosine.
    #[serde(default = "full")]
    pub weight: f64,
    /// Times the head's loss: 0 learns from the teacher alone.
    #[serde(default = "full")]
    pub head_weight: f64,
    /// Whether the class weights begin as the means of its embeddings of each person, so that the margin bites from the
    /// first step on; its embedding must be as long as the network's.
    #[serde(default)]
    pub classes: bool,
    /// Where its embeddings are kept, so that a second run need not wait; beside the run where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

fn full() -> f64 {
    1.0
}

/// How many of the classes are looked at, for sets of very many people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classes {
    /// Share of the classes drawn for a step, those of the batch always among them (PartialFC, reference section 8.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// Classes whose logits are in memory at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<NonZeroUsize>,
}

/// What a run leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints kept, the newest.
    pub keep: usize,
    /// Steps between validations; 0 never.
    pub validate_every: u64,
    /// Genuine and impostor pairs of held-out identities, each.
    pub pairs: usize,
    /// Steps between lines of metrics.
    pub log_every: u64,
    /// In what numbers the layers compute.
    pub precision: Precision,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            checkpoint_every: 500,
            keep: 2,
            validate_every: 500,
            pairs: 600,
            log_every: 20,
            precision: Precision::F32,
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Naming the file, the line and field, and what would be right.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// The same from text.
    ///
    /// # Errors
    /// As [`Config::load`], without the file.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// What cannot be run, by field.
    ///
    /// # Errors
    /// The first field that does not fit, and what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(!self.data.paths.is_empty(), "data.paths: at least one set of pictures is needed");
        ensure!(
            (0.0..=0.5).contains(&self.data.held_out),
            "data.held_out = {}: a share of 0 to 0.5",
            self.data.held_out
        );
        ensure!(
            self.data.held_out > 0.0 || self.output.validate_every == 0,
            "data.held_out = 0 leaves nobody to validate on: hold some out, or set output.validate_every = 0"
        );
        self.network.validate().map_err(anyhow::Error::msg)?;
        self.head.validate().context("head")?;
        if let Some(share) = self.classes.sample {
            ensure!(share > 0.0 && share <= 1.0, "classes.sample = {share}: above 0, at most 1");
        }
        if let Some(Start::Scaled { by, .. }) = &self.start {
            ensure!(*by > 0.0 && by.is_finite(), "start.scaled.by = {by}: above 0");
        }
        self.schedule.validate().context("schedule")?;
        self.guard.validate().context("guard")?;
        ensure!(self.output.checkpoint_every > 0, "output.checkpoint_every = 0: at least 1 step");
        ensure!(self.output.keep > 0, "output.keep = 0: at least 1 checkpoint is kept");
        ensure!(self.output.log_every > 0, "output.log_every = 0: at least 1 step");
        if let Some(t) = &self.teacher {
            let weight = |w: f64| (0.0..=1000.0).contains(&w);
            ensure!(weight(t.weight), "teacher.weight = {}: 0 to 1000", t.weight);
            ensure!(weight(t.head_weight), "teacher.head_weight = {}: 0 to 1000", t.head_weight);
            ensure!(t.weight + t.head_weight > 0.0, "teacher: with both weights 0 nothing is learnt");
        }
        Ok(())
    }

    /// As TOML with every default written out, to be kept beside the results.
    ///
    /// # Errors
    /// Never for a configuration that was parsed.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

#[cfg(test)]
mod tests;
