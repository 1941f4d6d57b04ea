//! `limen replay`: decides once more on the evidence that an event keeps, and compares.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cmd::Exit;
use crate::cmd::events::show;
use crate::cmd::gallery::{File, open_to_read};
use crate::gate::record::{Record, written};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    file: File,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The event's number
    seq: i64,
}

/// Runs the command. `Exit::No` when this program would decide otherwise.
pub fn run(args: &Replay) -> Result<Exit> {
    let event = show::event(&open_to_read(&args.file.path()?)?, args.seq)?;
    let record = Record::of(&event)?;
    let decision = record.decide();
    let now = written(&decision);
    let same = now.is_some_and(|(kind, reason)| kind == event.kind && reason == event.reason.as_deref());
    let (kind, reason) = now.map_or(("nothing", None), |(kind, reason)| (kind.as_str(), reason));
    if args.json {
        crate::say!(
            "{}",
            json!({
                "seq": args.seq, "same": same, "then": { "kind": event.kind, "reason": event.reason },
                "now": { "kind": kind, "reason": reason }, "version_then": record.version,
            })
        );
    } else {
        let said =
            |kind: &str, reason: Option<&str>| reason.map_or(kind.to_owned(), |r| format!("{kind}, {r}"));
        let (then, now) = (said(event.kind.as_str(), event.reason.as_deref()), said(kind, reason));
        match same {
            true => crate::say!("event {}: {then}; the same now", args.seq),
            false => {
                crate::say!("event {}: {then}, by limen {}; now it would be {now}", args.seq, record.version)
            }
        }
    }
    Ok(if same { Exit::Yes } else { Exit::No })
}
