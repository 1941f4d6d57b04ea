//! Runs on drawn faces: a resumed run equals an unbroken one bit by bit, passes add up, divergence is told.

use super::*;
use crate::backbone::{Normalisation, Spec};
use crate::config::Start;
use crate::evaluate::extract::Feature;
use crate::evaluate::lfw::Fusion;
use crate::export::onnx;
use crate::graph::reference::evaluate;
use crate::metrics::Metrics;
use limen_gallery_db::score::unit;
use limen_models::image::RgbImage;
use limen_models::manifest::{Alignment, EmbeddingSpec, Kind, Manifest, Mirror, ModelEntry, sha256_hex};
use limen_models::resample::planes;

/// Six people of four pictures each, each a colour and a pattern of its own, as PNG crops.
fn people(folder: &Path) {
    for person in 0..6u32 {
        let home = folder.join(format!("p{person}"));
        std::fs::create_dir_all(&home).unwrap();
        for picture in 0..4u32 {
            let mut im = RgbImage::filled(WIDTH, HEIGHT, [0; 3]).unwrap();
            for y in 0..HEIGHT as u32 {
                for x in 0..WIDTH as u32 {
                    let wave = ((x * (person + 1) / 8 + y * (6 - person) / 8 + picture) % 2) as u8;
                    let level = |c: u32| 40 + 30 * ((person + c) % 5) as u8 + 50 * wave + 3 * picture as u8;
                    im.set_pixel(x as usize, y as usize, [level(0), level(1), level(2)]);
                }
            }
            let (w, h) = (WIDTH as u32, HEIGHT as u32);
            image::save_buffer(home.join(format!("{picture}.png")), im.data(), w, h, image::ColorType::Rgb8)
                .unwrap();
        }
    }
}

fn config(folder: &Path, extra: &str) -> Config {
    Config::parse(&format!(
        r#"
        seed = 3
        [data]
        paths = [{:?}]
        held_out = 0.34
        workers = 2
        [network]
        depth = 4
        width = 0.125
        embedding = 16
        [head]
        kind = "a-softmax"
        {extra}
        "#,
        folder.join("people")
    ))
    .unwrap()
}

const SCHEDULE: &str = r#"
        [schedule]
        steps = 8
        batch = 6
        lr = 0.02
        fall = { kind = "steps", at = [5], gamma = 0.1 }
        [output]
        checkpoint_every = 3
        keep = 9
        validate_every = 4
        pairs = 4
        log_every = 1
"#;

fn go(config: &Config, run: &Path, begin: Begin) -> Result<Ended> {
    Run::new(config, run, begin, &Device::flex())?.go(&AtomicBool::new(false))
}

fn losses(run: &Path) -> Vec<(u64, u64)> {
    Metrics::read(run).unwrap().steps.iter().map(|s| (s.step, s.loss.to_bits())).collect()
}

#[test]
fn a_resumed_run_equals_an_unbroken_one_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let config = config(dir.path(), SCHEDULE);
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let ended = go(&config, &whole, Begin::Anew).unwrap();
    assert_eq!((ended.step, ended.stopped), (8, false));
    go(&config, &broken, Begin::Anew).unwrap();
    // As after a kill between steps 6 and 8: the later checkpoint is not there, an earlier line of metrics is torn.
    std::fs::remove_file(checkpoint::path(&broken, 8)).unwrap();
    let metrics = broken.join(crate::metrics::FILE_NAME);
    let text = std::fs::read(&metrics).unwrap();
    std::fs::write(&metrics, &text[..text.len() - 7]).unwrap();
    let again = go(&config, &broken, Begin::Resume).unwrap();
    assert_eq!(again.step, 8);
    assert_eq!(losses(&whole), losses(&broken));
    assert_eq!(std::fs::read(ended.checkpoint).unwrap(), std::fs::read(again.checkpoint).unwrap());
    let first = Metrics::read(&whole).unwrap();
    assert!(first.steps[7].loss < first.steps[0].loss, "it learns: {:?}", first.steps);
    assert_eq!(first.validations.iter().filter(|v| v.figure == "held-out-accuracy").count(), 2);
    let e = go(&config, &whole, Begin::Anew).unwrap_err().to_string();
    assert!(e.contains("a run is there already") && e.contains("--resume"), "{e}");
}

#[test]
fn passes_add_up_to_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let whole = config(dir.path(), SCHEDULE);
    let mut parts = whole.clone();
    parts.schedule.micro_batch = Some(2);
    go(&whole, &dir.path().join("whole"), Begin::Anew).unwrap();
    go(&parts, &dir.path().join("parts"), Begin::Anew).unwrap();
    let loss = |run: &str| -> Vec<f64> {
        Metrics::read(&dir.path().join(run)).unwrap().steps.iter().map(|s| s.loss).collect()
    };
    for (a, b) in loss("whole").iter().zip(loss("parts")) {
        assert!((a - b).abs() < 1e-4 * a.abs(), "{a} {b}: only the order of the sums differs");
    }
}

