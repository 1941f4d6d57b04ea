//! `limen-train calibrate`: score thresholds per false match rate, from people the network need not know.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_models::manifest::{Mirror, OperatingPoint};

use crate::cmd::data::Without;
use crate::cmd::eval::Common;
use crate::dataset::exclude::Exclusions;
use crate::dataset::split::held_out;
use crate::dataset::{Identity, identities};
use crate::evaluate::calibrate::Scores;
use crate::evaluate::extract::{Way, extract};
use crate::evaluate::lfw::Fusion;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Calibrate {
    #[command(flatten)]
    common: Common,
    /// Folder with IDENTITY/IMAGE; never the set the figures are reported on
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Pictures taken of each identity
    #[arg(long, default_value_t = 2)]
    per_identity: usize,
    /// Most identities taken, in name order
    #[arg(long, default_value_t = 1500)]
    identities: usize,
    /// Only identities that a training run with this `data.held_out` has held out
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// Seed of that run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    without: Without,
    /// Take those excluded too: the run has not seen them either
    #[arg(long, requires = "held_out")]
    with_excluded: bool,
    /// Identities that do not count, as `--exclude` takes them: whom the door is not meant for
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    leave_out: Vec<String>,
    /// Names that are one person, the names of each person on a line: their pictures are genuine pairs
    #[arg(long, value_name = "FILE")]
    one_person: Option<PathBuf>,
    /// False match rates
    #[arg(long, value_delimiter = ',', default_value = "1e-2,1e-3,1e-4,1e-5")]
    fmr: Vec<f64>,
    /// What the evidence line in the manifest calls the set
    #[arg(long)]
    name: String,
    /// Print only, leave the manifest as it is
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub fn run(args: &Calibrate) -> Result<()> {
    ensure!(
        args.fmr.iter().all(|f| *f > 0.0 && *f < 1.0),
        "--fmr: each rate lies between 0 and 1, as in 1e-3"
    );
    let (mut manifest, pipeline) = args.common.load()?;
    let mut entry = manifest.select(args.common.embedder.as_deref())?.embedder.clone();
    let fusion = Fusion::from(entry.embedding.map_or(Mirror::None, |e| e.mirror));
    let mut labels = Vec::new();
    let mut paths = Vec::new();
    for (label, identity) in people(args)?.into_iter().take(args.identities).enumerate() {
        for path in identity.images.into_iter().take(args.per_identity) {
            labels.push(label);
            paths.push(path);
        }
    }
    let outcomes = extract(&Way::Detected(&pipeline), &paths, args.common.workers)?;
    let vectors: Vec<(usize, Vec<f32>)> = labels
        .into_iter()
        .zip(&outcomes)
        .filter_map(|(l, o)| o.feature().map(|f| (l, fusion.apply(f))))
        .collect();
    let scores = Scores::all_pairs(&vectors);
    crate::say!(
        "{} pictures, {} without a usable face; {} genuine and {} impostor pairs",
        paths.len(),
        paths.len() - vectors.len(),
        scores.genuine.len(),
        scores.impostor.len()
    );
    entry.operating_points.clear();
    crate::say!("     FMR  threshold     FNMR");
    for &fmr in &args.fmr {
        let Some(point) = scores.point(fmr) else {
            crate::say!(
                "{fmr:>8.0e}  not supported by so few impostor pairs (rule of three: {:.0})",
                3.0 / fmr
            );
            continue;
        };
        let fnmr = point.fnmr.map_or("-".into(), |f| format!("{:.2}%", 100.0 * f));
        crate::say!("{fmr:>8.0e}  {:>9.4}  {fnmr:>7}", point.threshold);
        entry.operating_points.push(OperatingPoint {
            fmr,
            threshold: point.threshold,
            impostor_pairs: scores.impostor.len() as u64,
            evidence: format!("limen-train calibrate on {}", args.name),
        });
    }
    if !args.dry_run {
        manifest.put(entry)?;
        manifest.save()?;
        eprintln!("written to {}", manifest.path().display());
    }
    Ok(())
}

/// The identities to compare, in name order.
fn people(args: &Calibrate) -> Result<Vec<Identity>> {
    let excluded = args.without.exclusions()?;
    let (others, mut all): (Vec<_>, Vec<_>) =
        identities(&args.images)?.into_iter().partition(|i| excluded.contains(&i.name));
    if let Some(share) = args.held_out {
        let names: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
        let mut out = held_out(&names, share, args.seed)?.into_iter();
        all.retain(|_| out.next() == Some(true));
    }
    if args.with_excluded {
        all.extend(others);
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let left_out = Exclusions::from_words(&args.leave_out)?;
    all.retain(|i| !left_out.contains(&i.name));
    if let Some(file) = &args.one_person {
        let text = fs::read_to_string(file)
            .with_context(|| format!("{}: the list of names cannot be read", file.display()))?;
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            merge(&mut all, line);
        }
    }
    Ok(all)
}

/// Gives the pictures of all names on the line to the first of them.
fn merge(people: &mut Vec<Identity>, line: &str) {
    let names: Vec<&str> = line.split_whitespace().collect();
    let (one, mut rest): (Vec<_>, Vec<_>) =
        std::mem::take(people).into_iter().partition(|i| names.contains(&i.name.as_str()));
    let mut one = one.into_iter();
    if let Some(mut first) = one.next() {
        first.images.extend(one.flat_map(|i| i.images));
        let at = rest.partition_point(|i| i.name < first.name);
        rest.insert(at, first);
    }
    *people = rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_person_give_their_pictures_to_the_first() {
        let person = |name: &str| Identity { name: name.into(), images: vec![name.into()] };
        let mut people: Vec<_> = ["a", "b", "c", "d"].map(person).into();
        merge(&mut people, "d b  unknown");
        merge(&mut people, "");
        let got: Vec<_> = people.iter().map(|i| (i.name.as_str(), i.images.len())).collect();
        assert_eq!(got, [("a", 1), ("b", 2), ("c", 1)]);
    }
}
