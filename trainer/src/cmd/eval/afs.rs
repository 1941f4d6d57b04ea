//! `limen-train eval afs`: the angular Fisher score.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::source::{Source, Wanted};
use crate::evaluate::afs::angular_fisher;
use crate::evaluate::lfw::Fusion;
use crate::evaluate::result::Evaluation;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Afs {
    #[command(flatten)]
    source: Source,
    /// How face and mirror image become one vector; the paper's score is of the face alone
    #[arg(long, value_enum, default_value = "single")]
    fusion: Fusion,
    /// Leave out people with fewer faces; one face alone spreads by nothing and lowers the score
    #[arg(long, value_name = "N", default_value_t = 1)]
    least: usize,
    /// Write the result there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Afs) -> Result<()> {
    let store = args.source.store(Wanted::All)?;
    let (faces, _) = store.labelled(args.fusion);
    let samples: Vec<_> = faces.into_iter().filter_map(|f| Some((f.subject, f.vector?))).collect();
    let afs = angular_fisher(&samples, args.least).with_context(|| {
        format!("nothing to measure: faces of two people with at least {} each are needed", args.least)
    })?;
    crate::say!("{} faces of {} people; model {}", afs.samples, afs.classes, store.header.model);
    crate::say!("within {:.2}, between {:.2}", afs.within, afs.between);
    crate::say!("angular Fisher score {:.4} (lower is better)", afs.score);
    if let Some(path) = &args.json {
        let data = args.source.root(&store).display().to_string();
        let mut result =
            Evaluation::new("afs", &store.header.model, &data, store.entries.len(), store.failures());
        result.figure("afs", afs.score, None);
        result.details = json!({
            "within": afs.within, "between": afs.between, "people": afs.classes, "faces": afs.samples,
            "least": args.least, "fusion": args.fusion.name(),
        });
        result.save(path)?;
    }
    Ok(())
}
