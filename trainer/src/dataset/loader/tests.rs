//! The loader on sets that are drawn here: order, threads, resuming, damage.

use std::path::{Path, PathBuf};

use limen_models::image::RgbImage;
use limen_models::resample::planes;

use super::*;
use crate::dataset::augment::{Shift, blur::Blur};
use crate::dataset::cache;
use crate::dataset::crop::Crops;
use crate::dataset::exclude::Exclusions;

/// Colour of picture `i` of person `who`.
fn colour(who: usize, i: usize) -> [u8; 3] {
    [10 + 40 * who as u8, 200 - 20 * i as u8, (who * 7 + i) as u8]
}

/// Three people with 4, 1 and 3 PNG crops of 112x128.
fn drawn(folder: &Path) -> Arc<Set> {
    for (who, n) in [4, 1, 3].into_iter().enumerate() {
        let person = folder.join(format!("p{who}"));
        std::fs::create_dir_all(&person).unwrap();
        for i in 0..n {
            let mut face = RgbImage::filled(112, 128, colour(who, i)).unwrap();
            face.set_pixel(8, 8, [255, 255, 255]);
            let path = person.join(format!("{i}.png"));
            image::save_buffer(path, face.data(), 112, 128, image::ExtendedColorType::Rgb8).unwrap();
        }
    }
    Arc::new(open(&[folder.to_owned()]))
}

fn open(paths: &[PathBuf]) -> Set {
    Set::open(paths, &Exclusions::default()).unwrap().0
}

fn config() -> LoaderConfig {
    LoaderConfig {
        batch: 5,
        seed: 3,
        workers: 1,
        sampling: Sampling::Shuffled,
        augment: Augment {
            shift: Some(Shift { probability: 0.5, max_px: 8 }),
            blur: Some(Blur { probability: 0.5, ..Blur::default() }),
            ..Augment::default()
        },
        input: Input::sphereface(WIDTH, HEIGHT, Colour::Bgr),
        start: 0,
        end: Some(23),
    }
}

fn all(set: &Arc<Set>, config: LoaderConfig) -> Vec<Batch> {
    Loader::new(set.clone(), config).unwrap().collect::<Result<_>>().unwrap()
}

#[test]
fn batches_are_bit_equal_whatever_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let one = all(&set, config());
    assert_eq!(one.iter().map(Batch::len).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
    assert_eq!(one.iter().map(|b| b.first).collect::<Vec<_>>(), [0, 5, 10, 15, 20]);
    for workers in [2, 3, 8] {
        assert_eq!(one, all(&set, LoaderConfig { workers, ..config() }));
    }
    assert_ne!(one, all(&set, LoaderConfig { seed: 4, ..config() }));
}

#[test]
fn a_resumed_run_sees_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let whole = all(&set, config());
    // Stopped after two batches, and gone on with other batches.
    let rest = all(&set, LoaderConfig { start: 10, batch: 13, ..config() });
    let pixels: Vec<f32> = whole[2..].iter().flat_map(|b| b.pixels.clone()).collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].pixels, pixels);
    assert_eq!(rest[0].labels, whole[2..].iter().flat_map(|b| b.labels.clone()).collect::<Vec<_>>());
}

#[test]
fn pixels_labels_and_mirror_images_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let plain = LoaderConfig { augment: Augment::default(), batch: 8, end: Some(80), ..config() };
    let mut both = [false; 2];
    for batch in all(&set, plain) {
        let mut seen = batch.samples.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..8).collect::<Vec<_>>(), "one epoch a batch");
        for i in 0..8 {
            let sample = &set.index().samples()[batch.samples[i] as usize];
            assert_eq!(batch.labels[i], sample.identity);
            let number: usize = sample.name.trim_end_matches(".png").parse().unwrap();
            let [r, g, b] = colour(sample.identity as usize, number).map(|v| (f32::from(v) - 127.5) / 128.0);
            let px = &batch.pixels[i * SAMPLE_LENGTH..][..SAMPLE_LENGTH];
            let plane = WIDTH * HEIGHT;
            let at = |c: usize, x: usize, y: usize| px[c * plane + y * WIDTH + x];
            assert_eq!([at(0, 40, 50), at(1, 40, 50), at(2, 40, 50)], [b, g, r], "blue first");
            // The white pixel of the stored crop is the first one without the margin.
            let white = (255.0 - 127.5) / 128.0;
            let x = if batch.mirrored[i] { 95 } else { 0 };
            assert_eq!([at(0, x, 0), at(0, 95 - x, 0)], [white, b]);
            both[usize::from(batch.mirrored[i])] = true;
        }
    }
    assert_eq!(both, [true; 2]);
}

