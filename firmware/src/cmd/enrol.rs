//! `limen enrol`: photographs of one person into the gallery, each with a verdict.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use limen_gallery_db::GalleryError;
use limen_gallery_db::enrol::{DuplicateRule, EnrolPolicy, EnrolRefusal, Existing};
use limen_gallery_db::event::{EventKind, NewEvent};
use limen_gallery_db::subject::NewSubject;
use serde_json::json;

use crate::cmd::probe::{look, progress, source_of, without_name};
use crate::cmd::{Exit, Site, photo_exit, shown};
use crate::kiosk;
use crate::people::moment::{first_moment, last_moment};
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
    /// First day or moment of validity, such as 2026-12-01 or 2026-12-01T08:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    valid_from: Option<Timestamp>,
    /// Last day, or end of validity
    #[arg(long, value_name = "TIME", value_parser = last_moment)]
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
        let photo = match look(&recogniser, path)? {
            Ok(photo) => photo,
            Err(e) => {
                worst = photo_exit(&e);
                refused.push((shown(path), without_name(&e, &shown(path))));
                continue;
            }
        };
        match photo.sample(source_of(path)) {
            Ok(sample) => samples.push(sample),
            Err(why) => refused.push((shown(path), why)),
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
    let existing = match (args.add, args.replace) {
        (true, _) => Existing::AddSamples,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    };
    let policy = policy(&recogniser, args.min_photos, duplicates(args.allow_duplicate), existing)?;
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

/// What `--allow-duplicate` says.
pub fn duplicates(allowed: bool) -> DuplicateRule {
    if allowed { DuplicateRule::Allow } else { DuplicateRule::Refuse }
}

/// What the photographs of a person must be like at this door.
pub fn policy(
    recogniser: &Recogniser,
    min_photos: usize,
    allow_duplicate: DuplicateRule,
    existing: Existing,
) -> Result<EnrolPolicy> {
    Ok(EnrolPolicy {
        min_samples: min_photos.max(1),
        allow_duplicate,
        ..kiosk::policy(recogniser.policy.threshold, existing)?
    })
}

/// A refusal's word for programs, and the option that goes on all the same.
pub fn coded(refusal: &EnrolRefusal) -> (&'static str, &'static str) {
    match refusal {
        EnrolRefusal::AlreadyEnrolled { .. } => ("already-enrolled", " (--add or --replace)"),
        EnrolRefusal::TooFewSamples { .. } => ("samples-disagree", ""),
        EnrolRefusal::DuplicatePerson { .. } => ("duplicate-person", " (--allow-duplicate)"),
        EnrolRefusal::NoRoom { .. } => ("no-room", " (--replace)"),
    }
}

fn say_refused(args: &Enrol, refusal: &EnrolRefusal, refused: &[(String, String)]) -> Exit {
    let (code, help) = coded(refusal);
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
