//! `limen-train quantise`: an embedder of a model folder in int8 or half precision, measured against its f32 form.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use limen_models::detect::mtcnn::{Mtcnn, Settings};
use limen_models::manifest::{Kind, Manifest, ModelEntry, sha256_hex};
use limen_models::session::Session;

use crate::evaluate::extract::progress;
use crate::export::card::{Card, Section};
use crate::export::quantise::equalise::equalise;
use crate::export::quantise::graph::chosen;
use crate::export::quantise::measure::{Agreement, Speed, outputs, speed};
use crate::export::quantise::observe::observe;
use crate::export::quantise::sensitivity::{Sensitivity, sensitivity};
use crate::export::quantise::{Exempt, Method, Quantised, Samples};
use crate::export::{onnx_f16, onnx_int8};
use crate::graph::{InputShape, Network};
use crate::import;

mod crops;

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train quantise --models models --id mine --calibration faces
  limen-train quantise --models models --id mine --calibration faces --method kl --exempt first,last --as mine-kl
  limen-train quantise --models models --id mine --calibration crops --aligned --storage f16")]
pub struct Quantise {
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// The embedder, in f32
    #[arg(long)]
    id: String,
    /// Folder with IDENTITY/IMAGE or with pictures; never the set that figures are reported on
    #[arg(long, value_name = "DIR")]
    calibration: PathBuf,
    /// The pictures are aligned crops already (of larger ones the middle is taken); otherwise the folder's detector
    /// cuts them out
    #[arg(long)]
    aligned: bool,
    /// Pictures that the ranges are taken from
    #[arg(long, default_value_t = 500)]
    pictures: usize,
    /// Further pictures that the result is compared on
    #[arg(long, default_value_t = 200)]
    check: usize,
    /// Of these, how many each layer alone is compared on; 0 leaves the table of layers out
    #[arg(long, default_value_t = 50)]
    sensitivity: usize,
    /// How the weights are stored: int8 computes in int8 too, f16 computes in f32
    #[arg(long, value_enum, default_value = "int8")]
    storage: Storage,
    /// How the range of each value is chosen
    #[arg(long, value_enum, default_value = "percentile")]
    method: MethodArg,
    /// Percent of the values that stay in range, with --method percentile
    #[arg(long, default_value_t = 99.999, value_parser = percent)]
    percentile: f64,
    /// Layers that stay f32: first, last, depthwise, or names
    #[arg(long, value_delimiter = ',', value_name = "LAYER")]
    exempt: Vec<Exempt>,
    /// Rounds of the comparison of speed
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Id of the result; the embedder's with -int8 or -f16 by default
    #[arg(long = "as", value_name = "ID")]
    new_id: Option<String>,
    /// Take the embedder's thresholds over; without it there are none until `limen-train calibrate` has run
    #[arg(long)]
    keep_thresholds: bool,
    /// Model folder of the result; made if missing, its manifest is added to; --models by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Storage {
    Int8,
    F16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodArg {
    MinMax,
    Percentile,
    Kl,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (50.0..=100.0).contains(&p) => Ok(p),
        _ => Err("50 to 100, as in 99.999".into()),
    }
}

/// The f32 form and the pictures of one run.
struct Source {
    manifest: Manifest,
    entry: ModelEntry,
    network: Network,
    bytes: usize,
    session: Session,
    calibration: Samples,
    check: Samples,
    /// The check pictures are not among those the ranges were taken from.
    held_out: bool,
}

/// What became of it.
struct Made {
    bytes: Vec<u8>,
    session: Session,
    how: String,
    layers: Vec<Sensitivity>,
}

/// Runs the command.
pub fn run(args: &Quantise) -> Result<()> {
    let source = read(args)?;
    let suffix = if args.storage == Storage::Int8 { "int8" } else { "f16" };
    let id = args.new_id.clone().unwrap_or_else(|| format!("{}-{suffix}", args.id));
    ensure!(id != args.id, "--as: {id:?} is the f32 network itself, which stays as it is; give another id");
    let out = args.out.clone().unwrap_or_else(|| args.models.clone());

    let bar = progress(source.check.inputs.len() as u64, "pictures, f32");
    let reference = outputs(&source.session, &source.check, || bar.inc(1))?;
    bar.finish_and_clear();
    let made = match args.storage {
        Storage::Int8 => int8(args, &source, &id, &reference)?,
        Storage::F16 => {
            let bytes = onnx_f16::to_bytes(&source.network)?;
            let session = session(&id, &bytes, &source.network)?;
            Made { bytes, session, how: "weights in half precision".into(), layers: vec![] }
        }
    };
    let agreement = Agreement::new(&outputs(&made.session, &source.check, || ())?, &reference)
        .context("no picture to compare on")?;
    let speed =
        speed(&source.session, &made.session, &source.check, args.rounds)?.context("no picture to time")?;

    let entry = entry(args, &source, &id, &made);
    let card = card(&source, &entry, &made, agreement, speed).to_string();
    write(&out, &entry, &made.bytes, &card)?;
    report(&source, &entry, &made, agreement, speed);
    crate::say!("written to {}", out.join(&entry.file).display());
    if entry.operating_points.is_empty() {
        eprintln!("no thresholds yet: limen-train calibrate --models {} --embedder {id} ...", out.display());
    }
    Ok(())
}

