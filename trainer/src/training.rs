//! A run from its first step to its last: pictures in, checkpoints and metrics out, resumable at every checkpoint.

pub mod checkpoint;
pub mod guard;
pub mod pupil;
pub mod record;
pub mod schedule;
pub mod solver;
pub mod start;
pub mod teacher;
pub mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use limen_models::manifest::Input;

use crate::config::{Config, FILE_NAME};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::dataset::exclude::Exclusions;
use crate::dataset::loader::{Batch, Loader, LoaderConfig};
use crate::dataset::order::Sampling;
use crate::dataset::set::Set;
use crate::dataset::split::hold_out;
use crate::metrics::{Record, Step, Validation};
use crate::training::guard::{Divergence, Policy, Watcher};
use crate::training::pupil::{Pupil, Told};
use crate::training::record::Recorder;
use crate::training::teacher::Lessons;
use crate::training::validate::Validator;

/// How often lambda may be backed off before a run gives up.
const MOST_BACK_OFFS: u32 = 4;

/// Whether a run begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// In a folder without a run.
    Anew,
    /// From the newest checkpoint that is whole.
    Resume,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Steps done.
    pub step: u64,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
    /// Whether somebody asked it to stop before its last step.
    pub stopped: bool,
}

/// The pictures of a run.
#[derive(Debug)]
pub struct Pictures {
    /// To train on.
    pub train: Arc<Set>,
    /// To validate on.
    pub held_out: Option<Arc<Set>>,
}

impl Pictures {
    /// Opens and parts what `config` names.
    ///
    /// # Errors
    /// When the data cannot be opened or too few people are left, naming what and the cure.
    pub fn open(config: &Config) -> Result<Self> {
        let data = &config.data;
        let words: Vec<String> = data.exclude.iter().map(|p| format!("@{}", p.display())).collect();
        let (set, unseen) = Set::open(&data.paths, &Exclusions::from_words(&words)?)?;
        if !unseen.is_empty() {
            eprintln!("limen-train: {} names of data.exclude are not in the set", unseen.len());
        }
        let counts: Vec<u32> = set.index().ranges().iter().map(|r| r.end - r.start).collect();
        let enough = |i: u32| counts.get(i as usize).is_some_and(|n| *n >= data.min_pictures);
        let most = data.identities.unwrap_or(u32::MAX);
        let mut taken = 0;
        let chosen: Vec<bool> = (0..counts.len() as u32)
            .map(|i| {
                let take = enough(i) && taken < most;
                taken += u32::from(take);
                take
            })
            .collect();
        let index = set.index().filter(|i| chosen[i as usize]);
        if data.held_out == 0.0 {
            return Ok(Self { train: Arc::new(set.with_index(index)?), held_out: None });
        }
        let split = hold_out(&index, data.held_out, config.seed).context("data.held_out")?;
        Ok(Self {
            train: Arc::new(set.with_index(split.train)?),
            held_out: Some(Arc::new(set.with_index(split.held_out)?)),
        })
    }

    /// Identities to tell apart.
    pub fn classes(&self) -> usize {
        self.train.index().identities().len()
    }
}

/// A run.
pub struct Run<'a> {
    config: &'a Config,
    folder: &'a Path,
    pictures: Pictures,
    lessons: Option<Lessons>,
    pupil: Pupil,
    validator: Option<Validator>,
    watcher: Watcher,
    recorder: Recorder,
    step: u64,
    back_offs: u32,
}

