//! Verify 1:1 and identify 1:N, exactly, over the templates of one model.

mod codes;
mod kernel;
mod ranking;
mod roster;
mod shortlist;
mod sketch;
mod slots;
mod workspace;

use std::cell::Cell;

use serde::Serialize;

use crate::score::{Direction, Score, VectorError, cosine, unit};
pub use crate::search::kernel::Kernel;
pub(crate) use crate::search::sketch::Sketch;
pub use crate::search::workspace::Workspace;
use crate::subject::SubjectId;
use crate::template::TemplateId;

/// A subject that looks like the probe, with its most similar template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Who.
    pub subject: SubjectId,
    /// The subject's most similar template.
    pub template: TemplateId,
    /// How similar: the maximum over the subject's templates.
    pub score: Score,
}

/// The subjects most similar to a probe, best first, and by how much the best leads. Says neither yes nor no.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Candidates {
    list: Vec<Candidate>,
    margin: Option<f32>,
}

impl Candidates {
    /// The most similar subject; `None` in an empty gallery.
    pub fn best(&self) -> Option<&Candidate> {
        self.list.first()
    }

    /// Score of the best subject less that of the second-best, 0 to 2; `None` with fewer than two subjects.
    /// Known even where only one candidate was asked for.
    pub fn margin(&self) -> Option<f32> {
        self.margin
    }

    /// At most as many as were asked for; scores fall, equal scores stand in the order of the subject ids.
    pub fn as_slice(&self) -> &[Candidate] {
        &self.list
    }

    /// The same, owned.
    pub fn into_vec(self) -> Vec<Candidate> {
        self.list
    }

    fn clear(&mut self) {
        self.list.clear();
        self.margin = None;
    }
}

/// The templates of one model in memory, searched exactly: every row, every time.
///
/// A scan of int8 codes with the widest vector unit finds the few rows that can matter, with a proven bound; those are
/// scored by [`cosine`], so the result is the one that scoring every row would give, bit for bit, on every processor.
pub struct Index {
    sketch: Sketch,
    /// [n, length], each row of unit length.
    rows: Vec<f32>,
}

impl std::fmt::Debug for Index {
    /// Sizes only: the numbers are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} templates of {} subjects, {} values)", self.len(), self.subjects(), self.length())
    }
}

impl Index {
    /// An empty index for embeddings of `length` values. Errors if no embedding has that length.
    pub fn new(length: usize) -> Result<Self, VectorError> {
        Ok(Self { sketch: Sketch::new(length)?, rows: Vec::new() })
    }

    /// The same index, searched with another kernel than the fastest, to compare them.
    pub fn with_kernel(mut self, kernel: Kernel) -> Self {
        self.sketch.set_kernel(kernel);
        self
    }

    /// Values of one embedding.
    pub fn length(&self) -> usize {
        self.sketch.length()
    }

    /// Templates held.
    pub fn len(&self) -> usize {
        self.sketch.len()
    }

    /// Whether no template is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Subjects with at least one template.
    pub fn subjects(&self) -> usize {
        self.sketch.subjects()
    }

    /// Adds a template of `subject`; `vector` may have any norm. Errors, changing nothing, if it is no embedding of
    /// this index' length.
    pub fn insert(
        &mut self,
        subject: SubjectId,
        template: TemplateId,
        vector: &[f32],
    ) -> Result<(), VectorError> {
        self.insert_direction(subject, template, self.sketch.check(vector)?)
    }

    /// Makes room for the codes of `templates` more, of `subjects` more.
    pub(crate) fn reserve(&mut self, templates: usize, subjects: usize) {
        self.sketch.reserve(templates, subjects);
    }

    /// As [`Index::insert`].
    pub(crate) fn insert_direction(
        &mut self,
        subject: SubjectId,
        template: TemplateId,
        vector: Direction<'_>,
    ) -> Result<(), VectorError> {
        self.sketch.insert(subject, template, vector)?;
        let start = self.rows.len();
        self.rows.extend_from_slice(vector.values());
        unit(&mut self.rows[start..]) // no error: it has a direction
    }

    /// Removes one template; `false` if it is not here.
    pub fn remove_template(&mut self, template: TemplateId) -> bool {
        let gap = self.sketch.remove_template(template);
        gap.into_iter().for_each(|at| self.swap_remove(at));
        gap.is_some()
    }

    /// Removes all templates of `subject`; says how many there were.
    pub fn remove_subject(&mut self, subject: SubjectId) -> usize {
        let gaps = self.sketch.remove_subject(subject);
        gaps.iter().for_each(|at| self.swap_remove(*at));
        gaps.len()
    }

    /// The `k` subjects most similar to `probe` (any norm), each by its best template.
    /// Errors if the probe is no embedding of this index' length.
    pub fn identify(&self, probe: &[f32], k: usize) -> Result<Candidates, VectorError> {
        Ok(self.identify_in(probe, k, &mut Workspace::default())?.clone())
    }

    /// As [`Index::identify`]; from the second search on in the same workspace it asks for no memory.
    pub fn identify_in<'w>(
        &self,
        probe: &[f32],
        k: usize,
        workspace: &'w mut Workspace,
    ) -> Result<&'w Candidates, VectorError> {
        self.search(&[probe], k, workspace)?;
        Ok(workspace.first())
    }

    /// What [`Index::identify`] gives for each of the `probes`, in their order, with one pass over the templates.
    pub fn identify_all(&self, probes: &[&[f32]], k: usize) -> Result<Vec<Candidates>, VectorError> {
        let mut workspace = Workspace::default();
        self.search(probes, k, &mut workspace)?;
        Ok(workspace.take())
    }

    fn search(&self, probes: &[&[f32]], k: usize, workspace: &mut Workspace) -> Result<(), VectorError> {
        self.sketch.ask(probes, workspace)?;
        self.sketch.identify(k, None, workspace, |probe, row| Ok(self.score(row, probes[probe])))
    }

    /// The codes alone.
    pub(crate) fn into_sketch(self) -> Sketch {
        self.sketch
    }

    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// The exact score of `probe` (any norm) and row `at`.
    pub(crate) fn score(&self, at: usize, probe: &[f32]) -> Score {
        cosine(probe, &self.rows[at * self.length()..][..self.length()])
    }

    /// How many templates [`Index::identify`] scores exactly for this probe: those that the codes cannot rule out.
    /// Errors as it does.
    pub fn rescored(&self, probe: &[f32], k: usize) -> Result<usize, VectorError> {
        let count = Cell::new(0);
        let mut workspace = Workspace::default();
        self.sketch.ask(&[probe], &mut workspace)?;
        self.sketch.identify(k, None, &mut workspace, |_, row| {
            count.set(count.get() + 1);
            Ok::<_, VectorError>(self.score(row, probe))
        })?;
        Ok(count.get())
    }

    /// How similar `probe` (any norm) is to `subject`: the maximum over the subject's templates; `None` if it has
    /// none here. Errors if the probe is no embedding of this index' length.
    pub fn verify(&self, subject: SubjectId, probe: &[f32]) -> Result<Option<Score>, VectorError> {
        self.sketch.check(probe)?;
        Ok(self.sketch.rows_of(subject).map(|row| self.score(row, probe)).max())
    }

    fn swap_remove(&mut self, at: usize) {
        let (length, last) = (self.length(), self.rows.len() - self.length());
        self.rows.copy_within(last.., at * length);
        self.rows.truncate(last);
    }
}

#[cfg(test)]
mod tests;
