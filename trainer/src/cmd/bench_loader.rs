//! `limen-train bench-loader`: how many samples a second the loader gives.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use limen_models::manifest::{Colour, Input};
use serde_json::json;

use crate::cmd::data::{Data, all_cores};
use crate::dataset::augment::{Augment, Shift};
use crate::dataset::crop::{HEIGHT, WIDTH};
use crate::dataset::loader::{Loader, LoaderConfig};
use crate::dataset::order::Sampling;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct BenchLoader {
    #[command(flatten)]
    data: Data,
    /// Samples a batch
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Samples measured, after one batch that is not
    #[arg(long, default_value_t = 20_000)]
    samples: u64,
    /// Every augmentation with its default strength, not the mirror image alone
    #[arg(long)]
    augment: bool,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, default_value_t = all_cores())]
    workers: usize,
}

/// Runs the command.
pub fn run(args: &BenchLoader) -> Result<()> {
    ensure!(args.samples >= 1, "--samples: at least 1");
    let set = args.data.set()?;
    let margin = set.crops().margin as u32;
    let augment = if args.augment {
        Augment {
            shift: (margin > 0).then(|| Shift { max_px: margin.min(2), ..Shift::default() }),
            low_resolution: Some(Default::default()),
            blur: Some(Default::default()),
            photometric: Some(Default::default()),
            occlusion: Some(Default::default()),
            mask: Some(Default::default()),
            glasses: Some(Default::default()),
            ..Augment::default()
        }
    } else {
        Augment::default()
    };
    let config = LoaderConfig {
        batch: args.batch,
        seed: 1,
        workers: args.workers,
        sampling: Sampling::Shuffled,
        augment,
        input: Input::sphereface(WIDTH, HEIGHT, Colour::Bgr),
        start: 0,
        end: Some(args.batch as u64 + args.samples),
    };
    let crops = (set.crops().width, set.crops().height);
    let mut loader = Loader::new(Arc::new(set), config)?;
    loader.next_batch()?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut samples = 0;
    while let Some(batch) = loader.next_batch()? {
        samples += batch.len();
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = samples as f64 / seconds;
    // What a busy machine does not change: how much work a sample is.
    let per_cpu_second = cpu_seconds().zip(cpu).map(|(now, then)| samples as f64 / (now - then).max(0.01));
    if args.json {
        crate::say!(
            "{}",
            json!({ "samples": samples, "seconds": seconds, "per_second": rate, "per_cpu_second": per_cpu_second,
                    "workers": args.workers, "width": crops.0, "height": crops.1, "augment": args.augment })
        );
    } else {
        crate::say!(
            "{rate:.0} samples/s: {samples} crops of {}x{} px in {seconds:.2} s on {} threads",
            crops.0,
            crops.1,
            args.workers
        );
        if let Some(per_cpu_second) = per_cpu_second {
            crate::say!("{per_cpu_second:.0} samples per second of processor time");
        }
    }
    Ok(())
}

/// Processor time of this program so far, all threads, s. Linux counts it in hundredths (`/proc/self/stat`, fields
/// utime and stime, behind the name in brackets).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / 100.0)
}
