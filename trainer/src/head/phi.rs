//! What a margin makes of the own class's cosine, for the heads that take the angle itself.
//!
//! Their m is any real number, so there is no polynomial; the angle is taken outside the graph, and only its value
//! and, on wish, its slope come back in.

use std::f64::consts::PI;

use burn::tensor::Tensor;

use super::cross_entropy::COSINE_LIMIT;

/// Least and greatest angle after a margin where it stops at pi: OpenSphere's 1e-5 and 3.14159 (`arcface.py`,
/// `spherefacer.py` L20-23).
const ANGLE: (f64, f64) = (1e-5, PI - 2.653_59e-6);

/// A function of the own class's angle theta, its cosine c.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phi {
    /// c - m: CosFace.
    Lowered(f64),
    /// cos(theta + m), the sum ending at pi: ArcFace.
    Turned(f64),
    /// (-1)^k cos(m theta) - 2k, k = floor(m theta / pi): SphereFace, SphereFace-R v0.
    Folded(f64),
    /// cos(m theta), m theta ending at pi: SphereFace-R v1.
    Ended(f64),
    /// c: the margin is elsewhere (SphereFace-R v2) or not yet on.
    Same,
}

impl Phi {
    /// The value where the cosine is `c`, [n, 1], a constant.
    pub fn value(self, c: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Lowered(m) => c - m,
            Self::Turned(m) => (angle(c) + m).clamp(ANGLE.0, ANGLE.1).cos(),
            Self::Folded(m) => {
                let (theta, k, sign) = folds(c, m);
                (theta * m).cos() * sign - k * 2.0
            }
            Self::Ended(m) => (angle(c) * m).clamp(ANGLE.0, ANGLE.1).cos(),
            Self::Same => c,
        }
    }

    /// d value / d c, [n, 1], a constant; 0 where the angle has come to its end.
    pub fn slope(self, c: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Lowered(_) | Self::Same => c.ones_like(),
            Self::Turned(m) => {
                let theta = angle(c);
                let over = (theta.clone() + m).greater_elem(ANGLE.1);
                ((theta.clone() + m).sin() / theta.sin()).mask_fill(over, 0.0)
            }
            Self::Folded(m) => {
                let (theta, _, sign) = folds(c, m);
                (theta.clone() * m).sin() * sign * m / theta.sin()
            }
            Self::Ended(m) => {
                let theta = angle(c);
                let over = (theta.clone() * m).greater_elem(ANGLE.1);
                ((theta.clone() * m).sin() * m / theta.sin()).mask_fill(over, 0.0)
            }
        }
    }
}

/// The angle, off 0 and pi, so that its sine is never 0.
fn angle(c: Tensor<2>) -> Tensor<2> {
    c.clamp(-COSINE_LIMIT, COSINE_LIMIT).acos()
}

/// theta, k and (-1)^k.
fn folds(c: Tensor<2>, m: f64) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let theta = angle(c);
    let k = (theta.clone() * (m / PI)).floor();
    let odd = k.clone() - (k.clone() / 2.0).floor() * 2.0;
    (theta, k, odd * -2.0 + 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;
    use crate::head::testing::numbers;

    fn at(degrees: f64) -> Tensor<2> {
        let c = degrees.to_radians().cos();
        Tensor::from_data(TensorData::new(vec![c], [1, 1]), (&Device::flex(), DType::F64))
    }

    #[test]
    fn values_by_hand() {
        let half: f64 = 0.5;
        let table = [
            (Phi::Lowered(0.35), 60.0, half - 0.35),
            (Phi::Turned(30f64.to_radians()), 60.0, 0.0),
            (Phi::Turned(0.5), 175.0, -1.0),
            (Phi::Folded(1.5), 60.0, 0.0),
            // 1.5 x 150 = 225 degrees: k = 1, -cos 225 - 2.
            (Phi::Folded(1.5), 150.0, half.sqrt() - 2.0),
            (Phi::Folded(4.0), 100.0, (400f64.to_radians()).cos() - 4.0),
            (Phi::Ended(1.5), 60.0, 0.0),
            (Phi::Ended(1.5), 150.0, -1.0),
            (Phi::Same, 60.0, half),
        ];
        for (phi, degrees, expected) in table {
            let got = numbers(phi.value(at(degrees)))[0];
            assert!((got - expected).abs() < 1e-10, "{phi:?} at {degrees}: {got}, {expected} expected");
        }
    }

    #[test]
    fn slopes_are_those_of_the_values() {
        for phi in [Phi::Lowered(0.4), Phi::Turned(0.5), Phi::Folded(1.7), Phi::Ended(1.4), Phi::Same] {
            for degrees in [5.0, 40.0, 80.0, 100.0, 120.0, 149.0, 170.0] {
                let (c, h) = (at(degrees), 1e-7);
                let up = numbers(phi.value(c.clone() + h))[0];
                let down = numbers(phi.value(c.clone() - h))[0];
                let (slope, expected) = (numbers(phi.slope(c))[0], (up - down) / (2.0 * h));
                assert!(
                    (slope - expected).abs() < 1e-5,
                    "{phi:?} at {degrees}: {slope}, {expected} expected"
                );
            }
        }
    }
}
