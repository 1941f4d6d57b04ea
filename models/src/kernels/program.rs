//! A network as a list of kernels over memory laid out beforehand: a run decides nothing and asks for no memory.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::convolution::Convolution;
use super::dense::Dense;
use super::depthwise::Depthwise;
use super::entry::{Entry, Rows};
use super::frame::{Frame, Plane};
use super::int8::Int8;
use super::pool::Pool;
use super::quantise::Quantise;
use super::simd::Level;
use super::softmax::Softmax;

/// A value of the network by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value(pub usize);

/// What the numbers of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// f32.
    F32,
    /// u8, of which `zero` stands for 0: an int8 value and 128.
    U8 {
        /// What the border is filled with.
        zero: u8,
    },
}

/// An image: its size and what its numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Its size.
    pub plane: Plane,
    /// Its numbers.
    pub kind: Kind,
}

impl Image {
    /// Of f32.
    pub fn f32(plane: Plane) -> Self {
        Self { plane, kind: Kind::F32 }
    }
}

/// A layer as the file has it, and which values it reads and writes.
#[derive(Debug)]
pub enum Layer {
    /// Every output of a pixel from every channel of a window.
    Convolution(Convolution),
    /// Every channel by itself.
    Depthwise(Depthwise),
    /// Every output from the whole image.
    Dense(Dense),
    /// Maxima over windows.
    Pool(Pool),
    /// Softmax over the channels.
    Softmax(Softmax),
    /// f32 to u8.
    Quantise(Quantise),
    /// A convolution, or a fully connected layer, of u8 by int8.
    Int8(Int8),
}

impl Layer {
    /// What it reads, and what of that it needs in the frame.
    fn reads(&self, level: Level, images: &[Image]) -> Vec<(Value, Need)> {
        match self {
            Layer::Convolution(c) => c.reads(level, images),
            Layer::Depthwise(d) => d.reads(images),
            Layer::Dense(d) => vec![(d.from, Need::default())],
            Layer::Pool(p) => vec![(p.from, Need::default())],
            Layer::Softmax(s) => vec![(s.from, Need::default())],
            Layer::Quantise(q) => vec![(q.from, Need::default())],
            Layer::Int8(c) => c.reads(images),
        }
    }

    fn writes(&self) -> Vec<Value> {
        match self {
            Layer::Convolution(c) => vec![c.to],
            Layer::Depthwise(d) => vec![d.to],
            Layer::Dense(d) => vec![d.to],
            Layer::Pool(p) => vec![p.to],
            Layer::Softmax(s) => vec![s.to],
            Layer::Quantise(q) => vec![q.to],
            Layer::Int8(c) => c.writes(),
        }
    }

