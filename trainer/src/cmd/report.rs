//! `limen-train report`: a run's folder as a page with plots; of several, a comparison.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::file::write_atomically;
use crate::report::{Run, compare, figures, page};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
A run's folder may hold config.toml, metrics.jsonl, results of `limen-train eval ... --json` (*.json), and angular.npy
with angular-labels.txt. Written are report.md and plots/*.svg, plots/*.png.")]
pub struct Report {
    /// Folders of runs; of more than one, a comparison is written
    #[arg(required = true, value_name = "RUN_DIR")]
    runs: Vec<PathBuf>,
    /// Where to write; the run's folder by default, needed for several
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When a run cannot be read or the report not written.
pub fn run(args: &Report) -> Result<()> {
    let runs = args.runs.iter().map(|r| Run::read(r)).collect::<Result<Vec<_>>>()?;
    let out = match (&args.out, &runs[..]) {
        (Some(out), _) => out.clone(),
        (None, [one]) => one.folder.clone(),
        (None, _) => bail!("--out DIR is needed to compare several runs"),
    };
    std::fs::create_dir_all(&out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let plots = out.join("plots");
    let (text, drawn) = match &runs[..] {
        [one] => {
            let drawn = figures::draw(one, &plots)?;
            (page::page(one, &drawn), drawn)
        }
        several => {
            let drawn = compare::draw(several, &plots)?;
            (compare::page(several, &drawn), drawn)
        }
    };
    let path = out.join("report.md");
    write_atomically(&path, text.as_bytes())?;
    crate::say!("{} with {} plots", path.display(), drawn.len());
    Ok(())
}
