//! Input devices of the kernel's (evdev) that may be pulled out: used while they are there, opened again once they are back.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evdev::{Device, EventSummary};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest sleep, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(100);
const NAP_NS: i64 = 100_000_000;
/// Until the first try to open a lost device; each that fails doubles it.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest time between two tries.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// Opens a device and has `work` done with it until `stop` or until nobody listens any more, which `work` says by `Ok`; after an
/// error of either, which is told once, it is opened again.
pub fn keep<D, E: Display>(
    stop: &AtomicBool,
    open: impl Fn() -> Result<D, E>,
    mut work: impl FnMut(D) -> Result<(), E>,
) {
    let (mut wait, mut told_of) = (BACK_OFF, false);
    while !stop.load(Ordering::SeqCst) {
        let error = match open() {
            Ok(device) => {
                (wait, told_of) = (BACK_OFF, false);
                match work(device) {
                    Ok(()) => return,
                    Err(lost) => lost,
                }
            }
            Err(error) => error,
        };
        if !std::mem::replace(&mut told_of, true) {
            crate::tell!(Warning, "{error}; the door goes on, and it is opened as soon as it is back");
        }
        pause(wait, stop);
        wait = (wait * 2).min(LONGEST_BACK_OFF);
    }
}

/// Sleeps so long, or until `stop`.
pub fn pause(length: Duration, stop: &AtomicBool) {
    let until = Instant::now() + length;
    while !stop.load(Ordering::SeqCst) && Instant::now() < until {
        std::thread::sleep(NAP);
    }
}

/// What a device said, after a wait of a tenth of a second at most.
pub fn listen(device: &mut Device, tell: impl FnMut(EventSummary)) -> io::Result<()> {
    let limit = Timespec { tv_sec: 0, tv_nsec: NAP_NS };
    let mut watched = [PollFd::new(&*device, PollFlags::IN)];
    // A wait that fails, as by a signal, ends like one in vain; a device that is gone says so below.
    if poll(&mut watched, Some(&limit)).is_ok_and(|ready| ready == 0) {
        return Ok(());
    }
    match device.fetch_events() {
        Ok(events) => {
            events.map(|e| e.destructure()).for_each(tell);
            Ok(())
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
        Err(e) => Err(e),
    }
}