    fn step(self, level: Level, maps: &[Map], wanted: &[bool]) -> Box<dyn Step> {
        match self {
            Layer::Convolution(c) => c.step(level, maps),
            Layer::Depthwise(d) => d.step(level, maps),
            Layer::Dense(d) => d.step(level, maps),
            Layer::Pool(p) => p.step(level, maps),
            Layer::Softmax(s) => s.step(maps),
            Layer::Quantise(q) => q.step(level, maps),
            Layer::Int8(c) => c.step(level, maps, wanted),
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

impl Need {
    /// Of an image over which a window goes that begins `pad` (0 or 1) pixels before it.
    pub fn of_window(kernel: [usize; 2], stride: [usize; 2], pad: [usize; 2], after: Plane) -> Self {
        let room = |axis: usize, out: usize| 1 - pad[axis] + (out - 1) * stride[axis] + kernel[axis];
        Self { room: [room(0, after.height), room(1, after.width)], multiple: 1 }
    }
}

impl Default for Need {
    fn default() -> Self {
        Self { room: [0, 0], multiple: 1 }
    }
}

/// Where an image lies in a run's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// Where its frame begins in the run's memory, in f32.
    offset: usize,
    /// Its frame: the image begins one row and one pixel in.
    pub frame: Frame,
    /// Its numbers.
    pub kind: Kind,
}

impl Map {
    /// First number of an image of f32 in the run's memory.
    pub fn inside(&self) -> usize {
        self.start() + self.frame.row() + self.frame.pitch
    }

    /// First number of the frame of an image of f32.
    pub fn start(&self) -> usize {
        assert_eq!(self.kind, Kind::F32, "an image of f32");
        self.offset
    }

    /// First byte of the frame of an image of u8.
    pub fn start_byte(&self) -> usize {
        assert_ne!(self.kind, Kind::F32, "an image of u8");
        self.offset * size_of::<f32>()
    }

    /// First byte of an image of u8.
    pub fn inside_byte(&self) -> usize {
        self.start_byte() + self.frame.row() + self.frame.pitch
    }

    /// What its frame takes of the memory, in f32, to whole cache lines.
    fn numbers(&self) -> usize {
        let numbers = match self.kind {
            Kind::F32 => self.frame.numbers(),
            Kind::U8 { .. } => self.frame.numbers().div_ceil(size_of::<f32>()),
        };
        numbers.next_multiple_of(16)
    }
}

/// One kernel with its weights and its places.
pub trait Step: std::fmt::Debug + Send + Sync {
    /// Runs the lines `lines` of it, of those that it has ([`Step::lines`]), on one image.
    ///
    /// # Safety
    /// `maps` must be a run's memory, laid out as for this step. While it runs, nobody else may write what it reads, or
    /// touch what these lines write.
    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, scratch: &mut Buffer);

    /// How many parts of it can be done apart, each writing what no other reads or writes: rows, most often.
    fn lines(&self) -> usize;

    /// Products, or what takes as long, of a run.
    fn products(&self) -> usize;

    /// Numbers of scratch memory it needs.
    fn scratch(&self) -> usize {
        0
    }

    /// Bytes of weights that a run reads.
    fn weights(&self) -> usize {
        0
    }
}

/// What a run works in.
#[derive(Debug)]
pub struct Memory {
    /// The values of each image that is worked on, their borders what stands for zero.
    maps: Vec<Buffer>,
    /// What a step needs for itself, for each thread; it may not rely on what is there.
    scratch: Vec<Buffer>,
}

impl Memory {
    /// Threads that a run has.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }
}

/// An image's memory that threads write apart.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: a plain address; that threads keep apart is the promise of `Step::lines`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn address(self) -> *mut f32 {
        self.0
    }
}

/// A network for images of one size.
#[derive(Debug)]
pub struct Program {
    input: Entry,
    outputs: Vec<Map>,
    steps: Vec<Box<dyn Step>>,
    numbers: usize,
    scratch: usize,
    /// Images whose steps are done in turn, so that weights are read once for all of them.
    together: usize,
    /// What the frames of u8 are filled with.
    zeros: Vec<Map>,
}

