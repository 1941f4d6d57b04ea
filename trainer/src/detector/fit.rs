//! One network of the cascade learns, step by step; resumable.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::Stage;
use super::draw::Draw;
use super::loss::{Told, loss};
use super::mine::Mined;
use super::nets::begin;
use super::pictures::Picture;
use super::show::Batch;
use super::windows::Kind;
use crate::backbone::init::stream;
use crate::engine::{Mode, Precision, Trainable};
use crate::graph::Network;
use crate::training::checkpoint::{self, State};
use crate::training::schedule::Schedule;
use crate::training::solver::{Solver, clip};

/// Share of the windows that were let through by the stages before, where there are any; the others are drawn.
const MINED: f64 = 0.7;
/// Steps between lines of the log.
const LOG_EVERY: u64 = 200;
/// Steps between checkpoints.
const KEEP_EVERY: u64 = 500;

/// What one network learns from.
#[derive(Debug)]
pub struct Source<'a> {
    /// The network.
    pub stage: Stage,
    /// Pictures, as the windows count them.
    pub pictures: &'a [Picture],
    /// Windows at random.
    pub draw: Draw<'a>,
    /// Windows that came through.
    pub mined: Mined,
    /// Decides all.
    pub seed: u64,
}

impl Source<'_> {
    /// The windows of the step `n`: half of them without a face, a quarter with one, a quarter with a part of one.
    pub fn batch(&self, n: u64, size: usize) -> Batch {
        let mut rng = stream(self.seed, &format!("{}/{n}", self.stage.role().name()));
        let mut batch = Batch::default();
        for i in 0..size {
            let kind = match i % 4 {
                0 | 1 => Kind::Negative,
                2 => Kind::Positive,
                _ => Kind::Part,
            };
            let mined = self.mined.of(kind);
            let window = if !mined.is_empty() && rng.random_bool(MINED) {
                Some(mined[rng.random_range(0..mined.len())])
            } else {
                self.draw.draw(kind, &mut rng)
            };
            if let Some(window) = window {
                let picture = &self.pictures[window.picture as usize];
                batch.add(picture, &window, self.stage.side(), &mut rng);
            }
        }
        batch
    }
}

