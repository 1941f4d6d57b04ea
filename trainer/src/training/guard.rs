//! Recognises training that has stopped to learn, and says what helps.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Loss at which Caffe's softmax saturates: -ln(FLT_MIN) (reference trap 10).
pub const CAFFE_CEILING: f64 = 87.3365;

/// When training is called diverged, and what happens then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// What happens.
    pub policy: Policy,
    /// Steps before which a loss at chance level is no fault: nothing has been learnt yet.
    pub patience: u64,
    /// Steps whose mean is judged.
    pub window: usize,
    /// How near to ln(classes) the mean counts as chance level, as a share of it.
    pub nearness: f64,
}

/// What happens when training diverges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The run ends with a sentence; the newest checkpoint is whole.
    Stop,
    /// The run goes back to its newest checkpoint and anneals toward twice the lambda, at most four times.
    RaiseLambda,
}

impl Default for Guard {
    fn default() -> Self {
        Self { policy: Policy::Stop, patience: 2_000, window: 200, nearness: 0.02 }
    }
}

impl Guard {
    /// What cannot be used, by field.
    ///
    /// # Errors
    /// The first field that does not fit, and what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.window >= 1, "window = 0: at least 1 step");
        ensure!((0.0..0.5).contains(&self.nearness), "nearness = {}: 0 to below 0.5", self.nearness);
        Ok(())
    }
}

/// What is wrong with the losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// A loss is no number.
    NotFinite,
    /// The loss is where a softmax saturates.
    Saturated {
        /// Mean over the window.
        loss: f64,
    },
    /// The loss is that of guessing.
    Chance {
        /// Mean over the window.
        loss: f64,
        /// ln(classes).
        chance: f64,
    },
}

impl Divergence {
    /// What it is and what helps, for a person.
    pub fn explain(&self, lambda: Option<f64>) -> String {
        let margin = match lambda {
            Some(l) => format!(
                "raise head.lambda.min (lambda is {l:.1} now; the paper ends at 5, 10 is safer), or let \
                 guard.policy = \"raise-lambda\" do it; a larger batch, and a start from a softmax run help as well"
            ),
            None => "lower schedule.lr, or begin with schedule.warm_up".to_owned(),
        };
        match self {
            Self::NotFinite => format!(
                "the loss is no number any more: the learning rate is too high for this network, or a picture is \
                 broken (limen-train check). Cure: set schedule.clip = 5 or a lower schedule.lr; {margin}"
            ),
            Self::Saturated { loss } => format!(
                "the mean loss is {loss:.2}, where a softmax is certain of the wrong answer (Caffe prints \
                 {CAFFE_CEILING:.2} there): training has diverged. Cure: {margin}"
            ),
            Self::Chance { loss, chance } => format!(
                "the mean loss is {loss:.3}, that of guessing (ln of the number of classes is {chance:.3}): nothing is \
                 being learnt. Cure: {margin}"
            ),
        }
    }
}

/// Watches the losses of a run.
#[derive(Debug)]
pub struct Watcher {
    guard: Guard,
    chance: f64,
    recent: VecDeque<f64>,
}

impl Watcher {
    /// For a softmax over `classes`.
    pub fn new(guard: &Guard, classes: usize) -> Self {
        Self { guard: guard.clone(), chance: (classes as f64).ln(), recent: VecDeque::new() }
    }

    /// Takes the loss of the step `n` (from 1); says so when training has diverged.
    pub fn judge(&mut self, n: u64, loss: f64) -> Option<Divergence> {
        if !loss.is_finite() {
            return Some(Divergence::NotFinite);
        }
        self.recent.push_back(loss);
        if self.recent.len() > self.guard.window {
            self.recent.pop_front();
        }
        if self.recent.len() < self.guard.window {
            return None;
        }
        let mean = self.recent.iter().sum::<f64>() / self.recent.len() as f64;
        if mean >= CAFFE_CEILING * 0.99 {
            return Some(Divergence::Saturated { loss: mean });
        }
        let near = (mean - self.chance).abs() <= self.guard.nearness * self.chance;
        (n > self.guard.patience && near).then_some(Divergence::Chance { loss: mean, chance: self.chance })
    }

    /// Forgets what it has seen, after a return to an earlier step.
    pub fn forget(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher() -> Watcher {
        Watcher::new(&Guard { patience: 10, window: 3, ..Guard::default() }, 10_572)
    }

    #[test]
    fn guessing_is_recognised_after_the_patience() {
        let mut w = watcher();
        // ln 10572 = 9.266.
        for n in 1..=10 {
            assert_eq!(w.judge(n, 9.27), None, "{n}");
        }
        let Some(Divergence::Chance { chance, .. }) = w.judge(11, 9.25) else { panic!("not seen") };
        assert!((chance - 9.266).abs() < 1e-3);
        assert_eq!(w.judge(12, 5.0), None, "it learns after all");
    }

    #[test]
    fn saturation_is_recognised_at_once_and_nan_too() {
        let mut w = watcher();
        w.judge(1, 87.34);
        w.judge(2, 87.34);
        let d = w.judge(3, 87.34).unwrap();
        assert!(d.explain(Some(5.0)).contains("87.34") && d.explain(Some(5.0)).contains("head.lambda.min"));
        assert_eq!(w.judge(4, f64::NAN), Some(Divergence::NotFinite));
        assert!(Divergence::NotFinite.explain(None).contains("schedule.lr"));
    }
}