/// Reads the network and cuts out its pictures.
fn read(args: &Quantise) -> Result<Source> {
    ensure!(args.pictures > 0 && args.check > 0, "--pictures and --check: at least one picture each");
    let manifest = Manifest::load(&args.models)?;
    let entry = manifest.model(&args.id)?.clone();
    let path = manifest.file(&entry);
    ensure!(
        entry.kind == Kind::Embedder,
        "{}: model {:?} is a {}; only embedders are quantised here",
        manifest.path().display(),
        entry.id,
        entry.kind.word()
    );
    let file = manifest.read(&entry)?;
    let network = import::onnx::read(&file).with_context(|| path.display().to_string())?;
    let session = session(&entry.id, &file, &network)?;
    let cascade = if args.aligned { None } else { Some(Mtcnn::load(&manifest, manifest.cascade()?)?) };
    let cutter = crops::Cutter::new(&entry, cascade.as_ref(), Settings::training_data())?;
    let wanted = args.pictures + args.check;
    let mut all = cutter.cut(&args.calibration, wanted)?;
    ensure!(
        !all.inputs.is_empty(),
        "{}: no usable face in any of its pictures; are they faces of the right size, or already --aligned?",
        args.calibration.display()
    );
    // Every so many pictures one is kept for the comparison, so that both come from the whole folder.
    let held_out = all.inputs.len() >= 2;
    let for_check = (all.inputs.len() * args.check / wanted).max(1);
    let every = all.inputs.len() / for_check;
    let (mut calibration, mut check) = (Vec::new(), Vec::new());
    for (i, input) in std::mem::take(&mut all.inputs).into_iter().enumerate() {
        if held_out && i % every == every - 1 && check.len() < for_check {
            check.push(input);
        } else {
            calibration.push(input);
        }
    }
    if !held_out {
        check.clone_from(&calibration);
    }
    if calibration.len() < args.pictures {
        eprintln!("{} pictures with a face instead of {}", calibration.len(), args.pictures);
    }
    let shape = all.shape;
    Ok(Source {
        manifest,
        entry,
        network,
        bytes: file.len(),
        session,
        calibration: Samples { shape, inputs: calibration },
        check: Samples { shape, inputs: check },
        held_out,
    })
}

fn session(id: &str, bytes: &[u8], network: &Network) -> Result<Session> {
    let outputs: Vec<&str> = network.outputs.iter().map(|o| o.name.as_str()).collect();
    Ok(Session::from_bytes(id, bytes, &outputs, Path::new(id))?)
}

fn int8(args: &Quantise, source: &Source, id: &str, reference: &[Vec<f32>]) -> Result<Made> {
    let network = &source.network;
    let layers = chosen(network, &args.exempt)?;
    let bar = progress(2 * source.calibration.inputs.len() as u64, "pictures, ranges");
    let seen = observe(network, &source.calibration, || bar.inc(1))?;
    let network = &equalise(network, &seen)?;
    let observed = observe(network, &source.calibration, || bar.inc(1))?;
    bar.finish_and_clear();
    let method = match args.method {
        MethodArg::MinMax => Method::MinMax,
        MethodArg::Percentile => Method::Percentile(args.percentile),
        MethodArg::Kl => Method::Kl,
    };
    let calibration = observed.calibrate(method);
    let quantised = Quantised::new(network, &calibration, &layers)?;
    let bytes = onnx_int8::to_bytes(&quantised)?;
    let session = session(id, &bytes, network)?;
    let mut how = format!(
        "static int8, {} of {} layers, per-channel weights, ranges by {method} over {} pictures",
        layers.len(),
        chosen(network, &[])?.len(),
        calibration.pictures
    );
    if !args.exempt.is_empty() {
        let left = chosen(network, &[])?.into_iter().filter(|i| !layers.contains(i));
        let names: Vec<_> = left.map(|i| network.nodes()[i].name.as_str()).collect();
        how += &format!("; f32: {}", names.join(", "));
    }
    let few = args.sensitivity.min(source.check.inputs.len());
    let mut table = Vec::new();
    if few > 0 {
        let some = Samples { shape: source.check.shape, inputs: source.check.inputs[..few].to_vec() };
        let bar = progress((few * chosen(network, &[])?.len()) as u64, "pictures, one layer at a time");
        table = sensitivity(network, &calibration, &some, &reference[..few], || bar.inc(1))?;
        bar.finish_and_clear();
    }
    Ok(Made { bytes, session, how, layers: table })
}

