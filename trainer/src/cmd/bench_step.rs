//! `limen-train bench-step`: how fast a training step is here, with our kernels and with burn's, in turn.

mod network;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use clap::{Args, ValueEnum};
use network::{Kernels, Network};

use crate::ops::{Momentum, Sgd};

/// Networks to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Net {
    /// SphereFace-4: four convolutions of stride 2 and fc5
    #[value(name = "sphereface-4")]
    SphereFace4,
    /// SphereFace-20
    #[value(name = "sphereface-20")]
    SphereFace20,
    /// SphereFace-10 at half the width, batch norm after each convolution, global depthwise head
    Half10,
}

/// Which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Ours
    Ours,
    /// burn's own
    Burn,
    /// A step of each in turn
    Both,
}

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct BenchStep {
    /// Network
    #[arg(long, value_enum, default_value = "sphereface-4")]
    network: Net,
    /// Pictures a step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Steps of each kind; the first is not counted
    #[arg(long, default_value_t = 6)]
    steps: usize,
    /// Kernels
    #[arg(long, value_enum, default_value = "both")]
    kernels: Choice,
}

/// Classes of the random labels: few, so that the loss costs nothing beside the network.
const CLASSES: usize = 100;

/// CPU seconds of this process, user and system. Source: proc_pid_stat(5), fields 14 and 15, hundredths of a second.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let ticks = |field: usize| -> Option<f64> {
        stat.rsplit(')').next()?.split_whitespace().nth(field - 3)?.parse().ok()
    };
    Ok((ticks(14).zip(ticks(15)).map(|(user, system)| user + system))
        .context("/proc/self/stat has no times")?
        / 100.0)
}

/// Peak memory of this process, MiB. Source: proc_pid_status(5), VmHWM.
fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse::<u64>().context("VmHWM")? / 1024)
}

/// A network in training and its best times.
struct Racer {
    kernels: Kernels,
    network: Network,
    optimizer: ModuleOptimizer,
    best_s: f64,
    best_cpu_s: f64,
    loss: f32,
}

impl Racer {
    fn new(network: Network, kernels: Kernels) -> Self {
        let group = ParamGroup::from_any_predicates(vec!["bias"]);
        let optimizer = match kernels {
            Kernels::Ours => {
                let sgd = Sgd { form: Momentum::Plain, momentum: 0.9, decay: 5e-4 };
                ModuleOptimizer::from(sgd).with_group(group, Sgd { decay: 0.0, ..sgd }, None)
            }
            Kernels::Burn => {
                let momentum = || Some(MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false });
                SgdConfig::new()
                    .with_momentum(momentum())
                    .with_weight_decay(Some(WeightDecayConfig { penalty: 5e-4 }))
                    .init()
                    .with_group(group, SgdConfig::new().with_momentum(momentum()).build(), None)
            }
        };
        Self { kernels, network, optimizer, best_s: f64::INFINITY, best_cpu_s: f64::INFINITY, loss: 0.0 }
    }

    fn step(mut self, x: &Tensor<4>, labels: &Tensor<1, Int>, counted: bool) -> Result<Self> {
        let (start, cpu) = (Instant::now(), cpu_seconds()?);
        let scores = self.network.forward(x.clone(), self.kernels);
        let n = labels.dims()[0];
        let loss = log_softmax(scores, 1).gather(1, labels.clone().reshape([n, 1])).mean().neg();
        let forward = start.elapsed().as_secs_f64();
        let grads = loss.backward();
        let backward = start.elapsed().as_secs_f64() - forward;
        let grads = GradientsParams::from_grads(grads, &self.network);
        self.network = self.optimizer.step(0.01, self.network, grads);
        self.loss = loss.into_scalar();
        let (whole, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        eprintln!(
            "{:<5} {whole:.3} s (forward {forward:.3}, backward {backward:.3}, update {:.3}), {cpu:.2} CPU s, loss {:.4}",
            self.kernels.name(),
            whole - forward - backward,
            self.loss
        );
        if counted {
            self.best_s = self.best_s.min(whole);
            self.best_cpu_s = self.best_cpu_s.min(cpu);
        }
        Ok(self)
    }
}

/// Runs the command.
pub fn run(args: &BenchStep) -> Result<()> {
    ensure!(args.batch > 0, "--batch: at least one picture");
    ensure!(args.steps > 1, "--steps: at least two, the first is not counted");
    let device = Device::flex().autodiff();
    device.seed(7);
    let kinds: &[Kernels] = match args.kernels {
        Choice::Ours => &[Kernels::Ours],
        Choice::Burn => &[Kernels::Burn],
        Choice::Both => &[Kernels::Ours, Kernels::Burn],
    };
    let x = Tensor::<4>::random([args.batch, 3, 112, 96], Distribution::Normal(0.0, 0.5), &device);
    let labels: Vec<i64> = (0..args.batch).map(|i| (i * 37 % CLASSES) as i64).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [args.batch]), &device);
    let network = Network::new(args.network, CLASSES, &device);
    // Weights are drawn when they are first looked at; after this all start from the same.
    network.forward(x.clone().slice(0..1), Kernels::Burn);
    let mut racers: Vec<Racer> = kinds.iter().map(|k| Racer::new(network.clone(), *k)).collect();
    drop(network);
    for step in 0..args.steps {
        racers = racers.into_iter().map(|r| r.step(&x, &labels, step > 0)).collect::<Result<_>>()?;
    }
    for r in &racers {
        crate::say!(
            "{:?} batch {}: {:<5} {:>7.1} images/s, {:>7.1} images per CPU second, loss {:.5}",
            args.network,
            args.batch,
            r.kernels.name(),
            args.batch as f64 / r.best_s,
            args.batch as f64 / r.best_cpu_s,
            r.loss
        );
    }
    if let [ours, burns] = &racers[..] {
        crate::say!(
            "ratio: {:.2} by the clock, {:.2} by CPU time",
            burns.best_s / ours.best_s,
            burns.best_cpu_s / ours.best_cpu_s
        );
    }
    crate::say!(
        "peak memory {} MiB{}",
        peak_mib()?,
        if racers.len() > 1 { ", of both together" } else { "" }
    );
    Ok(())
}
