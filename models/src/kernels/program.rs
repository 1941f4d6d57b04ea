//! A network as a list of kernels over memory laid out beforehand: a run decides nothing and asks for no memory.

use super::buffer::Buffer;
use super::convolution::Convolution;
use super::dense::Dense;
use super::frame::{Frame, Plane};
use super::pool::Pool;
use super::simd::Level;
use super::softmax::Softmax;

/// A value of the network by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value(pub usize);

/// A layer as the file has it, and which values it reads and writes.
#[derive(Debug)]
pub enum Layer {
    /// `prelu(conv(from) + bias) + residual`.
    Convolution(Convolution),
    /// `prelu(weights from + bias)`.
    Dense(Dense),
    /// Maxima over windows.
    Pool(Pool),
    /// Softmax over the channels.
    Softmax(Softmax),
}

impl Layer {
    /// What it reads, and what of that it needs in the frame: rows, columns and the multiple that a pixel is filled up to.
    fn reads(&self, level: Level, planes: &[Plane]) -> Vec<(Value, Need)> {
        match self {
            Layer::Convolution(c) => c.reads(level, planes),
            Layer::Dense(d) => vec![(d.from, Need::default())],
            Layer::Pool(p) => vec![(p.from, Need::default())],
            Layer::Softmax(s) => vec![(s.from, Need::default())],
        }
    }

    fn writes(&self) -> Value {
        match self {
            Layer::Convolution(c) => c.to,
            Layer::Dense(d) => d.to,
            Layer::Pool(p) => p.to,
            Layer::Softmax(s) => s.to,
        }
    }

    fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        match self {
            Layer::Convolution(c) => c.step(level, maps),
            Layer::Dense(d) => d.step(level, maps),
            Layer::Pool(p) => p.step(level, maps),
            Layer::Softmax(s) => s.step(maps),
        }
    }
}

/// What a layer needs of the frame of an image that it reads or writes.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Rows and columns from the border's first on.
    pub room: [usize; 2],
    /// What the numbers of a pixel are a multiple of.
    pub multiple: usize,
}

impl Default for Need {
    fn default() -> Self {
        Self { room: [0, 0], multiple: 1 }
    }
}

/// Where an image lies in a run's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// First number of its frame.
    offset: usize,
    /// Its frame: the image begins one row and one pixel in.
    pub frame: Frame,
}

impl Map {
    /// First number of the image itself.
    pub fn inside(&self) -> usize {
        self.offset + self.frame.row() + self.frame.pitch
    }

    /// First number of the frame.
    pub fn start(&self) -> usize {
        self.offset
    }
}

/// One kernel with its weights and its places.
pub trait Step: std::fmt::Debug + Send + Sync {
    /// Runs it on one image.
    fn run(&self, memory: &mut Memory);

    /// Numbers of scratch memory it needs.
    fn scratch(&self) -> usize {
        0
    }
}

/// What a run works in.
#[derive(Debug, Default)]
pub struct Memory {
    /// The images, their borders zero.
    pub maps: Buffer,
    /// What a step needs for itself; it may not rely on what is there.
    pub scratch: Buffer,
}

/// A network for images of one size.
#[derive(Debug)]
pub struct Program {
    input: Map,
    outputs: Vec<Map>,
    steps: Vec<Box<dyn Step>>,
    numbers: usize,
    scratch: usize,
}

impl Program {
    /// Lays out `layers`, in the order they are to run; value `v` is an image of size `planes[v]`.
    pub fn new(level: Level, planes: &[Plane], input: Value, layers: Vec<Layer>, outputs: &[Value]) -> Self {
        let mut needs = vec![Need::default(); planes.len()];
        let mut last_read = vec![0; planes.len()];
        for (at, layer) in layers.iter().enumerate() {
            for (value, need) in layer.reads(level, planes) {
                let all = &mut needs[value.0];
                all.room = [all.room[0].max(need.room[0]), all.room[1].max(need.room[1])];
                all.multiple = all.multiple.max(need.multiple);
                last_read[value.0] = at;
            }
        }
        for value in outputs {
            last_read[value.0] = layers.len();
        }
        let frames: Vec<Frame> =
            planes.iter().zip(&needs).map(|(plane, need)| framed(*plane, need)).collect();
        let (maps, numbers) = layout(&frames, &layers, input, &last_read);
        let steps: Vec<_> = layers.into_iter().map(|l| l.step(level, &maps)).collect();
        Self {
            input: maps[input.0],
            outputs: outputs.iter().map(|v| maps[v.0]).collect(),
            scratch: steps.iter().map(|s| s.scratch()).max().unwrap_or(0),
            numbers,
            steps,
        }
    }

