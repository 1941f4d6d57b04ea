//! `limen verify`: does this photograph show that person (1:1)?

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cmd::probe::only_embedding;
use crate::cmd::{Exit, Site, shown};
use crate::decide::{Candidate, Claim, Decision, Evidence, Face, Person, Policy, decide};
use crate::gate::standing;
use crate::recognise::{GalleryFile, Recogniser};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    site: Site,
    /// The person's id
    #[arg(long)]
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// A photograph of one person alone
    #[arg(value_name = "PHOTO")]
    photo: PathBuf,
}

/// Runs the command.
pub fn run(args: &Verify) -> Result<Exit> {
    let recogniser = Recogniser::open(&args.site.config()?, None, GalleryFile::MustExist)?;
    let Some(subject) = recogniser.gallery.subject_by_external_id(&args.id)? else {
        bail!("nobody in the gallery has the id {}; `limen gallery list` shows who is there", args.id);
    };
    let (embedding, _) = only_embedding(&recogniser, &args.photo)?;
    let score = recogniser.gallery.verify(&recogniser.model, subject.id, embedding.values())?;
    let Some(score) = score else {
        bail!("{} has no template of model {}; enrol the person again", args.id, recogniser.model);
    };
    // A claimed identity has no rivals, and a photograph no second frame.
    let threshold = recogniser.policy.verify_threshold;
    let policy = Policy { min_frames: 1, threshold, ..recogniser.policy };
    let person = Person::anywhere(subject.external_id.clone(), standing(&subject, Timestamp::now()));
    let face = Face {
        best: Some(Candidate { person, score: score.value() }),
        margin: None,
        frames: 1,
        fault: None,
        companions: 0,
    };
    let evidence = Evidence { face: Some(face), claim: Claim::Nobody, lockdown: false };
    let decision = decide(&evidence, &policy);
    let yes = matches!(decision, Decision::Grant { .. });
    let reason = match &decision {
        Decision::Deny(why) => Some(why.code()),
        _ => None,
    };
    if args.json {
        crate::say!(
            "{}",
            json!({
                "id": args.id, "verified": yes, "reason": reason, "score": score.value(),
                "threshold": policy.threshold, "model": recogniser.model.as_str(),
            })
        );
    } else {
        let verdict = if yes {
            format!("is {}", args.id)
        } else {
            format!("not accepted as {}: {}", args.id, reason.unwrap_or("undecided"))
        };
        crate::say!("{}: {verdict} (score {score}, threshold {:.4})", shown(&args.photo), policy.threshold);
    }
    Ok(if yes { Exit::Yes } else { Exit::No })
}
