//! `limen-train run`: one network of a model folder on an array, for comparisons with other programs.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_models::manifest::{Kind, Manifest};
use limen_models::session::Session;

use crate::export::npy;
use crate::import::numpy::read_npy;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Run {
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// The network
    #[arg(long)]
    id: String,
    /// Which of its outputs; an embedder's is `embedding`
    #[arg(long, default_value = "embedding")]
    output: String,
    /// f32 array [pictures, channels, height, width] as .npy, prepared as the manifest says
    #[arg(long, value_name = "NPY")]
    input: PathBuf,
    /// Where the output goes, pictures first, as .npy
    #[arg(long, value_name = "NPY")]
    to: PathBuf,
}

/// Runs the command: the pictures one by one, as at the door.
pub fn run(args: &Run) -> Result<()> {
    let manifest = Manifest::load(&args.models)?;
    let entry = manifest.model(&args.id)?;
    let names: &[&str] = match entry.kind {
        Kind::Embedder => &["embedding"],
        Kind::MtcnnP | Kind::MtcnnR => &["prob", "box"],
        Kind::MtcnnO => &["prob", "box", "landmarks"],
    };
    let at = names.iter().position(|n| *n == args.output).with_context(|| {
        format!("--output {:?}: a {} has {}", args.output, entry.kind.word(), names.join(", "))
    })?;
    let session = Session::load(&manifest, entry, names)?;
    let name = args.input.display();
    let bytes = std::fs::read(&args.input).with_context(|| format!("{name}: cannot be read"))?;
    let array = read_npy(&bytes).with_context(|| name.to_string())?;
    let &[pictures, c, h, w] = array.shape() else {
        anyhow::bail!("{name}: shape {:?}, [pictures, channels, height, width] is needed", array.shape());
    };
    ensure!(pictures > 0 && c * h * w > 0, "{name}: holds nothing");
    let (mut shape, mut data) = (Vec::new(), Vec::new());
    for picture in array.data().chunks_exact(c * h * w) {
        let output = session.run([1, c, h, w], picture)?.swap_remove(at);
        shape = output.shape;
        data.extend(output.data);
    }
    if let Some(batch) = shape.first_mut() {
        *batch = pictures;
    }
    let mut part = args.to.clone().into_os_string();
    part.push(".part");
    std::fs::write(&part, npy::to_bytes(&shape, &data))
        .and_then(|()| std::fs::rename(&part, &args.to))
        .with_context(|| format!("{}: cannot be written", args.to.display()))?;
    crate::say!("{} {:?} -> {}", entry.id, shape, args.to.display());
    Ok(())
}
