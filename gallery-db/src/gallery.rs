//! The gallery: one SQLite file, and the search indices over it.

mod held;
mod indices;

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::Serialize;

use crate::error::{Fault, GalleryError};
use crate::event::chain::Head;
use crate::event::verify::Verified;
use crate::event::{self, Event, EventFilter, NewEvent};
use crate::file::{self, Access, Check, Options};
pub(crate) use crate::gallery::held::Held;
pub(crate) use crate::gallery::indices::{Indices, Row};
use crate::score::{Score, cosine};
use crate::search::{Candidates, Workspace};
use crate::subject::{self, Key, NewSubject, Standing, Subject, SubjectId};
use crate::template::{self, ModelId, Template, TemplateId, Which};

/// Whether the indices had to be loaded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Nobody else changed the file.
    Unchanged,
    /// Somebody did; the indices are as the file is now.
    Reloaded,
}

/// How much is in a gallery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Persons.
    pub subjects: u64,
    /// Templates of each model, by model id.
    pub templates: Vec<(ModelId, u64)>,
    /// Events in the journal.
    pub events: u64,
}

/// Who is enrolled and what happened, in one SQLite file (and `-wal`, `-shm` beside it while it is open).
///
/// A method that returns `Ok` has its change on the disk; one that returns `Err` has changed nothing. Several programs
/// may have the same gallery open: [`Gallery::refresh`] notices what the others changed. `Send`, not `Sync`: one
/// thread at a time.
pub struct Gallery {
    db: Connection,
    path: PathBuf,
    access: Access,
    /// Goes into the journal with the next change, or not at all.
    note: Option<NewEvent>,
    pub(crate) indices: RefCell<Indices>,
}

/// A gallery whose next change is written together with an event: [`Gallery::noting`].
#[derive(Debug)]
pub struct Noting<'a>(&'a mut Gallery);

impl Deref for Noting<'_> {
    type Target = Gallery;

    fn deref(&self) -> &Gallery {
        self.0
    }
}

impl DerefMut for Noting<'_> {
    fn deref_mut(&mut self) -> &mut Gallery {
        self.0
    }
}

impl Drop for Noting<'_> {
    /// A change that was refused before it began takes its event with it.
    fn drop(&mut self) {
        self.0.note = None;
    }
}

