//! Multi-planar capture into memory-mapped buffers, for formats whose planes lie in one piece of memory.

#![allow(unsafe_code, reason = "the driver's buffers are read in place")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use v4l::Format;
use v4l::buffer::Metadata;
use v4l::device::Handle;

use super::ioctl::{self, Mapping};
use super::stream::{READABLE, Stream};

/// Asks for a format; what the driver makes of it.
pub fn set_format(handle: &Handle, wish: &Format) -> io::Result<Format> {
    match ioctl::set_format(handle, wish)? {
        (format, 1) => Ok(format),
        (format, n) => Err(io::Error::other(format!(
            "it cuts {} into {n} pieces of memory, limen takes one",
            format.fourcc
        ))),
    }
}

/// Buffers on their way between driver and program.
pub struct MplaneStream {
    buffers: Vec<Mapping>,
    /// Those that the driver does not have.
    ours: Vec<u32>,
    running: bool,
    patience_ms: i32,
    meta: Metadata,
    // Dropped last: closing the device frees the buffers.
    handle: Arc<Handle>,
}

impl MplaneStream {
    /// Asks for `count` buffers; a frame is waited for no longer than `patience`.
    pub fn new(handle: Arc<Handle>, count: u32, patience: Duration) -> io::Result<Self> {
        let ours: Vec<u32> = (0..ioctl::request(&handle, count)?).collect();
        let buffers = ours.iter().map(|index| Mapping::new(&handle, *index)).collect::<io::Result<_>>()?;
        let patience_ms = patience.as_millis().try_into().unwrap_or(i32::MAX);
        Ok(Self { buffers, ours, running: false, patience_ms, meta: Metadata::default(), handle })
    }
}

impl Stream for MplaneStream {
    fn next(&mut self) -> io::Result<(&[u8], &Metadata)> {
        for index in self.ours.drain(..) {
            ioctl::queue(&self.handle, index)?;
        }
        if !self.running {
            ioctl::start(&self.handle)?;
            self.running = true;
        }
        if self.handle.poll(READABLE, self.patience_ms)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let filled = ioctl::dequeue(&self.handle)?;
        self.ours.push(filled.index);
        self.meta = filled.meta;
        let buffer = self.buffers.get(filled.index as usize);
        let buffer =
            buffer.ok_or_else(|| io::Error::other("the driver gives a buffer that nobody asked for"))?;
        // SAFETY: the driver has just given it back, and has it again at the next call, which ends this borrow.
        let bytes = unsafe { buffer.bytes() };
        Ok((bytes.get(filled.start..).unwrap_or_default(), &self.meta))
    }

    fn handle(&self) -> Arc<Handle> {
        self.handle.clone()
    }
}

impl Drop for MplaneStream {
    fn drop(&mut self) {
        // A device that is gone has ended already.
        let _ = ioctl::stop(&self.handle);
    }
}
