//! Identification with strangers (the paper's open-set demo): who of the gallery is it, or nobody?

use std::path::PathBuf;

use limen_gallery_db::score::cosine;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::dataset::Identity;

/// Which pictures enrol, which ask.
#[derive(Debug, Clone)]
pub struct Split {
    /// One enrolment photograph per subject.
    pub gallery: Vec<(String, PathBuf)>,
    /// All other photographs of the subjects: (index into `gallery`, file).
    pub mated: Vec<(usize, PathBuf)>,
    /// One photograph each of people who are not enrolled.
    pub strangers: Vec<PathBuf>,
}

impl Split {
    /// The `subjects` identities with the most photographs are enrolled by their first; `strangers` others, drawn
    /// by `seed`, come with one photograph each.
    pub fn new(identities: &[Identity], subjects: usize, strangers: usize, seed: u64) -> Self {
        let mut by_size: Vec<&Identity> = identities.iter().collect();
        by_size.sort_by(|a, b| b.images.len().cmp(&a.images.len()).then_with(|| a.name.cmp(&b.name)));
        let (enrolled, mut others) = {
            let (a, b) = by_size.split_at(subjects.min(by_size.len()));
            (a.to_vec(), b.to_vec())
        };
        others.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut split = Self { gallery: vec![], mated: vec![], strangers: vec![] };
        for (i, identity) in enrolled.iter().enumerate() {
            split.gallery.push((identity.name.clone(), identity.images[0].clone()));
            split.mated.extend(identity.images[1..].iter().map(|p| (i, p.clone())));
        }
        split.strangers = others.iter().take(strangers).map(|i| i.images[0].clone()).collect();
        split
    }
}

/// Best gallery entry of one probe: index and score; `None` where no face was found or the gallery is empty.
pub type Best = Option<(usize, f32)>;

/// The gallery entry with the highest cosine.
pub fn best(gallery: &[Option<Vec<f32>>], probe: Option<&[f32]>) -> Best {
    let probe = probe?;
    gallery
        .iter()
        .enumerate()
        .filter_map(|(i, g)| g.as_ref().map(|g| (i, cosine(g, probe).value())))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Rates at one threshold, each as count and total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Mated probes named rightly at or above the threshold (true positive identifications), of all mated probes.
    pub identified: (usize, usize),
    /// Mated probes given another subject's name.
    pub misidentified: usize,
    /// Probes of strangers given any name (false positive identifications), of all strangers.
    pub false_positive: (usize, usize),
    /// Probes without a face; mated ones count as not identified.
    pub failed_to_acquire: usize,
}

/// Counts at `threshold`.
pub fn rates(mated: &[(usize, Best)], strangers: &[Best], threshold: f32) -> Rates {
    let named = |b: &Best| b.filter(|(_, s)| *s >= threshold).map(|(i, _)| i);
    Rates {
        identified: (mated.iter().filter(|(t, b)| named(b) == Some(*t)).count(), mated.len()),
        misidentified: mated.iter().filter(|(t, b)| named(b).is_some_and(|i| i != *t)).count(),
        false_positive: (strangers.iter().filter(|b| named(b).is_some()).count(), strangers.len()),
        failed_to_acquire: mated.iter().map(|(_, b)| b).chain(strangers).filter(|b| b.is_none()).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_worked_by_hand() {
        let mated = [(0, Some((0, 0.9))), (0, Some((1, 0.8))), (1, Some((1, 0.2))), (1, None)];
        let strangers = [Some((0, 0.6)), Some((1, 0.1)), None];
        let r = rates(&mated, &strangers, 0.5);
        assert_eq!(r.identified, (1, 4));
        assert_eq!(r.misidentified, 1);
        assert_eq!(r.false_positive, (1, 3));
        assert_eq!(r.failed_to_acquire, 2);
    }

    #[test]
    fn the_split_enrols_the_largest_and_never_asks_with_an_enrolled_photograph() {
        let id = |name: &str, n: usize| Identity {
            name: name.into(),
            images: (0..n).map(|i| PathBuf::from(format!("{name}/{i}"))).collect(),
        };
        let all = [id("a", 1), id("b", 5), id("c", 3), id("d", 1), id("e", 2)];
        let s = Split::new(&all, 2, 2, 7);
        assert_eq!(s.gallery.iter().map(|g| g.0.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(s.mated.len(), 4 + 2);
        assert!(s.mated.iter().all(|(_, p)| s.gallery.iter().all(|(_, g)| g != p)));
        assert_eq!(s.strangers.len(), 2);
        assert_eq!(s.strangers, Split::new(&all, 2, 2, 7).strangers, "the seed decides");
    }
}
