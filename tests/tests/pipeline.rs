//! The real pipeline through its engine against the same networks by plain code: boxes, landmarks, crops, embeddings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_models::detect::mtcnn::Settings;
use limen_models::image::RgbImage;
use limen_models::manifest::{Manifest, Mirror};
use limen_models::pipeline::{Embed, Face, Pipeline, Workspace};
use limen_models::quality::Limits;
use limen_tests::model_folder::{EMBEDDER_CONCAT, EMBEDDER_SUM, OPERATING_POINTS, model_folder};
use limen_tests::nets::nets;
use limen_tests::people::{Person, Place, Scene, group, portrait};
use limen_tests::reference::{self, Found};

/// How far a box or a landmark may lie from the reference's, px.
const PLACE_PX: f64 = 0.5;
/// Least cosine of an embedding to the reference's.
const ALIKE: f64 = 0.9999;

fn pipeline(embedder: Option<&str>, settings: Settings) -> Pipeline {
    let folder = model_folder();
    let manifest = Manifest::load(folder.path()).unwrap();
    Pipeline::load(&manifest, embedder, settings, Limits::default()).unwrap()
}

fn people(seeds: std::ops::Range<u64>) -> Vec<Person> {
    seeds.map(Person::new).collect()
}

fn as_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Compares every face of `image` and says how many there are.
fn compare(pipeline: &Pipeline, settings: reference::Settings, mirror: Mirror, image: &RgbImage) -> usize {
    let mut workspace = Workspace::default();
    let (ours, _) = pipeline.process(image.view(), Embed::All, &mut workspace).unwrap();
    let mut plain = reference::detect(nets(), image, settings);
    assert_eq!(ours.len(), plain.len(), "faces found");
    ours.sort_by(|a, b| a.detection.bbox.x1.total_cmp(&b.detection.bbox.x1));
    plain.sort_by(|a, b| a.bbox[0].total_cmp(&b.bbox[0]));
    for (face, want) in ours.iter().zip(&plain) {
        same_face(face, want, mirror, image);
    }
    ours.len()
}

fn same_face(face: &Face, want: &Found, mirror: Mirror, image: &RgbImage) {
    let near = |what: &str, got: f32, want: f64| {
        assert!((f64::from(got) - want).abs() <= PLACE_PX, "{what}: {got}, the reference has {want}");
    };
    let b = face.detection.bbox;
    for ((got, want), what) in
        [b.x1, b.y1, b.x2, b.y2].into_iter().zip(want.bbox).zip(["x1", "y1", "x2", "y2"])
    {
        near(what, got, want);
    }
    for (got, [x, y]) in face.detection.landmarks.0.iter().zip(want.landmarks) {
        near("landmark x", got.x, x);
        near("landmark y", got.y, y);
    }
    assert!((f64::from(face.detection.confidence) - want.score).abs() < 1e-3);
    let crop = reference::align(image, &want.landmarks);
    let aligned = face.aligned.as_ref().expect("a drawn face can be aligned");
    let off: u64 = aligned.crop.data().iter().zip(&crop).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = off as f64 / crop.len() as f64;
    assert!(mean < 0.2, "the crops differ by {mean} levels on average");
    let got = as_f64(face.embedding.as_ref().expect("an embedding was asked for").values());
    let cosine = reference::cosine(&got, &reference::embed(nets(), &crop, mirror));
    assert!(cosine >= ALIKE, "the embeddings' cosine is {cosine}");
}

#[test]
fn no_one_three_and_five_faces_are_seen_as_the_reference_sees_them() {
    let p = pipeline(None, Settings::door());
    for (count, seed) in [(0, 1), (1, 2), (3, 3), (5, 4), (5, 5)] {
        let image = group(&people(10 * seed..10 * seed + count), seed);
        let found = compare(&p, reference::Settings::door(&image), Mirror::None, &image);
        assert_eq!(found as u64, count, "picture {seed}");
    }
}

