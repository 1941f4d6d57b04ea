//! Stochastic gradient descent with momentum and decay, as Caffe does it.

use anyhow::Result;
use burn::tensor::{Device, Tensor};

use crate::engine::Param;
use crate::engine::param::{flat, read};
use crate::graph;
use crate::ops::{SgdRule, sgd_step};
use crate::training::checkpoint::Checkpoint;
use crate::training::schedule::{Rule, Schedule};

/// Velocities, one a parameter.
#[derive(Debug, Clone)]
pub struct Solver {
    momentum: f64,
    decay: f64,
    rule: Rule,
    /// In the parameters' order, outside of autodiff.
    velocity: Vec<Tensor<1>>,
}

impl Solver {
    /// At rest.
    pub fn new<'a>(schedule: &Schedule, params: impl Iterator<Item = &'a Param>) -> Self {
        Self {
            momentum: schedule.momentum,
            decay: schedule.decay,
            rule: schedule.rule,
            velocity: params.map(|p| p.value.zeros_like()).collect(),
        }
    }

    /// Moves every parameter against its gradient; `gradients` in the parameters' order, `None` for one that took no
    /// part and stays where it is.
    pub fn step<'a>(
        &mut self,
        params: impl Iterator<Item = &'a mut Param>,
        gradients: Vec<Option<Tensor<1>>>,
        lr: f64,
    ) {
        for ((param, velocity), gradient) in params.zip(&mut self.velocity).zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let (lr, decay) = (lr * param.rate.lr, self.decay * param.rate.decay);
            let rule = match self.rule {
                Rule::Caffe => SgdRule::caffe(lr, self.momentum, decay),
                Rule::Pytorch => SgdRule::plain(lr, self.momentum, decay),
                Rule::Nesterov => SgdRule::nesterov(lr, self.momentum, decay),
            };
            // The old tensors are given away, so that the update can happen in place.
            let nothing = || Tensor::empty([0], &gradient.device());
            let weight = std::mem::replace(&mut param.value, nothing());
            let old = std::mem::replace(velocity, nothing());
            (param.value, *velocity) = sgd_step(weight, gradient.clone(), Some(old), &rule);
        }
    }

    /// Every parameter and its velocity, under the names that a checkpoint holds them by.
    ///
    /// # Errors
    /// When the device fails.
    pub fn tensors<'a>(
        &self,
        params: impl Iterator<Item = &'a Param>,
    ) -> Result<Vec<(String, graph::Tensor)>> {
        let mut all = Vec::new();
        for (param, velocity) in params.zip(&self.velocity) {
            for (kind, values) in [("param", &param.value), ("velocity", velocity)] {
                let tensor = graph::Tensor::new(param.shape.as_slice(), read(values)?)?;
                all.push((format!("{kind}/{}", param.name), tensor));
            }
        }
        Ok(all)
    }

    /// Brings back what [`Solver::tensors`] gave.
    ///
    /// # Errors
    /// When the checkpoint is of another network, by tensor.
    pub fn load<'a>(
        &mut self,
        params: impl Iterator<Item = &'a mut Param>,
        checkpoint: &mut Checkpoint,
        device: &Device,
    ) -> Result<()> {
        for (param, velocity) in params.zip(&mut self.velocity) {
            for (kind, values) in [("param", &mut param.value), ("velocity", velocity)] {
                let kept = checkpoint.take(&format!("{kind}/{}", param.name), &param.shape)?;
                *values = flat(&kept, device);
            }
        }
        Ok(())
    }
}

/// Scales all gradients down to the norm `most` where theirs is larger; their norm before it.
pub fn clip(gradients: &mut [Option<Tensor<1>>], most: Option<f64>) -> f64 {
    let squares = gradients.iter().flatten().map(|g| g.clone().square().sum()).reduce(|a, b| a + b);
    let norm = squares.map_or(0.0, |s| f64::from(s.into_scalar::<f32>())).sqrt();
    if let Some(most) = most.filter(|most| norm > *most) {
        for g in gradients.iter_mut().flatten() {
            *g = g.clone() * (most / norm);
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Kind;

    /// Two steps from w = 1 with gradients 1 and 1, momentum 0.9, decay 0.1, rates 0.5 then 0.05, by hand.
    fn two_steps(rule: Rule, kind: Kind) -> f32 {
        let device = Device::flex();
        let mut params = [Param::new("a", kind, &[1], &[1.0], &device)];
        let schedule = Schedule { momentum: 0.9, decay: 0.1, rule, ..Schedule::default() };
        let mut solver = Solver::new(&schedule, params.iter());
        for lr in [0.5, 0.05] {
            solver.step(params.iter_mut(), vec![Some(flat(&[1.0], &device))], lr);
        }
        read(&params[0].value).unwrap()[0]
    }

    #[test]
    fn caffe_keeps_the_old_rate_in_the_velocity() {
        // v1 = 0.5 x 1.1 = 0.55, w1 = 0.45; v2 = 0.495 + 0.05 x 1.045 = 0.54725, w2 = -0.09725.
        assert!((two_steps(Rule::Caffe, Kind::Weight) + 0.097_25).abs() < 1e-6);
        // PyTorch: v1 = 1.1, w1 = 0.45; v2 = 0.99 + 1.045 = 2.035, w2 = 0.45 - 0.10175 = 0.34825.
        assert!((two_steps(Rule::Pytorch, Kind::Weight) - 0.348_25).abs() < 1e-6);
        // Nesterov: v1 = 1.1, w1 = 1 - 0.5 x (1.1 + 0.99) = -0.045; g2 = 0.9955, v2 = 1.9855,
        // w2 = -0.045 - 0.05 x (0.9955 + 1.78695) = -0.1841225.
        assert!((two_steps(Rule::Nesterov, Kind::Weight) + 0.184_122_5).abs() < 1e-6);
    }

    #[test]
    fn a_bias_moves_twice_as_fast_and_does_not_decay() {
        // v1 = 1.0 x 1, w1 = 0; v2 = 0.9 + 0.1 = 1.0, w2 = -1.
        assert!((two_steps(Rule::Caffe, Kind::Bias) + 1.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_clipped_together() {
        let device = Device::flex();
        let mut g = [Some(flat(&[3.0], &device)), None, Some(flat(&[4.0], &device))];
        assert_eq!(clip(&mut g, Some(5.0)), 5.0);
        assert_eq!(clip(&mut g, Some(1.0)), 5.0);
        let values: Vec<f32> = g.iter().flatten().flat_map(|g| read(g).unwrap()).collect();
        assert!((values[0] - 0.6).abs() < 1e-6 && (values[1] - 0.8).abs() < 1e-6, "{values:?}");
        assert_eq!(clip(&mut [], Some(1.0)), 0.0);
    }

    #[test]
    fn without_a_gradient_nothing_moves() {
        let device = Device::flex();
        let mut params = [Param::new("a", Kind::Weight, &[1], &[1.0], &device)];
        let mut solver = Solver::new(&Schedule::default(), params.iter());
        solver.step(params.iter_mut(), vec![None], 0.5);
        assert_eq!(read(&params[0].value).unwrap(), [1.0]);
    }
}
