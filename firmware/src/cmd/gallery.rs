//! `limen gallery`: list, show, change, suspend, remove, erase, export, import.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use limen_gallery_db::{EventKind, Gallery, GalleryError, Journal, NewEvent, OnExisting, Standing, Subject};
use serde_json::json;

use crate::cmd::{Exit, shown};
use crate::config::Config;

pub mod change;

/// Which gallery.
#[derive(Debug, Args)]
pub struct File {
    /// Configuration file that names the gallery; the defaults otherwise
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Gallery file, in place of the configuration's
    #[arg(long, value_name = "FILE")]
    pub(super) gallery: Option<PathBuf>,
}

impl File {
    /// Its path.
    pub fn path(&self) -> Result<PathBuf> {
        Ok(match (&self.gallery, &self.config) {
            (Some(path), _) => path.clone(),
            (None, Some(config)) => Config::load(config)?.gallery.file,
            (None, None) => Config::default().gallery.file,
        })
    }

    /// The gallery itself.
    pub fn open(&self) -> Result<Gallery> {
        Ok(Gallery::open(&self.path()?)?)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everybody enrolled
    List {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// One JSON object a person, a line each
        #[arg(long)]
        json: bool,
    },
    /// One person with templates
    Show {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// The person's id
        id: String,
    },
    /// Change a person's name, groups, validity or consent; templates stay
    Change(change::Change),
    /// Deny a person without forgetting them
    Suspend {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The person's id
        id: String,
    },
    /// Let a suspended person in again
    Resume {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// The person's id
        id: String,
    },
    /// Forget people: name, data and templates are overwritten; their events keep the id alone
    Remove {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Forget people altogether: as remove, and their events no longer say whom they concerned
    Erase {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Their ids, also of people removed before
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Write everybody to one new file
    Export {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// With the journal
        #[arg(long)]
        events: bool,
        /// The new file
        to: PathBuf,
    },
    /// Take people over from an exported file, all or nothing
    Import {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// What happens to an id that is here already
        #[arg(long, value_enum, default_value = "skip")]
        existing: OnExistingArg,
        /// The exported file
        from: PathBuf,
    },
}

/// What happens to an id that is here already.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnExistingArg {
    /// Stays as it is.
    Skip,
    /// Is replaced.
    Replace,
}

/// Runs the command.
pub fn run(command: &Command) -> Result<Exit> {
    match command {
        Command::List { file, json } => list(&open_to_read(&file.path()?)?, *json),
        Command::Show { file, json, id } => show(&open_to_read(&file.path()?)?, id, *json),
        Command::Change(c) => change::run(c),
        Command::Suspend { file, id } => stand(file, id, Standing::Suspended),
        Command::Resume { file, id } => stand(file, id, Standing::Active),
        Command::Remove { file, ids } => remove(file, ids),
        Command::Erase { file, ids } => erase(file, ids),
        Command::Export { file, events, to } => {
            let journal = if *events { Journal::Take } else { Journal::Leave };
            let report = open_to_read(&file.path()?)?.export(to, journal)?;
            crate::say!(
                "{}: {} people, {} templates, {} events",
                shown(to),
                report.subjects,
                report.templates,
                report.events
            );
            if let Some(head) = report.head {
                crate::say!("the journal ended at {head}");
            }
            Ok(Exit::Yes)
        }
        Command::Import { file, existing, from } => {
            let existing = match existing {
                OnExistingArg::Skip => OnExisting::Skip,
                OnExistingArg::Replace => OnExisting::Replace,
            };
            let mut gallery = file.open()?;
            let event = NewEvent::new(Timestamp::now(), EventKind::Imported);
            let report = gallery.noting(event).import(from, existing)?;
            crate::say!(
                "{}: {} people added, {} replaced, {} left as they were; {} templates, {} events",
                shown(from),
                report.added,
                report.replaced,
                report.skipped,
                report.templates,
                report.events
            );
            Ok(Exit::Yes)
        }
    }
}

/// Opens a gallery that must be there already.
pub fn open_to_read(path: &Path) -> Result<Gallery> {
    match Gallery::open_read_only(path) {
        // An older file, or one whose last writer was cut off, is brought up to date by opening it for writing.
        Err(GalleryError::Older { .. } | GalleryError::ReadOnly { .. }) => Ok(Gallery::open(path)?),
        other => Ok(other?),
    }
}

fn list(gallery: &Gallery, as_json: bool) -> Result<Exit> {
    let subjects = gallery.subjects()?;
    if !as_json {
        crate::say!("{:<16} {:<28} {:>9}  {:<10} groups", "id", "name", "templates", "standing");
    }
    for s in &subjects {
        let templates = gallery.templates(s.id)?.len();
        if as_json {
            crate::say!("{}", to_json(s, templates));
        } else {
            crate::say!(
                "{:<16} {:<28} {templates:>9}  {:<10} {}",
                s.external_id,
                s.name,
                word(s.standing),
                s.groups.join(", ")
            );
        }
    }
    if !as_json {
        crate::say!("{} enrolled", subjects.len());
    }
    Ok(Exit::Yes)
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Suspended => "suspended",
    }
}

fn to_json(s: &Subject, templates: usize) -> serde_json::Value {
    json!({
        "id": s.external_id, "uuid": s.id.to_string(), "name": s.name, "groups": s.groups,
        "standing": word(s.standing), "valid_from": s.valid_from, "valid_until": s.valid_until,
        "consent": s.consent, "created": s.created, "templates": templates,
    })
}

/// The person with that id.
pub fn find(gallery: &Gallery, id: &str) -> Result<Subject> {
    Ok(gallery
        .subject_by_external_id(id)?
        .ok_or_else(|| GalleryError::UnknownSubject { id: id.to_owned() })?)
}

fn show(gallery: &Gallery, id: &str, as_json: bool) -> Result<Exit> {
    let s = find(gallery, id)?;
    let templates = gallery.templates(s.id)?;
    if as_json {
        let mut object = to_json(&s, templates.len());
        object["templates"] = templates
            .iter()
            .map(|t| {
                json!({
                    "model": t.model.as_str(), "length": t.vector.length(), "quality": t.quality,
                    "source": t.source, "created": t.created,
                })
            })
            .collect();
        crate::say!("{object}");
        return Ok(Exit::Yes);
    }
    let time = |t: Option<Timestamp>| t.map_or("-".to_owned(), |t| t.to_string());
    crate::say!("id        {}\nname      {}\nstanding  {}", s.external_id, s.name, word(s.standing));
    crate::say!("groups    {}", if s.groups.is_empty() { "-".into() } else { s.groups.join(", ") });
    crate::say!("valid     {} to {}", time(s.valid_from), time(s.valid_until));
    crate::say!("consent   {}\nenrolled  {}", time(s.consent), s.created);
    for t in &templates {
        crate::say!(
            "template  {} values, quality {:.2}, {}, {}",
            t.vector.length(),
            t.quality,
            t.model,
            t.source
        );
    }
    Ok(Exit::Yes)
}

fn stand(file: &File, id: &str, standing: Standing) -> Result<Exit> {
    let mut gallery = file.open()?;
    let subject = find(&gallery, id)?;
    let event = NewEvent::new(Timestamp::now(), standing.into()).about(subject.id);
    gallery.noting(event).set_standing(subject.id, standing)?;
    crate::say!("{id} is {} now", word(standing));
    Ok(Exit::Yes)
}

fn remove(file: &File, ids: &[String]) -> Result<Exit> {
    let mut gallery = file.open()?;
    // All or nobody: a mistyped id must not leave half the list removed.
    let subjects = ids.iter().map(|id| find(&gallery, id)).collect::<Result<Vec<_>>>()?;
    for s in subjects {
        let event = NewEvent::new(Timestamp::now(), EventKind::Removed).about_id(&s.external_id);
        gallery.noting(event).remove_subject(s.id)?;
        crate::say!("{} removed", s.external_id);
    }
    Ok(Exit::Yes)
}

fn erase(file: &File, ids: &[String]) -> Result<Exit> {
    let mut gallery = file.open()?;
    for id in ids {
        let event = NewEvent::new(Timestamp::now(), EventKind::Removed).because("erased");
        let events = gallery.noting(event).erase_subject(id)?;
        crate::say!("{id} erased; {events} events no longer say whom they concerned");
    }
    Ok(Exit::Yes)
}