#[test]
fn a_small_frame_with_the_published_settings_and_a_face_over_the_edge_agree() {
    let p = pipeline(None, Settings::training_data());
    let image = Scene::new(201, 163, 7)
        .with(&Person::new(70), Place { lean_deg: 8.0, light: 0.8, ..Place::at(24.0, 60.0, 75.0) })
        .with(&Person::new(71), Place::at(140.0, 120.0, 90.0))
        .noise(3.0)
        .done();
    assert_eq!(compare(&p, reference::Settings::SPHEREFACE, Mirror::None, &image), 2);
}

#[test]
fn the_mirror_rules_agree() {
    let image = group(&people(80..82), 8);
    for (id, mirror) in [(EMBEDDER_SUM, Mirror::Sum), (EMBEDDER_CONCAT, Mirror::Concat)] {
        let p = pipeline(Some(id), Settings::door());
        assert_eq!(compare(&p, reference::Settings::door(&image), mirror, &image), 2);
    }
}

#[test]
fn a_warm_bar_is_no_face() {
    let p = pipeline(None, Settings::door());
    for (x, width) in [(40.0, 30.0), (100.0, 60.0), (150.0, 110.0)] {
        let image = Scene::new(320, 240, 9).bar(x, 0.0, width, 240.0, [215.0, 125.0, 50.0]).done();
        assert_eq!(compare(&p, reference::Settings::door(&image), Mirror::None, &image), 0, "{width} px");
    }
}

#[test]
fn every_drawn_face_is_found_once_at_its_place() {
    let p = pipeline(None, Settings::door());
    let sizes = [(320, 240, 40.0), (320, 240, 95.0), (480, 360, 60.0), (640, 480, 80.0), (640, 480, 200.0)];
    for (i, (width, height, side)) in sizes.into_iter().enumerate() {
        for (k, light) in [0.8, 1.0, 1.1].into_iter().enumerate() {
            let seed = (10 * i + k) as u64;
            let (x, y) = (0.55 * side + 30.0 * k as f64, height as f64 - 0.6 * side);
            let place = Place { lean_deg: 4.0 * (k as f64 - 1.0), light, ..Place::at(x, y, side) };
            let image = Scene::new(width, height, seed).with(&Person::new(seed), place).noise(3.0).done();
            let faces = p.detect(image.view()).unwrap();
            assert_eq!(faces.len(), 1, "{width}x{height}, {side} px");
            let (centre, got) = (faces[0].bbox.centre(), f64::from(faces[0].bbox.width()));
            let off = (f64::from(centre.x) - x).hypot(f64::from(centre.y) - y);
            assert!(
                off < 0.05 * side && (got / side - 1.0).abs() < 0.05,
                "off by {off:.1} px, {got:.0} px wide"
            );
        }
    }
}

#[test]
fn drawn_people_fall_on_the_right_side_of_the_manifests_thresholds() {
    let p = pipeline(None, Settings::door());
    let mut workspace = Workspace::default();
    let mut probe = |person: u64, take: u64| {
        let image = portrait(&Person::new(person), 1000 * take + person);
        let (faces, _) = p.process(image.view(), Embed::Good, &mut workspace).unwrap();
        assert_eq!(faces.len(), 1, "person {person}");
        faces[0].embedding.as_ref().expect("a good face").values().to_vec()
    };
    const PEOPLE: usize = 175;
    let first: Vec<_> = (0..PEOPLE).map(|i| probe(i as u64, 1)).collect();
    let second: Vec<_> = (0..PEOPLE).map(|i| probe(i as u64, 2)).collect();
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let mut impostors = Vec::with_capacity(PEOPLE * (PEOPLE - 1));
    for (i, a) in first.iter().enumerate() {
        for (j, b) in second.iter().enumerate() {
            let score = cosine(a, b);
            if i != j {
                impostors.push(score);
            } else {
                assert!(score >= OPERATING_POINTS[2].1 + 0.03, "person {i} is not known again: {score}");
            }
        }
    }
    for (fmr, threshold) in OPERATING_POINTS {
        let passed = impostors.iter().filter(|s| **s >= threshold).count() as f64;
        assert!(passed <= fmr * impostors.len() as f64, "{passed} of {} pass {threshold}", impostors.len());
    }
    let closest = impostors.iter().copied().fold(-1.0, f32::max);
    assert!(closest <= OPERATING_POINTS[2].1, "two drawn people are alike: {closest}");
}
