//! `limen-train eval pairs`: verification at low false match rates, of all pairs of a set or of a list.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_models::photo;
use serde_json::json;

use super::source::{Resampling, Source, Wanted, percent, text};
use crate::evaluate::comparisons::{Comparison, Comparisons, Labelled};
use crate::evaluate::lfw::Fusion;
use crate::evaluate::pair_list;
use crate::evaluate::rates::{self, Histogram, NONE, Operating};
use crate::evaluate::result::{Evaluation, rate_name};
use crate::evaluate::store::Store;
use crate::plot::axes::grouped;
use crate::plot::{save_png, sheet};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Pairs {
    #[command(flatten)]
    source: Source,
    /// Compare these alone: LFW's pairs.txt, or CSV with left,right,same; otherwise every face with every other
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// How face and mirror image become one vector; the model's own way otherwise
    #[arg(long, value_enum)]
    fusion: Option<Fusion>,
    /// False match rates
    #[arg(long, value_delimiter = ',', default_value = "1e-1,1e-2,1e-3,1e-4,1e-5,1e-6", value_parser = rate)]
    fmr: Vec<f64>,
    /// Most impostor comparisons; of more, so many are drawn
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    impostors: usize,
    #[command(flatten)]
    resampling: Resampling,
    /// A contact sheet of the worst errors at the lowest rate that the pairs support, as PNG
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// Write the result there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A rate between 0 and 1, as in 1e-3.
pub fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|r| *r > 0.0 && *r < 1.0).ok_or_else(|| "between 0 and 1, as in 1e-3".into())
}

/// Points of the trade-off that are kept for plots.
const DET_POINTS: usize = 400;
/// Bins of the score histogram: 0.01 wide.
const BINS: usize = 200;

/// Runs the command.
pub fn run(args: &Pairs) -> Result<()> {
    let store = args.source.store(Wanted::All)?;
    let fusion = args.fusion.unwrap_or(store.fusion());
    let (faces, names) = store.labelled(fusion);
    let all = compare(args, &store, &faces)?;
    let (genuine, impostor) = all.scores();
    let missing = all.genuine().iter().filter(|c| c.score == NONE).count();
    crate::say!(
        "{} pictures of {} people, {} without a usable face; model {}",
        grouped(&store.entries.len().to_string()),
        grouped(&names.len().to_string()),
        store.failures(),
        store.header.model
    );
    crate::say!(
        "{} genuine comparisons ({missing} without a face count as misses), {} impostor ({} without a face left out)",
        grouped(&genuine.len().to_string()),
        grouped(&impostor.len().to_string()),
        all.impostors_left_out
    );
    ensure!(!genuine.is_empty() && !impostor.is_empty(), "comparisons of both kinds are needed");
    let data = args.pairs.as_deref().unwrap_or(args.source.root(&store)).display().to_string();
    let mut result =
        Evaluation::new("pairs", &store.header.model, &data, store.entries.len(), store.failures());
    if let Some(eer) = rates::equal_error_rate(&genuine, &impostor) {
        crate::say!("equal error rate {}", percent(eer, None));
        result.figure("eer", eer, None);
    }
    crate::say!("     FMR  threshold  FNMR (95 % by people)       TAR       false matches");
    let intervals = args.resampling.plan().fnmr(&all, &args.fmr);
    let mut lowest = None;
    for (&fmr, interval) in args.fmr.iter().zip(intervals) {
        let Some(point) = rates::operating(&genuine, &impostor, fmr) else {
            crate::say!(
                "{:>8}  not supported by so few impostors (rule of three: {} are needed)",
                rate_name(fmr),
                grouped(&format!("{:.0}", 3.0 / fmr))
            );
            continue;
        };
        let fnmr = point.fnmr().unwrap_or(1.0);
        let mut shown = percent(fnmr, interval);
        if point.false_non_matches == 0 && interval.is_none() {
            shown = format!(
                "0 of {}: below {}",
                point.genuine,
                percent(rates::rule_of_three(point.genuine), None)
            );
        }
        crate::say!(
            "{:>8}  {:>9.4}  {shown:<24}  {:>7.2} %  {}",
            rate_name(fmr),
            point.threshold,
            100.0 * (1.0 - fnmr),
            grouped(&point.false_matches.to_string())
        );
        let name = rate_name(fmr);
        result.figure(format!("fnmr@fmr={name}"), fnmr, interval);
        result.figure(format!("tar@far={name}"), 1.0 - fnmr, None);
        result.thresholds.insert(format!("FMR {name}"), f64::from(point.threshold));
        lowest = Some(point);
    }
    if let Some(path) = &args.sheet {
        let point = lowest.context("--sheet: the pairs support none of the rates; ask for a higher --fmr")?;
        save_png(&errors(args, &store, &all, &point)?, path)?;
        eprintln!("written to {}", path.display());
    }
    if let Some(path) = &args.json {
        result.det = rates::det(&genuine, &impostor, DET_POINTS);
        result.histogram = Some(Histogram::of(&genuine, &impostor, BINS));
        result.details = json!({
            "people": names.len(), "genuine": genuine.len(), "genuine_without_a_face": missing,
            "impostors": impostor.len(), "impostors_without_a_face": all.impostors_left_out,
            "fusion": fusion.name(),
        });
        result.save(path)?;
    }
    Ok(())
}

