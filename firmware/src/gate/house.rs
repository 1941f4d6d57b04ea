//! Where the door is: its name, the house's rules, the clock on the wall.

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use limen_gallery_db::{Gallery, Setting};
use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// The rules as the gallery file keeps them: the text that the admin wrote, with its comments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RulesText(pub String);

impl Setting for RulesText {
    const KEY: &'static str = "rules";
}

/// One door of a house.
#[derive(Debug, Clone)]
pub struct House {
    /// Who may pass.
    pub rules: Rules,
    /// What rules call this door.
    pub door: String,
    zone: TimeZone,
}

impl House {
    /// By the rules in `text`; their time zone must be known on this machine.
    pub fn new(text: &str, door: &str) -> Result<Self> {
        let rules = Rules::parse(text)?;
        let zone = match rules.time_zone() {
            "" => TimeZone::system(),
            name => TimeZone::get(name).with_context(|| {
                format!(
                    "rules: time_zone: {name:?} is not known on this machine; write it as Europe/Berlin, and have the package \
                     tzdata installed"
                )
            })?,
        };
        Ok(Self { rules, door: door.to_owned(), zone })
    }

    /// By the rules that the gallery keeps, if it keeps any.
    pub fn of(gallery: &Gallery, door: &str) -> Result<Self> {
        Self::new(&gallery.setting::<RulesText>()?.map_or(String::new(), |t| t.0), door)
    }

    /// What the clock on the wall shows.
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    /// When the local day began.
    pub fn midnight(&self, at: Timestamp) -> Timestamp {
        let day = self.local(at).date();
        // In a zone whose clock is changed at midnight the day begins later; no day begins never.
        self.zone.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_begins_at_local_midnight_also_when_the_clock_is_changed() {
        let house = House::new("time_zone = \"Europe/Berlin\"", "front").unwrap();
        for (at, midnight) in [
            ("2026-11-30T08:00:00Z", "2026-11-29T23:00:00Z"),
            ("2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z"),
            ("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z"),
        ] {
            assert_eq!(house.midnight(at.parse().unwrap()).to_string(), midnight);
        }
        assert_eq!(house.local("2026-11-30T08:00:00Z".parse().unwrap()).to_string(), "2026-11-30T09:00:00");
    }

    #[test]
    fn a_time_zone_that_is_none_is_named_with_the_cure() {
        let error = House::new("time_zone = \"Europe/Atlantis\"", "front").unwrap_err();
        assert!(format!("{error:#}").contains("Europe/Berlin"), "{error:#}");
        assert!(House::new("rule = 1", "front").is_err());
    }
}
