//! Sections `[models]`, `[gallery]` and `[decision]`: which networks look, who is known, when a face is let in.

use std::path::PathBuf;

use limen_models::detect::mtcnn::Pyramid;
use serde::{Deserialize, Serialize};

use crate::decide::Companions;

/// Section `[models]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Folder with `manifest.toml`.
    pub folder: PathBuf,
    /// Embedder by id; empty: the manifest's default.
    pub embedder: String,
    /// Smallest face looked for, as a share of the frame's shorter side.
    pub min_face: f32,
    /// What the small pictures are made of in which faces are searched.
    pub pyramid: Pyramid,
    /// At least so often, in ms, the whole picture is searched for faces; in between, only around those in sight.
    pub full_search_ms: u64,
    /// Threads that share the networks' work on a frame; 0: one for each core but one.
    pub threads: u32,
    /// Whether the embedder multiplies in half precision, where the processor can.
    pub half: bool,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            folder: "/usr/share/limen/models".into(),
            embedder: String::new(),
            min_face: 0.125,
            pyramid: Pyramid::Frame,
            full_search_ms: 250,
            threads: 0,
            half: false,
        }
    }
}

/// Section `[gallery]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GalleryFile {
    /// The SQLite file.
    pub file: PathBuf,
}

impl Default for GalleryFile {
    fn default() -> Self {
        Self { file: "/var/lib/limen/gallery.db".into() }
    }
}

/// Section `[decision]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decision {
    /// False match rate per comparison whose threshold is taken from the manifest.
    pub false_match_rate: f64,
    /// Threshold in place of that, -1 to 1; 0 means: by the rate.
    pub threshold: f32,
    /// False match rate where a card, a PIN or a pass has said who it is (1:1), whose threshold is taken likewise.
    pub verify_false_match_rate: f64,
    /// Least lead over the second-best subject.
    pub min_margin: f32,
    /// Good frames fused before a decision.
    pub min_frames: u32,
    /// Least likeness of two frames of one track, as a cosine.
    pub same_face: f32,
    /// Whoever is out of sight for so long is somebody new, ms.
    pub lost_after_ms: u64,
    /// The same subject is not let in again for so long, ms.
    pub cool_down_ms: u64,
    /// What a second large face means.
    pub companions: Companions,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            false_match_rate: 1e-4,
            threshold: 0.0,
            verify_false_match_rate: 1e-3,
            min_margin: 0.05,
            min_frames: 3,
            same_face: 0.35,
            lost_after_ms: 1000,
            cool_down_ms: 5000,
            companions: Companions::Allowed,
        }
    }
}
