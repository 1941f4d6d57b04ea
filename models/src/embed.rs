//! Aligned face to embedding: preprocessing as the manifest says, mirror rule, unit length.

use std::sync::Arc;

use crate::align::AlignedFace;
use crate::error::ModelError;
use crate::manifest::{EmbeddingSpec, Input, Manifest, Mirror, ModelEntry, Selection};
use crate::resample::pixels;
use crate::session::{Output, Session};

/// A face as a point on the unit sphere, and the model whose sphere it is.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    values: Vec<f32>,
    model: Arc<str>,
}

impl std::fmt::Debug for Embedding {
    /// Model and length only: the numbers are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedding({}, {} values)", self.model, self.values.len())
    }
}

impl Embedding {
    /// `values` brought to unit length; `None` if their length is zero or not a number.
    pub fn new(mut values: Vec<f32>, model: Arc<str>) -> Option<Self> {
        unit(&mut values)?;
        Some(Self { values, model })
    }

    /// The numbers, of unit length.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Id of the way from frame to embedding ([`Selection::model_id`]).
    pub fn model(&self) -> &str {
        &self.model
    }
}

/// Memory that embeddings are made in, kept from one to the next.
#[derive(Default)]
pub struct Scratch {
    outputs: Vec<Output>,
    spare: Vec<Vec<f32>>,
}

impl std::fmt::Debug for Scratch {
    /// Nothing of it: a face may lie in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Scratch {
    /// Takes the memory of an embedding that is not needed any more.
    pub fn reuse(&mut self, embedding: Embedding) {
        self.spare.push(embedding.values);
    }
}

/// The embedder, loaded once.
#[derive(Debug)]
pub struct Embedder {
    net: Session,
    input: Input,
    spec: EmbeddingSpec,
    model: Arc<str>,
}

impl Embedder {
    /// Loads the embedder of `selection`.
    pub fn load(manifest: &Manifest, selection: &Selection<'_>) -> Result<Self, ModelError> {
        Self::of(manifest, selection.embedder, &selection.model_id())
    }

    /// Loads the embedder `entry`; its embeddings carry the id `model`.
    ///
    /// # Errors
    /// When it is no embedder or its file cannot be read.
    pub fn of(manifest: &Manifest, entry: &ModelEntry, model: &str) -> Result<Self, ModelError> {
        let Some(spec) = entry.embedding else {
            return Err(ModelError::Missing {
                path: manifest.path(),
                why: format!("model {:?} has no embedding section", entry.id),
            });
        };
        let net = Session::load(manifest, entry, &["embedding"])?;
        Ok(Self { net, input: entry.input, spec, model: model.into() })
    }

    /// As [`Session::with_threads`].
    pub fn with_threads(self, threads: usize) -> Self {
        Self { net: self.net.with_threads(threads), ..self }
    }

    /// As [`Session::in_half`].
    pub fn in_half(self) -> Option<Self> {
        Some(Self { net: self.net.in_half()?, ..self })
    }

    /// Length of the embeddings.
    pub fn length(&self) -> usize {
        self.spec.final_length()
    }

    /// Id that the embeddings carry.
    pub fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// The unit embedding of one aligned face.
    pub fn embed(&self, face: &AlignedFace) -> Result<Embedding, ModelError> {
        self.embed_in(face, &mut Scratch::default())
    }

    /// As [`Embedder::embed`], in memory that earlier ones left in `scratch`.
    pub fn embed_in(&self, face: &AlignedFace, scratch: &mut Scratch) -> Result<Embedding, ModelError> {
        let mut values = scratch.spare.pop().unwrap_or_default();
        values.clear();
        match self.spec.mirror {
            Mirror::None => values.extend_from_slice(self.views(face, &[false], scratch)?),
            Mirror::Sum => {
                let both = self.views(face, &[false, true], scratch)?;
                let (a, b) = both.split_at_mut(both.len() / 2);
                unit(a).and(unit(b)).ok_or_else(|| self.fail(NO_LENGTH.into()))?;
                values.extend(a.iter().zip(b).map(|(x, y)| *x + *y));
            }
            Mirror::Concat => values.extend_from_slice(self.views(face, &[false, true], scratch)?),
        }
        Embedding::new(values, self.model.clone()).ok_or_else(|| self.fail(NO_LENGTH.into()))
    }

    /// The network's own outputs for the face and its mirror image, as the LFW protocol wants them.
    pub fn raw(&self, face: &AlignedFace) -> Result<[Vec<f32>; 2], ModelError> {
        let mut scratch = Scratch::default();
        let (a, b) = self.views(face, &[false, true], &mut scratch)?.split_at(self.spec.length);
        Ok([a.to_vec(), b.to_vec()])
    }

    /// Outputs for the face as it is or mirrored, in one run, one after the other.
    fn views<'s>(
        &self,
        face: &AlignedFace,
        mirrored: &[bool],
        scratch: &'s mut Scratch,
    ) -> Result<&'s mut [f32], ModelError> {
        let (w, h) = (face.crop.width(), face.crop.height());
        if (w, h) != (self.input.width, self.input.height) {
            return Err(self.fail(format!(
                "the aligned face is {w}x{h}, the model takes {}x{}",
                self.input.width, self.input.height
            )));
        }
        let rows = &mut |n: usize, y: usize, row: &mut [f32]| {
            pixels(face.crop.view(), y, mirrored[n], &self.input, row);
        };
        self.net.run_rows([mirrored.len(), 3, h, w], rows, &mut scratch.outputs)?;
        let values = scratch.outputs.first_mut().map_or(<&mut [f32]>::default(), |o| &mut o.data);
        if values.len() != mirrored.len() * self.spec.length {
            return Err(self.fail(format!(
                "it gives {} numbers, the manifest (field embedding.length) says {}",
                values.len() / mirrored.len(),
                self.spec.length
            )));
        }
        Ok(values)
    }

    fn fail(&self, why: String) -> ModelError {
        ModelError::Run { model: self.model.to_string(), why }
    }
}

const NO_LENGTH: &str = "it gave a vector of length zero";

/// Brings `v` to unit length.
fn unit(v: &mut [f32]) -> Option<()> {
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if !norm.is_finite() || norm <= 1e-12 {
        return None;
    }
    v.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_have_unit_length_or_do_not_exist() {
        let e = Embedding::new(vec![3.0, 0.0, 4.0], "m".into()).unwrap();
        assert_eq!(e.values(), [0.6, 0.0, 0.8]);
        assert!(Embedding::new(vec![0.0; 4], "m".into()).is_none());
        assert!(Embedding::new(vec![f32::NAN; 4], "m".into()).is_none());
    }

    #[test]
    fn debug_shows_model_and_length_only() {
        let e = Embedding::new(vec![3.0, 4.0], "m@1".into()).unwrap();
        assert_eq!(format!("{e:?}"), "Embedding(m@1, 2 values)");
    }
}
