//! A manifest written and read, and every field that refuses.

use super::*;

fn entry(kind: Kind, side: usize) -> ModelEntry {
    ModelEntry {
        id: kind.word().into(),
        kind,
        file: format!("{}.onnx", kind.word()),
        sha256: "0".repeat(64),
        licence: "MIT".into(),
        source: "test".into(),
        input: Input::sphereface(side, side, Colour::Rgb),
        face_threshold: None,
        landmark_looks: None,
        alignment: None,
        embedding: None,
        operating_points: vec![],
    }
}

fn full() -> Manifest {
    let mut m = Manifest::empty(Path::new("models"));
    m.put(entry(Kind::MtcnnP, 12)).unwrap();
    m.put(entry(Kind::MtcnnR, 24)).unwrap();
    m.put(entry(Kind::MtcnnO, 48)).unwrap();
    let mut e = entry(Kind::Embedder, 96);
    e.input = Input::sphereface(96, 112, Colour::Bgr);
    e.alignment = Some(Alignment::SPHEREFACE_112X96);
    e.embedding = Some(EmbeddingSpec { length: 128, mirror: Mirror::Sum });
    let point =
        |fmr, threshold| OperatingPoint { fmr, threshold, impostor_pairs: 1_000_000, evidence: "t".into() };
    e.operating_points = vec![point(1e-2, 0.2), point(1e-3, 0.3), point(1e-4, 0.4)];
    m.put(e).unwrap();
    m
}

#[test]
fn what_is_written_reads_back_the_same() {
    let m = full();
    let again = Manifest::parse(Path::new("models"), &m.to_toml().unwrap()).unwrap();
    assert_eq!(m.models(), again.models());
    assert_eq!(m.select(None).unwrap().model_id(), again.select(None).unwrap().model_id());
}

#[test]
fn a_threshold_is_named_by_its_false_match_rate() {
    let m = full();
    let s = m.select(None).unwrap();
    assert_eq!(s.threshold(1e-3).unwrap().threshold, 0.3);
    assert_eq!(s.threshold(5e-3).unwrap().threshold, 0.3, "never a laxer point than asked for");
    let e = s.threshold(1e-5).unwrap_err().to_string();
    assert!(e.contains("1e-5") || e.contains("0.00001"), "{e}");
    assert!(e.contains("limen-train calibrate"), "{e}");
}

#[test]
fn the_model_id_follows_every_change_of_the_way_from_frame_to_embedding() {
    let base = full().select(None).unwrap().model_id();
    let change = |f: &dyn Fn(&mut ModelEntry), i: usize| {
        let mut m = full();
        f(&mut m.models[i]);
        m.select(None).unwrap().model_id()
    };
    assert_ne!(base, change(&|m| m.sha256 = "1".repeat(64), 0), "another detector");
    assert_ne!(base, change(&|m| m.input.colour = Colour::Rgb, 3), "another colour order");
    assert_ne!(base, change(&|m| m.embedding.as_mut().unwrap().mirror = Mirror::None, 3));
    assert_eq!(base, change(&|m| m.operating_points.clear(), 3), "thresholds change no embedding");
    assert_eq!(base, change(&|m| m.face_threshold = Some(0.5), 1), "nor do a detector's");
    assert_ne!(base, change(&|m| m.landmark_looks = Some(2), 2), "other landmarks");
    assert_eq!(
        base,
        change(&|m| m.landmark_looks = Some(1), 2),
        "once is what is meant where nothing is said"
    );
}

#[test]
fn each_bad_field_is_named() {
    let bad = |field: &str, f: &dyn Fn(&mut ModelEntry)| {
        let mut e = full().models[3].clone();
        f(&mut e);
        let err = full().put(e).unwrap_err();
        assert!(err.to_string().contains(&format!("field {field}")), "{field}: {err}");
    };
    bad("id", &|m| m.id = "a b".into());
    bad("file", &|m| m.file = "../x.onnx".into());
    bad("sha256", &|m| m.sha256 = "xyz".into());
    bad("licence", &|m| m.licence = " ".into());
    bad("input.scale", &|m| m.input.scale = 0.0);
    bad("input.width", &|m| m.input.width = 9000);
    bad("alignment", &|m| m.alignment = None);
    bad("alignment.points", &|m| m.alignment.as_mut().unwrap().points[0] = [500.0, 1.0]);
    bad("embedding", &|m| m.embedding = None);
    bad("embedding.length", &|m| m.embedding.as_mut().unwrap().length = 1);
    bad("face_threshold", &|m| m.face_threshold = Some(0.5));
    bad("operating_points", &|m| m.operating_points[0].fmr = 2.0);
    let mut p = full().models[0].clone();
    p.input.width = 13;
    assert!(full().put(p.clone()).unwrap_err().to_string().contains("field input.width"));
    (p.input.width, p.face_threshold) = (12, Some(1.0));
    assert!(full().put(p.clone()).unwrap_err().to_string().contains("field face_threshold"));
    (p.face_threshold, p.landmark_looks) = (None, Some(2));
    assert!(full().put(p).unwrap_err().to_string().contains("only mtcnn-o"));
    let o = ModelEntry { landmark_looks: Some(3), ..full().models[2].clone() };
    assert!(full().put(o).unwrap_err().to_string().contains("field landmark_looks"));
}

#[test]
fn unknown_preprocessing_and_unknown_fields_are_refused() {
    let text = full().to_toml().unwrap();
    let parse = |t: String| Manifest::parse(Path::new("models"), &t).unwrap_err().to_string();
    assert!(parse(text.replacen("\"rgb\"", "\"yuv\"", 1)).contains("yuv"));
    assert!(parse(text.replacen("\"nchw\"", "\"nhwc\"", 1)).contains("nhwc"));
    assert!(parse(text.replacen("licence", "license", 1)).contains("license"));
    assert!(parse(text.replacen("format = 1", "format = 2", 1)).contains("update Limen"));
    let twice = text.replace("id = \"mtcnn-r\"", "id = \"mtcnn-p\"");
    assert!(parse(twice).contains("stands twice"));
}

#[test]
fn a_file_that_was_changed_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mtcnn-p.onnx"), b"not what was imported").unwrap();
    let m = Manifest { folder: dir.path().to_owned(), ..full() };
    let e = m.read(&m.models[0]).unwrap_err();
    assert!(matches!(e, ModelError::Hash { .. }));
    assert!(e.to_string().contains("mtcnn-p.onnx") && e.to_string().contains("sha256"));
}

#[test]
fn a_missing_kind_says_how_to_add_it() {
    let mut m = full();
    m.models.remove(1);
    let e = m.select(None).unwrap_err().to_string();
    assert!(e.contains("mtcnn-r") && e.contains("limen-train import"), "{e}");
    assert_eq!(m.cascade().unwrap_err().to_string(), e);
}

/// Crops are made before there is a first embedder to train.
#[test]
fn a_folder_without_an_embedder_has_a_cascade() {
    let mut m = full();
    m.models.pop();
    assert!(m.select(None).unwrap_err().to_string().contains("embedder"));
    let kinds = m.cascade().unwrap().map(|e| e.kind);
    assert_eq!(kinds, [Kind::MtcnnP, Kind::MtcnnR, Kind::MtcnnO]);
}
