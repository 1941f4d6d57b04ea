//! The rows that may belong to the best subjects, as far as bounds can tell, gathered in one pass.

use std::collections::HashMap;

use crate::search::codes::Near;
use crate::search::roster::Roster;

/// Fewest rows gathered before it pays to sort out those that fell behind.
const ROOM: usize = 256;

/// Rows of which none can be left out: each may score as high as the least of the best `wanted` subjects.
pub(super) struct Shortlist<'a> {
    roster: &'a Roster,
    wanted: usize,
    /// Position of a subject whose rows do not count.
    except: Option<usize>,
    /// `wanted` subjects are known to score at least this.
    floor: f32,
    rows: Vec<Near>,
    /// Rows at which to sort out again.
    room: usize,
}

impl<'a> Shortlist<'a> {
    /// For the best `wanted` subjects (1 or more, and no more than there are beside `except`).
    pub(super) fn new(roster: &'a Roster, wanted: usize, except: Option<usize>) -> Self {
        Self { roster, wanted, except, floor: f32::NEG_INFINITY, rows: Vec::new(), room: ROOM }
    }

    /// Takes the row in if it may matter.
    pub(super) fn offer(&mut self, near: Near) {
        if near.most() < self.floor || Some(self.roster.entries()[near.row].slot) == self.except {
            return;
        }
        self.rows.push(near);
        if self.rows.len() >= self.room {
            self.sort_out();
            // Twice what is left, so that the work for each row offered stays constant.
            self.room = ROOM.max(2 * self.rows.len());
        }
    }

    /// Raises the floor to what the rows so far prove, and drops those that cannot reach it.
    fn sort_out(&mut self) {
        let mut least: HashMap<usize, f32> = HashMap::new();
        for near in &self.rows {
            let best = least.entry(self.slot(near)).or_insert(f32::NEG_INFINITY);
            *best = best.max(near.least());
        }
        if least.len() < self.wanted {
            return;
        }
        let mut least: Vec<f32> = least.into_values().collect();
        let (_, floor, _) = least.select_nth_unstable_by(self.wanted - 1, |a, b| b.total_cmp(a));
        self.floor = *floor;
        self.rows.retain(|near| near.most() >= self.floor);
    }

    /// The rows, the highest estimate first.
    pub(super) fn finish(mut self) -> Vec<Near> {
        self.sort_out();
        self.rows.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate).then(a.row.cmp(&b.row)));
        self.rows
    }

    fn slot(&self, near: &Near) -> usize {
        self.roster.entries()[near.row].slot
    }
}
