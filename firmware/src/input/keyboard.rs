//! A reader that types like a keyboard (evdev), for this program alone: what it types reaches no terminal and nobody else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use evdev::{Device, EventSummary, KeyCode};
use thiserror::Error;

use crate::input::keys::{Key, Typed, Typist};
use crate::input::{Reader, Shown, strangers};
use crate::plugged;

/// Why nothing is read. The door works all the same: tell it once, and try again.
#[derive(Debug, Error)]
pub enum KeyboardError {
    /// The device does not answer.
    #[error(
        "{path}: {source}; is the reader there (`ls -l /dev/input/by-*`), and has this user the right to it (group `input`)?"
    )]
    Device {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{path}: {name} types no digits; take another device for [readers] (`cat /proc/bus/input/devices` lists them)"
    )]
    NoKeys {
        /// The device.
        path: PathBuf,
        /// What it calls itself.
        name: String,
    },
    /// Somebody else has it for themselves.
    #[error("{path}: another program has this reader for itself ({source}); end that one")]
    Held {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn open(path: &Path) -> Result<Device, KeyboardError> {
    let failed = |source| KeyboardError::Device { path: path.to_owned(), source };
    let device = Device::open(path).map_err(failed)?;
    device.set_nonblocking(true).map_err(failed)?;
    if strangers::types_digits(&device) {
        return Ok(device);
    }
    let name = device.name().unwrap_or("it").to_owned();
    Err(KeyboardError::NoKeys { path: path.to_owned(), name })
}

fn grabbed(path: &Path) -> Result<Device, KeyboardError> {
    let mut device = open(path)?;
    device.grab().map_err(|source| KeyboardError::Held { path: path.to_owned(), source })?;
    Ok(device)
}

/// What is there at `path`, for a person. It is not taken.
pub fn describe(path: &Path) -> Result<String, KeyboardError> {
    let device = open(path)?;
    Ok(format!("{}: {}", path.display(), device.name().unwrap_or("a keyboard")))
}

/// What a key means. With shift or without, letters are the same digits.
fn key(code: KeyCode) -> Key {
    use KeyCode as K;
    match code {
        K::KEY_0 | K::KEY_KP0 => Key::Digit(0),
        K::KEY_1 | K::KEY_KP1 => Key::Digit(1),
        K::KEY_2 | K::KEY_KP2 => Key::Digit(2),
        K::KEY_3 | K::KEY_KP3 => Key::Digit(3),
        K::KEY_4 | K::KEY_KP4 => Key::Digit(4),
        K::KEY_5 | K::KEY_KP5 => Key::Digit(5),
        K::KEY_6 | K::KEY_KP6 => Key::Digit(6),
        K::KEY_7 | K::KEY_KP7 => Key::Digit(7),
        K::KEY_8 | K::KEY_KP8 => Key::Digit(8),
        K::KEY_9 | K::KEY_KP9 => Key::Digit(9),
        K::KEY_A => Key::Digit(10),
        K::KEY_B => Key::Digit(11),
        K::KEY_C => Key::Digit(12),
        K::KEY_D => Key::Digit(13),
        K::KEY_E => Key::Digit(14),
        K::KEY_F => Key::Digit(15),
        K::KEY_ENTER | K::KEY_KPENTER => Key::Enter,
        K::KEY_BACKSPACE | K::KEY_DELETE => Key::Delete,
        K::KEY_LEFTSHIFT | K::KEY_RIGHTSHIFT | K::KEY_CAPSLOCK | K::KEY_NUMLOCK => Key::Nothing,
        _ => Key::Other,
    }
}

/// Hands on what is typed there until `stop`, or until nobody listens: `send` says so by `false`.
pub fn watch(path: &Path, from: Reader, stop: &AtomicBool, send: &mut dyn FnMut(Shown) -> bool) {
    let typist = if from == Reader::Keypad { Typist::Person } else { Typist::Machine };
    let begun = Instant::now();
    plugged::keep(
        stop,
        || grabbed(path),
        |mut device| {
            let name = device.name().unwrap_or("a keyboard").to_owned();
            crate::tell!(Info, "{}: {}: {name}", from.name(), path.display());
            let mut typed = Typed::new(typist);
            let mut heard = true;
            while heard && !stop.load(Ordering::SeqCst) {
                let now = begun.elapsed().into();
                plugged::listen(&mut device, |event| {
                    // 1 is a key that goes down; 2 is one that is held.
                    if let EventSummary::Key(_, code, 1) = event
                        && let Some(what) = typed.press(key(code), now)
                    {
                        heard &= send(Shown { what, from });
                    }
                })
                .map_err(|source| KeyboardError::Device { path: path.to_owned(), source })?;
            }
            Ok(())
        },
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_digit_has_its_keys() {
        let digits: Vec<u8> = (0..=u16::from(u8::MAX))
            .filter_map(|code| match key(KeyCode::new(code)) {
                Key::Digit(digit) => Some(digit),
                _ => None,
            })
            .collect();
        for digit in 0..16 {
            let keys = digits.iter().filter(|d| **d == digit).count();
            assert_eq!(keys, if digit < 10 { 2 } else { 1 }, "{digit}");
        }
        assert_eq!(key(KeyCode::KEY_G), Key::Other);
    }

    #[test]
    fn what_is_no_reader_is_told_with_the_cure() {
        let gone = describe(Path::new("/dev/input/limen-no-such-device")).unwrap_err().to_string();
        assert!(gone.contains("group `input`"), "{gone}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = describe(file.path()).unwrap_err().to_string();
        assert!(other.starts_with(&file.path().display().to_string()), "{other}");
    }

    #[test]
    fn a_reader_that_is_not_there_is_waited_for_until_the_stop() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let path = Path::new("/dev/input/limen-no-such-device");
            let watching = scope.spawn(|| watch(path, Reader::Keyboard, &stop, &mut |_| true));
            std::thread::sleep(Duration::from_millis(300));
            assert!(!watching.is_finished());
            stop.store(true, Ordering::SeqCst);
        });
    }
}
