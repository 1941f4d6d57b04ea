//! Photographs of drawn people to crops to batches: the way that training data goes, end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use limen_models::detect::mtcnn::{Mtcnn, Settings};
use limen_models::manifest::{Colour, Input, Manifest};
use limen_models::photo::decode_file;
use limen_tests::model_folder::model_folder;
use limen_tests::people::{Person, portrait, save_png};
use limen_train::dataset::augment::Augment;
use limen_train::dataset::exclude::Exclusions;
use limen_train::dataset::index::Index;
use limen_train::dataset::loader::{Batch, Loader, LoaderConfig};
use limen_train::dataset::order::Sampling;
use limen_train::dataset::prepare::encoding::Encoding;
use limen_train::dataset::prepare::journal::Journal;
use limen_train::dataset::prepare::sink::Sink;
use limen_train::dataset::prepare::{Counts, Preparation};
use limen_train::dataset::set::Set;

/// Three people with three portraits each, a grey picture without a face and half a picture.
fn photographs(folder: &Path) {
    for who in 0..3 {
        let person = folder.join(format!("p{who}"));
        std::fs::create_dir_all(&person).unwrap();
        for take in 0..3 {
            save_png(&portrait(&Person::new(who), 10 * who + take), &person.join(format!("{take}.png")));
        }
    }
    image::RgbImage::from_pixel(200, 200, image::Rgb([128; 3])).save(folder.join("p1/grey.png")).unwrap();
    let whole = std::fs::read(folder.join("p2/0.png")).unwrap();
    std::fs::write(folder.join("p2/half.png"), &whole[..whole.len() / 2]).unwrap();
}

/// Makes crops in `to`; with `shards`, tar shards.
fn prepare(
    from: &Path,
    to: &Path,
    margin: usize,
    encoding: Encoding,
    shards: Option<usize>,
    workers: usize,
) -> Counts {
    std::fs::create_dir_all(to).unwrap();
    let models = model_folder();
    let manifest = Manifest::load(models.path()).unwrap();
    let cascade = manifest.cascade().unwrap();
    let detector = Mtcnn::load(&manifest, cascade).unwrap();
    let preparation = Preparation::new(detector, cascade, Settings::training_data(), margin, encoding);
    std::fs::write(to.join("crops.toml"), preparation.crops().to_toml().unwrap()).unwrap();
    let index = Index::open(&[from.to_owned()]).unwrap();
    let sink = match shards {
        Some(n) => Sink::shards(to, n, index.identities().len()).unwrap(),
        None => Sink::files(to).unwrap(),
    };
    let counts = preparation.run(&index, &sink, &Journal::open(to).unwrap(), workers).unwrap();
    sink.finish().unwrap();
    counts
}

fn open(path: PathBuf) -> Set {
    Set::open(&[path], &Exclusions::default()).unwrap().0
}

fn batches(set: Set) -> Vec<Batch> {
    let config = LoaderConfig {
        batch: 4,
        seed: 1,
        workers: 2,
        sampling: Sampling::Shuffled,
        augment: Augment::default(),
        input: Input::sphereface(96, 112, Colour::Bgr),
        start: 0,
        end: Some(9),
    };
    Loader::new(Arc::new(set), config).unwrap().collect::<anyhow::Result<_>>().unwrap()
}

#[test]
fn photographs_become_crops_whatever_the_destination_and_failures_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    photographs(&at("photos"));
    let jpeg = Encoding::Jpeg(92);
    let counts = prepare(&at("photos"), &at("files"), 8, jpeg, None, 1);
    assert_eq!(counts, Counts { written: 9, failed: 2, before: 0 });
    let failures = std::fs::read_to_string(at("files/failures.tsv")).unwrap();
    assert!(failures.contains("p1/grey.png\tno face found in 200x200 px\n"), "{failures}");
    assert!(failures.contains("p2/half.png\t") && failures.contains("damaged or cut short"), "{failures}");
    assert_eq!(prepare(&at("photos"), &at("shards"), 8, jpeg, Some(2), 3), counts);
    assert_eq!(open(at("files")).index().digest(), open(at("shards")).index().digest());
    // The same again has nothing to do, failures included.
    for (to, shards) in [("files", None), ("shards", Some(2))] {
        let again = prepare(&at("photos"), &at(to), 8, jpeg, shards, 2);
        assert_eq!(again, Counts { written: 0, failed: 0, before: 11 });
    }
    // A crop that was lost is made again.
    let lost = at("files/p0/1.jpg");
    let before = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    assert_eq!(prepare(&at("photos"), &at("files"), 8, jpeg, None, 1).written, 1);
    assert_eq!(std::fs::read(&lost).unwrap(), before);
    assert_eq!(batches(open(at("files"))), batches(open(at("shards"))));
}

#[test]
fn a_margin_adds_pixels_around_the_same_face() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    photographs(&at("photos"));
    prepare(&at("photos"), &at("plain"), 0, Encoding::Png, None, 1);
    prepare(&at("photos"), &at("wide"), 8, Encoding::Webp, None, 1);
    let plain = decode_file(&at("plain/p0/0.png")).unwrap();
    let wide = decode_file(&at("wide/p0/0.webp")).unwrap();
    assert_eq!((plain.width(), plain.height(), wide.width(), wide.height()), (96, 112, 112, 128));
    let differ = (0..112)
        .flat_map(|y| (0..96).map(move |x| (x, y)))
        .filter(|&(x, y)| {
            let (a, b) = (plain.pixel(x, y), wide.pixel(x + 8, y + 8));
            a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > 1)
        })
        .count();
    assert_eq!(differ, 0, "rounding alone may differ, by one");
    // What the network sees of both is the same but for that rounding.
    for (a, b) in batches(open(at("plain"))).iter().zip(batches(open(at("wide")))) {
        assert_eq!((&a.labels, &a.samples, &a.mirrored), (&b.labels, &b.samples, &b.mirrored));
        let worst = a.pixels.iter().zip(&b.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1.01 / 128.0, "{worst}");
    }
}
