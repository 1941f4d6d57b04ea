//! `failures.tsv`: which photographs gave no crop, and why; a run that goes on does not try them again.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Name of the file in the destination.
pub const FILE_NAME: &str = "failures.tsv";

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    failed: HashSet<String>,
}

impl Journal {
    /// Opens the journal in `folder` and reads what is there.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        let context = || format!("{}: cannot be written", path.display());
        let file = File::options().append(true).create(true).open(&path).with_context(context)?;
        let mut text = std::fs::read_to_string(&path).with_context(context)?;
        // A line that a kill left unfinished counts for nothing: its photograph is tried again.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            text.truncate(whole);
            file.set_len(whole as u64).with_context(context)?;
        }
        let failed =
            text.lines().filter_map(|l| l.split_once('\t')).map(|(name, _)| name.to_owned()).collect();
        Ok(Self { path, file: Mutex::new(file), failed })
    }

    /// Names (`identity/image`) of what failed in runs before.
    pub fn failed(&self) -> &HashSet<String> {
        &self.failed
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, why: &str) -> Result<()> {
        let why = why.replace(['\t', '\n', '\r'], " ");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{name}\t{why}\n").as_bytes())
            .with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_a_half_one_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        journal.put("a/1.jpg", "no\tface\nat all").unwrap();
        drop(journal);
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, format!("{}b/2.jpg\tno f", std::fs::read_to_string(&path).unwrap())).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.failed().iter().collect::<Vec<_>>(), ["a/1.jpg"]);
        journal.put("c/3.jpg", "blurred").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a/1.jpg\tno face at all\nc/3.jpg\tblurred\n");
    }
}
