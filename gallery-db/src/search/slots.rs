//! Where each subject of a list stands in it: a hash table of positions alone, a sixth of a map that holds the ids too.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::subject::SubjectId;

/// Positions of the subjects of one list, which the caller keeps and hands to every call.
#[derive(Debug, Default)]
pub(super) struct Slots {
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Slots {
    /// Makes room for `subjects` more.
    pub(super) fn reserve(&mut self, list: &[SubjectId], subjects: usize) {
        let Self { table, hasher } = self;
        table.reserve(subjects, |slot| hasher.hash_one(list[*slot as usize]));
    }

    /// The position of `subject`; `None` if it is not in the list.
    pub(super) fn get(&self, list: &[SubjectId], subject: SubjectId) -> Option<usize> {
        let found = self.table.find(self.hasher.hash_one(subject), |slot| list[*slot as usize] == subject);
        found.map(|slot| *slot as usize)
    }

    /// Takes in the subject that stands at `slot` of the list and was not there before.
    pub(super) fn insert(&mut self, list: &[SubjectId], slot: usize) {
        let Self { table, hasher } = self;
        let hash = |slot: &u32| hasher.hash_one(list[*slot as usize]);
        let slot = slot as u32; // four thousand million subjects do not fit into memory
        table.insert_unique(hash(&slot), slot, hash);
    }

    /// Takes `subject` out of the table; it is still in the list.
    pub(super) fn remove(&mut self, list: &[SubjectId], subject: SubjectId) {
        let hash = self.hasher.hash_one(subject);
        if let Ok(entry) = self.table.find_entry(hash, |slot| list[*slot as usize] == subject) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn person(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    #[test]
    fn nobody_is_found_where_nobody_is() {
        let mut slots = Slots::default();
        assert_eq!(slots.get(&[], person(1)), None);
        slots.remove(&[], person(1));
        slots.insert(&[person(1)], 0);
        assert_eq!(slots.get(&[person(1)], person(1)), Some(0));
        assert_eq!(slots.get(&[person(1)], person(2)), None);
    }

    proptest! {
        #[test]
        fn positions_are_those_in_the_list(ops in prop::collection::vec((any::<bool>(), 0u8..60), 1..300)) {
            // As a roster does it: added at the end, the gap of one removed filled with the last.
            let (mut slots, mut list) = (Slots::default(), Vec::new());
            for (come, n) in ops {
                match (come, list.iter().position(|s| *s == person(n))) {
                    (true, None) => {
                        list.push(person(n));
                        slots.insert(&list, list.len() - 1);
                    }
                    (false, Some(at)) => {
                        let last = *list.last().unwrap();
                        slots.remove(&list, person(n));
                        if last != person(n) {
                            slots.remove(&list, last);
                        }
                        list.swap_remove(at);
                        if last != person(n) {
                            slots.insert(&list, at);
                        }
                    }
                    _ => {}
                }
                for n in 0..60 {
                    prop_assert_eq!(slots.get(&list, person(n)), list.iter().position(|s| *s == person(n)));
                }
                prop_assert_eq!(slots.table.len(), list.len());
            }
        }
    }
}
