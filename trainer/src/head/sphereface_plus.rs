//! SphereFace+: another head's loss, and the classes driven apart besides (minimum hyperspherical energy, 2018).

use serde::{Deserialize, Serialize};

use super::config::{HeadConfig, HeadError, require};
use super::energy::Energy;
use super::sphereface::SphereFace;
use super::{Head, HeadInput, Loss, WeightRule};

/// A head with unit weights and an energy. Default: OpenSphere's VGGFace2 run, SphereFace with s 30, m 1.5 and an
/// angular energy of strength 0.1. The Caffe original is an a-softmax with lambda.start 2000 and an inter-class
/// energy of alpha 10, fine-tuned from a trained SphereFace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SphereFacePlus {
    /// The margin loss.
    pub base: Box<HeadConfig>,
    /// What drives classes apart.
    pub energy: Energy,
}

impl Default for SphereFacePlus {
    fn default() -> Self {
        let base = SphereFace { m: 1.5, ..SphereFace::default() };
        Self { base: Box::new(HeadConfig::SphereFace(base)), energy: Energy::default() }
    }
}

impl Head for SphereFacePlus {
    fn loss(&self, input: HeadInput, step: u64) -> Loss {
        let (term, extra) = self.energy.term(input.weight.clone(), input.labels.clone(), step);
        let loss = self.base.head().loss(input, step);
        Loss { value: loss.value + term, extra: Some(extra), ..loss }
    }

    fn weight_rule(&self) -> WeightRule {
        WeightRule::Unit
    }

    fn lambda(&self, step: u64) -> Option<f64> {
        self.base.head().lambda(step)
    }

    fn initial_bias(&self, classes: usize) -> Option<f64> {
        self.base.head().initial_bias(classes)
    }

    fn validate(&self) -> Result<(), HeadError> {
        let fits = self.base.head().weight_rule() == WeightRule::Unit
            && !matches!(*self.base, HeadConfig::SphereFacePlus(_));
        require(
            fits,
            "base.kind",
            self.base.kind(),
            "give a head with unit weights that is not sphereface-plus itself, as in a-softmax or sphereface",
        )?;
        self.base.validate()?;
        self.energy.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::{Case, assert_close, numbers};

    #[test]
    fn the_energy_is_added() {
        let case = Case::unit();
        let head = SphereFacePlus::default();
        let base = head.base.head();
        let (term, _) = head.energy.term(case.input().weight, case.input().labels, 1);
        let sum = case.loss(base, 1) + numbers(term)[0];
        assert_close(&[case.loss(&head, 1)], &[sum], 1e-12);
        // Features have the base's gradient, weights another one.
        let (plus, alone) = (case.gradients(&head, 1), case.gradients(base, 1));
        assert_close(&plus.x, &alone.x, 1e-14);
        assert!(plus.weight.iter().zip(&alone.weight).any(|(a, b)| (a - b).abs() > 1e-4));
    }

    #[test]
    fn the_base_has_unit_weights() {
        let head =
            SphereFacePlus { base: Box::new(HeadConfig::Softmax(Default::default())), ..Default::default() };
        let error = head.validate().unwrap_err().to_string();
        assert!(error.contains("base.kind = softmax"), "{error}");
        let head = SphereFacePlus {
            base: Box::new(HeadConfig::SphereFacePlus(SphereFacePlus::default())),
            ..Default::default()
        };
        assert!(head.validate().is_err());
        assert!(SphereFacePlus::default().validate().is_ok());
    }
}
