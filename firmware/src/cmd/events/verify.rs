//! `limen events verify`: is the journal still what was written?

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use limen_gallery_db::{GalleryError, Head, backup};

use crate::cmd::Exit;
use crate::cmd::gallery::{File, open_to_read};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    file: File,
    /// Where the journal ended once, as this command printed it then: NUMBER:HASH
    #[arg(long, value_name = "HEAD")]
    head: Vec<Head>,
    /// An export, which knows where the journal ended when it was made
    #[arg(long, value_name = "FILE")]
    export: Vec<PathBuf>,
}

/// Runs the command. `Exit::No` when the journal is not as it was written.
pub fn run(args: &Verify) -> Result<Exit> {
    let mut known = args.head.clone();
    for export in &args.export {
        known.extend(backup::head_of(export).context("the export does not help")?);
    }
    let gallery = open_to_read(&args.file.path()?)?;
    let whole = match gallery.verify_journal(&known) {
        Ok(whole) => whole,
        Err(broken @ GalleryError::Broken { .. }) => {
            crate::say!("{broken}");
            return Ok(Exit::No);
        }
        Err(e) => return Err(e.into()),
    };
    let events = if whole.events == 1 { "1 event".to_owned() } else { format!("{} events", whole.events) };
    let forgotten = match whole.forgotten {
        0 => String::new(),
        n => format!(" ({n} made to forget whom they concerned)"),
    };
    crate::say!("{events}{forgotten}, each as it was written");
    if let Some(first) = whole.first.filter(|first| first.number() > 1) {
        crate::say!("the journal begins at event {first}; those before it were removed");
    }
    if let Some(head) = whole.head {
        crate::say!("head {head}");
    }
    Ok(Exit::Yes)
}
