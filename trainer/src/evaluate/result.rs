//! The result file of an evaluation: the same fields for every kind, so that a report can gather and compare them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evaluate::bootstrap::Interval;
use crate::evaluate::rates::{DetPoint, Histogram};
use crate::file::write_atomically;

/// The format this program writes; it reads this one alone.
pub const FORMAT: u32 = 1;

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// [`FORMAT`].
    pub format: u32,
    /// `lfw`, `pairs`, `identify`, `afs` or `groups`.
    pub evaluation: String,
    /// Id of the way from picture to feature; of several, joined by ` + `.
    pub model: String,
    /// What it was measured on.
    pub data: String,
    /// Pictures looked at.
    pub pictures: usize,
    /// Of them, without a usable face.
    pub failed_to_acquire: usize,
    /// Figures by name: rates and accuracies 0 to 1. The names mean the same in every file.
    pub figures: BTreeMap<String, f64>,
    /// 95 % intervals of some of the figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// Thresholds by what they stand for, as `FMR 1e-3`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f64>,
    /// The trade-off, for the plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub det: Vec<DetPoint>,
    /// Score counts, for the plots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// What is particular to the kind.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl Evaluation {
    /// An evaluation without figures yet.
    pub fn new(evaluation: &str, model: &str, data: &str, pictures: usize, failed_to_acquire: usize) -> Self {
        Self {
            format: FORMAT,
            evaluation: evaluation.into(),
            model: model.into(),
            data: data.into(),
            pictures,
            failed_to_acquire,
            figures: BTreeMap::new(),
            intervals: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            det: vec![],
            histogram: None,
            details: Value::Null,
        }
    }

    /// Notes a figure, with its interval where there is one. What is not finite is not noted.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, interval: Option<Interval>) {
        let name = name.into();
        if value.is_finite() {
            if let Some(interval) = interval {
                self.intervals.insert(name.clone(), interval);
            }
            self.figures.insert(name, value);
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }

    /// Reads a file that [`Evaluation::save`] wrote.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let result: Self = serde_json::from_str(&text).with_context(|| {
            format!("{}: is no result of `limen-train eval ... --json FILE`", path.display())
        })?;
        ensure!(
            result.format == FORMAT,
            "{}: format {} is not known here (this program reads {FORMAT}): update Limen",
            path.display(),
            result.format
        );
        Ok(result)
    }
}

/// A rate as figures' names have it: 0.001 as `1e-3`, 0.05 as `5e-2`.
pub fn rate_name(rate: f64) -> String {
    format!("{rate:e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.json");
        let mut e = Evaluation::new("pairs", "m@1", "lfw", 10, 1);
        e.figure(format!("fnmr@fmr={}", rate_name(1e-3)), 0.25, Some(Interval { low: 0.2, high: 0.3 }));
        e.figure("nan", f64::NAN, None);
        e.det.push(DetPoint { threshold: 0.1, fmr: 0.5, fnmr: 0.0 });
        e.histogram = Some(Histogram::of(&[0.5], &[0.1], 4));
        e.save(&path).unwrap();
        assert_eq!(Evaluation::load(&path).unwrap(), e);
        assert_eq!(e.figures.keys().collect::<Vec<_>>(), ["fnmr@fmr=1e-3"]);
        std::fs::write(&path, "{\"a\": 1}").unwrap();
        assert!(Evaluation::load(&path).unwrap_err().to_string().contains("is no result"));
    }
}
