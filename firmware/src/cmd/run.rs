//! `limen run`: watch the door until told to stop (SIGTERM, SIGINT), or until the clip ends; SIGHUP reads the
//! configuration again.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use limen_gallery_db::Event;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cmd::{Exit, events};
use crate::config::Config;
use crate::daemon::{self, Ended, Orders};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Run {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print every event on standard output as it is written, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Run) -> Result<Exit> {
    let mut config = Config::load(&args.config)?;
    let orders = Orders { config: Some(args.config.clone()), ..Orders::default() };
    for (signal, flag) in [(SIGTERM, &orders.stop), (SIGINT, &orders.stop), (SIGHUP, &orders.reload)] {
        signal_hook::flag::register(signal, flag.clone()).context("signals cannot be caught")?;
    }
    let json = args.json;
    let mut report = |event: &Event| {
        let line = if json { events::to_json(event) } else { to_text(event) };
        // The door goes on when nobody reads its output any more; the journal has every event.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    };
    loop {
        let Ended { summary, next } = daemon::run(&config, &orders, &mut report)?;
        crate::tell!(
            Info,
            "stopped after {} frames: {} granted, {} denied",
            summary.frames,
            summary.granted,
            summary.denied
        );
        match next {
            Some(read_again) if !orders.stop.load(Ordering::SeqCst) => config = read_again,
            _ => return Ok(Exit::Yes),
        }
    }
}

fn to_text(event: &Event) -> String {
    let opt = |v: Option<String>| v.map_or(String::new(), |v| format!("  {v}"));
    format!(
        "{}  {}{}{}{}",
        event.time.strftime("%H:%M:%S"),
        event.kind.as_str(),
        opt(event.external_id.clone()),
        opt(event.reason.clone()),
        opt(event.score.map(|s| format!("score {s}")))
    )
}
