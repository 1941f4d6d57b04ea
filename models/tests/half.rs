//! The embedder in half precision: near f32 where the CPU computes in it, an error that says so where not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use limen_models::detect::mtcnn::Settings;
use limen_models::error::ModelError;
use limen_models::kernels::simd::Level;
use limen_models::manifest::Manifest;
use limen_models::photo;
use limen_models::pipeline::{Embed, Pipeline, Workspace};
use limen_models::quality::Limits;

fn weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("weights")
}

fn pipeline(embedder: &str) -> Pipeline {
    let manifest = Manifest::load(&weights()).unwrap();
    Pipeline::load(&manifest, Some(embedder), Settings::door(), Limits::none()).unwrap()
}

/// The embedding of the face of each photograph of the enrolled people, who do not exist.
fn embeddings(pipeline: &Pipeline) -> Vec<Vec<f32>> {
    let people = Path::new(env!("CARGO_MANIFEST_DIR")).join("people/enrolled");
    let mut photographs: Vec<PathBuf> = std::fs::read_dir(people)
        .unwrap()
        .flat_map(|person| std::fs::read_dir(person.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    photographs.sort();
    let mut workspace = Workspace::default();
    let embed = |file: &PathBuf| {
        let photograph = photo::decode_file(file).unwrap();
        let (faces, _) = pipeline.process(photograph.view(), Embed::All, &mut workspace).unwrap();
        faces[0].embedding.as_ref().unwrap().values().to_vec()
    };
    photographs.iter().map(embed).collect()
}

#[test]
fn half_precision_is_near_or_refused() {
    let Some(_) = Level::half() else {
        let refused = pipeline("limen-half10").in_half().unwrap_err();
        assert!(
            matches!(&refused, ModelError::Half { model } if model.starts_with("limen-half10")),
            "{refused}"
        );
        assert!(refused.to_string().contains("models.half = false"), "{refused}");
        return;
    };
    assert!(pipeline("limen-half10-int8").in_half().is_err(), "int8 has no use for it");
    let (whole, half) = (pipeline("limen-half10"), pipeline("limen-half10").in_half().unwrap());
    let pairs: Vec<(Vec<f32>, Vec<f32>)> = embeddings(&whole).into_iter().zip(embeddings(&half)).collect();
    assert!(pairs.len() >= 2, "{} photographs", pairs.len());
    for (whole, half) in &pairs {
        let cosine: f32 = whole.iter().zip(half).map(|(a, b)| a * b).sum();
        assert!((0.9995..1.0 + 1e-5).contains(&cosine), "cosine {cosine}");
        assert_ne!(whole, half, "half precision was not used");
    }
}
