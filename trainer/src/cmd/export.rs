//! `limen-train export`: a run's network as ONNX with its manifest entry.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_models::manifest::{
    Alignment, Colour, EmbeddingSpec, FILE_NAME as MANIFEST, Input, Kind, Manifest, Mirror, ModelEntry,
    sha256_hex,
};
use limen_models::session::Session;

use crate::config::{Config, FILE_NAME, Start};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::device::{Backend, open};
use crate::export::onnx;
use crate::graph::Network;
use crate::graph::fold::fold_batch_norm;
use crate::training::{checkpoint, pupil};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Export {
    /// Folder of a run, or one of its checkpoints; with --weights a run's configuration
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Weights (safetensors) of the network that the configuration describes
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Model folder; made if missing, its manifest is added to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Id in the manifest; the network's name by default
    #[arg(long)]
    id: Option<String>,
    /// Terms of the weights, as an SPDX name or a few words
    #[arg(long, default_value = "research and evaluation only")]
    licence: String,
}

/// Runs the command.
pub fn run(args: &Export) -> Result<()> {
    let (network, colour, source) = trained(&args.run, args.weights.as_deref())?;
    let mut network = fold_batch_norm(&network)?;
    let id = args.id.clone().unwrap_or_else(|| network.name.clone());
    network.name.clone_from(&id);
    let bytes = onnx::to_bytes(&network)?;
    let counts = network.counts(network.input)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("{}: cannot be made", args.out.display()))?;
    let mut manifest = match args.out.join(MANIFEST).exists() {
        true => Manifest::load(&args.out)?,
        false => Manifest::empty(&args.out),
    };
    let file = args.out.join(format!("{id}.onnx"));
    // The engine that will run it has the first word.
    let session = Session::from_bytes(&id, &bytes, &["embedding"], &file)?;
    let out = session.run([1, 3, HEIGHT, WIDTH], &vec![0.0; 3 * HEIGHT * WIDTH])?;
    let length = out.first().map_or(0, |o| o.data.len());
    ensure!(length > 0, "the exported network gives nothing");
    std::fs::write(&file, &bytes).with_context(|| format!("{}: cannot be written", file.display()))?;
    manifest.put(ModelEntry {
        id: id.clone(),
        kind: Kind::Embedder,
        file: format!("{id}.onnx"),
        sha256: sha256_hex(&bytes),
        licence: args.licence.clone(),
        source,
        input: Input::sphereface(WIDTH, HEIGHT, colour),
        face_threshold: None,
        landmark_looks: None,
        alignment: Some(Alignment::SPHEREFACE_112X96),
        embedding: Some(EmbeddingSpec { length, mirror: Mirror::Sum }),
        operating_points: Vec::new(),
    })?;
    manifest.save()?;
    crate::say!(
        "{id}: {} parameters, {:.1} MMAC, {length} numbers, {} bytes -> {}",
        counts.parameters,
        counts.macs as f64 / 1e6,
        bytes.len(),
        file.display()
    );
    eprintln!("thresholds: run `limen-train calibrate` on people that it has not seen");
    Ok(())
}

/// The network that `run`, and `weights` where given, name, the order of its colours, and where it comes from.
fn trained(run: &Path, weights: Option<&Path>) -> Result<(Network, Colour, String)> {
    let device = open(Backend::Cpu)?;
    if let Some(weights) = weights {
        let mut config = Config::load(run)?;
        let source = format!("limen-train, {}", weights.file_name().unwrap_or_default().display());
        config.start = Some(Start::Weights(weights.to_owned()));
        return Ok((pupil::network_at_start(&config, &device)?, config.data.colour, source));
    }
    let (folder, checkpoint) = if run.is_dir() {
        let newest =
            checkpoint::newest(run)?.with_context(|| format!("{}: no checkpoint there", run.display()))?;
        (run.to_owned(), newest)
    } else {
        (run.parent().and_then(|p| p.parent()).map(PathBuf::from).unwrap_or_default(), checkpoint::load(run)?)
    };
    let config = Config::load(&folder.join(FILE_NAME))?;
    let source = format!("limen-train, {} steps, seed {}", checkpoint.state.step, config.seed);
    Ok((pupil::network_of(&config, checkpoint, &device)?, config.data.colour, source))
}
