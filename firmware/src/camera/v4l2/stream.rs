//! The seam between a camera and the two ways in which drivers give out frames: single-planar, by the `v4l` crate, and
//! multi-planar, by `mplane.rs`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use v4l::buffer::{Metadata, Type};
use v4l::capability::Flags as Capability;
use v4l::device::Handle;
use v4l::io::mmap;
use v4l::io::traits::CaptureStream;
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format};

use super::{ioctl, mplane};

/// Buffers asked for: one being filled, one ready, one being read, one spare.
const BUFFERS: u32 = 4;
/// `POLLIN` of poll(2).
pub const READABLE: i16 = 1;

/// Frames as the driver fills them.
pub trait Stream: Send {
    /// Waits for a filled buffer and gives back the one before it: its bytes from the picture's first on, and what the
    /// driver says of them.
    fn next(&mut self) -> io::Result<(&[u8], &Metadata)>;

    /// The device, to be polled.
    fn handle(&self) -> Arc<Handle>;
}

impl Stream for mmap::Stream<'static> {
    fn next(&mut self) -> io::Result<(&[u8], &Metadata)> {
        CaptureStream::next(self)
    }

    fn handle(&self) -> Arc<Handle> {
        Self::handle(self)
    }
}

/// Waits for a frame, throws away all but the newest that is ready, and hands that one to `take`.
pub fn newest<T>(stream: &mut dyn Stream, take: impl FnOnce(&[u8], &Metadata) -> T) -> io::Result<T> {
    let handle = stream.handle();
    // More than all buffers in a row means that the reader is slower than the camera: take what is there.
    let mut left = BUFFERS;
    loop {
        let (bytes, meta) = stream.next()?;
        left -= 1;
        if left == 0 || handle.poll(READABLE, 0)? == 0 {
            return Ok(take(bytes, meta));
        }
    }
}

/// How a driver gives out frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planar {
    /// A buffer is one piece of memory.
    Single,
    /// A buffer may be several.
    Multi,
}

impl Planar {
    /// That of a device of these capabilities, or why it cannot be used, with the cure.
    pub fn of(caps: Capability) -> Result<Self, &'static str> {
        let planar = if caps.contains(Capability::VIDEO_CAPTURE) {
            Self::Single
        } else if caps.contains(Capability::VIDEO_CAPTURE_MPLANE) {
            Self::Multi
        } else {
            return Err("not a capture device (an output, a codec or a metadata node); \
                        `v4l2-ctl --list-devices` names the camera's own node");
        };
        if !caps.contains(Capability::STREAMING) {
            return Err("it cannot stream into memory; put ffmpeg into v4l2loopback before it");
        }
        Ok(planar)
    }

    /// The codes of the formats that the device offers.
    pub fn formats(self, device: &Device) -> io::Result<Vec<[u8; 4]>> {
        match self {
            Self::Single => Ok(device.enum_formats()?.iter().map(|f| f.fourcc.repr).collect()),
            Self::Multi => Ok(ioctl::formats(&device.handle())),
        }
    }

    /// Asks for a format and a frame rate; what the driver makes of the format.
    pub fn set(self, device: &Device, wish: &Format, rate: Parameters) -> io::Result<Format> {
        // Not every driver lets itself be timed; its own rate will do then.
        match self {
            Self::Single => {
                let format = device.set_format(wish)?;
                let _ = device.set_params(&rate);
                Ok(format)
            }
            Self::Multi => {
                let format = mplane::set_format(&device.handle(), wish)?;
                let _ = ioctl::set_params(&device.handle(), rate);
                Ok(format)
            }
        }
    }

    /// Prepares streaming; a frame is waited for no longer than `patience`.
    pub fn stream(self, device: &Device, patience: Duration) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Single => {
                let mut stream = mmap::Stream::with_buffers(device, Type::VideoCapture, BUFFERS)?;
                stream.set_timeout(patience);
                Ok(Box::new(stream))
            }
            Self::Multi => Ok(Box::new(mplane::MplaneStream::new(device.handle(), BUFFERS, patience)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_streaming_capture_device_will_do() {
        let streaming = |what| Planar::of(what | Capability::STREAMING);
        assert_eq!(streaming(Capability::VIDEO_CAPTURE), Ok(Planar::Single));
        assert_eq!(streaming(Capability::VIDEO_CAPTURE_MPLANE), Ok(Planar::Multi));
        // A driver that has both is taken the older way.
        let both = Capability::VIDEO_CAPTURE | Capability::VIDEO_CAPTURE_MPLANE;
        assert_eq!(streaming(both), Ok(Planar::Single));
        assert!(streaming(Capability::META_CAPTURE).unwrap_err().contains("metadata"));
        assert!(streaming(Capability::VIDEO_M2M_MPLANE).unwrap_err().contains("codec"));
        assert!(Planar::of(Capability::VIDEO_CAPTURE_MPLANE).unwrap_err().contains("stream"));
    }

    /// Frames that are there at once, and a device of which poll(2) says that it can always be read.
    struct Ready {
        frame: [u8; 1],
        meta: Metadata,
        handle: Arc<Handle>,
    }

    impl Stream for Ready {
        fn next(&mut self) -> io::Result<(&[u8], &Metadata)> {
            self.frame[0] += 1;
            Ok((&self.frame, &self.meta))
        }

        fn handle(&self) -> Arc<Handle> {
            self.handle.clone()
        }
    }

    #[test]
    fn the_newest_of_at_most_all_buffers_is_taken() {
        let handle = Device::with_path("/dev/zero").unwrap().handle();
        let mut stream = Ready { frame: [0], meta: Metadata::default(), handle };
        // Always another one ready: the fourth is the newest that the buffers held.
        assert_eq!(newest(&mut stream, |bytes, _| bytes[0]).unwrap(), 4);
        assert_eq!(newest(&mut stream, |bytes, _| bytes[0]).unwrap(), 8);
    }
}