impl Program {
    /// Lays out `layers`, in the order they are to run; value `v` is what `images[v]` says.
    ///
    /// # Panics
    /// When layers, images, inputs and outputs do not belong together.
    pub fn new(
        level: Level,
        images: &[Image],
        mut input: Value,
        mut layers: Vec<Layer>,
        outputs: &[Value],
    ) -> Self {
        let mut steps = None;
        if let Some(quantise) = quantised_at_once(level, images, input, &layers, outputs) {
            steps = Some(quantise.steps);
            input = quantise.to;
            layers.retain(|l| !l.writes().contains(&input));
        }
        let mut needs = vec![Need::default(); images.len()];
        let mut last_read = vec![0; images.len()];
        let mut wanted = vec![false; images.len()];
        for (at, layer) in layers.iter().enumerate() {
            for (value, need) in layer.reads(level, images) {
                let all = &mut needs[value.0];
                all.room = [all.room[0].max(need.room[0]), all.room[1].max(need.room[1])];
                all.multiple = all.multiple.max(need.multiple);
                last_read[value.0] = at;
                wanted[value.0] = true;
            }
        }
        for value in outputs {
            last_read[value.0] = layers.len();
            wanted[value.0] = true;
        }
        let frames: Vec<Map> = images
            .iter()
            .zip(&needs)
            .map(|(image, need)| Map {
                offset: usize::MAX,
                frame: framed(image.plane, need),
                kind: image.kind,
            })
            .collect();
        let (maps, numbers) = layout(frames, &layers, input, &last_read, &wanted);
        let zeros = maps.iter().filter(|m| m.kind != Kind::F32 && m.offset != usize::MAX).copied().collect();
        let placed = |(map, wanted): (&Map, &bool)| !wanted || map.offset != usize::MAX;
        assert!(maps.iter().zip(&wanted).all(placed), "a value that no layer writes");
        let entry = Entry { map: maps[input.0], steps, level };
        let steps: Vec<_> = layers.into_iter().map(|l| l.step(level, &maps, &wanted)).collect();
        let most = steps.iter().map(|s| s.scratch()).max().unwrap_or(0);
        Self {
            scratch: most.max(entry.row()),
            input: entry,
            outputs: outputs.iter().map(|v| maps[v.0]).collect(),
            together: if steps.iter().map(|s| s.weights()).sum::<usize>() > CACHED { 2 } else { 1 },
            numbers,
            steps,
            zeros,
        }
    }

    /// Memory for one run at a time by `threads` threads; the first runs fill it.
    pub fn memory(&self, threads: usize) -> Memory {
        let scratch = std::iter::repeat_with(|| Buffer::zeroed(self.scratch)).take(threads.max(1)).collect();
        Memory { maps: Vec::new(), scratch }
    }

    /// Memory for the values of one image.
    fn maps(&self) -> Buffer {
        let mut maps = Buffer::zeroed(self.numbers);
        for map in &self.zeros {
            if let Kind::U8 { zero } = map.kind {
                let from = map.start_byte();
                maps.bytes_mut()[from..from + map.frame.numbers()].fill(zero);
            }
        }
        maps
    }

    /// Size of an input image.
    pub fn image(&self) -> Plane {
        self.input.map.frame.plane
    }

    /// Size of each output.
    pub fn outputs(&self) -> impl Iterator<Item = Plane> {
        self.outputs.iter().map(|m| m.frame.plane)
    }

    /// Runs the network on `count` images, and gives each output as `[n, c, h, w]`; an output that is empty is not
    /// wanted. Where the memory is for several threads, those of rayon's pool that it is called in share the work: the
    /// images of several, the lines of one. The numbers are the same however many there are.
    ///
    /// # Panics
    /// When an output has another size, or the memory is not this program's.
    pub fn run(&self, memory: &mut Memory, count: usize, rows: Rows<'_>, outputs: &mut [&mut [f32]]) {
        let Memory { maps, scratch } = memory;
        let together = self.together.max(scratch.len()).min(count).max(1);
        while maps.len() < together {
            maps.push(self.maps());
        }
        let fits = maps.iter().all(|m| m.len() == self.numbers);
        assert!(fits && scratch.iter().all(|s| s.len() == self.scratch), "memory of another program");
        assert_eq!(outputs.len(), self.outputs.len(), "other outputs");
        for first in (0..count).step_by(together) {
            let now = together.min(count - first);
            for (n, maps) in (first..).zip(&mut maps[..now]) {
                self.input.fill(maps, &mut scratch[0], n, rows);
            }
            if now > 1 && scratch.len() > 1 {
                self.apart(&mut maps[..now], scratch);
            } else {
                self.in_turn(&mut maps[..now], scratch);
            }
            for (n, maps) in (first..).zip(&maps[..now]) {
                for (map, out) in self.outputs.iter().zip(outputs.iter_mut()).filter(|(_, o)| !o.is_empty()) {
                    let one = map.frame.plane.numbers();
                    write_planar(map, maps, &mut out[n * one..(n + 1) * one]);
                }
            }
        }
    }
}

