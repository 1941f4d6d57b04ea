//! `limen-train finetune`: a run that begins with somebody's weights.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::cmd::train::go;
use crate::config::{Config, Start};
use crate::device::Backend;
use crate::training::Begin;

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  limen-train finetune own.toml --from models/limen-default.onnx --out runs/own
An .onnx network brings its own layers, so [network] of the configuration is not looked at. Take a tenth of the learning \
rate that the network was trained with. A run that was stopped goes on with `limen-train train --out DIR --resume`.")]
pub struct Finetune {
    /// The run's configuration
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Weights to begin with: a checkpoint or weights (.safetensors), or a network (.onnx)
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where it computes
    #[arg(long, value_enum, default_value = "cpu")]
    device: Backend,
}

/// Runs the command.
pub fn run(args: &Finetune) -> Result<()> {
    let mut config = Config::load(&args.config)?;
    let name = args.from.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    config.start = Some(match args.from.extension().and_then(|e| e.to_str()) {
        Some("onnx") => Start::Onnx(args.from.clone()),
        Some("safetensors") if name.starts_with("step-") => Start::Checkpoint(args.from.clone()),
        Some("safetensors") => Start::Weights(args.from.clone()),
        _ => bail!("{}: neither .onnx nor .safetensors", args.from.display()),
    });
    go(&config, &args.out, Begin::Anew, args.device)
}
