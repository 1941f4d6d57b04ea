//! A folder of files, and the folders in it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::people::{ListError, MAX_FILES, Store, is_hidden};

/// Most folders that one lies in. Links to folders are not followed.
const MAX_DEPTH: usize = 8;

/// Its files.
pub struct Folder {
    root: PathBuf,
    names: Vec<String>,
}

impl Folder {
    /// Looks which files there are.
    pub fn open(root: &Path) -> Result<Self, ListError> {
        let mut names = Vec::new();
        let mut folders = vec![(root.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let read = |source| ListError::Read { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(read)? {
                let entry = entry.map_err(read)?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().map_err(read)?;
                if is_hidden(&name) {
                    continue;
                }
                if kind.is_dir() {
                    if prefix.matches('/').count() < MAX_DEPTH {
                        folders.push((entry.path(), name + "/"));
                    }
                } else if kind.is_file() || fs::metadata(entry.path()).is_ok_and(|m| m.is_file()) {
                    names.push(name);
                }
                if names.len() > MAX_FILES {
                    let why = format!("has more than {MAX_FILES} files; part it into several folders");
                    return Err(ListError::Unusable { path: root.to_owned(), why });
                }
            }
        }
        names.sort();
        Ok(Self { root: root.to_owned(), names })
    }
}

impl Store for Folder {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&mut self, at: usize, most: u64) -> io::Result<Option<Vec<u8>>> {
        let name = self.names.get(at).ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        File::open(self.root.join(name))?.take(most + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }
}
