//! The rows that may belong to the best subjects, as far as bounds can tell, gathered in one pass.

use crate::search::codes::Near;
use crate::search::roster::Roster;

/// Fewest rows gathered before it pays to sort out those that fell behind.
pub(super) const ROOM: usize = 256;

/// Rows of which none can be left out: each may score as high as the least of the best `wanted` subjects. Begun anew
/// for each search, in the memory of the one before.
#[derive(Default)]
pub(super) struct Shortlist {
    wanted: usize,
    /// Position of a subject whose rows do not count.
    except: Option<usize>,
    /// `wanted` subjects are known to score at least this.
    floor: f32,
    rows: Vec<Near>,
    /// Rows at which to sort out again.
    room: usize,
    /// Scratch: (position of a subject, what one of its rows scores at least).
    least: Vec<(usize, f32)>,
}

impl Shortlist {
    /// Begins anew for the best `wanted` subjects (1 or more, and no more than there are beside `except`).
    pub(super) fn begin(&mut self, wanted: usize, except: Option<usize>) {
        (self.wanted, self.except, self.floor, self.room) = (wanted, except, f32::NEG_INFINITY, ROOM);
        self.rows.clear();
        self.rows.reserve(ROOM);
        self.least.clear();
        self.least.reserve(ROOM);
    }

    /// What a row must reach to matter.
    pub(super) fn floor(&self) -> f32 {
        self.floor
    }

    /// Takes the row in if it may matter; gives the floor from now on. `roster` is the same until the end.
    pub(super) fn offer(&mut self, roster: &Roster, near: Near) -> f32 {
        if near.most() < self.floor || Some(roster.entries()[near.row].slot) == self.except {
            return self.floor;
        }
        self.rows.push(near);
        if self.rows.len() >= self.room {
            self.sort_out(roster);
            // Twice what is left, so that the work for each row offered stays constant.
            self.room = ROOM.max(2 * self.rows.len());
        }
        self.floor
    }

    /// Raises the floor to what the rows so far prove, and drops those that cannot reach it.
    fn sort_out(&mut self, roster: &Roster) {
        let least = &mut self.least;
        least.clear();
        least.extend(self.rows.iter().map(|near| (roster.entries()[near.row].slot, near.least())));
        // The best row of each subject comes first and stays.
        least.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        least.dedup_by_key(|(slot, _)| *slot);
        if least.len() < self.wanted {
            return;
        }
        let (_, (_, floor), _) =
            least.select_nth_unstable_by(self.wanted - 1, |(_, a), (_, b)| b.total_cmp(a));
        self.floor = *floor;
        self.rows.retain(|near| near.most() >= self.floor);
    }

    /// The rows, the highest estimate first.
    pub(super) fn finish(&mut self, roster: &Roster) -> &[Near] {
        self.sort_out(roster);
        self.rows.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate).then(a.row.cmp(&b.row)));
        &self.rows
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

    fn begun(wanted: usize, except: Option<usize>) -> Shortlist {
        let mut list = Shortlist::default();
        list.begin(wanted, except);
        list
    }

    fn rows(mut list: Shortlist, roster: &Roster) -> Vec<usize> {
        list.finish(roster).iter().map(|near| near.row).collect()
    }

    #[test]
    fn only_rows_below_what_is_proven_are_left_out() {
        let roster = roster(&[1, 1, 2, 3, 4]);
        // Least to most: 0.48-0.52, 0.46-0.50, 0.40-0.48, 0.39-0.47, -0.20-0.60.
        let nears = [(0.50, 0.02), (0.48, 0.02), (0.44, 0.04), (0.43, 0.04), (0.20, 0.40)];
        let list = |wanted, except| {
            let mut list = begun(wanted, except);
            for (row, (estimate, error)) in nears.into_iter().enumerate() {
                list.offer(&roster, Near { row, estimate, error });
            }
            rows(list, &roster)
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
        let mut list = begun(2, None);
        for row in 0..owners.len() {
            list.offer(&roster, Near { row, estimate: row as f32 / 10_000.0, error: 0.0001 });
            assert!(list.rows.len() <= ROOM);
        }
        // Sure of the second-best is 0.9998 - 0.0001: the rows at 0.9999, 0.9998, 0.9997 and 0.9996 may reach it.
        let best = rows(list, &roster);
        assert_eq!(best[..3], [9999, 9998, 9997]);
        assert!(best.len() <= 4, "{best:?}");
    }
}
