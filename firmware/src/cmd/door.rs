//! `limen door`: what is told to a running door from elsewhere: open once, lock down, no more.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use limen_gallery_db::{Event, EventFilter, EventKind, Gallery, NewEvent, Order, Seq};
use serde_json::json;

use crate::act::orders::{DoorOrders, OpenOrder};
use crate::cmd::Exit;
use crate::cmd::gallery::File;

/// So long the door has to open.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most characters of a reason.
const MAX_WHY: usize = 200;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open it once, for a pulse
    Open {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Why; it stands in the journal
        #[arg(long, value_parser = why)]
        reason: String,
    },
    /// Let nobody in until told otherwise, also after the next start; the exit button and a fire open all the same
    Lockdown {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Why; it stands in the journal
        #[arg(long, value_parser = why)]
        reason: String,
    },
    /// End a lockdown
    Normal {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Why; it stands in the journal
        #[arg(long, value_parser = why)]
        reason: String,
    },
    /// Say whether it is locked down; exit code 1 if it is
    Status {
        /// Which gallery.
        #[command(flatten)]
        file: File,
    },
}

fn why(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_WHY || text.chars().any(char::is_control) {
        return Err(format!("1 to {MAX_WHY} characters in one line, without a name of anybody"));
    }
    Ok(text.to_owned())
}

/// Runs the command.
pub fn run(command: &Command) -> Result<Exit> {
    match command {
        Command::Open { file, reason } => open(file.open()?, reason),
        Command::Lockdown { file, reason } => lock(file.open()?, true, reason),
        Command::Normal { file, reason } => lock(file.open()?, false, reason),
        Command::Status { file } => {
            let locked = orders(&file.open()?)?.lockdown;
            crate::say!("{}", if locked { "locked down" } else { "normal" });
            Ok(if locked { Exit::No } else { Exit::Yes })
        }
    }
}

fn orders(gallery: &Gallery) -> Result<DoorOrders> {
    Ok(gallery.setting()?.unwrap_or_default())
}

fn lock(mut gallery: Gallery, lockdown: bool, why: &str) -> Result<Exit> {
    let before = orders(&gallery)?;
    if before.lockdown == lockdown {
        eprintln!("it is so already; nothing was changed");
        return Ok(Exit::Yes);
    }
    let reason = if lockdown { "lockdown" } else { "lockdown-over" };
    let event = NewEvent::new(Timestamp::now(), EventKind::DoorMode).because(reason);
    let event = NewEvent { detail: Some(json!({ "why": why })), ..event };
    gallery.noting(event).set(&DoorOrders { lockdown, ..before })?;
    eprintln!("{}", if lockdown { "locked down" } else { "the lockdown is over" });
    Ok(Exit::Yes)
}

fn open(mut gallery: Gallery, why: &str) -> Result<Exit> {
    let before = orders(&gallery)?;
    let number = before.open.as_ref().map_or(0, |o| o.number) + 1;
    let last = EventFilter { limit: Some(1), order: Order::NewestFirst, ..EventFilter::default() };
    let after = gallery.events(&last)?.first().map_or(Seq::new(0), |e| e.seq);
    let open = OpenOrder { number, at: Timestamp::now(), why: why.to_owned() };
    gallery.set(&DoorOrders { open: Some(open), ..before })?;
    let kinds = vec![EventKind::Granted, EventKind::Denied];
    let answers = EventFilter { after: Some(after), kinds, ..EventFilter::default() };
    let mine = |e: &Event| e.detail.as_ref().is_some_and(|d| d["order"] == number);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(event) = gallery.events(&answers)?.iter().find(|e| mine(e)) {
            if event.kind == EventKind::Granted {
                eprintln!("the door is open");
                return Ok(Exit::Yes);
            }
            eprintln!("the door stays shut: it is locked down (limen door normal)");
            return Ok(Exit::No);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("no door answers within {} s: is `limen run` running with this gallery?", PATIENCE.as_secs())
}
