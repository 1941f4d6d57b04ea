//! The search indices of a gallery, one a model, kept in step with the file.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;

use crate::error::Fault;
use crate::gallery::held::{Held, MEMORY};
use crate::score::Direction;
use crate::subject::SubjectId;
use crate::template::{self, Encoding, ModelId, Raw, TemplateId};

/// A template as the index takes it.
pub(crate) type Row = (TemplateId, Vec<f32>);

/// Indices of the models asked for so far, none of them empty. They hold what the file held when `seen` was read, with
/// our own committed changes; anything that another connection commits changes `data_version`.
#[derive(Debug)]
pub(crate) struct Indices {
    by_model: HashMap<ModelId, Held>,
    seen: i64,
    /// Most bytes of exact vectors that each holds in memory.
    memory: usize,
}

impl Indices {
    pub(crate) fn new(db: &Connection) -> Result<Self, Fault> {
        Ok(Self { by_model: HashMap::new(), seen: data_version(db)?, memory: MEMORY })
    }

    /// Loads the indices again if another connection has changed the file; says whether it has.
    /// On an error they stay as they were, and the next call tries again.
    pub(crate) fn sync(&mut self, db: &Connection) -> Result<bool, Fault> {
        // Read first: a change that comes after it shows next time.
        let now = data_version(db)?;
        if now == self.seen {
            return Ok(false);
        }
        let mut fresh = HashMap::new();
        for model in self.by_model.keys() {
            if let Some(index) = load(db, model, self.memory)? {
                fresh.insert(model.clone(), index);
            }
        }
        (self.by_model, self.seen) = (fresh, now);
        Ok(true)
    }

    /// The index of `model` if it is loaded and a search of it reads nothing from the file.
    pub(crate) fn in_memory(&self, model: &ModelId) -> Option<&Held> {
        self.by_model.get(model).filter(|held| !held.reads_file())
    }

    /// The index of `model`, loaded if need be; `None` if it has no template. One that reads the file is brought up to
    /// date with it: within the transaction of `db` every template of the index is then there.
    pub(crate) fn of(&mut self, db: &Connection, model: &ModelId) -> Result<Option<&Held>, Fault> {
        if self.by_model.get(model).is_some_and(Held::reads_file) {
            self.sync(db)?;
        }
        if !self.by_model.contains_key(model)
            && let Some(index) = load(db, model, self.memory)?
        {
            self.by_model.insert(model.clone(), index);
        }
        Ok(self.by_model.get(model))
    }

    /// Sets how many bytes of exact vectors each holds in memory, from the next loading on, which this brings about.
    pub(crate) fn set_memory(&mut self, bytes: usize) {
        self.memory = bytes;
        self.clear();
    }

    /// Forgets all, to be loaded again when asked for.
    pub(crate) fn clear(&mut self) {
        self.by_model.clear();
    }

    /// Takes over committed templates. An index not loaded yet will find them in the file.
    pub(crate) fn add(&mut self, model: &ModelId, subject: SubjectId, rows: &[Row]) {
        let Some(index) = self.by_model.get_mut(model) else { return };
        let mut insert = |(id, vector): &Row| index.insert(subject, *id, Direction::of(vector)?);
        if rows.iter().any(|row| insert(row).is_err()) {
            // The file has them, so what it holds counts: load again.
            self.by_model.remove(model);
        }
    }

    pub(crate) fn remove_of(&mut self, model: &ModelId, subject: SubjectId) {
        if let Some(index) = self.by_model.get_mut(model) {
            index.remove_subject(subject);
        }
        self.drop_empty();
    }

    pub(crate) fn remove_subject(&mut self, subject: SubjectId) {
        self.by_model.values_mut().for_each(|index| index.remove_subject(subject));
        self.drop_empty();
    }

    pub(crate) fn remove_template(&mut self, template: TemplateId) {
        self.by_model.values_mut().for_each(|index| index.remove_template(template));
        self.drop_empty();
    }

    /// An empty index would insist on the length of templates that are gone.
    fn drop_empty(&mut self) {
        self.by_model.retain(|_, index| !index.is_empty());
    }
}

fn data_version(db: &Connection) -> Result<i64, Fault> {
    Ok(db.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

/// Templates that are handed over together, and how many such batches may wait.
const BATCH: usize = 64;
const WAITING: usize = 16;

/// Templates on their way from the file to an index.
#[derive(Default)]
struct Batch {
    /// Which, whose, how kept, and where their bytes end.
    owners: Vec<(TemplateId, SubjectId, Encoding, usize)>,
    bytes: Vec<u8>,
}

/// One statement, so one state of the file. This thread reads, another makes the index: each takes about as long.
fn load(db: &Connection, model: &ModelId, memory: usize) -> Result<Option<Held>, Fault> {
    // Only to make room at once: the file may change before the statement that counts.
    let expected = template::count(db, model)?;
    thread::scope(|scope| {
        let (send, batches) = mpsc::sync_channel::<Batch>(WAITING);
        let (give_back, emptied) = mpsc::channel::<Batch>();
        let make = move || {
            let mut held = None;
            for mut batch in batches {
                add_all(&mut held, &batch, memory, expected)?;
                batch.owners.clear();
                batch.bytes.clear();
                // Nobody wants it back at the end.
                let _ = give_back.send(batch);
            }
            held.iter_mut().for_each(Held::settle);
            Ok::<_, Fault>(held)
        };
        let maker = thread::Builder::new().name("gallery-index".into()).spawn_scoped(scope, make);
        let maker = maker.map_err(Fault::Io)?;
        let mut batch = Batch::default();
        // A maker that gives up has hung up; why, it says in the end.
        let hand_over = |batch: Batch| send.send(batch).is_ok();
        let read = template::for_each_vector(db, model, |raw| {
            batch.bytes.extend_from_slice(raw.bytes);
            batch.owners.push((raw.id, raw.subject, raw.encoding, batch.bytes.len()));
            if batch.owners.len() == BATCH {
                let next = emptied.try_recv().unwrap_or_default();
                hand_over(std::mem::replace(&mut batch, next));
            }
            Ok(())
        });
        hand_over(batch);
        drop(send);
        // What the maker refuses comes earlier in the file than what cannot be read.
        let held = maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        read.map(|()| held)
    })
}

/// Adds the templates of `batch` to an index, which is made with the first.
fn add_all(
    held: &mut Option<Held>,
    batch: &Batch,
    memory: usize,
    expected: (usize, usize),
) -> Result<(), Fault> {
    let (mut start, mut values) = (0, Vec::new());
    for &(id, subject, encoding, end) in &batch.owners {
        let raw = Raw { id, subject, encoding, bytes: &batch.bytes[start..end] };
        start = end;
        let direction = raw.decode(&mut values)?;
        let damaged = |e| Fault::Damaged(format!("template {id}: {e}"));
        let held = match &mut *held {
            Some(held) => held,
            none => none.insert(Held::new(direction.values().len(), memory, expected).map_err(damaged)?),
        };
        held.insert(subject, id, direction).map_err(damaged)?;
    }
    Ok(())
}
