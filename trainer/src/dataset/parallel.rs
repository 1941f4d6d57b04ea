//! The same work for many things on several threads, with a bar or lines in a log; answers in the things' order.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use crate::evaluate::extract::progress;

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

/// `work(i)` for every i below `n` on `workers` threads; the answers stand in order of i. The first error ends it.
pub fn map<T: Send>(
    n: usize,
    workers: usize,
    progress: &Progress,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<(usize, T)>> {
        let mut mine = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return Ok(mine);
            }
            match work(i) {
                Ok(answer) => mine.push((i, answer)),
                Err(e) => {
                    // The others find nothing more to do.
                    next.store(n, Ordering::Relaxed);
                    return Err(e);
                }
            }
            progress.tick();
        }
    };
    let mut all = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::with_capacity(n);
        for handle in handles {
            match handle.join() {
                Ok(part) => all.extend(part?),
                Err(_) => bail!("a worker thread died; this is a fault of limen-train"),
            }
        }
        Ok(all)
    })?;
    progress.finish();
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, answer)| answer).collect())
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

    #[test]
    fn an_error_ends_the_work() {
        let count = AtomicUsize::new(0);
        let result = map(1_000_000, 2, &Progress::new(1, "things"), |i| {
            count.fetch_add(1, Ordering::Relaxed);
            if i == 10 { bail!("number ten") } else { Ok(()) }
        });
        assert_eq!(result.unwrap_err().to_string(), "number ten");
        assert!(count.load(Ordering::Relaxed) < 1_000_000);
    }
}
