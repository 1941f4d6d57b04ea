//! `manifest.toml`: what each model file is, how its input is prepared, under which terms, with which thresholds.
//!
//! Preprocessing is data here and never code: a model whose preprocessing is unknown is refused.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::geometry::Point;

/// The manifest's file name inside a model folder.
pub const FILE_NAME: &str = "manifest.toml";
/// The format this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a model file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// MTCNN's proposal network, fully convolutional, 12 px cells.
    MtcnnP,
    /// MTCNN's refinement network, 24x24.
    MtcnnR,
    /// MTCNN's output network, 48x48, with landmarks.
    MtcnnO,
    /// Aligned face to embedding.
    Embedder,
}

impl Kind {
    /// The kebab-case word of the manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::MtcnnP => "mtcnn-p",
            Self::MtcnnR => "mtcnn-r",
            Self::MtcnnO => "mtcnn-o",
            Self::Embedder => "embedder",
        }
    }
}

/// Order of the channels in the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first (Caffe, OpenCV).
    Bgr,
}

/// Order of the axes of the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
}

/// How pixels become the network's input: `(pixel - offset) * scale`, pixel 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Width, px; for `mtcnn-p` the smallest width.
    pub width: usize,
    /// Height, px; for `mtcnn-p` the smallest height.
    pub height: usize,
    /// Axis order.
    pub layout: Layout,
    /// Channel order.
    pub colour: Colour,
    /// Subtracted from each 0 to 255 value.
    pub offset: f32,
    /// Multiplied after that.
    pub scale: f32,
}

impl Input {
    /// The SphereFace and MTCNN rule: `(x - 127.5) / 128` (reference sections 2.1 and 2.3).
    pub fn sphereface(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, layout: Layout::Nchw, colour, offset: 127.5, scale: 1.0 / 128.0 }
    }
}

/// Where the five landmarks lie in the aligned crop, px.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner: `[x, y]` each.
    pub points: [[f32; 2]; 5],
}

impl Alignment {
    /// The 112x96 template (SphereFace `preprocess/code/face_align_demo.m` L22-26).
    pub const SPHEREFACE_112X96: Self = Self {
        points: [
            [30.2946, 51.6963],
            [65.5318, 51.5014],
            [48.0252, 71.7366],
            [33.5493, 92.3655],
            [62.7299, 92.2041],
        ],
    };

    /// The points as points.
    pub fn template(&self) -> [Point; 5] {
        self.points.map(|[x, y]| Point::new(x, y))
    }
}

/// What is done with the mirrored face at embedding time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// Not looked at.
    None,
    /// The two embeddings, each of unit length, are summed (OpenSphere `model.py` L67-78).
    Sum,
    /// The two raw embeddings are concatenated: twice the length (SphereFace `evaluation.m` L105-113).
    Concat,
}

/// What an embedder gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSpec {
    /// Numbers that the network gives for one face.
    pub length: usize,
    /// The mirror rule.
    pub mirror: Mirror,
}

impl EmbeddingSpec {
    /// Length of the finished embedding.
    pub fn final_length(&self) -> usize {
        if self.mirror == Mirror::Concat { 2 * self.length } else { self.length }
    }
}

/// A score threshold and the false match rate that it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// False match rate per comparison, 0 to 1.
    pub fmr: f64,
    /// Cosine at and above which two faces count as one person, -1 to 1.
    pub threshold: f32,
    /// Impostor comparisons the estimate rests on; below `3 / fmr` it is not supported (rule of three).
    pub impostor_pairs: u64,
    /// Data and command.
    pub evidence: String,
}

/// One model file and everything that must be known to use it rightly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name of the model, unique in the manifest.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// File name beside the manifest, no folders.
    pub file: String,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Terms in a few words (SPDX where one exists).
    pub licence: String,
    /// Where it comes from: repository and commit, or the run that trained it.
    pub source: String,
    /// How pixels go in.
    pub input: Input,
    /// Detectors only: face probability above which a window passes, 0 to 1; left out, MTCNN's own (0.6, 0.7 and 0.9
    /// for P-, R- and O-Net, SphereFace `face_detect_demo.m` L32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_threshold: Option<f32>,
    /// O-Net only: how often it looks for the landmarks, 1 or 2. The second time it is shown the box that it made of
    /// the first, and the mean of both counts; left out, once, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmark_looks: Option<u8>,
    /// Embedders only: the alignment template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<Alignment>,
    /// Embedders only: what comes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingSpec>,
    /// Embedders only: thresholds, by falling false match rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating_points: Vec<OperatingPoint>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_embedder: Option<String>,
    #[serde(default, rename = "model", skip_serializing_if = "Vec::is_empty")]
    models: Vec<ModelEntry>,
}

