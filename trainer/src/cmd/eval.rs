//! `limen-train eval`: LFW's ten folds and open-set identification.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use limen_models::detect::mtcnn::Settings;
use limen_models::manifest::Manifest;
use limen_models::pipeline::Pipeline;
use limen_models::quality::Limits;
use serde_json::json;

use crate::dataset::{identities, lfw_pairs};
use crate::evaluate::extract::{Outcome, extract};
use crate::evaluate::lfw::{Fusion, summary, ten_fold};
use crate::evaluate::open_set::{Best, Split, best, rates};

/// Detector settings by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// As SphereFace prepares data: min face 20 px, pyramid factor 0.85.
    TrainingData,
    /// As at the door: min face an eighth of the frame, factor 0.709.
    Door,
}

impl Preset {
    /// The settings.
    pub fn settings(self) -> Settings {
        match self {
            Self::TrainingData => Settings::training_data(),
            Self::Door => Settings::door(),
        }
    }
}

/// What every evaluation needs.
#[derive(Debug, Args)]
pub struct Common {
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    pub models: PathBuf,
    /// Embedder by id; the manifest's default otherwise
    #[arg(long, value_name = "ID")]
    pub embedder: Option<String>,
    /// Detector settings
    #[arg(long, value_enum, default_value = "training-data")]
    pub detector: Preset,
    /// Threads
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    pub workers: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// The manifest and the pipeline, without quality limits: an evaluation judges every face.
    pub fn load(&self) -> Result<(Manifest, Pipeline)> {
        let manifest = Manifest::load(&self.models)?;
        let pipeline =
            Pipeline::load(&manifest, self.embedder.as_deref(), self.detector.settings(), Limits::none())?;
        Ok((manifest, pipeline))
    }
}

/// The evaluations.
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// LFW view 2: ten folds, SphereFace's protocol
    Lfw {
        /// Model, detector, threads.
        #[command(flatten)]
        common: Common,
        /// Folder with NAME/NAME_0001.jpg
        #[arg(long, value_name = "DIR")]
        images: PathBuf,
        /// LFW's pairs.txt
        #[arg(long, value_name = "FILE")]
        pairs: PathBuf,
        /// How face and mirror image become one vector; all three are printed, this one fold by fold
        #[arg(long, value_enum, default_value = "concat")]
        fusion: Fusion,
        /// List every picture without a usable face on stderr
        #[arg(long)]
        list_failures: bool,
    },
    /// Open-set identification: a few subjects with one photograph each, their other photographs and strangers
    Identify {
        /// Model, detector, threads.
        #[command(flatten)]
        common: Common,
        /// Folder with IDENTITY/IMAGE
        #[arg(long, value_name = "DIR")]
        images: PathBuf,
        /// Subjects enrolled: those with the most photographs
        #[arg(long, default_value_t = 6)]
        subjects: usize,
        /// Strangers, one photograph each
        #[arg(long, default_value_t = 300)]
        strangers: usize,
        /// Draws the strangers
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Score threshold; without it the manifest's for --fmr
        #[arg(long)]
        threshold: Option<f32>,
        /// False match rate whose threshold is taken from the manifest
        #[arg(long, default_value_t = 1e-3)]
        fmr: f64,
        /// Copy the photographs to DIR/gallery/NAME.jpg and DIR/probes/NNNN-{NAME,stranger}.jpg, for `limen annotate`
        #[arg(long, value_name = "DIR")]
        split: Option<PathBuf>,
    },
}

/// Runs an evaluation.
pub fn run(eval: &Eval) -> Result<()> {
    match eval {
        Eval::Lfw { common, images, pairs, fusion, list_failures } => {
            lfw(common, images, pairs, *fusion, *list_failures)
        }
        Eval::Identify { common, images, subjects, strangers, seed, threshold, fmr, split } => {
            let all = identities(images)?;
            ensure!(
                all.len() > *subjects,
                "{}: {} identities, more than {subjects} are needed",
                images.display(),
                all.len()
            );
            let chosen = Split::new(&all, *subjects, *strangers, *seed);
            if let Some(folder) = split {
                write_split(&chosen, folder)?;
            }
            identify(common, &chosen, *threshold, *fmr)
        }
    }
}

