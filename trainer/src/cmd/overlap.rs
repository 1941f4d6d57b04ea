//! `limen-train overlap`: identities of one set that appear in another, by embedding.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use limen_models::align::AlignedFace;
use limen_models::geometry::{BBox, Detection};
use limen_models::manifest::{Mirror, ModelEntry};
use limen_models::pipeline::Pipeline;
use serde_json::json;

use crate::cmd::check::write;
use crate::cmd::data::{Without, tell};
use crate::cmd::eval::Common;
use crate::dataset::crop::{Crops, HEIGHT, WIDTH, cut};
use crate::dataset::decode;
use crate::dataset::index::Index;
use crate::dataset::parallel::{self, Progress};
use crate::dataset::set::described;
use crate::evaluate::extract::{Feature, central_face};
use crate::evaluate::lfw::Fusion;
use crate::evaluate::overlap::{Match, Person, Rule, best_matches};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Embeds both sets and lists each identity of A whose most similar identity of B reaches the threshold, the most similar
first: IDENTITY, tab, OTHER, tab, SCORE. With A as B too it finds people who stand in one set under two labels.
With a threshold too low strangers are listed, with one too high relatives of the same name are missed: look at the
faces before an identity is left out.

  limen-train overlap crops ../shared/data/lfw --models models-here --threshold 0.5 --write-exclude in-lfw.txt")]
