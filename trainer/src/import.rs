//! Reads networks that others trained: Caffe, PyTorch, NumPy, safetensors and ONNX files become a [`Network`].
//!
//! Nothing in a file is executed, every length is checked before it is believed, and what is not understood is
//! refused by name. The result has its batch normalisation folded, and its outputs are named after its role.

pub mod architecture;
pub mod caffe;
mod file;
pub mod normalisation;
mod numbers;
pub mod numpy;
pub mod onnx;
pub mod prototxt;
pub mod pytorch;
pub mod role;
pub mod safetensors;
pub mod weights;

pub use architecture::Architecture;
pub use normalisation::Normalisation;
pub use role::Role;
pub use weights::Weights;

use crate::graph::fold::fold_batch_norm;
use crate::graph::width_first::to_height_first;
use crate::graph::{GraphError, Network, Size2};
use std::path::{Path, PathBuf};

/// What is wrong inside a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is not what it claims to be: fetch or save it again.
    #[error("{0}")]
    Damaged(String),
    /// The file is sound, but holds something that is not understood here.
    #[error("{0}")]
    Unsupported(String),
    /// One layer of the file, or its weights.
    #[error("layer `{layer}`: {what}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// What is wrong, and what would help.
        what: String,
    },
    /// A tensor that the architecture needs, has too much, or needs in another shape.
    #[error("tensor `{tensor}`: {what}")]
    Tensor {
        /// Name of the tensor in the file.
        tensor: String,
        /// What is wrong, and what would help.
        what: String,
    },
    /// The layers were read, but do not make a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why a network could not be imported. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read: look at the path and the permissions.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read, but cannot be used.
    #[error("{}: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        fault: Fault,
    },
    /// The network was read, but is not one of the wanted role.
    #[error("{}: {what}", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// What the role needs and the network has not.
        what: String,
    },
}

/// In which order a network was taught to see the pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageLayout {
    /// Rows, then columns: nearly everything.
    #[default]
    HeightFirst,
    /// Columns, then rows: trained from Matlab, as the official MTCNN Caffe files are. The imported network
    /// takes ordinary images all the same.
    WidthFirst,
}

/// Where a network comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportSource {
    /// A Caffe network: structure and weights in two files.
    Caffe {
        /// `.caffemodel`, V1 or V2.
        model: PathBuf,
        /// The deploy `.prototxt`.
        prototxt: PathBuf,
        /// How it was taught.
        layout: ImageLayout,
    },
    /// Named tensors alone (`.pt`, `.pth`, `.npz`, `.npy`, `.safetensors`, or a folder of `.npy`).
    Weights {
        /// The file; its format is told by its first bytes, not by its name.
        path: PathBuf,
        /// The network that the tensors belong to.
        architecture: Architecture,
    },
    /// A feed-forward ONNX file of the operators known here.
    Onnx {
        /// The file.
        path: PathBuf,
    },
}

impl ImportSource {
    /// The file that holds the weights: the one to hash, and to name in a message.
    pub fn weights_path(&self) -> &Path {
        match self {
            ImportSource::Caffe { model, .. } => model,
            ImportSource::Weights { path, .. } | ImportSource::Onnx { path } => path,
        }
    }
}

/// What to import, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSpec {
    /// Where the network comes from.
    pub source: ImportSource,
    /// What it is to be; `None` takes the role of the architecture, or leaves the outputs as they are.
    pub role: Option<Role>,
    /// Name of the network; `None` keeps the one in the file.
    pub name: Option<String>,
}

/// Reads a network: batch normalisation folded, height first, inputs and outputs named after its role.
///
/// # Errors
/// When a file cannot be read, is damaged, holds something unknown, or is not of the wanted role.
pub fn import(spec: &ImportSpec) -> Result<Network, ImportError> {
    import_sized(spec, None)
}

/// The same; `size` takes the place of an image size that an ONNX file leaves free.
///
/// # Errors
/// As [`import`].
pub fn import_sized(spec: &ImportSpec, size: Option<Size2>) -> Result<Network, ImportError> {
    let path = spec.source.weights_path();
    let in_file = |fault: Fault| ImportError::File { path: path.to_path_buf(), fault };
    let (network, role) = match &spec.source {
        ImportSource::Caffe { model, prototxt, layout } => {
            let text = file::read(prototxt, file::TEXT_LIMIT)?;
            let in_text = |fault| ImportError::File { path: prototxt.clone(), fault };
            let definition = caffe::Definition::parse(&text).map_err(in_text)?;
            let network = definition.build(&file::read(model, file::WEIGHTS_LIMIT)?).map_err(in_file)?;
            let network = match layout {
                ImageLayout::HeightFirst => network,
                ImageLayout::WidthFirst => to_height_first(&network).map_err(|e| in_file(e.into()))?,
            };
            (network, spec.role)
        }
        ImportSource::Weights { path, architecture } => {
            let weights = weights::read(path)?;
            let network = architecture.build(weights).map_err(in_file)?;
            (network, spec.role.or(Some(architecture.role())))
        }
        ImportSource::Onnx { path } => {
            let bytes = file::read(path, file::WEIGHTS_LIMIT)?;
            (onnx::read_sized(&bytes, size).map_err(in_file)?, spec.role)
        }
    };
    let mut network = fold_batch_norm(&network).map_err(|e| in_file(e.into()))?;
    if let Some(role) = role {
        let wrong_role = |what| ImportError::Role { path: path.to_path_buf(), what };
        network = role.conform(network).map_err(wrong_role)?;
    }
    if let Some(name) = &spec.name {
        network.name.clone_from(name);
    }
    Ok(network)
}
