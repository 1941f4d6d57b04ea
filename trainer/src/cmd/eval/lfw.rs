//! `limen-train eval lfw`: LFW view 2, ten folds, SphereFace's protocol.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::source::{Source, Wanted, text};
use crate::dataset::lfw_pairs;
use crate::evaluate::lfw::{Fold, Fusion, summary, ten_fold};
use crate::evaluate::result::Evaluation;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Lfw {
    #[command(flatten)]
    source: Source,
    /// LFW's pairs.txt
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// How face and mirror image become one vector; all three are printed, this one fold by fold
    #[arg(long, value_enum, default_value = "concat")]
    fusion: Fusion,
    /// List every picture without a usable face on stderr
    #[arg(long)]
    list_failures: bool,
    /// Write the result there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Lfw) -> Result<()> {
    let pairs = lfw_pairs(&text(&args.pairs)?).with_context(|| format!("{}", args.pairs.display()))?;
    let mut names: Vec<&Path> = pairs.iter().flat_map(|p| [p.left.as_path(), &p.right]).collect();
    names.sort_unstable();
    names.dedup();
    let identity = |p: &Path| p.parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let wanted = names.iter().map(|p| (p.to_path_buf(), identity(p))).collect();
    let store = args.source.store(Wanted::These(wanted))?;
    // Aligned crops may be kept as other files than the list's .jpg.
    let stem = |p: &Path| p.with_extension("");
    let places: HashMap<PathBuf, usize> =
        store.entries.iter().enumerate().map(|(i, e)| (stem(&e.path), i)).collect();
    let unknown = names.iter().filter(|n| !places.contains_key(&stem(n))).count();
    ensure!(
        unknown < names.len(),
        "{}: none of the pairs' pictures is among the features; extract from the folder that holds NAME/NAME_0001.jpg",
        args.pairs.display()
    );
    let mut failed = 0;
    for name in &names {
        let entry = places.get(&stem(name)).and_then(|i| store.entries.get(*i));
        if entry.is_none_or(|e| e.row.is_none()) {
            failed += 1;
            if args.list_failures {
                let why = entry.and_then(|e| e.error.as_deref()).unwrap_or("not among the features");
                eprintln!("{}: {why}", name.display());
            }
        }
    }
    let results = [Fusion::Single, Fusion::Concat, Fusion::Sum].map(|fusion| {
        let vectors: HashMap<&Path, Vec<f32>> =
            places.iter().filter_map(|(p, i)| Some((p.as_path(), store.vector(*i, fusion)?))).collect();
        (fusion, ten_fold(&pairs, |p| vectors.get(stem(p).as_path()).map(Vec::as_slice)))
    });
    let missing: usize = results[0].1.iter().map(|f| f.missing).sum();
    crate::say!(
        "{} pictures, {failed} without a usable face; {missing} pairs count as errors for it",
        names.len()
    );
    if unknown > 0 {
        crate::say!("{unknown} of them are not among the features");
    }
    crate::say!("model {}", store.header.model);
    for (fusion, folds) in results.iter().filter(|(f, _)| *f == args.fusion) {
        crate::say!("fold  accuracy  threshold   ({})", fusion.name());
        for (i, f) in folds.iter().enumerate() {
            crate::say!("{:>4}  {:>7.2}%  {:>9.4}", i + 1, 100.0 * f.accuracy, f.threshold);
        }
    }
    for (fusion, folds) in &results {
        let (mean, deviation) = summary(folds);
        crate::say!("mean  {:>7.2}%  +- {:.2}  {}", 100.0 * mean, 100.0 * deviation, fusion.name());
    }
    if let Some(path) = &args.json {
        let data = args.pairs.display().to_string();
        let mut result = Evaluation::new("lfw", &store.header.model, &data, names.len(), failed);
        for (fusion, folds) in &results {
            result.figure(format!("lfw-{}", fusion.name()), summary(folds).0, None);
        }
        result.details = details(&results, missing);
        result.save(path)?;
    }
    Ok(())
}

fn details(results: &[(Fusion, Vec<Fold>)], missing: usize) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for (fusion, folds) in results {
        let accuracies: Vec<f64> = folds.iter().map(|f| f.accuracy).collect();
        let thresholds: Vec<f64> = folds.iter().map(|f| f.threshold).collect();
        let deviation = summary(folds).1;
        all.insert(
            fusion.name().into(),
            json!({ "deviation": deviation, "folds": accuracies, "thresholds": thresholds }),
        );
    }
    all.insert("missing_pairs".into(), json!(missing));
    all.into()
}
