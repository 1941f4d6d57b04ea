//! The one similarity function: cosine of two embeddings, and the types that keep a score from being any other number.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a number is no score and no threshold.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{0} is not a cosine: it lies between -1 and 1")]
pub struct OutOfRange(pub f32);

/// Why a list of numbers is no embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VectorError {
    /// Too short or too long to be an embedding at all.
    #[error("{got} values, an embedding has {MIN_LENGTH} to {MAX_LENGTH}: it does not come from an embedder")]
    Length {
        /// Values given.
        got: usize,
    },
    /// Another length than the templates of the same model.
    #[error("{got} values where this model's embeddings have {expected}: it comes from another model")]
    OtherLength {
        /// Values given.
        got: usize,
        /// Values of the templates already there.
        expected: usize,
    },
    /// NaN or infinite.
    #[error("value {at} is not a finite number: the embedder failed on this image, leave it out")]
    NotFinite {
        /// Index of the first such value.
        at: usize,
    },
    /// No direction.
    #[error("all values are zero: the embedder failed on this image, leave it out")]
    Zero,
}

/// Fewest values of an embedding; the smallest published face embeddings have 64.
pub const MIN_LENGTH: usize = 16;
/// Most values of an embedding: twice the 2048 of the widest published ones.
pub const MAX_LENGTH: usize = 4096;

/// A similarity: cosine of the angle between two embeddings, -1 (opposite) to 1 (same direction), never NaN.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Score(f32);

/// A score from which on something counts as similar, -1 to 1, never NaN.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Threshold(f32);

/// Both are the same kind of number and must not be mixed up, so each gets the same methods and none converts.
macro_rules! cosine_number {
    ($name:ident) => {
        impl $name {
            /// Least similar: -1.
            pub const MIN: Self = Self(-1.0);
            /// Most similar: 1.
            pub const MAX: Self = Self(1.0);

            /// Takes a number from -1 to 1. Errors on NaN and on anything outside.
            pub fn new(value: f32) -> Result<Self, OutOfRange> {
                // + 0.0 turns -0.0 into 0.0, so that equality and order agree.
                if (-1.0..=1.0).contains(&value) { Ok(Self(value + 0.0)) } else { Err(OutOfRange(value)) }
            }

            /// The number, -1 to 1.
            pub const fn value(self) -> f32 {
                self.0
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            /// Four decimals: what the scores of a model are worth.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.4}", self.0)
            }
        }

        impl TryFrom<f32> for $name {
            type Error = OutOfRange;

            fn try_from(value: f32) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f32 {
            fn from(n: $name) -> f32 {
                n.0
            }
        }
    };
}

cosine_number!(Score);
cosine_number!(Threshold);

impl Score {
    /// Whether the score lies at or above `threshold`.
    pub fn reaches(self, threshold: Threshold) -> bool {
        self.0 >= threshold.0
    }
}

/// Cosine similarity of `a` and `b`, of any norm, summed in f64.
///
/// Anything that has no angle gives [`Score::MIN`], so that it is similar to nothing: a zero vector, two different
/// lengths, empty slices, NaN or infinite values.
pub fn cosine(a: &[f32], b: &[f32]) -> Score {
    const LANES: usize = 8;
    if a.len() != b.len() {
        return Score::MIN;
    }
    // Eight independent sums, so that the compiler may keep them in vector registers.
    let (mut dot, mut aa, mut bb) = ([0f64; LANES], [0f64; LANES], [0f64; LANES]);
    for (x, y) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (i, (&x, &y)) in x.iter().zip(y).enumerate() {
            let (x, y) = (f64::from(x), f64::from(y));
            dot[i] += x * y;
            aa[i] += x * x;
            bb[i] += y * y;
        }
    }
    let sum = |lanes: [f64; LANES]| lanes.iter().sum::<f64>();
    // f32 squares summed in f64 neither overflow nor vanish, nor does their product.
    let cosine = (sum(dot) / (sum(aa) * sum(bb)).sqrt()) as f32;
    if cosine.is_nan() { Score::MIN } else { Score(cosine.clamp(-1.0, 1.0) + 0.0) }
}

/// Scales `v` to unit length in place. Errors, with `v` untouched, where it has no finite direction.
pub fn unit(v: &mut [f32]) -> Result<(), VectorError> {
    if let Some(at) = v.iter().position(|x| !x.is_finite()) {
        return Err(VectorError::NotFinite { at });
    }
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Err(VectorError::Zero);
    }
    v.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    Ok(())
}

/// Norm of `v`, 0 or more; not finite exactly where a value is not. Faster than the sum in [`unit`], whose order is
/// part of what the files of galleries and models hold; equal to it within 1e-12 of itself.
pub(crate) fn norm(v: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let (whole, rest) = v.as_chunks::<LANES>();
    for chunk in whole {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
    // f32 squares summed in f64 neither overflow nor vanish.
    (sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).sqrt()
}

/// Values that have a finite direction, and their norm.
#[derive(Clone, Copy)]
pub(crate) struct Direction<'a> {
    values: &'a [f32],
    norm: f64,
}

impl<'a> Direction<'a> {
    /// Errors as [`unit`] does.
    pub(crate) fn of(values: &'a [f32]) -> Result<Self, VectorError> {
        match norm(values) {
            0.0 => Err(VectorError::Zero),
            norm if norm.is_finite() => Ok(Self { values, norm }),
            _ => Err(VectorError::NotFinite { at: values.iter().take_while(|x| x.is_finite()).count() }),
        }
    }

