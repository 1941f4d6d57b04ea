//! Pictures in memory with the faces that somebody labelled.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limen_models::geometry::Detection;
use limen_models::image::RgbImage;
use limen_models::photo;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::config::Data;
use crate::dataset::parallel::{self, Progress};
use crate::dataset::pictures;

/// A picture.
#[derive(Debug)]
pub struct Picture {
    /// Its file.
    pub path: PathBuf,
    /// Its pixels.
    pub image: RgbImage,
    /// Its faces, those of little confidence too.
    pub faces: Vec<Detection>,
}

/// Pictures in two parts.
#[derive(Debug)]
pub struct Pictures {
    /// To learn from.
    pub train: Vec<Picture>,
    /// Never learnt from.
    pub held_out: Vec<Picture>,
}

/// A line of labels, as `limen-train detect` prints it.
#[derive(Debug, Deserialize)]
pub struct Label {
    /// The picture.
    pub file: PathBuf,
    /// Its faces; none of a picture that could not be read.
    #[serde(default)]
    pub faces: Vec<Detection>,
}

/// The lines of a file of labels.
///
/// # Errors
/// When it cannot be read or a line is none, by number.
pub fn labels(path: &Path) -> Result<Vec<Label>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{} line {}: no label", path.display(), i + 1))
    };
    text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(line).collect()
}

impl Pictures {
    /// Reads all that `data` names on `workers` threads. A labelled picture without a face is left out: nobody found
    /// what it shows, so it is no background either.
    ///
    /// # Errors
    /// When a file cannot be read or there is nothing to learn from.
    pub fn load(data: &Data, workers: usize) -> Result<Self> {
        let mut all: Vec<Label> = Vec::new();
        for path in &data.labels {
            all.extend(labels(path)?.into_iter().filter(|l| !l.faces.is_empty()));
        }
        ensure!(!all.is_empty(), "no face in any of the labels");
        for folder in &data.empty {
            all.extend(pictures(folder)?.into_iter().map(|file| Label { file, faces: Vec::new() }));
        }
        let progress = Progress::new(all.len() as u64, "pictures");
        let read = parallel::map(all.len(), workers, &progress, |i| {
            let Label { file, faces } = &all[i];
            let image = photo::decode_file(file)?;
            Ok(Picture { path: file.clone(), image, faces: faces.clone() })
        })?;
        let (held_out, train) = read.into_iter().partition(|p| luck(&p.path) < data.held_out);
        Ok(Self { train, held_out })
    }
}

/// A number from 0 up to but without 1 that follows from the file's name and its folder's: it stays where it is when
/// others come and go or the set moves.
fn luck(path: &Path) -> f64 {
    let name: Vec<_> = path.iter().rev().take(2).collect();
    let mut hash = Sha256::new();
    name.iter().rev().for_each(|part| hash.update(part.as_encoded_bytes()));
    let first: [u8; 4] = std::array::from_fn({
        let digest = hash.finalize();
        move |i| digest[i]
    });
    f64::from(u32::from_be_bytes(first)) / 2f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_is_even_and_moves_with_the_folder() {
        let shares: Vec<f64> = (0..1000).map(|i| luck(Path::new(&format!("a/b/{i}.png")))).collect();
        let below = shares.iter().filter(|s| **s < 0.2).count();
        assert!((160..240).contains(&below), "{below}");
        assert_eq!(luck(Path::new("x/b/7.png")), shares[7]);
        assert_ne!(luck(Path::new("a/c/7.png")), shares[7]);
    }

    #[test]
    fn a_line_that_is_no_label_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("labels.jsonl");
        std::fs::write(&file, "{\"file\": \"a.png\", \"faces\": []}\n\nshopping\n").unwrap();
        let error = format!("{:#}", labels(&file).unwrap_err());
        assert!(error.contains("labels.jsonl line 3: no label"), "{error}");
    }
}
