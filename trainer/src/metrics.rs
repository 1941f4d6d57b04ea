//! What a training run writes while it runs: `metrics.jsonl`, one record a line; shared by writer and reader.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Deserializer, Serialize};

/// The file's name inside a run's folder.
pub const FILE_NAME: &str = "metrics.jsonl";

/// One line. Fields that a reader does not know are passed over, and so are kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// The state of training.
    Step(Step),
    /// A figure measured on held-out data.
    Validation(Validation),
    /// Written by a later version.
    #[serde(other)]
    Unknown,
}

/// The state of training after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Optimizer steps done, from 1.
    pub step: u64,
    /// Pictures seen.
    pub samples: u64,
    /// Mean loss since the record before, in nats; not a number where training diverged (JSON: null).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Weight of the plain cosine in A-Softmax (reference section 4.3); none for heads without it.
    #[serde(default)]
    pub lambda: Option<f64>,
    /// Speed since the record before.
    #[serde(default)]
    pub images_per_s: Option<f64>,
    /// Norm of all gradients before any clipping.
    #[serde(default)]
    pub gradient_norm: Option<f64>,
    /// 1 - cosine to the teacher's embedding, mean; none without a teacher.
    #[serde(default)]
    pub teacher_loss: Option<f64>,
}

/// A figure measured on held-out data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Optimizer steps done.
    pub step: u64,
    /// Which figure, as in `lfw-single`.
    pub figure: String,
    /// Its value: rates and accuracies 0 to 1; not a number where it could not be measured (JSON: null).
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
}

/// JSON has no NaN; serde writes it as null.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A run's records in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// By rising step.
    pub steps: Vec<Step>,
    /// By rising step.
    pub validations: Vec<Validation>,
}

impl Metrics {
    /// Reads `run/metrics.jsonl`.
    ///
    /// # Errors
    /// When the file cannot be read, or a line in it is no record; a torn last line is passed over, for a run may have
    /// been killed while it wrote.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(FILE_NAME);
        let bytes = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Self::parse(&String::from_utf8_lossy(&bytes)).with_context(|| format!("{}", path.display()))
    }

    /// Reads the lines of `text`. A step that is not above the one before it was done again after a resume: what was
    /// recorded from it on is replaced.
    ///
    /// # Errors
    /// As [`Metrics::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let mut all = Self::default();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Record::Step(step)) => {
                    if all.steps.last().is_some_and(|last| last.step >= step.step) {
                        all.steps.retain(|s| s.step < step.step);
                        all.validations.retain(|v| v.step < step.step);
                    }
                    all.steps.push(step);
                }
                Ok(Record::Validation(v)) => {
                    all.validations
                        .retain(|old| old.step < v.step || (old.step == v.step && old.figure != v.figure));
                    all.validations.push(v);
                }
                Ok(Record::Unknown) => {}
                // Only the end of the file can be torn, and what is torn has no line end.
                Err(_) if i + 1 == text.lines().count() && !text.ends_with('\n') => {}
                Err(e) => bail!("line {}: {e}; delete the line, or the file if it is no metrics file", i + 1),
            }
        }
        Ok(all)
    }

    /// The last value of each validation figure, by name.
    pub fn last_validations(&self) -> std::collections::BTreeMap<&str, f64> {
        self.validations.iter().map(|v| (v.figure.as_str(), v.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"kind":"step","step":100,"samples":51200,"loss":5.2,"lr":0.1,"lambda":8.26,"images_per_s":107.0,"gradient_norm":1.3,"teacher_loss":null}
{"kind":"validation","step":100,"figure":"lfw-single","value":0.97}
"#;

    #[test]
    fn lines_are_read_and_written_alike() {
        let m = Metrics::parse(FULL).unwrap();
        assert_eq!((m.steps[0].lambda, m.steps[0].teacher_loss), (Some(8.26), None));
        assert_eq!(m.last_validations()["lfw-single"], 0.97);
        let written = [Record::Step(m.steps[0].clone()), Record::Validation(m.validations[0].clone())]
            .map(|r| serde_json::to_string(&r).unwrap() + "\n")
            .concat();
        assert_eq!(written, FULL);
    }

    #[test]
    fn unknown_fields_and_kinds_are_passed_over_and_nan_travels_as_null() {
        let text = r#"{"kind":"step","step":1,"samples":2,"loss":null,"lr":0.1,"new_field":[1]}
{"kind":"weather","sun":true}
"#;
        let m = Metrics::parse(text).unwrap();
        assert_eq!(m.steps.len(), 1);
        assert!(m.steps[0].loss.is_nan() && m.steps[0].images_per_s.is_none());
        let line = serde_json::to_string(&Record::Step(m.steps[0].clone())).unwrap();
        assert!(line.contains("\"loss\":null"), "{line}");
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_a_bad_one_named() {
        let torn = format!("{FULL}{{\"kind\":\"step\",\"st");
        assert_eq!(Metrics::parse(&torn).unwrap(), Metrics::parse(FULL).unwrap());
        let e = Metrics::parse(&format!("{{\"kind\":\n{FULL}")).unwrap_err().to_string();
        assert!(e.contains("line 1"), "{e}");
        assert!(Metrics::parse("{\"kind\":\n").is_err(), "a line with an end is whole");
    }

    #[test]
    fn a_resumed_run_replaces_what_it_does_again() {
        let step = |n: u64, loss: f64| {
            format!("{{\"kind\":\"step\",\"step\":{n},\"samples\":{n},\"loss\":{loss},\"lr\":1}}\n")
        };
        let val = |n: u64, v: f64| {
            format!("{{\"kind\":\"validation\",\"step\":{n},\"figure\":\"f\",\"value\":{v}}}\n")
        };
        let text =
            [step(10, 3.0), val(10, 0.5), step(20, 2.0), val(20, 0.6), step(20, 1.5), val(20, 0.7)].concat();
        let m = Metrics::parse(&text).unwrap();
        assert_eq!(m.steps.iter().map(|s| (s.step, s.loss)).collect::<Vec<_>>(), [(10, 3.0), (20, 1.5)]);
        assert_eq!(
            m.validations.iter().map(|v| (v.step, v.value)).collect::<Vec<_>>(),
            [(10, 0.5), (20, 0.7)]
        );
    }
}
