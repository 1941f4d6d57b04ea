//! The angular margin psi as polynomials of the cosine, so that training takes no arc cosine.
//!
//! psi(theta) = (-1)^k cos(m theta) - 2k for theta in [k pi / m, (k + 1) pi / m]. It is continuous and falls from 1 at
//! 0 to 1 - 2m at pi. On every piece it is `sign P(c) + offset` with P from cos(m theta) (table 4.1). sign(0) = 0, as
//! in Caffe, is harmless: between two pieces psi's slope in c is 0 and the offset alone is psi's value there.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::surrogate::constant;

/// m of A-Softmax and L-Softmax, a whole number from 1 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Margin {
    /// m = 1: no margin.
    Single,
    /// m = 2.
    Double,
    /// m = 3.
    Triple,
    /// m = 4, SphereFace's own: the least whole number at which classes can be separated so that the greatest angle
    /// within one is below the least between two, for two classes (2 + sqrt 3 = 3.7).
    Quadruple,
}

impl Margin {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Single, Self::Double, Self::Triple, Self::Quadruple];

    /// psi where the cosine is `c`, elementwise.
    pub fn psi<const D: usize>(self, c: Tensor<D>) -> Tensor<D> {
        let square = c.clone() * c.clone();
        match self.piece(&c) {
            None => c,
            Some((sign, offset)) => {
                let polynomial = match self {
                    Self::Single => c,
                    Self::Double => square * 2.0,
                    Self::Triple => (square * 4.0 - 3.0) * c,
                    Self::Quadruple => (square.clone() * square.clone() - square) * 8.0 + 1.0,
                };
                polynomial * sign + offset
            }
        }
    }

    /// d psi / d c where the cosine is `c`, elementwise.
    pub fn slope<const D: usize>(self, c: Tensor<D>) -> Tensor<D> {
        let square = c.clone() * c.clone();
        match self.piece(&c) {
            None => c.ones_like(),
            Some((sign, _)) => {
                let polynomial = match self {
                    Self::Single => c.ones_like(),
                    Self::Double => c * 4.0,
                    Self::Triple => square * 12.0 - 3.0,
                    Self::Quadruple => (square * 32.0 - 16.0) * c,
                };
                polynomial * sign
            }
        }
    }

    /// Sign and offset of the piece that each cosine lies on; none for m = 1. Outside the graph: both are constant on
    /// a piece.
    fn piece<const D: usize>(self, c: &Tensor<D>) -> Option<(Tensor<D>, Tensor<D>)> {
        let c = constant(c);
        let s0 = c.clone().sign();
        match self {
            Self::Single => None,
            Self::Double => Some((s0.clone(), s0.ones_like().neg())),
            Self::Triple => {
                let s1 = (c.abs() - 0.5).sign();
                let offset = s0 * (s1.clone() + 1.0) - 2.0;
                Some((s1, offset))
            }
            Self::Quadruple => {
                let s3 = s0.clone() * (c.clone() * c * 2.0 - 1.0).sign();
                let offset = s0 * 2.0 + s3.clone() - 3.0;
                Some((s3, offset))
            }
        }
    }
}

impl TryFrom<u8> for Margin {
    type Error = String;

    fn try_from(m: u8) -> Result<Self, Self::Error> {
        match m {
            1 => Ok(Self::Single),
            2 => Ok(Self::Double),
            3 => Ok(Self::Triple),
            4 => Ok(Self::Quadruple),
            _ => Err(format!(
                "head: m = {m}: give 1, 2, 3 or 4; other margins are sphereface's and sphereface-r's"
            )),
        }
    }
}

impl From<Margin> for u8 {
    fn from(m: Margin) -> Self {
        match m {
            Margin::Single => 1,
            Margin::Double => 2,
            Margin::Triple => 3,
            Margin::Quadruple => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use burn::tensor::{DType, Device};

    use super::*;
    use crate::head::testing::numbers;

    /// The definition.
    fn psi(m: u8, theta: f64) -> f64 {
        let m = f64::from(m);
        let k = (m * theta / PI).floor().min(m - 1.0);
        (1.0 - 2.0 * k.rem_euclid(2.0)) * (m * theta).cos() - 2.0 * k
    }

    fn tensor(values: Vec<f64>) -> Tensor<1> {
        let shape = [values.len()];
        Tensor::from_data(burn::tensor::TensorData::new(values, shape), (&Device::flex(), DType::F64))
    }

    /// Property (a): table 4.1 against the arc cosine form.
    #[test]
    fn polynomials_are_the_margin() {
        let theta: Vec<f64> = (0..=20_000).map(|i| PI * f64::from(i) / 20_000.0).collect();
        for m in Margin::ALL {
            let got = numbers(m.psi(tensor(theta.iter().map(|t| t.cos()).collect())));
            for (t, got) in theta.iter().zip(got) {
                let expected = psi(m.into(), *t);
                assert!((got - expected).abs() < 1e-13, "{m:?} at {t}: {got}, {expected} expected");
            }
        }
    }

    #[test]
    fn it_falls_from_one_without_a_jump() {
        for m in Margin::ALL {
            let c: Vec<f64> = (0..=10_000).map(|i| (PI * f64::from(i) / 10_000.0).cos()).collect();
            let psi = numbers(m.psi(tensor(c)));
            let end = 1.0 - 2.0 * f64::from(u8::from(m));
            assert!((psi[0] - 1.0).abs() < 1e-14 && (psi[10_000] - end).abs() < 1e-14, "{m:?}");
            // No slope in theta is steeper than m.
            let step = f64::from(u8::from(m)) * PI / 10_000.0 + 1e-12;
            assert!(psi.windows(2).all(|p| p[1] <= p[0] + 1e-14 && p[0] - p[1] <= step), "{m:?}");
        }
    }

    /// Exactly between two pieces, where the sign is 0.
    #[test]
    fn the_joints_have_their_value_and_no_slope() {
        let joints = [
            (Margin::Double, 0.0, -1.0),
            (Margin::Triple, 0.5, -1.0),
            (Margin::Triple, -0.5, -3.0),
            (Margin::Quadruple, 0.0, -3.0),
        ];
        for (m, c, expected) in joints {
            assert_eq!(numbers(m.psi(tensor(vec![c]))), [expected], "{m:?} at {c}");
            assert_eq!(numbers(m.slope(tensor(vec![c]))), [0.0], "{m:?} at {c}");
        }
    }

    #[test]
    fn slopes_are_those_of_the_values() {
        let h = 1e-6;
        let c: Vec<f64> = (1..400).map(|i| f64::from(i) / 200.0 - 1.0 + 1.23e-4).collect();
        for m in Margin::ALL {
            let at = |by: f64| numbers(m.psi(tensor(c.iter().map(|c| c + by).collect())));
            let (up, down, slope) = (at(h), at(-h), numbers(m.slope(tensor(c.clone()))));
            let expected = up.iter().zip(&down).map(|(up, down)| (up - down) / (2.0 * h));
            for ((c, slope), expected) in c.iter().zip(slope).zip(expected) {
                assert!((slope - expected).abs() < 1e-7, "{m:?} at {c}: {slope}, {expected} expected");
            }
        }
    }

    #[test]
    fn only_one_to_four() {
        assert_eq!(Margin::try_from(4), Ok(Margin::Quadruple));
        assert!(Margin::try_from(5).unwrap_err().contains("m = 5"));
        assert!(serde_json::from_str::<Margin>("0").is_err());
        assert_eq!(serde_json::to_string(&Margin::Triple).unwrap(), "3");
    }
}
