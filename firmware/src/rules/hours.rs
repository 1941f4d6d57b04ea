//! When: periods of a day, week schedules, holidays. By local time as the clock on the wall shows it.
//!
//! What the clock shows decides, also on the days on which it is changed: a period that lies in the hour which is left out
//! does not happen, one in the hour which comes twice happens twice.

use std::str::FromStr;

use jiff::civil::{Date, DateTime, Weekday};

/// Most periods of one day.
pub const MAX_PERIODS: usize = 5;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// From one minute of the day until before another; one that ends before it begins goes on into the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// 0 to 1439.
    from: u16,
    /// 1 to 1440.
    until: u16,
}

impl Period {
    /// Whether it is in force at this minute of the day on which it begins.
    fn today(self, minute: u16) -> bool {
        minute >= self.from && (minute < self.until || self.goes_on())
    }

    /// Whether it is still in force at this minute of the day after.
    fn tomorrow(self, minute: u16) -> bool {
        self.goes_on() && minute < self.until
    }

    fn goes_on(self) -> bool {
        self.until < self.from
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (from, until) = text.split_once('-')?;
            let minute = |text: &str| {
                let (hour, minute) = text.trim().split_once(':')?;
                let digits = |t: &str| (t.len() == 2).then(|| t.parse::<u16>().ok()).flatten();
                let (hour, minute) = (digits(hour)?, digits(minute)?);
                (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
            };
            Some(Self { from: minute(from)?, until: minute(until)? })
        };
        let period: Self = read().filter(|p| p.from < DAY && p.until > 0).ok_or_else(|| {
            format!("{text:?} is no period of a day; write it as 07:00-18:30, and midnight as 00:00 or 24:00")
        })?;
        if period.from == period.until {
            return Err(format!(
                "{text:?} begins and ends at once; a whole day is 00:00-24:00, none is an empty list"
            ));
        }
        Ok(period)
    }
}

/// A week.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// From Monday on.
    pub(super) days: [Vec<Period>; 7],
    /// On a holiday, in place of the day of the week.
    pub(super) holiday: Vec<Period>,
}

impl Schedule {
    /// Whether it is in force at `at`, a local time.
    pub fn covers(&self, at: DateTime, holidays: &[Holiday]) -> bool {
        let minute = u16::from(at.hour().unsigned_abs()) * 60 + u16::from(at.minute().unsigned_abs());
        let on = |date: Date| {
            if holidays.iter().any(|h| h.is_on(date)) {
                &self.holiday
            } else {
                &self.days[index(date.weekday())]
            }
        };
        on(at.date()).iter().any(|p| p.today(minute))
            || at.date().yesterday().is_ok_and(|date| on(date).iter().any(|p| p.tomorrow(minute)))
    }
}

/// From Monday, 0.
pub(super) fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// A day of one year, or of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// Of one year.
    Once(Date),
    /// Of every year: month and day.
    Yearly(i8, i8),
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let yearly = || {
            // A leap year, which has all days.
            let date: Date = format!("2024-{text}").parse().ok()?;
            (text.len() == 5).then(|| Self::Yearly(date.month(), date.day()))
        };
        let once = || (text.len() == 10).then(|| text.parse().ok()).flatten().map(Self::Once);
        once()
            .or_else(yearly)
            .ok_or_else(|| format!("{text:?} is no day; write 2027-03-26 for one year, 12-25 for every year"))
    }
}

/// Days on which a schedule is that of a holiday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    pub(super) days: Days,
}

/// From one day until another, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    Once(Date, Date),
    /// The last may come before the first: over the end of the year.
    Yearly((i8, i8), (i8, i8)),
}

impl Days {
    /// From `from` until `until`, which is the same day where it is left out.
    pub(super) fn new(from: Day, until: Option<Day>) -> Result<Self, String> {
        match (from, until.unwrap_or(from)) {
            (Day::Once(from), Day::Once(until)) if from <= until => Ok(Self::Once(from, until)),
            (Day::Once(from), Day::Once(until)) => Err(format!("{until} lies before {from}; exchange them")),
            (Day::Yearly(m, d), Day::Yearly(n, e)) => Ok(Self::Yearly((m, d), (n, e))),
            _ => Err("one day is of one year, the other of every year; write both alike".to_owned()),
        }
    }
}

