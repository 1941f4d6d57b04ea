//! How many steps, how fast, how many pictures a step: a pure function of the step.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The solver's settings. The defaults are SphereFace's (`sphereface_solver.prototxt`, reference section 5): batch 512
/// (256 a GPU on two: trap 1), learning rate 0.1, a tenth of it after 16,000, 24,000 and 28,000 steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps of the solver.
    pub steps: u64,
    /// Pictures a step, whatever fits into memory at once.
    pub batch: usize,
    /// Pictures a pass; gradients are summed over a step's passes. The whole batch where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Learning rate.
    pub lr: f64,
    /// Steps over which the learning rate rises from 0; 0 begins with all of it.
    pub warm_up: u64,
    /// How it falls.
    pub fall: Fall,
    /// Momentum.
    pub momentum: f64,
    /// How the velocity holds the learning rate.
    pub rule: Rule,
    /// Weight decay (L2 into the gradient).
    pub decay: f64,
    /// Largest norm of all gradients together; larger ones are scaled down to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// How the learning rate falls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Fall {
    /// Times `gamma` after each of these steps (Caffe's `multistep`).
    Steps {
        /// After so many steps, rising.
        at: Vec<u64>,
        /// Times this.
        gamma: f64,
    },
    /// Half a cosine, to 0 at the end.
    Cosine,
    /// Stays as it is.
    Constant,
}

/// How the velocity holds the learning rate: the difference shows for ten steps after each fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// v = momentum v + lr g; w -= v (Caffe `sgd_solver.cpp` L208-226).
    Caffe,
    /// v = momentum v + g; w -= lr v (PyTorch).
    Pytorch,
    /// v = momentum v + g; w -= lr (g + momentum v).
    Nesterov,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            steps: 28_000,
            batch: 512,
            micro_batch: None,
            lr: 0.1,
            warm_up: 0,
            fall: Fall::Steps { at: vec![16_000, 24_000, 28_000], gamma: 0.1 },
            momentum: 0.9,
            rule: Rule::Caffe,
            decay: 5e-4,
            clip: None,
        }
    }
}

impl Schedule {
    /// What cannot be run, by field.
    ///
    /// # Errors
    /// The first field that does not fit, and what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.steps > 0, "steps = 0: at least 1");
        ensure!((1..=1 << 20).contains(&self.batch), "batch = {}: 1 to 1048576 pictures", self.batch);
        if let Some(m) = self.micro_batch {
            ensure!(
                m > 0 && self.batch.is_multiple_of(m),
                "micro_batch = {m} does not divide batch = {}",
                self.batch
            );
        }
        ensure!(self.lr > 0.0 && self.lr <= 100.0, "lr = {}: above 0, at most 100", self.lr);
        ensure!(
            self.warm_up < self.steps,
            "warm_up = {} does not end before steps = {}",
            self.warm_up,
            self.steps
        );
        ensure!((0.0..1.0).contains(&self.momentum), "momentum = {}: 0 to below 1", self.momentum);
        ensure!((0.0..1.0).contains(&self.decay), "decay = {}: 0 to below 1", self.decay);
        ensure!(self.clip.is_none_or(|c| c > 0.0), "clip: above 0, or left out");
        if let Fall::Steps { at, gamma } = &self.fall {
            ensure!(at.is_sorted_by(|a, b| a < b), "fall.at = {at:?} does not rise");
            ensure!(
                at.iter().all(|a| *a <= self.steps),
                "fall.at = {at:?} lies beyond steps = {}",
                self.steps
            );
            ensure!(*gamma > 0.0 && *gamma <= 1.0, "fall.gamma = {gamma}: above 0, at most 1");
        }
        Ok(())
    }

    /// Pictures a pass.
    pub fn pass(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch)
    }

    /// Learning rate of the step `n`, from 1.
    pub fn lr(&self, n: u64) -> f64 {
        let done = n.saturating_sub(1); // steps before this one
        let rise = if done < self.warm_up { n as f64 / self.warm_up as f64 } else { 1.0 };
        let fall = match &self.fall {
            Fall::Constant => 1.0,
            Fall::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done as f64 / self.steps as f64).cos()),
            // Caffe counts from 0: the iteration that equals a step value has the lower rate already.
            Fall::Steps { at, gamma } => gamma.powi(at.iter().filter(|a| done >= **a).count() as i32),
        };
        self.lr * rise * fall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schedule() {
        let s = Schedule::default();
        s.validate().unwrap();
        for (step, lr) in
            [(1, 0.1), (16_000, 0.1), (16_001, 0.01), (24_000, 0.01), (24_001, 0.001), (28_000, 0.001)]
        {
            assert!((s.lr(step) - lr).abs() < 1e-12, "{step}: {}", s.lr(step));
        }
    }

    #[test]
    fn warm_up_and_cosine() {
        let s = Schedule { steps: 100, warm_up: 10, fall: Fall::Cosine, lr: 1.0, ..Schedule::default() };
        s.validate().unwrap();
        assert!((s.lr(1) - 0.1).abs() < 1e-9);
        assert!((s.lr(51) - 0.5).abs() < 1e-9, "half way: {}", s.lr(51));
        assert!(s.lr(100) < 0.001 && s.lr(100) > 0.0);
    }

    #[test]
    fn each_bad_field_is_named() {
        let bad = |field: &str, f: &dyn Fn(&mut Schedule)| {
            let mut s = Schedule::default();
            f(&mut s);
            let e = s.validate().unwrap_err().to_string();
            assert!(e.contains(field), "{field}: {e}");
        };
        bad("steps = 0", &|s| s.steps = 0);
        bad("batch = 0", &|s| s.batch = 0);
        bad("micro_batch = 100", &|s| s.micro_batch = Some(100));
        bad("lr = -1", &|s| s.lr = -1.0);
        bad("lr = NaN", &|s| s.lr = f64::NAN);
        bad("warm_up", &|s| s.warm_up = 28_000);
        bad("momentum = 1", &|s| s.momentum = 1.0);
        bad("decay", &|s| s.decay = -0.1);
        bad("clip", &|s| s.clip = Some(0.0));
        bad("does not rise", &|s| s.fall = Fall::Steps { at: vec![5, 5], gamma: 0.1 });
        bad("beyond steps", &|s| s.fall = Fall::Steps { at: vec![28_001], gamma: 0.1 });
        bad("fall.gamma", &|s| s.fall = Fall::Steps { at: vec![5], gamma: 0.0 });
    }
}
