//! A list file: a path and a label a line, as `limen-train list` and SphereFace's `get_list.m` write it.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry as Slot, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Gathered, shard};
use crate::dataset::index::{Entry, Location};

/// Place of a member by its name inside a shard: store, offset, size.
type Members = HashMap<String, (Location, u64)>;

/// Reads `path TAB label` or `path label`; a path is relative to the list's folder, or `SHARD.tar:IDENTITY/IMAGE`.
/// Labels are 0 to N - 1 without gaps; an identity is called after the folder that its pictures share, else by its
/// label.
pub(super) fn gather(path: &Path, gathered: &mut Gathered) -> Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read as a list", path.display()))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut shards: HashMap<PathBuf, Members> = HashMap::new();
    let mut people: BTreeMap<u32, Vec<(String, String, u64, Location)>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let at = || format!("{}, line {}", path.display(), number + 1);
        let (file, label) = line
            .rsplit_once('\t')
            .or_else(|| line.trim_end().rsplit_once(char::is_whitespace))
            .with_context(|| format!("{}: a path and a label are expected", at()))?;
        let file = file.trim();
        let label: u32 = label.trim().parse().with_context(|| {
            format!("{}: {:?} is no label; a whole number from 0 is expected", at(), label.trim())
        })?;
        let (location, size) = match file.split_once(".tar:") {
            Some((tar, member)) => {
                let tar = base.join(format!("{tar}.tar"));
                let members = match shards.entry(tar) {
                    Slot::Occupied(slot) => slot.into_mut(),
                    Slot::Vacant(slot) => {
                        let members = members(slot.key(), gathered).with_context(at)?;
                        slot.insert(members)
                    }
                };
                members
                    .get(member)
                    .cloned()
                    .with_context(|| format!("{}: no {member:?} in the shard", at()))?
            }
            None => {
                let file = base.join(file);
                let meta =
                    std::fs::metadata(&file).with_context(|| format!("{}: {}", at(), file.display()))?;
                ensure!(meta.is_file(), "{}: {} is no file", at(), file.display());
                (Location::File(file.into()), meta.len())
            }
        };
        let member = file.rsplit_once(".tar:").map_or(file, |(_, member)| member);
        let mut parts = member.rsplit('/');
        let (name, folder) = (parts.next().unwrap_or(member), parts.next().unwrap_or_default());
        people.entry(label).or_default().push((folder.to_owned(), name.to_owned(), size, location));
    }
    let mut order = Vec::with_capacity(people.len());
    for (place, (label, pictures)) in people.iter().enumerate() {
        ensure!(
            place == *label as usize,
            "{}: no picture has label {place}, though {label} is used; labels are 0 to N - 1 without gaps \
             (`limen-train list` writes them)",
            path.display()
        );
        let folder = &pictures[0].0;
        let shared = !folder.is_empty() && pictures.iter().all(|p| p.0 == *folder);
        order.push(if shared { folder.clone() } else { label.to_string() });
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (label, name) in order.iter().enumerate() {
        if let Some(first) = seen.insert(name, label) {
            bail!("{}: the folder {name:?} has two labels, {first} and {label}", path.display());
        }
    }
    for (pictures, identity) in people.into_values().zip(&order) {
        for (folder, name, size, location) in pictures {
            // Where folders are mixed under one label, the folder keeps equal names apart.
            let name = if folder == *identity { name } else { format!("{folder}-{name}") };
            gathered.entries.push(Entry { identity: identity.clone(), name, size, location });
        }
    }
    gathered.order = Some(order);
    Ok(())
}

/// Opens a shard that the list names; its pictures by member path.
fn members(tar: &Path, gathered: &mut Gathered) -> Result<Members> {
    let mut inside = Gathered { stores: std::mem::take(&mut gathered.stores), ..Gathered::default() };
    let result = shard::gather(tar, &mut inside);
    gathered.stores = inside.stores;
    result?;
    let key = |e: &Entry| format!("{}/{}", e.identity, e.name);
    Ok(inside.entries.into_iter().map(|e| (key(&e), (e.location, e.size))).collect())
}