/// Learns by `schedule`, keeping checkpoints in `folder` and going on from the newest one there. `None` when `stop`
/// was raised before the end.
///
/// # Errors
/// When a checkpoint is of another network, the disk or the device fails, or the loss is no number any more.
pub fn fit(
    source: &Source<'_>,
    schedule: &Schedule,
    folder: &Path,
    device: &Device,
    stop: &AtomicBool,
) -> Result<Option<Network>> {
    let mut net = Trainable::new(begin(source.stage, source.seed)?, Precision::F32, device)?;
    let mut solver = Solver::new(schedule, net.params().iter());
    let name = source.stage.role().name();
    let mut done = resume(&mut net, &mut solver, name, folder, device)?;
    let (began, first) = (Instant::now(), done);
    let mut sum = Told::default();
    let finished = std::thread::scope(|scope| -> Result<bool> {
        // The next windows are cut while the network looks at these.
        let (give, take) = sync_channel(2);
        scope.spawn(move || {
            for n in done + 1..=schedule.steps {
                if give.send(source.batch(n, schedule.batch)).is_err() {
                    return;
                }
            }
        });
        while done < schedule.steps {
            let Ok(batch) = take.recv() else { bail!("the thread that cuts windows died") };
            ensure!(
                !batch.is_empty(),
                "no window could be drawn: are there faces in the labels that are sure?"
            );
            let told = step(&mut net, &mut solver, source.stage, &batch, schedule, done + 1, device)?;
            done += 1;
            ensure!(told.face.is_finite(), "{name}: the loss is no number after step {done}; try a lower lr");
            add(&mut sum, &told);
            let last = done == schedule.steps;
            if done.is_multiple_of(LOG_EVERY) || last {
                let n = ((done - 1) % LOG_EVERY + 1).min(done - first) as f64;
                let rate = (done - first) as f64 * schedule.batch as f64 / began.elapsed().as_secs_f64();
                eprintln!(
                    "{name} {done}/{}: face {:.4}, {:.2} % right, box {:.5}, landmarks {:.5}; {rate:.0} windows/s, {:.0} min left",
                    schedule.steps,
                    sum.face / n,
                    100.0 * sum.right / n,
                    sum.bbox / n,
                    sum.landmarks / n,
                    (schedule.steps - done) as f64 * schedule.batch as f64 / rate / 60.0
                );
                sum = Told::default();
            }
            let stopped = stop.load(Ordering::Relaxed);
            if done.is_multiple_of(KEEP_EVERY) || last || stopped {
                keep(&net, &solver, name, folder, done)?;
            }
            if stopped && !last {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    if finished { net.to_network().map(Some) } else { Ok(None) }
}

fn add(sum: &mut Told, told: &Told) {
    sum.face += told.face;
    sum.bbox += told.bbox;
    sum.landmarks += told.landmarks;
    sum.right += told.right;
}

fn step(
    net: &mut Trainable,
    solver: &mut Solver,
    stage: Stage,
    batch: &Batch,
    schedule: &Schedule,
    n: u64,
    device: &Device,
) -> Result<Told> {
    let (count, side) = (batch.len(), stage.side());
    let pixels = TensorData::new(batch.pixels.clone(), [count, 3, side, side]);
    let leaves = net.leaves();
    let outputs = net.forward_all(&leaves, Tensor::<4>::from_data(pixels, device).autodiff(), Mode::Learn)?;
    let (loss, told) = loss(outputs, batch, stage.weights(), device)?;
    let mut grads = loss.backward();
    let mut gradients: Vec<_> = leaves.iter().map(|leaf| leaf.grad_remove(&mut grads)).collect();
    clip(&mut gradients, schedule.clip);
    solver.step(net.params_mut().iter_mut(), gradients, schedule.lr(n));
    Ok(told)
}

fn keep(net: &Trainable, solver: &Solver, name: &str, folder: &Path, step: u64) -> Result<()> {
    let tensors = solver.tensors(net.params().iter())?;
    checkpoint::save(folder, &State::new(step, name, 2, "", 0), &tensors, 2)?;
    Ok(())
}

/// Brings back the newest checkpoint of `folder`; the steps done.
fn resume(
    net: &mut Trainable,
    solver: &mut Solver,
    name: &str,
    folder: &Path,
    device: &Device,
) -> Result<u64> {
    let Some(mut kept) = checkpoint::newest(folder)? else { return Ok(0) };
    ensure!(
        kept.state.network == name,
        "{}: checkpoints of {}, not of {name}",
        folder.display(),
        kept.state.network
    );
    solver.load(net.params_mut().iter_mut(), &mut kept, device)?;
    Ok(kept.state.step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::draw::tests::pictures;
    use crate::training::schedule::{Fall, Rule};

    fn schedule(steps: u64) -> Schedule {
        Schedule {
            steps,
            batch: 32,
            lr: 0.05,
            fall: Fall::Cosine,
            rule: Rule::Nesterov,
            clip: Some(5.0),
            ..Schedule::default()
        }
    }

    fn source(pictures: &[Picture], stage: Stage) -> Source<'_> {
        Source { stage, pictures, draw: Draw::new(pictures, 0.98), mined: Mined::default(), seed: 3 }
    }

    #[test]
    fn a_network_learns_discs_from_stripes() {
        let pictures = pictures();
        let dir = tempfile::tempdir().unwrap();
        let source = source(&pictures, Stage::P);
        let net = fit(&source, &schedule(150), dir.path(), &Device::flex(), &AtomicBool::new(false))
            .unwrap()
            .unwrap();
        let mut judge = Trainable::new(net, Precision::F32, &Device::flex()).unwrap();
        let batch = source.batch(10_000, 64);
        let pixels = TensorData::new(batch.pixels.clone(), [64, 3, 12, 12]);
        let leaves = judge.leaves();
        let faces = Tensor::<4>::from_data(pixels, &Device::flex()).autodiff();
        let outputs = judge.forward_all(&leaves, faces, Mode::Judge).unwrap();
        let (_, told) = loss(outputs, &batch, [1.0; 3], &Device::flex()).unwrap();
        assert!(told.right > 0.8, "{told:?}");
    }

    #[test]
    fn a_stopped_stage_goes_on_to_the_same_weights() {
        let pictures = pictures();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for stage in [Stage::P, Stage::R, Stage::O] {
            let source = source(&pictures, stage);
            let (device, name) = (Device::flex(), stage.role().name());
            let run = |folder: &str, stop: bool| {
                fit(&source, &schedule(3), &at(&format!("{folder}-{name}")), &device, &AtomicBool::new(stop))
                    .unwrap()
            };
            let whole = run("whole", false).unwrap();
            assert!(run("parts", true).is_none(), "stopped after a step");
            assert!(run("parts", true).is_none(), "and after another");
            assert_eq!(run("parts", false).unwrap(), whole, "{name}");
        }
    }

    #[test]
    fn checkpoints_of_another_network_are_refused() {
        let pictures = pictures();
        let dir = tempfile::tempdir().unwrap();
        let go = |stage| {
            fit(&source(&pictures, stage), &schedule(1), dir.path(), &Device::flex(), &AtomicBool::new(false))
        };
        go(Stage::P).unwrap();
        let error = go(Stage::R).unwrap_err().to_string();
        assert!(error.contains("mtcnn-p, not of mtcnn-r"), "{error}");
    }
}
