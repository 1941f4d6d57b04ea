//! Batches of network input from several threads: always in order, bit-equal whatever the number of threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow, bail, ensure};
use limen_models::manifest::{Colour, Input};

use crate::dataset::augment::{Augment, View};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::dataset::order::{Order, Sampling};
use crate::dataset::set::Set;

/// Numbers of one sample's input: 3 x 112 x 96.
pub const SAMPLE_LENGTH: usize = 3 * HEIGHT * WIDTH;

/// How samples become batches.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Samples a batch, at least 1.
    pub batch: usize,
    /// Chooses the order and every augmentation.
    pub seed: u64,
    /// Threads, at least 1; changes nothing but the speed.
    pub workers: usize,
    /// How samples follow one another.
    pub sampling: Sampling,
    /// What is changed.
    pub augment: Augment,
    /// Colour order, offset and scale of the network's input, which has 96x112 px.
    pub input: Input,
    /// First sample's number in the run: 0, or where a resumed run goes on.
    pub start: u64,
    /// Number of the sample before which it ends; `None` never ends. The last batch may be short.
    pub end: Option<u64>,
}

/// What a step of training takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of its first sample in the run.
    pub first: u64,
    /// Preprocessed: [n, 3, 112, 96].
    pub pixels: Vec<f32>,
    /// Identity of each sample: [n].
    pub labels: Vec<u32>,
    /// Place of each sample in the index: [n].
    pub samples: Vec<u32>,
    /// Whether each sample is shown mirrored: [n].
    pub mirrored: Vec<bool>,
}

impl Batch {
    /// Samples in it.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Everything that makes the k-th sample of a run; a pure function of k.
struct Recipe {
    set: Arc<Set>,
    order: Order,
    config: LoaderConfig,
}

/// Batches not yet fetched. Holds at most `ahead` of them, made or being made.
struct State {
    /// Number of the batch that is fetched next.
    next_out: u64,
    /// Number of the batch that the next free worker makes.
    next_in: u64,
    ready: BTreeMap<u64, Result<Batch>>,
    /// Nobody wants more.
    stopped: bool,
    /// A worker died.
    dead: bool,
}

struct Shared {
    recipe: Recipe,
    state: Mutex<State>,
    /// A batch was made, or fetched, or it is over.
    moved: Condvar,
    ahead: u64,
}

/// Makes batches ahead of the one who fetches them.
pub struct Loader {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    over: bool,
}

impl Loader {
    /// Starts the threads. Memory is bounded: at most `workers` + 1 batches exist besides the one fetched.
    ///
    /// # Errors
    /// When the configuration makes no sense for the set; the message names the field.
    pub fn new(set: Arc<Set>, config: LoaderConfig) -> Result<Self> {
        ensure!(config.batch >= 1, "batch: at least one sample");
        ensure!(
            (1..=256).contains(&config.workers),
            "workers: {} threads; 1 to 256 are possible",
            config.workers
        );
        let Input { width, height, .. } = config.input;
        ensure!(
            (width, height) == (WIDTH, HEIGHT),
            "the network takes {width}x{height} px, crops are {WIDTH}x{HEIGHT}"
        );
        config.augment.validate(set.crops())?;
        let order = Order::new(config.sampling, set.index(), config.seed);
        let workers = config.workers;
        let shared = Arc::new(Shared {
            recipe: Recipe { set, order, config },
            state: Mutex::new(State {
                next_out: 0,
                next_in: 0,
                ready: BTreeMap::new(),
                stopped: false,
                dead: false,
            }),
            moved: Condvar::new(),
            ahead: workers as u64 + 1,
        });
        let mut loader = Self { shared, workers: Vec::with_capacity(workers), over: false };
        for i in 0..workers {
            let shared = loader.shared.clone();
            let thread = std::thread::Builder::new().name(format!("loader-{i}"));
            loader.workers.push(thread.spawn(move || shared.work())?);
        }
        Ok(loader)
    }

