//! A run's folder as a page with plots, several as a comparison.
//!
//! Read are `config.toml`, `metrics.jsonl`, every result of `limen-train eval ... --json` (`*.json`) and a toy network's
//! `angular.npy` with `angular-labels.txt` (and `angular-classes.npy`). All of it may be missing.

pub mod compare;
pub mod figures;
pub mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::evaluate::bootstrap::Interval;
use crate::evaluate::result::Evaluation;
use crate::metrics::{FILE_NAME, Metrics};
use crate::plot::angular::{self, Cloud};

/// The configuration's name inside a run's folder.
pub const CONFIG: &str = "config.toml";

/// What a run's folder holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Its configuration as text.
    pub config: Option<String>,
    /// What training wrote.
    pub metrics: Option<Metrics>,
    /// Results of evaluations by file name without `.json`, in name order.
    pub results: BTreeMap<String, Evaluation>,
    /// The 2-d embedding of a toy network.
    pub angular: Option<Cloud>,
}

impl Run {
    /// Reads `folder`.
    ///
    /// # Errors
    /// When a file is there and damaged, or there is nothing to report on. Other JSON files are left alone.
    pub fn read(folder: &Path) -> Result<Self> {
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = name.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let config = folder.join(CONFIG);
        let config = config
            .exists()
            .then(|| {
                std::fs::read_to_string(&config)
                    .with_context(|| format!("{}: cannot be read", config.display()))
            })
            .transpose()?;
        let metrics = folder.join(FILE_NAME).exists().then(|| Metrics::read(folder)).transpose()?;
        let mut results = BTreeMap::new();
        for entry in
            std::fs::read_dir(folder).with_context(|| format!("{}: cannot be listed", folder.display()))?
        {
            let path = entry.with_context(|| format!("{}: cannot be listed", folder.display()))?.path();
            if path.extension().is_some_and(|e| e == "json") && is_result(&path) {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                results.insert(stem, Evaluation::load(&path)?);
            }
        }
        let [points, labels, classes] =
            ["angular.npy", "angular-labels.txt", "angular-classes.npy"].map(|n| folder.join(n));
        let weights = classes.exists().then_some(classes.as_path());
        let angular = points.exists().then(|| angular::load(&points, &labels, weights)).transpose()?;
        ensure!(
            metrics.is_some() || !results.is_empty() || angular.is_some(),
            "{}: nothing to report on; a {FILE_NAME} of a training run or results of `limen-train eval ... --json` are expected",
            folder.display()
        );
        Ok(Self { name, folder: folder.to_owned(), config, metrics, results, angular })
    }

    /// All figures of the run with their intervals: those of its results and the last validations. A name that stands
    /// in several results comes with the file's name before it.
    pub fn figures(&self) -> BTreeMap<String, (f64, Option<Interval>)> {
        let mut all = BTreeMap::new();
        let twice = |name: &str| self.results.values().filter(|r| r.figures.contains_key(name)).count() > 1;
        for (file, result) in &self.results {
            for (name, value) in &result.figures {
                let full = if twice(name) { format!("{file}: {name}") } else { name.clone() };
                all.insert(full, (*value, result.intervals.get(name).copied()));
            }
        }
        for (name, value) in self.metrics.iter().flat_map(Metrics::last_validations) {
            all.insert(format!("validation: {name}"), (value, None));
        }
        all
    }
}

/// Whether a JSON file claims to be a result: others may lie in the folder too.
fn is_result(path: &Path) -> bool {
    let value = std::fs::read(path).ok().and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
    value.is_some_and(|v| v.get("evaluation").is_some() && v.get("figures").is_some())
}

#[cfg(test)]
pub(crate) mod tests;
