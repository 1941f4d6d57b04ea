//! First weights, drawn from a seed and the layer's name: the same on every machine and back end.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};
use sha2::{Digest, Sha256};

/// How a layer's weights begin (reference section 3.1, table of kinds).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform between -a and a, a = sqrt(3 / fan-in) (Caffe `XavierFiller`, FAN_IN).
    Xavier,
    /// Normal around 0.
    Gaussian {
        /// Standard deviation.
        std: f32,
    },
}

impl Init {
    /// Weights of `shape` = [out, in, ...] for the layer `name`; the fan-in is the product of all but the first.
    pub fn values(self, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
        let mut rng = stream(seed, name);
        let fan_in: usize = shape.iter().skip(1).product();
        let n = shape.iter().product();
        match self {
            Self::Xavier => {
                let a = (3.0 / fan_in.max(1) as f32).sqrt();
                // -a < a for every fan-in.
                Uniform::new(-a, a).map(|d| d.sample_iter(&mut rng).take(n).collect()).unwrap_or_default()
            }
            Self::Gaussian { std } => {
                Normal::new(0.0, std).map(|d| d.sample_iter(&mut rng).take(n).collect()).unwrap_or_default()
            }
        }
    }
}

/// Random numbers of their own for each name, so that a layer more or less changes no other.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xavier_keeps_the_bounds_of_the_reference() {
        // Reference section 3.1: conv1_1 0.3333 (27), conv2_1 0.0722 (576), fc5 0.01181 (21504).
        for (shape, a) in [([64, 27], 0.3333), ([128, 576], 0.0722), ([64, 21504], 0.01181)] {
            let v = Init::Xavier.values(1, "w", &shape);
            assert_eq!(v.len(), shape[0] * shape[1]);
            let most = v.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(most <= a + 1e-4 && most > 0.99 * a, "{most} against {a}");
            // The variance of a uniform spread is a^2 / 3 = 1 / fan-in.
            let var = v.iter().map(|x| f64::from(x * x)).sum::<f64>() / v.len() as f64;
            assert!((var * shape[1] as f64 - 1.0).abs() < 0.1, "{var}");
        }
    }

    #[test]
    fn the_gaussian_has_its_deviation() {
        let v = Init::Gaussian { std: 0.01 }.values(1, "w", &[64, 64, 3, 3]);
        let std = (v.iter().map(|x| f64::from(x * x)).sum::<f64>() / v.len() as f64).sqrt();
        assert!((std - 0.01).abs() < 2e-4, "{std}");
    }

    #[test]
    fn a_seed_and_a_name_decide() {
        let v = |seed, name| Init::Xavier.values(seed, name, &[2, 4]);
        assert_eq!(v(1, "a"), v(1, "a"));
        assert_ne!(v(1, "a"), v(1, "b"));
        assert_ne!(v(1, "a"), v(2, "a"));
    }
}
