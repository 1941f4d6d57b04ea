//! A door's frames one after the other: from pixels to embeddings they ask for no memory, and any number of threads gives
//! the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use limen_models::detect::mtcnn::{Pyramid, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::photo;
use limen_models::pipeline::{Embed, Pipeline, Workspace};
use limen_models::quality::Limits;

fn manifest() -> Manifest {
    Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("weights")).unwrap()
}

/// Two people and nobody: frames of three sizes.
fn frames() -> Vec<RgbImage> {
    let people = Path::new(env!("CARGO_MANIFEST_DIR")).join("people/enrolled");
    let mut frames: Vec<RgbImage> = std::fs::read_dir(people)
        .unwrap()
        .flat_map(|person| std::fs::read_dir(person.unwrap().path()).unwrap().take(1))
        .map(|file| photo::decode_file(&file.unwrap().path()).unwrap())
        .collect();
    frames.push(RgbImage::filled(320, 240, [90; 3]).unwrap());
    frames
}

/// How often memory was asked for while every frame was processed once.
fn asked(pipeline: &Pipeline, frames: &[RgbImage], workspace: &mut Workspace) -> u64 {
    let mut faces = 0;
    let info = allocation_counter::measure(|| {
        for frame in frames {
            faces += pipeline.process(frame.view(), Embed::All, workspace).unwrap().0.len();
        }
    });
    assert_eq!(faces, frames.len() - 1, "faces found");
    info.count_total
}

#[test]
fn a_frame_asks_for_no_memory_in_the_steady_state() {
    let manifest = manifest();
    let frames = frames();
    for (embedder, pyramid) in [(None, Pyramid::Frame), (Some("limen-half10-int8"), Pyramid::Halves)] {
        let (settings, limits) = (Settings { pyramid, ..Settings::door() }, Limits::default());
        let pipeline = Pipeline::load(&manifest, embedder, settings, limits).unwrap();
        let mut workspace = Workspace::default();
        assert!(asked(&pipeline, &frames, &mut workspace) > 0, "the first frames prepare everything");
        assert_eq!(asked(&pipeline, &frames, &mut workspace), 0, "{embedder:?}");
    }
}

#[test]
fn several_threads_see_what_one_sees() {
    let manifest = manifest();
    for embedder in [None, Some("limen-half10-int8")] {
        let load = |threads: usize| {
            let pipeline = Pipeline::load(&manifest, embedder, Settings::door(), Limits::default()).unwrap();
            pipeline.with_threads(threads).unwrap()
        };
        let (one, three) = (load(1), load(3));
        let (mut a, mut b) = (Workspace::default(), Workspace::default());
        for frame in frames() {
            let (want, _) = one.process(frame.view(), Embed::All, &mut a).unwrap();
            let (got, _) = three.process(frame.view(), Embed::All, &mut b).unwrap();
            assert_eq!(want.len(), got.len());
            for (want, got) in want.iter().zip(got) {
                assert_eq!(want.detection, got.detection);
                assert!(want.embedding == got.embedding, "another embedding");
            }
        }
    }
}
