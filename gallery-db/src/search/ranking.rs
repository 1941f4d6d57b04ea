//! The subjects of the rows scored, each with its best template, in the order of a result.

use std::collections::HashMap;

use crate::search::shortlist::ROOM;
use crate::search::{Candidate, Candidates};

/// Begun anew for each probe, in the memory of the one before.
#[derive(Default)]
pub(super) struct Ranking {
    /// By position of the subject.
    best: HashMap<usize, Candidate>,
    /// Scratch: the same in order.
    order: Vec<Candidate>,
}

impl Ranking {
    /// Begins anew.
    pub(super) fn begin(&mut self) {
        self.best.clear();
        // Seldom more rows are scored, so that seldom a later probe asks for memory.
        self.best.reserve(ROOM);
        self.order.clear();
        self.order.reserve(ROOM);
    }

    /// Takes a row of the subject at `slot` in. Of equal scores the smaller template stays.
    pub(super) fn offer(&mut self, slot: usize, this: Candidate) {
        let kept = self.best.entry(slot).or_insert(this);
        if (this.score, kept.template) > (kept.score, this.template) {
            *kept = this;
        }
    }

    /// Subjects taken in.
    pub(super) fn subjects(&self) -> usize {
        self.best.len()
    }

    /// The lowest score of a subject's best template, -1 to 1; `None` without subjects.
    pub(super) fn least(&self) -> Option<f32> {
        self.best.values().map(|c| c.score.value()).reduce(f32::min)
    }

    /// Makes `found` the first `k`, with the margin of the first two.
    pub(super) fn finish(&mut self, k: usize, found: &mut Candidates) {
        self.order.extend(self.best.values());
        self.order.sort_unstable_by(|a, b| b.score.cmp(&a.score).then(a.subject.cmp(&b.subject)));
        found.margin = match self.order.as_slice() {
            [first, second, ..] => Some(first.score.value() - second.score.value()),
            _ => None,
        };
        found.list.clear();
        found.list.extend(self.order.iter().take(k));
    }
}
