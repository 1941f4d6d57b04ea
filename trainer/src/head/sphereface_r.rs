//! SphereFace-R: three ways to put a margin in, three ways to treat the feature's length (T-PAMI 2022).

use serde::{Deserialize, Serialize};

use super::angular::{Angular, MarginGradient};
use super::config::{HeadError, require, require_factor, require_scale};
use super::cross_entropy::{Logits, Others, cross_entropy};
use super::phi::Phi;
use super::surrogate::constant;
use super::{Extra, Head, HeadInput, Loss, WeightRule};

/// SphereFace-R. Its default is OpenSphere's: v0 with hard feature normalisation, s 30, m 1.5, loss weight 50; the
/// VGGFace2 run has v2, s 60, m 1.4. Gradients are detached (CGD).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SphereFaceR {
    /// Where the margin is.
    pub version: Version,
    /// What becomes of the feature's length.
    pub norm: Norm,
}

/// The target function (`spherefacer.py` L15-26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// (-1)^k cos(m theta) - 2k for the own class.
    #[default]
    V0,
    /// cos(min(m theta, pi)) for the own class.
    V1,
    /// cos(theta / m) for all others.
    V2,
}

/// The feature's length (`spherefacer.py` L35-143).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Norm {
    /// Hard feature normalisation: logits s (cos + change), loss lw CE / s.
    Hfn {
        /// Scale; 30 by default.
        #[serde(default = "thirty")]
        s: f64,
        /// Margin, at least 1; 1.5 by default.
        #[serde(default = "one_and_a_half")]
        m: f64,
        /// Loss weight; 50 by default.
        #[serde(default = "fifty")]
        lw: f64,
    },
    /// Soft feature normalisation: logits |x| (cos + change), loss lw CE / s + t mean | |x| - s |. The margin is
    /// 1 + dm times the number of `steps` that have passed. Its authors call it not fully tested.
    Sfn {
        /// The length that features are drawn to; 30 by default.
        #[serde(default = "thirty")]
        s: f64,
        /// The margin's growth at each of `steps`; 1.5 by default.
        #[serde(default = "one_and_a_half")]
        dm: f64,
        /// Steps after which the margin grows; none by default, which is no margin at all.
        #[serde(default)]
        steps: Vec<u64>,
        /// Strength of the drawing; 0.01 by default.
        #[serde(default = "a_hundredth")]
        t: f64,
        /// Loss weight; 50 by default.
        #[serde(default = "fifty")]
        lw: f64,
    },
    /// No feature normalisation: logits |x| (cos + change), loss lw CE; the margin grows as for `sfn`. Its authors
    /// call it not fully tested.
    Nfn {
        /// The margin's growth at each of `steps`; 0.1 by default.
        #[serde(default = "a_tenth")]
        dm: f64,
        /// Steps after which the margin grows.
        #[serde(default)]
        steps: Vec<u64>,
        /// Loss weight; 1 by default.
        #[serde(default = "one")]
        lw: f64,
    },
}

impl Default for Norm {
    fn default() -> Self {
        Self::Hfn { s: thirty(), m: one_and_a_half(), lw: fifty() }
    }
}

fn thirty() -> f64 {
    30.0
}

fn fifty() -> f64 {
    50.0
}

fn one() -> f64 {
    1.0
}

fn one_and_a_half() -> f64 {
    1.5
}

fn a_tenth() -> f64 {
    0.1
}

fn a_hundredth() -> f64 {
    0.01
}

impl Norm {
    /// The margin at a step.
    fn margin(&self, step: u64) -> f64 {
        match self {
            Self::Hfn { m, .. } => *m,
            Self::Sfn { dm, steps, .. } | Self::Nfn { dm, steps, .. } => {
                1.0 + dm * steps.iter().filter(|s| **s < step).count() as f64
            }
        }
    }
}

impl Head for SphereFaceR {
    fn loss(&self, input: HeadInput, step: u64) -> Loss {
        let angular = match &self.norm {
            Norm::Hfn { s, .. } => Angular::scaled(input, *s, MarginGradient::Detached),
            Norm::Sfn { .. } | Norm::Nfn { .. } => Angular::unscaled(input, MarginGradient::Detached),
        };
        let m = self.norm.margin(step);
        let (phi, others) = match self.version {
            Version::V0 => (Phi::Folded(m), Others::Plain),
            Version::V1 => (Phi::Ended(m), Others::Plain),
            Version::V2 => (Phi::Same, Others::Narrowed { scale: angular.scale.clone(), divisor: m }),
        };
        let target = angular.target(phi);
        let Angular { input, scale: lengths, plain, .. } = angular;
        let logits = Logits { feature: input.x, weight: input.weight, target, plain, others };
        let loss = cross_entropy(logits, &input.labels, input.chunk);
        match &self.norm {
            Norm::Hfn { s, lw, .. } => Loss { value: loss.value * (lw / s), ..loss },
            Norm::Nfn { lw, .. } => Loss { value: loss.value * *lw, ..loss },
            Norm::Sfn { s, t, lw, .. } => {
                let off = (lengths - *s).abs().mean();
                let extra = Some(Extra { name: "length", value: constant(&off) });
                Loss { value: loss.value * (lw / s) + off * *t, extra, ..loss }
            }
        }
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn validate(&self) -> Result<(), HeadError> {
        let positive = |field, value: f64| {
            require(value.is_finite() && value > 0.0, field, value, "give a number above 0")
        };
        let growth = |dm: f64| {
            require(dm.is_finite() && dm >= 0.0, "norm.dm", dm, "give how much the margin grows, at least 0")
        };
        match &self.norm {
            Norm::Hfn { s, m, lw } => {
                require_scale("norm.s", *s)?;
                require_factor(*m)?;
                positive("norm.lw", *lw)
            }
            Norm::Sfn { s, dm, t, lw, .. } => {
                require_scale("norm.s", *s)?;
                growth(*dm)?;
                positive("norm.lw", *lw)?;
                require(t.is_finite() && *t >= 0.0, "norm.t", *t, "give a strength, at least 0")
            }
            Norm::Nfn { dm, lw, .. } => {
                growth(*dm)?;
                positive("norm.lw", *lw)
            }
        }
    }
}

#[cfg(test)]
mod tests;