#[test]
fn planes_are_those_of_the_models_crate() {
    let noise: Vec<u8> = (0..96 * 112 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let face = RgbImage::new(96, 112, noise).unwrap();
    for colour in [Colour::Bgr, Colour::Rgb] {
        for mirrored in [false, true] {
            let input = Input::sphereface(96, 112, colour);
            let (mut want, mut got) = (vec![0.0; SAMPLE_LENGTH], vec![0.0; SAMPLE_LENGTH]);
            planes(face.view(), mirrored, &input, &mut want);
            write_planes(&View { image: face.clone(), x: 0, y: 0, mirrored }, &input, &mut got);
            assert_eq!(want, got);
        }
    }
}

#[test]
fn a_raw_cache_gives_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(&folder.path().join("crops"));
    let path = folder.path().join("set.raw");
    let length = cache::write(&set, &path, 2).unwrap();
    assert_eq!(length, std::fs::metadata(&path).unwrap().len());
    cache::verify(&path).unwrap();
    assert_eq!(cache::source_digest(&path).unwrap(), set.index().digest());
    let cached = Arc::new(open(std::slice::from_ref(&path)));
    assert_eq!(cached.crops(), &Crops::with_margin(8));
    assert_eq!(all(&set, config()), all(&cached, config()));

    // One pixel changed: found by its hash. A byte less: found at once.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(cache::verify(&path).unwrap_err().to_string().contains("not those that were written"));
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = Set::open(&[path], &Exclusions::default()).unwrap_err();
    assert!(format!("{error:#}").contains("cut short"), "{error:#}");
}

#[test]
fn a_damaged_picture_ends_the_loader_by_name_and_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let path = folder.path().join("p2/1.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    for workers in [1, 4] {
        let one_by_one = LoaderConfig { sampling: Sampling::Sequential, batch: 2, workers, ..config() };
        let mut loader = Loader::new(set.clone(), one_by_one).unwrap();
        // Sample 6 is the damaged one: three whole batches come before it.
        for _ in 0..3 {
            assert!(loader.next_batch().unwrap().is_some());
        }
        let error = format!("{:#}", loader.next_batch().unwrap_err());
        assert!(error.contains("p2/1.png"), "{error}");
        assert!(loader.next_batch().unwrap().is_none(), "nothing comes after an error");
    }
}

#[test]
fn a_crop_of_another_size_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let small = RgbImage::filled(96, 112, [1; 3]).unwrap();
    let path = folder.path().join("p1/0.png");
    image::save_buffer(path, small.data(), 96, 112, image::ExtendedColorType::Rgb8).unwrap();
    let error = Loader::new(set, config()).unwrap().find_map(Result::err).unwrap();
    assert!(format!("{error:#}").contains("p1/0.png: 96x112 px where"), "{error:#}");
}

#[test]
fn a_loader_that_is_dropped_early_ends_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let mut loader = Loader::new(set.clone(), LoaderConfig { workers: 4, end: None, ..config() }).unwrap();
    assert!(loader.next_batch().unwrap().is_some());
    drop(loader);
    assert_eq!(Arc::strong_count(&set), 1, "no thread holds the set any more");
}

#[test]
fn a_shift_beyond_the_margin_and_a_strange_input_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawn(folder.path());
    let far = Augment { shift: Some(Shift { probability: 1.0, max_px: 9 }), ..Augment::NONE };
    let error = Loader::new(set.clone(), LoaderConfig { augment: far, ..config() }).err().unwrap();
    assert!(error.to_string().contains("augment.shift.max_px"), "{error}");
    let square = Input::sphereface(112, 112, Colour::Rgb);
    assert!(Loader::new(set, LoaderConfig { input: square, ..config() }).is_err());
}
