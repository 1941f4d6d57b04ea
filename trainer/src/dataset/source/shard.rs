//! Tar shards: members are found once and then read in place, never unpacked.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::{Gathered, is_picture};
use crate::dataset::index::{Content, Entry, Location, Store};

/// A block of the format; members begin at multiples of it.
pub const BLOCK: u64 = 512;

/// One file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Path as it stands in the tar, without leading `./`.
    pub path: String,
    /// First byte of its content.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Member {
    /// First byte after the content and its padding.
    pub fn end(&self) -> u64 {
        self.offset + self.size.next_multiple_of(BLOCK)
    }
}

/// How a tar ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With its end mark.
    Marked,
    /// Without: at this byte there is no further whole member, and the reason.
    Cut(u64, String),
}

/// The tars directly in `folder`, by name.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("{}: cannot be listed", folder.display()))?;
    let mut tars: Vec<_> =
        entries.into_iter().filter(|p| p.extension().is_some_and(|e| e == "tar") && p.is_file()).collect();
    tars.sort_unstable();
    Ok(tars)
}

/// All regular files of the tar at `path`, in their order, and how it ends. Long names (GNU, pax) are understood.
///
/// # Errors
/// When the file cannot be read or a header in its middle is damaged.
pub fn members(path: &Path) -> Result<(Vec<Member>, End)> {
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let length = file.metadata().with_context(|| format!("{}: cannot be read", path.display()))?.len();
    let mut archive = tar::Archive::new(BufReader::with_capacity(4096, &file));
    let mut found: Vec<Member> = Vec::new();
    let mut after = 0;
    let entries = archive.entries_with_seek().with_context(|| format!("{}", path.display()))?;
    for entry in entries {
        // A cut header and a damaged one look alike here; which it is, the file's end tells.
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) if length.saturating_sub(after) < BLOCK => {
                return Ok((found, End::Cut(after, e.to_string())));
            }
            Err(e) => {
                bail!(
                    "{}: the shard is damaged at byte {after}, after {}: {e}; copy it again from its source",
                    path.display(),
                    found.last().map_or("its beginning", |m| &m.path)
                );
            }
        };
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let name = entry.path().with_context(|| format!("{}: a member's name", path.display()))?;
        let name = name.strip_prefix(".").unwrap_or(&name);
        let Some(name) = name.to_str() else {
            bail!("{}: a member's name is no UTF-8: {}", path.display(), name.display());
        };
        let member = Member { path: name.to_owned(), offset, size };
        if offset.saturating_add(size) > length {
            let why = format!("the shard ends at byte {length}, {name} would end at {}", offset + size);
            return Ok((found, End::Cut(after, why)));
        }
        after = member.end();
        if entry.header().entry_type().is_file() {
            found.push(member);
        }
    }
    // The mark is two blocks of zeros; one is enough for us.
    let mut mark = [1u8; BLOCK as usize];
    let marked = file.read_exact_at(&mut mark, after).is_ok() && mark.iter().all(|b| *b == 0);
    Ok((found, if marked { End::Marked } else { End::Cut(after, "its end mark is missing".into()) }))
}

/// The identity and the picture's name that a member's path ends with.
fn split(path: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = Path::new(path)
        .components()
        .map(|c| match c {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    match parts[..] {
        [.., identity, name] => Some((identity, name)),
        _ => None,
    }
}

/// All pictures of the tar.
pub(super) fn gather(path: &Path, gathered: &mut Gathered) -> Result<()> {
    let (members, end) = members(path)?;
    if let End::Cut(_, why) = end {
        bail!("{}: the shard is cut short ({why}); copy it again from its source", path.display());
    }
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let store = gathered.stores.len() as u32;
    for m in members.iter().filter(|m| is_picture(&m.path)) {
        let Some((identity, name)) = split(&m.path) else {
            bail!("{}: {:?} belongs to no identity; IDENTITY/IMAGE is expected", path.display(), m.path);
        };
        gathered.entries.push(Entry {
            identity: identity.to_owned(),
            name: name.to_owned(),
            size: m.size,
            location: Location::Part { store, offset: m.offset },
        });
    }
    gathered.stores.push(Arc::new(Store { path: path.to_owned(), file, content: Content::Files }));
    Ok(())
}

/// Bytes of a member that holds `content`: header (with its extension where the name is long), content, padding.
///
/// # Errors
/// When the name cannot stand in a tar.
pub fn encode_member(path: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::with_capacity(content.len() + 4 * BLOCK as usize));
    builder.append_data(&mut header, path, content).with_context(|| format!("{path:?} in a tar"))?;
    let mut bytes = builder.into_inner().with_context(|| format!("{path:?} in a tar"))?;
    // Without the end mark that the builder adds: more members follow.
    bytes.truncate(bytes.len().saturating_sub(2 * BLOCK as usize));
    Ok(bytes)
}

/// Cuts what follows the last whole member, so that a shard that was left unfinished can be gone on with; returns
/// its members.
///
/// # Errors
/// When the file cannot be read or changed.
pub fn reopen(path: &Path) -> Result<(File, Vec<Member>)> {
    let context = || format!("{}: cannot be changed", path.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(context)?;
    let members = if file.seek(SeekFrom::End(0)).with_context(context)? == 0 {
        vec![]
    } else {
        let (members, end) = members(path)?;
        let keep = match end {
            End::Cut(at, _) => at,
            End::Marked => members.last().map_or(0, Member::end),
        };
        file.set_len(keep).with_context(context)?;
        file.seek(SeekFrom::End(0)).with_context(context)?;
        members
    };
    Ok((file, members))
}

/// The content of a member.
#[cfg(test)]
pub(super) fn content(path: &Path, member: &Member) -> Vec<u8> {
    let mut bytes = vec![0; member.size as usize];
    File::open(path).unwrap().read_exact_at(&mut bytes, member.offset).unwrap();
    bytes
}
