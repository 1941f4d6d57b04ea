//! `limen-train preprocess`: photographs to aligned crops, resumable, with a list of failures.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use limen_models::detect::mtcnn::Mtcnn;
use limen_models::manifest::Manifest;

use crate::cmd::data::{Without, all_cores, tell};
use crate::cmd::eval::Preset;
use crate::dataset::crop::{self, Crops, MAX_MARGIN};
use crate::dataset::index::Index;
use crate::dataset::prepare::Preparation;
use crate::dataset::prepare::encoding::Encoding;
use crate::dataset::prepare::journal::{self, Journal};
use crate::dataset::prepare::sink::Sink;

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes DST/IDENTITY/IMAGE.jpg (or DST/crops-NNN.tar), DST/crops.toml (how they were made) and DST/failures.tsv
(which photographs gave no crop, and why). The same command again goes on where it stopped.

  limen-train preprocess ../shared/data/faces-*.tar crops --models models-here --margin 8")]
pub struct Preprocess {
    /// Photographs by identity, and last the folder for the crops
    #[arg(required = true, num_args = 2.., value_name = "SRC... DST")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    without: Without,
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Detector settings
    #[arg(long, value_enum, default_value = "training-data")]
    detector: Preset,
    /// Pixels kept around the 96x112 on each side, for the shift augmentation
    #[arg(long, default_value_t = 0, value_name = "PX")]
    margin: usize,
    /// How crops are stored
    #[arg(long, value_enum, default_value = "jpeg")]
    format: Format,
    /// JPEG quality
    #[arg(long, default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Write so many tar shards instead of single files
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Take only the first identities, in name order
    #[arg(long, value_name = "N")]
    identities: Option<u32>,
    /// Try again what failed in runs before
    #[arg(long)]
    retry: bool,
    /// Threads
    #[arg(long, default_value_t = all_cores())]
    workers: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jpeg,
    /// Without loss
    Webp,
    Png,
}

/// Runs the command.
pub fn run(args: &Preprocess) -> Result<()> {
    ensure!(args.margin <= MAX_MARGIN, "--margin: at most {MAX_MARGIN} px");
    let Some((target, sources)) = args.paths.split_last() else { bail!("SRC and DST are needed") };
    let (index, unseen) = Index::open(sources)?.without(&args.without.exclusions()?)?;
    tell(&unseen);
    let index = match args.identities {
        Some(n) => index.filter(|i| i < n),
        None => index,
    };
    ensure!(!index.samples().is_empty(), "--identities 0: nothing to do");
    let encoding = match args.format {
        Format::Jpeg => Encoding::Jpeg(args.quality),
        Format::Webp => Encoding::Webp,
        Format::Png => Encoding::Png,
    };
    let manifest = Manifest::load(&args.models)?;
    let cascade = manifest.cascade()?;
    let detector = Mtcnn::load(&manifest, cascade)?;
    let preparation = Preparation::new(detector, cascade, args.detector.settings(), args.margin, encoding);

    std::fs::create_dir_all(target).with_context(|| format!("{}: cannot be made", target.display()))?;
    let _lock = lock(target)?;
    describe(target, preparation.crops())?;
    if args.retry {
        let old = target.join(journal::FILE_NAME);
        if old.exists() {
            std::fs::remove_file(&old).with_context(|| format!("{}: cannot be removed", old.display()))?;
        }
    }
    let journal = Journal::open(target)?;
    let sink = match args.shards {
        Some(n) => Sink::shards(target, n, index.identities().len())?,
        None => Sink::files(target)?,
    };
    let began = std::time::Instant::now();
    let counts = preparation.run(&index, &sink, &journal, args.workers)?;
    sink.finish()?;
    let seconds = began.elapsed().as_secs_f64();
    let now = counts.written + counts.failed;
    crate::say!(
        "{} crops of {}x{} px written, {} photographs without a crop, {} done before",
        counts.written,
        preparation.crops().width,
        preparation.crops().height,
        counts.failed,
        counts.before
    );
    if now > 0 {
        crate::say!(
            "{seconds:.1} s, {:.1} photographs/s on {} threads",
            now as f64 / seconds,
            args.workers.max(1)
        );
    }
    if counts.failed > 0 {
        eprintln!("{}: what gave no crop, and why", target.join(journal::FILE_NAME).display());
    }
    Ok(())
}

/// Keeps a second program out of the same folder; the lock ends with the program.
fn lock(target: &Path) -> Result<File> {
    let path = target.join(".lock");
    let file = File::create(&path).with_context(|| format!("{}: cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{}: another limen-train is at work in it; wait until it is done", target.display())
        }
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("{}: cannot be locked", path.display()))
        }
    }
}

/// Writes `crops.toml`, or compares it with the one that is there.
fn describe(target: &Path, crops: &Crops) -> Result<()> {
    let path = target.join(crop::FILE_NAME);
    match Crops::find(target)? {
        Some(there) => ensure!(
            there == *crops,
            "{}: the crops there were made in another way; give the same options and models as before, or another \
             folder",
            path.display()
        ),
        None => {
            let part = target.join(".crops.toml.part");
            std::fs::write(&part, crops.to_toml()?)
                .and_then(|()| std::fs::rename(&part, &path))
                .with_context(|| format!("{}: cannot be written", path.display()))?;
        }
    }
    Ok(())
}
