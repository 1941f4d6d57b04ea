//! Which picture is whose: by the column `photos`, or else by the name.

use std::collections::HashMap;

use crate::people::table::{Column, Row};
use crate::people::{Picture, Refusal, visible};

/// What was found.
pub(super) struct Found {
    /// Of each row, in their order.
    pub(super) of: Vec<Result<Vec<Picture>, Refusal>>,
    /// The other files.
    pub(super) of_nobody: Vec<String>,
}

/// Gives each row its pictures among the files `names`; `list` is the position of the list itself, `base` the folder that
/// it lies in. A file that the column `photos` of a row names is not given to others by its name.
pub(super) fn assign(names: &[String], list: usize, base: &str, rows: &[Row]) -> Found {
    let files: Vec<Picture> = names
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != list)
        .filter_map(|(at, name)| Some(Picture { name: visible(name.strip_prefix(base)?), at }))
        .collect();
    let mut whose = vec![false; files.len()];
    let mut of: Vec<Result<Vec<Picture>, Refusal>> = Vec::with_capacity(rows.len());
    let by_place = ByPlace::of(&files);
    for row in rows {
        of.push(named(row, &files, &by_place, &mut whose));
    }
    let ids: HashMap<&str, usize> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.cell(Column::Photos).is_empty())
        .map(|(i, row)| (row.cell(Column::Id), i))
        .collect();
    for (i, file) in files.iter().enumerate().filter(|(i, _)| !whose[*i]).collect::<Vec<_>>() {
        if let Some(owner) = owner(&file.name, &ids)
            && let Some(Ok(pictures)) = of.get_mut(owner)
        {
            pictures.push(file.clone());
            whose[i] = true;
        }
    }
    let rest = files.iter().zip(&whose).filter(|(_, is_whose)| !**is_whose);
    Found { of, of_nobody: rest.map(|(file, _)| file.name.clone()).collect() }
}

/// Positions of files by their names and by their folders.
struct ByPlace<'a> {
    file: HashMap<&'a str, usize>,
    folder: HashMap<&'a str, Vec<usize>>,
}

impl<'a> ByPlace<'a> {
    fn of(files: &'a [Picture]) -> Self {
        let mut all = Self { file: HashMap::new(), folder: HashMap::new() };
        for (i, file) in files.iter().enumerate() {
            all.file.insert(&file.name, i);
            if let Some((folder, _)) = file.name.rsplit_once('/') {
                all.folder.entry(folder).or_default().push(i);
            }
        }
        all
    }
}

/// The files that the column `photos` names, each once; none where it is empty.
fn named(
    row: &Row,
    files: &[Picture],
    by_place: &ByPlace<'_>,
    whose: &mut [bool],
) -> Result<Vec<Picture>, Refusal> {
    let mut chosen: Vec<usize> = Vec::new();
    for part in row.parts(Column::Photos) {
        let name = part.replace('\\', "/");
        let name = name.strip_prefix("./").unwrap_or(&name).trim_end_matches('/');
        match (by_place.file.get(name), by_place.folder.get(name)) {
            (Some(file), _) => chosen.push(*file),
            (None, Some(folder)) => chosen.extend(folder),
            (None, None) => {
                let why = format!("photos: {name:?} is not there; write it as it stands beside the list");
                return Err(Refusal::new("no-pictures", why));
            }
        }
    }
    let mut pictures: Vec<Picture> = Vec::new();
    for i in chosen {
        if !pictures.contains(&files[i]) {
            pictures.push(files[i].clone());
            whose[i] = true;
        }
    }
    Ok(pictures)
}

/// Whose picture a file is by its name: `ID.jpg`, `ID-*.jpg`, `ID_*.jpg`, `ID/*`. Of several ids the longest: `7-2.jpg` is
/// the picture of 7-2 where there is one, and else a picture of 7.
fn owner(name: &str, ids: &HashMap<&str, usize>) -> Option<usize> {
    if let Some((folder, file)) = name.split_once('/') {
        return ids.get(folder).filter(|_| !file.contains('/')).copied();
    }
    let mut stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    loop {
        if let Some(owner) = ids.get(stem) {
            return Some(*owner);
        }
        stem = &stem[..stem.rfind(['-', '_'])?];
    }
}
