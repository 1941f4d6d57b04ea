//! Who may pass, when, and by what: the rules of the house as its admin wrote them. Read once, asked as pure functions.
//!
//! They are a TOML text (docs/reference/rules.md has every field), which the gallery file keeps.

pub mod access;
pub mod factors;
pub mod hours;
pub mod passback;
mod text;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use factors::Needs;
use hours::{Holiday, Schedule};
use passback::Passback;

/// An example with a comment on each field; it can be used as it is (tested).
pub const EXAMPLE: &str = include_str!("../rules.toml");

/// Most schedules.
pub const MAX_SCHEDULES: usize = 128;
/// Most holidays.
pub const MAX_HOLIDAYS: usize = 128;
/// Most rules.
pub const MAX_RULES: usize = 256;

/// Why a text is no rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// Not TOML, an unknown field or a value of the wrong type.
    #[error("rules: {0}")]
    Syntax(String),
    /// A value that cannot be used.
    #[error("rules: {place}: {why}")]
    Value {
        /// Which: `schedules.office.mon`, `rules "staff"`.
        place: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// Who may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// IANA name of the time zone that schedules are in; empty: that of the machine.
    time_zone: String,
    schedules: BTreeMap<String, Schedule>,
    holidays: Vec<Holiday>,
    rules: Vec<Rule>,
    hold_open: Vec<HoldOpen>,
    /// Groups whose members are denied whatever else is said.
    blocked: Vec<String>,
    passback: Passback,
}

/// One way to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    name: String,
    /// For members of one of them; empty: for all.
    groups: Vec<String>,
    /// At one of them; empty: at all.
    doors: Vec<String>,
    /// Name of a schedule; `None`: always.
    schedule: Option<String>,
    needs: Needs,
    /// So many people, each by this rule, within `within_s`.
    persons: Persons,
    /// Only after a member of one of them was let in on the same day; empty: at once.
    after: Vec<String>,
}

/// How many people it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persons {
    /// Everybody by themselves.
    One,
    /// Two different ones, the second within so many s of the first.
    Two {
        /// At most between them.
        within_s: u32,
    },
}

/// A door that stands unlocked by the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HoldOpen {
    doors: Vec<String>,
    schedule: String,
    /// As [`Rule::after`].
    after: Vec<String>,
}

impl Default for Rules {
    /// Where nobody wrote any: everybody in the gallery passes by their face, at any time.
    fn default() -> Self {
        Self {
            time_zone: String::new(),
            schedules: BTreeMap::new(),
            holidays: Vec::new(),
            rules: vec![Rule {
                name: "everybody".to_owned(),
                groups: Vec::new(),
                doors: Vec::new(),
                schedule: None,
                needs: Needs::face(),
                persons: Persons::One,
                after: Vec::new(),
            }],
            hold_open: Vec::new(),
            blocked: Vec::new(),
            passback: Passback::default(),
        }
    }
}

impl Rules {
    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        text::read(text)
    }

    /// IANA name of the time zone that schedules are in; empty: that of the machine. Whether it is known here is for the
    /// caller to see.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// How people may not pass again.
    pub fn passback(&self) -> &Passback {
        &self.passback
    }

    /// Whether the clock holds this door open at `now`, a local time. `admitted` are the groups of those who were let in
    /// on this day.
    pub fn holds_open(&self, door: &str, now: DateTime, admitted: &[String]) -> bool {
        self.hold_open.iter().any(|h| {
            any_or_all(&h.doors, &[door.to_owned()])
                && self.in_force(Some(&h.schedule), now)
                && any_or_all(&h.after, admitted)
        })
    }

    /// Whether a member of these groups is denied whatever else is said.
    pub fn is_blocked(&self, groups: &[String]) -> bool {
        groups.iter().any(|g| self.blocked.contains(g))
    }

    /// Groups of which somebody must come before others.
    pub fn first_comers(&self) -> Vec<String> {
        let rules = self.rules.iter().flat_map(|r| &r.after);
        rules.chain(self.hold_open.iter().flat_map(|h| &h.after)).cloned().collect()
    }

    /// Whether anything depends on who was let in before on the same day.
    pub fn asks_who_came(&self) -> bool {
        !self.first_comers().is_empty()
    }

    fn in_force(&self, schedule: Option<&str>, now: DateTime) -> bool {
        // A name that is none was refused when the rules were read.
        schedule.is_none_or(|name| self.schedules.get(name).is_some_and(|s| s.covers(now, &self.holidays)))
    }
}

/// Whether one of `there` is among `wanted`, which, empty, means all.
fn any_or_all(wanted: &[String], there: &[String]) -> bool {
    wanted.is_empty() || there.iter().any(|t| wanted.contains(t))
}
