//! `limen-train train`: a run from its configuration file, or on from its newest checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::config::{Config, FILE_NAME};
use crate::device::{self, Backend};
use crate::training::{Begin, Run};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train train trainer/configs/small/sphereface-4-200.toml --out runs/small
  limen-train train --out runs/small --resume        on from the newest checkpoint
Ctrl-C writes a checkpoint and ends; --resume goes on as if nothing had happened.")]
pub struct Train {
    /// The run's configuration; with --resume the one kept in the run's folder
    #[arg(value_name = "CONFIG", required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the newest checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Where it computes
    #[arg(long, value_enum, default_value = "cpu")]
    device: Backend,
}

/// Runs the command.
pub fn run(args: &Train) -> Result<()> {
    let kept = args.out.join(FILE_NAME);
    let path = match &args.config {
        Some(path) => path.clone(),
        None => {
            ensure!(
                kept.exists(),
                "{}: no run there to go on with; give a configuration",
                args.out.display()
            );
            kept.clone()
        }
    };
    let config = Config::load(&path)?;
    if args.resume && args.config.is_some() && kept.exists() {
        let same = Config::load(&kept)? == config;
        if !same {
            eprintln!(
                "limen-train: {} differs from the run's own {}; goes on with the new one",
                path.display(),
                kept.display()
            );
        }
    }
    let begin = if args.resume { Begin::Resume } else { Begin::Anew };
    go(&config, &args.out, begin, args.device)
}

/// A flag that Ctrl-C or SIGTERM raises.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone()).context("signals")?;
        signal_hook::flag::register(signal, stop.clone()).context("signals")?;
    }
    Ok(stop)
}

/// Runs to the last step, or until somebody asks it to stop.
pub fn go(config: &Config, out: &Path, begin: Begin, backend: Backend) -> Result<()> {
    let stop = stop_flag()?;
    let device = device::open(backend)?;
    let run = Run::new(config, out, begin, &device)?;
    eprintln!("limen-train: {}", run.describe());
    let ended = run.go(&stop)?;
    crate::say!("{}", ended.checkpoint.display());
    if ended.stopped {
        eprintln!("limen-train: stopped after step {}; go on with --resume", ended.step);
    }
    Ok(())
}
