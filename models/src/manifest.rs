//! `manifest.toml`: what each model file is, how its input is prepared, under which terms, with which thresholds.
//!
//! Preprocessing is data here and never code: a model whose preprocessing is unknown is refused.

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

    /// The cascade and the embedder: `embedder` by id, else the manifest's `default_embedder`.
    pub fn select(&self, embedder: Option<&str>) -> Result<Selection<'_>, ModelError> {
        let one = |kind: Kind| {
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
        };
        let cascade = [one(Kind::MtcnnP)?, one(Kind::MtcnnR)?, one(Kind::MtcnnO)?];
        let embedder = match embedder.or(self.default_embedder.as_deref()) {
            Some(id) => self.model(id)?,
            None => one(Kind::Embedder)?,
        };
        if embedder.kind != Kind::Embedder {
            return Err(self.field(
                embedder,
                "kind",
                format!("is {:?}, an embedder is needed here", embedder.kind.word()),
            ));
        }
        Ok(Selection { cascade, embedder })
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

    fn check(&self, m: &ModelEntry) -> Result<(), ModelError> {
        let bad = |field, why: &str| Err(self.field(m, field, why.into()));
        let plain = |s: &str| {
            !s.is_empty()
                && s.len() <= 100
                && !s.starts_with('.')
                && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        if !plain(&m.id) {
            return bad("id", "letters, digits, '-', '_', '.' and '+' only, at most 100");
        }
        if !plain(&m.file) {
            return bad("file", "a plain file name beside the manifest: no folders, no spaces");
        }
        if m.sha256.len() != 64 || !m.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return bad("sha256", "64 lower-case hexadecimal digits (sha256sum FILE prints them)");
        }
        if m.licence.trim().is_empty() {
            return bad("licence", "empty; say under which terms the file may be used");
        }
        if !(m.input.scale.is_finite() && m.input.scale > 0.0 && m.input.offset.is_finite()) {
            return bad("input.scale", "scale must be above 0 and offset finite, as in 0.0078125 and 127.5");
        }
        let side = match m.kind {
            Kind::MtcnnP => Some(12),
            Kind::MtcnnR => Some(24),
            Kind::MtcnnO => Some(48),
            Kind::Embedder => None,
        };
        match side {
            Some(s) if (m.input.width, m.input.height) != (s, s) => {
                return Err(self.field(m, "input.width", format!("a {} takes {s}x{s}", m.kind.word())));
            }
            None if !(32..=512).contains(&m.input.width) || !(32..=512).contains(&m.input.height) => {
                return bad("input.width", "an embedder's input is 32 to 512 px a side");
            }
            _ => {}
        }
        match (m.kind, &m.alignment, &m.embedding) {
            (Kind::Embedder, Some(a), Some(e)) => {
                let (w, h) = (m.input.width as f32, m.input.height as f32);
                let inside = |p: &[f32; 2]| (0.0..w).contains(&p[0]) && (0.0..h).contains(&p[1]);
                if !a.points.iter().all(inside) {
                    return bad("alignment.points", "all five must lie inside input.width x input.height");
                }
                if !(16..=4096).contains(&e.length) {
                    return bad("embedding.length", "16 to 4096");
                }
            }
            (Kind::Embedder, None, _) => {
                return bad("alignment", "missing; an embedder must say where the landmarks lie");
            }
            (Kind::Embedder, _, None) => {
                return bad("embedding", "missing; an embedder must give its length and mirror rule");
            }
            (_, None, None) => {}
            _ => return bad("alignment", "only embedders have alignment and embedding"),
        }
        for p in &m.operating_points {
            if !(p.fmr > 0.0 && p.fmr < 1.0 && (-1.0..=1.0).contains(&p.threshold)) {
                return bad("operating_points", "fmr lies between 0 and 1, threshold between -1 and 1");
            }
        }
        Ok(())
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
        }
        let digest = h.finalize();
        format!("{}@{}", self.embedder.id, hex(&digest[..6]))
    }

    /// The threshold for a false match rate of at most `fmr` per comparison: the largest listed rate that is not
    /// above it, `None` when the manifest has no such point.
    pub fn threshold(&self, fmr: f64) -> Option<&OperatingPoint> {
        self.embedder
            .operating_points
            .iter()
            .filter(|p| p.fmr <= fmr * (1.0 + 1e-9))
            .max_by(|a, b| a.fmr.total_cmp(&b.fmr))
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
mod tests {
    use super::*;

    fn entry(kind: Kind, side: usize) -> ModelEntry {
        ModelEntry {
            id: kind.word().into(),
            kind,
            file: format!("{}.onnx", kind.word()),
            sha256: "0".repeat(64),
            licence: "MIT".into(),
            source: "test".into(),
            input: Input::sphereface(side, side, Colour::Rgb),
            alignment: None,
            embedding: None,
            operating_points: vec![],
        }
    }

    fn full() -> Manifest {
        let mut m = Manifest::empty(Path::new("models"));
        m.put(entry(Kind::MtcnnP, 12)).unwrap();
        m.put(entry(Kind::MtcnnR, 24)).unwrap();
        m.put(entry(Kind::MtcnnO, 48)).unwrap();
        let mut e = entry(Kind::Embedder, 96);
        e.input = Input::sphereface(96, 112, Colour::Bgr);
        e.alignment = Some(Alignment::SPHEREFACE_112X96);
        e.embedding = Some(EmbeddingSpec { length: 128, mirror: Mirror::Sum });
        let point = |fmr, threshold| OperatingPoint {
            fmr,
            threshold,
            impostor_pairs: 1_000_000,
            evidence: "t".into(),
        };
        e.operating_points = vec![point(1e-2, 0.2), point(1e-3, 0.3), point(1e-4, 0.4)];
        m.put(e).unwrap();
        m
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let m = full();
        let again = Manifest::parse(Path::new("models"), &m.to_toml().unwrap()).unwrap();
        assert_eq!(m.models(), again.models());
        assert_eq!(m.select(None).unwrap().model_id(), again.select(None).unwrap().model_id());
    }

    #[test]
    fn a_threshold_is_named_by_its_false_match_rate() {
        let m = full();
        let s = m.select(None).unwrap();
        assert_eq!(s.threshold(1e-3).unwrap().threshold, 0.3);
        assert_eq!(s.threshold(5e-3).unwrap().threshold, 0.3, "never a laxer point than asked for");
        assert!(s.threshold(1e-5).is_none());
    }

    #[test]
    fn the_model_id_follows_every_change_of_the_way_from_frame_to_embedding() {
        let base = full().select(None).unwrap().model_id();
        let change = |f: &dyn Fn(&mut ModelEntry), i: usize| {
            let mut m = full();
            f(&mut m.models[i]);
            m.select(None).unwrap().model_id()
        };
        assert_ne!(base, change(&|m| m.sha256 = "1".repeat(64), 0), "another detector");
        assert_ne!(base, change(&|m| m.input.colour = Colour::Rgb, 3), "another colour order");
        assert_ne!(base, change(&|m| m.embedding.as_mut().unwrap().mirror = Mirror::None, 3));
        assert_eq!(base, change(&|m| m.operating_points.clear(), 3), "thresholds change no embedding");
    }

    #[test]
    fn each_bad_field_is_named() {
        let bad = |field: &str, f: &dyn Fn(&mut ModelEntry)| {
            let mut e = full().models[3].clone();
            f(&mut e);
            let err = full().put(e).unwrap_err();
            assert!(err.to_string().contains(&format!("field {field}")), "{field}: {err}");
        };
        bad("id", &|m| m.id = "a b".into());
        bad("file", &|m| m.file = "../x.onnx".into());
        bad("sha256", &|m| m.sha256 = "xyz".into());
        bad("licence", &|m| m.licence = " ".into());
        bad("input.scale", &|m| m.input.scale = 0.0);
        bad("input.width", &|m| m.input.width = 9000);
        bad("alignment", &|m| m.alignment = None);
        bad("alignment.points", &|m| m.alignment.as_mut().unwrap().points[0] = [500.0, 1.0]);
        bad("embedding", &|m| m.embedding = None);
        bad("embedding.length", &|m| m.embedding.as_mut().unwrap().length = 3);
        bad("operating_points", &|m| m.operating_points[0].fmr = 2.0);
        let mut p = full().models[0].clone();
        p.input.width = 13;
        assert!(full().put(p).unwrap_err().to_string().contains("field input.width"));
    }

    #[test]
    fn unknown_preprocessing_and_unknown_fields_are_refused() {
        let text = full().to_toml().unwrap();
        let parse = |t: String| Manifest::parse(Path::new("models"), &t).unwrap_err().to_string();
        assert!(parse(text.replacen("\"rgb\"", "\"yuv\"", 1)).contains("yuv"));
        assert!(parse(text.replacen("\"nchw\"", "\"nhwc\"", 1)).contains("nhwc"));
        assert!(parse(text.replacen("licence", "license", 1)).contains("license"));
        assert!(parse(text.replacen("format = 1", "format = 2", 1)).contains("update Limen"));
        let twice = text.replace("id = \"mtcnn-r\"", "id = \"mtcnn-p\"");
        assert!(parse(twice).contains("stands twice"));
    }

    #[test]
    fn a_file_that_was_changed_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mtcnn-p.onnx"), b"not what was imported").unwrap();
        let m = Manifest { folder: dir.path().to_owned(), ..full() };
        let e = m.read(&m.models[0]).unwrap_err();
        assert!(matches!(e, ModelError::Hash { .. }));
        assert!(e.to_string().contains("mtcnn-p.onnx") && e.to_string().contains("sha256"));
    }

    #[test]
    fn a_missing_kind_says_how_to_add_it() {
        let mut m = full();
        m.models.remove(1);
        let e = m.select(None).unwrap_err().to_string();
        assert!(e.contains("mtcnn-r") && e.contains("limen-train import"), "{e}");
    }
}
