//! Where crops go: `identity/image` files, or tar shards; both can be gone on with after a kill.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::dataset::source::shard;

/// A destination.
#[derive(Debug)]
pub struct Sink {
    folder: PathBuf,
    shards: Vec<Mutex<File>>,
    people: usize,
    done: HashSet<String>,
}

/// Most shards: open files.
const MAX_SHARDS: usize = 512;

impl Sink {
    /// One file a crop, below `folder`.
    ///
    /// # Errors
    /// When what is there already cannot be listed.
    pub fn files(folder: &Path) -> Result<Self> {
        let list = |folder: &Path| {
            std::fs::read_dir(folder)
                .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
                .with_context(|| format!("{}: cannot be listed", folder.display()))
        };
        let mut done = HashSet::new();
        for person in list(folder)?.into_iter().filter(|e| e.path().is_dir()) {
            let name = person.file_name();
            // An empty file is what a power cut may leave of a crop.
            let whole = |e: &std::fs::DirEntry| e.metadata().is_ok_and(|m| m.len() > 0);
            for crop in list(&person.path())?.into_iter().filter(whole) {
                done.insert(format!("{}/{}", name.to_string_lossy(), crop.file_name().to_string_lossy()));
            }
        }
        Ok(Self { folder: folder.to_owned(), shards: vec![], people: 0, done })
    }

    /// `n` shards in `folder`, each with whole identities of `people` in all: `crops-000.tar.part` until
    /// [`Sink::finish`].
    ///
    /// # Errors
    /// When shards are there in another number, or cannot be written or read.
    pub fn shards(folder: &Path, n: usize, people: usize) -> Result<Self> {
        ensure!((1..=MAX_SHARDS).contains(&n), "--shards: 1 to {MAX_SHARDS}");
        let mut sink = Self { folder: folder.to_owned(), shards: vec![], people, done: HashSet::new() };
        let beyond = sink.path(n);
        ensure!(
            !beyond.exists() && !part(&beyond).exists(),
            "{}: is there, though only {n} shards are wanted; give the same --shards as before, or another folder",
            beyond.display()
        );
        for i in 0..n {
            let (whole, part) = (sink.path(i), part(&sink.path(i)));
            if whole.exists() && !part.exists() {
                std::fs::rename(&whole, &part)
                    .with_context(|| format!("{}: cannot be moved", whole.display()))?;
            }
            let (file, members) = shard::reopen(&part)?;
            sink.done.extend(members.into_iter().map(|m| m.path));
            sink.shards.push(Mutex::new(file));
        }
        Ok(sink)
    }

    fn path(&self, i: usize) -> PathBuf {
        self.folder.join(format!("crops-{i:03}.tar"))
    }

    /// Names (`identity/image`) of what is there already.
    pub fn done(&self) -> &HashSet<String> {
        &self.done
    }

    /// Writes a crop of the identity with that label and name.
    ///
    /// # Errors
    /// When it cannot be written; what is half written then is not taken for a crop later.
    pub fn put(&self, label: u32, identity: &str, name: &str, bytes: &[u8]) -> Result<()> {
        if self.shards.is_empty() {
            let folder = self.folder.join(identity);
            let (path, part) = (folder.join(name), folder.join(format!(".{name}.part")));
            return std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(&part, bytes))
                .and_then(|()| std::fs::rename(&part, &path))
                .with_context(|| format!("{}: cannot be written", path.display()));
        }
        // Whole identities, in name order, as evenly as their number allows.
        let i = (label as usize * self.shards.len() / self.people.max(1)).min(self.shards.len() - 1);
        let member = shard::encode_member(&format!("{identity}/{name}"), bytes)?;
        let mut file = self.shards[i].lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&member)
            .with_context(|| format!("{}: cannot be written", part(&self.path(i)).display()))
    }

    /// Ends the shards and gives them their names.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(self) -> Result<()> {
        for (i, file) in self.shards.iter().enumerate() {
            let whole = self.path(i);
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // The end mark: two blocks of zeros.
            file.write_all(&[0; 2 * shard::BLOCK as usize])
                .and_then(|()| file.sync_all())
                .and_then(|()| std::fs::rename(part(&whole), &whole))
                .with_context(|| format!("{}: cannot be written", whole.display()))?;
        }
        Ok(())
    }
}

fn part(whole: &Path) -> PathBuf {
    PathBuf::from(format!("{}.part", whole.display()))
}
