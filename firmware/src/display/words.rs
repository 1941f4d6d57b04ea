//! What the screens say: the words of one language, and which of them goes with what was decided.

use jiff::civil::Date;
use limen_gallery_db::Standing;
use limen_models::quality::Reason;
use serde::Deserialize;

use crate::decide::{Denial, Request};
use crate::doorway::Alarm;
use crate::kiosk::enrol::{Answer, Asked, Known, Outcome};
use crate::kiosk::poses::{Hint, Pose};
use crate::menu::{Choice, Item, Note};
use crate::rules::factors::Factor;

/// The words of one language, as its file has them (firmware/languages).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Words {
    /// What stands above every screen of a simulated door.
    pub demo: String,
    date: Dates,
    pub(super) idle: Idle,
    hints: Hints,
    live: Live,
    pub(super) granted: Granted,
    pub(super) denied: Denied,
    pub(super) enrol: Enrol,
    alarm: Alarms,
    pub(super) camera_lost: Said,
    pub(super) service: Said,
    pub(super) out_of_order: Said,
    pin: Pin,
    pub(super) menu: Menu,
}

/// A title and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    pub title: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dates {
    pattern: String,
    /// From Monday.
    weekdays: [String; 7],
    months: [String; 12],
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Idle {
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Hints {
    wait: String,
    one_at_a_time: String,
    too_small: String,
    cut_off: String,
    turned_away: String,
    looking_up_or_down: String,
    leaning: String,
    misaligned: String,
    blurred: String,
    too_dark: String,
    too_bright: String,
    low_contrast: String,
    show_card: String,
    show_pin: String,
    show_pass: String,
    show_face: String,
    say_who: String,
    second_person: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Live {
    unknown: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Granted {
    pub greeting: String,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Denied {
    pub title: String,
    pub stranger: String,
    reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Reasons {
    unknown: String,
    ambiguous: String,
    suspended: String,
    not_yet_valid: String,
    expired: String,
    blocked: String,
    lockdown: String,
    unknown_credential: String,
    too_many_tries: String,
    mismatch: String,
    other_face: String,
    vetoed: String,
    not_here: String,
    outside_hours: String,
    not_yet_opened: String,
    passback: String,
}

/// Whoever is enrolled at the door.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Enrol {
    pub id: String,
    checking: String,
    person: String,
    suspended: String,
    look: Look,
    remove: Said,
    consent: Said,
    alike: Said,
    alike_to: Said,
    told: Told,
    answers: Answers,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    ahead: String,
    left: String,
    right: String,
    up: String,
    down: String,
    anew: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    enrolled: Said,
    suspended: Said,
    resumed: Said,
    removed: Said,
    unclear: Said,
    full: Said,
    failed: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    add: String,
    renew: String,
    suspend: String,
    resume: String,
    remove: String,
    back: String,
    agree: String,
    cancel: String,
    pin: String,
    anyway: String,
    close: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alarms {
    forced: Said,
    held: Said,
    tampered: Said,
    fire: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    enter: String,
    comparing: String,
    wrong: String,
    locked: String,
    choose: String,
    again: String,
    differs: String,
    simple: String,
}

/// The service menu.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Menu {
    pub title: String,
    pub people: String,
    pub templates: String,
    pub events: String,
    pub camera: String,
    pub camera_sees: String,
    pub camera_lost: String,
    pub door: String,
    pub door_locked: String,
    pub door_open: String,
    pub model: String,
    pub version: String,
    pub free: String,
    items: Items,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    people: String,
    close: String,
}

impl Words {
    /// The day as it is to be read.
    pub fn date(&self, day: Date) -> String {
        let Dates { pattern, weekdays, months } = &self.date;
        let weekday =
            usize::try_from(day.weekday().to_monday_zero_offset()).ok().and_then(|i| weekdays.get(i));
        let month = usize::try_from(day.month() - 1).ok().and_then(|i| months.get(i));
        pattern
            .replace("{weekday}", weekday.map_or("", String::as_str))
            .replace("{day}", &day.day().to_string())
            .replace("{month}", month.map_or("", String::as_str))
    }

    /// What a person should do.
    pub fn hint(&self, request: Request) -> &str {
        let h = &self.hints;
        match request {
            Request::Wait => &h.wait,
            Request::OneAtATime => &h.one_at_a_time,
            Request::Improve(Reason::TooSmall) => &h.too_small,
            Request::Improve(Reason::CutOff) => &h.cut_off,
            Request::Improve(Reason::TurnedAway) => &h.turned_away,
            Request::Improve(Reason::LookingUpOrDown) => &h.looking_up_or_down,
            Request::Improve(Reason::Leaning) => &h.leaning,
            Request::Improve(Reason::Misaligned) => &h.misaligned,
            Request::Improve(Reason::Blurred) => &h.blurred,
            Request::Improve(Reason::TooDark) => &h.too_dark,
            Request::Improve(Reason::TooBright) => &h.too_bright,
            Request::Improve(Reason::LowContrast) => &h.low_contrast,
            // One after the other, as people have hands.
            Request::Show(missing) => match missing.iter().find(|f| *f != Factor::Face) {
                Some(Factor::Card) => &h.show_card,
                Some(Factor::Pin) => &h.show_pin,
                Some(Factor::Pass) => &h.show_pass,
                Some(Factor::Face) | None => &h.show_face,
            },
            Request::SayWho => &h.say_who,
        }
    }

    /// That a rule takes two people.
    pub fn second_person(&self) -> &str {
        &self.hints.second_person
    }

    /// What stands on the box of a face without a name.
    pub fn unknown(&self) -> &str {
        &self.live.unknown
    }

    /// Why the door stays shut; it names nobody.
    pub fn denial(&self, why: Denial) -> &str {
        let r = &self.denied.reasons;
        match why {
            Denial::Unknown => &r.unknown,
            Denial::Ambiguous => &r.ambiguous,
            Denial::Suspended => &r.suspended,
            Denial::NotYetValid => &r.not_yet_valid,
            Denial::Expired => &r.expired,
            Denial::Blocked => &r.blocked,
            Denial::Lockdown => &r.lockdown,
            Denial::UnknownCredential => &r.unknown_credential,
            Denial::TooManyTries => &r.too_many_tries,
            Denial::Mismatch => &r.mismatch,
            Denial::OtherFace => &r.other_face,
            Denial::Vetoed => &r.vetoed,
            Denial::NotHere => &r.not_here,
            Denial::OutsideHours => &r.outside_hours,
            Denial::NotYetOpened => &r.not_yet_opened,
            Denial::Passback => &r.passback,
        }
    }

    /// What is wrong with the door.
    pub(super) fn alarm(&self, alarm: Alarm) -> &Said {
        match alarm {
            Alarm::Forced => &self.alarm.forced,
            Alarm::Held => &self.alarm.held,
            Alarm::Tampered => &self.alarm.tampered,
            Alarm::Fire => &self.alarm.fire,
        }
    }

    /// What somebody who is enrolled is to do now.
    pub fn look(&self, hint: Hint) -> &str {
        let l = &self.enrol.look;
        match hint {
            Hint::Look(Pose::Ahead) => &l.ahead,
            Hint::Look(Pose::Left) => &l.left,
            Hint::Look(Pose::Right) => &l.right,
            Hint::Look(Pose::Up) => &l.up,
            Hint::Look(Pose::Down) => &l.down,
            Hint::Anew => &l.anew,
            Hint::OneAtATime => self.hint(Request::OneAtATime),
            Hint::Improve(reason) => self.hint(Request::Improve(reason)),
        }
    }

    /// That it takes a moment to compare somebody with all who are enrolled.
    pub fn checking(&self) -> &str {
        &self.enrol.checking
    }

    /// Title and sentence of what is asked at the door; whoever it is about is called `name`, and has the id `id`.
    pub(super) fn asked(&self, asked: &Asked, name: &str) -> (String, String) {
        let e = &self.enrol;
        let id = match asked {
            Asked::Person(who) | Asked::Remove(who) | Asked::AlikeTo(who) => &who.id,
            Asked::Consent { id } | Asked::Told { id, .. } => id,
            Asked::Alike => "",
        };
        let templates = match asked {
            Asked::Told { what: Outcome::Enrolled(templates), .. } => templates.to_string(),
            _ => String::new(),
        };
        let said = match asked {
            Asked::Person(Known { standing, .. }) => {
                let text = if *standing == Standing::Active { &e.person } else { &e.suspended };
                return (name.to_owned(), text.replace("{id}", id));
            }
            Asked::Remove(_) => &e.remove,
            Asked::Consent { .. } => &e.consent,
            Asked::Alike => &e.alike,
            Asked::AlikeTo(_) => &e.alike_to,
            Asked::Told { what, .. } => match what {
                Outcome::Enrolled(_) => &e.told.enrolled,
                Outcome::Stands(Standing::Suspended) => &e.told.suspended,
                Outcome::Stands(Standing::Active) => &e.told.resumed,
                Outcome::Removed => &e.told.removed,
                Outcome::Unclear => &e.told.unclear,
                Outcome::Full => &e.told.full,
                Outcome::Failed => &e.told.failed,
            },
        };
        let filled =
            |text: &str| text.replace("{id}", id).replace("{templates}", &templates).replace("{name}", name);
        (filled(&said.title), filled(&said.text))
    }

    /// A key below it.
    pub fn answer(&self, answer: Answer) -> &str {
        let a = &self.enrol.answers;
        match answer {
            Answer::Add => &a.add,
            Answer::Renew => &a.renew,
            Answer::Suspend => &a.suspend,
            Answer::Resume => &a.resume,
            Answer::Remove => &a.remove,
            Answer::Back => &a.back,
            Answer::Agree => &a.agree,
            Answer::Cancel => &a.cancel,
            Answer::Pin => &a.pin,
            Answer::Anyway => &a.anyway,
            Answer::Close => &a.close,
        }
    }

    /// What stands above the keys for a PIN.
    pub fn pin(&self, note: Note) -> String {
        let p = &self.pin;
        match note {
            Note::Enter => p.enter.clone(),
            Note::Comparing => p.comparing.clone(),
            Note::Wrong { left } => p.wrong.replace("{left}", &left.to_string()),
            Note::Locked { left_s } => {
                p.locked.replace("{time}", &format!("{}:{:02}", left_s / 60, left_s % 60))
            }
            Note::Choose(Choice::First) => p.choose.clone(),
            Note::Choose(Choice::Again) => p.again.clone(),
            Note::Choose(Choice::Differs) => p.differs.clone(),
            Note::Choose(Choice::Simple) => p.simple.clone(),
        }
    }

    /// An item of the service menu.
    pub fn item(&self, item: Item) -> &str {
        match item {
            Item::People => &self.menu.items.people,
            Item::Close => &self.menu.items.close,
        }
    }
}
