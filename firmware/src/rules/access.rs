//! Whether a person may pass a door at a time, and what they must show for it.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::factors::{Factors, Needs};
use super::{Persons, Rules, any_or_all};

/// What the rules say of a person at a door, before anything was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// No rule lets them pass here at any time.
    Never,
    /// One does, but not now.
    NotNow,
    /// Only after somebody else, who has not come yet.
    NotYet,
    /// They may, by one of these.
    Now(Vec<Way>),
}

/// One way to pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The rule's name.
    pub rule: String,
    /// What is to be shown.
    pub needs: Needs,
    /// How many people it takes.
    pub persons: Persons,
}

impl Rules {
    /// What is said of a member of `groups` at `door` at `now`, a local time. `admitted` are the groups of those who were let
    /// in on this day.
    pub fn access(&self, groups: &[String], door: &str, now: DateTime, admitted: &[String]) -> Access {
        let theirs = || {
            let door = [door.to_owned()];
            self.rules.iter().filter(move |r| any_or_all(&r.groups, groups) && any_or_all(&r.doors, &door))
        };
        let now_in_force = || theirs().filter(|r| self.in_force(r.schedule.as_deref(), now));
        let ways: Vec<Way> = now_in_force()
            // Whoever is first is not kept out by their own rule.
            .filter(|r| any_or_all(&r.after, admitted) || groups.iter().any(|g| r.after.contains(g)))
            .map(|r| Way { rule: r.name.clone(), needs: r.needs.clone(), persons: r.persons })
            .collect();
        if !ways.is_empty() {
            Access::Now(ways)
        } else if now_in_force().next().is_some() {
            Access::NotYet
        } else if theirs().next().is_some() {
            Access::NotNow
        } else {
            Access::Never
        }
    }
}

/// What `shown` comes to by some ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    /// It is enough, by this way.
    Enough(&'a Way),
    /// So much is missing still; never nothing.
    Missing(Factors),
}

/// The first way for which `shown` is enough, one for which one person is enough before others; else the least that is missing.
pub fn reach(ways: &[Way], shown: Factors) -> Reach<'_> {
    let alone = |way: &&Way| way.persons == Persons::One;
    let met = || ways.iter().filter(|way| way.needs.met_by(shown));
    if let Some(way) = met().find(alone).or_else(|| met().next()) {
        return Reach::Enough(way);
    }
    let missing = ways.iter().map(|way| way.needs.missing(shown)).min_by_key(|m| m.len());
    Reach::Missing(missing.unwrap_or(Factors::NONE))
}

#[cfg(test)]
mod tests {
    use super::super::factors::Factor;
    use super::*;

    const HOUSE: &str = r#"
        [schedules.office]
        weekdays = ["07:00-19:00"]
        sat = ["08:00-12:00"]
        [[holidays]]
        name = "Christmas"
        date = "12-25"
        until = "12-26"
        [[rules]]
        name = "staff by day"
        groups = ["staff"]
        schedule = "office"
        [[rules]]
        name = "staff at night"
        groups = ["staff"]
        needs = "face + pin or card + pin"
        [[rules]]
        name = "cleaners"
        groups = ["cleaners"]
        schedule = "office"
        doors = ["front"]
        after = ["managers", "staff"]
        [[rules]]
        name = "safe"
        groups = ["keyholders"]
        doors = ["vault"]
        needs = "face + card"
        persons = 2
        within_s = 20
    "#;