#[test]
fn a_run_that_guesses_ends_with_a_sentence_or_backs_off() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    // A rate so small that nothing is learnt, and no patience.
    let still = SCHEDULE.replace("lr = 0.02", "lr = 1e-9");
    let guard = "[guard]\npatience = 4\nwindow = 2\nnearness = 0.49\n";
    let e = go(&config(dir.path(), &format!("{still}{guard}")), &dir.path().join("stop"), Begin::Anew)
        .unwrap_err();
    let said = e.to_string();
    assert!(
        said.contains("step 5") && said.contains("guessing") && said.contains("head.lambda.min"),
        "{said}"
    );
    let patient = format!("{still}{guard}policy = \"raise-lambda\"\n");
    let run = dir.path().join("back");
    let e = go(&config(dir.path(), &patient), &run, Begin::Anew).unwrap_err().to_string();
    assert!(e.contains("guessing"), "it gives up in the end: {e}");
    assert_eq!(checkpoint::newest(&run).unwrap().unwrap().state.step, 3, "and its checkpoint is whole");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let wild = SCHEDULE.replace("lr = 0.02", "lr = 100");
    let e = go(&config(dir.path(), &wild), &dir.path().join("run"), Begin::Anew).unwrap_err().to_string();
    assert!(e.contains("no number") || e.contains("certain of the wrong answer"), "{e}");
}

#[test]
fn other_pictures_and_other_networks_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let mut first = config(dir.path(), SCHEDULE);
    first.network.normalisation = Normalisation::Batch;
    let run = dir.path().join("run");
    let ended = go(&first, &run, Begin::Anew).unwrap();
    let mut other = first.clone();
    other.network.embedding = 24;
    let e = format!("{:#}", go(&other, &run, Begin::Resume).unwrap_err());
    assert!(e.contains("another network") && e.contains("fc5"), "{e}");
    // A start from a checkpoint takes the weights and begins at step 1.
    let mut next = first.clone();
    next.start = Some(Start::Checkpoint(ended.checkpoint.clone()));
    let run2 = dir.path().join("next");
    go(&next, &run2, Begin::Anew).unwrap();
    let (a, b) = (Metrics::read(&run).unwrap(), Metrics::read(&run2).unwrap());
    assert!(b.steps[0].loss < a.steps[0].loss, "it begins where the other ended");
    // One from its weights alone has the same network, without the classifier.
    let [of_checkpoint, of_weights] = [Start::Checkpoint, Start::Weights].map(|start| {
        next.start = Some(start(ended.checkpoint.clone()));
        pupil::network_at_start(&next, &Device::flex()).unwrap()
    });
    assert_eq!(of_checkpoint, of_weights);
    assert_ne!(of_weights, first.network.build(first.seed).unwrap(), "and not what was drawn");
    // One with longer embeddings has the same directions.
    next.start = Some(Start::Scaled { checkpoint: ended.checkpoint.clone(), by: 4.0 });
    let of_scaled = pupil::network_at_start(&next, &Device::flex()).unwrap();
    let embed = |net: &crate::graph::Network| {
        let picture = vec![0.25; 3 * HEIGHT * WIDTH];
        evaluate(net, &picture, 1, HEIGHT, WIDTH).unwrap().remove(0).data
    };
    for (long, short) in embed(&of_scaled).iter().zip(embed(&of_checkpoint)) {
        assert!(
            (long - 4.0 * short).abs() <= 1e-4 * short.abs().max(1.0),
            "{long} is not four times {short}"
        );
    }
    std::fs::remove_dir_all(dir.path().join("people/p5")).unwrap();
    let e = go(&first, &run, Begin::Resume).unwrap_err().to_string();
    assert!(e.contains("other pictures"), "{e}");
}

/// Reference trap 4: the weights themselves are put to unit length, and their gradient is plain.
#[test]
fn class_weights_have_unit_length_in_a_run_where_the_head_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    // A rate that moves nothing: what a checkpoint holds is then what the last forward saw.
    let still = SCHEDULE.replace("lr = 0.02", "lr = 1e-9");
    let lengths = |head: &str| -> Vec<f32> {
        let mut config = config(dir.path(), &still);
        config.head = toml::from_str(&format!("kind = \"{head}\"")).unwrap();
        let ended = go(&config, &dir.path().join(head), Begin::Anew).unwrap();
        let mut kept = checkpoint::load(&ended.checkpoint).unwrap();
        let weight = kept.take("param/fc6.weight", &[kept.state.classes, 16]).unwrap();
        weight.chunks_exact(16).map(|row| row.iter().map(|w| w * w).sum::<f32>().sqrt()).collect()
    };
    let is_unit = |length: &f32| (length - 1.0).abs() < 1e-5;
    let found = lengths("a-softmax");
    assert!(found.iter().all(is_unit), "{found:?}");
    let found = lengths("softmax");
    assert!(!found.iter().all(is_unit), "plain softmax keeps its own: {found:?}");
}

