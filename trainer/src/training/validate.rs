//! How well held-out people are told apart while training goes on.

use std::sync::Arc;

use anyhow::{Result, ensure};
use limen_gallery_db::score::cosine;
use limen_models::manifest::Input;

use crate::config::Config;
use crate::dataset::Truth;
use crate::dataset::augment::Augment;
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::dataset::loader::{Loader, LoaderConfig};
use crate::dataset::order::Sampling;
use crate::dataset::set::Set;
use crate::dataset::split::{SamplePair, pairs};
use crate::evaluate::calibrate::Scores;
use crate::training::pupil::Pupil;

/// Pictures embedded at once.
const PASS: usize = 64;

/// Held-out pictures and the pairs among them.
#[derive(Debug)]
pub struct Validator {
    set: Arc<Set>,
    pairs: Vec<SamplePair>,
    loader: LoaderConfig,
}

impl Validator {
    /// Draws the pairs by the run's seed.
    ///
    /// # Errors
    /// When the held-out people have no two pictures of one of them.
    pub fn new(set: &Arc<Set>, config: &Config, workers: usize) -> Result<Self> {
        let pairs = pairs(set.index(), config.output.pairs, config.seed);
        ensure!(
            pairs.iter().any(|p| p.truth == Truth::Same),
            "nobody held out has two pictures: set data.min_pictures = 2, a larger data.held_out, or \
             output.validate_every = 0"
        );
        let loader = LoaderConfig {
            batch: PASS,
            seed: config.seed,
            workers,
            sampling: Sampling::Sequential,
            augment: Augment::NONE,
            input: Input::sphereface(WIDTH, HEIGHT, config.data.colour),
            start: 0,
            end: Some(set.index().samples().len() as u64),
        };
        Ok(Self { set: set.clone(), pairs, loader })
    }

    /// Figures by name, rates from 0 to 1: the share of genuine pairs above the threshold that one impostor pair in a
    /// hundred reaches, and the best accuracy that any one threshold has on these pairs.
    ///
    /// # Errors
    /// When a picture cannot be read or the network not be run.
    pub fn figures(&self, pupil: &mut Pupil) -> Result<Vec<(String, f64)>> {
        let mut embeddings = Vec::with_capacity(self.set.index().samples().len());
        for batch in Loader::new(self.set.clone(), self.loader.clone())? {
            embeddings.extend(pupil.embed(&batch?.pixels)?);
        }
        let mut scores = Scores::default();
        for pair in &self.pairs {
            let s = cosine(&embeddings[pair.left as usize], &embeddings[pair.right as usize]).value();
            match pair.truth {
                Truth::Same => scores.genuine.push(s),
                Truth::Different => scores.impostor.push(s),
            }
        }
        scores.genuine.sort_by(f32::total_cmp);
        scores.impostor.sort_by(f32::total_cmp);
        let mut figures = vec![("held-out-accuracy".to_owned(), best_accuracy(&scores))];
        if let Some(fnmr) = scores.point(1e-2).and_then(|p| p.fnmr) {
            figures.push(("held-out-tar-at-fmr-1e-2".to_owned(), 1.0 - fnmr));
        }
        Ok(figures)
    }
}

/// The best share of right answers that a threshold at one of the scores gives; both lists ascending.
fn best_accuracy(scores: &Scores) -> f64 {
    let (g, i) = (&scores.genuine, &scores.impostor);
    let right = |t: f32| g.len() - g.partition_point(|s| *s < t) + i.partition_point(|s| *s < t);
    let best = g.iter().map(|t| right(*t)).chain([i.len()]).max().unwrap_or(0);
    best as f64 / (g.len() + i.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_by_hand() {
        // At 0.5: 2 of 3 genuine and all 3 impostors right; at 0.2: 3 and 1; nothing accepted: 3 of 6.
        let s = Scores { genuine: vec![0.2, 0.5, 0.9], impostor: vec![0.1, 0.3, 0.4] };
        assert!((best_accuracy(&s) - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(best_accuracy(&Scores { genuine: vec![0.1], impostor: vec![0.5; 3] }), 0.75);
    }
}
