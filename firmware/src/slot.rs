//! A place for one thing between two threads, a frame on its way to recognition, the faces on theirs back to the camera: no
//! queue grows, the newest wins.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to a frame that nobody has taken yet when the next one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overtake {
    /// The newer replaces it: a live camera.
    NewestWins,
    /// The giver waits: a replay of which every frame is to be seen.
    Wait,
}

#[derive(Debug)]
struct State<T> {
    item: Option<T>,
    closed: bool,
}

/// What a taker gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// What lay there.
    Item(T),
    /// Nothing came in time.
    Nothing,
    /// The slot is closed and empty: nothing will come.
    Closed,
}

/// The slot.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { item: None, closed: false }), changed: Condvar::new() }
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is whole at every moment the lock is free.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `item` in. `false` when the slot is closed: stop.
    pub fn put(&self, item: T, overtake: Overtake) -> bool {
        let mut state = self.lock();
        while overtake == Overtake::Wait && state.item.is_some() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.item = Some(item);
        self.changed.notify_all();
        true
    }

    /// Waits for an item, `patience` at most.
    pub fn take(&self, patience: Duration) -> Taken<T> {
        let empty = |state: &mut State<T>| state.item.is_none() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, empty);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.item.take() {
            Some(item) => {
                self.changed.notify_all();
                Taken::Item(item)
            }
            None if state.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Nothing more will come; what lies there can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_newest_wins_and_the_last_is_still_delivered() {
        let slot = Slot::default();
        assert!(slot.put(1, Overtake::NewestWins) && slot.put(2, Overtake::NewestWins));
        slot.close();
        assert!(!slot.put(3, Overtake::NewestWins));
        assert_eq!((slot.take(LONG), slot.take(LONG)), (Taken::Item(2), Taken::Closed));
    }

    #[test]
    fn a_taker_is_back_when_nothing_comes() {
        let slot = Slot::<i32>::default();
        assert_eq!(slot.take(Duration::from_millis(1)), Taken::Nothing);
    }

    #[test]
    fn a_patient_giver_loses_nothing() {
        let slot = Slot::default();
        let got: Vec<i32> = std::thread::scope(|s| {
            s.spawn(|| {
                (0..200).for_each(|i| {
                    slot.put(i, Overtake::Wait);
                });
                slot.close();
            });
            let next = || match slot.take(LONG) {
                Taken::Item(item) => Some(item),
                Taken::Nothing | Taken::Closed => None,
            };
            std::iter::from_fn(next).collect()
        });
        assert_eq!(got, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn closing_wakes_a_waiting_giver() {
        let slot = Slot::default();
        slot.put(1, Overtake::Wait);
        std::thread::scope(|s| {
            let waiting = s.spawn(|| slot.put(2, Overtake::Wait));
            slot.close();
            assert!(!waiting.join().unwrap());
        });
    }
}
