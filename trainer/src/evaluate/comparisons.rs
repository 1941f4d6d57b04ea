//! Scored comparisons between labelled faces, sorted, with the faces they came from.

use anyhow::{Result, ensure};
use limen_gallery_db::score::cosine;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluate::parallel;
use crate::evaluate::rates::NONE;

/// One score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Cosine, or [`NONE`] where a face is missing.
    pub score: f32,
    /// Index of one face.
    pub left: u32,
    /// Index of the other.
    pub right: u32,
}

/// A face with its label.
#[derive(Clone)]
pub struct Labelled {
    /// Number of the person, from 0 without gaps.
    pub subject: u32,
    /// Its vector; none where the picture gave no face.
    pub vector: Option<Vec<f32>>,
}

/// Genuine and impostor comparisons, each by rising score.
///
/// A genuine comparison with a missing face is kept with the score [`NONE`] and so is a miss at every threshold. An
/// impostor comparison with a missing face says nothing about false matches: it is left out and counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    genuine: Vec<Comparison>,
    impostor: Vec<Comparison>,
    subject: Vec<u32>,
    subjects: usize,
    /// Impostor comparisons left out for a missing face.
    pub impostors_left_out: usize,
}

impl Comparisons {
    /// The comparisons `pairs` (indices into `faces`), on `workers` threads.
    ///
    /// # Errors
    /// When a thread dies.
    pub fn of_pairs(faces: &[Labelled], pairs: &[(u32, u32)], workers: usize) -> Result<Self> {
        const CHUNK: usize = 4096;
        let scored = parallel::map(pairs.len().div_ceil(CHUNK), workers, |chunk| {
            let part = &pairs[chunk * CHUNK..pairs.len().min((chunk + 1) * CHUNK)];
            Ok(part.iter().map(|&(a, b)| compare(faces, a, b)).collect::<Vec<_>>())
        })?;
        Ok(Self::sorted(faces, scored.into_iter().flatten()))
    }

    /// Every face with every later one. Of more than `most` impostor comparisons, `most` are drawn by `seed`, with
    /// replacement; genuine ones are all made.
    ///
    /// # Errors
    /// When there are more faces than indices, or a thread dies.
    pub fn all_pairs(faces: &[Labelled], most: usize, seed: u64, workers: usize) -> Result<Self> {
        ensure!(u32::try_from(faces.len()).is_ok(), "{} faces are too many to compare all", faces.len());
        let n = faces.len();
        let mut by_subject = std::collections::BTreeMap::<u32, Vec<u32>>::new();
        for (i, f) in faces.iter().enumerate() {
            by_subject.entry(f.subject).or_default().push(i as u32);
        }
        let mated: usize = by_subject.values().map(|v| v.len() * (v.len() - 1) / 2).sum();
        if n * n.saturating_sub(1) / 2 - mated <= most {
            let rows = parallel::map(n, workers, |i| {
                Ok((i + 1..n).map(|j| compare(faces, i as u32, j as u32)).collect::<Vec<_>>())
            })?;
            return Ok(Self::sorted(faces, rows.into_iter().flatten()));
        }
        let mut pairs = Vec::with_capacity(mated + most);
        for of_one in by_subject.values() {
            for (k, &a) in of_one.iter().enumerate() {
                pairs.extend(of_one[k + 1..].iter().map(|&b| (a, b)));
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        while pairs.len() < mated + most {
            let (a, b) = (rng.random_range(0..n), rng.random_range(0..n));
            if faces[a].subject != faces[b].subject {
                pairs.push((a as u32, b as u32));
            }
        }
        Self::of_pairs(faces, &pairs, workers)
    }

    fn sorted(faces: &[Labelled], scored: impl Iterator<Item = Comparison>) -> Self {
        let subject: Vec<u32> = faces.iter().map(|f| f.subject).collect();
        let subjects = subject.iter().max().map_or(0, |s| *s as usize + 1);
        let (mut genuine, mut impostor, mut left_out) = (Vec::new(), Vec::new(), 0);
        for c in scored {
            if subject[c.left as usize] == subject[c.right as usize] {
                genuine.push(c);
            } else if c.score == NONE {
                left_out += 1;
            } else {
                impostor.push(c);
            }
        }
        // Equal scores by their faces, so that the order never depends on the threads.
        let order = |a: &Comparison, b: &Comparison| {
            a.score.total_cmp(&b.score).then((a.left, a.right).cmp(&(b.left, b.right)))
        };
        genuine.sort_unstable_by(order);
        impostor.sort_unstable_by(order);
        Self { genuine, impostor, subject, subjects, impostors_left_out: left_out }
    }

    /// Comparisons of one person, by rising score.
    pub fn genuine(&self) -> &[Comparison] {
        &self.genuine
    }

    /// Comparisons of two people, by rising score.
    pub fn impostor(&self) -> &[Comparison] {
        &self.impostor
    }

    /// The scores alone: genuine and impostor, ascending.
    pub fn scores(&self) -> (Vec<f32>, Vec<f32>) {
        let scores = |of: &[Comparison]| of.iter().map(|c| c.score).collect();
        (scores(&self.genuine), scores(&self.impostor))
    }

    /// How many people there are.
    pub fn subjects(&self) -> usize {
        self.subjects
    }

    /// Whose faces a comparison is of.
    pub fn subjects_of(&self, c: &Comparison) -> (u32, u32) {
        (self.subject[c.left as usize], self.subject[c.right as usize])
    }
}

fn compare(faces: &[Labelled], left: u32, right: u32) -> Comparison {
    let score = match (&faces[left as usize].vector, &faces[right as usize].vector) {
        (Some(a), Some(b)) => cosine(a, b).value(),
        _ => NONE,
    };
    Comparison { score, left, right }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::evaluate) fn face(subject: u32, vector: &[f32]) -> Labelled {
        Labelled { subject, vector: (!vector.is_empty()).then(|| vector.to_vec()) }
    }

    #[test]
    fn pairs_are_parted_sorted_and_never_dropped_in_silence() {
        let faces = [
            face(0, &[1.0, 0.0]),
            face(0, &[0.0, 1.0]),
            face(1, &[1.0, 1.0]),
            face(1, &[]),
            face(2, &[-1.0, 0.0]),
        ];
        let c = Comparisons::all_pairs(&faces, 100, 1, 2).unwrap();
        // Genuine: 0-1 (0) and 2-3 (missing). Impostors: 8, of which 3 with face 3.
        assert_eq!(c.genuine().iter().map(|g| g.score).collect::<Vec<_>>(), [NONE, 0.0]);
        assert_eq!((c.impostor().len(), c.impostors_left_out, c.subjects()), (5, 3, 3));
        let worst = c.impostor().last().unwrap();
        assert!((worst.score - 0.5f32.sqrt()).abs() < 1e-6 && c.subjects_of(worst) == (0, 1));
    }

    #[test]
    fn a_draw_of_impostors_keeps_all_genuine_ones_and_repeats_by_seed() {
        let faces: Vec<Labelled> =
            (0..40u16).map(|i| face(u32::from(i / 4), &[f32::from(i).sin(), f32::from(i).cos()])).collect();
        let draw = |seed| Comparisons::all_pairs(&faces, 100, seed, 2).unwrap();
        let c = draw(5);
        assert_eq!((c.genuine().len(), c.impostor().len()), (10 * 6, 100));
        assert_eq!(c, draw(5));
        assert_ne!(c.impostor(), draw(6).impostor());
    }
}
