//! A bag of named tensors, whatever file it came from, and the telling of that file by its first bytes.

use super::{Fault, ImportError, file, numpy, pytorch, safetensors};
use crate::graph::Tensor;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

/// Most bytes of a pickle; a state dict of a thousand tensors has 200 kB.
pub(super) const PICKLE_LIMIT: usize = 16 << 20;

/// Named tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Adds a tensor.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn insert(&mut self, name: &str, tensor: Tensor) -> Result<(), Fault> {
        match self.tensors.insert(name.to_string(), tensor) {
            None => Ok(()),
            Some(_) => Err(Fault::Tensor {
                tensor: name.into(),
                what: "stands twice in the file; it is damaged".into(),
            }),
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor without taking it.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Takes a tensor out of the bag.
    ///
    /// # Errors
    /// When it is not there, with what there is.
    pub fn take(&mut self, name: &str) -> Result<Tensor, Fault> {
        self.tensors.remove(name).ok_or_else(|| {
            let mut left: Vec<&str> = self.names().take(8).collect();
            if self.tensors.len() > left.len() {
                left.push("...");
            }
            Fault::Tensor {
                tensor: name.into(),
                what: format!(
                    "is missing; still unused are: {}. Is this the right architecture for the file?",
                    left.join(", ")
                ),
            }
        })
    }

    /// Drops the tensors whose name `unwanted` picks.
    pub fn drop_if(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| !unwanted(name));
    }

    /// Removes a prefix that all names share (`module.` of PyTorch's DataParallel).
    pub fn strip_prefix(&mut self, prefix: &str) {
        if self.tensors.keys().all(|name| name.starts_with(prefix)) {
            let old = std::mem::take(&mut self.tensors);
            self.tensors = old.into_iter().map(|(name, t)| (name[prefix.len()..].to_string(), t)).collect();
        }
    }

    /// Says that everything has been used.
    ///
    /// # Errors
    /// Names a tensor that was not.
    pub fn finish(self) -> Result<(), Fault> {
        match self.tensors.into_iter().next() {
            None => Ok(()),
            Some((tensor, value)) => Err(Fault::Tensor {
                tensor,
                what: format!(
                    "(of shape {:?}) has no place in this architecture; is it the right one for the file?",
                    value.shape()
                ),
            }),
        }
    }
}

/// Reads a weights file of any known format, or a folder of `.npy` files.
///
/// # Errors
/// When it cannot be read, is damaged, or of no known format.
pub fn read(path: &Path) -> Result<Weights, ImportError> {
    let in_file = |fault| ImportError::File { path: path.to_path_buf(), fault };
    if path.is_dir() {
        return numpy::read_folder(path);
    }
    let bytes = file::read(path, file::WEIGHTS_LIMIT)?;
    if bytes.starts_with(numpy::MAGIC) {
        let mut weights = Weights::default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let tensor = numpy::read_npy(&bytes).map_err(in_file)?;
        weights.insert(&name, tensor).map_err(in_file)?;
        return Ok(weights);
    }
    parse(&bytes).map_err(in_file)
}

/// Reads the bytes of a file that holds several tensors.
///
/// # Errors
/// When they are damaged, or of no known format.
pub fn parse(bytes: &[u8]) -> Result<Weights, Fault> {
    let mut weights = if bytes.starts_with(b"PK") {
        let archive = open_zip(bytes)?;
        if zip_names(&archive).iter().any(|name| name.ends_with(".npy")) {
            numpy::read_npz(bytes)
        } else {
            pytorch::read_zip(bytes)
        }
    } else if pytorch::looks_legacy(bytes) {
        pytorch::read_legacy(bytes)
    } else if bytes.get(8) == Some(&b'{') {
        safetensors::read(bytes)
    } else {
        Err(Fault::Unsupported(
            "is in no known weights format (known are PyTorch .pt/.pth, NumPy .npz/.npy and .safetensors)"
                .into(),
        ))
    }?;
    weights.strip_prefix("module.");
    Ok(weights)
}

pub(super) type Archive<'a> = zip::ZipArchive<Cursor<&'a [u8]>>;

/// Opens a zip file in memory.
pub(super) fn open_zip(bytes: &[u8]) -> Result<Archive<'_>, Fault> {
    zip::ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| Fault::Damaged(format!("the zip file is damaged ({error}); fetch or save it again")))
}

/// Names of all entries that are text.
pub(super) fn zip_names(archive: &Archive<'_>) -> Vec<String> {
    archive.file_names().filter_map(|name| name.ok().map(|n| n.into_owned())).collect()
}

/// One entry of at most `limit` bytes.
pub(super) fn read_entry(archive: &mut Archive<'_>, name: &str, limit: usize) -> Result<Vec<u8>, Fault> {
    let damaged =
        |what: &str| Fault::Damaged(format!("the zip entry `{name}` {what}; fetch or save the file again"));
    let entry = archive.by_name(name).map_err(|error| damaged(&format!("is damaged ({error})")))?;
    match file::read_limited(entry, limit as u64) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(damaged("is longer than it should be")),
        Err(error) => Err(damaged(&format!("is damaged ({error})"))),
    }
}
