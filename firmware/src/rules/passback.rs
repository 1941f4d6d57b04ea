//! Anti-passback: whoever is inside does not come in again, be it with a card that was handed back through the window.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not at all.
    #[default]
    Off,
    /// It is written down, and they pass.
    Soft,
    /// They are denied until they were seen on the other side.
    Hard,
    /// They are denied for some minutes at the same door.
    Timed,
}

/// Where a door leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Where people stand who want to pass.
    pub from: String,
    /// Where they are then.
    pub into: String,
}

/// The house's rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passback {
    pub(super) mode: Mode,
    /// Of [`Mode::Timed`].
    pub(super) minutes: u32,
    /// Groups that it does not concern.
    pub(super) free: Vec<String>,
    /// By door.
    pub(super) areas: BTreeMap<String, Area>,
}

/// Where a person was last seen to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen<'a> {
    /// The area they went into; under [`Mode::Timed`] the door's own.
    pub area: &'a str,
    /// How long ago, ms.
    pub ago_ms: u64,
}

/// What anti-passback says of a person who wants to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing.
    Free,
    /// They are on the other side already; it is to be written down.
    Noted,
    /// They are on the other side already; not again.
    Denied,
}

impl Passback {
    /// Whether a person of `groups` may pass `door`. Whoever was never seen may: the first day begins somewhere.
    pub fn judge(&self, door: &str, groups: &[String], last: Option<LastSeen<'_>>) -> Verdict {
        let Some(last) = last.filter(|_| !groups.iter().any(|g| self.free.contains(g))) else {
            return Verdict::Free;
        };
        let inside = self.leads_to(door).is_some_and(|into| into == last.area);
        match self.mode {
            Mode::Soft if inside => Verdict::Noted,
            Mode::Hard if inside => Verdict::Denied,
            Mode::Timed if inside && last.ago_ms < u64::from(self.minutes) * 60_000 => Verdict::Denied,
            Mode::Off | Mode::Soft | Mode::Hard | Mode::Timed => Verdict::Free,
        }
    }

    /// The area that people are in once they passed `door`; `None` where nobody asks. A timed rule asks for the door alone
    /// where nothing is written of its areas.
    pub fn leads_to<'a>(&'a self, door: &'a str) -> Option<&'a str> {
        match (self.mode, self.areas.get(door)) {
            (Mode::Off, _) => None,
            (_, Some(area)) => Some(&area.into),
            (Mode::Timed, None) => Some(door),
            (Mode::Soft | Mode::Hard, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn house(mode: Mode) -> Passback {
        let area = |from: &str, into: &str| Area { from: from.into(), into: into.into() };
        let areas = [("in", area("street", "house")), ("out", area("house", "street"))];
        let areas = areas.map(|(door, area)| (door.to_owned(), area)).into();
        Passback { mode, minutes: 10, free: vec!["guards".into()], areas }
    }

    fn last(area: &str, ago_ms: u64) -> Option<LastSeen<'_>> {
        Some(LastSeen { area, ago_ms })
    }

    #[test]
    fn whoever_is_inside_does_not_come_in_again() {
        let staff = ["staff".to_owned()];
        let guards = ["staff".to_owned(), "guards".to_owned()];
        for (mode, again) in [
            (Mode::Off, Verdict::Free),
            (Mode::Soft, Verdict::Noted),
            (Mode::Hard, Verdict::Denied),
            (Mode::Timed, Verdict::Denied),
        ] {
            let house = house(mode);
            assert_eq!(house.judge("in", &staff, None), Verdict::Free, "{mode:?}");
            assert_eq!(house.judge("in", &staff, last("street", 5)), Verdict::Free, "{mode:?}");
            assert_eq!(house.judge("in", &staff, last("house", 5)), again, "{mode:?}");
            assert_eq!(house.judge("out", &staff, last("house", 5)), Verdict::Free, "{mode:?}");
            assert_eq!(house.judge("in", &guards, last("house", 5)), Verdict::Free, "{mode:?}");
            assert_eq!(house.judge("cellar", &staff, last("house", 5)), Verdict::Free, "{mode:?}");
        }
        let timed = house(Mode::Timed);
        assert_eq!(timed.judge("in", &staff, last("house", 599_999)), Verdict::Denied);
        assert_eq!(timed.judge("in", &staff, last("house", 600_000)), Verdict::Free);
        let simple = Passback { areas: BTreeMap::new(), ..timed };
        assert_eq!(simple.leads_to("front"), Some("front"));
        assert_eq!(simple.judge("front", &staff, last("front", 1)), Verdict::Denied);
    }

    proptest! {
        /// People who walk about as they like: under the hard rule nobody is let in twice without having been let out.
        #[test]
        fn in_and_out_take_turns(steps in prop::collection::vec((0..3usize, any::<bool>()), 0..60)) {
            let house = house(Mode::Hard);
            let mut seen: [Option<String>; 3] = Default::default();
            let mut passed: [Vec<bool>; 3] = Default::default();
            for (who, inwards) in steps {
                let door = if inwards { "in" } else { "out" };
                let last = seen[who].as_deref().map(|area| LastSeen { area, ago_ms: 1 });
                if house.judge(door, &[], last) == Verdict::Free {
                    seen[who] = house.leads_to(door).map(str::to_owned);
                    passed[who].push(inwards);
                }
            }
            for person in passed {
                prop_assert!(person.windows(2).all(|pair| pair[0] != pair[1]), "{person:?}");
            }
        }
    }
}