    /// The next batch; `None` after the last one. After an error nothing more comes.
    ///
    /// # Errors
    /// When a sample cannot be read or decoded, or a thread died; the message names the file or member.
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        if self.over {
            return Ok(None);
        }
        let mut state = self.shared.lock();
        if self.shared.recipe.batch_range(state.next_out).is_none() {
            return Ok(None);
        }
        loop {
            let wanted = state.next_out;
            if let Some(result) = state.ready.remove(&wanted) {
                state.next_out += 1;
                drop(state);
                self.shared.moved.notify_all();
                self.over = result.is_err();
                return result.map(Some);
            }
            if state.dead {
                self.over = true;
                bail!("a loader thread died; this is a fault of limen-train");
            }
            state = self.shared.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Samples of an epoch.
    pub fn epoch_length(&self) -> u64 {
        self.shared.recipe.order.epoch_length()
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        self.next_batch().transpose()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.moved.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panic was told by `next_batch` already.
            let _ = worker.join();
        }
    }
}

/// Tells the others when its thread dies.
struct LastWord<'a>(&'a Shared);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().dead = true;
            self.0.moved.notify_all();
        }
    }
}

impl Shared {
    /// A state in which a worker panicked is still whole: nothing is half changed under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _last_word = LastWord(self);
        let mut bytes = Vec::new();
        loop {
            let mut state = self.lock();
            while !state.stopped && state.next_in >= state.next_out + self.ahead {
                state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let number = state.next_in;
            let Some((first, n)) = self.recipe.batch_range(number).filter(|_| !state.stopped) else { return };
            state.next_in += 1;
            drop(state);
            let batch = self.recipe.batch(first, n, &mut bytes);
            let mut state = self.lock();
            // After a batch that failed nothing is fetched.
            state.stopped |= batch.is_err();
            state.ready.insert(number, batch);
            drop(state);
            self.moved.notify_all();
        }
    }
}

impl Recipe {
    /// First sample and number of samples of a batch; `None` behind the end.
    fn batch_range(&self, number: u64) -> Option<(u64, usize)> {
        let batch = self.config.batch as u64;
        let first = self.config.start.checked_add(number.checked_mul(batch)?)?;
        let left = self.config.end.map_or(batch, |end| end.saturating_sub(first)).min(batch);
        (left > 0).then_some((first, left as usize))
    }

    fn batch(&self, first: u64, n: usize, bytes: &mut Vec<u8>) -> Result<Batch> {
        let mut batch = Batch {
            first,
            pixels: vec![0.0; n * SAMPLE_LENGTH],
            labels: Vec::with_capacity(n),
            samples: Vec::with_capacity(n),
            mirrored: Vec::with_capacity(n),
        };
        for (number, out) in (first..).zip(batch.pixels.chunks_exact_mut(SAMPLE_LENGTH)) {
            let place = self.order.sample(number);
            let sample = self
                .set
                .index()
                .samples()
                .get(place as usize)
                .ok_or_else(|| anyhow!("sample {place} is not in the set"))?;
            let crop = self.set.crop(sample, bytes)?;
            let view = self.config.augment.view(crop, self.set.crops(), self.config.seed, number);
            write_planes(&view, &self.config.input, out);
            batch.labels.push(sample.identity);
            batch.samples.push(place);
            batch.mirrored.push(view.mirrored);
        }
        Ok(batch)
    }
}

/// The view as planes, (v - offset) * scale, in the input's colour order: the numbers that
/// [`limen_models::resample::planes`] gives, written row by row.
fn write_planes(view: &View, input: &Input, out: &mut [f32]) {
    let table: [f32; 256] = std::array::from_fn(|v| (v as f32 - input.offset) * input.scale);
    let frame = view.image.view();
    for (c, plane) in out.chunks_exact_mut(WIDTH * HEIGHT).enumerate() {
        let channel = if input.colour == Colour::Bgr { 2 - c } else { c };
        for (y, row) in plane.chunks_exact_mut(WIDTH).enumerate() {
            let source = &frame.row(view.y + y)[view.x * 3..(view.x + WIDTH) * 3];
            let values = source.as_chunks::<3>().0.iter().map(|px| table[usize::from(px[channel])]);
            if view.mirrored {
                row.iter_mut().rev().zip(values).for_each(|(o, v)| *o = v);
            } else {
                row.iter_mut().zip(values).for_each(|(o, v)| *o = v);
            }
        }
    }
}

#[cfg(test)]
mod tests;
