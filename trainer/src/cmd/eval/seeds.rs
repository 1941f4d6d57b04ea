//! `limen-train eval seeds`: result files of several runs as mean and spread.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::evaluate::result::Evaluation;
use crate::evaluate::seeds::by_figure;
use crate::file::write_atomically;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Seeds {
    /// Result files, one or more of each run
    #[arg(required = true, value_name = "RESULT.json")]
    results: Vec<PathBuf>,
    /// Write the spreads there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Seeds) -> Result<()> {
    let results = args.results.iter().map(|p| Evaluation::load(p)).collect::<Result<Vec<_>>>()?;
    let spreads = by_figure(results.iter().map(|r| &r.figures));
    let width = spreads.keys().map(String::len).max().unwrap_or(0).max(6);
    crate::say!("{:<width$}  runs      mean  deviation    lowest   highest", "figure");
    for (name, s) in &spreads {
        let deviation = s.deviation.map_or("-".into(), |d| format!("{d:.5}"));
        crate::say!(
            "{name:<width$}  {:>4}  {:>8.5}  {deviation:>9}  {:>8.5}  {:>8.5}",
            s.runs,
            s.mean,
            s.low,
            s.high
        );
    }
    match &args.json {
        Some(path) => write_atomically(path, serde_json::to_string_pretty(&spreads)?.as_bytes()),
        None => Ok(()),
    }
}
