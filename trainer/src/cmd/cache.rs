//! `limen-train cache`: a set's crops as raw pixels in one file, where decoding is what training waits for.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::cmd::data::{Without, all_cores, tell};
use crate::dataset::cache;
use crate::dataset::set::Set;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Cache {
    /// Aligned crops, and last the file to write: 32 KB a crop, 43 KB with a margin of 8
    #[arg(required = true, num_args = 2.., value_name = "DATA... FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    without: Without,
    /// Threads
    #[arg(long, default_value_t = all_cores())]
    workers: usize,
}

/// Runs the command.
pub fn run(args: &Cache) -> Result<()> {
    let Some((target, sources)) = args.paths.split_last() else { bail!("DATA and FILE are needed") };
    ensure!(!target.is_dir(), "{}: is a folder; name the file to write", target.display());
    let (set, unseen) = Set::open(sources, &args.without.exclusions()?)?;
    tell(&unseen);
    let bytes = cache::write(&set, target, args.workers)?;
    crate::say!(
        "{} crops, {:.1} MB in {}",
        set.index().samples().len(),
        bytes as f64 / 1e6,
        target.display()
    );
    Ok(())
}
