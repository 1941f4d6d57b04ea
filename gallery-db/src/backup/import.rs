//! Takes an export over into a gallery: all of it or nothing.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use serde::Serialize;

use crate::backup::line::{End, Header, Line, LineError, Reader, VERSION};
use crate::error::{Fault, GalleryError};
use crate::event::verify::Walk;
use crate::event::{self, Entry};
use crate::gallery::Gallery;
use crate::subject::{self, Key, Subject, SubjectId};
use crate::template::{self, TemplateId};

/// What to do with a person of the export who is already in the gallery, by id or by external id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExisting {
    /// Keep the one in the gallery; take nothing of that person from the export.
    #[default]
    Skip,
    /// Take data and templates of the export in place of those in the gallery.
    Replace,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Persons that came new.
    pub added: u64,
    /// Persons replaced.
    pub replaced: u64,
    /// Persons left as they were.
    pub skipped: u64,
    /// Templates that came.
    pub templates: u64,
    /// Events restored, with their positions.
    pub events: u64,
    /// Events left out because this gallery has a journal of its own: two journals are never merged.
    pub events_skipped: u64,
}

impl Gallery {
    /// Takes over an export, in one transaction. Persons keep their ids. The journal of the export is restored only
    /// into a gallery without events. Errors with [`GalleryError::Import`] naming the line when the file is cut short,
    /// changed or does not fit; with [`GalleryError::Foreign`] or [`GalleryError::Newer`] when it is no export that
    /// this program can read.
    pub fn import(&mut self, from: &Path, existing: OnExisting) -> Result<ImportReport, GalleryError> {
        let file = std::fs::File::open(from).map_err(|e| GalleryError::io(from, e))?;
        let mut reader = Reader::new(BufReader::new(file));
        let report = self.write(|tx, _| {
            let has_journal = tx.query_row("SELECT EXISTS (SELECT 1 FROM event)", [], |row| row.get(0))?;
            let mut import = Import {
                existing,
                has_journal,
                header: None,
                people: HashMap::new(),
                walk: Walk::default(),
                report: <_>::default(),
            };
            while let Some(line) = reader.next().map_err(|e| refuse(from, reader.line(), e))? {
                import.take(tx, line).map_err(|fault| at_line(from, reader.line(), fault))?;
            }
            import.complete().map_err(|fault| at_line(from, reader.line(), fault))?;
            Ok(import.report)
        })?;
        self.indices.get_mut().clear();
        if report.replaced > 0 {
            self.forget();
        }
        Ok(report)
    }
}

pub(super) fn refuse(path: &Path, line: u64, error: LineError) -> GalleryError {
    let path = path.to_owned();
    match error {
        LineError::Io(e) => GalleryError::io(&path, e),
        LineError::Foreign => {
            GalleryError::Foreign { path, why: "it does not begin as an export".to_owned() }
        }
        LineError::Newer(found) => GalleryError::Newer { path, found, known: VERSION },
        LineError::Bad(why) => GalleryError::Import { path, line, why },
    }
}

/// A value that the gallery refuses is a fault of the line; a full disk is not.
fn at_line(path: &Path, line: u64, fault: Fault) -> Fault {
    let why = match fault {
        Fault::Refused(error) => error.to_string(),
        Fault::Broken { seq, why } => format!("event {seq} {why}"),
        Fault::Sql(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => e.to_string(),
        other => return other,
    };
    GalleryError::Import { path: path.to_owned(), line, why }.into()
}

/// An import under way.
struct Import {
    existing: OnExisting,
    /// Whether the gallery had events before.
    has_journal: bool,
    header: Option<Header>,
    /// Id in the export -> id in the gallery, `None` if skipped.
    people: HashMap<SubjectId, Option<SubjectId>>,
    /// Along the journal of the export.
    walk: Walk,
    report: ImportReport,
}

impl Import {
    fn take(&mut self, tx: &Connection, line: Line) -> Result<(), Fault> {
        match (line, &self.header) {
            (Line::Header(header), None) => {
                self.header = Some(header);
                Ok(())
            }
            (Line::Header(_), Some(_)) => Err(Fault::invalid("header", "comes twice")),
            (_, None) => Err(Fault::invalid("header", "is missing")),
            (Line::Subject(s), _) => self.subject(tx, *s),
            (Line::Template(t), _) => {
                match self.people.get(&t.subject()) {
                    None => {
                        return Err(Fault::invalid("subject", "is not among the persons before this line"));
                    }
                    Some(None) => {}
                    Some(Some(id)) => {
                        let t = t.template(*id).map_err(|why| Fault::invalid("template", why))?;
                        let _: TemplateId = template::insert(tx, &t)?;
                    }
                }
                self.report.templates += 1;
                Ok(())
            }
            (Line::Event(e), _) => self.entry(tx, Entry::sealed(*e, self.walk.hash())),
            (Line::Entry(entry), _) => self.entry(tx, *entry),
            // The reader ends with it.
            (Line::End(End { .. }), _) => Ok(()),
        }
    }

    fn subject(&mut self, tx: &Connection, s: Subject) -> Result<(), Fault> {
        let told = s.id;
        let by_id = subject::find(tx, Key::Id(s.id))?;
        let here = match by_id {
            Some(here) => Some(here),
            None => subject::find(tx, Key::External(&s.external_id))?,
        };
        let id = match (here, self.existing) {
            (Some(here), _) if self.people.values().any(|id| *id == Some(here.id)) => {
                return Err(Fault::invalid("subject", "the same person comes twice"));
            }
            (Some(_), OnExisting::Skip) => {
                self.report.skipped += 1;
                None
            }
            (Some(here), OnExisting::Replace) => {
                let s = Subject { id: here.id, ..s }.checked()?;
                subject::update(tx, &s)?;
                template::remove_all(tx, s.id)?;
                self.report.replaced += 1;
                Some(s.id)
            }
            (None, _) => {
                let s = s.checked()?;
                subject::insert(tx, &s)?;
                self.report.added += 1;
                Some(s.id)
            }
        };
        if self.people.insert(told, id).is_some() {
            return Err(Fault::invalid("subject", "the same person comes twice"));
        }
        Ok(())
    }

    fn entry(&mut self, tx: &Connection, entry: Entry) -> Result<(), Fault> {
        let detail = entry.event.detail.as_ref().map(ToString::to_string);
        self.walk.step(&entry, detail.as_deref())?;
        if self.has_journal {
            self.report.events_skipped += 1;
            return Ok(());
        }
        event::insert(tx, &entry)?;
        self.report.events += 1;
        Ok(())
    }

    /// Compares with what the header promised.
    fn complete(&self) -> Result<(), Fault> {
        let Some(header) = &self.header else { return Err(Fault::invalid("header", "is missing")) };
        let r = &self.report;
        for (what, promised, got) in [
            ("subjects", header.subjects, r.added + r.replaced + r.skipped),
            ("templates", header.templates, r.templates),
            ("events", header.events, r.events + r.events_skipped),
        ] {
            if promised != got {
                return Err(Fault::invalid(what, format!("the header promises {promised}, there are {got}")));
            }
        }
        Ok(())
    }
}
