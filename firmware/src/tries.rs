//! How often it may be tried: wrong ones in a row lock whatever they came from, and what they named. Pure; time comes in.

use std::collections::HashMap;
use std::hash::Hash;

use crate::decide;
use crate::time::Millis;

/// Wrong ones in a row until none is taken for a while.
pub const TRIES: u32 = 5;
/// So many things are remembered at most; whoever has more of them to show is kept by the lock of what they show them to.
const MOST: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Row {
    wrong: u32,
    last: Millis,
    locked_until: Millis,
}

/// Wrong ones in a row, by what is tried: a device, a card, a PIN.
#[derive(Debug)]
pub struct Tries<K> {
    rows: HashMap<K, Row>,
}

impl<K> Default for Tries<K> {
    fn default() -> Self {
        Self { rows: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone> Tries<K> {
    /// For how long none is taken of any of `what`, ms; `None` if it may be tried now.
    pub fn locked<'a>(&self, what: impl IntoIterator<Item = &'a K>, now: Millis) -> Option<u64>
    where
        K: 'a,
    {
        let left = what.into_iter().filter_map(|key| Some(self.rows.get(key)?.locked_until.since(now)));
        left.max().filter(|ms| *ms > 0)
    }

    /// A wrong one at `now`; for how long none is taken now, ms, if it was one too many. One that was tried in a lock does not
    /// count: it was not looked at.
    pub fn wrong(&mut self, key: &K, now: Millis) -> Option<u64> {
        if self.locked([key], now).is_some() {
            return None;
        }
        self.make_room(key, now);
        let row =
            self.rows.entry(key.clone()).or_insert(Row { wrong: 0, last: now, locked_until: Millis::ZERO });
        let for_ms = decide::locked_ms(row.wrong, TRIES);
        row.wrong = row.wrong.saturating_add(1);
        row.last = now;
        row.locked_until = now.plus(for_ms.unwrap_or(0));
        for_ms
    }

    /// A right one: the wrong ones before it are forgotten.
    pub fn right(&mut self, key: &K) {
        self.rows.remove(key);
    }

    /// Where there is no room, what is not locked and was wrong longest ago is forgotten, and what is locked only after it.
    fn make_room(&mut self, key: &K, now: Millis) {
        if self.rows.len() < MOST || self.rows.contains_key(key) {
            return;
        }
        let oldest = self.rows.iter().min_by_key(|(_, row)| (row.locked_until > now, row.last));
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            self.rows.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn five_wrong_ones_lock_and_each_further_one_for_twice_as_long() {
        let mut tries = Tries::default();
        let mut now = Millis(0);
        let mut locks = Vec::new();
        for _ in 0..13 {
            let lock = tries.wrong(&"reader", now);
            locks.push(lock.unwrap_or(0) / MINUTE);
            now = now.plus(lock.unwrap_or(1000));
        }
        assert_eq!(locks, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_lock_holds_for_its_time_for_that_alone_and_a_right_one_forgets() {
        let mut tries = Tries::default();
        for _ in 0..4 {
            assert_eq!(tries.wrong(&1, Millis(0)), None);
        }
        assert_eq!(tries.wrong(&1, Millis(0)), Some(MINUTE));
        assert_eq!(tries.locked([&1, &2], Millis(1)), Some(MINUTE - 1));
        assert_eq!(tries.locked([&2], Millis(1)), None);
        // What is tried meanwhile makes it no longer.
        assert_eq!(tries.wrong(&1, Millis(2)), None);
        assert_eq!(tries.locked([&1], Millis(MINUTE - 1)), Some(1));
        assert_eq!(tries.locked([&1], Millis(MINUTE)), None);
        tries.right(&1);
        assert_eq!(tries.wrong(&1, Millis(MINUTE)), None);
    }

    #[test]
    fn what_is_locked_is_not_driven_out_by_many_others() {
        let mut tries = Tries::default();
        for _ in 0..5 {
            tries.wrong(&0, Millis(0));
        }
        for other in 1..10_000 {
            tries.wrong(&other, Millis(1));
        }
        assert!(tries.rows.len() <= MOST);
        assert_eq!(tries.locked([&0], Millis(2)), Some(MINUTE - 2));
    }

    proptest! {
        #[test]
        fn in_an_hour_nobody_gets_far(steps in proptest::collection::vec((any::<bool>(), 0..20_000u64), 1..2000)) {
            let mut tries = Tries::default();
            let (mut now, mut looked_at, mut in_row) = (Millis(0), 0u32, 0u32);
            for (right, after) in steps {
                now = now.plus(after);
                if now > Millis(3_600_000) {
                    break;
                }
                if tries.locked([&()], now).is_some() {
                    continue;
                }
                // A right one of somebody's own may come between: it is what lets the row begin anew.
                if right && in_row == 0 {
                    tries.right(&());
                    continue;
                }
                looked_at += 1;
                in_row += 1;
                let locked = tries.wrong(&(), now);
                prop_assert_eq!(locked.is_some(), in_row >= TRIES);
            }
            // 5 at once, then after 1, 2, 4, 8, 16 minutes, which are 31; the next lock ends after the hour.
            prop_assert!(looked_at <= 10, "{looked_at}");
        }
    }
}
