//! What a set holds: identities in name order, their pictures, and where each picture's bytes lie.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::dataset::exclude::Exclusions;
use limen_models::photo::MAX_FILE_BYTES;

/// Where a picture's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of its own.
    File(Box<Path>),
    /// Part of a shard or cache: place in the index's stores, first byte.
    Part {
        /// Which store.
        store: u32,
        /// First byte in it.
        offset: u64,
    },
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Label: place of the identity in the set's order, from 0.
    pub identity: u32,
    /// File name inside the identity.
    pub name: Box<str>,
    /// Bytes.
    pub size: u32,
    /// Where they are.
    pub location: Location,
}

/// What the bytes of a store's parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JPEG, PNG or WebP files.
    Files,
    /// Pixels: 8-bit RGB, rows from the top.
    Pixels,
}

/// A file that holds many pictures, kept open.
#[derive(Debug)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// Open for reading at any place.
    pub file: File,
    /// What lies in it.
    pub content: Content,
}

/// A picture before identities have numbers.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose.
    pub identity: String,
    /// File name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Where.
    pub location: Location,
}

/// The pictures of a set by identity. Cheap to clone but for the list itself.
#[derive(Debug, Clone, Default)]
pub struct Index {
    identities: Vec<String>,
    samples: Vec<Sample>,
    stores: Vec<Arc<Store>>,
}

impl Index {
    /// Sorts `entries`: identities by name (bytes, not language), pictures by name in them; a label is the identity's
    /// place (SphereFace `get_list.m` L27-34). `order` gives the identities' order instead, where labels were given.
    ///
    /// # Errors
    /// When there is no picture, one is there twice, or one is larger than a photograph may be.
    pub fn build(entries: Vec<Entry>, stores: Vec<Arc<Store>>, order: Option<Vec<String>>) -> Result<Self> {
        let mut entries = entries;
        ensure!(!entries.is_empty(), "no pictures found");
        let identities = order.unwrap_or_else(|| {
            let mut names: Vec<String> = entries.iter().map(|e| e.identity.clone()).collect();
            names.sort_unstable();
            names.dedup();
            names
        });
        let labels: std::collections::HashMap<&str, u32> =
            identities.iter().enumerate().map(|(i, n)| (n.as_str(), i as u32)).collect();
        ensure!(labels.len() == identities.len(), "two labels have the same name");
        let mut samples = Vec::with_capacity(entries.len());
        for e in entries.drain(..) {
            let Some(&identity) = labels.get(e.identity.as_str()) else {
                bail!("{}/{}: its identity has no label", e.identity, e.name);
            };
            ensure!(
                e.size <= MAX_FILE_BYTES,
                "{}/{}: {} bytes; a picture has at most {} MiB",
                e.identity,
                e.name,
                e.size,
                MAX_FILE_BYTES >> 20
            );
            samples.push(Sample { identity, name: e.name.into(), size: e.size as u32, location: e.location });
        }
        samples.sort_by(|a, b| a.identity.cmp(&b.identity).then_with(|| a.name.cmp(&b.name)));
        let index = Self { identities, samples, stores };
        for pair in index.samples.windows(2) {
            ensure!(
                (pair[0].identity, &pair[0].name) != (pair[1].identity, &pair[1].name),
                "the same picture is there twice: {} and {}; give each set once",
                index.place(&pair[0]),
                index.place(&pair[1])
            );
        }
        Ok(index)
    }

    /// Names of the identities; the place is the label.
    pub fn identities(&self) -> &[String] {
        &self.identities
    }

    /// Pictures by identity and name.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The pictures of each identity, as places in [`Index::samples`].
    pub fn ranges(&self) -> Vec<Range<u32>> {
        let mut ranges = Vec::with_capacity(self.identities.len());
        let mut start = 0u32;
        for identity in 0..self.identities.len() as u32 {
            let rest = &self.samples[start as usize..];
            let end = start + rest.partition_point(|s| s.identity == identity) as u32;
            ranges.push(start..end);
            start = end;
        }
        ranges
    }

    /// The shards and caches that the pictures lie in.
    pub fn stores(&self) -> &[Arc<Store>] {
        &self.stores
    }

    /// Name of the picture as `identity/image`.
    pub fn name(&self, sample: &Sample) -> String {
        format!("{}/{}", self.identities[sample.identity as usize], sample.name)
    }

    /// Where the picture lies, in words for people and for a list: a path, or `shard.tar:identity/image`.
    pub fn place(&self, sample: &Sample) -> String {
        match &sample.location {
            Location::File(path) => path.display().to_string(),
            Location::Part { store, .. } => {
                format!("{}:{}", self.stores[*store as usize].path.display(), self.name(sample))
            }
        }
    }

    /// What the bytes of the picture are.
    pub fn content(&self, sample: &Sample) -> Content {
        match &sample.location {
            Location::File(_) => Content::Files,
            Location::Part { store, .. } => self.stores[*store as usize].content,
        }
    }

    /// Reads the picture's bytes into `bytes`, whose content is lost.
    pub fn read(&self, sample: &Sample, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        let result = match &sample.location {
            Location::File(path) => {
                File::open(path).and_then(|f| f.take(MAX_FILE_BYTES).read_to_end(bytes)).map(|_| ())
            }
            Location::Part { store, offset } => {
                bytes.resize(sample.size as usize, 0);
                self.stores[*store as usize].file.read_exact_at(bytes, *offset)
            }
        };
        result.with_context(|| format!("{}: cannot be read", self.place(sample)))
    }