impl<'a> Run<'a> {
    /// Makes ready: opens the pictures, builds the network, and takes up a checkpoint where it resumes.
    ///
    /// # Errors
    /// When something named in the configuration cannot be used; when a run is there already and `begin` is
    /// [`Begin::Anew`]; when the checkpoint is of another network or other pictures.
    pub fn new(config: &'a Config, folder: &'a Path, begin: Begin, device: &Device) -> Result<Self> {
        let newest = match begin {
            Begin::Anew => {
                ensure!(
                    checkpoint::list(folder)?.is_empty() && !folder.join(FILE_NAME).exists(),
                    "{}: a run is there already; go on with --resume, or take another folder",
                    folder.display()
                );
                None
            }
            Begin::Resume => {
                let newest = checkpoint::newest(folder)?;
                if newest.is_none() {
                    eprintln!("limen-train: {}: no checkpoint yet; begins at step 1", folder.display());
                }
                newest
            }
        };
        let pictures = Pictures::open(config)?;
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        let lessons = match &config.teacher {
            Some(t) => Some(Lessons::prepare(t, &pictures.train, folder, workers(config))?),
            None => None,
        };
        let mut pupil = Pupil::new(config, pictures.classes(), lessons.as_ref().map(|l| l.length), device)?;
        if let (Some(lessons), true) = (&lessons, config.teacher.as_ref().is_some_and(|t| t.classes)) {
            pupil.begin_classes(lessons, &pictures.train)?;
        }
        let (mut step, mut back_offs) = (0, 0);
        if let Some(mut c) = newest {
            let digest = pictures.train.index().digest();
            ensure!(
                c.state.data == digest,
                "the newest checkpoint was trained on other pictures than data.paths gives now; give the same ones, or \
                 begin a new run with start.checkpoint"
            );
            (step, back_offs) = (c.state.step, c.state.back_offs);
            pupil.load(&mut c)?;
            pupil.back_off(back_offs)?;
        }
        let validator = match &pictures.held_out {
            Some(set) if config.output.validate_every > 0 => {
                Some(Validator::new(set, config, workers(config))?)
            }
            _ => None,
        };
        let recorder = Recorder::open(folder)?;
        let watcher = Watcher::new(&config.guard, pictures.classes());
        Ok(Self { config, folder, pictures, lessons, pupil, validator, watcher, recorder, step, back_offs })
    }

    /// Pictures, network and memory, for a person, before anything is waited for.
    pub fn describe(&self) -> String {
        let index = self.pictures.train.index();
        format!(
            "{} pictures of {} people; {}; step {} of {}",
            index.samples().len(),
            self.pictures.classes(),
            self.pupil.describe(self.config),
            self.step,
            self.config.schedule.steps
        )
    }

    /// Steps until the last one or until `stop` is set; a checkpoint is written at the end in any case.
    ///
    /// # Errors
    /// When training diverges and the guard does not go on, when a picture cannot be read or the disk is full. The
    /// checkpoints before it are whole.
    pub fn go(mut self, stop: &AtomicBool) -> Result<Ended> {
        let text = self.config.to_toml()?;
        let file = self.folder.join(FILE_NAME);
        std::fs::write(&file, text).with_context(|| format!("{}: cannot be written", file.display()))?;
        record::write_origin(self.folder, self.config, &self.pictures)?;
        let steps = self.config.schedule.steps;
        let bar = bar(steps, self.step);
        let mut loader = self.loader()?;
        let mut tally = Tally::default();
        while self.step < steps && !stop.load(Ordering::Relaxed) {
            let n = self.step + 1;
            let told = match self.take_step(n, &mut loader)? {
                Ok(told) => told,
                Err(divergence) => {
                    let lambda = self.pupil.lambda(n);
                    self.diverged(divergence, lambda)?;
                    loader = self.loader()?;
                    tally = Tally::default();
                    bar.set_position(self.step);
                    continue;
                }
            };
            self.step = n;
            bar.inc(1);
            tally.add(&told, self.config.schedule.batch);
            if n.is_multiple_of(self.config.output.log_every) || n == steps {
                let step = tally.record(n, self.config, self.pupil.lambda(n));
                bar.set_message(format!(
                    "loss {:.4}, {:.1} images/s",
                    step.loss,
                    step.images_per_s.unwrap_or(0.0)
                ));
                self.recorder.write(&Record::Step(step))?;
                tally = Tally::default();
            }
            let every = self.config.output.validate_every;
            if every > 0 && (n.is_multiple_of(every) || n == steps) {
                self.validate(&bar)?;
            }
            if n.is_multiple_of(self.config.output.checkpoint_every) && n < steps {
                self.save()?;
            }
        }
        bar.finish_and_clear();
        let checkpoint = self.save()?;
        Ok(Ended { step: self.step, checkpoint, stopped: self.step < steps })
    }