impl Holiday {
    /// Whether it is one.
    pub fn is_on(&self, date: Date) -> bool {
        match self.days {
            Days::Once(from, until) => (from..=until).contains(&date),
            Days::Yearly(from, until) => {
                let day = (date.month(), date.day());
                if from <= until { day >= from && day <= until } else { day >= from || day <= until }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan};
    use proptest::prelude::*;

    use super::*;

    fn schedule(weekdays: &[&str], holiday: &[&str]) -> Schedule {
        let periods = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Period>>();
        let mut days: [Vec<Period>; 7] = Default::default();
        days[..5].fill(periods(weekdays));
        Schedule { days, holiday: periods(holiday) }
    }

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    fn holiday(from: &str, until: Option<&str>) -> Holiday {
        let days = Days::new(from.parse().unwrap(), until.map(|u| u.parse().unwrap())).unwrap();
        Holiday { days }
    }

    #[test]
    fn a_period_begins_with_its_first_minute_and_ends_before_its_last() {
        let s = schedule(&["07:00-12:00", "13:00-19:30"], &[]);
        // 2026-11-30 is a Monday.
        for (time, inside) in [
            ("2026-11-30T06:59:59", false),
            ("2026-11-30T07:00:00", true),
            ("2026-11-30T11:59:59", true),
            ("2026-11-30T12:00:00", false),
            ("2026-11-30T19:29:59", true),
            ("2026-11-30T19:30:00", false),
            ("2026-11-29T08:00:00", false),
        ] {
            assert_eq!(s.covers(at(time), &[]), inside, "{time}");
        }
        assert!(schedule(&["00:00-24:00"], &[]).covers(at("2026-11-30T23:59:59.9"), &[]));
    }

    #[test]
    fn a_period_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let s = schedule(&["22:00-06:00"], &[]);
        // Friday to Saturday, not Sunday to Monday.
        for (time, inside) in [
            ("2026-12-04T22:00:00", true),
            ("2026-12-05T05:59:00", true),
            ("2026-12-05T06:00:00", false),
            ("2026-12-05T23:00:00", false),
            ("2026-12-07T05:00:00", false),
            ("2026-12-07T22:00:00", true),
        ] {
            assert_eq!(s.covers(at(time), &[]), inside, "{time}");
        }
        // The night before a holiday goes on into it; the holiday's own evening does not begin.
        let feast = [holiday("2026-12-02", None)];
        assert!(s.covers(at("2026-12-02T05:00:00"), &feast));
        assert!(!s.covers(at("2026-12-02T22:30:00"), &feast));
        assert!(!s.covers(at("2026-12-03T05:00:00"), &feast));
    }

    #[test]
    fn holidays_of_one_year_of_every_year_and_over_its_end() {
        let s = schedule(&["07:00-19:00"], &["10:00-12:00"]);
        let feasts = [holiday("12-24", Some("01-01")), holiday("2026-05-14", None), holiday("02-29", None)];
        for (date, is) in [
            ("2026-12-23", false),
            ("2026-12-24", true),
            ("2026-12-31", true),
            ("2027-01-01", true),
            ("2027-01-02", false),
            ("2026-05-14", true),
            ("2027-05-14", false),
            ("2028-02-29", true),
            ("2027-02-28", false),
        ] {
            assert_eq!(feasts.iter().any(|f| f.is_on(date.parse().unwrap())), is, "{date}");
        }
        assert!(
            s.covers(at("2026-05-14T11:00:00"), &feasts) && !s.covers(at("2026-05-14T08:00:00"), &feasts)
        );
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for text in ["7:00-8:00", "07:00", "07:00-24:01", "07:60-08:00", "24:00-01:00", "a-b", "23:00-00:00x"]
        {
            let error = text.parse::<Period>().unwrap_err();
            assert!(error.contains(text) && error.contains("07:00-18:30"), "{error}");
        }
        assert!("07:00-07:00".parse::<Period>().unwrap_err().contains("00:00-24:00"));
        assert!("23:00-00:00".parse::<Period>().unwrap_err().contains("24:00"));
        for text in ["25.12.", "13-01", "02-30", "2026-02-29", "2026-1-1", ""] {
            let error = text.parse::<Day>().unwrap_err();
            assert!(error.contains(text) && error.contains("12-25"), "{error}");
        }
        let day = |t: &str| t.parse::<Day>().unwrap();
        assert!(Days::new(day("2026-05-02"), Some(day("2026-05-01"))).unwrap_err().contains("exchange"));
        assert!(Days::new(day("2026-05-02"), Some(day("05-03"))).unwrap_err().contains("alike"));
    }

    /// What the clock in Berlin shows.
    fn berlin(at: Timestamp) -> DateTime {
        TimeZone::get("Europe/Berlin").unwrap().to_datetime(at)
    }

    #[test]
    fn in_the_night_when_the_clock_is_changed() {
        let s = Schedule {
            days: std::array::from_fn(|_| vec!["02:00-03:00".parse().unwrap()]),
            ..Schedule::default()
        };
        let minutes = |from: &str| {
            let from: Timestamp = from.parse().unwrap();
            (0..24 * 60).filter(|m| s.covers(berlin(from + i64::from(*m).minutes()), &[])).count()
        };
        assert_eq!(minutes("2026-03-28T12:00:00Z"), 0, "the hour is left out");
        assert_eq!(minutes("2026-10-24T12:00:00Z"), 120, "the hour comes twice");
        assert_eq!(minutes("2026-06-01T12:00:00Z"), 60);
    }

    prop_compose! {
        fn period()(from in 0..DAY, until in 1..=DAY) -> Period { Period { from, until } }
    }

    proptest! {
        /// Against the plain story: all periods of all days written out as spans of minutes since some Monday.
        #[test]
        fn a_week_is_what_its_periods_written_out_say(
            days in prop::array::uniform7(prop::collection::vec(period().prop_filter("not empty", |p| p.from != p.until), 0..MAX_PERIODS)),
            feast in prop::collection::vec(period().prop_filter("not empty", |p| p.from != p.until), 0..MAX_PERIODS),
            feast_day in 0..14usize,
            minute in 1440..14 * 1440usize,
        ) {
            let monday: Date = "2026-12-21".parse().unwrap();
            let feast_date = monday.checked_add((feast_day as i64).days()).unwrap();
            let holidays = [Holiday { days: Days::Once(feast_date, feast_date) }];
            let s = Schedule { days: days.clone(), holiday: feast.clone() };
            let now = monday.at(0, 0, 0, 0).checked_add((minute as i64).minutes()).unwrap();
            let written_out = (0..14usize).flat_map(|day| {
                let periods = if day == feast_day { &feast } else { &days[day % 7] };
                periods.iter().map(move |p| {
                    let begin = day * 1440 + usize::from(p.from);
                    let end = day * 1440 + usize::from(p.until) + if p.until < p.from { 1440 } else { 0 };
                    (begin, end)
                })
            });
            let inside = written_out.into_iter().any(|(begin, end)| (begin..end).contains(&minute));
            prop_assert_eq!(s.covers(now, &holidays), inside);
        }

        /// Over both changes of the clock and over the end of a year: what the clock shows decides, minute by minute.
        #[test]
        fn what_the_clock_shows_decides(
            p in period().prop_filter("not empty", |p| p.from != p.until),
            night in prop::sample::select(vec!["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-12-31T20:00:00Z"]),
            minute in 0..14 * 60i64,
        ) {
            let s = Schedule { days: std::array::from_fn(|_| vec![p]), ..Schedule::default() };
            let shown = berlin(night.parse::<Timestamp>().unwrap() + minute.minutes());
            let of_day = u16::from(shown.hour().unsigned_abs()) * 60 + u16::from(shown.minute().unsigned_abs());
            let inside = if p.from < p.until { (p.from..p.until).contains(&of_day) } else { of_day >= p.from || of_day < p.until };
            prop_assert_eq!(s.covers(shown, &[]), inside, "{}", shown);
        }
    }
}
