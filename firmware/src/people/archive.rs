//! A ZIP as a store of files: nothing is unpacked to the disk, and what would be too much in memory is refused first.

use std::io::{self, Read, Seek, SeekFrom};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::people::{MAX_FILES, Store, is_hidden};

/// Most bytes that a ZIP's own list of files may have: 50,000 files with 300 each. Without a bound it could fill the
/// memory before the first file is counted.
const MAX_DIRECTORY_BYTES: u64 = 16 << 20;
/// Most bytes of all files together: 10,000 people with five pictures of 2 MB.
const MAX_TOTAL_BYTES: u64 = 100 << 30;
/// Photographs do not shrink in a ZIP, and a list of people to a tenth: what grows more than that is a trap.
const MAX_GROWTH: u64 = 20;
/// Below this no growth is suspicious.
const HARMLESS_BYTES: u64 = 16 << 20;

/// Files of a ZIP, checked as far as can be without unpacking one.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    names: Vec<String>,
    /// Positions of the names in the ZIP.
    positions: Vec<usize>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the ZIP's list of files; says what is wrong with it and what to do.
    pub fn open(mut reader: R) -> Result<Self, String> {
        let damaged = |e: ZipError| format!("is no ZIP that can be used ({e}); make or copy it again");
        let length = reader.seek(SeekFrom::End(0)).map_err(|e| damaged(e.into()))?;
        drop(ZipArchive::new(Bounded { inner: &mut reader, left: MAX_DIRECTORY_BYTES }).map_err(damaged)?);
        let mut zip = ZipArchive::new(reader).map_err(damaged)?;
        if zip.len() > MAX_FILES {
            return Err(format!("has {} files, more than {MAX_FILES}; part it into several", zip.len()));
        }
        let (mut names, mut positions, mut total) = (Vec::new(), Vec::new(), 0u64);
        for position in 0..zip.len() {
            let entry = zip.by_index_data(position).map_err(damaged)?;
            // Old programs on Windows part folders by backslashes.
            let name = entry.name().map_err(damaged)?.replace('\\', "/");
            if name.starts_with('/') || name.contains('\0') || name.split('/').any(|part| part == "..") {
                return Err(format!("has a file whose name leads out of it ({name:?}); make it again"));
            }
            total = total.saturating_add(entry.size());
            if entry.is_dir() || is_hidden(&name) {
                continue;
            }
            if entry.encrypted() {
                return Err("is encrypted; make it again without a password".into());
            }
            if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                let method = entry.compression();
                return Err(format!(
                    "{name} is packed in a way that limen does not read ({method}); make it again with Deflate, the usual one"
                ));
            }
            names.push(name);
            positions.push(position);
        }
        let most = length.saturating_mul(MAX_GROWTH).clamp(HARMLESS_BYTES, MAX_TOTAL_BYTES);
        if total > most || zip.has_overlapping_files().map_err(damaged)? {
            return Err(format!(
                "would unpack to far more than it is ({total} bytes from {length}), as no photographs do; make it again"
            ));
        }
        Ok(Self { zip, names, positions })
    }
}

impl<R: Read + Seek> Store for Archive<R> {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&mut self, at: usize, most: u64) -> io::Result<Option<Vec<u8>>> {
        let position = *self.positions.get(at).ok_or(io::ErrorKind::NotFound)?;
        let entry = self.zip.by_index(position)?;
        let announced = entry.size();
        if announced > most {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        entry.take(announced + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > announced {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than the ZIP says"));
        }
        Ok(Some(bytes))
    }
}

/// A reader that gives so many bytes and then fails.
struct Bounded<'a, R> {
    inner: &'a mut R,
    left: u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("its list of files is too long")),
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Bounded<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests;
