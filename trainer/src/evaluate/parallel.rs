//! The same work for many items on several threads, results in the items' order.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};

/// `work(0)`, `work(1)` .. `work(count - 1)` on `workers` threads.
///
/// # Errors
/// The first error of `work` that is met; the other threads finish what they have begun.
pub fn map<T: Send>(
    count: usize,
    workers: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<(usize, T)>> {
        let mut mine = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(mine);
            }
            match work(i) {
                Ok(result) => mine.push((i, result)),
                Err(e) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(e);
                }
            }
        }
    };
    let mut all = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers.clamp(1, count.max(1))).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::with_capacity(count);
        for handle in handles {
            match handle.join() {
                Ok(part) => all.extend(part?),
                Err(_) => bail!("a worker thread died; this is a fault of limen-train"),
            }
        }
        Ok(all)
    })?;
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_an_error_ends_it() {
        assert_eq!(map(100, 3, |i| Ok(i * i)).unwrap(), (0..100).map(|i| i * i).collect::<Vec<_>>());
        assert_eq!(map(4, 0, Ok).unwrap(), [0, 1, 2, 3], "no workers are one");
        assert_eq!(map(0, 3, Ok).unwrap(), Vec::<usize>::new());
        let e = map(100, 3, |i| if i == 7 { bail!("seven") } else { Ok(i) }).unwrap_err();
        assert_eq!(e.to_string(), "seven");
    }
}
