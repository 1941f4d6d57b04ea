//! Where an evaluation's features come from: a file of `limen-train extract`, or pictures and a model.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args};

use super::{Common, Preset};
use crate::cmd::extract::{How, Picture, features, pictures};
use crate::evaluate::bootstrap::Plan;
use crate::evaluate::ensemble::{Weighing, join};
use crate::evaluate::store::Store;

/// Features, or what they are made from.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("from").required(true))]
pub struct Source {
    /// Features that `limen-train extract` wrote; several are joined to an ensemble (of networks, or of patches)
    #[arg(long, value_name = "FILE.npy", value_delimiter = ',', group = "from")]
    pub features: Vec<PathBuf>,
    /// How the parts of an ensemble are weighed
    #[arg(long, value_enum, default_value = "raw")]
    pub weighing: Weighing,
    /// Model folder with manifest.toml, to make the features now
    #[arg(long, value_name = "DIR", requires = "images", group = "from")]
    pub models: Option<PathBuf>,
    /// Folder with IDENTITY/IMAGE; with --features only where pictures are to be shown
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Embedder by id; the manifest's default otherwise
    #[arg(long, value_name = "ID")]
    pub embedder: Option<String>,
    /// Detector settings
    #[arg(long, value_enum, default_value = "training-data")]
    pub detector: Preset,
    #[command(flatten)]
    how: How,
    /// Threads
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    pub workers: usize,
}

/// Which pictures a source is asked for, where it makes the features itself.
pub enum Wanted {
    /// All under the folder.
    All,
    /// These alone.
    These(Vec<Picture>),
}

impl Source {
    /// The features; from a file all that are in it.
    ///
    /// # Errors
    /// When a file or a model cannot be read.
    pub fn store(&self, wanted: Wanted) -> Result<Store> {
        let Some(common) = self.common() else { return load(&self.features, self.weighing) };
        let Some(images) = &self.images else { bail!("--images is needed beside --models") };
        let wanted = match wanted {
            Wanted::All => pictures(images, usize::MAX, usize::MAX)?,
            Wanted::These(these) => these,
        };
        features(&common, self.how, images, wanted)
    }

    /// The model, where one is given.
    pub fn common(&self) -> Option<Common> {
        Some(Common {
            models: self.models.clone()?,
            embedder: self.embedder.clone(),
            detector: self.detector,
            workers: self.workers,
        })
    }

    /// The folder that the pictures of `store` lie in.
    pub fn root<'a>(&'a self, store: &'a Store) -> &'a std::path::Path {
        self.images.as_deref().unwrap_or(&store.header.root)
    }
}

/// Reads `files` and joins them.
///
/// # Errors
/// When a file cannot be read, or they do not belong together.
pub fn load(files: &[PathBuf], weighing: Weighing) -> Result<Store> {
    join(files.iter().map(|f| Store::load(f)).collect::<Result<_>>()?, weighing)
}

/// Resampling for intervals.
#[derive(Debug, Clone, Copy, Args)]
pub struct Resampling {
    /// Bootstrap replicates for the 95 % intervals; 0 gives none
    #[arg(long, value_name = "N", default_value_t = 200)]
    replicates: usize,
    /// Draws the replicates, and impostors where not all are taken
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Resampling {
    /// As the bootstrap takes it.
    pub fn plan(self) -> Plan {
        Plan { replicates: self.replicates, seed: self.seed }
    }
}

/// Reads a text file.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))
}

/// `12.34 %`, with an interval `[11.00, 13.00]` behind it.
pub fn percent(value: f64, interval: Option<crate::evaluate::bootstrap::Interval>) -> String {
    match interval {
        Some(i) => format!("{:.2} % [{:.2}, {:.2}]", 100.0 * value, 100.0 * i.low, 100.0 * i.high),
        None => format!("{:.2} %", 100.0 * value),
    }
}