pub struct Overlap {
    /// Set A (one or several paths), and last set B
    #[arg(required = true, num_args = 2.., value_name = "A... B")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    without: Without,
    #[command(flatten)]
    common: Common,
    /// Score from which on two identities count as one person; the manifest's strictest by default
    #[arg(long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// What of two identities is compared
    #[arg(long, value_enum, default_value = "mean")]
    by: Rule,
    /// Most pictures taken of each identity, evenly from its list
    #[arg(long, value_name = "N", default_value_t = 4)]
    per_identity: usize,
    /// Write the identities of A that were found there, for `--exclude @FILE`
    #[arg(long, value_name = "FILE")]
    write_exclude: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A set as vectors.
struct Embedded {
    index: Index,
    people: Vec<Person>,
    pictures: usize,
    failed: usize,
}

/// Runs the command.
pub fn run(args: &Overlap) -> Result<()> {
    ensure!(args.per_identity >= 1, "--per-identity: at least 1");
    let Some((b, a)) = args.paths.split_last() else { bail!("two sets are needed") };
    let (manifest, pipeline) = args.common.load()?;
    let selection = manifest.select(args.common.embedder.as_deref())?;
    let strictest = selection.embedder.operating_points.iter().min_by(|x, y| x.fmr.total_cmp(&y.fmr));
    let threshold = args.threshold.or(strictest.map(|p| p.threshold)).with_context(|| {
        format!("{}: the model has no threshold; give --threshold SCORE", manifest.path().display())
    })?;
    let embedder = selection.embedder;
    let (index_a, unseen) = Index::open(a)?.without(&args.without.exclusions()?)?;
    tell(&unseen);
    let index_b = Index::open(std::slice::from_ref(b))?;
    let same = index_a.digest() == index_b.digest();
    let embedded_a = embed(args, a, index_a, &pipeline, embedder)?;
    let embedded_b =
        if same { None } else { Some(embed(args, std::slice::from_ref(b), index_b, &pipeline, embedder)?) };
    let embedded_b = embedded_b.as_ref().unwrap_or(&embedded_a);
    let matches = best_matches(&embedded_a.people, &embedded_b.people, args.by, same);
    let mut found: Vec<(usize, Match)> =
        matches.iter().enumerate().filter_map(|(i, m)| m.map(|m| (i, m))).collect();
    found.sort_by(|x, y| y.1.score.total_cmp(&x.1.score).then(x.0.cmp(&y.0)));
    let scores: Vec<f32> = found.iter().map(|(_, m)| m.score).collect();
    found.retain(|(_, m)| m.score >= threshold);
    let name_a = |i: usize| embedded_a.index.identities()[i].as_str();
    let name_b = |i: usize| embedded_b.index.identities()[i].as_str();
    if let Some(path) = &args.write_exclude {
        let lines: String = found
            .iter()
            .map(|(i, m)| format!("{}\t{} {:.4}\n", name_a(*i), name_b(m.other), m.score))
            .collect();
        let model = pipeline.embedder().model();
        write(path, &format!("# in {} too, at {threshold} and above by {model}\n{lines}", b.display()))?;
    }
    if args.json {
        let list: Vec<_> = found
            .iter()
            .map(|(i, m)| json!({ "identity": name_a(*i), "other": name_b(m.other), "score": m.score }))
            .collect();
        let side = |e: &Embedded| {
            json!({ "identities": e.people.len(), "pictures": e.pictures, "failed": e.failed,
                    "digest": e.index.digest() })
        };
        crate::say!(
            "{}",
            json!({ "model": &**pipeline.embedder().model(), "threshold": threshold, "a": side(&embedded_a),
                    "b": side(embedded_b), "best_scores": quantiles(&scores), "overlap": list })
        );
        return Ok(());
    }
    for (i, m) in &found {
        crate::say!("{}\t{}\t{:.4}", name_a(*i), name_b(m.other), m.score);
    }
    for (what, e) in [("A", &embedded_a), ("B", embedded_b)] {
        eprintln!(
            "{what}: {} identities, {} pictures looked at, {} without a usable face",
            e.people.len(),
            e.pictures,
            e.failed
        );
    }
    let shown: Vec<String> = quantiles(&scores).iter().map(|(q, s)| format!("{q}: {s:.3}")).collect();
    eprintln!("best scores of A's identities by share below them: {}", shown.join(", "));
    eprintln!("{} of {} identities of A reach {threshold}", found.len(), embedded_a.people.len());
    Ok(())
}

/// Quantiles of falling `scores`: the share below, and the score.
fn quantiles(scores: &[f32]) -> Vec<(f64, f32)> {
    let at = |q: f64| {
        let i = ((1.0 - q) * scores.len() as f64) as usize;
        scores.get(i.min(scores.len().saturating_sub(1))).map(|s| (q, *s))
    };
    [0.5, 0.9, 0.99, 0.999, 1.0].into_iter().filter_map(at).collect()
}

/// Vectors of at most `per_identity` pictures of each identity. Aligned crops are cut, or aligned anew for an embedder of
/// another crop; photographs go through the detector.
fn embed(
    args: &Overlap,
    paths: &[PathBuf],
    index: Index,
    pipeline: &Pipeline,
    embedder: &ModelEntry,
) -> Result<Embedded> {
    let fusion = Fusion::from(embedder.embedding.map_or(Mirror::None, |e| e.mirror));
    let size = (embedder.input.width, embedder.input.height);
    let crops = described(paths)?;
    let mut chosen = Vec::new();
    for range in index.ranges() {
        let (n, most) = (range.len(), args.per_identity.min(range.len()));
        chosen.extend((0..most).map(|k| range.start as usize + k * n / most));
    }
    let progress = Progress::new(chosen.len() as u64, "faces");
    let vectors = parallel::map(chosen.len(), args.common.workers, &progress, |k| {
        let sample = &index.samples()[chosen[k]];
        let Ok(image) = decode::picture(&index, crops.as_ref(), sample, &mut Vec::new()) else {
            return Ok(None);
        };
        let crops = crops.clone().or_else(|| Crops::of_size(image.width(), image.height()));
        let aligned = match crops {
            Some(crops) if size == (WIDTH, HEIGHT) => {
                let crop = cut(&image, crops.margin, crops.margin);
                crop.map(|crop| AlignedFace { crop, residual_px: 0.0, outside: 0.0 })
            }
            Some(crops) => {
                let face = Detection { bbox: BBox::default(), landmarks: crops.landmarks(), confidence: 1.0 };
                pipeline.align(image.view(), &face)
            }
            None => central_face(&image, &pipeline.detect(image.view())?)
                .and_then(|face| pipeline.align(image.view(), &face)),
        };
        let Some(aligned) = aligned else { return Ok(None) };
        let [plain, mirrored] = pipeline.embedder().raw(&aligned)?;
        Ok(Some(fusion.apply(&Feature { plain, mirrored })))
    })?;
    let mut people: Vec<Person> = vec![vec![]; index.identities().len()];
    let mut failed = 0;
    for (place, vector) in chosen.iter().zip(vectors) {
        match vector {
            Some(v) => people[index.samples()[*place].identity as usize].push(v),
            None => failed += 1,
        }
    }
    Ok(Embedded { pictures: chosen.len(), index, people, failed })
}
