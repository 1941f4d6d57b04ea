//! The models of the repository, on the composed people of the repository: embeddings, decisions, terms.
//! `LIMEN_BLESS=1` writes the golden embeddings anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use limen_models::detect::mtcnn::{Mtcnn, Settings};
use limen_models::image::RgbImage;
use limen_models::manifest::{Kind, Manifest, ModelEntry};
use limen_models::photo;
use limen_models::pipeline::{Embed, Face, Pipeline, Workspace};
use limen_models::quality::Limits;
use limen_tests::reference::cosine;
use limen_tests::site::{binary, json_lines};
use limen_train::config::{Config, Start};
use limen_train::device::{self, Backend};
use limen_train::training::pupil::Pupil;

/// Least cosine of an embedding to its golden one.
const ALIKE: f64 = 0.999;
/// Least cosine of what stands at the door to what is trained.
const SAME: f64 = 0.99999;
/// Least cosine of an int8 embedding to its golden one; on 200 crops the mean was 0.998, the least 0.991.
const ALIKE_IN_INT8: f64 = 0.985;
/// Most bytes of all model files together.
const ROOM_BYTES: u64 = 40_000_000;
/// Most bytes of the demo's clip.
const CLIP_BYTES: u64 = 5_000_000;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

fn weights() -> Manifest {
    Manifest::load(&folder("weights")).unwrap()
}

/// Embeddings by photograph, such as `enrolled/Ada/1.jpg`.
type Golden = BTreeMap<String, Vec<f64>>;

fn photos() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    let list = |path: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths
    };
    for part in ["enrolled", "strangers"] {
        for photo in list(&folder("people").join(part)).iter().flat_map(|person| list(person)) {
            all.push((photo.strip_prefix(folder("people")).unwrap().display().to_string(), photo));
        }
    }
    assert_eq!(all.len(), 9);
    all
}

/// The one face of each photograph, with its crop and its embedding by the default embedder or another.
fn faces(embedder: Option<&str>) -> Vec<(String, Face)> {
    let pipeline = Pipeline::load(&weights(), embedder, Settings::door(), Limits::default()).unwrap();
    let look = |(name, path): (String, PathBuf)| {
        let image = photo::decode_file(&path).unwrap();
        let mut workspace = Workspace::default();
        pipeline.process(image.view(), Embed::Good, &mut workspace).unwrap();
        let mut faces = workspace.into_faces();
        assert_eq!(faces.len(), 1, "{name}: faces found");
        (name, faces.remove(0))
    };
    photos().into_iter().map(look).collect()
}

fn embedding(name: &str, face: &Face) -> Vec<f64> {
    let embedding = face.embedding.as_ref().unwrap_or_else(|| panic!("{name}: {:?}", face.quality));
    embedding.values().iter().map(|v| f64::from(*v)).collect()
}

fn embeddings(embedder: Option<&str>) -> Golden {
    faces(embedder).into_iter().map(|(name, face)| (name.clone(), embedding(&name, &face))).collect()
}

