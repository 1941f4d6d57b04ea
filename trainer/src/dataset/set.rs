//! A set that can be trained on: an index whose pictures are aligned crops of one known size.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use limen_models::image::RgbImage;

use crate::dataset::cache;
use crate::dataset::crop::{Crops, HEIGHT, WIDTH};
use crate::dataset::decode;
use crate::dataset::exclude::Exclusions;
use crate::dataset::index::{Content, Index, Sample};
use crate::dataset::source::Kind;

/// Crops by identity.
#[derive(Debug, Clone)]
pub struct Set {
    index: Index,
    crops: Crops,
}

/// How the crops at `paths` were made: what `crops.toml` or the cache's head says. `None` for photographs, and for
/// crops by another program.
///
/// # Errors
/// When a description cannot be used, or two of them differ.
pub fn described(paths: &[PathBuf]) -> Result<Option<Crops>> {
    let mut found: Option<(Crops, &PathBuf)> = None;
    let mut bare: Option<&PathBuf> = None;
    for path in paths {
        let crops = match Kind::of(path)? {
            Kind::Cache => Some(cache::open(path)?.1),
            _ => Crops::find(path)?,
        };
        match (crops, &found) {
            (None, _) => bare = Some(path),
            (Some(crops), None) => found = Some((crops, path)),
            (Some(crops), Some((first, where_first))) => ensure!(
                crops == *first,
                "{} and {} were made in different ways (compare their crops.toml); make both alike",
                where_first.display(),
                path.display()
            ),
        }
    }
    if let (Some(bare), Some((_, path))) = (bare, &found) {
        anyhow::bail!(
            "{}: has no crops.toml beside it, {} has; make both alike",
            bare.display(),
            path.display()
        );
    }
    Ok(found.map(|(crops, _)| crops))
}

impl Set {
    /// Opens `paths` as one set of crops without `exclusions`. Without a `crops.toml` the first picture's size tells
    /// what the crops are. Also the excluded names that the set does not have.
    ///
    /// # Errors
    /// When the data cannot be opened, are no aligned crops, or have fewer than two identities.
    pub fn open(paths: &[PathBuf], exclusions: &Exclusions) -> Result<(Self, Vec<String>)> {
        let crops = described(paths)?;
        let (index, unseen) = Index::open(paths)?.without(exclusions)?;
        let crops = match crops {
            Some(crops) => crops,
            None => {
                let first = &index.samples()[0];
                let image = decode::picture(&index, None, first, &mut Vec::new())?;
                let (w, h) = (image.width(), image.height());
                let Some(crops) = Crops::of_size(w, h) else {
                    anyhow::bail!(
                        "{}: {w}x{h} px is no aligned crop ({WIDTH}x{HEIGHT}, or more by an even margin); \
                         make crops with `limen-train preprocess`",
                        index.place(first)
                    );
                };
                crops
            }
        };
        Ok((Self::new(index, crops)?, unseen))
    }

    /// A set of `index`, whose pictures are `crops`.
    ///
    /// # Errors
    /// With fewer than two identities; when the pixels of a cache have another size.
    pub fn new(index: Index, crops: Crops) -> Result<Self> {
        let n = index.identities().len();
        ensure!(n >= 2, "{n} identity: at least two are needed to tell people apart");
        let bytes = (crops.width * crops.height * 3) as u32;
        let wrong = index.samples().iter().find(|s| index.content(s) == Content::Pixels && s.size != bytes);
        if let Some(s) = wrong {
            anyhow::bail!("{}: {} bytes of pixels where {bytes} are expected", index.place(s), s.size);
        }
        Ok(Self { index, crops })
    }

    /// Identities and pictures.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What the pictures are.
    pub fn crops(&self) -> &Crops {
        &self.crops
    }

    /// The same crops of other identities, as [`crate::dataset::split`] parts them.
    ///
    /// # Errors
    /// As [`Set::new`].
    pub fn with_index(&self, index: Index) -> Result<Self> {
        Self::new(index, self.crops.clone())
    }

    /// The stored crop of `sample`, with its margin; `bytes` is room that is used again.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or has another size; the message names its place.
    pub fn crop(&self, sample: &Sample, bytes: &mut Vec<u8>) -> Result<RgbImage> {
        decode::crop(&self.index, &self.crops, sample, bytes)
    }
}
