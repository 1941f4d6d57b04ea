//! Imports of a small embedder as the command does them, and what the manifest then makes of a picture.

use clap::Parser;
use limen_models::image::RgbImage;
use limen_models::manifest::Alignment;
use limen_models::resample::planes;

use super::*;
use crate::graph::reference::evaluate;
use crate::graph::{Conv2d, Op, Size2, Tensor, ValueId};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    import: Import,
}

const IMAGENET: &[&str] = &["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"];

/// A padded convolution, then a head over the whole of a `height` x `width` image: 16 numbers.
fn embedder(input: InputShape, height: usize, width: usize) -> Network {
    let conv = |out: usize, [channels, kh, kw]: [usize; 3], stride: usize, pad: usize| {
        let count = out * channels * kh * kw;
        let values = (0..count).map(|i| ((i * 7) % 17) as f32 / 170.0 - 0.05).collect();
        Op::Conv2d(Conv2d {
            weight: Tensor::new([out, channels, kh, kw], values).unwrap(),
            bias: None,
            stride: Size2::square(stride),
            pad: Size2::square(pad),
            groups: 1,
        })
    };
    let mut n = Network::new("small", "data", input);
    let y = n.push("conv", conv(4, [3, 5, 5], 4, 2), &[ValueId::INPUT]); // [4, height / 4, width / 4]
    let y = n.push("head", conv(16, [4, height / 4, width / 4], 1, 0), &[y]);
    n.output("feature", y);
    n
}

fn imported(folder: &std::path::Path, network: &Network, extra: &[&str]) -> Result<()> {
    let file = folder.join("net.onnx");
    std::fs::write(&file, onnx::to_bytes(network)?)?;
    let (file, out) = (file.display().to_string(), folder.join("models").display().to_string());
    let fixed = ["limen-train", "--onnx", &file, "--kind", "embedder", "--id", "small", "--out", &out];
    let terms = ["--licence", "test", "--source", "test"];
    run(&Line::try_parse_from(fixed.iter().chain(&terms).chain(extra))?.import)
}

/// What the folder's entry and file make of `picture`.
fn embedded(folder: &std::path::Path, picture: &RgbImage) -> (ModelEntry, Vec<f32>) {
    let manifest = Manifest::load(&folder.join("models")).unwrap();
    let entry = manifest.model("small").unwrap().clone();
    let (h, w) = (entry.input.height, entry.input.width);
    let mut input = vec![0.0; 3 * h * w];
    planes(picture.view(), false, &entry.input, &mut input);
    let session = Session::load(&manifest, &entry, &["embedding"]).unwrap();
    (entry, session.run([1, 3, h, w], &input).unwrap().swap_remove(0).data)
}

#[test]
fn mean_and_deviation_are_part_of_the_network() {
    let mut picture = RgbImage::filled(112, 112, [0; 3]).unwrap();
    for y in 0..112 {
        for x in 0..112 {
            picture.set_pixel(x, y, [(x * 2) as u8, (y * 2) as u8, (x * y % 256) as u8]);
        }
    }
    let network = embedder(InputShape::fixed(3, 112, 112), 112, 112);
    for (order, colour) in [([0, 1, 2], "rgb"), ([2, 1, 0], "bgr")] {
        for scaling in [&["--offset", "0", "--scale", "1"][..], &[]] {
            let dir = tempfile::tempdir().unwrap();
            let words = [IMAGENET, &["--colour", colour, "--template", "112x112"], scaling].concat();
            imported(dir.path(), &network, &words).unwrap();
            let (entry, got) = embedded(dir.path(), &picture);
            let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
            let mut taught = Vec::new();
            for c in order {
                let value = |px: &[u8]| (f64::from(px[c]) / 255.0 - mean[c]) / deviation[c];
                taught.extend(picture.data().chunks_exact(3).map(|px| value(px) as f32));
            }
            let want = evaluate(&network, &taught, 1, 112, 112).unwrap().remove(0).data;
            let top = want.iter().fold(0f32, |m, v| m.max(v.abs()));
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() < 1e-5 * top, "{g} {w} of {top}, {words:?}");
            }
            // Column 30.2946 + 8 of the image-left eye; rows stay.
            assert_eq!(entry.alignment.unwrap().points[0], [38.2946, 51.6963]);
            assert_eq!(entry.input.scale, if scaling.is_empty() { 0.007_812_5 } else { 1.0 });
        }
    }
}

#[test]
fn a_template_settles_a_free_size_and_contradicts_no_fixed_one() {
    let dir = tempfile::tempdir().unwrap();
    let free = embedder(InputShape::free(3), 112, 96);
    let e = format!("{:#}", imported(dir.path(), &free, &[]).unwrap_err());
    assert!(e.contains("not fixed") && e.contains("--template"), "{e}");
    imported(dir.path(), &free, &["--template", "112x96"]).unwrap();
    let entry = Manifest::load(&dir.path().join("models")).unwrap().model("small").unwrap().clone();
    assert_eq!((entry.input.height, entry.input.width), (112, 96));
    assert_eq!(entry.alignment, Some(Alignment::SPHEREFACE_112X96));
    let fixed = embedder(InputShape::fixed(3, 112, 96), 112, 96);
    let e = format!("{:#}", imported(dir.path(), &fixed, &["--template", "112x112"]).unwrap_err());
    assert!(e.contains("--template 112x112, but the network takes 112x96"), "{e}");
}

#[test]
fn half_a_normalisation_or_one_of_0_to_255_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let network = embedder(InputShape::fixed(3, 112, 96), 112, 96);
    let refused = |words: &[&str]| format!("{:#}", imported(dir.path(), &network, words).unwrap_err());
    assert!(refused(&IMAGENET[..2]).contains("--std"));
    assert!(refused(&["--mean", "0.5", "--std", "0.2,0.2,0.2"]).contains("three numbers"));
    assert!(refused(&["--mean", "123.675,116.28,103.53", "--std", "0.2,0.2,0.2"]).contains("divide"));
    assert!(!dir.path().join("models").exists(), "nothing is written");
}
