//! Time of the kernels: the networks that ship, and layers of SphereFace at every level of this CPU.
//!
//!     ./x bench kernels [NAME...]
//!
//! One thread, but where a bench says otherwise. Items are multiplications with their additions, as in a direct
//! convolution: Winograd's way has fewer, so that its rate may pass what the CPU can do.

use std::fmt;
use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use limen_models::kernels::activate::Activation;
use limen_models::kernels::convolution::Convolution;
use limen_models::kernels::dense::Dense;
use limen_models::kernels::depthwise::Depthwise;
use limen_models::kernels::frame::Plane;
use limen_models::kernels::program::{Image, Layer, Program, Value};
use limen_models::kernels::simd::Level;
use limen_models::session::Session;

fn main() {
    divan::main();
}

/// Numbers in -1..1 without a pattern.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// An embedder that ships, pictures at once (the face and its mirror image are two) and threads.
#[divan::bench(
    args = [
        ("limen-half10", 1, 1), ("limen-half10", 2, 1), ("limen-half10", 2, 2),
        ("limen-half10-int8", 1, 1), ("limen-half10-int8", 2, 1), ("limen-half10-int8", 2, 2),
    ],
    max_time = 1,
)]
fn embedder(bencher: Bencher<'_, '_>, (id, pictures, threads): (&str, usize, usize)) {
    /// As [`limen_models::manifest`] says of both.
    const MULTIPLICATIONS: usize = 189_500_000;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights").join(format!("{id}.onnx"));
    let session = std::fs::read(&file)
        .map_err(|e| e.to_string())
        .and_then(|bytes| Session::from_bytes(id, &bytes, &["embedding"], &file).map_err(|e| e.to_string()))
        .map(|session| session.with_threads(threads));
    let session = session.unwrap_or_else(|why| stop(&why));
    let shape = [pictures, 3, 112, 96];
    let input = noise(shape.iter().product());
    bencher
        .counter(ItemsCount::new(MULTIPLICATIONS * pictures))
        .bench_local(|| session.run(shape, &input).is_ok());
}

/// A bench that cannot run ends the program with a word for it.
fn stop(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}

/// A layer on an image.
#[derive(Clone, Copy)]
struct Case {
    what: What,
    level: Level,
    /// Inputs, outputs.
    channels: [usize; 2],
    /// Height and width before, px.
    size: [usize; 2],
}

#[derive(Clone, Copy)]
enum What {
    /// 3x3 at this stride.
    Convolution(usize),
    /// 3x3 of each channel by itself.
    Depthwise,
    /// Fully connected; whether half precision holds the weights.
    Dense(bool),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        let [inputs, outputs] = self.channels;
        let level = format!("{:?}", self.level);
        let level = level.split('(').next().unwrap_or_default();
        match self.what {
            What::Convolution(stride) => {
                write!(f, "3x3 stride {stride}, {inputs} to {outputs}, {height}x{width}, {level}")
            }
            What::Depthwise => write!(f, "depthwise, {inputs}, {height}x{width}, {level}"),
            What::Dense(half) => {
                write!(
                    f,
                    "dense{}, {inputs}x{height}x{width} to {outputs}, {level}",
                    if half { ", half" } else { "" }
                )
            }
        }
    }
}

impl Case {
    /// The layers of SphereFace-20, and what MobileFaceNet has beside them, at each level.
    fn all() -> Vec<Self> {
        let layers = [
            (What::Convolution(2), [3, 64], [112, 96]),
            (What::Convolution(1), [64, 64], [56, 48]),
            (What::Convolution(1), [128, 128], [28, 24]),
            (What::Convolution(1), [256, 256], [14, 12]),
            (What::Convolution(2), [256, 512], [14, 12]),
            (What::Convolution(1), [512, 512], [7, 6]),
            (What::Depthwise, [128, 128], [28, 24]),
            (What::Dense(false), [512, 512], [7, 6]),
            (What::Dense(true), [512, 512], [7, 6]),
        ];
        let at = |level| layers.map(|(what, channels, size)| Self { what, level, channels, size });
        Level::available().into_iter().rev().flat_map(at).collect()
    }

    /// Multiplications.
    fn products(&self) -> usize {
        let [inputs, outputs] = self.channels;
        let [height, width] = self.size;
        match self.what {
            What::Convolution(stride) => {
                height.div_ceil(stride) * width.div_ceil(stride) * inputs * outputs * 9
            }
            What::Depthwise => height * width * inputs * 9,
            What::Dense(_) => height * width * inputs * outputs,
        }
    }

    fn program(&self) -> Program {
        let [channels, outputs] = self.channels;
        let [height, width] = self.size;
        let (from, to) = (Value(0), Value(1));
        let (kernel, pad) = ([3, 3], [1, 1]);
        let activation = Activation::default();
        let (after, layer) = match self.what {
            What::Convolution(stride) => {
                let weights = noise(outputs * channels * 9);
                let stride = [stride; 2];
                let layer =
                    Convolution { from, to, weights, kernel, stride, pad, activation, residual: None };
                ([height.div_ceil(stride[0]), width.div_ceil(stride[1])], Layer::Convolution(layer))
            }
            What::Depthwise => {
                let (weights, stride) = (noise(channels * 9), [1, 1]);
                let layer = Depthwise { from, to, weights, kernel, stride, pad, activation, residual: None };
                (self.size, Layer::Depthwise(layer))
            }
            What::Dense(half) => {
                let mut weights = noise(outputs * channels * height * width);
                if half {
                    // 8 bits are few enough for half precision.
                    weights.iter_mut().for_each(|w| *w = (*w * 128.0).round() / 128.0);
                }
                ([1, 1], Layer::Dense(Dense { from, to, weights, activation }))
            }
        };
        let [rows, columns] = after;
        let images = [
            Image::f32(Plane { height, width, channels }),
            Image::f32(Plane { height: rows, width: columns, channels: outputs }),
        ];
        Program::new(self.level, &images, from, vec![layer], &[to])
    }
}

/// A layer with the reading of its input and the writing of its output.
#[divan::bench(args = Case::all(), max_time = 0.3)]
fn layer(bencher: Bencher<'_, '_>, case: Case) {
    let program = case.program();
    let Plane { height, width, channels } = program.image();
    let input = noise(height * width * channels);
    let mut output = vec![0.0; program.outputs().map(|p| p.height * p.width * p.channels).sum()];
    let mut memory = program.memory(1);
    bencher.counter(ItemsCount::new(case.products())).bench_local(|| {
        let rows = &mut |_: usize, y: usize, row: &mut [f32]| {
            row.copy_from_slice(&input[y * row.len()..][..row.len()])
        };
        program.run(&mut memory, 1, rows, &mut [&mut output]);
    });
}
