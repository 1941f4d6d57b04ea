//! Verify 1:1 and identify 1:N, exactly, over the templates of one model held in memory.

mod kernel;

use std::collections::HashMap;

use serde::Serialize;

use crate::score::{Score, VectorError, check_length, cosine, unit};
use crate::search::kernel::{BLOCK, Kernel};
use crate::subject::SubjectId;
use crate::template::TemplateId;

/// Twice the most by which a scanned product may differ from the score. The f32 sums of a scan are at most 4096 / 32
/// = 128 additions long and of magnitude <= 1, so their error is below 128 * 2^-24 < 1e-5 (tested in `kernel`);
/// rounding the row and the probe to unit length adds less than 1e-6.
const SLACK: f32 = 4e-5;

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
}

/// One template in memory: whose it is (position in `Index::subjects`) and which.
#[derive(Debug, Clone, Copy)]
struct Entry {
    template: TemplateId,
    slot: usize,
}

/// The templates of one model as a matrix, searched exactly: every row, every time.
///
/// A scan with the widest vector unit finds the few rows that can matter; those are scored by [`cosine`], so the
/// result is the one that scoring every row would give, bit for bit, on every processor.
pub struct Index {
    length: usize,
    kernel: Kernel,
    /// [n, stride], each row of unit length, padded with zeros to the stride.
    rows: Vec<f32>,
    entries: Vec<Entry>,
    subjects: Vec<SubjectId>,
    slots: HashMap<SubjectId, usize>,
}

impl std::fmt::Debug for Index {
    /// Sizes only: the numbers are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Index({} templates of {} subjects, {} values)",
            self.len(),
            self.subjects.len(),
            self.length
        )
    }
}

impl Index {
    /// An empty index for embeddings of `length` values. Errors if no embedding has that length.
    pub fn new(length: usize) -> Result<Self, VectorError> {
        check_length(length)?;
        Ok(Self {
            length,
            kernel: Kernel::best(),
            rows: Vec::new(),
            entries: Vec::new(),
            subjects: Vec::new(),
            slots: HashMap::new(),
        })
    }

    /// Values of one embedding.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Templates held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no template is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Subjects with at least one template.
    pub fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// Adds a template of `subject`; `vector` may have any norm. Errors, changing nothing, if it is no embedding of
    /// this index' length.
    pub fn insert(
        &mut self,
        subject: SubjectId,
        template: TemplateId,
        vector: &[f32],
    ) -> Result<(), VectorError> {
        let row = self.padded(vector)?;
        let slot = *self.slots.entry(subject).or_insert_with(|| {
            self.subjects.push(subject);
            self.subjects.len() - 1
        });
        self.rows.extend(row);
        self.entries.push(Entry { template, slot });
        Ok(())
    }

    /// Removes one template; `false` if it is not here.
    pub fn remove_template(&mut self, template: TemplateId) -> bool {
        let Some(at) = self.entries.iter().position(|e| e.template == template) else { return false };
        let slot = self.entries[at].slot;
        self.remove_row(at);
        if !self.entries.iter().any(|e| e.slot == slot) {
            self.remove_slot(slot);
        }
        true
    }

    /// Removes all templates of `subject`; says how many there were.
    pub fn remove_subject(&mut self, subject: SubjectId) -> usize {
        let Some(&slot) = self.slots.get(&subject) else { return 0 };
        let before = self.len();
        for at in (0..before).rev() {
            if self.entries[at].slot == slot {
                self.remove_row(at);
            }
        }
        self.remove_slot(slot);
        before - self.len()
    }

    /// The `k` subjects most similar to `probe` (any norm), each by its best template.
    /// Errors if the probe is no embedding of this index' length.
    pub fn identify(&self, probe: &[f32], k: usize) -> Result<Candidates, VectorError> {
        let padded = self.padded(probe)?;
        // Two at least, for the margin.
        let wanted = k.max(2).min(self.subjects.len());
        if wanted == 0 {
            return Ok(Candidates::default());
        }
        let mut scanned = Vec::with_capacity(self.len()); // [n]
        self.kernel.scan(&self.rows, &padded, &mut scanned);

        let mut best = vec![f32::NEG_INFINITY; self.subjects.len()];
        for (entry, s) in self.entries.iter().zip(&scanned) {
            best[entry.slot] = best[entry.slot].max(*s);
        }
        let (_, kth, _) = best.select_nth_unstable_by(wanted - 1, |a, b| b.total_cmp(a));
        let cutoff = *kth - SLACK;

        let mut exact: HashMap<usize, Candidate> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate().filter(|(at, _)| scanned[*at] >= cutoff) {
            let found = Candidate {
                subject: self.subjects[entry.slot],
                template: entry.template,
                score: cosine(probe, self.row(at)),
            };
            let kept = exact.entry(entry.slot).or_insert(found);
            if (found.score, kept.template) > (kept.score, found.template) {
                *kept = found;
            }
        }
        let mut list: Vec<Candidate> = exact.into_values().collect();
        list.sort_by(|a, b| b.score.cmp(&a.score).then(a.subject.cmp(&b.subject)));
        let margin = match list.as_slice() {
            [first, second, ..] => Some(first.score.value() - second.score.value()),
            _ => None,
        };
        list.truncate(k);
        Ok(Candidates { list, margin })
    }

    /// How similar `probe` (any norm) is to `subject`: the maximum over the subject's templates; `None` if it has
    /// none here. Errors if the probe is no embedding of this index' length.
    pub fn verify(&self, subject: SubjectId, probe: &[f32]) -> Result<Option<Score>, VectorError> {
        self.padded(probe)?;
        let Some(&slot) = self.slots.get(&subject) else { return Ok(None) };
        let own = self.entries.iter().enumerate().filter(|(_, e)| e.slot == slot);
        Ok(own.map(|(at, _)| cosine(probe, self.row(at))).max())
    }

    fn stride(&self) -> usize {
        self.length.next_multiple_of(BLOCK)
    }

    /// Row `at` without its padding: [length].
    fn row(&self, at: usize) -> &[f32] {
        &self.rows[at * self.stride()..][..self.length]
    }

    /// [length] of any norm -> [stride] of unit length.
    fn padded(&self, vector: &[f32]) -> Result<Vec<f32>, VectorError> {
        if vector.len() != self.length {
            return Err(VectorError::OtherLength { got: vector.len(), expected: self.length });
        }
        let mut row = Vec::with_capacity(self.stride());
        row.extend_from_slice(vector);
        unit(&mut row)?;
        row.resize(self.stride(), 0.0);
        Ok(row)
    }

    /// Fills the gap with the last row.
    fn remove_row(&mut self, at: usize) {
        let (stride, last) = (self.stride(), self.len() - 1);
        self.rows.copy_within(last * stride.., at * stride);
        self.rows.truncate(last * stride);
        self.entries.swap_remove(at);
    }

    /// Fills the gap of a subject without rows with the last subject.
    fn remove_slot(&mut self, slot: usize) {
        let last = self.subjects.len() - 1;
        self.slots.remove(&self.subjects[slot]);
        self.subjects.swap_remove(slot);
        if slot != last {
            self.slots.insert(self.subjects[slot], slot);
            self.entries.iter_mut().filter(|e| e.slot == last).for_each(|e| e.slot = slot);
        }
    }
}

#[cfg(test)]
mod tests;
