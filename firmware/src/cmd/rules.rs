//! `limen rules`: who may pass, when, and by what: show, check, try, set, clear.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::DateTime;
use limen_gallery_db::{EventKind, Gallery, NewEvent};
use serde_json::json;

use crate::cmd::gallery::File;
use crate::cmd::{Exit, shown};
use crate::gate::{House, RulesText};
use crate::rules::access::Access;
use crate::rules::{EXAMPLE, Persons};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the rules in force, as they were written
    Show {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Print an example with a comment on each field instead
        #[arg(long)]
        example: bool,
    },
    /// Check a file of rules without taking it over
    Check {
        /// The file
        rules: PathBuf,
    },
    /// Take over a file of rules; a running door follows them within a second
    Set {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The file
        rules: PathBuf,
    },
    /// Take the rules away: everybody in the gallery passes by their face, at any time
    Clear {
        /// Which gallery.
        #[command(flatten)]
        file: File,
    },
    /// Say whether a person may pass a door at a time, and what they must show
    Try {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The door, as the rules call it
        #[arg(long, default_value = "front")]
        door: String,
        /// Local time, such as 2026-11-30T08:15; now otherwise
        #[arg(long)]
        at: Option<DateTime>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// The person's id
        id: String,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> Result<Exit> {
    match command {
        Command::Show { example: true, .. } => crate::say!("{}", EXAMPLE.trim_end()),
        Command::Show { file, .. } => match file.open()?.setting::<RulesText>()? {
            Some(RulesText(text)) => crate::say!("{}", text.trim_end()),
            None => crate::say!("# No rules: everybody in the gallery passes by their face, at any time."),
        },
        Command::Check { rules } => {
            read(rules)?;
            crate::say!("{}: good", shown(rules));
        }
        Command::Set { file, rules } => {
            let text = read(rules)?;
            file.open()?.noting(event("set")).set(&RulesText(text))?;
            eprintln!("{}: taken over", shown(rules));
        }
        Command::Clear { file } => {
            file.open()?.noting(event("cleared")).unset::<RulesText>()?;
            eprintln!("no rules: everybody in the gallery passes by their face, at any time");
        }
        Command::Try { file, door, at, json, id } => return tried(&file.open()?, (door, *at), *json, id),
    }
    Ok(Exit::Yes)
}

fn event(reason: &str) -> NewEvent {
    NewEvent::new(Timestamp::now(), EventKind::Rules).because(reason)
}

/// A file of rules that can be used on this machine.
fn read(path: &PathBuf) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", shown(path)))?;
    House::new(&text, "").with_context(|| shown(path))?;
    Ok(text)
}

fn tried(gallery: &Gallery, (door, at): (&str, Option<DateTime>), json: bool, id: &str) -> Result<Exit> {
    let Some(subject) = gallery.subject_by_external_id(id)? else {
        bail!("nobody in the gallery has the id {id}; `limen gallery list` shows who is there");
    };
    let house = House::of(gallery, door)?;
    let at = at.unwrap_or_else(|| house.local(Timestamp::now()));
    let blocked = house.rules.is_blocked(&subject.groups);
    // Who comes first is not asked: what it says is said of a day on which they have come.
    let access = house.rules.access(&subject.groups, door, at, &house.rules.first_comers());
    let (word, ways) = match access {
        _ if blocked => ("blocked", Vec::new()),
        Access::Never => ("not-here", Vec::new()),
        Access::NotNow => ("outside-hours", Vec::new()),
        Access::NotYet => ("not-yet-opened", Vec::new()),
        Access::Now(ways) => ("may-pass", ways),
    };
    if json {
        let ways: Vec<_> = ways
            .iter()
            .map(|w| json!({ "rule": w.rule, "needs": w.needs.to_string(), "persons": persons(w.persons) }))
            .collect();
        crate::say!(
            "{}",
            json!({ "id": id, "door": door, "at": at.to_string(), "answer": word, "ways": ways })
        );
    } else if ways.is_empty() {
        crate::say!("{id} at {door}, {at}: {word}");
    }
    for w in ways.iter().filter(|_| !json) {
        let pair = if persons(w.persons) == 2 { ", two people" } else { "" };
        crate::say!("{id} at {door}, {at}: by \"{}\": {}{pair}", w.rule, w.needs);
    }
    Ok(if word == "may-pass" { Exit::Yes } else { Exit::No })
}

fn persons(persons: Persons) -> u32 {
    match persons {
        Persons::One => 1,
        Persons::Two { .. } => 2,
    }
}
