//! What an entry must be like: each field with a value that this program knows how to honour.

use crate::error::ModelError;
use crate::manifest::{Kind, Manifest, ModelEntry};

impl Manifest {
    /// Errors with [`ModelError::Field`], naming the field and what would be right.
    pub(super) fn check(&self, m: &ModelEntry) -> Result<(), ModelError> {
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
                if !(2..=4096).contains(&e.length) {
                    return bad("embedding.length", "2 to 4096");
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
        match (m.kind, m.face_threshold) {
            (Kind::Embedder, Some(_)) => {
                return bad("face_threshold", "only detectors have one; an embedder has operating_points");
            }
            (_, Some(t)) if !(0.0..1.0).contains(&t) => {
                return bad("face_threshold", "a probability from 0 to below 1, as 0.6");
            }
            _ => {}
        }
        match (m.kind, m.landmark_looks) {
            (Kind::MtcnnO, Some(1 | 2)) | (_, None) => {}
            (Kind::MtcnnO, _) => return bad("landmark_looks", "1 or 2"),
            _ => return bad("landmark_looks", "only mtcnn-o looks for landmarks"),
        }
        for p in &m.operating_points {
            if !(p.fmr > 0.0 && p.fmr < 1.0 && (-1.0..=1.0).contains(&p.threshold)) {
                return bad("operating_points", "fmr lies between 0 and 1, threshold between -1 and 1");
            }
        }
        Ok(())
    }
}
