//! Templates of one model as int8 codes: finds the few that can matter and has those scored exactly.

use std::collections::HashMap;

use crate::score::{Score, VectorError, check_length};
use crate::search::codes::{Code, Codes};
use crate::search::kernel::Kernel;
use crate::search::roster::{Entry, Roster};
use crate::search::shortlist::Shortlist;
use crate::search::{Candidate, Candidates};
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

    /// Codes of a vector of any norm. Errors if it is no embedding of this length.
    pub(crate) fn code(&self, vector: &[f32]) -> Result<Code, VectorError> {
        if vector.len() != self.length {
            return Err(VectorError::OtherLength { got: vector.len(), expected: self.length });
        }
        Code::new(vector)
    }

    /// Adds a row at the end.
    pub(crate) fn push(&mut self, subject: SubjectId, template: TemplateId, code: &Code) {
        self.codes.push(code);
        self.roster.push(subject, template);
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

    /// For each probe the `k` subjects most similar to it, `except` left out, as scoring every row would give them.
    /// `score` is asked for the exact score of (position of a probe, row), and its errors end the search.
    pub(crate) fn identify<E>(
        &self,
        probes: &[Code],
        k: usize,
        except: Option<SubjectId>,
        score: impl Fn(usize, usize) -> Result<Score, E>,
    ) -> Result<Vec<Candidates>, E> {
        let except = except.and_then(|subject| self.roster.slot(subject));
        let there = self.subjects() - usize::from(except.is_some());
        // Two at least, for the margin.
        let wanted = k.max(2).min(there);
        if wanted == 0 {
            return Ok(vec![Candidates::default(); probes.len()]);
        }
        let mut lists: Vec<Shortlist<'_>> =
            probes.iter().map(|_| Shortlist::new(&self.roster, wanted, except)).collect();
        let mut dots = Vec::new(); // scratch
        let step = (STRETCH / self.codes.row_size()).max(1);
        for start in (0..self.len()).step_by(step) {
            let rows = start..self.len().min(start + step);
            for (probe, list) in probes.iter().zip(&mut lists) {
                self.codes.scan(self.kernel, rows.clone(), probe, &mut dots, |near| list.offer(near));
            }
        }
        lists.into_iter().enumerate().map(|(at, l)| self.rank(l, wanted, k, |row| score(at, row))).collect()
    }

    /// Scores the rows of a shortlist.
    fn rank<E>(
        &self,
        list: Shortlist<'_>,
        wanted: usize,
        k: usize,
        score: impl Fn(usize) -> Result<Score, E>,
    ) -> Result<Candidates, E> {
        let mut found: HashMap<usize, Candidate> = HashMap::with_capacity(wanted);
        let mut floor = None;
        for near in list.finish() {
            // The first `wanted` subjects most likely are the best; what they score rules most other rows out.
            if floor.is_none() && found.len() == wanted {
                floor = found.values().map(|c| c.score.value()).reduce(f32::min);
            }
            if floor.is_some_and(|floor| near.most() < floor) {
                continue;
            }
            let Entry { template, slot } = self.roster.entries()[near.row];
            let this = Candidate { subject: self.roster.subjects()[slot], template, score: score(near.row)? };
            let kept = found.entry(slot).or_insert(this);
            if (this.score, kept.template) > (kept.score, this.template) {
                *kept = this;
            }
        }
        let mut list: Vec<Candidate> = found.into_values().collect();
        list.sort_by(|a, b| b.score.cmp(&a.score).then(a.subject.cmp(&b.subject)));
        let margin = match list.as_slice() {
            [first, second, ..] => Some(first.score.value() - second.score.value()),
            _ => None,
        };
        list.truncate(k);
        Ok(Candidates { list, margin })
    }
}
