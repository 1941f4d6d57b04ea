//! What can be wrong with a model, its manifest or a run of it; each message names the file, the field and the cure.

use std::path::PathBuf;

use thiserror::Error;

/// A model that cannot be used. All but [`ModelError::Run`] are found at load, before the door has power over anything.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not valid TOML of this format.
    #[error("{path}: {why}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line, column and reason.
        why: String,
    },
    /// A field of the manifest has a value this program does not know how to honour.
    #[error("{path}: model {model:?}, field {field}: {why}")]
    Field {
        /// The manifest.
        path: PathBuf,
        /// Id of the entry.
        model: String,
        /// Dotted name of the field.
        field: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The file is not the one the manifest describes.
    #[error(
        "{path}: its sha256 is {got}, the manifest (field sha256) says {expected}; \
         the file was changed or cut short: install it again, or import it anew if the change was meant"
    )]
    Hash {
        /// The model file.
        path: PathBuf,
        /// From the manifest.
        expected: String,
        /// Of the file.
        got: String,
    },
    /// The file is no network that can be run here.
    #[error("{path}: not a usable ONNX network: {why}")]
    Graph {
        /// The model file.
        path: PathBuf,
        /// From the engine or our check of its inputs and outputs.
        why: String,
    },
    /// The manifest lacks a model that is needed.
    #[error("{path}: {why}")]
    Missing {
        /// The manifest.
        path: PathBuf,
        /// What is missing and how to add it.
        why: String,
    },
    /// A loaded network failed on an input.
    #[error("model {model:?} failed to run: {why}")]
    Run {
        /// Id of the model.
        model: String,
        /// From the engine.
        why: String,
    },
    /// This CPU does not compute in half precision, or the embedder is in int8 and has no use for it.
    #[error(
        "model {model:?} cannot multiply in half precision here: that takes a CPU with ARMv8.2's FP16 and a model that is \
         not in int8; set models.half = false"
    )]
    Half {
        /// Id of the model.
        model: String,
    },
    /// The system gives no threads.
    #[error("{threads} threads for the networks cannot be had: {why}; ask for fewer (models.threads)")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// From the system.
        why: String,
    },
}
