//! Whether every thread still does its work: heartbeats, and the watchdogs that are fed only while all of them beat.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often hearts are listened to and watchdogs fed; every watchdog waits for some seconds.
pub const EVERY: Duration = Duration::from_millis(250);

/// The heart of one thread: it beats whenever the thread has done a piece of work, or has nothing to do.
#[derive(Debug)]
pub struct Heart {
    /// The thread's name.
    pub name: &'static str,
    begun: Instant,
    /// The last beat, ms since `begun`.
    last: AtomicU64,
}

impl Heart {
    fn new(name: &'static str) -> Self {
        Self { name, begun: Instant::now(), last: AtomicU64::new(0) }
    }

    /// All is well with this thread.
    pub fn beat(&self) {
        self.last.store(self.ms(Instant::now()), Ordering::Relaxed);
    }

    /// Since the last beat, ms.
    fn silent_ms(&self, now: Instant) -> u64 {
        self.ms(now).saturating_sub(self.last.load(Ordering::Relaxed))
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }
}

/// The threads of the daemon.
#[derive(Debug)]
pub struct Hearts {
    /// Frames are taken, or a lost camera is looked for.
    pub camera: Heart,
    /// Frames are looked at, or there are none.
    pub recognition: Heart,
    /// Verdicts become deeds and lines of the journal, or there are none.
    pub act: Heart,
    /// Longest silence, ms.
    limit_ms: u64,
}

impl Hearts {
    /// All beat now; one that is silent for longer than `limit_ms` hangs.
    pub fn new(limit_ms: u64) -> Self {
        let [camera, recognition, act] = ["camera", "recognition", "act"].map(Heart::new);
        Self { camera, recognition, act, limit_ms }
    }

    /// The thread that hangs, if one does, and for how long it has been silent, ms.
    pub fn hanging(&self, now: Instant) -> Option<(&'static str, u64)> {
        [&self.camera, &self.recognition, &self.act]
            .map(|heart| (heart.name, heart.silent_ms(now)))
            .into_iter()
            .find(|(_, silent)| *silent > self.limit_ms)
    }
}

/// Those who start the program, or the machine, anew when they are not fed.
#[derive(Debug)]
pub struct Watchdogs {
    device: Option<(PathBuf, File)>,
}

impl Watchdogs {
    /// The service manager's, where it asks for one (`WatchdogSec=`), and the machine's at `device`, unless that is
    /// empty. From here on both bite.
    pub fn open(device: &Path) -> Result<Self> {
        let device = if device.as_os_str().is_empty() {
            None
        } else {
            let file = OpenOptions::new().write(true).open(device).with_context(|| {
                format!(
                    "{}: the watchdog cannot be opened; is there one (`ls /dev/watchdog*`), has another program taken \
                     it, and has this user the right to it? watchdog.device = \"\" does without",
                    device.display()
                )
            })?;
            Some((device.to_owned(), file))
        };
        Ok(Self { device })
    }

    /// The daemon watches the door.
    pub fn ready(&self, text: &str) {
        tell(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(text)]);
    }

    /// All is well for some seconds more.
    pub fn feed(&mut self) -> io::Result<()> {
        tell(&[sd_notify::NotifyState::Watchdog]);
        match &mut self.device {
            Some((_, file)) => file.write_all(b"."),
            None => Ok(()),
        }
    }

    /// Nothing is to be started anew: the door is left as it should be, for good where the program ends.
    pub fn dismiss(mut self, program_ends: bool) {
        if program_ends {
            tell(&[sd_notify::NotifyState::Stopping]);
        }
        if let Some((path, file)) = &mut self.device
            && let Err(e) = file.write_all(b"V")
        {
            crate::tell!(
                Warning,
                "{}: it cannot be stopped ({e}) and will restart the machine",
                path.display()
            );
        }
    }
}

/// Tells the service manager, if there is one.
fn tell(what: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(what) {
        crate::tell!(Warning, "the service manager cannot be told: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_silent_too_long_hangs_and_is_named() {
        let hearts = Hearts::new(1000);
        let begun = hearts.camera.begun;
        let after = |ms| begun + Duration::from_millis(ms);
        assert_eq!(hearts.hanging(after(900)), None);
        hearts.camera.last.store(900, Ordering::Relaxed);
        hearts.act.last.store(900, Ordering::Relaxed);
        let (name, silent) = hearts.hanging(after(1500)).unwrap();
        assert!(name == "recognition" && (1400..=1500).contains(&silent), "{name} {silent}");
        hearts.recognition.last.store(1499, Ordering::Relaxed);
        assert_eq!(hearts.hanging(after(1500)), None);
    }

    #[test]
    fn a_watchdog_is_fed_and_dismissed_by_the_magic_letter() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut dogs = Watchdogs::open(file.path()).unwrap();
        dogs.feed().unwrap();
        dogs.feed().unwrap();
        dogs.dismiss(true);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"..V");
        let e = Watchdogs::open(Path::new("/dev/limen-no-such-watchdog")).unwrap_err();
        assert!(format!("{e:#}").contains("watchdog.device"), "{e:#}");
        Watchdogs::open(Path::new("")).unwrap().feed().unwrap();
    }
}
