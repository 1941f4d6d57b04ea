//! Rules as they are written, and what may be wrong with them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::factors::Needs;
use super::hours::{Day, Days, Holiday, MAX_PERIODS, Period, Schedule};
use super::passback::{Area, Mode, Passback};
use super::{HoldOpen, MAX_HOLIDAYS, MAX_RULES, MAX_SCHEDULES, Persons, Rule, Rules, RulesError};

/// Longest name of anything, as of a group in the gallery.
const MAX_NAME: usize = 64;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RulesText {
    time_zone: String,
    schedules: BTreeMap<String, ScheduleText>,
    holidays: Vec<HolidayText>,
    rules: Vec<RuleText>,
    hold_open: Vec<HoldOpenText>,
    blocked: Vec<String>,
    passback: PassbackText,
    doors: BTreeMap<String, DoorText>,
}

/// Days that are not written are as `weekdays`, `weekend` or `every` say, the nearest of them; without any, nobody passes.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ScheduleText {
    every: Option<Vec<String>>,
    weekdays: Option<Vec<String>>,
    weekend: Option<Vec<String>>,
    mon: Option<Vec<String>>,
    tue: Option<Vec<String>>,
    wed: Option<Vec<String>>,
    thu: Option<Vec<String>>,
    fri: Option<Vec<String>>,
    sat: Option<Vec<String>>,
    sun: Option<Vec<String>>,
    /// As a week's day else: a holiday on which nothing is said is a day on which nobody passes.
    holiday: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HolidayText {
    name: String,
    date: String,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    doors: Vec<String>,
    schedule: Option<String>,
    #[serde(default = "face")]
    needs: String,
    #[serde(default = "one")]
    persons: u32,
    #[serde(default = "half_a_minute")]
    within_s: u32,
    #[serde(default)]
    after: Vec<String>,
}

fn face() -> String {
    "face".to_owned()
}

fn one() -> u32 {
    1
}