#[test]
fn composed_people_have_their_golden_embeddings() {
    let got = embeddings(None);
    let file = folder("people/golden.json");
    if std::env::var_os("LIMEN_BLESS").is_some_and(|v| v == "1") {
        let lines: Vec<String> = got
            .iter()
            .map(|(name, values)| {
                let values: Vec<String> = values.iter().map(|v| format!("{v:.5}")).collect();
                format!("  {name:?}: [{}]", values.join(", "))
            })
            .collect();
        std::fs::write(&file, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let want: Golden = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (name, values) in &got {
        let alike = cosine(values, &want[name]);
        assert!(alike >= ALIKE, "{name}: cosine {alike} to the golden embedding");
    }
}

/// The embedder in int8 is the same network: near the golden embeddings, and as far from other people's.
#[test]
fn the_int8_embedder_agrees_with_the_golden_embeddings() {
    let want: Golden =
        serde_json::from_str(&std::fs::read_to_string(folder("people/golden.json")).unwrap()).unwrap();
    for (name, values) in embeddings(Some("limen-half10-int8")) {
        for (other, golden) in &want {
            let alike = cosine(&values, golden);
            if *other == name {
                assert!(alike >= ALIKE_IN_INT8, "{name}: cosine {alike} to the golden embedding");
            } else {
                let exact = cosine(&want[&name], golden);
                assert!((alike - exact).abs() < 0.05, "{name} and {other}: {alike}, in f32 {exact}");
            }
        }
    }
}

/// Numbers between the crop's pixels and the network, [3, 112, 96]: planes in BGR order.
fn pixels(crop: &RgbImage) -> Vec<f32> {
    let plane = |c: usize| crop.data().iter().skip(c).step_by(3).map(|v| (f32::from(*v) - 127.5) / 128.0);
    plane(2).chain(plane(1)).chain(plane(0)).collect()
}

/// What is trained and what stands at the door are two programs for one network.
#[test]
fn the_weights_in_training_give_the_same_embeddings() {
    let mut config =
        Config::load(&folder("../trainer/configs/teacher/half-10-long.toml")).expect("a configuration");
    config.start = Some(Start::Weights(folder("weights/limen-half10.safetensors")));
    let mut pupil = Pupil::new(&config, 1, None, &device::open(Backend::Cpu).unwrap()).unwrap();
    for (name, face) in faces(None) {
        let crop = &face.aligned.as_ref().unwrap().crop;
        let both = pupil.embed(&[pixels(crop), pixels(&crop.mirrored())].concat()).unwrap();
        let mut sum = vec![0.0; both[0].len()];
        for side in &both {
            let length = side.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
            sum.iter_mut().zip(side).for_each(|(s, v)| *s += f64::from(*v) / length);
        }
        let alike = cosine(&sum, &embedding(&name, &face));
        assert!(alike >= SAME, "{name}: cosine {alike} between training and door");
    }
}

#[test]
fn a_second_look_moves_landmarks_a_little_and_nothing_else() {
    let mut manifest = weights();
    let cascade = |manifest: &Manifest| Mtcnn::load(manifest, manifest.cascade().unwrap()).unwrap();
    let twice = cascade(&manifest);
    let [.., o] = manifest.cascade().unwrap();
    assert_eq!(o.landmark_looks, Some(2));
    let once = ModelEntry { landmark_looks: None, ..o.clone() };
    manifest.put(once).unwrap();
    let once = cascade(&manifest);
    for (name, path) in photos() {
        let image = photo::decode_file(&path).unwrap();
        let see = |cascade: &Mtcnn| cascade.detect(image.view(), &Settings::door()).unwrap().remove(0);
        let (a, b) = (see(&once), see(&twice));
        assert_eq!((a.bbox, a.confidence), (b.bbox, b.confidence), "{name}");
        let [left, right, ..] = a.landmarks.0;
        let moved = a.landmarks.0.iter().zip(b.landmarks.0).map(|(p, q)| p.distance(q)).sum::<f32>()
            / (5.0 * left.distance(right));
        // Both see the same eyes, nose and mouth.
        assert!(moved > 0.0 && moved < 0.05, "{name}: by {moved} of the eye distance");
    }
}

#[test]
fn every_threshold_parts_the_composed_people() {
    let manifest = weights();
    let selection = manifest.select(None).unwrap();
    let got = embeddings(None);
    let who = |name: &str| name.rsplit('/').nth(1).unwrap().to_owned();
    for fmr in [1e-2, 1e-3, 1e-4, 1e-5] {
        let threshold = f64::from(selection.threshold(fmr).unwrap().threshold);
        for (a, x) in &got {
            for (b, y) in got.iter().filter(|(b, _)| *b > a) {
                let score = cosine(x, y);
                assert_eq!(
                    score >= threshold,
                    who(a) == who(b),
                    "{a} and {b}: {score}, threshold {threshold} for {fmr}"
                );
            }
        }
    }
}

#[test]
fn the_demo_opens_for_the_enrolled_and_for_nobody_else() {
    let out = tempfile::tempdir().unwrap();
    let done = Command::new(binary())
        .arg("demo")
        .args([Path::new("--models"), &folder("weights"), Path::new("--people"), &folder("people")])
        .args([Path::new("--out"), out.path()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let verdicts: Vec<Vec<&str>> = said
        .lines()
        .filter(|l| l.contains(" granted ") || l.contains(" denied "))
        .map(|l| l.split_whitespace().skip(2).take(2).collect())
        .collect();
    assert_eq!(verdicts, [["granted", "1"], ["denied", "unknown"], ["granted", "2"]]);
    assert!(said.contains("genuine") && said.contains("impostor") && said.contains("threshold"), "{said}");
    let edges = json_lines(&std::fs::read_to_string(out.path().join("relay.jsonl")).unwrap());
    let coil: Vec<&str> = edges.iter().map(|e| e["coil"].as_str().unwrap()).collect();
    assert_eq!(coil, ["energised", "released", "energised", "released"]);
    assert!(out.path().join("screens.png").exists());
}

#[test]
fn each_model_has_terms_and_a_card_and_all_fit_on_a_small_card() {
    let manifest = weights();
    let mut bytes = 0;
    manifest.cascade().unwrap();
    manifest.embedder(None).unwrap();
    for entry in manifest.models() {
        bytes += std::fs::metadata(folder("weights").join(&entry.file)).unwrap().len();
        assert!(entry.licence.contains("research and evaluation"), "{}: {}", entry.id, entry.licence);
        let card = match entry.kind {
            Kind::Embedder => format!("{}.md", entry.id),
            Kind::MtcnnP | Kind::MtcnnR | Kind::MtcnnO => "limen-mtcnn.md".to_owned(),
        };
        let text = std::fs::read_to_string(folder("weights").join(&card)).expect(&card);
        assert!(text.contains(&entry.sha256), "{card} does not name {}'s sha256", entry.file);
    }
    assert!(bytes <= ROOM_BYTES, "{bytes} bytes");
    let clip = std::fs::metadata(folder("people/door.mjpeg")).unwrap().len();
    assert!(clip <= CLIP_BYTES, "the clip has {clip} bytes");
}