    /// The set without what `exclusions` names; labels move up. Also the names that were not found in the set.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn without(&self, exclusions: &Exclusions) -> Result<(Self, Vec<String>)> {
        let mut unseen: HashSet<&str> = exclusions.names().collect();
        let mut keep = Vec::with_capacity(self.samples.len());
        for sample in &self.samples {
            let identity = self.identities[sample.identity as usize].as_str();
            let name = self.name(sample);
            let hit = [identity, name.as_str()].into_iter().find(|n| exclusions.contains(n));
            match hit {
                Some(hit) => {
                    unseen.remove(hit);
                }
                None => keep.push(sample.clone()),
            }
        }
        ensure!(!keep.is_empty(), "nothing is left: every identity is on the list of exclusions");
        let mut unseen: Vec<String> = unseen.into_iter().map(String::from).collect();
        unseen.sort_unstable();
        Ok((self.of(keep), unseen))
    }

    /// The set of the identities for which `keep` says yes; labels move up.
    pub fn filter(&self, keep: impl Fn(u32) -> bool) -> Self {
        self.of(self.samples.iter().filter(|s| keep(s.identity)).cloned().collect())
    }

    /// `samples` (in order) with labels anew; identities without a picture are gone.
    fn of(&self, mut samples: Vec<Sample>) -> Self {
        let mut identities: Vec<String> = Vec::new();
        let mut last = None;
        for s in &mut samples {
            if last != Some(s.identity) {
                last = Some(s.identity);
                identities.push(self.identities[s.identity as usize].clone());
            }
            s.identity = identities.len() as u32 - 1;
        }
        Self { identities, samples, stores: self.stores.clone() }
    }

    /// Sha256 over the identities in label order and their pictures' names and sizes, 64 hexadecimal digits. Folder,
    /// list and shards of the same pictures have the same digest. The bytes themselves are not read.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut last = None;
        for s in &self.samples {
            if last != Some(s.identity) {
                last = Some(s.identity);
                hash.update(b"\n");
                hash.update(self.identities[s.identity as usize].as_bytes());
            }
            hash.update(b"\0");
            hash.update(s.name.as_bytes());
            hash.update(b"\0");
            hash.update(s.size.to_le_bytes());
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Identities p0, p1, ... with so many pictures each, at places that do not exist.
    pub(crate) fn people(counts: &[u32]) -> Index {
        let mut entries = Vec::new();
        for (who, &n) in counts.iter().enumerate() {
            for i in 0..n {
                entries.push(entry(&format!("p{who}"), &format!("{i:03}.jpg"), 10));
            }
        }
        Index::build(entries, vec![], None).unwrap()
    }

    fn entry(identity: &str, name: &str, size: u64) -> Entry {
        let location = Location::File(Path::new("/nowhere").join(identity).join(name).into());
        Entry { identity: identity.into(), name: name.into(), size, location }
    }

    #[test]
    fn labels_are_places_in_name_order() {
        let entries = vec![entry("b", "2", 1), entry("a", "9", 1), entry("b", "1", 1), entry("B", "1", 1)];
        let index = Index::build(entries, vec![], None).unwrap();
        assert_eq!(index.identities(), ["B", "a", "b"]);
        let got: Vec<_> = index.samples().iter().map(|s| (s.identity, &*s.name)).collect();
        assert_eq!(got, [(0, "1"), (1, "9"), (2, "1"), (2, "2")]);
        assert_eq!(index.ranges(), [0..1, 1..2, 2..4]);
    }

    #[test]
    fn a_picture_that_is_there_twice_is_refused_by_name() {
        let error = Index::build(vec![entry("a", "1", 1), entry("a", "1", 1)], vec![], None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/a/1"), "{error}");
    }

    #[test]
    fn exclusions_move_labels_up_and_unknown_names_are_told() {
        let index = people(&[2, 1, 2]);
        let list = Exclusions::parse("p0/001.jpg\np1\nnobody\n");
        let (left, unseen) = index.without(&list).unwrap();
        assert_eq!(left.identities(), ["p0", "p2"]);
        let got: Vec<_> = left.samples().iter().map(|s| (s.identity, &*s.name)).collect();
        assert_eq!(got, [(0, "000.jpg"), (1, "000.jpg"), (1, "001.jpg")]);
        assert_eq!(unseen, ["nobody"]);
        assert!(index.without(&Exclusions::parse("p0\np1\np2")).is_err());
    }

    #[test]
    fn the_digest_follows_names_sizes_and_borders() {
        let digest = |e: Vec<Entry>| Index::build(e, vec![], None).unwrap().digest();
        let base = digest(vec![entry("a", "1", 1), entry("a", "2", 1)]);
        assert_eq!(base.len(), 64);
        assert_eq!(base, digest(vec![entry("a", "2", 1), entry("a", "1", 1)]));
        for other in [
            vec![entry("a", "1", 1), entry("a", "2", 2)],
            vec![entry("a", "1", 1), entry("b", "2", 1)],
            vec![entry("a", "1", 1), entry("a", "3", 1)],
            vec![entry("a", "1", 1)],
        ] {
            assert_ne!(base, digest(other));
        }
    }
}