/// A model folder's manifest, checked.
#[derive(Debug, Clone)]
pub struct Manifest {
    folder: PathBuf,
    default_embedder: Option<String>,
    models: Vec<ModelEntry>,
}

/// The entries one recognition pipeline needs.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    manifest: &'a Manifest,
    /// Proposal, refinement and output network.
    pub cascade: [&'a ModelEntry; 3],
    /// The embedder.
    pub embedder: &'a ModelEntry,
}

impl Manifest {
    /// An empty manifest for `folder`, to be filled by an import.
    pub fn empty(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), default_embedder: None, models: Vec::new() }
    }

    /// Reads and checks `folder/manifest.toml`.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(FILE_NAME);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        Self::parse(folder, &text)
    }

    /// Checks `text` as the manifest of `folder`.
    pub fn parse(folder: &Path, text: &str) -> Result<Self, ModelError> {
        let path = folder.join(FILE_NAME);
        let file: File = toml::from_str(text)
            .map_err(|e| ModelError::Manifest { path: path.clone(), why: e.to_string() })?;
        if file.format != FORMAT {
            return Err(ModelError::Manifest {
                path,
                why: format!(
                    "format {} is not known here (this program reads {FORMAT}): update Limen",
                    file.format
                ),
            });
        }
        let manifest =
            Self { folder: folder.to_owned(), default_embedder: file.default_embedder, models: file.models };
        for (i, model) in manifest.models.iter().enumerate() {
            manifest.check(model)?;
            if manifest.models[..i].iter().any(|m| m.id == model.id) {
                return Err(manifest.field(model, "id", "stands twice; ids are unique".into()));
            }
        }
        Ok(manifest)
    }

    /// The manifest as TOML, entries in their order.
    pub fn to_toml(&self) -> Result<String, ModelError> {
        let file = File {
            format: FORMAT,
            default_embedder: self.default_embedder.clone(),
            models: self.models.clone(),
        };
        toml::to_string_pretty(&file)
            .map_err(|e| ModelError::Manifest { path: self.path(), why: e.to_string() })
    }

    /// Writes `folder/manifest.toml` atomically.
    pub fn save(&self) -> Result<(), ModelError> {
        let (path, part) = (self.path(), self.folder.join("manifest.toml.part"));
        std::fs::write(&part, self.to_toml()?)
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|source| ModelError::Read { path, source })
    }

    /// Adds `entry`, in place of one with the same id; the first embedder becomes the default.
    pub fn put(&mut self, entry: ModelEntry) -> Result<(), ModelError> {
        self.check(&entry)?;
        if entry.kind == Kind::Embedder && self.default_embedder.is_none() {
            self.default_embedder = Some(entry.id.clone());
        }
        match self.models.iter_mut().find(|m| m.id == entry.id) {
            Some(old) => *old = entry,
            None => self.models.push(entry),
        }
        Ok(())
    }

    /// Path of the manifest.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// The entries.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// The entry called `id`.
    pub fn model(&self, id: &str) -> Result<&ModelEntry, ModelError> {
        self.models.iter().find(|m| m.id == id).ok_or_else(|| {
            let ids: Vec<_> = self.models.iter().map(|m| m.id.as_str()).collect();
            ModelError::Missing {
                path: self.path(),
                why: format!("no model is called {id:?}; there are: {}", ids.join(", ")),
            }
        })
    }

    /// The one entry of a kind.
    fn one(&self, kind: Kind) -> Result<&ModelEntry, ModelError> {
        let mut found = self.models.iter().filter(|m| m.kind == kind);
        match (found.next(), found.next()) {
            (Some(m), None) => Ok(m),
            (None, _) => Err(ModelError::Missing {
                path: self.path(),
                why: format!("no model of kind {:?}; add one with `limen-train import`", kind.word()),
            }),
            (Some(_), Some(_)) => Err(ModelError::Missing {
                path: self.path(),
                why: format!("two models of kind {:?}; keep one", kind.word()),
            }),
        }
    }

    /// The cascade: P-, R- and O-Net. A folder without an embedder has one too, so that crops can be made for the
    /// first network that is trained.
    pub fn cascade(&self) -> Result<[&ModelEntry; 3], ModelError> {
        Ok([self.one(Kind::MtcnnP)?, self.one(Kind::MtcnnR)?, self.one(Kind::MtcnnO)?])
    }

    /// The cascade and the embedder: `embedder` by id, else the manifest's `default_embedder`.
    pub fn select(&self, embedder: Option<&str>) -> Result<Selection<'_>, ModelError> {
        let cascade = self.cascade()?;
        Ok(Selection { manifest: self, cascade, embedder: self.embedder(embedder)? })
    }

    /// The embedder `id`, else the default one, else the only one: for crops that need no detector.
    ///
    /// # Errors
    /// When there is none, or the id is another model's.
    pub fn embedder(&self, id: Option<&str>) -> Result<&ModelEntry, ModelError> {
        let embedder = match id.or(self.default_embedder.as_deref()) {
            Some(id) => self.model(id)?,
            None => self.one(Kind::Embedder)?,
        };
        if embedder.kind != Kind::Embedder {
            return Err(self.field(
                embedder,
                "kind",
                format!("is {:?}, an embedder is needed here", embedder.kind.word()),
            ));
        }
        Ok(embedder)
    }

    /// Reads the file of `entry` and compares its hash.
    pub fn read(&self, entry: &ModelEntry) -> Result<Vec<u8>, ModelError> {
        let path = self.folder.join(&entry.file);
        let bytes = std::fs::read(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let got = sha256_hex(&bytes);
        if got != entry.sha256 {
            return Err(ModelError::Hash { path, expected: entry.sha256.clone(), got });
        }
        Ok(bytes)
    }

    /// Path of the file of `entry`.
    pub fn file(&self, entry: &ModelEntry) -> PathBuf {
        self.folder.join(&entry.file)
    }

    fn field(&self, entry: &ModelEntry, field: &'static str, why: String) -> ModelError {
        ModelError::Field { path: self.path(), model: entry.id.clone(), field, why }
    }
}

