//! What the `v4l` crate does not ask of a driver, capture into multi-planar buffers, and what it panics at when the answer is
//! not foreseen, its controls.

#![allow(unsafe_code, reason = "the driver is asked by ioctl, and its buffers are mapped")]

use std::io;
use std::mem::zeroed;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::io::{FdFlags, fcntl_setfd};
use v4l::buffer::{Flags, Metadata, Type};
use v4l::device::Handle;
use v4l::format::{Colorspace, FourCC, Quantization};
use v4l::v4l_sys::{
    V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_READ_ONLY, VIDEO_MAX_PLANES, v4l2_buffer, v4l2_control,
    v4l2_fmtdesc, v4l2_format, v4l2_format__bindgen_ty_1, v4l2_pix_format_mplane, v4l2_plane, v4l2_queryctrl,
    v4l2_requestbuffers, v4l2_streamparm, v4l2_streamparm__bindgen_ty_1,
};
use v4l::v4l2::{self, vidioc};
use v4l::video::capture::Parameters;
use v4l::{Format, Memory};

use crate::camera::exposure::Values;

const KIND: u32 = Type::VideoCaptureMplane as u32;
const MAPPED: u32 = Memory::Mmap as u32;

/// Sends `what` to the driver with `request`, which must be one for that structure; the answer takes its place.
fn ask<T>(handle: &Handle, request: vidioc::_IOC_TYPE, what: &mut T) -> io::Result<()> {
    // SAFETY: each call below pairs a request with its own structure of videodev2.h, whose size is part of the request;
    // the driver touches that structure and the planes that a buffer points to, and both outlive the call.
    unsafe { v4l2::ioctl(handle.fd(), request, ptr::from_mut(what).cast()) }
}

/// Leaves the device to no program that this one starts: a camera that was pulled out is gone when nobody holds it any more.
pub fn keep(handle: &Handle) -> io::Result<()> {
    // SAFETY: the handle is borrowed for longer than this, and open for as long as it is there.
    let device = unsafe { BorrowedFd::borrow_raw(handle.fd()) };
    Ok(fcntl_setfd(device, FdFlags::CLOEXEC)?)
}

/// The codes of the formats that the driver offers.
pub fn formats(handle: &Handle) -> Vec<[u8; 4]> {
    let nth = |index| {
        // SAFETY: a plain structure of numbers.
        let empty: v4l2_fmtdesc = unsafe { zeroed() };
        let mut format = v4l2_fmtdesc { index, type_: KIND, ..empty };
        // The driver ends its list by an error.
        ask(handle, vidioc::VIDIOC_ENUM_FMT, &mut format).ok()?;
        Some(FourCC::from(format.pixelformat).repr)
    };
    (0..).map_while(nth).collect()
}

/// Asks for a format; what the driver makes of it, and in how many memory planes.
pub fn set_format(handle: &Handle, wish: &Format) -> io::Result<(Format, u8)> {
    // SAFETY: plain structures of numbers.
    let (empty, mut format): (v4l2_pix_format_mplane, v4l2_format) = unsafe { (zeroed(), zeroed()) };
    let pix_mp = v4l2_pix_format_mplane {
        width: wish.width,
        height: wish.height,
        pixelformat: wish.fourcc.into(),
        ..empty
    };
    format.type_ = KIND;
    format.fmt = v4l2_format__bindgen_ty_1 { pix_mp };
    ask(handle, vidioc::VIDIOC_S_FMT, &mut format)?;
    // SAFETY: the kind says that this is the member in use; any bits are a value of its numbers.
    let given = unsafe { format.fmt.pix_mp };
    let plane = given.plane_fmt[0];
    let format = Format {
        stride: plane.bytesperline,
        size: plane.sizeimage,
        // What V4L2 does not define is what it leaves open.
        colorspace: given.colorspace.try_into().unwrap_or(Colorspace::Default),
        quantization: u32::from(given.quantization).try_into().unwrap_or(Quantization::Default),
        ..Format::new(given.width, given.height, FourCC::from(given.pixelformat))
    };
    Ok((format, given.num_planes))
}

/// Asks for a frame rate.
pub fn set_params(handle: &Handle, params: Parameters) -> io::Result<()> {
    let parm = v4l2_streamparm__bindgen_ty_1 { capture: params.into() };
    ask(handle, vidioc::VIDIOC_S_PARM, &mut v4l2_streamparm { type_: KIND, parm })
}

/// Asks for buffers; how many there are.
pub fn request(handle: &Handle, count: u32) -> io::Result<u32> {
    // SAFETY: a plain structure of numbers.
    let empty: v4l2_requestbuffers = unsafe { zeroed() };
    let mut buffers = v4l2_requestbuffers { count, type_: KIND, memory: MAPPED, ..empty };
    ask(handle, vidioc::VIDIOC_REQBUFS, &mut buffers)?;
    Ok(buffers.count)
}