    /// Memory for one run at a time.
    pub fn memory(&self) -> Memory {
        Memory { maps: Buffer::zeroed(self.numbers), scratch: Buffer::zeroed(self.scratch) }
    }

    /// Numbers of an input image.
    pub fn image(&self) -> usize {
        size(&self.input)
    }

    /// Size of each output.
    pub fn outputs(&self) -> impl Iterator<Item = Plane> {
        self.outputs.iter().map(|m| m.frame.plane)
    }

    /// Runs the network on images `[c, h, w]` one after the other, and gives each output as `[n, c, h, w]`.
    ///
    /// # Panics
    /// When the input is no whole number of images, an output has another size, or the memory is not this program's.
    pub fn run(&self, memory: &mut Memory, images: &[f32], outputs: &mut [&mut [f32]]) {
        assert!(
            memory.maps.len() == self.numbers && memory.scratch.len() == self.scratch,
            "memory of another program"
        );
        assert!(images.len().is_multiple_of(self.image()), "images of another size");
        assert_eq!(outputs.len(), self.outputs.len(), "other outputs");
        for (n, image) in images.chunks_exact(self.image()).enumerate() {
            read_planar(image, &self.input, &mut memory.maps);
            for step in &self.steps {
                step.run(memory);
            }
            for (map, out) in self.outputs.iter().zip(outputs.iter_mut()) {
                let one = size(map);
                write_planar(map, &memory.maps, &mut out[n * one..(n + 1) * one]);
            }
        }
    }
}

/// Numbers of an image.
fn size(map: &Map) -> usize {
    let Plane { height, width, channels } = map.frame.plane;
    height * width * channels
}

/// The frame that has what is needed, and a border of one pixel at least.
fn framed(plane: Plane, need: &Need) -> Frame {
    Frame {
        plane,
        pitch: plane.channels.next_multiple_of(need.multiple),
        rows: need.room[0].max(plane.height + 2),
        columns: need.room[1].max(plane.width + 2),
    }
}

/// Gives each value its place. A place is used again, once nobody reads it any more, by a frame of the very same shape:
/// its border is zero for both.
fn layout(frames: &[Frame], layers: &[Layer], input: Value, last_read: &[usize]) -> (Vec<Map>, usize) {
    let mut maps: Vec<Map> = frames.iter().map(|&frame| Map { offset: usize::MAX, frame }).collect();
    let mut numbers = 0;
    let mut free: Vec<Map> = Vec::new();
    let mut place = |value: Value, maps: &mut [Map], free: &mut Vec<Map>| {
        let frame = frames[value.0];
        maps[value.0] = match free.iter().position(|m| m.frame == frame) {
            Some(i) => free.swap_remove(i),
            None => {
                let offset = numbers;
                // On a cache line.
                numbers += frame.numbers().next_multiple_of(16);
                Map { offset, frame }
            }
        };
    };
    place(input, &mut maps, &mut free);
    let mut live = vec![input];
    for (at, layer) in layers.iter().enumerate() {
        place(layer.writes(), &mut maps, &mut free);
        live.push(layer.writes());
        live.retain(|v| {
            let dead = last_read[v.0] <= at;
            if dead {
                free.push(maps[v.0]);
            }
            !dead
        });
    }
    (maps, numbers)
}

/// An image `[c, h, w]` into its place.
fn read_planar(image: &[f32], map: &Map, maps: &mut [f32]) {
    let Plane { height, width, channels } = map.frame.plane;
    let pitch = map.frame.pitch;
    for (c, plane) in image.chunks_exact(height * width).enumerate() {
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let line = &mut maps[map.inside() + y * map.frame.row()..][..width * pitch];
            for (pixel, x) in line.chunks_exact_mut(pitch).zip(row) {
                pixel[c] = *x;
            }
        }
    }
    debug_assert_eq!(image.len(), channels * height * width);
}

/// An image from its place as `[c, h, w]`.
fn write_planar(map: &Map, maps: &[f32], out: &mut [f32]) {
    let Plane { height, width, .. } = map.frame.plane;
    let pitch = map.frame.pitch;
    for (c, plane) in out.chunks_exact_mut(height * width).enumerate() {
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            let line = &maps[map.inside() + y * map.frame.row()..][..width * pitch];
            for (x, pixel) in row.iter_mut().zip(line.chunks_exact(pitch)) {
                *x = pixel[c];
            }
        }
    }
}
