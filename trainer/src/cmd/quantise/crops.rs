//! Pictures of a folder as an embedder's inputs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use limen_models::align::Aligner;
use limen_models::detect::mtcnn::{Mtcnn, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::{Input, ModelEntry};
use limen_models::photo;
use limen_models::resample::planes;

use crate::dataset::pictures;
use crate::evaluate::extract::{central_face, middle, progress};
use crate::export::quantise::Samples;

/// Makes inputs of one embedder.
pub struct Cutter<'a> {
    input: Input,
    aligner: Aligner,
    /// Without it pictures are crops already.
    detector: Option<&'a Mtcnn>,
    settings: Settings,
}

impl<'a> Cutter<'a> {
    /// For `embedder`; `detector` finds the faces, `None` takes every picture for an aligned crop.
    pub fn new(embedder: &ModelEntry, detector: Option<&'a Mtcnn>, settings: Settings) -> Result<Self> {
        let aligner = Aligner::for_embedder(embedder)
            .with_context(|| format!("model {:?} has no alignment section", embedder.id))?;
        Ok(Self { input: embedder.input, aligner, detector, settings })
    }

    /// The inputs of at most `count` pictures spread evenly over `folder`; those without a usable face are counted on
    /// stderr and replaced by none.
    pub fn cut(&self, folder: &Path, count: usize) -> Result<Samples> {
        let paths = spread(pictures(folder)?, count);
        let (w, h) = (self.input.width, self.input.height);
        let mut inputs = Vec::with_capacity(paths.len());
        let bar = progress(paths.len() as u64, "pictures");
        for path in &paths {
            if let Some(crop) = self.crop(path)? {
                let mut input = vec![0.0; 3 * w * h];
                planes(crop.view(), false, &self.input, &mut input);
                inputs.push(input);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let without = paths.len() - inputs.len();
        if without > 0 {
            eprintln!("{without} of {} pictures have no usable face", paths.len());
        }
        Ok(Samples { shape: [1, 3, h, w], inputs })
    }

    fn crop(&self, path: &Path) -> Result<Option<RgbImage>> {
        let Some(detector) = self.detector else {
            let image = photo::decode_file(path)?;
            let (w, h) = (self.input.width, self.input.height);
            let crop = middle(&image, w, h).with_context(|| {
                format!(
                    "{}: {}x{}, an aligned crop of this embedder has at least {w}x{h}; leave --aligned out for photographs",
                    path.display(),
                    image.width(),
                    image.height()
                )
            })?;
            return Ok(Some(crop));
        };
        let Ok(image) = photo::decode_file(path) else { return Ok(None) };
        let faces = detector.detect(image.view(), &self.settings)?;
        let face = central_face(&image, &faces);
        Ok(face.and_then(|f| self.aligner.align(image.view(), &f.landmarks).ok()).map(|a| a.crop))
    }
}

/// At most `count` of `all`, evenly spread, in their order.
fn spread(all: Vec<PathBuf>, count: usize) -> Vec<PathBuf> {
    let (n, count) = (all.len(), count.min(all.len()));
    let mut taken = Vec::with_capacity(count);
    for (i, path) in all.into_iter().enumerate() {
        // Taken where i * count / n goes up: the first, and `count` in all.
        if i == 0 || i * count / n != (i - 1) * count / n {
            taken.push(path);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pictures_are_taken_from_all_over_the_folder(n in 1usize..400, count in 1usize..400) {
            let all: Vec<PathBuf> = (0..n).map(|i| PathBuf::from(i.to_string())).collect();
            let at: Vec<usize> = spread(all, count)
                .iter()
                .map(|p| p.to_str().unwrap().parse().unwrap())
                .collect();
            prop_assert_eq!(at.len(), count.min(n));
            let gap = n.div_ceil(count.min(n));
            prop_assert!(at[0] < gap && at.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] <= gap), "{at:?}");
        }
    }
}
