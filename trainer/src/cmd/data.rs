//! What the commands on sets have in common: which data, without whom, and what is said of it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::dataset::exclude::Exclusions;
use crate::dataset::index::Index;
use crate::dataset::set::Set;

/// A set on the command line.
#[derive(Debug, Args)]
pub struct Data {
    /// Folder of identity folders, folder of tar shards, tar shards, list file or raw cache
    #[arg(required = true, value_name = "DATA")]
    pub data: Vec<PathBuf>,
    /// Who is left out.
    #[command(flatten)]
    pub without: Without,
}

/// What is left out.
#[derive(Debug, Args)]
pub struct Without {
    /// Identities (or identity/image) to leave out: names, `casia` for those of CASIA-WebFace that are in LFW, or
    /// @FILE with a name a line
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub exclude: Vec<String>,
}

impl Without {
    /// The list; names that the set does not have are told on standard error by the callers.
    pub fn exclusions(&self) -> Result<Exclusions> {
        Exclusions::from_words(&self.exclude)
    }
}

impl Data {
    /// The pictures without the exclusions.
    pub fn index(&self) -> Result<Index> {
        let (index, unseen) = Index::open(&self.data)?.without(&self.without.exclusions()?)?;
        tell(&unseen);
        Ok(index)
    }

    /// The same as a set of aligned crops.
    pub fn set(&self) -> Result<Set> {
        let (set, unseen) = Set::open(&self.data, &self.without.exclusions()?)?;
        tell(&unseen);
        Ok(set)
    }
}

/// Names on a list of exclusions that the set does not have: harmless, or a slip of the pen.
pub fn tell(unseen: &[String]) {
    if let [first, ..] = unseen {
        eprintln!("{} excluded names are not in the set, {first} for one", unseen.len());
    }
}

/// Threads by default: as many as the processor runs.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
