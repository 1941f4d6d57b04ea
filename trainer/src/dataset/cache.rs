//! A raw cache: all crops of a set decoded into one file, for when reading pixels is cheaper than decoding them.
//!
//! ```text
//! 0      "LIMENRAW", format (u32 LE), length of the head (u32 LE)
//! 16     head: JSON, see [`Head`]
//! ...    zeros up to a multiple of 4096
//! start  crops, each height * width * 3 bytes RGB, in the order of the head
//! end    sha256 of all crops, 32 bytes
//! ```

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::crop::Crops;
use crate::dataset::index::{Content, Entry, Index, Location, Store};
use crate::dataset::parallel::{self, Progress};
use crate::dataset::set::Set;

/// First bytes of a cache.
pub const MAGIC: &[u8] = b"LIMENRAW";
const FORMAT: u32 = 1;
/// Where the crops may begin: a page.
const PAGE: u64 = 4096;
/// Longest head: ten million pictures.
const MAX_HEAD: u32 = 1 << 29;
/// Crops decoded before they are written; 43 KB each.
const CHUNK: usize = 1024;

/// What the file says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// How the crops were made.
    crops: Crops,
    /// Digest of the set that they come from ([`Index::digest`]).
    source: String,
    /// Identities in label order, each with its pictures' names.
    identities: Vec<(String, Vec<String>)>,
}

/// Writes all crops of `set` to `path`, decoded by `workers` threads; nothing is left at `path` if that fails.
/// Returns the file's length, bytes.
///
/// # Errors
/// When a crop cannot be decoded or the file cannot be written.
pub fn write(set: &Set, path: &Path, workers: usize) -> Result<u64> {
    let part = PathBuf::from(format!("{}.part", path.display()));
    let result = write_part(set, &part, workers).and_then(|length| {
        std::fs::rename(&part, path).with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(length)
    });
    if result.is_err() {
        // The reason is told already; the remains are only waste.
        let _ = std::fs::remove_file(&part);
    }
    result
}

fn write_part(set: &Set, part: &Path, workers: usize) -> Result<u64> {
    let context = || format!("{}: cannot be written", part.display());
    let index = set.index();
    let samples = index.samples();
    let names = |r: std::ops::Range<u32>| -> Vec<String> {
        samples[r.start as usize..r.end as usize].iter().map(|s| s.name.to_string()).collect()
    };
    let identities = index.identities().iter().cloned().zip(index.ranges().into_iter().map(names)).collect();
    let head = serde_json::to_vec(&Head { crops: set.crops().clone(), source: index.digest(), identities })?;
    let head_length = u32::try_from(head.len()).ok().filter(|n| *n <= MAX_HEAD);
    let Some(head_length) = head_length else {
        bail!("too many pictures for one raw cache; make several sets")
    };
    let start = (16 + u64::from(head_length)).next_multiple_of(PAGE);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(part).with_context(context)?);
    let mut put = |bytes: &[u8]| out.write_all(bytes).with_context(context);
    put(MAGIC)?;
    put(&FORMAT.to_le_bytes())?;
    put(&head_length.to_le_bytes())?;
    put(&head)?;
    put(&vec![0; (start - 16 - u64::from(head_length)) as usize])?;
    let mut hash = Sha256::new();
    let mut length = start;
    let progress = Progress::new(samples.len() as u64, "crops");
    for chunk in samples.chunks(CHUNK) {
        let decode = |i: usize| set.crop(&chunk[i], &mut Vec::new());
        for image in parallel::map(chunk.len(), workers, &progress, decode)? {
            hash.update(image.data());
            put(image.data())?;
            length += image.data().len() as u64;
        }
    }
    progress.finish();
    put(&hash.finalize())?;
    out.into_inner().map_err(|e| e.into_error()).and_then(|f| f.sync_all()).with_context(context)?;
    Ok(length + 32)
}

/// Opens a cache: its index and what its crops are. The head and the length are checked, the pixels are not
/// ([`verify`] does that).
///
/// # Errors
/// When the file is no cache of this format, is cut short or contradicts itself.
pub fn open(path: &Path) -> Result<(Index, Crops)> {
    let (head, start, file) = read_head(path)?;
    let size = (head.crops.width * head.crops.height * 3) as u64;
    let mut entries = Vec::new();
    for (identity, names) in &head.identities {
        for name in names {
            let offset = start + size * entries.len() as u64;
            entries.push(Entry {
                identity: identity.clone(),
                name: name.clone(),
                size,
                location: Location::Part { store: 0, offset },
            });
        }
    }
    let order = head.identities.into_iter().map(|(name, _)| name).collect();
    let store = Store { path: path.to_owned(), file, content: Content::Pixels };
    let index = Index::build(entries, vec![Arc::new(store)], Some(order))
        .with_context(|| format!("{}", path.display()))?;
    Ok((index, head.crops))
}

/// Digest of the set that the cache at `path` was made from.
///
/// # Errors
/// As [`open`].
pub fn source_digest(path: &Path) -> Result<String> {
    Ok(read_head(path)?.0.source)
}

fn read_head(path: &Path) -> Result<(Head, u64, File)> {
    let context = || format!("{}: cannot be read", path.display());
    let mut file = File::open(path).with_context(context)?;
    let length = file.metadata().with_context(context)?.len();
    let mut fixed = [0u8; 16];
    file.read_exact(&mut fixed).with_context(context)?;
    ensure!(fixed.starts_with(MAGIC), "{}: is no raw cache of `limen-train cache`", path.display());
    let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let (format, head_length) = (number(8), number(12));
    ensure!(
        format == FORMAT,
        "{}: format {format} is not known here (this program reads {FORMAT}); make the cache anew",
        path.display()
    );
    ensure!(
        head_length <= MAX_HEAD && 16 + u64::from(head_length) <= length,
        "{}: is cut short; make it anew with `limen-train cache`",
        path.display()
    );
    let mut bytes = vec![0; head_length as usize];
    file.read_exact(&mut bytes).with_context(context)?;
    let head: Head = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: its head is damaged; make it anew", path.display()))?;
    Crops::parse(&head.crops.to_toml()?).with_context(|| format!("{}: its head", path.display()))?;
    let start = (16 + u64::from(head_length)).next_multiple_of(PAGE);
    let pictures: usize = head.identities.iter().map(|(_, names)| names.len()).sum();
    let expected = start + (pictures * head.crops.width * head.crops.height * 3) as u64 + 32;
    ensure!(
        length == expected,
        "{}: {length} bytes where its head announces {expected}: cut short or changed; make it anew",
        path.display()
    );
    Ok((head, start, file))
}

/// Reads all pixels of the cache and compares their hash.
///
/// # Errors
/// When it differs, or the file cannot be read.
pub fn verify(path: &Path) -> Result<()> {
    let (_, start, file) = read_head(path)?;
    let context = || format!("{}: cannot be read", path.display());
    let end = file.metadata().with_context(context)?.len() - 32;
    let mut hash = Sha256::new();
    let mut room = vec![0; 1 << 20];
    let mut at = start;
    while at < end {
        let n = room.len().min((end - at) as usize);
        file.read_exact_at(&mut room[..n], at).with_context(context)?;
        hash.update(&room[..n]);
        at += n as u64;
    }
    let mut written = [0u8; 32];
    file.read_exact_at(&mut written, end).with_context(context)?;
    ensure!(
        hash.finalize()[..] == written,
        "{}: its pixels are not those that were written; make it anew with `limen-train cache`",
        path.display()
    );
    Ok(())
}
