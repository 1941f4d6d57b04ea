//! `limen card`: whose card is which. Numbers are not kept: what is kept finds the card again, and nothing else.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Subcommand;
use jiff::Timestamp;
use limen_gallery_db::{
    Credential, CredentialId, CredentialKey, CredentialKind, EventKind, Gallery, NewEvent, Subject,
};
use serde_json::json;

use crate::cmd::gallery::{self, File, open_to_read};
use crate::cmd::{Exit, pin};
use crate::input::CardNumber;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give a person a card
    Add {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The person's id
        id: String,
        /// Its number: as its reader types it, or 26:FACILITY:NUMBER; asked for, and not shown, if left out
        number: Option<String>,
    },
    /// Take a card back
    Remove {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The person's id
        id: String,
        /// Which one, by its number in `limen card list`
        card: i64,
    },
    /// Who has which cards, and who has a PIN: when each was given, never its number
    List {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// One JSON object a card or PIN, a line each
        #[arg(long)]
        json: bool,
        /// The person's id; everybody, if left out
        id: Option<String>,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> Result<Exit> {
    match command {
        Command::Add { file, id, number } => {
            let number: CardNumber = match number {
                Some(number) => number.parse()?,
                None => {
                    pin::asked_once("The card's number, which is not shown (or hold it to a reader here): ")?
                        .parse()?
                }
            };
            let mut gallery = file.open()?;
            let subject = gallery::find(&gallery, id)?;
            let key = number.key(&gallery.secret()?);
            let given = give(&mut gallery, &subject, CredentialKind::Card, &key)?;
            crate::say!("{id} has card {} now", given.id);
            Ok(Exit::Yes)
        }
        Command::Remove { file, id, card } => {
            let mut gallery = file.open()?;
            let which = |c: &Credential| c.id == CredentialId::new(*card) && c.kind == CredentialKind::Card;
            take(&mut gallery, id, which)?.with_context(|| {
                format!("{id} has no card {card}; `limen card list {id}` shows which they have")
            })?;
            crate::say!("{id} has card {card} no more");
            Ok(Exit::Yes)
        }
        Command::List { file, json, id } => list(&file.path()?, id.as_deref(), *json),
    }
}

/// Gives a person something, and writes it down.
pub fn give(
    gallery: &mut Gallery,
    subject: &Subject,
    kind: CredentialKind,
    key: &CredentialKey,
) -> Result<Credential> {
    let now = Timestamp::now();
    Ok(gallery.noting(event(now, "given", subject, kind)).give_credential(subject.id, kind, key, now)?)
}

/// Takes from a person what `which` says, and writes it down; `None` if they have no such thing.
pub fn take(
    gallery: &mut Gallery,
    id: &str,
    which: impl Fn(&Credential) -> bool,
) -> Result<Option<Credential>> {
    let subject = gallery::find(gallery, id)?;
    let Some(found) = gallery.credentials(subject.id)?.into_iter().find(which) else { return Ok(None) };
    let event = event(Timestamp::now(), "taken", &subject, found.kind);
    Ok(Some(gallery.noting(event).take_credential(found.id)?))
}

fn event(now: Timestamp, reason: &str, subject: &Subject, kind: CredentialKind) -> NewEvent {
    let event = NewEvent::new(now, EventKind::Credential).about(subject.id).because(reason);
    NewEvent { detail: Some(json!({ "what": kind })), ..event }
}

fn list(path: &Path, id: Option<&str>, as_json: bool) -> Result<Exit> {
    let gallery = open_to_read(path)?;
    let people = match id {
        Some(id) => vec![gallery::find(&gallery, id)?],
        None => gallery.subjects()?,
    };
    if !as_json {
        crate::say!("{:<16} {:>6}  {:<10} given", "id", "number", "what");
    }
    for person in people {
        for c in gallery.credentials(person.id)? {
            if as_json {
                let line = json!({
                    "id": person.external_id, "number": c.id, "what": c.kind, "given": c.created,
                });
                crate::say!("{line}");
            } else {
                crate::say!("{:<16} {:>6}  {:<10} {}", person.external_id, c.id, c.kind, c.created);
            }
        }
    }
    Ok(Exit::Yes)
}
