//! The same work for many things on several threads, with a bar or lines in a log; answers in the things' order.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;

use crate::evaluate::extract::progress;
use crate::evaluate::parallel;

/// How often a line is written where standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Progress on standard error: a bar on a terminal, else a line a minute.
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    done: AtomicU64,
    began: Instant,
    next_line_s: AtomicU64,
    what: &'static str,
    log: bool,
}

impl Progress {
    /// For `total` things called `what`.
    pub fn new(total: u64, what: &'static str) -> Self {
        Self {
            bar: progress(total, what),
            total,
            done: AtomicU64::new(0),
            began: Instant::now(),
            next_line_s: AtomicU64::new(LINE_EVERY.as_secs()),
            what,
            log: !std::io::stderr().is_terminal(),
        }
    }

    /// One more is done.
    pub fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.inc(1);
        let seconds = self.began.elapsed().as_secs();
        let due = self.next_line_s.load(Ordering::Relaxed);
        let claim = |to| self.next_line_s.compare_exchange(due, to, Ordering::Relaxed, Ordering::Relaxed);
        if self.log && seconds >= due && claim(seconds + LINE_EVERY.as_secs()).is_ok() {
            let rate = done as f64 / self.began.elapsed().as_secs_f64();
            let left_min = self.total.saturating_sub(done) as f64 / rate / 60.0;
            eprintln!("{done} of {} {}, {rate:.1}/s, {left_min:.0} min left", self.total, self.what);
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// `work(i)` for every i below `n` on `workers` threads, told to `progress`; the answers stand in order of i.
///
/// # Errors
/// The first error of `work` that is met; it ends the work.
pub fn map<T: Send>(
    n: usize,
    workers: usize,
    progress: &Progress,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let all = parallel::map(n, workers, |i| work(i).inspect(|_| progress.tick()))?;
    progress.finish();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_in_order_whatever_the_number_of_workers() {
        for workers in [0, 1, 3, 8] {
            let got = map(100, workers, &Progress::new(100, "things"), |i| Ok(i * i)).unwrap();
            assert_eq!(got, (0..100).map(|i| i * i).collect::<Vec<_>>());
        }
    }
}