fn lfw(common: &Common, images: &Path, pairs: &Path, chosen: Fusion, list: bool) -> Result<()> {
    let text =
        std::fs::read_to_string(pairs).with_context(|| format!("{}: cannot be read", pairs.display()))?;
    let pairs = lfw_pairs(&text).with_context(|| format!("{}", pairs.display()))?;
    let (_, pipeline) = common.load()?;
    let mut names: Vec<&Path> = pairs.iter().flat_map(|p| [p.left.as_path(), &p.right]).collect();
    names.sort_unstable();
    names.dedup();
    let paths: Vec<PathBuf> = names.iter().map(|n| images.join(n)).collect();
    let outcomes = extract(&pipeline, &paths, common.workers)?;
    let mut failed = 0;
    for outcome in &outcomes {
        if let Outcome::Failed(why) = outcome {
            failed += 1;
            if list {
                eprintln!("{why}");
            }
        }
    }
    let mut results = Vec::new();
    for fusion in [Fusion::Single, Fusion::Concat, Fusion::Sum] {
        let vectors: HashMap<&Path, Vec<f32>> = names
            .iter()
            .zip(&outcomes)
            .filter_map(|(n, o)| o.feature().map(|f| (*n, fusion.apply(f))))
            .collect();
        results.push((fusion, ten_fold(&pairs, |p| vectors.get(p).map(Vec::as_slice))));
    }
    let missing: usize = results[0].1.iter().map(|f| f.missing).sum();
    if common.json {
        let mut object = serde_json::Map::new();
        for (fusion, folds) in &results {
            let (mean, deviation) = summary(folds);
            let accuracies: Vec<f64> = folds.iter().map(|f| f.accuracy).collect();
            let thresholds: Vec<f64> = folds.iter().map(|f| f.threshold).collect();
            object.insert(
                format!("{fusion:?}").to_lowercase(),
                json!({ "mean": mean, "deviation": deviation, "folds": accuracies, "thresholds": thresholds }),
            );
        }
        object.insert("pictures".into(), json!(paths.len()));
        object.insert("failed_to_acquire".into(), json!(failed));
        object.insert("missing_pairs".into(), json!(missing));
        crate::say!("{}", serde_json::Value::Object(object));
        return Ok(());
    }
    crate::say!(
        "{} pictures, {failed} without a usable face; {missing} pairs count as errors for it",
        paths.len()
    );
    crate::say!("model {}", pipeline.embedder().model());
    for (fusion, folds) in results.iter().filter(|(f, _)| *f == chosen) {
        crate::say!("fold  accuracy  threshold   ({fusion:?})");
        for (i, f) in folds.iter().enumerate() {
            crate::say!("{:>4}  {:>7.2}%  {:>9.4}", i + 1, 100.0 * f.accuracy, f.threshold);
        }
    }
    for (fusion, folds) in &results {
        let (mean, deviation) = summary(folds);
        let name = format!("{fusion:?}").to_lowercase();
        crate::say!("mean  {:>7.2}%  +- {:.2}  {name}", 100.0 * mean, 100.0 * deviation);
    }
    Ok(())
}

fn identify(common: &Common, split: &Split, threshold: Option<f32>, fmr: f64) -> Result<()> {
    let (manifest, pipeline) = common.load()?;
    let selection = manifest.select(common.embedder.as_deref())?;
    let threshold = match threshold {
        Some(t) => t,
        None => selection.threshold(fmr)?.threshold,
    };
    let fusion = selection.embedder.embedding.map_or(Fusion::Single, |e| Fusion::from(e.mirror));
    let gallery_paths: Vec<PathBuf> = split.gallery.iter().map(|(_, p)| p.clone()).collect();
    let vector = |o: &Outcome| o.feature().map(|f| fusion.apply(f));
    let gallery: Vec<_> = extract(&pipeline, &gallery_paths, common.workers)?.iter().map(vector).collect();
    let probes: Vec<PathBuf> =
        split.mated.iter().map(|(_, p)| p.clone()).chain(split.strangers.iter().cloned()).collect();
    let answers: Vec<Best> = extract(&pipeline, &probes, common.workers)?
        .iter()
        .map(|o| best(&gallery, vector(o).as_deref()))
        .collect();
    let (mated, strangers) = answers.split_at(split.mated.len());
    let mated: Vec<(usize, Best)> = split.mated.iter().map(|(t, _)| *t).zip(mated.iter().copied()).collect();
    let r = rates(&mated, strangers, threshold);
    let share = |(n, of): (usize, usize)| 100.0 * n as f64 / of.max(1) as f64;
    if common.json {
        crate::say!(
            "{}",
            json!({
                "threshold": threshold, "subjects": split.gallery.len(),
                "mated": r.identified.1, "identified": r.identified.0, "misidentified": r.misidentified,
                "strangers": r.false_positive.1, "false_positive": r.false_positive.0,
                "failed_to_acquire": r.failed_to_acquire,
            })
        );
        return Ok(());
    }
    crate::say!("threshold {threshold:.4}, {} subjects with one photograph each", split.gallery.len());
    crate::say!(
        "identification rate {:.2}% ({} of {} mated probes; {} given another name)",
        share(r.identified),
        r.identified.0,
        r.identified.1,
        r.misidentified
    );
    crate::say!(
        "FPIR {:.2}% ({} of {} strangers given a name)",
        share(r.false_positive),
        r.false_positive.0,
        r.false_positive.1
    );
    crate::say!("{} probes without a usable face", r.failed_to_acquire);
    Ok(())
}

impl From<limen_models::manifest::Mirror> for Fusion {
    fn from(mirror: limen_models::manifest::Mirror) -> Self {
        match mirror {
            limen_models::manifest::Mirror::None => Self::Single,
            limen_models::manifest::Mirror::Sum => Self::Sum,
            limen_models::manifest::Mirror::Concat => Self::Concat,
        }
    }
}

fn write_split(split: &Split, folder: &Path) -> Result<()> {
    let (gallery, probes) = (folder.join("gallery"), folder.join("probes"));
    for f in [&gallery, &probes] {
        std::fs::create_dir_all(f).with_context(|| format!("{}: cannot be made", f.display()))?;
    }
    let copy = |from: &Path, to: PathBuf| {
        std::fs::copy(from, &to)
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
