//! The door pulse as a pure state machine: when the coil changes, from grants and the passing of time alone.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Relay, RelayError};
use crate::time::Millis;

/// No door is held open longer than this by one pulse, whatever the config says, ms.
pub const LONGEST_PULSE_MS: u64 = 60_000;

/// What the door does without current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailState {
    /// Locked: an electric strike. Current opens it.
    #[default]
    Secure,
    /// Unlocked: a magnet. Current holds it shut, and a dead controller lets people out.
    Safe,
}

/// A change of the coil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// Current on.
    Energise,
    /// Current off.
    Release,
}

impl Edge {
    /// Does it.
    pub fn apply(self, relay: &mut dyn Relay, at: Millis) -> Result<(), RelayError> {
        match self {
            Self::Energise => relay.energise(at),
            Self::Release => relay.release(at),
        }
    }
}

/// What happens to the pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Somebody may pass.
    Grant,
    /// Time has passed; nothing else.
    Tick,
    /// Lock now: stop, lockdown, a lost camera.
    Shut,
    /// Stand unlocked, without a bound, until told otherwise: a fire, a door held open by the clock.
    Hold,
    /// No more.
    LetGo,
}

/// A setting that makes no pulse.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PulseError {
    /// Zero, or longer than its bound.
    #[error("a pulse of {pulse_ms} ms cannot be: it must be 1 ms to its upper bound of {max_ms} ms")]
    Pulse {
        /// As set.
        pulse_ms: u64,
        /// As set.
        max_ms: u64,
    },
    /// The bound itself is too long.
    #[error(
        "an upper bound of {max_ms} ms is too long: at most {LONGEST_PULSE_MS} ms, so that no door stays open"
    )]
    Bound {
        /// As set.
        max_ms: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Shut,
    Open {
        since: Millis,
        until: Millis,
    },
    /// A grant came too late to be added to a pulse at its bound: the door has shut and opens again with the next step.
    Owed,
    /// For as long as it is told to be; no pulse begins or ends.
    Held,
}

/// A timed pulse. Ask [`Pulse::deadline`] when to step next, and step at once on a grant.
#[derive(Debug, Clone)]
pub struct Pulse {
    fail: FailState,
    pulse_ms: u64,
    max_ms: u64,
    state: State,
}

impl Pulse {
    /// A pulse of `pulse_ms`, which grants while it lasts may stretch to `max_ms` from its beginning.
    pub fn new(fail: FailState, pulse_ms: u64, max_ms: u64) -> Result<Self, PulseError> {
        if max_ms > LONGEST_PULSE_MS {
            return Err(PulseError::Bound { max_ms });
        }
        if pulse_ms == 0 || pulse_ms > max_ms {
            return Err(PulseError::Pulse { pulse_ms, max_ms });
        }
        Ok(Self { fail, pulse_ms, max_ms, state: State::Shut })
    }

    /// What to do to the coil once after opening the relay, to lock the door.
    pub fn rest(&self) -> Edge {
        match self.fail {
            FailState::Secure => Edge::Release,
            FailState::Safe => Edge::Energise,
        }
    }

