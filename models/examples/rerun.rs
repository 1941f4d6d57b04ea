//! Does one thing as often as it is told to, for cross/arm-model.py, which counts instructions.
//!
//!     rerun FILE RUNS        an embedder's ONNX file on a drawn picture of 3x112x96
//!     rerun half:FILE RUNS   the same, multiplied in half precision
//!     rerun detector RUNS    the shipped detector on a 640x480 frame of models/people/door.mjpeg with one face
//!     rerun halves RUNS      the same, its pyramid made of halves of the frame
//!
//! Run from the root of the repository. It prints what tells a right run from a wrong one.

use std::error::Error;
use std::path::Path;

use limen_models::detect::mtcnn::{Pyramid, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::photo;
use limen_models::pipeline::Pipeline;
use limen_models::quality::Limits;
use limen_models::session::{Session, Shape};

/// What the embedders read.
const FACE: Shape = [1, 3, 112, 96];
/// A picture of Ada, counted from 0.
const FRAME: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, runs] = &words[..] else {
        return Err("usage: rerun FILE|half:FILE|detector|halves RUNS".into());
    };
    let runs: usize = runs.parse()?;
    if let "detector" | "halves" = what.as_str() {
        let manifest = Manifest::load(Path::new("models/weights"))?;
        let pyramid = if what == "halves" { Pyramid::Halves } else { Pyramid::Frame };
        let settings = Settings { pyramid, ..Settings::door() };
        let pipeline = Pipeline::load(&manifest, None, settings, Limits::none())?;
        let frame = frame(Path::new("models/people/door.mjpeg"))?;
        for _ in 0..runs {
            println!("{} faces", pipeline.detect(frame.view())?.len());
        }
    } else {
        let file = what.strip_prefix("half:").unwrap_or(what);
        let mut session =
            Session::from_bytes("embedder", &std::fs::read(file)?, &["embedding"], Path::new(file))?;
        if file != what {
            session = session.in_half().ok_or("no half precision here")?;
        }
        let input: Vec<f32> = (0..FACE.iter().product::<usize>()).map(|i| (i as f32 * 0.013).sin()).collect();
        for _ in 0..runs {
            let embedding = session.run(FACE, &input)?.swap_remove(0).data;
            println!("length {}", embedding.iter().map(|x| x * x).sum::<f32>().sqrt());
        }
    }
    Ok(())
}

/// The clip's picture at twice its size: each pixel four times.
fn frame(clip: &Path) -> Result<RgbImage, Box<dyn Error>> {
    let bytes = std::fs::read(clip)?;
    let starts: Vec<usize> =
        bytes.windows(3).enumerate().filter(|(_, w)| *w == [0xFF, 0xD8, 0xFF]).map(|(at, _)| at).collect();
    let (from, to) = starts.get(FRAME).zip(starts.get(FRAME + 1)).ok_or("door.mjpeg has too few pictures")?;
    let small = photo::decode(&bytes[*from..*to], clip)?;
    let (width, height) = (small.width() * 2, small.height() * 2);
    let pixels = (0..width * height).flat_map(|i| small.pixel(i % width / 2, i / width / 2));
    Ok(RgbImage::new(width, height, pixels.collect())?)
}
