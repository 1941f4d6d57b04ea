//! `root/IDENTITY/IMAGE`: one folder a person.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Gathered, is_picture};
use crate::dataset::index::{Entry, Location};

/// All pictures of all identity folders. Files beside the identity folders and hidden ones are left alone.
pub(super) fn gather(root: &Path, gathered: &mut Gathered) -> Result<()> {
    let list = |folder: &Path| {
        std::fs::read_dir(folder)
            .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("{}: cannot be listed", folder.display()))
    };
    for folder in list(root)? {
        let path = folder.path();
        let identity = text(&folder.file_name(), &path)?;
        if identity.starts_with('.') || !path.is_dir() {
            continue;
        }
        for file in list(&path)? {
            let path = file.path();
            let name = text(&file.file_name(), &path)?;
            if name.starts_with('.') || !is_picture(&name) {
                continue;
            }
            // Follows links, as reading does.
            let meta =
                std::fs::metadata(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
            if meta.is_file() {
                gathered.entries.push(Entry {
                    identity: identity.clone(),
                    name,
                    size: meta.len(),
                    location: Location::File(path.into()),
                });
            }
        }
    }
    Ok(())
}

fn text(name: &std::ffi::OsStr, path: &Path) -> Result<String> {
    let name =
        name.to_str().with_context(|| format!("{}: its name is no UTF-8; rename it", path.display()))?;
    Ok(name.to_owned())
}
