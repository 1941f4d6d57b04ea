//! `limen-train describe`: the layers of a network as a table, and drawn.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::backbone::table::rows;
use crate::backbone::{Depth, Normalisation, Output, Spec, draw};
use crate::graph::Network;
use crate::import::{ImportSource, ImportSpec, import};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train describe sphereface-20
  limen-train describe sphereface-10 --width 0.5 --batch-norm --depthwise --embedding 128 --svg small.svg
  limen-train describe model.onnx --svg model.svg")]
pub struct Describe {
    /// sphereface-4, -10, -20, -36 or -64, or an ONNX file
    network: String,
    /// Channels times this
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Numbers of the embedding
    #[arg(long, default_value_t = 512)]
    embedding: usize,
    /// Batch normalisation after each convolution
    #[arg(long)]
    batch_norm: bool,
    /// The light head in place of fc5
    #[arg(long)]
    depthwise: bool,
    /// Draw it into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Describe) -> Result<()> {
    let network = network(args)?;
    let input = match (network.input.height, network.input.width) {
        (Some(_), Some(_)) => network.input,
        _ => {
            bail!("{}: its input has a free size; only networks of a fixed size are described", args.network)
        }
    };
    crate::say!("{:<12} {:<24} {:>16} {:>12} {:>14}", "layer", "what", "output", "parameters", "MAC");
    for r in rows(&network, input)? {
        crate::say!(
            "{:<12} {:<24} {:>16} {:>12} {:>14}",
            r.name,
            r.what,
            r.shape.to_string(),
            r.parameters,
            r.macs
        );
    }
    let total = network.counts(input)?;
    crate::say!(
        "{}: {} parameters, {:.1} MMAC, {:.1} MB as f32",
        network.name,
        total.parameters,
        total.macs as f64 / 1e6,
        total.parameters as f64 * 4e-6
    );
    if let Some(path) = &args.svg {
        std::fs::write(path, draw::svg(&network, input)?)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        eprintln!("drawn into {}", path.display());
    }
    Ok(())
}

fn network(args: &Describe) -> Result<Network> {
    if let Some(depth) = args.network.strip_prefix("sphereface-").and_then(|d| d.parse::<u32>().ok()) {
        let spec = Spec {
            width: args.width,
            embedding: args.embedding,
            output: if args.depthwise { Output::Depthwise } else { Output::Fc5 },
            normalisation: if args.batch_norm { Normalisation::Batch } else { Normalisation::None },
            ..Spec::published(Depth::try_from(depth).map_err(anyhow::Error::msg)?)
        };
        spec.validate().map_err(anyhow::Error::msg)?;
        return Ok(spec.build(1)?);
    }
    if !args.network.ends_with(".onnx") {
        bail!("{:?} is neither sphereface-4, -10, -20, -36, -64 nor an .onnx file", args.network);
    }
    let source = ImportSource::Onnx { path: PathBuf::from(&args.network) };
    Ok(import(&ImportSpec { source, role: None, name: None })?)
}