fn half_a_minute() -> u32 {
    30
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldOpenText {
    #[serde(default)]
    doors: Vec<String>,
    schedule: String,
    #[serde(default)]
    after: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PassbackText {
    mode: Mode,
    minutes: Option<u32>,
    free: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoorText {
    from: String,
    into: String,
}

/// An error at `place`.
fn wrong(place: impl Into<String>, why: impl Into<String>) -> RulesError {
    RulesError::Value { place: place.into(), why: why.into() }
}

pub(super) fn read(text: &str) -> Result<Rules, RulesError> {
    let text: RulesText =
        toml::from_str(text).map_err(|e| RulesError::Syntax(e.to_string().trim_end().to_owned()))?;
    let limits = [
        ("schedules", text.schedules.len(), MAX_SCHEDULES),
        ("holidays", text.holidays.len(), MAX_HOLIDAYS),
        ("rules", text.rules.len(), MAX_RULES),
        ("hold_open", text.hold_open.len(), MAX_RULES),
    ];
    for (place, there, most) in limits {
        if there > most {
            return Err(wrong(place, format!("{there} of them, at most {most} are taken")));
        }
    }
    let schedules: BTreeMap<String, Schedule> = text
        .schedules
        .into_iter()
        .map(|(name, s)| {
            named("schedules", &name)?;
            Ok((name.clone(), schedule(&name, s)?))
        })
        .collect::<Result<_, RulesError>>()?;
    let known = |place: &str, name: &str| match schedules.contains_key(name) {
        true => Ok(()),
        false => Err(wrong(place, format!("no schedule is called {name:?}; write [schedules.{name}]"))),
    };
    let holidays = text.holidays.into_iter().map(holiday).collect::<Result<_, _>>()?;
    let mut rules: Vec<Rule> = Vec::new();
    for r in text.rules {
        named("rules", &r.name)?;
        let place = format!("rules {:?}", r.name);
        if rules.iter().any(|other| other.name == r.name) {
            return Err(wrong(place, "there are two of that name; give one another"));
        }
        if let Some(schedule) = &r.schedule {
            known(&place, schedule)?;
        }
        names(&place, r.groups.iter().chain(&r.doors).chain(&r.after))?;
        let needs: Needs = r.needs.parse().map_err(|why: String| wrong(format!("{place}: needs"), why))?;
        let persons = match (r.persons, r.within_s) {
            (1, _) => Persons::One,
            (2, within_s @ 5..=300) => Persons::Two { within_s },
            (2, _) => return Err(wrong(format!("{place}: within_s"), "5 to 300 are taken")),
            _ => return Err(wrong(format!("{place}: persons"), "1 or 2 are taken")),
        };
        let RuleText { name, groups, doors, schedule, after, .. } = r;
        rules.push(Rule { name, groups, doors, schedule, needs, persons, after });
    }
    let mut hold_open = Vec::new();
    for h in text.hold_open {
        known("hold_open", &h.schedule)?;
        names("hold_open", h.doors.iter().chain(&h.after))?;
        hold_open.push(HoldOpen { doors: h.doors, schedule: h.schedule, after: h.after });
    }
    names("blocked", &text.blocked)?;
    Ok(Rules {
        time_zone: text.time_zone,
        schedules,
        holidays,
        rules: if rules.is_empty() { Rules::default().rules } else { rules },
        hold_open,
        blocked: text.blocked,
        passback: passback(text.passback, text.doors)?,
    })
}

fn named(place: &str, name: &str) -> Result<(), RulesError> {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(wrong(place, format!("{name:?} is no name: 1 to {MAX_NAME} visible characters")));
    }
    Ok(())
}

fn names<'a>(place: &str, names: impl IntoIterator<Item = &'a String>) -> Result<(), RulesError> {
    names.into_iter().try_for_each(|name| named(place, name))
}

fn schedule(name: &str, s: ScheduleText) -> Result<Schedule, RulesError> {
    let place = |day: &str| format!("schedules.{name}.{day}");
    let periods = |day: &str, texts: Option<&Vec<String>>| -> Result<Vec<Period>, RulesError> {
        let texts = texts.map_or(&[] as &[String], Vec::as_slice);
        if texts.len() > MAX_PERIODS {
            return Err(wrong(
                place(day),
                format!("{} periods, at most {MAX_PERIODS} are taken", texts.len()),
            ));
        }
        texts.iter().map(|t| t.parse().map_err(|why: String| wrong(place(day), why))).collect()
    };
    let week = [
        ("mon", &s.mon),
        ("tue", &s.tue),
        ("wed", &s.wed),
        ("thu", &s.thu),
        ("fri", &s.fri),
        ("sat", &s.sat),
        ("sun", &s.sun),
    ];
    let mut days: [Vec<Period>; 7] = Default::default();
    for (i, (day, own)) in week.into_iter().enumerate() {
        let (several, part) = if i < 5 { ("weekdays", &s.weekdays) } else { ("weekend", &s.weekend) };
        let (day, texts) = match (own, part) {
            (Some(own), _) => (day, Some(own)),
            (None, Some(part)) => (several, Some(part)),
            (None, None) => ("every", s.every.as_ref()),
        };
        days[i] = periods(day, texts)?;
    }
    Ok(Schedule { days, holiday: periods("holiday", s.holiday.as_ref())? })
}

fn holiday(h: HolidayText) -> Result<Holiday, RulesError> {
    named("holidays", &h.name)?;
    let place = format!("holidays {:?}", h.name);
    let day = |text: &str| text.parse::<Day>().map_err(|why| wrong(&place, why));
    let until = h.until.as_deref().map(day).transpose()?;
    let days = Days::new(day(&h.date)?, until).map_err(|why| wrong(&place, why))?;
    Ok(Holiday { days })
}

fn passback(p: PassbackText, doors: BTreeMap<String, DoorText>) -> Result<Passback, RulesError> {
    let minutes = match (p.mode, p.minutes) {
        (Mode::Timed, Some(minutes @ 1..=10_080)) => minutes,
        (Mode::Timed, _) => return Err(wrong("passback.minutes", "1 to 10080 (a week) are taken")),
        (_, Some(_)) => return Err(wrong("passback.minutes", "only mode = \"timed\" has minutes")),
        (_, None) => 0,
    };
    names("passback.free", &p.free)?;
    let mut areas = BTreeMap::new();
    for (door, DoorText { from, into }) in doors {
        names(&format!("doors.{door}"), [&door, &from, &into])?;
        if from == into {
            return Err(wrong(format!("doors.{door}"), "it leads from an area into the same; name two"));
        }
        areas.insert(door, Area { from, into });
    }
    if matches!(p.mode, Mode::Soft | Mode::Hard) && areas.is_empty() {
        return Err(wrong(
            "passback.mode",
            "it needs to know where doors lead: write [doors.NAME] from and into",
        ));
    }
    Ok(Passback { mode: p.mode, minutes, free: p.free, areas })
}
