//! `limen-train detect`: boxes and landmarks of photographs as JSON lines.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use limen_models::detect::mtcnn::{LandmarkPasses, Mtcnn, Settings};
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
    let detector = Mtcnn::load(&manifest, &manifest.select(None)?)?;
    let landmarks = match args.landmarks {
        Passes::Single => LandmarkPasses::Single,
        Passes::Mirrored => LandmarkPasses::Mirrored,
    };
    let settings = Settings { landmarks, ..args.detector.settings() };
    for path in &args.photos {
        match photo::decode_file(path) {
            Ok(image) => {
                let faces = detector.detect(image.view(), &settings)?;
                println!(
                    "{}",
                    json!({ "file": path, "width": image.width(), "height": image.height(), "faces": faces })
                );
            }
            Err(e) => println!("{}", json!({ "file": path, "error": e.to_string() })),
        }
    }
    Ok(())
}
