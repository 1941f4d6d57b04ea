//! Which template of whom each row of an index is.

use crate::search::slots::Slots;
use crate::subject::SubjectId;
use crate::template::TemplateId;

/// One row: which template, and whose (position in `Roster::subjects`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) template: TemplateId,
    pub(super) slot: usize,
}

/// The entries of all rows, and the subjects with at least one.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: Vec<Entry>,
    subjects: Vec<SubjectId>,
    slots: Slots,
}

impl Roster {
    /// [n]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn subjects(&self) -> &[SubjectId] {
        &self.subjects
    }

    /// Position of `subject` in [`Self::subjects`]; `None` if it has no row.
    pub(super) fn slot(&self, subject: SubjectId) -> Option<usize> {
        self.slots.get(&self.subjects, subject)
    }

    /// Makes room for `rows` more, of `subjects` more.
    pub(super) fn reserve(&mut self, rows: usize, subjects: usize) {
        self.entries.reserve_exact(rows);
        self.subjects.reserve_exact(subjects);
        self.slots.reserve(&self.subjects, subjects);
    }

    /// Adds a row at the end.
    pub(super) fn push(&mut self, subject: SubjectId, template: TemplateId) {
        let slot = self.slot(subject).unwrap_or_else(|| {
            let slot = self.subjects.len();
            self.subjects.push(subject);
            self.slots.insert(&self.subjects, slot);
            slot
        });
        self.entries.push(Entry { template, slot });
    }

    /// Takes a template out and puts the last row in its place; says where that is. `None` if it is not here.
    pub(super) fn remove_template(&mut self, template: TemplateId) -> Option<usize> {
        let at = self.entries.iter().position(|e| e.template == template)?;
        let Entry { slot, .. } = self.entries.swap_remove(at);
        if !self.entries.iter().any(|e| e.slot == slot) {
            self.remove_slot(slot);
        }
        Some(at)
    }

    /// Takes all rows of `subject` out, one after the other, each time putting the last row in the gap; says where
    /// the gaps were, in this order.
    pub(super) fn remove_subject(&mut self, subject: SubjectId) -> Vec<usize> {
        let Some(slot) = self.slot(subject) else { return Vec::new() };
        // From the end, so that a row put into a gap is never one that is still to go.
        let own: Vec<usize> =
            (0..self.entries.len()).rev().filter(|at| self.entries[*at].slot == slot).collect();
        own.iter().for_each(|at| {
            self.entries.swap_remove(*at);
        });
        self.remove_slot(slot);
        own
    }

    /// Fills the gap of a subject without rows with the last subject.
    fn remove_slot(&mut self, slot: usize) {
        let last = self.subjects.len() - 1;
        for at in [slot, last] {
            self.slots.remove(&self.subjects, self.subjects[at]);
        }
        self.subjects.swap_remove(slot);
        if slot != last {
            self.slots.insert(&self.subjects, slot);
            self.entries.iter_mut().filter(|e| e.slot == last).for_each(|e| e.slot = slot);
        }
    }
}
