//! Templates of one model as int8 codes: finds the few that can matter and has those scored exactly.

use crate::score::{Direction, Score, VectorError, check_length};
use crate::search::Candidate;
use crate::search::codes::{Codes, Near};
use crate::search::kernel::Kernel;
use crate::search::ranking::Ranking;
use crate::search::roster::{Entry, Roster};
use crate::search::workspace::{Asked, Workspace};
use crate::subject::SubjectId;
use crate::template::TemplateId;

/// Bytes of codes that go past all probes before the next: they stay in the second-level cache of any processor of
/// the last ten years.
const STRETCH: usize = 128 << 10;

/// The codes of an index, without the exact rows: those are asked for when they matter.
pub(crate) struct Sketch {
    length: usize,
    kernel: Kernel,
    codes: Codes,
    roster: Roster,
}

impl Sketch {
    /// An empty one for embeddings of `length` values. Errors if no embedding has that length.
    pub(crate) fn new(length: usize) -> Result<Self, VectorError> {
        check_length(length)?;
        Ok(Self { length, kernel: Kernel::best(), codes: Codes::new(length), roster: Roster::default() })
    }

    /// Searches with another kernel than the fastest.
    pub(crate) fn set_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Templates held.
    pub(crate) fn len(&self) -> usize {
        self.roster.entries().len()
    }

    /// Subjects with at least one template.
    pub(crate) fn subjects(&self) -> usize {
        self.roster.subjects().len()
    }

    /// The template at `row`.
    pub(crate) fn template(&self, row: usize) -> TemplateId {
        self.roster.entries()[row].template
    }

    /// The rows of `subject`.
    pub(crate) fn rows_of(&self, subject: SubjectId) -> impl Iterator<Item = usize> {
        let slot = self.roster.slot(subject);
        let all = self.roster.entries().iter().enumerate();
        all.filter(move |(_, e)| Some(e.slot) == slot).map(|(row, _)| row)
    }

    /// The direction of `vector` (any norm). Errors if it is no embedding of this length.
    pub(crate) fn check<'a>(&self, vector: &'a [f32]) -> Result<Direction<'a>, VectorError> {
        self.check_length(vector)?;
        Direction::of(vector)
    }

    fn check_length(&self, vector: &[f32]) -> Result<(), VectorError> {
        if vector.len() == self.length {
            return Ok(());
        }
        Err(VectorError::OtherLength { got: vector.len(), expected: self.length })
    }

    /// Makes room for `rows` more, of `subjects` more.
    pub(crate) fn reserve(&mut self, rows: usize, subjects: usize) {
        self.codes.reserve(rows);
        self.roster.reserve(rows, subjects);
    }

    /// To be called when as many rows are there as are expected for long: from then on the system may make searches
    /// faster at its leisure.
    pub(crate) fn settle(&mut self) {
        self.codes.settle();
    }

    /// Adds a row at the end. Errors, changing nothing, if it is of another length.
    pub(crate) fn insert(
        &mut self,
        subject: SubjectId,
        template: TemplateId,
        vector: Direction<'_>,
    ) -> Result<(), VectorError> {
        self.check_length(vector.values())?;
        self.codes.push(vector);
        self.roster.push(subject, template);
        Ok(())
    }

    /// Takes a template out and puts the last row in its place; says where that is. `None` if it is not here.
    pub(crate) fn remove_template(&mut self, template: TemplateId) -> Option<usize> {
        let at = self.roster.remove_template(template)?;
        self.codes.swap_remove(at);
        Some(at)
    }

    /// Takes all templates of `subject` out, one after the other, each time putting the last row in the gap; says
    /// where the gaps were, in this order.
    pub(crate) fn remove_subject(&mut self, subject: SubjectId) -> Vec<usize> {
        let gaps = self.roster.remove_subject(subject);
        gaps.iter().for_each(|at| self.codes.swap_remove(*at));
        gaps
    }

    /// Gives `workspace` the probes to be searched for. Errors if one is no embedding of this length.
    pub(crate) fn ask(&self, probes: &[&[f32]], workspace: &mut Workspace) -> Result<(), VectorError> {
        workspace.begin(probes.len());
        for (asked, probe) in workspace.parts().0.iter_mut().zip(probes) {
            asked.code.set(self.check(probe)?);
        }
        Ok(())
    }

    /// Finds, for each probe of `workspace`, the `k` subjects most similar to it, `except` left out, as scoring every
    /// row would give them. `score` is asked for the exact score of (position of a probe, row), and its errors end the
    /// search.
    pub(crate) fn identify<E>(
        &self,
        k: usize,
        except: Option<SubjectId>,
        workspace: &mut Workspace,
        score: impl Fn(usize, usize) -> Result<Score, E>,
    ) -> Result<(), E> {
        let except = except.and_then(|subject| self.roster.slot(subject));
        let there = self.subjects() - usize::from(except.is_some());
        // Two at least, for the margin.
        let wanted = k.max(2).min(there);
        if wanted == 0 {
            return Ok(());
        }
        let (all, dots, ranking) = workspace.parts();
        all.iter_mut().for_each(|asked| asked.list.begin(wanted, except));
        let step = (STRETCH / self.codes.row_size()).max(1);
        for start in (0..self.len()).step_by(step) {
            let rows = start..self.len().min(start + step);
            for Asked { code, list, .. } in all.iter_mut() {
                let floor = list.floor();
                let offer = |near| list.offer(&self.roster, near);
                self.codes.scan(self.kernel, rows.clone(), code, dots, floor, offer);
            }
        }
        for (at, Asked { list, found, .. }) in all.iter_mut().enumerate() {
            self.rank(list.finish(&self.roster), wanted, ranking, |row| score(at, row))?;
            ranking.finish(k, found);
        }
        Ok(())
    }

    /// Scores those rows of a shortlist that matter.
    fn rank<E>(
        &self,
        list: &[Near],
        wanted: usize,
        ranking: &mut Ranking,
        score: impl Fn(usize) -> Result<Score, E>,
    ) -> Result<(), E> {
        ranking.begin();
        let mut floor = None;
        for near in list {
            // The first `wanted` subjects most likely are the best; what they score rules most other rows out.
            if floor.is_none() && ranking.subjects() == wanted {
                floor = ranking.least();
            }
            if floor.is_some_and(|floor| near.most() < floor) {
                continue;
            }
            let Entry { template, slot } = self.roster.entries()[near.row];
            let subject = self.roster.subjects()[slot];
            ranking.offer(slot, Candidate { subject, template, score: score(near.row)? });
        }
        Ok(())
    }
}