fn compare(args: &Pairs, store: &Store, faces: &[Labelled]) -> Result<Comparisons> {
    let Some(file) = &args.pairs else {
        return Comparisons::all_pairs(faces, args.impostors, args.resampling.seed, args.source.workers);
    };
    let list = pair_list::parse(&text(file)?).with_context(|| format!("{}", file.display()))?;
    let places: HashMap<&Path, u32> =
        store.entries.iter().enumerate().map(|(i, e)| (e.path.as_path(), i as u32)).collect();
    let mut pairs = Vec::with_capacity(list.len());
    for pair in &list {
        let place = |p: &Path| {
            places
                .get(p)
                .copied()
                .with_context(|| format!("{}: {} is not among the features", file.display(), p.display()))
        };
        let (left, right) = (place(&pair.left)?, place(&pair.right)?);
        let same = faces[left as usize].subject == faces[right as usize].subject;
        ensure!(
            same == (pair.truth == crate::dataset::Truth::Same),
            "{}: {} and {} lie in {} folder{}, the list says otherwise",
            file.display(),
            pair.left.display(),
            pair.right.display(),
            if same { "one" } else { "different" },
            if same { "" } else { "s" }
        );
        pairs.push((left, right));
    }
    Comparisons::of_pairs(faces, &pairs, args.source.workers)
}

/// Errors of each kind on the sheet.
const SHOWN: usize = 12;

/// The impostors with the highest scores and the genuine pairs with the lowest, each pair of people once.
fn errors(
    args: &Pairs,
    store: &Store,
    all: &Comparisons,
    point: &Operating,
) -> Result<limen_models::image::RgbImage> {
    let mut seen = std::collections::HashSet::new();
    let mut fresh = |c: &&Comparison| seen.insert(all.subjects_of(c));
    let matches = all.impostor().iter().rev().take_while(|c| c.score >= point.threshold).filter(&mut fresh);
    let mut worst: Vec<(&Comparison, &str)> = matches.take(SHOWN).map(|c| (c, "false match")).collect();
    let misses = all.genuine().iter().filter(|c| c.score != NONE).take_while(|c| c.score < point.threshold);
    worst.extend(misses.filter(&mut fresh).take(SHOWN).map(|c| (c, "false non-match")));
    let root = args.source.root(store);
    let mut shown = Vec::new();
    for (c, kind) in worst {
        let (left, right) = (&store.entries[c.left as usize], &store.entries[c.right as usize]);
        let picture = |path: &Path| {
            photo::decode_file(&root.join(path))
                .context("--sheet shows the pictures; --images says where they are")
        };
        let names = match left.identity == right.identity {
            true => left.identity.clone(),
            false => format!("{} / {}", left.identity, right.identity),
        };
        shown.push(sheet::Pair {
            left: picture(&left.path)?,
            right: picture(&right.path)?,
            caption: format!("{:.3}  {kind}", c.score),
            names,
        });
    }
    let title = format!("Worst errors at FMR {}, threshold {:.3}", rate_name(point.fmr), point.threshold);
    sheet::sheet(&title, &shown)
}
