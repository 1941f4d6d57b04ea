//! Keyboards that nobody told of: whoever plugs one in wants to type at the device. They are not listened to, and told of.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evdev::{Device, KeyCode};

use crate::plugged;

/// How often it is looked for new devices.
const EVERY: Duration = Duration::from_secs(2);
const FOLDER: &str = "/dev/input";
/// So many are told of in one run, and no more: plugging in and out again is not to fill the journal.
const MOST: usize = 100;
/// Most letters of what a device calls itself that are written down.
const NAME: usize = 64;

/// Whether a device has keys for digits, and one to end with.
pub fn types_digits(device: &Device) -> bool {
    let has = |code| device.supported_keys().is_some_and(|keys| keys.contains(code));
    let row = [KeyCode::KEY_1, KeyCode::KEY_0, KeyCode::KEY_ENTER];
    let pad = [KeyCode::KEY_KP1, KeyCode::KEY_KP0, KeyCode::KEY_KPENTER];
    row.into_iter().all(has) || pad.into_iter().all(has)
}

/// A keyboard that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keyboard {
    /// What it calls itself.
    pub name: String,
    /// Make, model and where it is plugged in: what tells it from others.
    pub identity: String,
}

impl Keyboard {
    fn of(device: &Device) -> Self {
        let id = device.input_id();
        let place = device.physical_path().unwrap_or_default();
        Self {
            name: device.name().unwrap_or("a keyboard").chars().take(NAME).collect(),
            identity: format!("{:04x}:{:04x} {place}", id.vendor(), id.product()),
        }
    }
}

/// Those that were told of.
#[derive(Debug, Default)]
pub struct Strangers(BTreeSet<Keyboard>);

impl Strangers {
    /// Those of the keyboards that are news: each is once.
    pub fn news(&mut self, keyboards: impl IntoIterator<Item = Keyboard>) -> Vec<Keyboard> {
        keyboards.into_iter().filter(|k| self.0.len() < MOST && self.0.insert(k.clone())).collect()
    }
}

/// Tells of each keyboard that is none of `ours`, until `stop` or until nobody listens: `send` says so by `false`.
pub fn watch(ours: &[PathBuf], stop: &AtomicBool, send: &mut dyn FnMut(Keyboard) -> bool) {
    let (mut strangers, mut before, mut looked) = (Strangers::default(), BTreeSet::new(), BTreeSet::new());
    while !stop.load(Ordering::SeqCst) {
        let there = devices(Path::new(FOLDER));
        // At the second look a new device has the rights and the names that udev gives it.
        let new: BTreeSet<_> =
            there.intersection(&before).filter(|name| !looked.contains(*name)).cloned().collect();
        let paths = new.iter().map(|name| Path::new(FOLDER).join(name)).filter(|path| !is_one_of(path, ours));
        if !strangers.news(paths.filter_map(|path| look(&path))).into_iter().all(&mut *send) {
            return;
        }
        looked.extend(new);
        looked.retain(|name| there.contains(name));
        before = there;
        plugged::pause(EVERY, stop);
    }
}

/// A keyboard, if that is one that may be read.
fn look(path: &Path) -> Option<Keyboard> {
    Device::open(path).ok().filter(types_digits).map(|device| Keyboard::of(&device))
}

/// Names of event devices. Where the folder cannot be read there are none.
fn devices(folder: &Path) -> BTreeSet<OsString> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.as_encoded_bytes().starts_with(b"event")).collect()
}

/// Whether a path leads to the same device as one of `ours`.
fn is_one_of(path: &Path, ours: &[PathBuf]) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    ours.iter().any(|own| real(own).is_some_and(|own| Some(own) == real(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyboard(n: usize) -> Keyboard {
        Keyboard { name: "K".into(), identity: format!("1d6b:0001 usb-{n}") }
    }

    #[test]
    fn each_is_told_of_once_and_so_many_at_most() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.news([keyboard(1), keyboard(2)]), [keyboard(1), keyboard(2)]);
        assert_eq!(strangers.news([keyboard(2), keyboard(3)]), [keyboard(3)]);
        assert_eq!(strangers.news((0..1000).map(keyboard)).len(), MOST - 3);
        assert_eq!(strangers.news([keyboard(5000)]), []);
    }

    #[test]
    fn our_own_are_known_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["event3", "event4", "mouse0"] {
            fs::write(place(name), "").unwrap();
        }
        std::os::unix::fs::symlink("event3", place("by-id")).unwrap();
        assert_eq!(devices(folder.path()).into_iter().collect::<Vec<_>>(), ["event3", "event4"]);
        let ours = [place("by-id"), place("gone")];
        assert!(is_one_of(&place("event3"), &ours) && !is_one_of(&place("event4"), &ours));
        assert!(!is_one_of(&place("gone"), &ours), "what is not there is nobody's");
        assert_eq!(look(&place("event4")), None);
    }
}
