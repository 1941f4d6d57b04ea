//! `limen-train extract`: features of a folder of pictures to a file, so that every figure after that takes seconds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_models::align::Aligner;
use limen_models::embed::Embedder;
use limen_models::manifest::{Manifest, Mirror};

use crate::cmd::eval::Common;
use crate::dataset::identities;
use crate::evaluate::ensemble::Patch;
use crate::evaluate::extract::{Way, extract};
use crate::evaluate::store::{Store, header};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train extract --models models-here --images lfw --out lfw.npy
  limen-train extract --models models-here --images crops --aligned --per-identity 1 --out distractors.npy
  limen-train eval pairs --features lfw.npy --json pairs.json")]
pub struct Extract {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
    /// Folder with IDENTITY/IMAGE
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Most pictures of each identity, in name order
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    per_identity: usize,
    /// Most identities, in name order
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    identities: usize,
    /// The array; the index goes beside it as .jsonl
    #[arg(long, value_name = "FILE.npy", value_parser = array)]
    out: PathBuf,
}

/// How a picture becomes a crop.
#[derive(Debug, Clone, Copy, Args)]
pub struct How {
    /// The pictures are aligned crops already: no detection; of larger ones the middle is taken
    #[arg(long)]
    pub aligned: bool,
    /// Another cut than the model's template: its landmarks SCALEd about the middle, moved RIGHT and DOWN by crop px
    #[arg(long, value_name = "SCALE,RIGHT,DOWN", conflicts_with = "aligned", allow_hyphen_values = true)]
    pub patch: Option<Patch>,
}

fn array(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|e| e == "npy") { Ok(path) } else { Err("the name ends in .npy".into()) }
}

/// A picture under its root and who it shows.
pub type Picture = (PathBuf, String);

/// All pictures under `root`, their paths relative to it.
///
/// # Errors
/// When there is no folder with pictures.
pub fn pictures(root: &Path, per_identity: usize, most: usize) -> Result<Vec<Picture>> {
    let mut found = Vec::new();
    for identity in identities(root)?.into_iter().take(most) {
        for path in identity.images.into_iter().take(per_identity) {
            let path = path.strip_prefix(root).map(Path::to_owned).unwrap_or(path);
            found.push((path, identity.name.clone()));
        }
    }
    Ok(found)
}

/// Detects, aligns and embeds `pictures` under `root`.
///
/// # Errors
/// When the model cannot be loaded or run; a picture without a face is no error.
pub fn features(common: &Common, how: How, root: &Path, pictures: Vec<Picture>) -> Result<Store> {
    let paths: Vec<PathBuf> = pictures.iter().map(|(p, _)| root.join(p)).collect();
    let manifest = Manifest::load(&common.models)?;
    let entry = manifest.embedder(common.embedder.as_deref())?;
    let (width, height) = (entry.input.width, entry.input.height);
    // Another cut is another way from picture to feature.
    let (model, outcomes) = if how.aligned {
        let model = format!("{}@{}#aligned", entry.id, entry.sha256.get(..12).unwrap_or_default());
        let embedder = Embedder::of(&manifest, entry, &model)?;
        (model, extract(&Way::Aligned(&embedder, width, height), &paths, common.workers)?)
    } else {
        let (_, pipeline) = common.load()?;
        let model = manifest.select(common.embedder.as_deref())?.model_id();
        match how.patch {
            Some(patch) => {
                let alignment = entry.alignment.context("the model has no alignment section")?;
                let template = patch.template(alignment.template(), width, height);
                let way = Way::Patch(&pipeline, Aligner::new(width, height, template));
                (format!("{model}#patch={patch}"), extract(&way, &paths, common.workers)?)
            }
            None => (model, extract(&Way::Detected(&pipeline), &paths, common.workers)?),
        }
    };
    let (mirror, length) = entry.embedding.map_or((Mirror::None, 0), |e| (e.mirror, e.length));
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    Store::new(header(model, mirror, length, root), pictures, outcomes)
}

/// Runs the command.
pub fn run(args: &Extract) -> Result<()> {
    let pictures = pictures(&args.images, args.per_identity, args.identities)?;
    ensure!(!pictures.is_empty(), "{}: no pictures are left to extract", args.images.display());
    // Where the folder is missing, that is said before hours of work.
    let folder = args.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let start = Instant::now();
    let store = features(&args.common, args.how, &args.images, pictures)?;
    store.save(&args.out)?;
    for why in store.entries.iter().filter_map(|e| e.error.as_ref()) {
        eprintln!("{why}");
    }
    let (all, seconds) = (store.entries.len(), start.elapsed().as_secs_f64());
    crate::say!(
        "{all} pictures, {} without a usable face; {} numbers each and for the mirror image -> {}",
        store.failures(),
        store.header.length,
        args.out.display()
    );
    crate::say!(
        "model {}; {seconds:.0} s, {:.1} pictures/s",
        store.header.model,
        all as f64 / seconds.max(1e-9)
    );
    Ok(())
}