impl std::fmt::Debug for Gallery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gallery")
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Gallery {
    /// Opens the gallery at `path` with the default [`Options`]; makes it if there is no file, brings it up to date if
    /// an older Limen made it.
    ///
    /// Errors name the file and the cure: [`GalleryError::Newer`], [`GalleryError::Foreign`],
    /// [`GalleryError::Corrupt`], [`GalleryError::Busy`], [`GalleryError::ReadOnly`], [`GalleryError::Full`],
    /// [`GalleryError::Open`]. A file that is refused is left as it was.
    pub fn open(path: &Path) -> Result<Self, GalleryError> {
        Self::open_with(path, &Options::default())
    }

    /// As [`Gallery::open`], with other options.
    pub fn open_with(path: &Path, options: &Options) -> Result<Self, GalleryError> {
        Self::new(path, Access::Write, options)
    }

    /// Opens an existing gallery for reading alone. Every change is refused with [`GalleryError::ReadOnly`]. A gallery
    /// of an older Limen is refused with [`GalleryError::Older`].
    pub fn open_read_only(path: &Path) -> Result<Self, GalleryError> {
        Self::new(path, Access::Read, &Options::default())
    }

    /// A gallery in memory with the people of the file at `path`, or with nobody where there is no file: what is tried on
    /// it is gone with it. The journal is not copied. Errors as [`Gallery::open_read_only`].
    pub fn scratch(path: &Path) -> Result<Self, GalleryError> {
        let source = if path.exists() { Some(Self::open_read_only(path)?) } else { None };
        let copy = || {
            let db = file::in_memory()?;
            if let Some(source) = &source {
                let house = source.db.unchecked_transaction()?;
                subject::for_each(&house, |s| subject::insert(&db, &s))?;
                template::for_each(&house, Which::All, |t| template::insert(&db, &t).map(drop))?;
            }
            let indices = RefCell::new(Indices::new(&db)?);
            Ok(Self { db, path: path.to_owned(), access: Access::Write, note: None, indices })
        };
        copy().map_err(|fault: Fault| fault.at(path))
    }

    fn new(path: &Path, access: Access, options: &Options) -> Result<Self, GalleryError> {
        let db = file::open(path, access, options)?;
        let indices = RefCell::new(Indices::new(&db).map_err(|fault| fault.at(path))?);
        Ok(Self { db, path: path.to_owned(), access, note: None, indices })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for damage. Errors with [`GalleryError::Corrupt`] and the first thing found.
    pub fn check(&self, check: Check) -> Result<(), GalleryError> {
        self.read(|db| file::check(db, check))
    }

    /// Loads the search indices again if another program has changed the file. Cheap where nobody has (it reads one
    /// number): call it before each search, or once a second. Subjects and events are always read from the file.
    pub fn refresh(&mut self) -> Result<Refresh, GalleryError> {
        let Self { db, path, indices, .. } = self;
        let reloaded = indices.get_mut().sync(db).map_err(|fault| fault.at(path))?;
        Ok(if reloaded { Refresh::Reloaded } else { Refresh::Unchanged })
    }

    /// How much is in the gallery.
    pub fn contents(&self) -> Result<Contents, GalleryError> {
        self.read_tx(|db| {
            let count = |sql| db.query_row(sql, [], |row| row.get::<_, u64>(0));
            let mut query =
                db.prepare("SELECT model, count(*) FROM template GROUP BY model ORDER BY model")?;
            let mut rows = query.query([])?;
            let mut templates = Vec::new();
            while let Some(row) = rows.next()? {
                templates.push((ModelId::new(row.get::<_, String>(0)?)?, row.get(1)?));
            }
            Ok(Contents {
                subjects: count("SELECT count(*) FROM subject")?,
                templates,
                events: count("SELECT count(*) FROM event")?,
            })
        })
    }

    /// How many people are enrolled and how many templates they have, by the indices alone: quick also beside a long journal.
    pub fn enrolled(&self) -> Result<(u64, u64), GalleryError> {
        self.read_tx(|db| {
            let count = |sql| db.query_row(sql, [], |row| row.get::<_, u64>(0));
            Ok((count("SELECT count(*) FROM subject")?, count("SELECT count(*) FROM template")?))
        })
    }

    /// All subjects, by external id.
    pub fn subjects(&self) -> Result<Vec<Subject>, GalleryError> {
        let mut all = Vec::new();
        self.read(|db| {
            subject::for_each(db, |s| {
                all.push(s);
                Ok(())
            })
        })?;
        Ok(all)
    }

    /// The subject, `None` if not there.
    pub fn subject(&self, id: SubjectId) -> Result<Option<Subject>, GalleryError> {
        self.read(|db| subject::find(db, Key::Id(id)))
    }

    /// The subject with this external id, `None` if not there.
    pub fn subject_by_external_id(&self, external_id: &str) -> Result<Option<Subject>, GalleryError> {
        self.read(|db| subject::find(db, Key::External(external_id)))
    }

    /// Adds a person without templates. Errors with [`GalleryError::Exists`] if the external id is taken,
    /// [`GalleryError::Invalid`] if a field has no place in a gallery.
    pub fn add_subject(&mut self, new: &NewSubject) -> Result<Subject, GalleryError> {
        let subject = new.clone().into_subject().checked()?;
        self.write(|tx, _| subject::insert(tx, &subject))?;
        Ok(subject)
    }

    /// Gives the person with `subject.id` all the other fields, except `created`; returns the person as now in the
    /// gallery. Errors as [`Gallery::add_subject`], and with [`GalleryError::UnknownSubject`].
    pub fn update_subject(&mut self, subject: &Subject) -> Result<Subject, GalleryError> {
        let subject = subject.clone().checked()?;
        self.write(|tx, _| {
            subject::update(tx, &subject)?;
            known(tx, subject.id)
        })
    }

    /// Suspends or resumes a person; returns the person as now in the gallery.
    pub fn set_standing(&mut self, id: SubjectId, standing: Standing) -> Result<Subject, GalleryError> {
        self.write(|tx, _| {
            let subject = Subject { standing, ..known(tx, id)? };
            subject::update(tx, &subject)?;
            Ok(subject)
        })
    }

    /// Removes a person with all templates; returns what was removed. Events keep its ids
    /// ([`Gallery::erase_subject`] takes those as well). The face is
    /// overwritten in the file and in the log beside it (as far as no other program is reading them just now).
    pub fn remove_subject(&mut self, id: SubjectId) -> Result<Subject, GalleryError> {
        let subject = self.write(|tx, _| {
            let subject = known(tx, id)?;
            subject::remove(tx, id)?;
            Ok(subject)
        })?;
        self.indices.get_mut().remove_subject(id);
        self.forget();
        Ok(subject)
    }

    /// Removes a person as [`Gallery::remove_subject`] does, if there is one with this external id, and makes the journal
    /// forget who it was; returns how many events forgot it. [`Gallery::verify_journal`] still finds the journal whole.
    /// Exports and backups made before keep the person. Errors with [`GalleryError::UnknownSubject`] if neither gallery
    /// nor journal knows the id.
    pub fn erase_subject(&mut self, external_id: &str) -> Result<usize, GalleryError> {
        let (removed, forgotten) = self.write(|tx, _| {
            let subject = subject::find(tx, Key::External(external_id))?;
            let forgotten = event::forget(tx, external_id)?;
            if let Some(subject) = &subject {
                subject::remove(tx, subject.id)?;
            } else if forgotten == 0 {
                return Err(GalleryError::UnknownSubject { id: external_id.to_owned() }.into());
            }
            Ok((subject, forgotten))
        })?;
        if let Some(subject) = removed {
            self.indices.get_mut().remove_subject(subject.id);
        }
        self.forget();
        Ok(forgotten)
    }

    /// The templates of a person, of all models, by number; empty if there is no such person.
    pub fn templates(&self, subject: SubjectId) -> Result<Vec<Template>, GalleryError> {
        let mut all = Vec::new();
        self.read(|db| {
            template::for_each(db, Which::Of(subject), |t| {
                all.push(t);
                Ok(())
            })
        })?;
        Ok(all)
    }

    /// Removes one template; returns what was removed. Errors with [`GalleryError::UnknownTemplate`].
    pub fn remove_template(&mut self, id: TemplateId) -> Result<Template, GalleryError> {
        let template = self.write(|tx, _| {
            let found = template::find(tx, id)?.ok_or(GalleryError::UnknownTemplate { id: id.number() })?;
            template::remove(tx, id)?;
            Ok(found)
        })?;
        self.indices.get_mut().remove_template(id);
        self.forget();
        Ok(template)
    }

    /// 1:N: the `k` subjects most similar to `probe` (an embedding of `model`, any norm), by their best templates.
    /// Empty if the model has no templates. Suspended and expired persons are found as well: whoever decides must look
    /// at the subject. Errors with [`GalleryError::Invalid`] if the probe is no embedding of the model's length.
    pub fn identify(&self, model: &ModelId, probe: &[f32], k: usize) -> Result<Candidates, GalleryError> {
        Ok(self.identify_in(model, probe, k, &mut Workspace::default())?.clone())
    }

    /// As [`Gallery::identify`]; while the exact vectors are in memory ([`Gallery::set_memory`]) it asks for no memory
    /// from the second search on in the same workspace, and does not touch the file.
    pub fn identify_in<'w>(
        &self,
        model: &ModelId,
        probe: &[f32],
        k: usize,
        workspace: &'w mut Workspace,
    ) -> Result<&'w Candidates, GalleryError> {
        self.identify_each(model, &[probe], k, workspace)?;
        Ok(workspace.first())
    }

    /// What [`Gallery::identify`] gives for each of the `probes`, in their order, with one pass over the templates.
    pub fn identify_all(
        &self,
        model: &ModelId,
        probes: &[&[f32]],
        k: usize,
    ) -> Result<Vec<Candidates>, GalleryError> {
        let mut workspace = Workspace::default();
        self.identify_each(model, probes, k, &mut workspace)?;
        Ok(workspace.take())
    }

    fn identify_each(
        &self,
        model: &ModelId,
        probes: &[&[f32]],
        k: usize,
        workspace: &mut Workspace,
    ) -> Result<(), GalleryError> {
        workspace.begin(probes.len()); // nobody, should the model have no templates
        self.search(model, |db, held| held.identify(db, probes, k, None, workspace))?;
        Ok(())
    }

    /// 1:1: how similar `probe` (as in [`Gallery::identify`]) is to the subject's best template of `model`; `None` if
    /// it has none.
    pub fn verify(
        &self,
        model: &ModelId,
        subject: SubjectId,
        probe: &[f32],
    ) -> Result<Option<Score>, GalleryError> {
        self.search(model, |db, held| held.verify(db, subject, probe)).map(Option::flatten)
    }

    /// What [`Gallery::verify`] gives, from the file alone: for whoever compares with one person now and then, and keeps no
    /// index for it.
    pub fn compare(
        &self,
        model: &ModelId,
        subject: SubjectId,
        probe: &[f32],
    ) -> Result<Option<Score>, GalleryError> {
        let templates = self.templates(subject)?;
        let theirs = templates.iter().filter(|t| t.model == *model && t.vector.length() == probe.len());
        Ok(theirs.map(|t| cosine(&t.vector.decode(), probe)).max())
    }

    /// Sets how many bytes of exact vectors are held in memory for each model, 24 MiB unless set: those of 12,288
    /// templates with 512 values. Of a model with more only the int8 codes are held, a quarter of the size, and the
    /// few exact vectors that a search needs are read from the file. The results are the same. Such a model sees what
    /// other programs changed at once, without [`Gallery::refresh`].
    pub fn set_memory(&mut self, bytes: usize) {
        self.indices.get_mut().set_memory(bytes);
    }

    /// Writes an event at the end of the journal and returns it as written; it is on the disk then. An event about a
    /// person who is gone is written without the reference. Errors with [`GalleryError::Invalid`] if a field does not
    /// fit.
    pub fn append(&mut self, new: &NewEvent) -> Result<Event, GalleryError> {
        self.write(|tx, _| event::append(tx, new))
    }

    /// For one change: `gallery.noting(event).enrol(..)` writes the change and its event in one transaction, both or
    /// neither. The event may name its subject by the external id alone, for a subject that the change brings.
    pub fn noting(&mut self, event: NewEvent) -> Noting<'_> {
        self.note = Some(event);
        Noting(self)
    }

    /// The events that pass the filter, in its order. A long journal is best read page by page, with `limit` and
    /// `after`.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, GalleryError> {
        let mut all = Vec::new();
        self.read(|db| {
            event::for_each(db, filter, |e| {
                all.push(e);
                Ok(())
            })
        })?;
        Ok(all)
    }

    /// Goes through the whole journal and compares each event with its hash, and with those of the heads in `known` that
    /// were noted outside the gallery (each export and backup has one). Errors with [`GalleryError::Broken`] and the
    /// first event that was changed, taken out or put in between. Whoever can write the file can also write a whole new
    /// chain: that shows by a known head alone.
    pub fn verify_journal(&self, known: &[Head]) -> Result<Verified, GalleryError> {
        self.read_tx(|db| event::verify::verify(db, known))
    }

    /// One statement, or several that need not see the same state.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, GalleryError> {
        work(&self.db).map_err(|fault| fault.at(&self.path))
    }

    /// Several statements that see one state of the file.
    pub(crate) fn read_tx<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, GalleryError> {
        self.read(|db| {
            let tx = db.unchecked_transaction()?;
            let out = work(&tx)?;
            tx.finish()?;
            Ok(out)
        })
    }

    /// All of `work` or nothing. The write lock is taken first, so that what `work` reads cannot change under it.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Indices) -> Result<T, Fault>,
    ) -> Result<T, GalleryError> {
        let Self { db, path, access, note, indices } = self;
        let note = note.take();
        if *access == Access::Read {
            let why = "it was opened for reading alone".to_owned();
            return Err(GalleryError::ReadOnly { path: path.clone(), why });
        }
        let all = || {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let out = work(&tx, indices.get_mut())?;
            if let Some(event) = &note {
                event::append(&tx, event)?;
            }
            tx.commit()?; // rolled back by the drop if it fails
            Ok(out)
        };
        all().map_err(|fault: Fault| fault.at(path))
    }

    /// Takes what was removed out of the log beside the file as well. No error: the removal itself stands, and where
    /// a reader is in the way the next checkpoint does it.
    pub(crate) fn forget(&self) {
        let _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// `work` on the index of `model`, with the file as the index saw it; `None` if there is no template. An index that
    /// needs nothing from the file is searched without a transaction.
    fn search<T>(
        &self,
        model: &ModelId,
        work: impl FnOnce(&Connection, &Held) -> Result<T, Fault>,
    ) -> Result<Option<T>, GalleryError> {
        let mut indices = self.indices.borrow_mut();
        if let Some(held) = indices.in_memory(model) {
            return self.read(|db| work(db, held)).map(Some);
        }
        self.read_tx(|db| indices.of(db, model)?.map(|held| work(db, held)).transpose())
    }
}

/// The subject, or the error that it is not there.
pub(crate) fn known(db: &Connection, id: SubjectId) -> Result<Subject, Fault> {
    Ok(subject::find(db, Key::Id(id))?.ok_or_else(|| GalleryError::UnknownSubject { id: id.to_string() })?)
}

#[cfg(test)]
mod tests;
