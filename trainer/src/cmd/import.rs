//! `limen-train import`: somebody's network to ONNX plus an entry of the manifest.

mod template;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use limen_models::manifest::{
    Colour, EmbeddingSpec, FILE_NAME, Input, Kind, Manifest, Mirror, ModelEntry, OperatingPoint, sha256_hex,
};
use limen_models::session::Session;

use self::template::Template;
use crate::export::onnx;
use crate::graph::{InputShape, Network, Shape};
use crate::import::{Architecture, ImageLayout, ImportSource, ImportSpec, Normalisation, Role, import_sized};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limen-train import --caffe det1.caffemodel --prototxt det1.prototxt --width-first --kind mtcnn-p --licence MIT \\
      --source \"kpzhang93/MTCNN 4617f55b\" --out models
  limen-train import --weights pnet.pt --arch mtcnn-p --licence MIT --source \"facenet-pytorch 787da061\" --out models
  limen-train import --onnx embedder.onnx --kind embedder --id mine --licence own --source \"run 7\" --out models
  limen-train import --onnx MobileFaceNet.onnx --kind embedder --id teacher --colour rgb --template 112x112 \\
      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --licence Apache-2.0 --source foamliu --out teacher")]
pub struct Import {
    /// Caffe weights (.caffemodel, V1 or V2)
    #[arg(long, value_name = "FILE", group = "from", requires = "prototxt")]
    caffe: Option<PathBuf>,
    /// Caffe's deploy prototxt
    #[arg(long, value_name = "FILE", requires = "caffe")]
    prototxt: Option<PathBuf>,
    /// The network was taught columns first (from Matlab: the official MTCNN); the result takes ordinary pictures
    #[arg(long, requires = "caffe")]
    width_first: bool,
    /// Named tensors: .pt, .pth, .npz, .npy or .safetensors
    #[arg(long, value_name = "FILE", group = "from", requires = "arch")]
    weights: Option<PathBuf>,
    /// The network the tensors belong to
    #[arg(long, value_name = "NAME", value_parser = architecture)]
    arch: Option<Architecture>,
    /// An ONNX file of plain layers
    #[arg(long, value_name = "FILE", group = "from")]
    onnx: Option<PathBuf>,
    /// What it is for; told by --arch where that is given
    #[arg(long, value_name = "KIND", value_parser = role, required_unless_present = "arch")]
    kind: Option<Role>,
    /// Model id in the manifest; the kind by default
    #[arg(long)]
    id: Option<String>,
    /// Model folder; made if missing, its manifest is added to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Terms of the weights, as an SPDX name or a few words
    #[arg(long)]
    licence: String,
    /// Where the weights come from
    #[arg(long)]
    source: String,
    /// Channel order; MTCNN is RGB, SphereFace BGR
    #[arg(long, value_enum)]
    colour: Option<ColourArg>,
    /// Subtracted from each 0 to 255 value
    #[arg(long, default_value_t = 127.5)]
    offset: f32,
    /// Multiplied after that
    #[arg(long, default_value_t = 1.0 / 128.0)]
    scale: f32,
    /// Mean of each colour in pixels of 0 to 1, red first, as 0.485,0.456,0.406. With --std it becomes a layer in front
    /// of the network, exact for whatever --offset and --scale are
    #[arg(long, value_name = "R,G,B", value_parser = colours, requires = "deviation")]
    mean: Option<[f64; 3]>,
    /// Standard deviation of each colour in pixels of 0 to 1, red first, as 0.229,0.224,0.225
    #[arg(long = "std", value_name = "R,G,B", value_parser = colours, requires = "mean")]
    deviation: Option<[f64; 3]>,
    /// Embedders: crop and landmark template, height x width; told by the network's size where that is fixed
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Embedders: what is done with the mirrored face
    #[arg(long, value_enum, default_value = "sum")]
    mirror: MirrorArg,
    /// Embedders: a threshold that is known already, as FMR=SCORE; `limen-train calibrate` estimates them
    #[arg(long, value_name = "FMR=SCORE", value_parser = operating_point, requires_all = ["impostor_pairs", "evidence"])]
    operating_point: Vec<(f64, f32)>,
    /// Impostor comparisons the operating points rest on
    #[arg(long, value_name = "N")]
    impostor_pairs: Option<u64>,
    /// Data and command the operating points come from
    #[arg(long, value_name = "TEXT")]
    evidence: Option<String>,
}

fn operating_point(text: &str) -> Result<(f64, f32), String> {
    text.split_once('=')
        .and_then(|(fmr, score)| Some((fmr.parse().ok()?, score.parse().ok()?)))
        .ok_or_else(|| "FMR=SCORE, as in 1e-3=0.37".into())
}

fn colours(text: &str) -> Result<[f64; 3], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    numbers
        .and_then(|n| n.try_into().ok())
        .ok_or_else(|| "three numbers, red first, as in 0.485,0.456,0.406".into())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ColourArg {
    Rgb,
    Bgr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MirrorArg {
    None,
    Sum,
    Concat,
}

fn architecture(text: &str) -> Result<Architecture, String> {
    text.parse().map_err(|_| format!("one of {}", Architecture::ALL.map(Architecture::name).join(", ")))
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| format!("one of {}", Role::ALL.map(Role::name).join(", ")))
}

