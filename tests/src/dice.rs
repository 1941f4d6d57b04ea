//! Chance that falls the same way everywhere: a stream cipher's words, made into numbers here and nowhere else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded source of numbers. The same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of 0 to `count - 1`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// Bell-shaped, mean 0, deviation 1 (Irwin-Hall: twelve uniform numbers less six).
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// `count` bell-shaped numbers of deviation `deviation`.
    pub fn bells(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        (0..count).map(|_| (self.bell() * deviation) as f32).collect()
    }
}
