//! `limen events`: the journal, for people, as JSON lines or as CSV.

pub mod show;
mod verify;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use limen_gallery_db::{Event, EventFilter, EventKind, EventRow, Order, Seq};

use crate::cmd::Exit;
use crate::cmd::gallery::{File, open_to_read};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Events {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    file: File,
    /// At or after this time, such as 2026-11-23T08:00:00Z, or so long ago: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only these kinds, separated by commas: granted, denied, enrolled, ...
    #[arg(long, value_delimiter = ',', value_name = "KIND", value_parser = kind)]
    kind: Vec<EventKind>,
    /// After this number, to go on reading
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
    /// The last so many only
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    /// One JSON object an event, a line each
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// CSV with a header
    #[arg(long)]
    csv: bool,
}

/// What to do with the journal instead of printing it.
#[derive(Debug, Subcommand)]
enum Instead {
    /// Check that every event is as it was written, and none is missing
    Verify(verify::Verify),
    /// Show one event and what a decision rested on
    Show(show::Show),
}

fn kind(text: &str) -> Result<EventKind, String> {
    EventKind::ALL.iter().copied().find(|k| k.as_str() == text).ok_or_else(|| {
        format!("one of {}", EventKind::ALL.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", "))
    })
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let bad = || "a time such as 2026-11-23T08:00:00Z, or an age such as 30m, 12h or 7d".to_owned();
    if let Ok(t) = text.parse() {
        return Ok(t);
    }
    let unit = text.chars().last().ok_or_else(bad)?;
    let number: i64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(bad)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let age = number.checked_mul(seconds).filter(|s| (0..=3_000_000_000).contains(s)).ok_or_else(bad)?;
    Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(age)).map_err(|_| bad())
}

/// Runs the command.
pub fn run(args: &Events) -> Result<Exit> {
    match &args.instead {
        Some(Instead::Verify(args)) => return verify::run(args),
        Some(Instead::Show(args)) => return show::run(args),
        None => {}
    }
    let gallery = open_to_read(&args.file.path()?)?;
    let mut events = gallery.events(&EventFilter {
        since: args.since,
        until: args.until,
        kinds: args.kind.clone(),
        subject: None,
        after: args.after.map(Seq::new),
        limit: args.last,
        order: if args.last.is_some() { Order::NewestFirst } else { Order::OldestFirst },
    })?;
    if args.last.is_some() {
        events.reverse();
    }
    if args.csv {
        let mut out = csv::Writer::from_writer(std::io::stdout().lock());
        for event in events {
            out.serialize(EventRow::from(event)).context("standard output cannot be written")?;
        }
        out.flush()?;
    } else {
        for event in &events {
            crate::say!("{}", if args.json { to_json(event) } else { to_text(event) });
        }
    }
    Ok(Exit::Yes)
}

/// One line of JSON; the keys are those of the CSV.
pub fn to_json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
}

fn to_text(e: &Event) -> String {
    let opt = |label: &str, v: Option<String>| v.map_or(String::new(), |v| format!("  {label}{v}"));
    format!(
        "{:>6}  {}  {:<12}{}{}{}",
        e.seq.number(),
        e.time.strftime("%Y-%m-%d %H:%M:%SZ"),
        e.kind.as_str(),
        opt("", e.external_id.clone()),
        opt("", e.reason.clone()),
        opt("score ", e.score.map(|s| s.to_string())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_ages() {
        assert_eq!(moment("2026-11-23T08:00:00Z").unwrap().as_second(), 1_795_420_800);
        let hour = Timestamp::now().as_second() - moment("1h").unwrap().as_second();
        assert!((3600..3610).contains(&hour), "{hour}");
        for bad in ["", "h", "-1h", "1w", "yesterday", "99999999999999999d"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
