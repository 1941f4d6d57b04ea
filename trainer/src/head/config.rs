//! Heads by name: one table of a run's config, checked before anything is built.

use std::fmt::Display;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Head;
use super::a_softmax::ASoftmax;
use super::arcface::ArcFace;
use super::cosface::CosFace;
use super::l_softmax::LSoftmax;
use super::modified_softmax::ModifiedSoftmax;
use super::softmax::Softmax;
use super::sphereface::SphereFace;
use super::sphereface_plus::SphereFacePlus;
use super::sphereface_r::SphereFaceR;
use super::sphereface2::SphereFace2;

/// A head and its settings; `kind` is its name. Settings left out have the published values.
///
/// ```toml
/// [head]
/// kind = "a-softmax"
/// m = 4
/// lambda = { base = 1000, gamma = 0.12, power = 1, min = 5 }
/// gradient = "reference"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum HeadConfig {
    /// Plain softmax.
    #[serde(rename = "softmax")]
    Softmax(Softmax),
    /// Unit weights, no margin.
    #[serde(rename = "modified-softmax")]
    ModifiedSoftmax(ModifiedSoftmax),
    /// SphereFace as published in 2017, the default.
    #[serde(rename = "a-softmax")]
    ASoftmax(ASoftmax),
    /// Its predecessor.
    #[serde(rename = "l-softmax")]
    LSoftmax(LSoftmax),
    /// SphereFace with scaled features and any m.
    #[serde(rename = "sphereface")]
    SphereFace(SphereFace),
    /// SphereFace-R.
    #[serde(rename = "sphereface-r")]
    SphereFaceR(SphereFaceR),
    /// SphereFace2, type C.
    #[serde(rename = "sphereface2")]
    SphereFace2(SphereFace2),
    /// A head with hyperspherical energy.
    #[serde(rename = "sphereface-plus")]
    SphereFacePlus(SphereFacePlus),
    /// CosFace.
    #[serde(rename = "cosface")]
    CosFace(CosFace),
    /// ArcFace.
    #[serde(rename = "arcface")]
    ArcFace(ArcFace),
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self::ASoftmax(ASoftmax::default())
    }
}

impl HeadConfig {
    /// The name in the config.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Softmax(_) => "softmax",
            Self::ModifiedSoftmax(_) => "modified-softmax",
            Self::ASoftmax(_) => "a-softmax",
            Self::LSoftmax(_) => "l-softmax",
            Self::SphereFace(_) => "sphereface",
            Self::SphereFaceR(_) => "sphereface-r",
            Self::SphereFace2(_) => "sphereface2",
            Self::SphereFacePlus(_) => "sphereface-plus",
            Self::CosFace(_) => "cosface",
            Self::ArcFace(_) => "arcface",
        }
    }

    /// The head, unchecked.
    pub fn head(&self) -> &dyn Head {
        match self {
            Self::Softmax(head) => head,
            Self::ModifiedSoftmax(head) => head,
            Self::ASoftmax(head) => head,
            Self::LSoftmax(head) => head,
            Self::SphereFace(head) => head,
            Self::SphereFaceR(head) => head,
            Self::SphereFace2(head) => head,
            Self::SphereFacePlus(head) => head,
            Self::CosFace(head) => head,
            Self::ArcFace(head) => head,
        }
    }

    /// Is every setting in its range?
    pub fn validate(&self) -> Result<(), HeadError> {
        self.head().validate()
    }

    /// The head, checked.
    pub fn build(&self) -> Result<Box<dyn Head>, HeadError> {
        self.validate()?;
        Ok(match self.clone() {
            Self::Softmax(head) => Box::new(head),
            Self::ModifiedSoftmax(head) => Box::new(head),
            Self::ASoftmax(head) => Box::new(head),
            Self::LSoftmax(head) => Box::new(head),
            Self::SphereFace(head) => Box::new(head),
            Self::SphereFaceR(head) => Box::new(head),
            Self::SphereFace2(head) => Box::new(head),
            Self::SphereFacePlus(head) => Box::new(head),
            Self::CosFace(head) => Box::new(head),
            Self::ArcFace(head) => Box::new(head),
        })
    }
}

/// A setting out of its range. The config has to be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("head: {field} = {value}: {cure}")]
pub struct HeadError {
    /// The setting, as it is written under `head`.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub cure: &'static str,
}

pub(super) fn require(
    ok: bool,
    field: &'static str,
    value: impl Display,
    cure: &'static str,
) -> Result<(), HeadError> {
    if ok { Ok(()) } else { Err(HeadError { field, value: value.to_string(), cure }) }
}

