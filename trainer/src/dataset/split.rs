//! Identities held out of training, and pairs of their pictures to verify with.

use anyhow::{Result, ensure};

use crate::dataset::Truth;
use crate::dataset::dice::{Dice, Purpose};
use crate::dataset::index::Index;

/// A set in two parts that share no identity.
#[derive(Debug, Clone)]
pub struct Split {
    /// To train on.
    pub train: Index,
    /// Held out.
    pub held_out: Index,
}

/// Holds out the share `share` of the identities, see [`held_out`].
///
/// # Errors
/// When the share leaves either side fewer than two identities.
pub fn hold_out(index: &Index, share: f64, seed: u64) -> Result<Split> {
    let names: Vec<&str> = index.identities().iter().map(String::as_str).collect();
    let out = held_out(&names, share, seed)?;
    Ok(Split { train: index.filter(|i| !out[i as usize]), held_out: index.filter(|i| out[i as usize]) })
}

/// Which of the identities called `names` are held out, the share `share` of them (rounded). An identity's luck depends
/// on `seed` and its own name, so that adding people to a set moves few others.
///
/// # Errors
/// When the share leaves either side fewer than two identities.
pub fn held_out(names: &[&str], share: f64, seed: u64) -> Result<Vec<bool>> {
    let n = names.len();
    let held = (n as f64 * share).round() as usize;
    ensure!(
        held >= 2 && held + 2 <= n,
        "holding out a share of {share} of {n} identities leaves one side fewer than two"
    );
    let mut ranked: Vec<(u64, usize)> =
        names.iter().enumerate().map(|(i, name)| (luck(name, seed), i)).collect();
    ranked.sort_unstable();
    let mut out = vec![false; n];
    for (_, i) in &ranked[..held] {
        out[*i] = true;
    }
    Ok(out)
}

/// A number that follows from the name and the seed: FNV-1a of the name chooses the stream.
fn luck(name: &str, seed: u64) -> u64 {
    let hash = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3));
    let mut dice = Dice::new(seed, Purpose::HoldOut, hash);
    u64::from(dice.bits()) << 32 | u64::from(dice.bits())
}

/// Two samples, as places in the index, and whether they show one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SamplePair {
    /// One place.
    pub left: u32,
    /// Another, greater place.
    pub right: u32,
    /// The answer.
    pub truth: Truth,
}

/// At most `each` genuine and `each` impostor pairs of `index`, none twice, drawn by `seed`. Genuine pairs take turns
/// through the identities, so that people with many pictures do not outvote the others. Fewer come back where the set
/// has not so many.
pub fn pairs(index: &Index, each: usize, seed: u64) -> Vec<SamplePair> {
    let ranges: Vec<_> = index.ranges().into_iter().filter(|r| r.len() >= 2).collect();
    let possible: usize = ranges.iter().map(|r| r.len() * (r.len() - 1) / 2).sum();
    let mut dice = Dice::new(seed, Purpose::Pairs, 0);
    let mut drawn = std::collections::BTreeSet::new();
    let mut put =
        |a: u32, b: u32, truth| a != b && drawn.insert(SamplePair { left: a.min(b), right: a.max(b), truth });
    let mut genuine = 0;
    if each >= possible {
        for r in &ranges {
            for a in r.clone() {
                for b in a + 1..r.end {
                    put(a, b, Truth::Same);
                }
            }
        }
    } else {
        // Turn after turn one pair of each identity; a drawn pair again is simply no new one.
        while genuine < each {
            for r in &ranges {
                let n = r.end - r.start;
                let (a, b) = (r.start + dice.below(n), r.start + dice.below(n));
                genuine += usize::from(genuine < each && put(a, b, Truth::Same));
            }
        }
    }
    let samples = index.samples();
    let n = samples.len() as u32;
    let (mut impostor, mut tries) = (0, 0);
    // A set of one identity, or of few pictures, has not so many: give up after enough tries.
    while impostor < each && tries < 20 * each + 1000 {
        tries += 1;
        let (a, b) = (dice.below(n), dice.below(n));
        let other = samples[a as usize].identity != samples[b as usize].identity;
        impostor += usize::from(other && put(a, b, Truth::Different));
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::index::tests::people;

    #[test]
    fn parts_share_nobody_and_lose_nobody() {
        let index = people(&[3; 40]);
        let split = hold_out(&index, 0.25, 7).unwrap();
        assert_eq!((split.train.identities().len(), split.held_out.identities().len()), (30, 10));
        assert_eq!(split.train.samples().len() + split.held_out.samples().len(), 120);
        assert!(split.held_out.identities().iter().all(|i| !split.train.identities().contains(i)));
        assert_eq!(split.held_out.digest(), hold_out(&index, 0.25, 7).unwrap().held_out.digest());
        assert_ne!(split.held_out.digest(), hold_out(&index, 0.25, 8).unwrap().held_out.digest());
        assert!(hold_out(&index, 0.0, 7).is_err());
        assert!(hold_out(&index, 0.99, 7).is_err());
    }

    #[test]
    fn people_who_join_move_few_others() {
        let before = hold_out(&people(&[1; 200]), 0.5, 3).unwrap().held_out;
        let after = hold_out(&people(&[1; 210]), 0.5, 3).unwrap().held_out;
        let stayed = before.identities().iter().filter(|i| after.identities().contains(i)).count();
        assert!(stayed >= 95, "{stayed} of 100");
    }

    #[test]
    fn pairs_tell_the_truth_and_come_once() {
        let index = people(&[4, 1, 2, 5]);
        let drawn = pairs(&index, 8, 1);
        assert_eq!(drawn, pairs(&index, 8, 1));
        let who = |s: u32| index.samples()[s as usize].identity;
        for p in &drawn {
            assert_eq!(who(p.left) == who(p.right), p.truth == Truth::Same);
            assert!(p.left < p.right);
        }
        assert_eq!(drawn.iter().filter(|p| p.truth == Truth::Same).count(), 8);
        assert_eq!(drawn.len(), 16);
        let mut once = drawn.clone();
        once.dedup();
        assert_eq!(once.len(), drawn.len());
    }

    #[test]
    fn a_small_set_gives_what_it_has() {
        // 6 + 0 + 1 + 10 genuine pairs there are.
        let drawn = pairs(&people(&[4, 1, 2, 5]), 1000, 1);
        assert_eq!(drawn.iter().filter(|p| p.truth == Truth::Same).count(), 17);
        assert!(pairs(&people(&[1, 1]), 5, 1).iter().all(|p| p.truth == Truth::Different));
        assert!(pairs(&people(&[3]), 5, 1).iter().all(|p| p.truth == Truth::Same));
    }
}