impl Program {
    /// Does each step for all images before the next; threads share its lines.
    fn in_turn(&self, maps: &mut [Buffer], scratch: &mut [Buffer]) {
        for step in &self.steps {
            let lines = step.lines();
            let parts = scratch.len().min(step.products() / WORTH).min(lines).max(1);
            for maps in &mut *maps {
                let maps = Shared(maps.as_mut_ptr());
                let part = |(i, scratch): (usize, &mut Buffer)| {
                    // SAFETY: the memory was laid out for these steps and is borrowed, and the parts have no line in
                    // common.
                    unsafe { step.run(maps.address(), lines * i / parts..lines * (i + 1) / parts, scratch) };
                };
                match parts {
                    1 => part((0, &mut scratch[0])),
                    _ => scratch[..parts].par_iter_mut().enumerate().for_each(part),
                }
            }
        }
    }

    /// Gives each thread images of its own.
    fn apart(&self, maps: &mut [Buffer], scratch: &mut [Buffer]) {
        let each = maps.len().div_ceil(scratch.len());
        maps.par_chunks_mut(each).zip(scratch).for_each(|(maps, scratch)| {
            for step in &self.steps {
                for maps in &mut *maps {
                    // SAFETY: the memory was laid out for these steps and is borrowed.
                    unsafe { step.run(maps.as_mut_ptr(), 0..step.lines(), scratch) };
                }
            }
        });
    }
}

/// The layer that makes u8 of the input, where it is all that reads it.
fn quantised_at_once(
    level: Level,
    images: &[Image],
    input: Value,
    layers: &[Layer],
    outputs: &[Value],
) -> Option<Quantise> {
    let reads = |l: &&Layer| l.reads(level, images).iter().any(|(v, _)| *v == input);
    let mut readers = layers.iter().filter(reads);
    match (readers.next(), readers.next()) {
        (Some(Layer::Quantise(q)), None) if !outputs.contains(&input) => Some(*q),
        _ => None,
    }
}

/// Products for which it is worth waking a thread; the tests' images are small.
const WORTH: usize = if cfg!(test) { 1 } else { 100_000 };
/// Bytes of weights that stay in a core's cache from image to image.
const CACHED: usize = 1 << 20;

/// The frame that has what is needed, and a border of one pixel at least.
fn framed(plane: Plane, need: &Need) -> Frame {
    Frame {
        plane,
        pitch: plane.channels.next_multiple_of(need.multiple),
        rows: need.room[0].max(plane.height + 2),
        columns: need.room[1].max(plane.width + 2),
    }
}

/// Gives each value that somebody wants its place. A place is used again, once nobody reads it any more, by an image of
/// the very same frame and numbers: its border is the same for both.
fn layout(
    mut maps: Vec<Map>,
    layers: &[Layer],
    input: Value,
    last_read: &[usize],
    wanted: &[bool],
) -> (Vec<Map>, usize) {
    let mut numbers = 0;
    let mut free: Vec<Map> = Vec::new();
    let mut place = |map: &mut Map, free: &mut Vec<Map>| {
        let like = |m: &Map| m.frame == map.frame && m.kind == map.kind;
        map.offset = match free.iter().position(like) {
            Some(i) => free.swap_remove(i).offset,
            None => {
                numbers += map.numbers();
                numbers - map.numbers()
            }
        };
    };
    place(&mut maps[input.0], &mut free);
    let mut live = vec![input];
    for (at, layer) in layers.iter().enumerate() {
        for value in layer.writes().into_iter().filter(|v| wanted[v.0]) {
            place(&mut maps[value.0], &mut free);
            live.push(value);
        }
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
