//! Reads whole files, up to a limit, so that a wrong path cannot fill the memory.

use super::ImportError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Weights: the largest network here, SphereFace-64, has 200 MB.
pub(super) const WEIGHTS_LIMIT: u64 = 1 << 30;
/// Descriptions of networks are a few thousand lines.
pub(super) const TEXT_LIMIT: u64 = 16 << 20;

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read, or is longer than `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    let io = |source| ImportError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(io)?;
    let too_long = || io(std::io::Error::other(format!("it is longer than {} MiB", limit >> 20)));
    read_limited(file, limit).map_err(io)?.ok_or_else(too_long)
}

/// All bytes of `reader`, or `None` when they are more than `limit`.
pub(super) fn read_limited(reader: impl Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.bin");
        let error = read(&path, 10).unwrap_err().to_string();
        assert!(error.contains("w.bin: cannot be read"), "{error}");
        std::fs::write(&path, [0; 11]).unwrap();
        assert!(read(&path, 10).unwrap_err().to_string().contains("longer"));
        assert_eq!(read(&path, 11).unwrap().len(), 11);
    }
}
