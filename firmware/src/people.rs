//! People as a list with their photographs, in a folder or a ZIP: what `people.csv` says and which picture is whose. It
//! knows no gallery and no network.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use limen_models::photo::MAX_FILE_BYTES;
use thiserror::Error;

use crate::people::archive::Archive;
use crate::people::folder::Folder;
use crate::people::person::Person;

pub mod archive;
pub mod credentials;
mod folder;
pub mod moment;
mod person;
mod pictures;
pub mod plan;
pub mod table;

/// The list's file name.
pub const LIST: &str = "people.csv";
/// Most files in a folder or a ZIP: 10,000 people with five pictures each.
pub const MAX_FILES: usize = 50_000;

/// Why a list cannot be used at all. It repeats no cell but an id.
#[derive(Debug, Error)]
pub enum ListError {
    /// The folder, the ZIP or the list cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder or the ZIP is not of the form that is asked for.
    #[error("{path}: {why}; nobody was enrolled")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the cure.
        why: String,
    },
    /// The list contradicts itself or is no table.
    #[error("{path}, line {line}: {why}; nobody was enrolled")]
    Table {
        /// The folder or ZIP with the list.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong, and the cure.
        why: String,
    },
}

/// Why one person is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs, kebab-case.
    pub code: &'static str,
    /// For people. It repeats no cell of the list but names of pictures.
    pub why: String,
}

impl Refusal {
    /// With what is said to people.
    pub fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Where the files are. A file is read by its position among the names, so that no name leads anywhere else.
pub trait Store {
    /// Names of the files, with `/` between folders, none of them hidden.
    fn names(&self) -> &[String];

    /// The file at this position, whole; `None` if it has more than `most` bytes.
    fn read(&mut self, at: usize, most: u64) -> io::Result<Option<Vec<u8>>>;
}

/// A picture of somebody on the list.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its name, from the list's folder on.
    pub name: String,
    at: usize,
}

/// A line of the list.
pub struct Entry {
    /// In `people.csv`, from 1.
    pub line: u64,
    /// The person's id as it stands there; of a form that a gallery takes where `person` is given.
    pub id: String,
    /// What it says of the person, or what is wrong with it.
    pub person: Result<Person, Refusal>,
    /// The person's pictures.
    pub pictures: Vec<Picture>,
}

/// A list, read and checked.
pub struct List {
    store: Box<dyn Store>,
    /// Its lines, in their order.
    pub entries: Vec<Entry>,
    /// Names of files that are nobody's pictures.
    pub of_nobody: Vec<String>,
}

impl List {
    /// Reads the list of a folder or a ZIP. Dates are those of `zone`; `now` is when whoever is new comes in.
    pub fn open(path: &Path, zone: &TimeZone, now: Timestamp) -> Result<Self, ListError> {
        let read = |source| ListError::Read { path: path.to_owned(), source };
        let store: Box<dyn Store> = if std::fs::metadata(path).map_err(read)?.is_dir() {
            Box::new(Folder::open(path)?)
        } else {
            let file = BufReader::new(File::open(path).map_err(read)?);
            let unusable = |why| ListError::Unusable { path: path.to_owned(), why };
            Box::new(Archive::open(file).map_err(unusable)?)
        };
        Self::of(store, path, zone, now)
    }

    /// The list among the files of `store`, which is called `path` in errors.
    pub fn of(
        mut store: Box<dyn Store>,
        path: &Path,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, ListError> {
        let unusable = |why: String| ListError::Unusable { path: path.to_owned(), why };
        let at = locate(store.names()).map_err(unusable)?;
        let name = store.names().get(at).cloned().unwrap_or_default();
        let bytes = store
            .read(at, table::MAX_BYTES)
            .map_err(|source| ListError::Read { path: path.join(&name), source })?
            .ok_or_else(|| {
                unusable(format!("{name} has more than {} MiB; part it", table::MAX_BYTES >> 20))
            })?;
        let rows = table::read(&bytes).map_err(|fault| ListError::Table {
            path: path.join(&name),
            line: fault.line,
            why: fault.why,
        })?;
        let base = name.strip_suffix(LIST).unwrap_or_default();
        let found = pictures::assign(store.names(), at, base, &rows);
        let entries = rows
            .iter()
            .zip(found.of)
            .map(|(row, pictures)| {
                let (pictures, missing) = match pictures {
                    Ok(pictures) => (pictures, None),
                    Err(refusal) => (Vec::new(), Some(refusal)),
                };
                let person = Person::of(row, zone, now);
                Entry {
                    line: row.line,
                    id: visible(row.cell(table::Column::Id)),
                    person: missing.map_or(person, Err),
                    pictures,
                }
            })
            .collect();
        Ok(Self { store, entries, of_nobody: found.of_nobody })
    }

    /// A picture's bytes; `None` if they are more than a photograph may have.
    pub fn read(&mut self, picture: &Picture) -> io::Result<Option<Vec<u8>>> {
        self.store.read(picture.at, MAX_FILE_BYTES)
    }
}

/// Position of the list: the one that lies in the fewest folders, since who makes a ZIP of a folder has it in there.
fn locate(names: &[String]) -> Result<usize, String> {
    let depth = |name: &str| name.matches('/').count();
    let lists = || {
        let named = |name: &str| name.rsplit('/').next() == Some(LIST);
        names.iter().enumerate().filter(move |(_, name)| named(name))
    };
    let Some((at, first)) = lists().min_by_key(|(_, name)| depth(name)) else {
        return Err(format!(
            "has no {LIST}; put one beside the photographs, as docs/guide/enrol-many.md shows"
        ));
    };
    match lists().find(|(i, name)| *i != at && depth(name) == depth(first)) {
        Some((_, other)) => {
            Err(format!("has two lists, {first} and {other}; leave one, or name the folder of one"))
        }
        None => Ok(at),
    }
}

/// Whether a file is a system's own: `.DS_Store`, `__MACOSX/..`, `Thumbs.db`.
fn is_hidden(name: &str) -> bool {
    name.split('/')
        .any(|part| part.starts_with('.') || ["__MACOSX", "Thumbs.db", "desktop.ini"].contains(&part))
}

/// A text from somewhere else, fit for a terminal.
fn visible(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests;