    /// Errors with the norm if that differs from 1 by `tolerance` (below 1) or more.
    pub(crate) fn of_unit(values: &'a [f32], tolerance: f64) -> Result<Self, f64> {
        let norm = norm(values);
        if (norm - 1.0).abs() < tolerance { Ok(Self { values, norm }) } else { Err(norm) }
    }

    pub(crate) fn values(&self) -> &'a [f32] {
        self.values
    }

    pub(crate) fn norm(&self) -> f64 {
        self.norm
    }
}

/// Checks that `length` is one an embedding can have.
pub(crate) fn check_length(length: usize) -> Result<(), VectorError> {
    if (MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        Ok(())
    } else {
        Err(VectorError::Length { got: length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn angles_worked_by_hand() {
        assert_eq!(cosine(&[3.0, 4.0], &[3.0, 4.0]), Score::MAX);
        assert_eq!(cosine(&[3.0, 4.0], &[-30.0, -40.0]), Score::MIN, "norms do not matter");
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 7.0]).value(), 0.0);
        // (1*4 + 2*5 + 2*0) / (3 * sqrt 41)
        assert!(
            (cosine(&[1.0, 2.0, 2.0], &[4.0, 5.0, 0.0]).value() - 14.0 / (3.0 * 41f32.sqrt())).abs() < 1e-7
        );
        // Eleven values: more than one round of lanes and a rest. 11 ones against ten ones and a zero: 10/sqrt(110).
        let (a, mut b) = ([1.0; 11], [1.0; 11]);
        b[10] = 0.0;
        assert!((cosine(&a, &b).value() - 10.0 / 110f32.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn what_has_no_angle_is_similar_to_nothing() {
        for (a, b) in [
            (vec![0.0; 3], vec![1.0; 3]),
            (vec![0.0; 3], vec![0.0; 3]),
            (vec![1.0; 3], vec![1.0; 4]),
            (vec![], vec![]),
            (vec![f32::NAN, 1.0], vec![1.0, 1.0]),
            (vec![f32::INFINITY, 1.0], vec![1.0, 1.0]),
        ] {
            assert_eq!(cosine(&a, &b), Score::MIN, "{a:?} {b:?}");
        }
    }

    #[test]
    fn the_ends_of_f32_neither_overflow_nor_vanish() {
        assert_eq!(cosine(&[f32::MAX; 16], &[f32::MAX; 16]), Score::MAX);
        assert_eq!(cosine(&[f32::from_bits(1); 16], &[f32::MAX; 16]), Score::MAX);
    }

    #[test]
    fn numbers_outside_are_refused() {
        for bad in [f32::NAN, 1.0001, -1.0001, f32::INFINITY] {
            assert!(Score::new(bad).is_err() && Threshold::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Threshold>("1.5").is_err());
        assert_eq!(serde_json::from_str::<Threshold>("0.25").unwrap().value(), 0.25);
        assert_eq!(serde_json::to_string(&Score::new(0.1).unwrap()).unwrap(), "0.1");
        assert_eq!(Score::new(-0.0).unwrap().cmp(&Score::new(0.0).unwrap()), Ordering::Equal);
    }

    #[test]
    fn a_score_reaches_the_threshold_it_equals() {
        let t = Threshold::new(0.5).unwrap();
        assert!(Score::new(0.5).unwrap().reaches(t));
        assert!(!Score::new(0.499_999_97).unwrap().reaches(t));
    }

    #[test]
    fn unit_length_or_why_not() {
        let mut v = [3.0, 0.0, 4.0];
        unit(&mut v).unwrap();
        assert_eq!(v, [0.6, 0.0, 0.8]);
        assert_eq!(unit(&mut [0.0; 4]), Err(VectorError::Zero));
        let mut bad = [1.0, f32::NAN];
        assert_eq!(unit(&mut bad), Err(VectorError::NotFinite { at: 1 }));
        assert_eq!(bad[0], 1.0);
    }

    #[test]
    fn a_direction_or_why_not() {
        // Eleven values, more than the lanes: 3 at 0, 4 at 10.
        let mut v = [0.0; 11];
        (v[0], v[10]) = (3.0, 4.0);
        let norm_of = |v: &[f32]| Direction::of(v).map(|d| d.norm());
        assert_eq!((norm(&v), norm_of(&v)), (5.0, Ok(5.0)));
        assert_eq!(norm_of(&[f32::MAX; 4]), Ok(2.0 * f64::from(f32::MAX)));
        assert_eq!(norm_of(&[-0.0; 9]), Err(VectorError::Zero));
        for bad in [f32::NAN, f32::NEG_INFINITY] {
            v[10] = bad;
            assert_eq!(norm_of(&v), Err(VectorError::NotFinite { at: 10 }));
            assert!(Direction::of_unit(&v, 0.5).is_err());
        }
        v[10] = 0.5;
        v[0] = 1.2; // norm 1.3
        assert!(Direction::of_unit(&v, 0.31).is_ok_and(|d| d.values() == v));
        assert!(Direction::of_unit(&v, 0.29).is_err_and(|norm| (norm - 1.3).abs() < 1e-6));
    }

    proptest! {
        #[test]
        fn cosine_is_symmetric_and_blind_to_scale(
            pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 1..200),
            scale in 0.01f32..100.0,
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            prop_assert_eq!(cosine(&a, &b), cosine(&b, &a));
            let scaled: Vec<f32> = a.iter().map(|x| x * scale).collect();
            prop_assert!((cosine(&scaled, &b).value() - cosine(&a, &b).value()).abs() < 1e-5);
        }
    }
}
