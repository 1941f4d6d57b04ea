//! A day or a moment as people write it, to the moment that is meant.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Which end of a day is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first moment.
    Begin,
    /// The first moment after it.
    End,
}

/// What is said of a text that is neither. It does not repeat the text, which may be a name in the wrong column.
pub const NO_MOMENT: &str =
    "is neither a day such as 2026-12-31 nor a moment such as 2026-12-31T18:00:00+01:00";

/// A moment by RFC 3339, or an edge of a day of `zone`; `None` if it is neither.
pub fn moment(text: &str, edge: Edge, zone: &TimeZone) -> Option<Timestamp> {
    // A date that is longer has a time, whose zone nobody told.
    if text.len() != "2026-12-31".len() {
        return text.parse().ok();
    }
    let day: Date = text.parse().ok()?;
    let day = if edge == Edge::End { day.tomorrow().ok()? } else { day };
    // Where a clock is put forward at midnight, the day begins at one.
    zone.to_timestamp(DateTime::from(day)).ok()
}

/// The first moment that is valid, as an argument of a command.
pub fn first_moment(text: &str) -> Result<Timestamp, String> {
    argument(text, Edge::Begin)
}

/// The end of what is valid, as an argument of a command: a day is valid to its last moment.
pub fn last_moment(text: &str) -> Result<Timestamp, String> {
    argument(text, Edge::End)
}

fn argument(text: &str, edge: Edge) -> Result<Timestamp, String> {
    moment(text, edge, &TimeZone::system()).ok_or_else(|| NO_MOMENT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, edge: Edge) -> Option<String> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        moment(text, edge, &zone).map(|t| t.to_string())
    }

    #[test]
    fn a_day_is_one_of_the_device_and_ends_with_its_last_moment() {
        for (text, edge, want) in [
            // Winter is an hour ahead of UTC, summer two.
            ("2026-12-31", Edge::Begin, "2026-12-30T23:00:00Z"),
            ("2026-12-31", Edge::End, "2026-12-31T23:00:00Z"),
            ("2026-07-01", Edge::Begin, "2026-06-30T22:00:00Z"),
            // The day on which the clock is put forward has 23 hours.
            ("2026-03-29", Edge::Begin, "2026-03-28T23:00:00Z"),
            ("2026-03-29", Edge::End, "2026-03-29T22:00:00Z"),
            // A moment is itself, whichever edge.
            ("2026-12-31T18:00:00+01:00", Edge::End, "2026-12-31T17:00:00Z"),
            ("2026-12-31T18:00:00Z", Edge::Begin, "2026-12-31T18:00:00Z"),
        ] {
            assert_eq!(at(text, edge).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn where_midnight_is_left_out_the_day_begins_at_one() {
        // At 0:00 of 2026-03-29 it is 1:00.
        let zone = TimeZone::posix("XXX3YYY,M3.5.0/0,M10.5.0/0").unwrap();
        let begin = moment("2026-03-29", Edge::Begin, &zone).unwrap();
        assert_eq!(begin.to_string(), "2026-03-29T03:00:00Z");
    }

    #[test]
    fn what_is_neither_is_none() {
        for text in [
            "",
            "31.12.2026",
            "2026-13-01",
            "2026-02-29",
            "2026-12-31T18:00",
            "12/31/2026",
            "9999-12-31",
            "Ada Somebd",
        ] {
            assert_eq!(at(text, Edge::End), None, "{text}");
        }
    }
}
