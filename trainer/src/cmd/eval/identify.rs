//! `limen-train eval identify`: against growing numbers of distractors (the MegaFace shape), or a few subjects and
//! strangers at one threshold (the paper's demo, [`demo`]).

mod demo;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::pairs::rate;
use super::source::{Resampling, Source, Wanted, load, percent};
use crate::evaluate::comparisons::Labelled;
use crate::evaluate::extract::progress;
use crate::evaluate::identification::{AtSize, Mated, Questions, figures, mated, non_mated};
use crate::evaluate::lfw::Fusion;
use crate::evaluate::parallel;
use crate::evaluate::result::{Evaluation, rate_name};
use crate::evaluate::store::Store;
use crate::plot::axes::grouped;

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
With --distractors: each person's first usable picture is the mate, the others search for it among N distractors; the
first picture of everybody searches among the distractors alone, as a stranger. Without: the people with the most
pictures are enrolled by one, their others and some strangers are looked up at one threshold.")]
pub struct Identify {
    #[command(flatten)]
    source: Source,
    /// Features of other people, one picture each is taken; as many files as --features has
    #[arg(long, value_name = "FILE.npy", value_delimiter = ',')]
    distractors: Vec<PathBuf>,
    /// Numbers of distractors besides all of them
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000,100000")]
    sizes: Vec<usize>,
    /// Ranks
    #[arg(long, value_delimiter = ',', default_value = "1,5,10", value_parser = clap::value_parser!(u32).range(1..))]
    ranks: Vec<u32>,
    /// False positive identification rates
    #[arg(long, value_delimiter = ',', default_value = "1e-1,1e-2,1e-3", value_parser = rate)]
    fpir: Vec<f64>,
    /// How face and mirror image become one vector; the model's own way otherwise
    #[arg(long, value_enum)]
    fusion: Option<Fusion>,
    #[command(flatten)]
    resampling: Resampling,
    /// Subjects enrolled: those with the most photographs (without --distractors)
    #[arg(long, default_value_t = 6, conflicts_with = "distractors")]
    subjects: usize,
    /// Strangers, one photograph each (without --distractors)
    #[arg(long, default_value_t = 300, conflicts_with = "distractors")]
    strangers: usize,
    /// Score threshold; without it the manifest's for --fmr (without --distractors)
    #[arg(long, conflicts_with = "distractors", allow_hyphen_values = true)]
    threshold: Option<f32>,
    /// False match rate whose threshold is taken from the manifest (without --distractors)
    #[arg(long, default_value = "1e-3", conflicts_with = "distractors", value_parser = rate)]
    fmr: f64,
    /// Copy the photographs to DIR/gallery/NAME.jpg and DIR/probes/NNNN-{NAME,stranger}.jpg, for `limen annotate`
    /// (without --distractors)
    #[arg(long, value_name = "DIR", conflicts_with = "distractors")]
    split: Option<PathBuf>,
    /// Write the result there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Identify) -> Result<()> {
    if args.distractors.is_empty() {
        return demo::run(args);
    }
    let store = args.source.store(Wanted::All)?;
    let others = load(&args.distractors, args.source.weighing)?;
    ensure!(
        others.header.length == store.header.length && ways(&others) == ways(&store),
        "the distractors are features of {}, the pictures of {}: extract both with one model",
        others.header.model,
        store.header.model
    );
    let fusion = args.fusion.unwrap_or(store.fusion());
    let distractors = one_each(&others, fusion, args.resampling.seed);
    ensure!(!distractors.is_empty(), "the distractors' file has no face");
    let mut sizes: Vec<usize> = args.sizes.iter().copied().filter(|s| *s < distractors.len()).collect();
    sizes.push(distractors.len());
    sizes.sort_unstable();
    sizes.dedup();
    let (faces, names) = store.labelled(fusion);
    let (searches, strangers) = search(&faces, &distractors, &sizes, args.source.workers)?;
    ensure!(!searches.is_empty(), "nobody has two pictures: no search has a mate to find");
    let questions =
        Questions { sizes: &sizes, ranks: &args.ranks, fpirs: &args.fpir, plan: args.resampling.plan() };
    let found = figures(&searches, &strangers, &questions);
    let mut enrolled: Vec<u32> = searches.iter().map(|s| s.subject).collect();
    enrolled.dedup();
    crate::say!(
        "{} mated searches of {} people, {} non-mated searches; {} distractors; model {}",
        grouped(&searches.len().to_string()),
        grouped(&enrolled.len().to_string()),
        grouped(&strangers.len().to_string()),
        grouped(&distractors.len().to_string()),
        store.header.model
    );
    print(&found, &args.fpir);
    if let Some(path) = &args.json {
        let data = format!("{} + {}", store.header.root.display(), others.header.root.display());
        let mut result =
            Evaluation::new("identify", &store.header.model, &data, store.entries.len(), store.failures());
        for at in &found {
            let n = at.distractors;
            for r in &at.ranks {
                result.figure(format!("rank{}@n={n}", r.rank), r.rate, r.interval);
            }
            for o in &at.open_set {
                result.figure(format!("fnir@fpir={},n={n}", rate_name(o.fpir)), o.fnir, o.interval);
                result
                    .thresholds
                    .insert(format!("FPIR {}, {n} distractors", rate_name(o.fpir)), f64::from(o.threshold));
            }
        }
        result.details = json!({
            "mated_searches": searches.len(), "people_searched_for": enrolled.len(),
            "non_mated_searches": strangers.len(), "people": names.len(), "distractors": distractors.len(),
            "fusion": fusion.name(),
        });
        result.save(path)?;
    }
    Ok(())
}