#[test]
fn too_few_people_are_told() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let mut config = config(dir.path(), SCHEDULE);
    config.data.min_pictures = 5;
    let e = format!("{:#}", go(&config, &dir.path().join("run"), Begin::Anew).unwrap_err());
    assert!(e.contains("two identities") || e.contains("data.held_out"), "{e}");
}

/// A model folder with a small seeded network of this length in it, and the network.
fn tutor(folder: &Path, length: usize) -> crate::graph::Network {
    let spec = Spec { embedding: length, ..config(folder, SCHEDULE).network };
    let network = spec.build(77).unwrap();
    let bytes = onnx::to_bytes(&network).unwrap();
    std::fs::create_dir_all(folder.join("tutor")).unwrap();
    std::fs::write(folder.join("tutor/tutor.onnx"), &bytes).unwrap();
    let mut manifest = Manifest::empty(&folder.join("tutor"));
    let entry = ModelEntry {
        id: "tutor".into(),
        kind: Kind::Embedder,
        file: "tutor.onnx".into(),
        sha256: sha256_hex(&bytes),
        licence: "test".into(),
        source: "test".into(),
        input: Input::sphereface(WIDTH, HEIGHT, limen_models::manifest::Colour::Rgb),
        face_threshold: None,
        landmark_looks: None,
        alignment: Some(Alignment::SPHEREFACE_112X96),
        embedding: Some(EmbeddingSpec { length, mirror: Mirror::Sum }),
        operating_points: vec![],
    };
    manifest.put(entry).unwrap();
    manifest.save().unwrap();
    network
}

/// Learning from the tutor alone, its embeddings kept in `cache`.
fn taught(folder: &Path, cache: &str) -> Config {
    let models = folder.join("tutor");
    let cache = folder.join(cache);
    config(
        folder,
        &format!(
            "{SCHEDULE}[teacher]\nmodels = {models:?}\nid = \"tutor\"\nhead_weight = 0.0\ncache = {cache:?}\n"
        ),
    )
}

fn teacher_losses(run: &Path) -> Vec<f64> {
    Metrics::read(run).unwrap().steps.iter().map(|s| s.teacher_loss.unwrap()).collect()
}

#[test]
fn a_teacher_is_followed_and_asked_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    people(&at("people"));
    tutor(dir.path(), 16);
    let config = taught(dir.path(), "lessons.bin");
    let ended = go(&config, &at("first"), Begin::Anew).unwrap();
    let told = teacher_losses(&at("first"));
    assert!(told.len() == 8 && told[7] < 0.7 * told[0], "it follows: {told:?}");
    let no_map = checkpoint::load(&ended.checkpoint).unwrap().take("param/teacher.weight", &[16, 16]);
    assert!(no_map.is_err(), "lengths are equal");
    let kept = std::fs::read(at("lessons.bin")).unwrap();
    // Without its file the teacher cannot be asked again: what is kept has to do.
    std::fs::rename(at("tutor/tutor.onnx"), at("away.onnx")).unwrap();
    go(&config, &at("second"), Begin::Anew).unwrap();
    assert_eq!(teacher_losses(&at("second")), told);
    // Fewer pictures need no more lessons.
    (0..6).for_each(|p| std::fs::remove_file(at(&format!("people/p{p}/3.png"))).unwrap());
    go(&config, &at("third"), Begin::Anew).unwrap();
    assert_eq!(std::fs::read(at("lessons.bin")).unwrap(), kept);
    // What is missing, half a record included, is asked for: and it says why it cannot be.
    std::fs::write(at("lessons.bin"), &kept[..kept.len() - 5]).unwrap();
    people(&at("people"));
    let e = format!("{:#}", go(&config, &at("fourth"), Begin::Anew).unwrap_err());
    assert!(e.contains("tutor.onnx"), "{e}");
    std::fs::rename(at("away.onnx"), at("tutor/tutor.onnx")).unwrap();
    go(&config, &at("fifth"), Begin::Anew).unwrap();
    assert_eq!(std::fs::read(at("lessons.bin")).unwrap().len(), kept.len());
    assert_eq!(teacher_losses(&at("fifth")), told);
    // What is no file of this teacher's lessons is left alone.
    std::fs::write(at("lessons.bin"), "a shopping list").unwrap();
    let e = format!("{:#}", go(&config, &at("sixth"), Begin::Anew).unwrap_err());
    assert!(e.contains("lessons.bin: lessons of another teacher, or no lessons; name another file"), "{e}");
    assert_eq!(std::fs::read(at("lessons.bin")).unwrap(), b"a shopping list");
}

