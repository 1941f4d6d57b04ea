//! The templates of one model as a gallery holds them: all in memory while they are few, else only their codes.

use rusqlite::Connection;

use crate::error::Fault;
use crate::score::{Direction, Score, VectorError, cosine, unit};
use crate::search::{Index, Sketch, Workspace};
use crate::subject::SubjectId;
use crate::template::{self, TemplateId};

/// Most bytes of exact vectors held in memory for one model unless told otherwise: those of 12,288 templates with 512
/// values, or 49,152 with 128. Beyond it the codes stay, a quarter of the size.
pub(crate) const MEMORY: usize = 24 << 20;

/// The search index of one model, never empty but for the moment in which it is made.
#[derive(Debug)]
pub(crate) struct Held {
    /// Most bytes of exact vectors.
    memory: usize,
    form: Form,
}

enum Form {
    Memory(Index),
    /// The exact vectors are read from the file when they matter.
    File(Sketch),
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(index) => index.fmt(f),
            Self::File(sketch) => write!(f, "{} templates, codes alone", sketch.len()),
        }
    }
}

impl Held {
    /// For embeddings of `length` values, most likely `expected` (templates, subjects). Errors if no embedding has that
    /// length.
    pub(crate) fn new(length: usize, memory: usize, expected: (usize, usize)) -> Result<Self, VectorError> {
        let mut index = Index::new(length)?;
        index.reserve(expected.0, expected.1);
        Ok(Self { memory, form: Form::Memory(index) })
    }

    /// As [`Sketch::settle`]; what is all in memory is too small for it to matter.
    pub(crate) fn settle(&mut self) {
        if let Form::File(sketch) = &mut self.form {
            sketch.settle();
        }
    }

    /// Whether a search reads the file, which must then be as it was when the index was last brought up to date.
    pub(crate) fn reads_file(&self) -> bool {
        matches!(self.form, Form::File(_))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sketch().len() == 0
    }

    pub(crate) fn length(&self) -> usize {
        self.sketch().length()
    }

    /// As [`Index::insert`]. What has outgrown the memory does not come back to it before it is loaded again.
    pub(crate) fn insert(
        &mut self,
        subject: SubjectId,
        id: TemplateId,
        vector: Direction<'_>,
    ) -> Result<(), VectorError> {
        match &mut self.form {
            Form::Memory(index) => {
                index.insert_direction(subject, id, vector)?;
                if index.len() * index.length() * size_of::<f32>() > self.memory {
                    let all = std::mem::replace(index, Index::new(index.length())?);
                    self.form = Form::File(all.into_sketch());
                }
            }
            Form::File(sketch) => {
                sketch.insert(subject, id, vector)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove_template(&mut self, id: TemplateId) {
        match &mut self.form {
            Form::Memory(index) => {
                index.remove_template(id);
            }
            Form::File(sketch) => {
                sketch.remove_template(id);
            }
        }
    }

    pub(crate) fn remove_subject(&mut self, subject: SubjectId) {
        match &mut self.form {
            Form::Memory(index) => {
                index.remove_subject(subject);
            }
            Form::File(sketch) => {
                sketch.remove_subject(subject);
            }
        }
    }

    /// As [`Index::identify_all`], `except` left out; what is found is in the workspace. Errors also if the file
    /// cannot be read, or lacks a template.
    pub(crate) fn identify(
        &self,
        db: &Connection,
        probes: &[&[f32]],
        k: usize,
        except: Option<SubjectId>,
        workspace: &mut Workspace,
    ) -> Result<(), Fault> {
        self.sketch().ask(probes, workspace).map_err(|e| Fault::invalid("probe", e))?;
        self.sketch().identify(k, except, workspace, |probe, row| self.score(db, row, probes[probe]))
    }

    /// As [`Index::verify`]. Errors also if the file cannot be read, or lacks a template.
    pub(crate) fn verify(
        &self,
        db: &Connection,
        subject: SubjectId,
        probe: &[f32],
    ) -> Result<Option<Score>, Fault> {
        self.sketch().check(probe).map_err(|e| Fault::invalid("probe", e))?;
        let mut best = None;
        for row in self.sketch().rows_of(subject) {
            best = best.max(Some(self.score(db, row, probe)?));
        }
        Ok(best)
    }

    fn sketch(&self) -> &Sketch {
        match &self.form {
            Form::Memory(index) => index.sketch(),
            Form::File(sketch) => sketch,
        }
    }

    /// The same bits in either form.
    fn score(&self, db: &Connection, row: usize, probe: &[f32]) -> Result<Score, Fault> {
        match &self.form {
            Form::Memory(index) => Ok(index.score(row, probe)),
            Form::File(sketch) => {
                let id = sketch.template(row);
                let mut vector = template::vector_of(db, id)?;
                unit(&mut vector).map_err(|e| Fault::Damaged(format!("template {id}: {e}")))?;
                Ok(cosine(probe, &vector))
            }
        }
    }
}
