//! A gallery out into one file and back: the export as JSON lines for any later Limen, the backup as a plain copy.

mod import;
mod line;

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use rusqlite::backup::Progress;
use rusqlite::{Connection, MAIN_DB};
use serde::Serialize;

pub use crate::backup::import::{ImportReport, OnExisting};
use crate::backup::line::{FORMAT, Header, Line, LineError, Reader, VERSION, Writer};
use crate::error::{Fault, GalleryError};
use crate::event;
use crate::event::chain::{self, Head};
use crate::file::private;
use crate::gallery::Gallery;
use crate::subject;
use crate::template::{self, ModelId, Which};

/// Whether the journal goes into an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Journal {
    /// Persons and templates alone, to carry them to another device.
    #[default]
    Leave,
    /// All events as well, to restore the gallery some day.
    Take,
}

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Persons.
    pub subjects: u64,
    /// Templates.
    pub templates: u64,
    /// Events.
    pub events: u64,
    /// Whose templates.
    pub models: Vec<ModelId>,
    /// Where the journal ended, whether it is in the export or not.
    pub head: Option<Head>,
}

impl Gallery {
    /// Writes the gallery as of this moment to a new file that only its owner may read: JSON lines with check sums,
    /// vectors bit for bit. Errors, leaving no file, if there is one of that name already or the disk is full.
    pub fn export(&self, to: &Path, journal: Journal) -> Result<ExportReport, GalleryError> {
        let file = private(to).map_err(|e| GalleryError::io(to, e))?;
        let written = self.read_tx(|db| {
            let io = |e| Fault::from(GalleryError::io(to, e));
            let mut out = Writer::new(BufWriter::new(&file));
            let report = write(db, &mut out, journal, to)?;
            out.end().map_err(io)?.flush().map_err(io)?;
            file.sync_all().map_err(io)?;
            Ok(report)
        });
        keep(to, written)
    }

    /// Copies the whole gallery, journal and all, to a new file that is itself a gallery of this version; others may
    /// go on reading and writing meanwhile. Errors as [`Gallery::export`].
    pub fn backup_to(&self, to: &Path) -> Result<(), GalleryError> {
        private(to).map_err(|e| GalleryError::io(to, e))?;
        // What fails is mostly the target, so that is the file named.
        let copied = self.read(|db| {
            db.backup(MAIN_DB, to, None::<fn(Progress)>).map_err(|e| Fault::from(Fault::from(e).at(to)))
        });
        keep(to, copied)
    }
}

/// Where the journal ended when the export `of` was made; `None` if it was empty, or the export is of format 1, which did
/// not say. Errors as [`Gallery::import`].
pub fn head_of(of: &Path) -> Result<Option<Head>, GalleryError> {
    let file = std::fs::File::open(of).map_err(|e| GalleryError::io(of, e))?;
    let mut reader = Reader::new(BufReader::new(file));
    match reader.next().map_err(|e| import::refuse(of, 1, e))? {
        Some(Line::Header(header)) => Ok(header.head),
        _ => Err(import::refuse(of, 1, LineError::Foreign)),
    }
}

/// Makes a finished file last, takes an unfinished one away.
fn keep<T>(path: &Path, result: Result<T, GalleryError>) -> Result<T, GalleryError> {
    match &result {
        Ok(_) => sync_folder(path)?,
        Err(_) => {
            let _ = std::fs::remove_file(path); // the first error counts
        }
    }
    result
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> Result<(), GalleryError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| GalleryError::io(folder, e))
}

fn write<W: Write>(
    db: &Connection,
    out: &mut Writer<W>,
    journal: Journal,
    to: &Path,
) -> Result<ExportReport, Fault> {
    let count = |sql| db.query_row(sql, [], |row| row.get::<_, u64>(0));
    let mut query = db.prepare("SELECT DISTINCT model FROM template ORDER BY model")?;
    let models: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let report = ExportReport {
        subjects: count("SELECT count(*) FROM subject")?,
        templates: count("SELECT count(*) FROM template")?,
        events: if journal == Journal::Take { count("SELECT count(*) FROM event")? } else { 0 },
        models: models.into_iter().map(ModelId::new).collect::<Result<_, _>>()?,
        head: chain::head(db)?,
    };
    let mut put = |line: Line| out.put(&line).map_err(|e| Fault::from(GalleryError::io(to, e)));
    put(Line::Header(Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        made: Timestamp::now(),
        subjects: report.subjects,
        templates: report.templates,
        events: report.events,
        models: report.models.clone(),
        head: report.head,
    }))?;
    subject::for_each(db, |s| put(Line::Subject(Box::new(s))))?;
    template::for_each(db, Which::All, |t| put(Line::Template(Box::new(t.into()))))?;
    if journal == Journal::Take {
        event::for_each_entry(db, |entry, _| put(Line::Entry(Box::new(entry))))?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
