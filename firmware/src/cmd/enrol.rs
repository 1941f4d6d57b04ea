//! `limen enrol`: photographs of one person into the gallery, each with a verdict.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use limen_gallery_db::GalleryError;
use limen_gallery_db::enrol::{DuplicateRule, EnrolPolicy, EnrolRefusal, Existing, Sample};
use limen_gallery_db::event::{EventKind, NewEvent};
use limen_gallery_db::subject::NewSubject;
use serde_json::json;

use crate::cmd::probe::{faults, look, progress};
use crate::cmd::{Exit, Site, photo_exit, shown};
use crate::kiosk;
use crate::recognise::{GalleryFile, Recogniser};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Enrol {
    #[command(flatten)]
    site: Site,
    /// The person's id, unique, such as a personnel number
    #[arg(long)]
    id: String,
    /// The name shown at the door
    #[arg(long)]
    name: String,
    /// Groups, separated by commas
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// First moment of validity, such as 2026-12-01T08:00:00+01:00
    #[arg(long, value_name = "TIME")]
    valid_from: Option<Timestamp>,
    /// End of validity
    #[arg(long, value_name = "TIME")]
    valid_until: Option<Timestamp>,
    /// The person has agreed to be recognised here; recorded with the time
    #[arg(long)]
    consent: bool,
    /// The id is already enrolled: add these photographs to it
    #[arg(long, conflicts_with = "replace")]
    add: bool,
    /// The id is already enrolled: these photographs take the place of the old ones
    #[arg(long)]
    replace: bool,
    /// Enrol although the face resembles somebody else's (twins)
    #[arg(long)]
    allow_duplicate: bool,
    /// Photographs that must be usable
    #[arg(long, default_value_t = 1)]
    min_photos: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Photographs, each of this person alone
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Enrol) -> Result<Exit> {
    let config = args.site.config()?;
    let mut recogniser = Recogniser::open(&config, None, GalleryFile::MayBeNew)?;
    let mut samples = Vec::new();
    let mut refused: Vec<(String, String)> = Vec::new();
    let mut worst = Exit::Refused;
    let bar = progress(args.photos.len());
    for path in &args.photos {
        bar.inc(1);
        let mut refuse = |why: String| refused.push((shown(path), why));
        let photo = match look(&recogniser, path)? {
            Ok(photo) => photo,
            Err(e) => {
                worst = photo_exit(&e);
                refused.push((shown(path), without_path(&e.to_string(), &shown(path))));
                continue;
            }
        };
        match photo.only_face() {
            Err(why) => refuse(why),
            Ok(face) => match &face.embedding {
                None => refuse(faults(face)),
                Some(e) => samples.push(Sample {
                    vector: e.values().to_vec(),
                    quality: face.quality.score,
                    source: path
                        .file_name()
                        .map_or_else(String::new, |n| n.to_string_lossy().chars().take(256).collect()),
                }),
            },
        }
    }
    bar.finish_and_clear();
    for (photo, why) in refused.iter().filter(|_| !args.json) {
        eprintln!("{photo}: not used: {why}");
    }
    if samples.len() < args.min_photos.max(1) {
        if args.json {
            crate::say!(
                "{}",
                json!({ "enrolled": false, "id": args.id, "reason": "too-few-photos", "not_used": listed(&refused) })
            );
        } else {
            eprintln!(
                "limen: {} not enrolled: {} of {} photographs can be used, {} needed; nothing was changed",
                args.id,
                samples.len(),
                args.photos.len(),
                args.min_photos.max(1)
            );
        }
        return Ok(if samples.is_empty() && args.photos.len() == 1 { worst } else { Exit::Refused });
    }
    let policy = policy(args, &recogniser)?;
    let mut subject = NewSubject::new(&args.id, &args.name);
    subject.groups.clone_from(&args.groups);
    (subject.valid_from, subject.valid_until) = (args.valid_from, args.valid_until);
    subject.consent = args.consent.then(Timestamp::now);
    let model = recogniser.model.clone();
    let mut event = NewEvent::new(Timestamp::now(), EventKind::Enrolled).about_id(&args.id);
    event.model = Some(model.clone());
    let enrolment = match recogniser.gallery.noting(event).enrol(&subject, &model, &samples, &policy) {
        Ok(enrolment) => enrolment,
        Err(GalleryError::Enrolment(refusal)) => return Ok(say_refused(args, &refusal, &refused)),
        Err(e) => return Err(e.into()),
    };
    let dropped: Vec<(String, String)> =
        enrolment.dropped.iter().map(|d| (d.source.clone(), d.fault.to_string())).collect();
    if args.json {
        crate::say!(
            "{}",
            json!({
                "enrolled": true, "id": args.id, "templates": enrolment.kept.len(),
                "not_used": listed(&refused.iter().chain(&dropped).cloned().collect::<Vec<_>>()),
                "look_alikes": enrolment.look_alikes.iter().map(|l| json!({ "id": l.external_id, "score": l.score.value() })).collect::<Vec<_>>(),
            })
        );
    } else {
        for (photo, why) in &dropped {
            eprintln!("{photo}: not used: {why}");
        }
        for l in &enrolment.look_alikes {
            eprintln!("warning: resembles {} (score {})", l.external_id, l.score);
        }
        crate::say!(
            "{} enrolled with {} of {} photographs",
            args.id,
            enrolment.kept.len(),
            args.photos.len()
        );
    }
    Ok(Exit::Yes)
}

fn policy(args: &Enrol, recogniser: &Recogniser) -> Result<EnrolPolicy> {
    let existing = match (args.add, args.replace) {
        (true, _) => Existing::AddSamples,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    };
    Ok(EnrolPolicy {
        min_samples: args.min_photos.max(1),
        allow_duplicate: if args.allow_duplicate { DuplicateRule::Allow } else { DuplicateRule::Refuse },
        ..kiosk::policy(recogniser.policy.threshold, existing)?
    })
}

fn say_refused(args: &Enrol, refusal: &EnrolRefusal, refused: &[(String, String)]) -> Exit {
    let (code, help) = match refusal {
        EnrolRefusal::AlreadyEnrolled { .. } => ("already-enrolled", " (--add or --replace)"),
        EnrolRefusal::TooFewSamples { .. } => ("samples-disagree", ""),
        EnrolRefusal::DuplicatePerson { .. } => ("duplicate-person", " (--allow-duplicate)"),
        EnrolRefusal::NoRoom { .. } => ("no-room", " (--replace)"),
    };
    if args.json {
        crate::say!(
            "{}",
            json!({ "enrolled": false, "id": args.id, "reason": code, "why": refusal.to_string(), "not_used": listed(refused) })
        );
    } else {
        eprintln!("limen: {} not enrolled: {refusal}{help}; nothing was changed", args.id);
    }
    Exit::Refused
}

fn listed(refused: &[(String, String)]) -> Vec<serde_json::Value> {
    refused.iter().map(|(photo, why)| json!({ "photo": photo, "why": why })).collect()
}

/// The message of a photograph's error without the path that stands before it already.
fn without_path(message: &str, path: &str) -> String {
    message.strip_prefix(path).map_or(message, |m| m.trim_start_matches(": ")).to_owned()
}