/// The models of a store, without the ways of cutting: distractors may be aligned crops where the pictures were not.
fn ways(store: &Store) -> Vec<&str> {
    store.header.model.split(" + ").map(|m| m.split("#aligned").next().unwrap_or(m)).collect()
}

/// The first usable picture of each identity, in an order drawn by `seed`.
fn one_each(store: &Store, fusion: Fusion, seed: u64) -> Vec<Vec<f32>> {
    let mut taken = std::collections::HashSet::new();
    let usable = store.entries.iter().enumerate().filter(|(_, e)| e.row.is_some());
    let first = usable.filter(|(_, e)| taken.insert(e.identity.as_str()));
    let mut vectors: Vec<Vec<f32>> = first.filter_map(|(i, _)| store.vector(i, fusion)).collect();
    vectors.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    vectors
}

/// All searches: mated by rising subject, non-mated one a person.
fn search(
    faces: &[Labelled],
    distractors: &[Vec<f32>],
    sizes: &[usize],
    workers: usize,
) -> Result<(Vec<Mated>, Vec<Vec<f32>>)> {
    let mut by_subject = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (i, f) in faces.iter().enumerate() {
        by_subject.entry(f.subject).or_default().push(i);
    }
    let mut pairs = Vec::new();
    let mut first = Vec::new();
    for (&subject, pictures) in &by_subject {
        // Enrolment takes a picture that shows a face; a probe takes what comes.
        let mate = pictures.iter().copied().find(|i| faces[*i].vector.is_some()).unwrap_or(pictures[0]);
        first.push(mate);
        pairs.extend(pictures.iter().filter(|i| **i != mate).map(|&i| (subject, i, mate)));
    }
    let vector = |i: usize| faces[i].vector.as_deref();
    let bar = progress((pairs.len() + first.len()) as u64, "searches");
    let searches = parallel::map(pairs.len(), workers, |k| {
        let (subject, probe, mate) = pairs[k];
        bar.inc(1);
        Ok(mated(subject, vector(probe), vector(mate), distractors, sizes))
    })?;
    let strangers = parallel::map(first.len(), workers, |k| {
        bar.inc(1);
        Ok(non_mated(vector(first[k]), distractors, sizes))
    })?;
    bar.finish_and_clear();
    Ok((searches, strangers))
}

fn print(found: &[AtSize], fpirs: &[f64]) {
    crate::say!("distractors  rank  found (95 % by people)");
    for at in found {
        for r in &at.ranks {
            crate::say!("{:>11}  {:>4}  {}", at.distractors, r.rank, percent(r.rate, r.interval));
        }
    }
    crate::say!("distractors  FPIR      threshold  FNIR (95 % by people)    strangers named");
    for at in found {
        for o in &at.open_set {
            crate::say!(
                "{:>11}  {:<8}  {:>9.4}  {:<23}  {}",
                at.distractors,
                rate_name(o.fpir),
                o.threshold,
                percent(o.fnir, o.interval),
                o.false_positives
            );
        }
    }
    let supported = |f: &f64| found.iter().any(|a| a.open_set.iter().any(|o| o.fpir == *f));
    for f in fpirs.iter().filter(|f| !supported(f)) {
        crate::say!(
            "FPIR {} is not supported by so few non-mated searches (rule of three: {:.0} are needed)",
            rate_name(*f),
            3.0 / f
        );
    }
}
