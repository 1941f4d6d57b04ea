//! The class weights as a burn module: drawn, trained, and put back to unit length.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::config::{HeadError, require};
use super::surrogate::unit_rows;
use super::{Head, WeightRule};

/// Weights of a head. It belongs to the run, not to the shipped network.
#[derive(Module, Debug)]
pub struct Classifier {
    /// [classes, d].
    pub weight: Param<Tensor<2>>,
    /// [1], for heads that learn one.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Classifier {
    /// Weights uniform in +-sqrt(3 / d), Caffe's `xavier`, of unit length where the head asks for it. The draw depends
    /// on the seed alone, on any device.
    pub fn new(
        head: &dyn Head,
        classes: usize,
        d: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, HeadError> {
        require(classes >= 2, "classes", classes, "give at least 2 identities to tell apart")?;
        require(d >= 1, "embedding", d, "give an embedding length of at least 1")?;
        let a = (3.0 / d as f64).sqrt() as f32;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let drawn: Vec<f32> = (0..classes * d).map(|_| rng.random_range(-a..a)).collect();
        let weight = Param::from_data(TensorData::new(drawn, [classes, d]), device);
        let bias = head
            .initial_bias(classes)
            .map(|b| Param::from_data(TensorData::new(vec![b as f32], [1]), device));
        Ok(Self { weight, bias }.following(head.weight_rule()))
    }

    /// What the head wants after every step of the optimizer.
    pub fn following(self, rule: WeightRule) -> Self {
        match rule {
            WeightRule::Unit => self.renormalised(),
            WeightRule::Free => self,
        }
    }

    /// Rows at unit length; the parameter keeps its id, so the optimizer keeps its momentum.
    pub fn renormalised(self) -> Self {
        let weight = self.weight.map(|w| {
            let (autodiff, trained) = (w.is_autodiff(), w.is_require_grad());
            let unit = unit_rows(w.without_autodiff());
            if autodiff { unit.autodiff().set_require_grad(trained) } else { unit }
        });
        Self { weight, bias: self.bias }
    }

    /// Number of classes and embedding length.
    pub fn size(&self) -> (usize, usize) {
        let [classes, d] = self.weight.val().dims();
        (classes, d)
    }
}

#[cfg(test)]
mod tests;
