//! `limen-train detect`: boxes and landmarks of photographs as JSON lines.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use limen_models::align::Aligner;
use limen_models::detect::mtcnn::{LandmarkPasses, Mtcnn, Pyramid, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::photo;
use serde_json::json;

use crate::cmd::eval::Preset;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Detect {
    /// Model folder with manifest.toml
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Detector settings
    #[arg(long, value_enum, default_value = "training-data")]
    detector: Preset,
    /// Landmark passes: the official code averages a second, mirrored one
    #[arg(long, value_enum, default_value = "mirrored")]
    landmarks: Passes,
    /// Make the pyramid of halves of the frame, as models.pyramid does at the door
    #[arg(long)]
    halves: bool,
    /// Write each photograph as decoded (NNNNN-frame.png) and each aligned face (NNNNN-faceK.png) there
    #[arg(long, value_name = "DIR")]
    crops: Option<PathBuf>,
    /// Photographs
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Passes {
    Single,
    Mirrored,
}

/// Runs the command: one line a photograph, in order. A photograph that cannot be read has an `error` instead of
/// `faces`.
pub fn run(args: &Detect) -> Result<()> {
    let manifest = Manifest::load(&args.models)?;
    let detector = Mtcnn::load(&manifest, manifest.cascade()?)?;
    // The crops are those of the default embedder; boxes and landmarks need none.
    let aligner = match args.crops {
        Some(_) => Aligner::for_embedder(manifest.select(None)?.embedder),
        None => None,
    };
    let landmarks = match args.landmarks {
        Passes::Single => LandmarkPasses::Single,
        Passes::Mirrored => LandmarkPasses::Mirrored,
    };
    let pyramid = if args.halves { Pyramid::Halves } else { Pyramid::Frame };
    let settings = Settings { landmarks, pyramid, ..args.detector.settings() };
    if let Some(folder) = &args.crops {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    }
    for (index, path) in args.photos.iter().enumerate() {
        match photo::decode_file(path) {
            Ok(image) => {
                let faces = detector.detect(image.view(), &settings)?;
                if let Some(folder) = &args.crops {
                    save(&image, &folder.join(format!("{index:05}-frame.png")))?;
                    for (k, face) in faces.iter().enumerate() {
                        let aligned =
                            aligner.as_ref().and_then(|a| a.align(image.view(), &face.landmarks).ok());
                        if let Some(aligned) = aligned {
                            save(&aligned.crop, &folder.join(format!("{index:05}-face{k}.png")))?;
                        }
                    }
                }
                crate::say!(
                    "{}",
                    json!({ "file": path, "width": image.width(), "height": image.height(), "faces": faces })
                );
            }
            Err(e) => crate::say!("{}", json!({ "file": path, "error": e.to_string() })),
        }
    }
    Ok(())
}

fn save(image: &RgbImage, path: &Path) -> Result<()> {
    let (w, h) = (image.width() as u32, image.height() as u32);
    image::save_buffer(path, image.data(), w, h, image::ExtendedColorType::Rgb8)
        .with_context(|| format!("{}: cannot be written", path.display()))
}
