//! The schedule of lambda: how much of the plain cosine is mixed into the margin.

use serde::{Deserialize, Serialize};

use super::config::{HeadError, require};

/// lambda(n) = max(min, base (1 + gamma n)^-power), n = step + start (`margin_inner_product_layer.cpp` L111-117).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annealing {
    /// lambda before the first step, at least 0.
    pub base: f64,
    /// Speed per step, at least 0; with 0 lambda stays at `base`.
    pub gamma: f64,
    /// Exponent, at least 0.
    pub power: f64,
    /// Floor, at least 0. 0 ends at the whole margin, and trains harder.
    pub min: f64,
    /// Added to the step: Caffe's `iteration`. 0 for training from scratch; SphereFace+ goes on at 2000.
    #[serde(default)]
    pub start: u64,
}

impl Annealing {
    /// SphereFace's own: 1000, 0.12, 1, floor 5 (`sphereface_model.prototxt` L819-823). At the floor from step 1659.
    pub const SPHEREFACE: Self = Self { base: 1000.0, gamma: 0.12, power: 1.0, min: 5.0, start: 0 };

    /// L-Softmax's own: 1000, 2.5e-5, 35, floor 0 (`wy1iu/LargeMargin_Softmax_Loss`, README).
    pub const L_SOFTMAX: Self = Self { base: 1000.0, gamma: 2.5e-5, power: 35.0, min: 0.0, start: 0 };

    /// lambda at a step, counted from 1.
    pub fn at(&self, step: u64) -> f64 {
        let n = step.saturating_add(self.start) as f64;
        (self.base * (1.0 + self.gamma * n).powf(-self.power)).max(self.min)
    }

    /// Is every number finite and at least 0?
    pub fn validate(&self) -> Result<(), HeadError> {
        let fields = [
            ("lambda.base", self.base),
            ("lambda.gamma", self.gamma),
            ("lambda.power", self.power),
            ("lambda.min", self.min),
        ];
        for (field, value) in fields {
            require(value.is_finite() && value >= 0.0, field, value, "give a finite number, at least 0")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of section 4.3.
    #[test]
    fn lambda_falls_as_published() {
        let table = [(1, 892.9), (10, 454.5), (100, 76.9), (500, 16.4), (1000, 8.26), (1658, 5.001)];
        for (step, lambda) in table {
            let got = Annealing::SPHEREFACE.at(step);
            assert!((got - lambda).abs() < 0.6e-3 * lambda, "step {step}: {got}, {lambda} expected");
        }
        assert!(Annealing::SPHEREFACE.at(1658) > 5.0);
        assert_eq!(Annealing::SPHEREFACE.at(1659), 5.0);
        assert_eq!(Annealing::SPHEREFACE.at(u64::MAX), 5.0);
    }

    /// clcarwin's PyTorch port: max(5, 1500 / (1 + 0.1 n)) is at its floor from step 2990.
    #[test]
    fn other_schedules_are_settings() {
        let port = Annealing { base: 1500.0, gamma: 0.1, power: 1.0, min: 5.0, start: 0 };
        assert!(port.at(2989) > 5.0);
        assert_eq!(port.at(2990), 5.0);
        // 1000 x 1.25^-35 at step 10,000: 35 ln 1.25 = 7.81.
        let lambda = Annealing::L_SOFTMAX.at(10_000);
        assert!((lambda.ln() - (1000f64.ln() - 7.810)).abs() < 1e-3, "{lambda}");
    }

    /// SphereFace+ resumes the counter by hand (trap 5).
    #[test]
    fn the_start_moves_the_counter() {
        let resumed = Annealing { start: 2000, ..Annealing::SPHEREFACE };
        assert_eq!(resumed.at(1), 5.0);
        let half = Annealing { start: 499, ..Annealing::SPHEREFACE };
        assert_eq!(half.at(1), Annealing::SPHEREFACE.at(500));
    }

    #[test]
    fn a_bad_number_is_named() {
        let bad = Annealing { gamma: f64::NAN, ..Annealing::SPHEREFACE };
        assert!(bad.validate().unwrap_err().to_string().contains("lambda.gamma"));
        let bad = Annealing { min: -1.0, ..Annealing::SPHEREFACE };
        assert!(bad.validate().unwrap_err().to_string().contains("lambda.min = -1"));
    }
}