fn entry(args: &Quantise, source: &Source, id: &str, made: &Made) -> ModelEntry {
    let mut entry = source.entry.clone();
    entry.id = id.to_owned();
    entry.file = format!("{id}.onnx");
    entry.sha256 = sha256_hex(&made.bytes);
    entry.source =
        format!("limen-train quantise of {} (sha256 {}): {}", source.entry.id, source.entry.sha256, made.how);
    if args.keep_thresholds {
        for point in &mut entry.operating_points {
            point.evidence += &format!("; estimated with {}", source.entry.id);
        }
    } else {
        entry.operating_points.clear();
    }
    entry
}

fn card<'a>(
    source: &Source,
    entry: &'a ModelEntry,
    made: &Made,
    agreement: Agreement,
    speed: Speed,
) -> Card<'a> {
    let milliseconds = |d: std::time::Duration| format!("{:.2} ms", d.as_secs_f64() * 1e3);
    let [_, channels, height, width] = source.check.shape;
    let mut figures = Vec::new();
    if let Ok(counts) = source.network.counts(InputShape::fixed(channels, height, width)) {
        figures.push(("parameters", counts.parameters.to_string()));
        figures.push(("multiplications and additions", format!("{:.1} million", counts.macs as f64 / 1e6)));
    }
    let seen = if source.held_out { "not used for the ranges" } else { "the same the ranges come from" };
    figures.extend([
        (
            "size against f32",
            format!("{:.3} ({} bytes)", made.bytes.len() as f64 / source.bytes as f64, source.bytes),
        ),
        (
            "cosine to f32, mean",
            format!("{:.5} over {} pictures, {seen}", agreement.mean, agreement.pictures),
        ),
        ("cosine to f32, least", format!("{:.5}", agreement.min)),
        (
            "time against f32 in Limen's engine, one thread",
            format!(
                "{:.2} ({} and {} where it was made)",
                speed.ratio,
                milliseconds(speed.second),
                milliseconds(speed.first)
            ),
        ),
    ]);
    let mut sections = Vec::new();
    if !made.layers.is_empty() {
        let row = |s: &Sensitivity| {
            vec![
                s.layer.clone(),
                s.kind.to_owned(),
                s.weights.to_string(),
                format!("{:.5}", s.agreement.mean),
                format!("{:.5}", s.agreement.min),
            ]
        };
        let pictures = made.layers[0].agreement.pictures;
        sections.push(Section {
            title: "Layer by layer".into(),
            text: format!("Cosine to f32 with that one layer in int8, over {pictures} pictures."),
            columns: vec!["layer", "kind", "weights", "mean", "least"],
            rows: made.layers.iter().map(row).collect(),
        });
    }
    let summary = format!("{} as {}.", source.entry.id, made.how);
    Card { entry, summary, bytes: made.bytes.len(), figures, sections }
}

/// Writes network, card and manifest; each file whole or not at all, the manifest last.
fn write(out: &Path, entry: &ModelEntry, bytes: &[u8], card: &str) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let mut manifest = if out.join(limen_models::manifest::FILE_NAME).exists() {
        Manifest::load(out)?
    } else {
        Manifest::empty(out)
    };
    // First, since it checks the entry.
    manifest.put(entry.clone())?;
    whole(&manifest.file(entry), bytes)?;
    whole(&Card::path(out, entry), card.as_bytes())?;
    manifest.save()?;
    Ok(())
}

fn whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("{}: cannot be written", path.display()))
}

fn report(source: &Source, entry: &ModelEntry, made: &Made, agreement: Agreement, speed: Speed) {
    if let Some(first) = made.layers.first() {
        crate::say!("each layer alone, {} pictures:", first.agreement.pictures);
        crate::say!("     mean     least   weights  layer");
        for s in &made.layers {
            let Agreement { mean, min, .. } = s.agreement;
            crate::say!("  {mean:.5}   {min:.5}  {:>8}  {} ({})", s.weights, s.layer, s.kind);
        }
    }
    crate::say!("{}: {}", entry.id, made.how);
    crate::say!(
        "{} bytes, {:.3} of {} ({})",
        made.bytes.len(),
        made.bytes.len() as f64 / source.bytes as f64,
        source.manifest.file(&source.entry).display(),
        source.bytes
    );
    let seen = if source.held_out { "not used for the ranges" } else { "the same the ranges come from" };
    crate::say!(
        "cosine to f32: mean {:.5}, least {:.5} ({} pictures, {seen})",
        agreement.mean,
        agreement.min,
        agreement.pictures
    );
    crate::say!(
        "time: {:.2} of f32 ({:.2} ms and {:.2} ms)",
        speed.ratio,
        speed.second.as_secs_f64() * 1e3,
        speed.first.as_secs_f64() * 1e3
    );
}
