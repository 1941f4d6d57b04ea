//! `limen bench`: p50 and p95 of each stage on 640x480 frames with one and with three faces.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::ProgressBar;
use limen_gallery_db::{Index, SubjectId, TemplateId, Workspace as SearchWorkspace};
use limen_models::detect::mtcnn::{Pyramid, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::photo;
use limen_models::pipeline::{Embed, Pipeline, Workspace};
use limen_models::quality::Limits;

use crate::cmd::Exit;
use crate::config::Config;
use crate::display::scale;

/// The frame's size, px: what most doors' cameras give.
const FRAME: (usize, usize) = (640, 480);

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Bench {
    /// Model folder; the default configuration's otherwise
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Embedder by id
    #[arg(long, value_name = "ID")]
    embedder: Option<String>,
    /// Templates in the gallery that is searched
    #[arg(long, default_value_t = 10_000)]
    templates: usize,
    /// Frames of each kind
    #[arg(long, default_value_t = 50)]
    frames: usize,
    /// Threads that share the networks' work on a frame
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Search faces in halves of the frame (models.pyramid)
    #[arg(long)]
    halves: bool,
    /// Photographs with one face each; the frames are composed of them
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Bench) -> Result<Exit> {
    let folder = args.models.clone().unwrap_or_else(|| Config::default().models.folder);
    let manifest = Manifest::load(&folder)?;
    let pyramid = if args.halves { Pyramid::Halves } else { Pyramid::Frame };
    let settings = Settings { pyramid, ..Settings::door() };
    let pipeline = Pipeline::load(&manifest, args.embedder.as_deref(), settings, Limits::none())?
        .with_threads(args.threads)?;
    let photos = args.photos.iter().take(12).map(|p| photo::decode_file(p)).collect::<Result<Vec<_>, _>>()?;
    let index = crowd(pipeline.embedder().length(), args.templates)?;
    crate::say!(
        "model {}, {} templates, {} frames each",
        pipeline.embedder().model(),
        index.len(),
        args.frames
    );
    crate::say!(
        "{:<10} {:<9} {:>9} {:>9}   ms, {}x{}, {}",
        "faces",
        "stage",
        "p50",
        "p95",
        FRAME.0,
        FRAME.1,
        if args.threads < 2 { "one thread".into() } else { format!("{} threads", args.threads) }
    );
    // One who stands before the camera is followed: nothing but the surroundings is searched.
    for (label, faces, followed) in [("1", 1, false), ("3", 3, false), ("1 followed", 1, true)] {
        let mut frames = compose(&photos, faces)?;
        if followed {
            frames.truncate(1);
        }
        let (mut workspace, mut search_workspace) = (Workspace::default(), SearchWorkspace::default());
        let found = pipeline.process(frames[0].view(), Embed::All, &mut workspace)?.0.len();
        ensure!(found > 0, "no face found in the composed frame; give photographs with one large face each");
        let mut times: [Vec<Duration>; 6] = Default::default();
        let bar = ProgressBar::new(args.frames as u64);
        let mut seen = 0;
        for i in 0..args.frames {
            let frame = &frames[i % frames.len()];
            let start = Instant::now();
            let (detected, stages) = if followed {
                pipeline.follow(frame.view(), Embed::All, &mut workspace)?
            } else {
                pipeline.process(frame.view(), Embed::All, &mut workspace)?
            };
            let search = Instant::now();
            for face in detected.iter() {
                if let Some(e) = &face.embedding {
                    index.identify_in(e.values(), 2, &mut search_workspace)?;
                }
            }
            let (search, whole) = (search.elapsed(), start.elapsed());
            seen += detected.len();
            let all = [stages.detect, stages.align, stages.quality, stages.embed, search, whole];
            times.iter_mut().zip(all).for_each(|(t, d)| t.push(d));
            bar.inc(1);
        }
        bar.finish_and_clear();
        for (name, times) in ["detect", "align", "quality", "embed", "search", "whole"].iter().zip(&mut times)
        {
            times.sort();
            let at = |q: f64| times[((times.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1e3;
            crate::say!("{label:<10} {name:<9} {:>9.3} {:>9.3}", at(0.50), at(0.95));
        }
        crate::say!("{label:<10} {:.2} faces found a frame", seen as f64 / args.frames as f64);
    }
    Ok(Exit::Yes)
}

/// Templates of people who do not exist: a fixed sequence of numbers, brought to unit length by the index.
fn crowd(length: usize, count: usize) -> Result<Index> {
    let mut index = Index::new(length)?;
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut number = move || {
        // xorshift64: any spread will do, it only has to be the same everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    for i in 0..count {
        let vector: Vec<f32> = (0..length).map(|_| number()).collect();
        index.insert(SubjectId::random(), TemplateId::new(i as i64), &vector)?;
    }
    Ok(index)
}

/// Grey frames with `faces` photographs side by side.
fn compose(photos: &[RgbImage], faces: usize) -> Result<Vec<RgbImage>> {
    let (w, h) = FRAME;
    let side = (w / faces).min(h) * 9 / 10;
    (0..photos.len())
        .map(|first| {
            let mut frame = RgbImage::filled(w, h, [96, 100, 104])?;
            for k in 0..faces {
                let tile = scale::cover(&photos[(first + k) % photos.len()], side, side)?.0;
                let (x0, y0) = (w / faces * k + (w / faces - side) / 2, (h - side) / 2);
                for y in 0..side {
                    for x in 0..side {
                        frame.set_pixel(x0 + x, y0 + y, tile.pixel(x, y));
                    }
                }
            }
            Ok(frame)
        })
        .collect()
}
