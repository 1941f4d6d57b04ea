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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::SubjectId;
    use crate::template::TemplateId;

    /// Rows of the subjects given by number.
    fn roster(owners: &[u8]) -> Roster {
        let mut roster = Roster::default();
        for (row, owner) in owners.iter().enumerate() {
            roster.push(SubjectId::from_bytes([*owner; 16]), TemplateId::new(row as i64));
        }
        roster
    }

    fn rows(list: Shortlist<'_>) -> Vec<usize> {
        list.finish().iter().map(|near| near.row).collect()
    }

    #[test]
    fn only_rows_below_what_is_proven_are_left_out() {
        let roster = roster(&[1, 1, 2, 3, 4]);
        // Least to most: 0.48-0.52, 0.46-0.50, 0.40-0.48, 0.39-0.47, -0.20-0.60.
        let nears = [(0.50, 0.02), (0.48, 0.02), (0.44, 0.04), (0.43, 0.04), (0.20, 0.40)];
        let list = |wanted, except| {
            let mut list = Shortlist::new(&roster, wanted, except);
            for (row, (estimate, error)) in nears.into_iter().enumerate() {
                list.offer(Near { row, estimate, error });
            }
            rows(list)
        };
        // One subject scores 0.48 for sure: row 3 does not reach it, row 2 may (just), row 4 as well.
        assert_eq!(list(1, None), [0, 1, 2, 4]);
        // The second-best subject scores 0.40 for sure (row 1 is the first subject's again): all may reach that.
        assert_eq!(list(2, None), [0, 1, 2, 3, 4]);
        // Without the first subject 0.40 is the best that is sure.
        assert_eq!(list(1, Some(0)), [2, 3, 4]);
    }

    #[test]
    fn what_fell_behind_leaves_before_the_end() {
        let owners: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let roster = roster(&owners);
        let mut list = Shortlist::new(&roster, 2, None);
        for row in 0..owners.len() {
            list.offer(Near { row, estimate: row as f32 / 10_000.0, error: 0.0001 });
            assert!(list.rows.len() <= ROOM);
        }
        // Sure of the second-best is 0.9998 - 0.0001: the rows at 0.9999, 0.9998, 0.9997 and 0.9996 may reach it.
        let best = rows(list);
        assert_eq!(best[..3], [9999, 9998, 9997]);
        assert!(best.len() <= 4, "{best:?}");
    }
}
