//! A detector's run as one file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Stage;
use crate::training::schedule::Schedule;

/// Name of the copy in a run's folder.
pub const FILE_NAME: &str = "detector.toml";

/// The whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Decides first weights, windows and light.
    pub seed: u64,
    /// Face probability from which a window shall pass P-, R- and O-Net, for the manifest; left out, MTCNN's own.
    #[serde(default)]
    pub thresholds: Option<[f32; 3]>,
    /// How often O-Net shall look for the landmarks, 1 or 2, for the manifest; left out, once.
    #[serde(default)]
    pub landmark_looks: Option<u8>,
    /// What it learns from.
    pub data: Data,
    /// P-Net's steps.
    pub p: Schedule,
    /// R-Net's steps.
    pub r: Schedule,
    /// O-Net's steps.
    pub o: Schedule,
}

/// Pictures and their faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Files of JSON lines as `limen-train detect` prints them: pictures with their faces. Relative paths, here and in
    /// them, start at the working directory.
    pub labels: Vec<PathBuf>,
    /// Folders of pictures without a face.
    #[serde(default)]
    pub empty: Vec<PathBuf>,
    /// Confidence from which a labelled face is one to learn from; what lies below is neither face nor background.
    #[serde(default = "sure")]
    pub sure: f32,
    /// Share of the pictures that is never learnt from.
    #[serde(default = "held_out")]
    pub held_out: f64,
}

fn sure() -> f32 {
    0.98
}

fn held_out() -> f64 {
    0.1
}

impl Config {
    /// Reads and checks.
    ///
    /// # Errors
    /// When the file cannot be read, or a value is out of its range, by name.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let config: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        config.check().with_context(|| path.display().to_string())?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.data.labels.is_empty(), "data.labels: no file; `limen-train detect` prints them");
        for t in self.thresholds.iter().flatten() {
            // What the manifest would refuse, after the first network's hours.
            ensure!((0.0..1.0).contains(t), "thresholds: {t} is no probability from 0 to below 1");
        }
        if let Some(looks) = self.landmark_looks {
            ensure!((1..=2).contains(&looks), "landmark_looks = {looks}: 1 or 2");
        }
        ensure!((0.0..=1.0).contains(&self.data.sure), "data.sure = {}: 0 to 1", self.data.sure);
        ensure!(
            (0.0..=0.5).contains(&self.data.held_out),
            "data.held_out = {}: 0 to 0.5",
            self.data.held_out
        );
        for stage in Stage::ALL {
            let schedule = self.schedule(stage);
            schedule.validate().with_context(|| format!("{stage:?}").to_lowercase())?;
            ensure!(schedule.batch >= 8, "a batch holds at least 8 windows, not {}", schedule.batch);
        }
        Ok(())
    }

    /// The steps of a stage.
    pub const fn schedule(&self, stage: Stage) -> &Schedule {
        match stage {
            Stage::P => &self.p,
            Stage::R => &self.r,
            Stage::O => &self.o,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_a_run() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/detector/mtcnn.toml");
        let config = Config::load(&file).unwrap();
        assert_eq!((config.data.labels.len(), config.schedule(Stage::O).steps), (2, 9000));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            let file = dir.path().join("d.toml");
            std::fs::write(&file, text).unwrap();
            format!("{:#}", Config::load(&file).unwrap_err())
        };
        let stages = "[p]\nsteps = 9\n[r]\nlr = 0.0\n[o]\n";
        let with = |data: &str, stages: &str| refused(&format!("seed = 1\n[data]\n{data}\n{stages}"));
        assert!(with("labels = []", stages).contains("d.toml: data.labels: no file"));
        assert!(with("labels = [\"a\"]\nheld_out = 0.9", stages).contains("data.held_out = 0.9: 0 to 0.5"));
        let error =
            refused(&format!("seed = 1\nthresholds = [0.5, 1.0, 0.7]\n[data]\nlabels = [\"a\"]\n{stages}"));
        assert!(error.contains("thresholds: 1 is no probability"), "{error}");
        let error = refused(&format!("seed = 1\nlandmark_looks = 0\n[data]\nlabels = [\"a\"]\n{stages}"));
        assert!(error.contains("landmark_looks = 0: 1 or 2"), "{error}");
        let error = with("labels = [\"a\"]", stages);
        assert!(error.contains("d.toml: p: fall.at"), "{error}");
        let error = with("labels = [\"a\"]", &stages.replace("[p]", "[p]\nfall = { kind = \"constant\" }"));
        assert!(error.contains("r: lr = 0"), "{error}");
        assert!(with("label = 3", stages).contains("unknown field `label`"));
    }
}
