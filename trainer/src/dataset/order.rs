//! Which sample is the k-th of a run: a pure function of the seed, so that a resumed run goes on where it stopped.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dataset::dice::{Dice, Purpose};
use crate::dataset::index::Index;

/// How samples follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// As they stand in the set, again and again: for measuring.
    Sequential,
    /// Each epoch shows every sample once, in an order of its own.
    #[default]
    Shuffled,
    /// Each round shows every identity once, in an order of its own; an identity's pictures take turns.
    Balanced,
}

/// A bijection of 0 to n - 1 without a table: Feistel rounds on the next even power of two, walked until
/// the value falls below n (Black and Rogaway 2002, cycle walking); at most four steps on average.
#[derive(Debug, Clone)]
pub struct Permutation {
    n: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

/// Rounds; four suffice in theory with random round functions, ours are only mixers.
const ROUNDS: usize = 8;

impl Permutation {
    /// The permutation of `n` things (at least 1) that belongs to `seed`, `purpose` and `number`.
    pub fn new(n: u64, seed: u64, purpose: Purpose, number: u64) -> Self {
        let mut dice = Dice::new(seed, purpose, number);
        let mut key = || u64::from(dice.bits()) << 32 | u64::from(dice.bits());
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        Self { n: n.max(1), half_bits: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| key()) }
    }

    /// Where `i`, below n, goes.
    pub fn at(&self, i: u64) -> u64 {
        let mut x = i % self.n;
        loop {
            x = self.rounds(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn rounds(&self, x: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits, x & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half_bits | right
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The order of a run over one set. Holds no permutation: the k-th sample is computed when asked for.
#[derive(Debug, Clone)]
pub struct Order {
    sampling: Sampling,
    seed: u64,
    samples: u64,
    /// Samples of each identity, as places in the index.
    ranges: Vec<Range<u32>>,
}

impl Order {
    /// The order of `index` (with at least one sample) under `seed`.
    pub fn new(sampling: Sampling, index: &Index, seed: u64) -> Self {
        Self { sampling, seed, samples: index.samples().len() as u64, ranges: index.ranges() }
    }

    /// Samples of an epoch: as many as the set has, whatever the sampling.
    pub fn epoch_length(&self) -> u64 {
        self.samples
    }

    /// The place in the index of the run's sample `k`, counted from 0 over all epochs.
    pub fn sample(&self, k: u64) -> u32 {
        match self.sampling {
            Sampling::Sequential => (k % self.samples) as u32,
            Sampling::Shuffled => {
                let epoch = k / self.samples;
                Permutation::new(self.samples, self.seed, Purpose::Order, epoch).at(k % self.samples) as u32
            }
            Sampling::Balanced => {
                let people = self.ranges.len() as u64;
                let round = k / people;
                let who = Permutation::new(people, self.seed, Purpose::Order, round).at(k % people);
                let pictures = &self.ranges[who as usize];
                let n = u64::from(pictures.end - pictures.start);
                // The picture's turn: the identity is seen for the `round`-th time. Numbers above 2^32 keep these
                // streams apart from those of the rounds.
                let number = ((who + 1) << 32) | ((round / n) & 0xFFFF_FFFF);
                let turn = Permutation::new(n, self.seed, Purpose::Order, number).at(round % n);
                pictures.start + turn as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::index::tests::people;

    proptest::proptest! {
        #[test]
        fn every_permutation_is_one_to_one(n in 1u64..3000, seed: u64, number: u64) {
            let p = Permutation::new(n, seed, Purpose::Order, number);
            let mut seen = vec![false; n as usize];
            for i in 0..n {
                seen[p.at(i) as usize] = true;
            }
            proptest::prop_assert!(seen.iter().all(|s| *s));
        }
    }

    #[test]
    fn places_are_even() {
        // 6000 permutations of 6: each thing comes first 1000 times, standard deviation 29.
        let mut first = [0u32; 6];
        // And neighbours are not kept: i + 1 after i happens in 5/30 of the cases, 1000 times.
        let mut kept = 0u32;
        for seed in 0..6000 {
            let p = Permutation::new(6, seed, Purpose::Order, 0);
            first[p.at(0) as usize] += 1;
            kept += u32::from(p.at(1) == p.at(0) + 1);
        }
        assert!(first.iter().all(|f| f.abs_diff(1000) < 150), "{first:?}");
        assert!(kept.abs_diff(1000) < 150, "{kept}");
    }

    #[test]
    fn an_epoch_shows_each_sample_once_and_the_next_in_another_order() {
        let index = people(&[3, 1, 5]);
        let order = Order::new(Sampling::Shuffled, &index, 9);
        let epoch = |e: u64| (0..9).map(|i| order.sample(e * 9 + i)).collect::<Vec<_>>();
        for e in 0..4 {
            let mut all = epoch(e);
            all.sort_unstable();
            assert_eq!(all, (0..9).collect::<Vec<_>>());
        }
        assert_ne!(epoch(0), epoch(1));
        assert_eq!(epoch(1), (9..18).map(|k| order.sample(k)).collect::<Vec<_>>());
    }

    #[test]
    fn a_balanced_round_shows_each_identity_once_and_pictures_take_turns() {
        let index = people(&[3, 1, 5]);
        let order = Order::new(Sampling::Balanced, &index, 9);
        let mut times = [0u32; 9];
        for round in 0..15 {
            let mut who: Vec<u32> = Vec::new();
            for i in 0..3 {
                let s = order.sample(round * 3 + i);
                times[s as usize] += 1;
                who.push(index.samples()[s as usize].identity);
            }
            who.sort_unstable();
            assert_eq!(who, [0, 1, 2]);
        }
        // 15 rounds: three pictures five times each, one 15 times, five three times each.
        assert_eq!(times, [5, 5, 5, 15, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn sequential_is_as_it_stands() {
        let order = Order::new(Sampling::Sequential, &people(&[2, 1]), 1);
        assert_eq!((0..5).map(|k| order.sample(k)).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
    }
}