    /// Whether the door is unlocked.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Held)
    }

    /// When the next [`Input::Tick`] is due; `None` while nothing is.
    pub fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Shut | State::Held => None,
            State::Open { until, .. } => Some(until),
            State::Owed => Some(Millis::ZERO),
        }
    }

    /// Moves on to `now` (which never goes back) with what happened then. The edge, if any, is due at `now`.
    ///
    /// A grant during a pulse prolongs it to `pulse_ms` from now, at most to the bound. At the bound the door shuts
    /// first; a grant of that very step opens it again with the next one, so no grant is lost.
    pub fn step(&mut self, now: Millis, input: Input) -> Option<Edge> {
        match (self.state, input) {
            (State::Held, Input::Hold | Input::Grant | Input::Tick) => None,
            (State::Held, Input::LetGo | Input::Shut) => {
                self.state = State::Shut;
                Some(self.rest())
            }
            (before, Input::Hold) => {
                self.state = State::Held;
                (!matches!(before, State::Open { .. })).then(|| self.opening())
            }
            // What was not held has nothing to let go of.
            (State::Shut | State::Owed | State::Open { .. }, Input::LetGo) => None,
            (State::Shut, Input::Grant) | (State::Owed, Input::Grant | Input::Tick) => {
                self.state = State::Open { since: now, until: now.plus(self.pulse_ms) };
                Some(self.opening())
            }
            (State::Shut, Input::Tick | Input::Shut) => None,
            (State::Owed, Input::Shut) => {
                self.state = State::Shut;
                None
            }
            (State::Open { since, until }, Input::Grant) => {
                let bound = since.plus(self.max_ms);
                if now >= bound {
                    self.state = State::Owed;
                    return Some(self.rest());
                }
                self.state = State::Open { since, until: until.max(now.plus(self.pulse_ms)).min(bound) };
                None
            }
            (State::Open { until, .. }, Input::Tick) if now < until => None,
            (State::Open { .. }, Input::Tick | Input::Shut) => {
                self.state = State::Shut;
                Some(self.rest())
            }
        }
    }

    fn opening(&self) -> Edge {
        match self.fail {
            FailState::Secure => Edge::Energise,
            FailState::Safe => Edge::Release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pulse(fail: FailState) -> Pulse {
        Pulse::new(fail, 3000, 10_000).unwrap()
    }

    #[test]
    fn one_grant_is_one_pulse_to_the_millisecond() {
        let mut p = pulse(FailState::Secure);
        assert_eq!((p.rest(), p.deadline(), p.is_open()), (Edge::Release, None, false));
        assert_eq!(p.step(Millis(500), Input::Grant), Some(Edge::Energise));
        assert_eq!(p.deadline(), Some(Millis(3500)));
        assert_eq!(p.step(Millis(3499), Input::Tick), None);
        assert!(p.is_open());
        assert_eq!(p.step(Millis(3500), Input::Tick), Some(Edge::Release));
        assert_eq!(p.step(Millis(3501), Input::Tick), None);
    }

    #[test]
    fn a_fail_safe_door_is_held_by_current() {
        let mut p = pulse(FailState::Safe);
        assert_eq!(p.rest(), Edge::Energise);
        assert_eq!(p.step(Millis(0), Input::Grant), Some(Edge::Release));
        assert_eq!(p.step(Millis(3000), Input::Tick), Some(Edge::Energise));
    }

    #[test]
    fn grants_stretch_the_pulse_to_its_bound_and_not_beyond() {
        let mut p = pulse(FailState::Secure);
        p.step(Millis(0), Input::Grant);
        for t in [2000, 4000, 6000] {
            assert_eq!(p.step(Millis(t), Input::Grant), None);
            assert_eq!(p.deadline(), Some(Millis(t + 3000)));
        }
        assert_eq!(p.step(Millis(9500), Input::Grant), None);
        assert_eq!(p.deadline(), Some(Millis(10_000)));
        // A grant at the bound: shut, then a new pulse.
        assert_eq!(p.step(Millis(10_000), Input::Grant), Some(Edge::Release));
        assert!(!p.is_open() && p.deadline().is_some());
        assert_eq!(p.step(Millis(10_001), Input::Tick), Some(Edge::Energise));
        assert_eq!(p.deadline(), Some(Millis(13_001)));
    }

    #[test]
    fn shut_locks_at_once_and_forgets_an_owed_opening() {
        let mut p = pulse(FailState::Secure);
        p.step(Millis(0), Input::Grant);
        assert_eq!(p.step(Millis(1), Input::Shut), Some(Edge::Release));
        p.step(Millis(2), Input::Grant);
        assert_eq!(p.step(Millis(20_000), Input::Grant), Some(Edge::Release));
        assert_eq!(p.step(Millis(20_001), Input::Shut), None);
        assert_eq!(p.step(Millis(20_002), Input::Tick), None);
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (pulse_ms, max_ms) in [(0, 5), (6, 5), (0, 0)] {
            assert_eq!(
                Pulse::new(FailState::Secure, pulse_ms, max_ms).err(),
                Some(PulseError::Pulse { pulse_ms, max_ms })
            );
        }
        assert!(matches!(Pulse::new(FailState::Secure, 1, 60_001), Err(PulseError::Bound { .. })));
    }

    #[test]
    fn a_door_that_is_held_is_open_until_it_is_let_go_or_locked() {
        let mut p = pulse(FailState::Secure);
        assert_eq!(p.step(Millis(0), Input::Hold), Some(Edge::Energise));
        assert_eq!((p.is_open(), p.deadline()), (true, None));
        assert_eq!(p.step(Millis(99_000), Input::Grant), None, "open as it is");
        assert_eq!(p.step(Millis(999_000), Input::Tick), None, "without a bound");
        assert_eq!(p.step(Millis(999_001), Input::LetGo), Some(Edge::Release));
        assert_eq!(p.step(Millis(999_002), Input::LetGo), None);
        // A pulse goes over into it without a gap.
        p.step(Millis(1_000_000), Input::Grant);
        assert_eq!(p.step(Millis(1_000_100), Input::LetGo), None, "it was no holding");
        assert_eq!(p.step(Millis(1_000_200), Input::Hold), None);
        assert_eq!(p.step(Millis(1_005_000), Input::Tick), None);
        assert_eq!(p.step(Millis(1_005_001), Input::Shut), Some(Edge::Release));
    }

    #[derive(Debug, Clone, Copy)]
    enum Op {
        /// Time passes; the driver steps exactly at each deadline on the way.
        Wait(u64),
        Grant,
        Shut,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![(0u64..400).prop_map(Op::Wait), Just(Op::Grant), Just(Op::Grant), Just(Op::Shut)]
    }

    proptest! {
        /// Drives the pulse as the daemon does and checks it against the plain story of open and shut times.
        #[test]
        fn never_open_beyond_the_bound_always_shut_at_the_end_edges_alternate(
            ops in proptest::collection::vec(op(), 0..60),
            pulse_ms in 1u64..200,
            extra in 0u64..300,
            safe: bool,
        ) {
            let fail = if safe { FailState::Safe } else { FailState::Secure };
            let max_ms = pulse_ms + extra;
            let mut p = Pulse::new(fail, pulse_ms, max_ms).unwrap();
            let rest = p.rest();
            let mut edges = Vec::new();
            let mut now = 0u64;
            let mut last_grant = None;
            // Wait longer than the bound at the end: the door must be shut by then.
            for op in ops.into_iter().chain([Op::Wait(2 * max_ms + 1)]) {
                match op {
                    Op::Wait(ms) => {
                        let end = now + ms;
                        while let Some(due) = p.deadline().filter(|d| d.0.max(now) <= end) {
                            now = now.max(due.0);
                            let was_open = p.is_open();
                            let edge = p.step(Millis(now), Input::Tick);
                            prop_assert!(edge.is_some(), "a deadline always moves the coil");
                            if was_open {
                                // Shut exactly pulse_ms after the last grant, or at the bound.
                                let (opened, _) = *edges.last().unwrap();
                                let grant: u64 = last_grant.unwrap();
                                prop_assert_eq!(now, (grant + pulse_ms).min(opened + max_ms));
                            } else {
                                last_grant = Some(now);
                            }
                            edges.extend(edge.map(|e| (now, e)));
                        }
                        now = end;
                    }
                    Op::Grant => {
                        edges.extend(p.step(Millis(now), Input::Grant).map(|e| (now, e)));
                        last_grant = Some(now);
                        prop_assert!(p.is_open() || p.deadline().is_some(), "no grant is lost");
                    }
                    Op::Shut => {
                        edges.extend(p.step(Millis(now), Input::Shut).map(|e| (now, e)));
                        prop_assert!(!p.is_open() && p.deadline().is_none());
                    }
                }
            }
            prop_assert!(!p.is_open() && p.deadline().is_none());
            for (i, (_, edge)) in edges.iter().enumerate() {
                prop_assert_eq!(*edge == rest, i % 2 == 1, "edges alternate, the first opens");
            }
            prop_assert!(edges.len() % 2 == 0, "the last edge shuts");
            for pair in edges.chunks(2) {
                prop_assert!(pair[1].0 - pair[0].0 <= max_ms);
            }
        }

        /// With holding as well: a held door is open, a door that is not held is shut no later than the bound after the last
        /// thing that was done, and the coil's edges take turns.
        #[test]
        fn a_door_is_open_while_it_is_held_and_not_for_long_after(
            acts in proptest::collection::vec((0..5u8, 0u64..150), 1..80),
        ) {
            let mut p = Pulse::new(FailState::Secure, 50, 100).unwrap();
            let (mut now, mut held, mut open, mut last) = (0u64, false, false, 0u64);
            for (act, wait) in acts {
                now += wait;
                while let Some(due) = p.deadline().filter(|d| d.0 <= now) {
                    if let Some(edge) = p.step(due.max(Millis(last)), Input::Tick) {
                        prop_assert_eq!(edge == Edge::Energise, !open);
                        open = !open;
                    }
                }
                prop_assert!(!open || held || now <= last + 100);
                let input = [Input::Grant, Input::Tick, Input::Shut, Input::Hold, Input::LetGo][usize::from(act)];
                held = match input {
                    Input::Hold => true,
                    Input::LetGo | Input::Shut => false,
                    Input::Grant | Input::Tick => held,
                };
                if let Some(edge) = p.step(Millis(now), input) {
                    prop_assert_eq!(edge == Edge::Energise, !open, "edges take turns");
                    open = !open;
                }
                last = now;
                prop_assert_eq!(p.is_open(), open);
                prop_assert!(open || !held);
                prop_assert!(!open || input != Input::Shut);
            }
        }

        /// A driver that comes late (a busy board) still never prolongs beyond the bound by a grant.
        #[test]
        fn late_steps_shut_as_soon_as_they_come(late in 0u64..500, grant: bool) {
            let mut p = Pulse::new(FailState::Secure, 50, 100).unwrap();
            p.step(Millis(0), Input::Grant);
            let now = Millis(100 + late);
            let edge = p.step(now, if grant { Input::Grant } else { Input::Tick });
            prop_assert_eq!(edge, Some(Edge::Release));
        }
    }
}