/// A scale: above 0. With s of a few hundred, exp(-2s) is no longer a number of f32.
pub(super) fn require_scale(field: &'static str, s: f64) -> Result<(), HeadError> {
    require(s > 0.0 && s <= 1000.0, field, s, "give a scale above 0, at most 1000, as in 30 or 64")
}

/// A factor of the angle: at least 1.
pub(super) fn require_factor(m: f64) -> Result<(), HeadError> {
    require((1.0..=10.0).contains(&m), "m", m, "give a factor of the angle from 1 to 10, as in 1.5")
}

pub(super) fn require_margin(m: f64, range: Range<f64>, cure: &'static str) -> Result<(), HeadError> {
    require(range.contains(&m), "m", m, cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::angular::MarginGradient;
    use crate::head::{Annealing, WeightRule, energy::Energy, margin::Margin};

    fn read(text: &str) -> Result<HeadConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Names, and the published values as defaults (sections 4 to 7).
    #[test]
    fn names_and_published_defaults() {
        let config = read(r#"{"kind": "a-softmax"}"#).unwrap();
        assert_eq!(config, HeadConfig::default());
        let HeadConfig::ASoftmax(head) = config else { panic!("{config:?}") };
        assert_eq!((head.m, head.lambda, head.scale), (Margin::Quadruple, Annealing::SPHEREFACE, None));
        let table = [
            ("softmax", WeightRule::Free),
            ("modified-softmax", WeightRule::Unit),
            ("a-softmax", WeightRule::Unit),
            ("l-softmax", WeightRule::Free),
            ("sphereface", WeightRule::Unit),
            ("sphereface-r", WeightRule::Unit),
            ("sphereface2", WeightRule::Unit),
            ("sphereface-plus", WeightRule::Unit),
            ("cosface", WeightRule::Unit),
            ("arcface", WeightRule::Unit),
        ];
        for (kind, rule) in table {
            let config = read(&format!(r#"{{"kind": "{kind}"}}"#)).unwrap();
            assert_eq!((config.kind(), config.head().weight_rule()), (kind, rule));
            config.build().unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(read(&text).unwrap(), config, "{text}");
        }
        let arc = ArcFace { s: 64.0, m: 0.5, gradient: MarginGradient::Detached };
        assert_eq!(read(r#"{"kind": "arcface"}"#).unwrap(), HeadConfig::ArcFace(arc));
    }

    #[test]
    fn settings_are_read() {
        let text = r#"{"kind": "a-softmax", "m": 3, "gradient": "readme", "scale": 20,
            "lambda": {"base": 1500, "gamma": 0.1, "power": 1, "min": 5}}"#;
        let HeadConfig::ASoftmax(head) = read(text).unwrap() else { panic!("{text}") };
        assert_eq!((head.m, head.scale, head.lambda.base), (Margin::Triple, Some(20.0), 1500.0));
        let text = r#"{"kind": "sphereface-plus", "base": {"kind": "a-softmax"},
            "energy": {"kind": "inter-class", "alpha": 5.3}}"#;
        let HeadConfig::SphereFacePlus(head) = read(text).unwrap() else { panic!("{text}") };
        assert_eq!(
            (head.base.kind(), head.energy),
            ("a-softmax", Energy::InterClass { alpha: 5.3, start: 1 })
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = ["s", "margin", "Kind"];
        for field in unknown {
            let error = read(&format!(r#"{{"kind": "a-softmax", "{field}": 1}}"#)).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        assert!(read(r#"{"kind": "softmax", "s": 1}"#).is_err());
        assert!(read(r#"{"kind": "a-softmax", "m": 5}"#).unwrap_err().to_string().contains("m = 5"));
        assert!(read(r#"{"kind": "sphereface-r", "norm": {"kind": "nfn", "s": 1}}"#).is_err());
        let table = [
            (r#"{"kind": "cosface", "s": 0}"#, "s = 0"),
            (r#"{"kind": "cosface", "m": -0.1}"#, "m = -0.1"),
            (r#"{"kind": "arcface", "m": 4}"#, "m = 4"),
            (r#"{"kind": "sphereface", "m": 0.5}"#, "m = 0.5"),
            (r#"{"kind": "sphereface2", "alpha": 1}"#, "alpha = 1"),
            (r#"{"kind": "modified-softmax", "scale": -1}"#, "scale = -1"),
            (r#"{"kind": "sphereface-r", "norm": {"kind": "hfn", "lw": 0}}"#, "norm.lw = 0"),
            (r#"{"kind": "sphereface-plus", "base": {"kind": "cosface", "s": 0}}"#, "s = 0"),
            (
                r#"{"kind": "sphereface-plus", "energy": {"kind": "angular", "strength": -1}}"#,
                "energy.strength",
            ),
        ];
        for (text, part) in table {
            let error = read(text).unwrap().build().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("give"), "{text}: {error}");
        }
    }
}
