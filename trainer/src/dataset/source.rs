//! Opens a set, whatever it comes as: identity folders, a list file, tar shards or a raw cache.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::dataset::cache;
use crate::dataset::index::{Entry, Index, Store};

mod folder;
mod list;
pub mod shard;

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `IDENTITY/IMAGE` below it.
    Folder,
    /// A folder of tar shards.
    Shards,
    /// A tar with `IDENTITY/IMAGE` members.
    Shard,
    /// A text file with a path and a label a line.
    List,
    /// Pixels, written by `limen-train cache`.
    Cache,
}

impl Kind {
    /// Looks at the first bytes; the name does not matter.
    ///
    /// # Errors
    /// When the path is none of these, with what to do about it.
    pub fn of(path: &Path) -> Result<Self> {
        let context = || format!("{}: cannot be read", path.display());
        if std::fs::metadata(path).with_context(context)?.is_dir() {
            return Ok(if shard::in_folder(path)?.is_empty() { Self::Folder } else { Self::Shards });
        }
        let mut head = Vec::with_capacity(512);
        File::open(path).and_then(|f| f.take(512).read_to_end(&mut head)).with_context(context)?;
        if head.starts_with(cache::MAGIC) {
            return Ok(Self::Cache);
        }
        if head.get(257..262) == Some(b"ustar") {
            return Ok(Self::Shard);
        }
        for (magic, tool) in
            [(&b"\x1f\x8b"[..], "gunzip"), (b"\x28\xb5\x2f\xfd", "unzstd"), (b"BZh", "bunzip2")]
        {
            ensure!(
                !head.starts_with(magic),
                "{}: is compressed, and pictures in it cannot be reached one by one; unpack it with `{tool}` first",
                path.display()
            );
        }
        ensure!(!head.is_empty(), "{}: is empty", path.display());
        // A list is text; its end may lie in the middle of a character here.
        let text =
            !head.contains(&0) && std::str::from_utf8(&head).map_or_else(|e| e.valid_up_to() > 0, |_| true);
        ensure!(
            text,
            "{}: is neither a folder of identity folders, a tar, a list of paths and labels nor a raw cache",
            path.display()
        );
        Ok(Self::List)
    }
}

impl Index {
    /// Opens `paths` as one set: pictures of an identity may lie in several of them.
    ///
    /// # Errors
    /// When a path cannot be read, is damaged, or holds no pictures; when a picture is there twice; when a list or a
    /// cache, which bring their own order, do not stand alone.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        ensure!(!paths.is_empty(), "no data given: name a folder, list, tar shards or a raw cache");
        let mut gathered = Gathered::default();
        for path in paths {
            let kind = Kind::of(path)?;
            match kind {
                Kind::Folder => folder::gather(path, &mut gathered)?,
                Kind::Shard => shard::gather(path, &mut gathered)?,
                Kind::Shards => {
                    for tar in shard::in_folder(path)? {
                        shard::gather(&tar, &mut gathered)?;
                    }
                }
                Kind::List | Kind::Cache => {
                    ensure!(
                        paths.len() == 1,
                        "{}: a list or a raw cache brings its own labels and stands alone; make one of all data",
                        path.display()
                    );
                    match kind {
                        Kind::List => list::gather(path, &mut gathered)?,
                        _ => return cache::open(path).map(|(index, _)| index),
                    }
                }
            }
        }
        let Gathered { entries, stores, order } = gathered;
        let names = || paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        if entries.is_empty() {
            bail!("{}: no pictures in it; IDENTITY/IMAGE.jpg, .png or .webp are expected", names());
        }
        Self::build(entries, stores, order).with_context(names)
    }
}

/// What the paths give before it is sorted.
#[derive(Debug, Default)]
struct Gathered {
    entries: Vec<Entry>,
    stores: Vec<Arc<Store>>,
    /// Identities by label, where a list says so.
    order: Option<Vec<String>>,
}

/// Whether the path is a picture's; hidden files (`._a.jpg` of another system) are none.
fn is_picture(path: &str) -> bool {
    let path = Path::new(path);
    let hidden = path.file_name().is_none_or(|n| n.as_encoded_bytes().starts_with(b"."));
    let known = |e: &str| ["jpg", "jpeg", "png", "webp"].iter().any(|k| e.eq_ignore_ascii_case(k));
    !hidden && path.extension().and_then(|e| e.to_str()).is_some_and(known)
}

#[cfg(test)]
mod tests;