/// Runs the command.
pub fn run(args: &Import) -> Result<()> {
    let source = match (&args.caffe, &args.prototxt, &args.weights, args.arch, &args.onnx) {
        (Some(model), Some(prototxt), ..) => ImportSource::Caffe {
            model: model.clone(),
            prototxt: prototxt.clone(),
            layout: if args.width_first { ImageLayout::WidthFirst } else { ImageLayout::HeightFirst },
        },
        (_, _, Some(path), Some(architecture), _) => {
            ImportSource::Weights { path: path.clone(), architecture }
        }
        (.., Some(path)) => ImportSource::Onnx { path: path.clone() },
        _ => bail!("nothing to import: give --caffe with --prototxt, --weights with --arch, or --onnx"),
    };
    let role = match (args.kind, args.arch) {
        (Some(kind), _) => kind,
        (None, Some(arch)) => arch.role(),
        (None, None) => bail!("--kind is needed"),
    };
    let id = args.id.clone().unwrap_or_else(|| role.name().to_owned());
    if args.template.is_some() && role != Role::Embedder {
        bail!("--template is for embedders, not for the kind {role}");
    }
    let spec = ImportSpec { source, role: Some(role), name: Some(id.clone()) };
    let network = import_sized(&spec, args.template.map(Template::size))?;
    let (kind, input) = input(args, role, &id, &network)?;
    let network = match args.mean.zip(args.deviation) {
        Some((mean, deviation)) => {
            let taught = Normalisation::new(mean, deviation).map_err(anyhow::Error::msg)?;
            taught.put_before(&network, &input)?
        }
        None => network,
    };
    let bytes = onnx::to_bytes(&network)?;

    std::fs::create_dir_all(&args.out).with_context(|| format!("{}: cannot be made", args.out.display()))?;
    let mut manifest = if args.out.join(FILE_NAME).exists() {
        Manifest::load(&args.out)?
    } else {
        Manifest::empty(&args.out)
    };
    let entry = entry(args, kind, input, &id, &network, &bytes)?;
    let file = args.out.join(&entry.file);
    // The file must run in the engine of the door before the manifest speaks of it.
    let outputs: Vec<&str> = network.outputs.iter().map(|o| o.name.as_str()).collect();
    let session = Session::from_bytes(&id, &bytes, &outputs, &file)?;
    let (h, w) = (entry.input.height, entry.input.width);
    let shapes: Vec<_> =
        session.run([1, 3, h, w], &vec![0.1; 3 * h * w])?.into_iter().map(|o| o.shape).collect();
    let part = args.out.join(format!("{}.part", entry.file));
    std::fs::write(&part, &bytes)
        .and_then(|()| std::fs::rename(&part, &file))
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    manifest.put(entry)?;
    manifest.save()?;

    let counts = network.counts(InputShape::fixed(3, h, w))?;
    crate::say!(
        "{id}: {} parameters, {:.1} MMAC at {w}x{h}, outputs {shapes:?}, {} bytes -> {}",
        counts.parameters,
        counts.macs as f64 / 1e6,
        bytes.len(),
        file.display()
    );
    Ok(())
}

/// What the network is for and how pixels go into it.
fn input(args: &Import, role: Role, id: &str, network: &Network) -> Result<(Kind, Input)> {
    let (kind, width, height, usual) = match role {
        Role::MtcnnP => (Kind::MtcnnP, 12, 12, Colour::Rgb),
        Role::MtcnnR => (Kind::MtcnnR, 24, 24, Colour::Rgb),
        Role::MtcnnO => (Kind::MtcnnO, 48, 48, Colour::Rgb),
        Role::Embedder => {
            let (Some(h), Some(w)) = (network.input.height, network.input.width) else {
                bail!("{id}: an embedder needs an input of fixed size");
            };
            (Kind::Embedder, w, h, Colour::Bgr)
        }
    };
    let colour = match args.colour {
        Some(ColourArg::Rgb) => Colour::Rgb,
        Some(ColourArg::Bgr) => Colour::Bgr,
        None => usual,
    };
    let mut input = Input::sphereface(width, height, colour);
    (input.offset, input.scale) = (args.offset, args.scale);
    Ok((kind, input))
}

fn entry(
    args: &Import,
    kind: Kind,
    input: Input,
    id: &str,
    network: &Network,
    bytes: &[u8],
) -> Result<ModelEntry> {
    let (mut alignment, mut embedding) = (None, None);
    if kind == Kind::Embedder {
        let template = Template::of(&input, args.template).with_context(|| id.to_owned())?;
        alignment = Some(template.alignment());
        let shapes = network.shapes()?;
        let length = match network.outputs.first().and_then(|o| shapes.get(o.value.index()).copied()) {
            Some(Shape::Vector { length }) => length,
            other => bail!("{id}: its output is {other:?}, an embedding is a flat vector"),
        };
        let mirror = match args.mirror {
            MirrorArg::None => Mirror::None,
            MirrorArg::Sum => Mirror::Sum,
            MirrorArg::Concat => Mirror::Concat,
        };
        embedding = Some(EmbeddingSpec { length, mirror });
    }
    Ok(ModelEntry {
        id: id.to_owned(),
        kind,
        file: format!("{id}.onnx"),
        sha256: sha256_hex(bytes),
        licence: args.licence.clone(),
        source: args.source.clone(),
        input,
        face_threshold: None,
        landmark_looks: None,
        alignment,
        embedding,
        operating_points: args
            .operating_point
            .iter()
            .map(|&(fmr, threshold)| OperatingPoint {
                fmr,
                threshold,
                impostor_pairs: args.impostor_pairs.unwrap_or(0),
                evidence: args.evidence.clone().unwrap_or_default(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests;
