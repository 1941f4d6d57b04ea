//! `limen gallery change`: name, groups, validity and consent of a person; templates stay.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use limen_gallery_db::{EventKind, NewEvent};

use crate::cmd::Exit;
use crate::cmd::gallery::{File, find};
use crate::people::moment::{first_moment, last_moment};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Change {
    /// Which gallery.
    #[command(flatten)]
    file: File,
    /// The name shown at the door
    #[arg(long)]
    name: Option<String>,
    /// Groups, separated by commas, in place of the old ones; "" for none
    #[arg(long, value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// First day or moment of validity; "none" for no beginning
    #[arg(long, value_name = "TIME", value_parser = beginning)]
    valid_from: Option<Bound>,
    /// Last day, or end of validity; "none" for no end
    #[arg(long, value_name = "TIME", value_parser = end)]
    valid_until: Option<Bound>,
    /// The person has agreed to be recognised here; recorded with the time
    #[arg(long)]
    consent: bool,
    /// The person's id
    id: String,
}

/// An end of the validity.
#[derive(Debug, Clone, Copy)]
enum Bound {
    None,
    At(Timestamp),
}

impl Bound {
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::At(time) => Some(time),
        }
    }
}

fn beginning(text: &str) -> Result<Bound, String> {
    if text == "none" { Ok(Bound::None) } else { first_moment(text).map(Bound::At) }
}

fn end(text: &str) -> Result<Bound, String> {
    if text == "none" { Ok(Bound::None) } else { last_moment(text).map(Bound::At) }
}

/// Runs the command.
pub fn run(args: &Change) -> Result<Exit> {
    let mut gallery = args.file.open()?;
    let old = find(&gallery, &args.id)?;
    let mut new = old.clone();
    if let Some(name) = &args.name {
        new.name.clone_from(name);
    }
    if let Some(groups) = &args.groups {
        new.groups = groups.iter().filter(|g| !g.is_empty()).cloned().collect();
    }
    if let Some(from) = args.valid_from {
        new.valid_from = from.time();
    }
    if let Some(until) = args.valid_until {
        new.valid_until = until.time();
    }
    if args.consent {
        new.consent = Some(Timestamp::now());
    }
    if new == old {
        crate::say!("{} is as it was", args.id);
        return Ok(Exit::Yes);
    }
    let event = NewEvent::new(Timestamp::now(), EventKind::Changed).about(old.id);
    gallery.noting(event).update_subject(&new)?;
    crate::say!("{} changed", args.id);
    Ok(Exit::Yes)
}
