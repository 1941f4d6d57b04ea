//! A complete model folder in a temporary place: the drawn networks as ONNX beside their manifest.

use std::path::Path;

use limen_models::manifest::{
    Alignment, Colour, EmbeddingSpec, Input, Kind, Manifest, Mirror, ModelEntry, OperatingPoint, sha256_hex,
};
use limen_train::export::onnx;
use limen_train::graph::Network;
use tempfile::TempDir;

use crate::nets::{LENGTH, Nets, nets};

/// Id of the embedder that is the manifest's default.
pub const EMBEDDER: &str = "drawn";
/// The same network, faces and their mirror images summed.
pub const EMBEDDER_SUM: &str = "drawn-sum";
/// The same network, faces and their mirror images side by side.
pub const EMBEDDER_CONCAT: &str = "drawn-concat";

/// (false match rate, threshold) of the drawn embedder; tests/tests/pipeline.rs measures on which side of them
/// drawn people fall.
pub const OPERATING_POINTS: [(f64, f32); 3] = [(1e-2, 0.55), (1e-3, 0.65), (1e-4, 0.75)];

/// A new folder with the drawn networks; it goes when the value goes.
pub fn model_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), nets());
    folder
}

/// Writes the networks and their manifest to `folder`.
pub fn write(folder: &Path, nets: &Nets) {
    let mut manifest = Manifest::empty(folder);
    let mut put = |id: &str, kind: Kind, network: &Network, input: Input, mirror: Option<Mirror>| {
        let bytes = onnx::to_bytes(network).expect("the network can be written");
        let file = format!("{}.onnx", network.name);
        std::fs::write(folder.join(&file), &bytes).expect("the network is written");
        let operating_points = match mirror {
            Some(Mirror::None) => OPERATING_POINTS.map(|(fmr, threshold)| point(fmr, threshold)).to_vec(),
            _ => Vec::new(),
        };
        let entry = ModelEntry {
            id: id.into(),
            kind,
            file,
            sha256: sha256_hex(&bytes),
            licence: "MIT OR Apache-2.0".into(),
            source: "tests/src/nets.rs".into(),
            input,
            face_threshold: None,
            landmark_looks: None,
            alignment: mirror.map(|_| Alignment::SPHEREFACE_112X96),
            embedding: mirror.map(|mirror| EmbeddingSpec { length: LENGTH, mirror }),
            operating_points,
        };
        manifest.put(entry).expect("the entry is right");
    };
    let square = |side| Input::sphereface(side, side, Colour::Rgb);
    put("drawn-p", Kind::MtcnnP, &nets.p, square(12), None);
    put("drawn-r", Kind::MtcnnR, &nets.r, square(24), None);
    put("drawn-o", Kind::MtcnnO, &nets.o, square(48), None);
    let aligned = Input::sphereface(96, 112, Colour::Bgr);
    put(EMBEDDER, Kind::Embedder, &nets.embedder, aligned, Some(Mirror::None));
    put(EMBEDDER_SUM, Kind::Embedder, &nets.embedder, aligned, Some(Mirror::Sum));
    put(EMBEDDER_CONCAT, Kind::Embedder, &nets.embedder, aligned, Some(Mirror::Concat));
    manifest.save().expect("the manifest is written");
}

fn point(fmr: f64, threshold: f32) -> OperatingPoint {
    OperatingPoint {
        fmr,
        threshold,
        impostor_pairs: 30_450,
        evidence: "175 drawn people, two portraits each, tests/tests/pipeline.rs".into(),
    }
}
