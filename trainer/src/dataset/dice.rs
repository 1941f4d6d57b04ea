//! Chance as a pure function: every draw follows from a seed, a purpose and a number, so that a resumed run repeats it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the numbers are drawn for. Each purpose has its own stream, so that switching one augmentation on or off
/// leaves the draws of all others as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Order of the samples of an epoch.
    Order = 1,
    /// Which identities are held out.
    HoldOut,
    /// Pairs for validation.
    Pairs,
    /// Mirror image or not.
    Mirror,
    /// Place of the crop inside its margin.
    Shift,
    /// Resolution thrown away.
    LowResolution,
    /// Blur.
    Blur,
    /// Light and colour.
    Photometric,
    /// A rectangle in front of the face.
    Occlusion,
    /// A mask over nose and mouth.
    Mask,
    /// Dark glasses.
    Glasses,
}

/// A stream of numbers for one purpose and one number (a sample's number in the run, an epoch, ...).
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `seed`, `purpose` and `number`; costs less than a microsecond.
    pub fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        key[16..].copy_from_slice(b"limen-train data");
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(number);
        Self(rng)
    }

    /// 32 even bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Evenly from 0 up to but without 1, in steps of 2^-24 (all f32 of that spacing are exact).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Evenly from `low` up to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Evenly one of 0 to `n` - 1; 0 where `n` is 0. The bias of multiply-and-shift is below n / 2^32.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// Yes with probability `p`: never at 0, always at 1.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_its_three_numbers_alone() {
        let draw = |s, p, n| {
            let mut d = Dice::new(s, p, n);
            [d.bits(), d.bits()]
        };
        let base = draw(1, Purpose::Mirror, 7);
        assert_eq!(base, draw(1, Purpose::Mirror, 7));
        assert_ne!(base, draw(2, Purpose::Mirror, 7));
        assert_ne!(base, draw(1, Purpose::Shift, 7));
        assert_ne!(base, draw(1, Purpose::Mirror, 8));
    }

    #[test]
    fn draws_are_even_and_stay_in_their_range() {
        let mut dice = Dice::new(5, Purpose::Blur, 0);
        let mut hits = [0u32; 4];
        for _ in 0..4000 {
            hits[dice.below(4) as usize] += 1;
        }
        // Standard deviation sqrt(4000 * 1/4 * 3/4) = 27: five of them.
        assert!(hits.iter().all(|h| h.abs_diff(1000) < 137), "{hits:?}");
        assert!((0..1000).all(|_| (2.0..3.0).contains(&dice.between(2.0, 3.0))));
        assert!((0..1000).all(|_| dice.chance(1.0) && !dice.chance(0.0)));
        assert_eq!(dice.below(0), 0);
    }
}