impl Selection<'_> {
    /// Id of the whole way from frame to embedding: the embedder's id and a fingerprint over the files and
    /// preprocessing of detector and embedder. Templates of two ids never meet: another detector alone moves the
    /// LFW figure by up to 1.8 points.
    pub fn model_id(&self) -> String {
        let mut h = Sha256::new();
        for m in self.cascade.iter().chain([&self.embedder]) {
            h.update(m.sha256.as_bytes());
            // Debug of plain numbers and words: any change of preprocessing changes it.
            h.update(format!("{:?}{:?}{:?}", m.input, m.alignment, m.embedding).as_bytes());
            // Once is what was before there was a choice.
            if let Some(looks) = m.landmark_looks.filter(|looks| *looks != 1) {
                h.update([looks]);
            }
        }
        let digest = h.finalize();
        format!("{}@{}", self.embedder.id, hex(&digest[..6]))
    }

    /// The threshold for a false match rate of at most `fmr` per comparison: the largest listed rate that is not
    /// above it. Errors with [`ModelError::Missing`] when the manifest has no such point.
    pub fn threshold(&self, fmr: f64) -> Result<&OperatingPoint, ModelError> {
        let points = self.embedder.operating_points.iter().filter(|p| p.fmr <= fmr * (1.0 + 1e-9));
        points.max_by(|a, b| a.fmr.total_cmp(&b.fmr)).ok_or_else(|| ModelError::Missing {
            path: self.manifest.path(),
            why: format!(
                "model {:?} has no threshold for a false match rate of {fmr} or less; take a higher rate, give a \
                 threshold, or run `limen-train calibrate`",
                self.embedder.id
            ),
        })
    }
}

/// Sha256 of `bytes` as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
