//! A touch screen as an event device of the kernel's (evdev). One that is gone is opened again once it is back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use evdev::{AbsoluteAxisCode, Device, EventSummary, KeyCode, SynchronizationCode};
use thiserror::Error;

use crate::controls::Input;
use crate::controls::taps::{Range, Taps, Told};
use crate::plugged;

/// Why nothing can be touched. The door works all the same: tell it once, and try again.
#[derive(Debug, Error)]
pub enum TouchError {
    /// The device does not answer.
    #[error(
        "{path}: {source}; is the touch screen there (`ls /dev/input/by-path`), and has this user the right to it (group \
         `input`)? controls.touch = \"\" does without"
    )]
    Device {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{path}: {name} is no touch screen: it does not say where it is touched; take another controls.touch \
         (`cat /proc/bus/input/devices` lists them)"
    )]
    NoPlace {
        /// The device.
        path: PathBuf,
        /// What it calls itself.
        name: String,
    },
}

/// An open one.
struct Screen {
    device: Device,
    path: PathBuf,
    axes: (Range, Range),
    /// Where it points now.
    at: (i32, i32),
}

impl Screen {
    fn open(path: &Path) -> Result<Self, TouchError> {
        let failed = |source| TouchError::Device { path: path.to_owned(), source };
        let device = Device::open(path).map_err(failed)?;
        device.set_nonblocking(true).map_err(failed)?;
        let mut single = (None, None);
        let mut fingers = (None, None);
        for (axis, info) in device.get_absinfo().map_err(failed)? {
            let place = match axis {
                AbsoluteAxisCode::ABS_X => &mut single.0,
                AbsoluteAxisCode::ABS_Y => &mut single.1,
                AbsoluteAxisCode::ABS_MT_POSITION_X => &mut fingers.0,
                AbsoluteAxisCode::ABS_MT_POSITION_Y => &mut fingers.1,
                _ => continue,
            };
            *place = Some((Range { low: info.minimum(), high: info.maximum() }, info.value()));
        }
        // A screen for many fingers speaks of them by these ranges.
        let (Some((x, at_x)), Some((y, at_y))) = (fingers.0.or(single.0), fingers.1.or(single.1)) else {
            let name = device.name().unwrap_or("it").to_owned();
            return Err(TouchError::NoPlace { path: path.to_owned(), name });
        };
        Ok(Self { device, path: path.to_owned(), axes: (x, y), at: (at_x, at_y) })
    }

    fn describe(&self) -> String {
        let (Range { low: left, high: right }, Range { low: top, high: bottom }) = self.axes;
        let name = self.device.name().unwrap_or("a touch screen");
        format!("{}: {name}, {left} to {right} across, {top} to {bottom} down", self.path.display())
    }

    /// What it said, after a wait of a tenth of a second at most.
    fn listen(&mut self, tell: &mut impl FnMut(Told)) -> Result<(), TouchError> {
        let lost = |source| TouchError::Device { path: self.path.clone(), source };
        plugged::listen(&mut self.device, |event| told(event).into_iter().for_each(&mut *tell)).map_err(lost)
    }
}

/// What matters of an event.
fn told(event: EventSummary) -> Option<Told> {
    match event {
        EventSummary::AbsoluteAxis(_, axis, value) => match axis {
            AbsoluteAxisCode::ABS_X => Some(Told::X(value)),
            AbsoluteAxisCode::ABS_Y => Some(Told::Y(value)),
            AbsoluteAxisCode::ABS_MT_SLOT => Some(Told::Slot(value)),
            AbsoluteAxisCode::ABS_MT_TRACKING_ID => Some(Told::Finger(value >= 0)),
            AbsoluteAxisCode::ABS_MT_POSITION_X => Some(Told::FingerX(value)),
            AbsoluteAxisCode::ABS_MT_POSITION_Y => Some(Told::FingerY(value)),
            _ => None,
        },
        EventSummary::Key(_, KeyCode::BTN_TOUCH | KeyCode::BTN_LEFT, value) => Some(Told::Button(value != 0)),
        EventSummary::Synchronization(_, SynchronizationCode::SYN_REPORT, _) => Some(Told::Moment),
        _ => None,
    }
}

/// What is there at `path`, for a person.
pub fn describe(path: &Path) -> Result<String, TouchError> {
    Screen::open(path).map(|screen| screen.describe())
}

/// Hands on every tap on a panel of `size` px until `stop`, or until nobody listens: `send` says so by `false`.
pub fn watch(path: &Path, size: (u32, u32), stop: &AtomicBool, send: &mut dyn FnMut(Input) -> bool) {
    let open = || Screen::open(path);
    plugged::keep(stop, open, |mut screen| {
        crate::tell!(Info, "touch: {}", screen.describe());
        let mut taps = Taps::new(screen.axes, size, screen.at);
        let mut heard = true;
        while heard && !stop.load(Ordering::SeqCst) {
            screen.listen(&mut |told| {
                if let Some(tap) = taps.step(told) {
                    heard &= send(tap);
                }
            })?;
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_no_touch_screen_is_told_with_the_cure() {
        let gone = describe(Path::new("/dev/input/limen-no-such-device")).unwrap_err().to_string();
        assert!(gone.contains("group `input`") && gone.contains("controls.touch"), "{gone}");
        // A file that is no event device at all.
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = describe(file.path()).unwrap_err().to_string();
        assert!(other.starts_with(&file.path().display().to_string()), "{other}");
    }

    #[test]
    fn a_device_that_is_not_there_is_waited_for_until_the_stop() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let path = Path::new("/dev/input/limen-no-such-device");
            let watching = scope.spawn(|| watch(path, (240, 240), &stop, &mut |_| true));
            std::thread::sleep(Duration::from_millis(300));
            assert!(!watching.is_finished());
            stop.store(true, Ordering::SeqCst);
        });
    }
}