    fn loader(&self) -> Result<Loader> {
        let input = Input::sphereface(WIDTH, HEIGHT, self.config.data.colour);
        let schedule = &self.config.schedule;
        Loader::new(
            self.pictures.train.clone(),
            LoaderConfig {
                batch: schedule.pass(),
                seed: self.config.seed,
                workers: workers(self.config),
                sampling: Sampling::default(),
                augment: self.config.augment,
                input,
                start: self.step * schedule.batch as u64,
                end: None,
            },
        )
    }

    /// One step of the solver, unless its loss says that training has diverged.
    fn take_step(&mut self, n: u64, loader: &mut Loader) -> Result<Result<Told, Divergence>> {
        let passes = self.config.schedule.batch / self.config.schedule.pass();
        let mut batches: Vec<Batch> = Vec::with_capacity(passes);
        for _ in 0..passes {
            batches.push(loader.next_batch()?.context("the loader ended before the run")?);
        }
        let gradients = self.pupil.look(&batches, self.lessons.as_ref(), n)?;
        if let Some(divergence) = self.watcher.judge(n, gradients.told.loss) {
            return Ok(Err(divergence));
        }
        self.pupil.learn(gradients, n).map(Ok)
    }

    /// Goes back and backs off where the guard says so; ends with the explanation where not.
    fn diverged(&mut self, divergence: Divergence, lambda: Option<f64>) -> Result<()> {
        let told = divergence.explain(lambda);
        let at = self.step;
        let newest = checkpoint::newest(self.folder)?;
        let may = self.config.guard.policy == Policy::RaiseLambda && self.back_offs < MOST_BACK_OFFS;
        let (Some(mut c), true) = (newest, may && lambda.is_some()) else {
            bail!("step {}: {told}. The checkpoints before it are whole.", at + 1)
        };
        self.back_offs += 1;
        self.step = c.state.step;
        self.pupil.load(&mut c)?;
        self.pupil.back_off(self.back_offs)?;
        self.watcher.forget();
        eprintln!(
            "limen-train: step {}: {told}. Back to step {}, lambda doubled for the {}. time.",
            at + 1,
            self.step,
            self.back_offs
        );
        Ok(())
    }

    fn validate(&mut self, bar: &ProgressBar) -> Result<()> {
        let Some(validator) = &self.validator else { return Ok(()) };
        bar.set_message("validating");
        for (figure, value) in validator.figures(&mut self.pupil)? {
            self.recorder.write(&Record::Validation(Validation { step: self.step, figure, value }))?;
        }
        Ok(())
    }

    fn save(&self) -> Result<PathBuf> {
        let digest = self.pictures.train.index().digest();
        let state = checkpoint::State::new(
            self.step,
            self.pupil.name(),
            self.pictures.classes(),
            &digest,
            self.back_offs,
        );
        checkpoint::save(self.folder, &state, &self.pupil.tensors()?, self.config.output.keep)
    }
}

/// What the steps since the last record told.
#[derive(Debug)]
struct Tally {
    since: Instant,
    images: usize,
    steps: f64,
    loss: f64,
    teacher: Option<f64>,
    norm: f64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { since: Instant::now(), images: 0, steps: 0.0, loss: 0.0, teacher: None, norm: 0.0 }
    }
}

impl Tally {
    fn add(&mut self, told: &Told, batch: usize) {
        self.images += batch;
        self.steps += 1.0;
        self.loss += told.loss;
        self.norm += told.norm;
        if let Some(t) = told.teacher {
            *self.teacher.get_or_insert(0.0) += t;
        }
    }

    fn record(&self, n: u64, config: &Config, lambda: Option<f64>) -> Step {
        Step {
            step: n,
            samples: n * config.schedule.batch as u64,
            loss: self.loss / self.steps,
            lr: config.schedule.lr(n),
            lambda,
            images_per_s: Some(self.images as f64 / self.since.elapsed().as_secs_f64().max(1e-9)),
            gradient_norm: Some(self.norm / self.steps),
            teacher_loss: self.teacher.map(|t| t / self.steps),
        }
    }
}

/// Threads that decode.
fn workers(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.data.workers.unwrap_or_else(cores).clamp(1, 256)
}

/// A bar with the time left; hidden where stderr is no terminal.
fn bar(steps: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_position(done);
    match ProgressStyle::with_template("{bar:30} step {pos}/{len}  {msg}  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests;
