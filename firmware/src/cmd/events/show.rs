//! `limen events show`: one event, and what a decision rested on, line by line.

use anyhow::{Result, bail};
use clap::Args;
use limen_gallery_db::{Event, EventFilter, Gallery, Seq};

use crate::cmd::Exit;
use crate::cmd::gallery::{File, open_to_read};
use crate::decide::{Claim, Person};
use crate::gate::record::Record;
use crate::rules::access::Access;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    file: File,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The event's number
    seq: i64,
}

/// The event of this number.
pub fn event(gallery: &Gallery, seq: i64) -> Result<Event> {
    let filter = EventFilter { after: Some(Seq::new(seq - 1)), limit: Some(1), ..EventFilter::default() };
    match gallery.events(&filter)?.pop() {
        Some(event) if event.seq == Seq::new(seq) => Ok(event),
        _ => bail!("there is no event {seq} in the journal; `limen events --last 20` shows the newest"),
    }
}

/// Runs the command.
pub fn run(args: &Show) -> Result<Exit> {
    let event = event(&open_to_read(&args.file.path()?)?, args.seq)?;
    if args.json {
        crate::say!("{}", super::to_json(&event));
        return Ok(Exit::Yes);
    }
    crate::say!("{}", super::to_text(&event));
    let Ok(Record { evidence, policy, version }) = Record::of(&event) else {
        if let Some(detail) = &event.detail {
            crate::say!("  {detail}");
        }
        return Ok(Exit::Yes);
    };
    crate::say!(
        "  decided by limen {version}, model {}",
        event.model.as_ref().map_or("none", |m| m.as_str())
    );
    if evidence.lockdown {
        crate::say!("  the door was locked down");
    }
    match &evidence.face {
        None => crate::say!("  no face was in sight"),
        Some(face) => {
            let fault = face.fault.map_or("none", |f| f.code());
            crate::say!(
                "  face: {} good frames of {} needed, fault {fault}, {} others as large",
                face.frames,
                policy.min_frames,
                face.companions
            );
            if let Some(best) = &face.best {
                let margin = face.margin.map_or("nobody else".to_owned(), |m| format!("{m:.4}"));
                crate::say!(
                    "  best of the gallery (1:N): score {:.4}, threshold {:.4}; lead {margin}, least {:.4}",
                    best.score,
                    policy.threshold,
                    policy.min_margin
                );
                if evidence.claim == Claim::Nobody && best.score >= policy.threshold {
                    say_person(&best.person);
                }
            }
        }
    }
    match &evidence.claim {
        Claim::Nobody => {}
        Claim::Several => crate::say!("  what was shown names different people"),
        Claim::Unknown => crate::say!("  what was shown names nobody"),
        Claim::Locked => crate::say!("  what was shown was not looked at: too many wrong ones"),
        Claim::One(claimed) => {
            let score = claimed.score.map_or("none".to_owned(), |s| format!("{s:.4}"));
            crate::say!(
                "  shown: {}; face against that person (1:1): score {score}, threshold {:.4}",
                claimed.shown,
                policy.verify_threshold
            );
            say_person(&claimed.person);
        }
    }
    Ok(Exit::Yes)
}

fn say_person(person: &Person) {
    let since = person.since_grant_ms.map_or("not lately".to_owned(), |ms| format!("{ms} ms before"));
    crate::say!(
        "  person: {:?}; last let in {since}; anti-passback {:?}; vetoed {}",
        person.standing,
        person.passback,
        person.vetoed
    );
    match &person.access {
        Access::Never => crate::say!("  rules: none lets this person pass here"),
        Access::NotNow => crate::say!("  rules: none at this time"),
        Access::NotYet => crate::say!("  rules: none before others have come"),
        Access::Now(ways) => {
            for way in ways {
                crate::say!("  rule \"{}\": {} ({:?})", way.rule, way.needs, way.persons);
            }
        }
    }
}
