//! `limen identify`: who is on these photographs?

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use limen_models::pipeline::Face;
use serde_json::{Value, json};

use crate::cmd::probe::{Photo, face_json, faults, look, progress};
use crate::cmd::{Exit, Site, photo_exit, shown};
use crate::decide::{
    Candidate, Claim, Companions, Decision, Evidence, Face as Seen, Person, Policy, Request, decide,
};
use crate::gate::standing;
use crate::recognise::{GalleryFile, Match, Nearest, Recogniser};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Identify {
    #[command(flatten)]
    site: Site,
    /// One JSON object a photograph, a line each
    #[arg(long)]
    json: bool,
    /// Photographs; every face on each is looked up
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

/// One face and what the door would say to it.
struct Answer {
    name: Option<String>,
    id: Option<String>,
    score: Option<f32>,
    margin: Option<f32>,
    decision: Decision,
}

/// Runs the command. `Exit::Yes` when every photograph shows at least one face and each face is let in.
pub fn run(args: &Identify) -> Result<Exit> {
    let recogniser = Recogniser::open(&args.site.config()?, None, GalleryFile::MustExist)?;
    let mut exit = Exit::Yes;
    let bar = progress(args.photos.len());
    for path in &args.photos {
        bar.inc(1);
        let photo = match look(&recogniser, path)? {
            Ok(photo) => photo,
            Err(e) => {
                exit = photo_exit(&e);
                if args.json {
                    crate::say!("{}", json!({ "photo": shown(path), "error": e.to_string() }));
                } else {
                    eprintln!("limen: {e}");
                }
                continue;
            }
        };
        let answers = answer(&recogniser, &photo)?;
        let all_in =
            !answers.is_empty() && answers.iter().all(|a| matches!(a.decision, Decision::Grant { .. }));
        if !all_in && exit == Exit::Yes {
            exit = Exit::No;
        }
        // The bar steps aside for each line.
        bar.suspend(|| {
        if args.json {
            let faces: Vec<Value> = photo.faces.iter().zip(&answers).map(|(f, a)| to_json(f, a)).collect();
            crate::say!(
                "{}",
                json!({
                    "photo": shown(path), "width": photo.image.width(), "height": photo.image.height(),
                    "model": recogniser.model.as_str(), "threshold": recogniser.policy.threshold, "faces": faces,
                })
            );
        } else {
            if answers.is_empty() {
                crate::say!("{}: no face", shown(path));
            }
            for (face, a) in photo.faces.iter().zip(&answers) {
                crate::say!("{}: {}", shown(path), to_text(face, a));
            }
        }
        });
    }
    bar.finish_and_clear();
    Ok(exit)
}

fn answer(recogniser: &Recogniser, photo: &Photo) -> Result<Vec<Answer>> {
    // One photograph is all there is, and everybody on it is asked about.
    let policy = Policy { min_frames: 1, companions: Companions::Allowed, ..recogniser.policy };
    let mut answers = Vec::with_capacity(photo.faces.len());
    for face in &photo.faces {
        let Nearest { best, margin } = match &face.embedding {
            Some(e) => recogniser.nearest(e.values())?,
            None => Nearest::default(),
        };
        let seen = Seen {
            best: best.as_ref().map(|Match { subject, score }| Candidate {
                person: Person::anywhere(subject.external_id.clone(), standing(subject, Timestamp::now())),
                score: *score,
            }),
            margin,
            frames: u32::from(face.embedding.is_some()),
            fault: face.quality.reasons.first().copied(),
            companions: 0,
        };
        let score = seen.best.as_ref().map(|b| b.score);
        let decision = decide(&Evidence { face: Some(seen), claim: Claim::Nobody, lockdown: false }, &policy);
        let known = best.filter(|b| b.score >= policy.threshold).map(|b| b.subject);
        answers.push(Answer {
            score,
            id: known.as_ref().map(|s| s.external_id.clone()),
            name: known.map(|s| s.name),
            margin,
            decision,
        });
    }
    Ok(answers)
}

/// `grant`, `deny` or `ask`, and the reason's code.
fn words(decision: &Decision) -> (&'static str, Option<&'static str>) {
    match decision {
        Decision::Grant { .. } => ("grant", None),
        Decision::Deny(why) => ("deny", Some(why.code())),
        Decision::Ask(Request::Improve(reason)) => ("ask", Some(reason.code())),
        Decision::Ask(Request::OneAtATime) => ("ask", Some("one-at-a-time")),
        Decision::Ask(Request::Wait | Request::Show(_) | Request::SayWho) | Decision::Pair { .. } => {
            ("ask", Some("wait"))
        }
        Decision::Passed { .. } => ("passed", None),
    }
}

fn to_json(face: &Face, a: &Answer) -> Value {
    let (verdict, reason) = words(&a.decision);
    let mut object = face_json(face);
    object["decision"] = json!(verdict);
    object["reason"] = json!(reason);
    object["id"] = json!(a.id);
    object["name"] = json!(a.name);
    object["score"] = json!(a.score);
    object["margin"] = json!(a.margin);
    object
}

fn to_text(face: &Face, a: &Answer) -> String {
    let score = a.score.map_or(String::new(), |s| format!(" (score {s:.3})"));
    match (&a.decision, &a.name, &a.id) {
        (Decision::Grant { .. }, Some(name), Some(id)) => format!("{name} [{id}]{score}"),
        (Decision::Deny(why), Some(name), Some(id)) => format!("{name} [{id}]{score}, but {}", why.code()),
        (Decision::Deny(why), ..) => format!("{}{score}", why.code()),
        (Decision::Ask(Request::Improve(_)), ..) => {
            format!("not judged: {}", faults(face))
        }
        (other, ..) => words(other).1.unwrap_or("not judged").to_owned(),
    }
}
