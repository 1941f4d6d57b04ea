//! `limen-train bench-step`: how fast a training step is here, with our kernels and with burn's, in turn.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use rand::RngExt;

use crate::backbone::init::stream;
use crate::config::Config;
use crate::dataset::loader::{Batch, SAMPLE_LENGTH};
use crate::device::{self, Backend};
use crate::engine::Precision;
use crate::ops::Kernels;
use crate::training::pupil::Pupil;

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

impl Net {
    fn table(self) -> &'static str {
        match self {
            Self::SphereFace4 => "depth = 4",
            Self::SphereFace20 => "depth = 20",
            Self::Half10 => {
                "depth = 10\nwidth = 0.5\nembedding = 128\noutput = \"depthwise\"\nnormalisation = \"batch\""
            }
        }
    }
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
    steps: u64,
    /// Kernels; where nothing is said both on the CPU, and on a card burn's, which are alone there
    #[arg(long, value_enum)]
    kernels: Option<Choice>,
    /// Where it computes
    #[arg(long, value_enum, default_value = "cpu")]
    device: Backend,
    /// In what numbers the layers compute
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
}

/// Classes of the random labels: few, so that the head costs little beside the network.
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
    pupil: Pupil,
    best_s: f64,
    best_cpu_s: f64,
    loss: f64,
}

impl Racer {
    fn step(&mut self, batch: &Batch, n: u64, device: &Device) -> Result<()> {
        let (start, cpu) = (Instant::now(), cpu_seconds()?);
        let gradients = self.pupil.look(std::slice::from_ref(batch), None, n)?;
        device.sync()?;
        let seen = start.elapsed().as_secs_f64();
        self.loss = self.pupil.learn(gradients, n)?.loss;
        device.sync()?;
        let (whole, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        eprintln!(
            "{:?}: {whole:.3} s (forward and backward {seen:.3}, update {:.3}), {cpu:.2} CPU s, loss {:.4}",
            self.kernels,
            whole - seen,
            self.loss
        );
        if n > 1 {
            self.best_s = self.best_s.min(whole);
            self.best_cpu_s = self.best_cpu_s.min(cpu);
        }
        Ok(())
    }
}

/// Runs the command.
pub fn run(args: &BenchStep) -> Result<()> {
    ensure!(args.batch > 0, "--batch: at least one picture");
    ensure!(args.steps > 1, "--steps: at least two, the first is not counted");
    let kinds: &[Kernels] = match (args.kernels, args.device) {
        (Some(Choice::Burn), _) | (None, Backend::Cuda) => &[Kernels::Burn],
        (Some(_), Backend::Cuda) => {
            bail!("--kernels: ours are for the CPU; on a card there are burn's alone")
        }
        (Some(Choice::Ours), Backend::Cpu) => &[Kernels::Ours],
        (None | Some(Choice::Both), Backend::Cpu) => &[Kernels::Ours, Kernels::Burn],
    };
    let device = device::open(args.device)?;
    let mut config = Config::parse(&format!(
        "[data]\npaths = [\"none\"]\n[network]\n{}\n[head]\nkind = \"a-softmax\"\n[schedule]\nbatch = {}\nlr = 0.01\n",
        args.network.table(),
        args.batch
    ))?;
    config.output.precision = args.precision;
    let mut rng = stream(config.seed, "bench");
    let batch = Batch {
        first: 0,
        pixels: (0..args.batch * SAMPLE_LENGTH).map(|_| rng.random_range(-1.0..1.0)).collect(),
        labels: (0..args.batch).map(|i| (i * 37 % CLASSES) as u32).collect(),
        samples: (0..args.batch as u32).collect(),
        mirrored: vec![false; args.batch],
    };
    let racer = |kernels: &Kernels| -> Result<Racer> {
        let pupil = Pupil::new(&config, CLASSES, None, &device)?.with_kernels(*kernels);
        Ok(Racer { kernels: *kernels, pupil, best_s: f64::INFINITY, best_cpu_s: f64::INFINITY, loss: 0.0 })
    };
    let mut racers: Vec<Racer> = kinds.iter().map(racer).collect::<Result<_>>()?;
    for n in 1..=args.steps {
        for racer in &mut racers {
            racer.step(&batch, n, &device)?;
        }
    }
    for r in &racers {
        crate::say!(
            "{:?} batch {}: {:?} {:>7.1} images/s, {:>7.1} images per CPU second, loss {:.5}",
            args.network,
            args.batch,
            r.kernels,
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
