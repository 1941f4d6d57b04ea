//! Imports the networks under `../shared/weights` and holds them against each other; skipped where they are not.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use limen_train::export::onnx::to_bytes;
use limen_train::graph::Network;
use limen_train::graph::reference::{Output, evaluate};
use limen_train::import::{Architecture, ImageLayout, ImportSource, ImportSpec, Role, import};
use std::path::PathBuf;

/// The folder of weights, or a line that says why nothing was tested.
fn weights(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LIMEN_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let folder = shared.join("weights");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED (no ../shared): {test}");
    None
}

fn run(source: ImportSource, role: Option<Role>) -> Network {
    import(&ImportSpec { source, role, name: None }).unwrap()
}

fn caffe(folder: &str, stem: &str, layout: ImageLayout, role: Role, root: &std::path::Path) -> Network {
    let file = |ending: &str| root.join(folder).join(format!("{stem}.{ending}"));
    run(ImportSource::Caffe { model: file("caffemodel"), prototxt: file("prototxt"), layout }, Some(role))
}

/// Different values in -1..1, as a normalised image has them, the same every time.
fn image(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn largest_difference(a: &[Output], b: &[Output]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut worst = 0f32;
    for (a, b) in a.iter().zip(b) {
        assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
        worst = a.data.iter().zip(&b.data).map(|(x, y)| (x - y).abs()).fold(worst, f32::max);
    }
    worst
}

#[test]
fn pytorch_and_caffe_mtcnn_are_one_network() {
    let Some(root) = weights("pytorch_and_caffe_mtcnn_are_one_network") else { return };
    for (stage, file, stem, height, width) in [
        (Architecture::MtcnnP, "pnet.pt", "det1", 31, 45),
        (Architecture::MtcnnR, "rnet.pt", "det2", 24, 24),
        (Architecture::MtcnnO, "onet.pt", "det3", 48, 48),
    ] {
        let path = root.join("mtcnn-facenet-pytorch").join(file);
        let from_pytorch = run(ImportSource::Weights { path, architecture: stage }, None);
        let from_caffe = caffe("mtcnn-kpzhang-caffe", stem, ImageLayout::WidthFirst, stage.role(), &root);
        let input = image(2 * 3 * height * width);
        let a = evaluate(&from_pytorch, &input, 2, height, width).unwrap();
        let b = evaluate(&from_caffe, &input, 2, height, width).unwrap();
        let worst = largest_difference(&a, &b);
        println!("{stage}: largest difference {worst:e}");
        assert!(worst < 1e-4, "{stage}: {worst}");
        // The test can fail: without the transposition the outputs are far apart.
        let untouched = caffe("mtcnn-kpzhang-caffe", stem, ImageLayout::HeightFirst, stage.role(), &root);
        let c = evaluate(&untouched, &input, 2, height, width).unwrap();
        assert!(largest_difference(&a, &c) > 1e-3, "{stage}");
        let names: Vec<&str> = a.iter().map(|o| o.name.as_str()).collect();
        let wanted = ["prob", "box", "landmarks"];
        assert_eq!(names, wanted[..names.len()]);
        assert_eq!(names.len(), if stage == Architecture::MtcnnO { 3 } else { 2 });
    }
}

#[test]
fn sphereface_128_is_imported() {
    let Some(root) = weights("sphereface_128_is_imported") else { return };
    let network =
        caffe("sphereface-zju-128", "sphereface_128_nobn", ImageLayout::HeightFirst, Role::Embedder, &root);
    assert_eq!(network.counts(network.input).unwrap().parameters, 785_936);
    let out = evaluate(&network, &image(3 * 112 * 96), 1, 112, 96).unwrap();
    assert_eq!((out[0].name.as_str(), &out[0].shape[..]), ("embedding", &[1, 128][..]));
}

#[test]
fn the_pilot_with_batch_norm_equals_its_folded_onnx() {
    let Some(root) = weights("the_pilot_with_batch_norm_equals_its_folded_onnx") else { return };
    let path = root.join("limen-pilot/sf10-half-bn.safetensors");
    let folded_here = run(ImportSource::Weights { path, architecture: Architecture::LimenPilot }, None);
    let path = root.join("limen-pilot/sf10-half-bn-folded.onnx");
    let folded_there = run(ImportSource::Onnx { path }, Some(Role::Embedder));
    let input = image(3 * 112 * 96);
    let a = evaluate(&folded_here, &input, 1, 112, 96).unwrap();
    let worst = largest_difference(&a, &evaluate(&folded_there, &input, 1, 112, 96).unwrap());
    println!("limen-pilot: largest difference {worst:e}");
    assert!(worst < 1e-4, "{worst}");
    // 1,098,880 with batch norm; of scale and shift of its 1,376 channels one bias is left.
    let counts = folded_here.counts(folded_here.input).unwrap();
    assert_eq!((counts.parameters, counts.macs / 1_000_000), (1_098_880 - 1_376, 188));
}

#[test]
fn what_is_exported_is_read_back() {
    let Some(root) = weights("what_is_exported_is_read_back") else { return };
    let path = root.join("mtcnn-facenet-pytorch/onet.pt");
    let network = run(ImportSource::Weights { path, architecture: Architecture::MtcnnO }, None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("onet.onnx");
    std::fs::write(&path, to_bytes(&network).unwrap()).unwrap();
    assert_eq!(run(ImportSource::Onnx { path }, Some(Role::MtcnnO)), network);
}