#[test]
fn a_lesson_is_the_sum_of_picture_and_mirror_image() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    let network = tutor(dir.path(), 16);
    let config = taught(dir.path(), "lessons.bin");
    let set = Pictures::open(&config).unwrap().train;
    let lessons = Lessons::prepare(config.teacher.as_ref().unwrap(), &set, dir.path(), 2).unwrap();
    let picture = set.crop(&set.index().samples()[5], &mut Vec::new()).unwrap();
    let face = |mirrored| {
        let mut input = vec![0.0; 3 * HEIGHT * WIDTH];
        let rule = Input::sphereface(WIDTH, HEIGHT, limen_models::manifest::Colour::Rgb);
        planes(picture.view(), mirrored, &rule, &mut input);
        evaluate(&network, &input, 1, HEIGHT, WIDTH).unwrap().remove(0).data
    };
    let mut want = Fusion::Sum.apply(&Feature { plain: face(false), mirrored: face(true) });
    unit(&mut want).unwrap();
    for (got, want) in lessons.of(&[5]).iter().zip(&want) {
        assert!((got - want).abs() < 1e-4, "{got} {want}");
    }
}

#[test]
fn class_weights_begin_as_the_teachers_means() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    tutor(dir.path(), 16);
    let mut config = taught(dir.path(), "lessons.bin");
    let teacher = config.teacher.as_mut().unwrap();
    (teacher.classes, teacher.head_weight) = (true, 0.5);
    config.schedule.lr = 1e-9;
    let ended = go(&config, &dir.path().join("run"), Begin::Anew).unwrap();
    let mut kept = checkpoint::load(&ended.checkpoint).unwrap();
    let weight = kept.take("param/fc6.weight", &[kept.state.classes, 16]).unwrap();
    let set = Pictures::open(&config).unwrap().train;
    let lessons = Lessons::prepare(config.teacher.as_ref().unwrap(), &set, dir.path(), 2).unwrap();
    for (label, range) in set.index().ranges().into_iter().enumerate() {
        let places: Vec<u32> = range.collect();
        let mut mean = vec![0.0; 16];
        for lesson in lessons.of(&places).chunks_exact(16) {
            mean.iter_mut().zip(lesson).for_each(|(m, v)| *m += v);
        }
        unit(&mut mean).unwrap();
        for (got, want) in weight[label * 16..].iter().zip(&mean) {
            assert!((got - want).abs() < 1e-5, "class {label}: {got} {want}");
        }
    }
    tutor(dir.path(), 24);
    let e = format!("{:#}", go(&config, &dir.path().join("other"), Begin::Anew).unwrap_err());
    assert!(e.contains("lessons of another teacher"), "{e}");
    config.teacher.as_mut().unwrap().cache = None;
    let e = format!("{:#}", go(&config, &dir.path().join("another"), Begin::Anew).unwrap_err());
    assert!(e.contains("teacher.classes: the teacher's embedding has 24 numbers, the network's 16"), "{e}");
}

#[test]
fn a_teacher_of_another_length_is_followed_through_a_map() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    people(&dir.path().join("people"));
    tutor(dir.path(), 24);
    let mut config = taught(dir.path(), "");
    if let Some(teacher) = &mut config.teacher {
        teacher.cache = None;
    }
    let ended = go(&config, &run, Begin::Anew).unwrap();
    let told = teacher_losses(&run);
    assert!(told[7] < 0.7 * told[0], "it follows: {told:?}");
    let map = checkpoint::load(&ended.checkpoint).unwrap().take("param/teacher.weight", &[24, 16]).unwrap();
    assert!(map.iter().any(|w| *w != 0.0));
    assert!(run.join("teacher.bin").exists(), "kept beside the run");
}

#[test]
fn a_teacher_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    people(&dir.path().join("people"));
    tutor(dir.path(), 16);
    let mut config = taught(dir.path(), "lessons.bin");
    if let Some(teacher) = &mut config.teacher {
        teacher.id = "nobody".into();
    }
    let e = format!("{:#}", go(&config, &dir.path().join("run"), Begin::Anew).unwrap_err());
    assert!(e.contains("teacher.id") && e.contains("no model is called \"nobody\"; there are: tutor"), "{e}");
}