    fn groups(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn ways(access: Access) -> Vec<String> {
        match access {
            Access::Now(ways) => ways.into_iter().map(|w| format!("{}: {}", w.rule, w.needs)).collect(),
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn who_may_pass_where_and_when() {
        let rules = Rules::parse(HOUSE).unwrap();
        let access = |who: &[&str], door, at: &str, admitted: &[&str]| {
            ways(rules.access(&groups(who), door, at.parse().unwrap(), &groups(admitted)))
        };
        // Monday; Christmas is a Friday.
        let (day, night, feast) = ("2026-11-30T09:00", "2026-11-30T23:00", "2026-12-25T09:00");
        let by_night = "staff at night: face + pin or card + pin";
        assert_eq!(access(&["staff"], "front", day, &[]), ["staff by day: face", by_night]);
        assert_eq!(access(&["staff"], "front", night, &[]), [by_night]);
        assert_eq!(access(&["staff"], "front", feast, &[]), [by_night]);
        assert_eq!(access(&["visitors"], "front", day, &[]), ["Never"]);
        assert_eq!(access(&[], "front", day, &[]), ["Never"]);
        assert_eq!(access(&["cleaners"], "front", day, &[]), ["NotYet"]);
        assert_eq!(access(&["cleaners"], "front", day, &["managers"]), ["cleaners: face"]);
        assert_eq!(access(&["cleaners", "staff"], "front", night, &[]), [by_night]);
        assert_eq!(access(&["cleaners"], "front", night, &["managers"]), ["NotNow"]);
        assert_eq!(access(&["cleaners"], "back", day, &["managers"]), ["Never"]);
        assert_eq!(access(&["keyholders"], "vault", night, &[]), ["safe: face + card"]);
    }

    #[test]
    fn what_is_shown_reaches_the_door_or_what_is_missing_is_said() {
        let rules = Rules::parse(HOUSE).unwrap();
        let Access::Now(ways) = rules.access(
            &groups(&["staff", "keyholders"]),
            "vault",
            "2026-11-30T23:00".parse().unwrap(),
            &[],
        ) else {
            panic!("no way");
        };
        let set = |all: &[Factor]| all.iter().fold(Factors::NONE, |s, f| s.and(*f));
        let named = |shown: &[Factor]| match reach(&ways, set(shown)) {
            Reach::Enough(way) => way.rule.clone(),
            Reach::Missing(missing) => format!("{missing}"),
        };
        assert_eq!(named(&[Factor::Face]), "pin", "the earlier of two that lack one");
        assert_eq!(named(&[Factor::Card, Factor::Face]), "safe");
        assert_eq!(
            named(&[Factor::Card, Factor::Face, Factor::Pin]),
            "staff at night",
            "alone before in pairs"
        );
        assert_eq!(named(&[Factor::Pass]), "face + pin");
    }

    #[test]
    fn the_example_can_be_used() {
        let rules = Rules::parse(super::super::EXAMPLE).unwrap();
        let at = |who: &[&str], door, time: &str| {
            ways(rules.access(&groups(who), door, time.parse().unwrap(), &[]))
        };
        assert_eq!(at(&["keyholders"], "vault", "2026-11-30T09:00"), ["safe: face + card"]);
        assert_eq!(at(&["cleaners"], "front", "2026-12-25T09:00"), ["NotNow"]);
        assert!(rules.holds_open("front", "2026-11-30T10:00".parse().unwrap(), &groups(&["reception"])));
    }

    #[test]
    fn without_rules_everybody_passes_by_face() {
        let rules = Rules::parse("").unwrap();
        assert_eq!(rules, Rules::default());
        let access = rules.access(&[], "front", "2026-11-30T23:00".parse().unwrap(), &[]);
        assert_eq!(ways(access), ["everybody: face"]);
        assert!(!rules.holds_open("front", "2026-11-30T23:00".parse().unwrap(), &[]));
    }

    #[test]
    fn a_door_is_held_open_by_the_clock_and_where_asked_for_only_after_the_first() {
        let rules = Rules::parse(
            r#"
            blocked = ["banned"]
            [schedules.reception]
            every = ["09:00-17:00"]
            sun = []
            [[hold_open]]
            doors = ["front"]
            schedule = "reception"
            after = ["reception"]
            "#,
        )
        .unwrap();
        let holds = |door, at: &str, admitted: &[&str]| {
            rules.holds_open(door, at.parse().unwrap(), &groups(admitted))
        };
        assert!(holds("front", "2026-11-30T09:00", &["reception"]));
        assert!(
            !holds("front", "2026-11-30T09:00", &[]) && !holds("front", "2026-11-30T17:00", &["reception"])
        );
        assert!(!holds("back", "2026-11-30T09:00", &["reception"]));
        assert!(!holds("front", "2026-11-29T10:00", &["reception"]), "Sunday");
        assert!(rules.is_blocked(&groups(&["staff", "banned"])) && !rules.is_blocked(&groups(&["staff"])));
    }

    #[test]
    fn each_mistake_is_named_with_its_place_and_the_cure() {
        for (text, said) in [
            ("rulez = 1", "unknown field"),
            ("[schedules.a]\nmon = [\"7-8\"]", "schedules.a.mon: \"7-8\" is no period"),
            ("[schedules.a]\nweekend = [\"00:00-00:00\"]", "schedules.a.weekend"),
            (
                "[schedules.a]\nmon = [\"01:00-02:00\",\"03:00-04:00\",\"05:00-06:00\",\"07:00-08:00\",\"09:00-10:00\",\"11:00-12:00\"]",
                "at most 5",
            ),
            (
                "[[rules]]\nname = \"x\"\nschedule = \"night\"",
                "rules \"x\": no schedule is called \"night\"; write [schedules.night]",
            ),
            ("[[rules]]\nname = \"x\"\nneeds = \"iris\"", "rules \"x\": needs: \"iris\" is none of"),
            ("[[rules]]\nname = \"x\"\n[[rules]]\nname = \"x\"", "two of that name"),
            ("[[rules]]\nname = \"\"", "is no name"),
            ("[[rules]]\nname = \"x\"\npersons = 3", "1 or 2"),
            ("[[rules]]\nname = \"x\"\npersons = 2\nwithin_s = 1", "5 to 300"),
            ("[[holidays]]\nname = \"x\"\ndate = \"soon\"", "holidays \"x\": \"soon\" is no day"),
            ("[[hold_open]]\nschedule = \"x\"", "hold_open: no schedule"),
            ("[passback]\nmode = \"hard\"", "[doors.NAME]"),
            ("[passback]\nmode = \"timed\"", "1 to 10080"),
            ("[passback]\nmode = \"off\"\nminutes = 3", "only mode"),
            ("[doors.a]\nfrom = \"x\"\ninto = \"x\"", "the same"),
            ("[doors.a]\nfrom = \"x\"", "missing field"),
        ] {
            let error = Rules::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("rules: ") && error.contains(said), "{text}: {error}");
        }
        let many: String = (0..129).map(|i| format!("[schedules.s{i}]\n")).collect();
        assert!(Rules::parse(&many).unwrap_err().to_string().contains("at most 128"));
    }
}
