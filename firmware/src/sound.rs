//! What is heard at the door: tones made here and handed to ALSA's `aplay`, a program of its own, so that no sound driver can
//! hang the door.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use thiserror::Error;

use crate::config::Sound;
use crate::slot::{Slot, Taken};

mod tone;

pub use tone::{RATE_HZ, Tone};

/// Who plays: a program of alsa-utils.
const PLAYER: &str = "aplay";
/// A player that takes longer than this hangs: every tone is shorter than a second, but a busy board may start it slowly.
const LIMIT: Duration = Duration::from_secs(10);
/// What was killed is gone by then, unless it hangs in a driver.
const BURIAL: Duration = Duration::from_millis(500);
/// Between two looks at a player.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait for a cue, so that a stop is noticed; systemd's signal reaches the player a little before this program acts on
/// it.
const NAP: Duration = Duration::from_millis(100);
/// Between two turns of an alarm.
const PAUSE: Duration = Duration::from_millis(900);
/// As much of what a player says as stands in a message, bytes.
const SAID: u64 = 300;

/// What is to be heard from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cue {
    /// At once.
    pub once: Option<Tone>,
    /// Then, again and again until the next cue.
    pub then: Option<Tone>,
}

/// Why nothing is heard. The door works without sound: report it and go on.
#[derive(Debug, Error)]
pub enum SoundError {
    /// There is no such program.
    #[error(
        "there is no {player} here; `apt-get install alsa-utils` brings it, sound.device = \"\" does without"
    )]
    NoPlayer {
        /// The program.
        player: String,
    },
    /// It cannot be started, or handed anything.
    #[error("{player} cannot be started: {source}; sound.device = \"\" does without")]
    Start {
        /// The program.
        player: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended without having played.
    #[error(
        "sound.device = \"{device}\": {said}; `aplay -L` lists the devices, and this user must be in the group `audio`; \
         sound.device = \"\" does without"
    )]
    Refused {
        /// As set.
        device: String,
        /// The last line that it said, or how it ended.
        said: String,
    },
    /// It did not end.
    #[error(
        "sound.device = \"{device}\": {player} was not done after {} s and was killed; does another program hold the card \
         (`fuser -v /dev/snd/*`)?", .limit.as_secs_f32()
    )]
    Hangs {
        /// As set.
        device: String,
        /// The program.
        player: String,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// Plays tones, one after the other.
#[derive(Debug)]
pub struct Player {
    program: PathBuf,
    device: String,
    volume_percent: u32,
    limit: Duration,
    /// One that was killed and hangs in a driver all the same. There is never more than one.
    stuck: Option<Child>,
}

impl Player {
    /// What is set; `None` where nothing is to be heard. Nothing is opened yet.
    pub fn new(set: &Sound) -> Option<Self> {
        (!set.device.is_empty()).then(|| Self {
            program: PLAYER.into(),
            device: set.device.clone(),
            volume_percent: set.volume_percent,
            limit: LIMIT,
            stuck: None,
        })
    }

    /// Plays what `cues` asks for, the newest first, until `stop` or the end of the slot. What is wrong is told once, until
    /// it is over.
    pub fn serve(mut self, cues: &Slot<Cue>, stop: &AtomicBool) {
        let (mut again, mut due, mut silent) = (None, Instant::now(), false);
        while !stop.load(Ordering::SeqCst) {
            let tone = match cues.take(NAP) {
                Taken::Item(cue) => {
                    again = cue.then;
                    cue.once
                }
                Taken::Nothing => again.filter(|_| Instant::now() >= due),
                Taken::Closed => return,
            };
            let Some(tone) = tone else { continue };
            let played = self.play(tone, stop);
            due = Instant::now() + PAUSE;
            if let Err(e) = &played
                && !silent
            {
                // systemd ends the player together with this program, which is nothing to be told.
                std::thread::sleep(NAP);
                if !stop.load(Ordering::SeqCst) {
                    crate::tell!(Warning, "nothing is heard: {e}; the door goes on");
                }
            }
            silent = played.is_err();
        }
    }

    /// Plays a tone and waits for its end, or for `stop`.
    pub fn play(&mut self, tone: Tone, stop: &AtomicBool) -> Result<(), SoundError> {
        let samples = tone.samples(self.volume_percent);
        self.hand_over(&samples, stop)
    }

    /// Whether the device takes sound: plays a tenth of a second of silence.
    pub fn check(&mut self) -> Result<(), SoundError> {
        self.hand_over(&[0; RATE_HZ as usize / 10], &AtomicBool::new(false))
    }

    /// Sound in and complaints out are files in memory: with a pipe a player that hangs could hold this thread up.
    fn hand_over(&mut self, samples: &[i16], stop: &AtomicBool) -> Result<(), SoundError> {
        if self.stuck.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return Err(self.hangs());
        }
        self.stuck = None;
        let mut said = memory().map_err(|e| self.start(e))?;
        let mut child = self.spawn(samples, &said).map_err(|e| self.start(e))?;
        let begun = Instant::now();
        match ended(&mut child, || begun.elapsed() > self.limit || stop.load(Ordering::SeqCst)) {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                Err(SoundError::Refused { device: self.device.clone(), said: last_line(&mut said, status) })
            }
            None => {
                // One that has just ended by itself cannot be killed.
                let _ = child.kill();
                let killed = Instant::now();
                if ended(&mut child, || killed.elapsed() > BURIAL).is_none() {
                    self.stuck = Some(child);
                }
                if stop.load(Ordering::SeqCst) { Ok(()) } else { Err(self.hangs()) }
            }
        }
    }

    fn spawn(&self, samples: &[i16], said: &File) -> io::Result<Child> {
        let mut sound = memory()?;
        sound.write_all(&samples.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>())?;
        sound.rewind()?;
        Command::new(&self.program)
            .args(["-q", "-t", "raw", "-f", "S16_LE", "-r", &RATE_HZ.to_string(), "-c", "1"])
            .args(["-D", &self.device, "-"])
            .stdin(sound)
            .stdout(Stdio::null())
            .stderr(said.try_clone()?)
            .spawn()
    }

    fn name(&self) -> String {
        self.program.display().to_string()
    }

    fn start(&self, source: io::Error) -> SoundError {
        match source.kind() {
            io::ErrorKind::NotFound => SoundError::NoPlayer { player: self.name() },
            _ => SoundError::Start { player: self.name(), source },
        }
    }

    fn hangs(&self) -> SoundError {
        SoundError::Hangs { device: self.device.clone(), player: self.name(), limit: self.limit }
    }
}

/// How the child ended, unless `enough` comes first.
fn ended(child: &mut Child, enough: impl Fn() -> bool) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if enough() {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// A file that is nowhere but in memory.
fn memory() -> io::Result<File> {
    Ok(memfd_create("limen-sound", MemfdFlags::CLOEXEC)?.into())
}

/// The last line that was said, which is what went wrong, or how the program ended where nothing was.
fn last_line(said: &mut File, status: ExitStatus) -> String {
    let mut text = Vec::new();
    // What cannot be read again is not worth an error of its own.
    let read = said.seek(io::SeekFrom::End(0)).and_then(|end| {
        said.seek(io::SeekFrom::Start(end.saturating_sub(SAID)))?;
        said.take(SAID).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.filter(|_| read.is_ok()).map_or_else(|| format!("{PLAYER} ended by {status}"), str::to_owned)
}

#[cfg(test)]
mod tests;
