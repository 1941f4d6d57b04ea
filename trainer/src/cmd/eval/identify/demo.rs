//! The paper's open-set demo: a few people enrolled by one photograph each, their others and strangers at the door.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limen_models::manifest::Manifest;
use serde_json::json;

use super::Identify;
use crate::cmd::eval::source::Wanted;
use crate::cmd::extract::pictures;
use crate::dataset::Identity;
use crate::evaluate::open_set::{Best, Rates, Split, best, rates};
use crate::evaluate::result::Evaluation;
use crate::evaluate::store::Store;

/// Runs the demo.
pub(super) fn run(args: &Identify) -> Result<()> {
    // Pictures are drawn before anything is extracted, so that only those drawn are.
    let from_file = args.source.models.is_none().then(|| args.source.store(Wanted::All)).transpose()?;
    let all = match (&from_file, &args.source.images) {
        (Some(store), _) => grouped(store.entries.iter().map(|e| (e.path.clone(), e.identity.clone()))),
        (None, Some(images)) => grouped(pictures(images, usize::MAX, usize::MAX)?.into_iter()),
        (None, None) => vec![],
    };
    ensure!(
        all.len() > args.subjects,
        "{} identities, more than {} are needed: some are enrolled, the others are strangers",
        all.len(),
        args.subjects
    );
    let split = Split::new(&all, args.subjects, args.strangers, args.resampling.seed);
    let threshold = threshold(args)?;
    let store = match from_file {
        Some(store) => store,
        None => args.source.store(Wanted::These(wanted(&split)))?,
    };
    if let Some(folder) = &args.split {
        write_split(&split, args.source.root(&store), folder)?;
    }
    let r = count(args, &split, &store, threshold);
    print(&r, threshold, split.gallery.len());
    if let Some(path) = &args.json {
        let data = args.source.root(&store).display().to_string();
        let mut result = Evaluation::new(
            "identify",
            &store.header.model,
            &data,
            split.mated.len() + split.strangers.len(),
            r.failed_to_acquire,
        );
        result.figure("demo-identified", share(r.identified), None);
        result.figure("demo-fpir", share(r.false_positive), None);
        result.thresholds.insert("demo".into(), f64::from(threshold));
        result.details = json!({
            "subjects": split.gallery.len(), "mated": r.identified.1, "identified": r.identified.0,
            "misidentified": r.misidentified, "strangers": r.false_positive.1, "false_positive": r.false_positive.0,
        });
        result.save(path)?;
    }
    Ok(())
}

fn grouped(pictures: impl Iterator<Item = (PathBuf, String)>) -> Vec<Identity> {
    let mut by_name = std::collections::BTreeMap::<String, Vec<PathBuf>>::new();
    for (path, name) in pictures {
        by_name.entry(name).or_default().push(path);
    }
    by_name.into_iter().map(|(name, images)| Identity { name, images }).collect()
}

fn wanted(split: &Split) -> Vec<(PathBuf, String)> {
    let gallery = split.gallery.iter().map(|(name, path)| (path.clone(), name.clone()));
    let mated = split.mated.iter().map(|(i, path)| (path.clone(), split.gallery[*i].0.clone()));
    gallery.chain(mated).chain(split.strangers.iter().map(|p| (p.clone(), "stranger".to_owned()))).collect()
}

fn threshold(args: &Identify) -> Result<f32> {
    if let Some(t) = args.threshold {
        return Ok(t);
    }
    let models = args
        .source
        .models
        .as_ref()
        .context("--threshold is needed with --features: the manifest is not read")?;
    let manifest = Manifest::load(models)?;
    let selection = manifest.select(args.source.embedder.as_deref())?;
    let point = selection.threshold(args.fmr)?;
    Ok(point.threshold)
}

fn count(args: &Identify, split: &Split, store: &Store, threshold: f32) -> Rates {
    let fusion = args.fusion.unwrap_or(store.fusion());
    let places: HashMap<&Path, usize> =
        store.entries.iter().enumerate().map(|(i, e)| (e.path.as_path(), i)).collect();
    let vector = |path: &Path| places.get(path).and_then(|i| store.vector(*i, fusion));
    let gallery: Vec<_> = split.gallery.iter().map(|(_, p)| vector(p)).collect();
    let answer = |path: &Path| -> Best { best(&gallery, vector(path).as_deref()) };
    let mated: Vec<(usize, Best)> = split.mated.iter().map(|(t, p)| (*t, answer(p))).collect();
    let strangers: Vec<Best> = split.strangers.iter().map(|p| answer(p)).collect();
    rates(&mated, &strangers, threshold)
}

fn share((n, of): (usize, usize)) -> f64 {
    n as f64 / of.max(1) as f64
}

fn print(r: &Rates, threshold: f32, subjects: usize) {
    crate::say!("threshold {threshold:.4}, {subjects} subjects with one photograph each");
    crate::say!(
        "identification rate {:.2}% ({} of {} mated probes; {} given another name)",
        100.0 * share(r.identified),
        r.identified.0,
        r.identified.1,
        r.misidentified
    );
    crate::say!(
        "FPIR {:.2}% ({} of {} strangers given a name)",
        100.0 * share(r.false_positive),
        r.false_positive.0,
        r.false_positive.1
    );
    crate::say!("{} probes without a usable face", r.failed_to_acquire);
}

fn write_split(split: &Split, root: &Path, folder: &Path) -> Result<()> {
    let (gallery, probes) = (folder.join("gallery"), folder.join("probes"));
    for f in [&gallery, &probes] {
        std::fs::create_dir_all(f).with_context(|| format!("{}: cannot be made", f.display()))?;
    }
    let copy = |from: &Path, to: PathBuf| {
        let from = root.join(from);
        std::fs::copy(&from, &to)
            .map(|_| ())
            .with_context(|| format!("{} to {}", from.display(), to.display()))
    };
    for (name, path) in &split.gallery {
        copy(path, gallery.join(format!("{name}.jpg")))?;
    }
    let mated = split.mated.iter().map(|(i, p)| (split.gallery[*i].0.as_str(), p));
    let strangers = split.strangers.iter().map(|p| ("stranger", p));
    for (i, (name, path)) in mated.chain(strangers).enumerate() {
        copy(path, probes.join(format!("{i:04}-{name}.jpg")))?;
    }
    Ok(())
}
