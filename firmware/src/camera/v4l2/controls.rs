//! The controls of a device that its exposure is set by, taken from its own automatic and given back.

use std::io;
use std::sync::Arc;

use v4l::device::Handle;
use v4l::v4l_sys::{
    V4L2_CID_AUTOGAIN, V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CID_EXPOSURE_AUTO, V4L2_CID_GAIN,
    v4l2_exposure_auto_type_V4L2_EXPOSURE_MANUAL as MANUAL,
};

use super::ioctl;
use crate::camera::FrameRate;
use crate::camera::exposure::{Control, Exposer, Values};

/// What a driver's automatics are set to so that they leave the other controls alone.
const AUTOMATICS: [(u32, i32); 2] = [(V4L2_CID_EXPOSURE_AUTO, MANUAL.cast_signed()), (V4L2_CID_AUTOGAIN, 0)];

/// The controls of one device.
pub struct Controls {
    handle: Arc<Handle>,
    /// An exposure longer than this, in 100 µs as the control counts, would slow the camera down.
    longest: i32,
    /// `None` until the first move.
    exposer: Option<Exposer>,
    /// What the automatics were set to.
    before: Vec<(u32, i32)>,
}

impl Controls {
    /// Those of a device that gives frames at `rate`; nothing is touched yet.
    pub fn of(handle: Arc<Handle>, rate: FrameRate) -> Self {
        let longest = u64::from(rate.den()) * 10_000 / u64::from(rate.num());
        let longest = i32::try_from(longest).unwrap_or(i32::MAX);
        Self { handle, longest, exposer: None, before: Vec::new() }
    }

    /// One line for a person: what can be set.
    pub fn describe(&self) -> &'static str {
        match [V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CID_GAIN].map(|id| ioctl::control(&self.handle, id).is_some())
        {
            [true, true] => "exposed by the faces: exposure time and gain",
            [true, false] => "exposed by the faces: exposure time",
            [false, true] => "exposed by the faces: gain",
            [false, false] => "exposed as it will: it has neither exposure time nor gain to be set",
        }
    }

    /// Sets what follows from a frame of this luma.
    pub fn meter(&mut self, luma: f32) -> io::Result<()> {
        if self.exposer.is_none() {
            self.exposer = Some(self.take()?);
        }
        match self.exposer.as_mut().and_then(|e| e.step(luma)) {
            Some((Control::Time, value)) => {
                ioctl::set_control(&self.handle, V4L2_CID_EXPOSURE_ABSOLUTE, value)
            }
            Some((Control::Gain, value)) => ioctl::set_control(&self.handle, V4L2_CID_GAIN, value),
            None => Ok(()),
        }
    }

    /// Takes the controls from the automatics, where they have them.
    fn take(&mut self) -> io::Result<Exposer> {
        for (id, manual) in AUTOMATICS {
            if let Some(Values { now, .. }) = ioctl::control(&self.handle, id) {
                ioctl::set_control(&self.handle, id, manual)?;
                self.before.push((id, now));
            }
        }
        let time = ioctl::control(&self.handle, V4L2_CID_EXPOSURE_ABSOLUTE);
        let time = time.map(|time| Values { most: time.most.min(self.longest.max(time.least)), ..time });
        Ok(Exposer::new(time, ioctl::control(&self.handle, V4L2_CID_GAIN)))
    }
}

impl Drop for Controls {
    /// Gives them back.
    fn drop(&mut self) {
        for (id, value) in self.before.drain(..) {
            // A device that is gone has forgotten them.
            let _ = ioctl::set_control(&self.handle, id, value);
        }
    }
}