/// Sends buffer `index` with `request`; the answer, and its first plane.
fn buffer(handle: &Handle, request: vidioc::_IOC_TYPE, index: u32) -> io::Result<(v4l2_buffer, v4l2_plane)> {
    // SAFETY: plain structures of numbers and of a pointer that may be null.
    let (mut planes, mut buffer): ([v4l2_plane; VIDEO_MAX_PLANES as usize], v4l2_buffer) =
        unsafe { (zeroed(), zeroed()) };
    (buffer.index, buffer.type_, buffer.memory) = (index, KIND, MAPPED);
    (buffer.m.planes, buffer.length) = (planes.as_mut_ptr(), VIDEO_MAX_PLANES);
    ask(handle, request, &mut buffer)?;
    Ok((buffer, planes[0]))
}

/// Gives buffer `index` to the driver, to be filled.
pub fn queue(handle: &Handle, index: u32) -> io::Result<()> {
    buffer(handle, vidioc::VIDIOC_QBUF, index).map(|_| ())
}

/// A filled buffer.
pub struct Filled {
    /// Which.
    pub index: u32,
    /// Where the picture begins in it, bytes.
    pub start: usize,
    /// What the driver says of the picture.
    pub meta: Metadata,
}

/// Takes a filled buffer from the driver.
pub fn dequeue(handle: &Handle) -> io::Result<Filled> {
    let (buffer, plane) = buffer(handle, vidioc::VIDIOC_DQBUF, 0)?;
    let meta = Metadata {
        // The driver counts what stands before the picture too.
        bytesused: plane.bytesused.saturating_sub(plane.data_offset),
        flags: Flags::from(buffer.flags),
        field: buffer.field,
        timestamp: buffer.timestamp.into(),
        sequence: buffer.sequence,
    };
    Ok(Filled { index: buffer.index, start: plane.data_offset as usize, meta })
}

/// The driver begins to fill buffers.
pub fn start(handle: &Handle) -> io::Result<()> {
    ask(handle, vidioc::VIDIOC_STREAMON, &mut KIND.cast_signed())
}

/// The driver ends, and gives all buffers back.
pub fn stop(handle: &Handle) -> io::Result<()> {
    ask(handle, vidioc::VIDIOC_STREAMOFF, &mut KIND.cast_signed())
}

/// The memory of a buffer's first plane.
pub struct Mapping(NonNull<[u8]>);

// SAFETY: the mapping is this value's own and is bound to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps buffer `index`.
    pub fn new(handle: &Handle, index: u32) -> io::Result<Self> {
        let (_, plane) = buffer(handle, vidioc::VIDIOC_QUERYBUF, index)?;
        let length = plane.length as usize;
        // SAFETY: for mapped buffers the driver gives an offset. The kernel chooses the place of the mapping, which nothing
        // else knows of.
        let memory = unsafe {
            let offset = plane.m.mem_offset as libc::off_t;
            v4l2::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, handle.fd(), offset)?
        };
        let memory = ptr::slice_from_raw_parts_mut(memory.cast(), length);
        NonNull::new(memory).map(Self).ok_or_else(|| io::Error::other("a buffer at address 0"))
    }

    /// What is in it.
    ///
    /// # Safety
    ///
    /// The driver must not have the buffer while this is read.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: mapped, as long as this value lives, and written by nobody, as the caller promises.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; whoever read it borrowed this value.
        // It fails for what is no mapping alone.
        let _ = unsafe { v4l2::munmap(self.0.as_ptr().cast(), self.0.len()) };
    }
}

/// What values a control takes and has; `None` where there is no such control, or none that can be set.
pub fn control(handle: &Handle, id: u32) -> Option<Values> {
    // SAFETY: a plain structure of numbers.
    let mut range = v4l2_queryctrl { id, ..unsafe { zeroed() } };
    ask(handle, vidioc::VIDIOC_QUERYCTRL, &mut range).ok()?;
    let mut control = v4l2_control { id, value: 0 };
    ask(handle, vidioc::VIDIOC_G_CTRL, &mut control).ok()?;
    let settable = range.flags & (V4L2_CTRL_FLAG_DISABLED | V4L2_CTRL_FLAG_READ_ONLY) == 0;
    let (least, most, step) = (range.minimum, range.maximum, range.step);
    settable.then_some(Values { least, most, step, now: control.value })
}

/// Sets a control.
pub fn set_control(handle: &Handle, id: u32, value: i32) -> io::Result<()> {
    ask(handle, vidioc::VIDIOC_S_CTRL, &mut v4l2_control { id, value })
}
