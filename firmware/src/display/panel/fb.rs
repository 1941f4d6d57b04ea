//! A panel that is one of the kernel's framebuffers (`/dev/fb0`), in whatever pixel format its driver has.

#![allow(unsafe_code, reason = "the driver is asked by ioctl")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Panel, PanelError, canvas};
use crate::display::canvas::Canvas;
use crate::display::screens::ScreenKind;
use crate::time::Millis;

/// `FBIOGET_VSCREENINFO` and `FBIOGET_FSCREENINFO` of linux/fb.h.
const GET_VARIABLE: u64 = 0x4600;
const GET_FIXED: u64 = 0x4602;

/// Where a colour lies in a pixel (`struct fb_bitfield`).
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Bits {
    offset: u32,
    length: u32,
    msb_right: u32,
}

/// `struct fb_var_screeninfo`, as far as it is read.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Variable {
    width: u32,
    height: u32,
    virtual_size: [u32; 2],
    /// Of the visible part, columns and rows.
    offset: [u32; 2],
    bits_per_pixel: u32,
    grey: u32,
    colours: [Bits; 4],
    rest: [u32; 20],
}

/// `struct fb_fix_screeninfo`, as far as it is read.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Fixed {
    id: [u8; 16],
    memory: libc::c_ulong,
    memory_length: u32,
    kind: [u32; 3],
    steps: [u16; 3],
    row_bytes: u32,
    registers: libc::c_ulong,
    registers_length: u32,
    accelerator: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

/// How pixels lie in the framebuffer.
#[derive(Debug, Clone, Copy)]
struct Format {
    /// Of a pixel.
    bytes: usize,
    /// Red, green, blue.
    colours: [Bits; 3],
}

impl Format {
    fn new(variable: &Variable) -> Result<Self, String> {
        let Variable { bits_per_pixel, grey, colours: [red, green, blue, _], .. } = *variable;
        let colours = [red, green, blue];
        let fits = colours.iter().all(|c| {
            (1..=8).contains(&c.length) && c.offset + c.length <= bits_per_pixel && c.msb_right == 0
        });
        if grey != 0 || !matches!(bits_per_pixel, 16 | 24 | 32) || !fits {
            return Err(format!("its pixels have {bits_per_pixel} bits in a form that limen does not draw"));
        }
        Ok(Self { bytes: bits_per_pixel as usize / 8, colours })
    }

    /// One row of RGB in the framebuffer's form.
    fn put(&self, rgb: &[u8], out: &mut [u8]) {
        for (px, out) in rgb.chunks_exact(3).zip(out.chunks_exact_mut(self.bytes)) {
            let pixel = self.colours.iter().zip(px).fold(0u32, |sum, (bits, value)| {
                sum | (u32::from(*value) >> (8 - bits.length)) << bits.offset
            });
            out.copy_from_slice(&pixel.to_ne_bytes()[..self.bytes]);
        }
    }
}

/// An open framebuffer.
pub struct FbPanel {
    path: PathBuf,
    name: String,
    file: File,
    canvas: Canvas,
    format: Format,
    row_bytes: usize,
    /// Of the first visible pixel.
    start: usize,
    /// The visible rows as they were last written.
    shown: Vec<u8>,
}

impl FbPanel {
    /// Opens `path`; the canvas has the size of its visible part.
    pub fn open(path: &Path) -> Result<Self, PanelError> {
        let fault = |source| PanelError::Device { path: path.to_owned(), source };
        let unusable = |why| PanelError::Unusable { path: path.to_owned(), why };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault)?;
        let (mut variable, mut fixed) = (Variable::default(), Fixed::default());
        ask(&file, GET_VARIABLE, &mut variable).map_err(fault)?;
        ask(&file, GET_FIXED, &mut fixed).map_err(fault)?;
        let format = Format::new(&variable).map_err(unusable)?;
        let width_px = variable.width;
        let canvas = canvas(width_px, variable.height)?;
        let row_bytes = fixed.row_bytes as usize;
        let [left, top] = variable.offset.map(|o| o as usize);
        if row_bytes < (left + width_px as usize) * format.bytes {
            return Err(unusable(format!("its rows have {row_bytes} bytes, too few for {width_px} px")));
        }
        let name = fixed.id.split(|b| *b == 0).next().unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            file,
            canvas,
            format,
            row_bytes,
            start: top * row_bytes + left * format.bytes,
            shown: Vec::new(),
        })
    }
}

/// Fills `what` with the driver's answer to `question`.
fn ask<T: Copy>(file: &File, question: u64, what: &mut T) -> io::Result<()> {
    // SAFETY: the driver writes that question's structure, as large as `T` (asserted below), to memory that is ours.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), question as _, std::ptr::from_mut(what)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const _: () = assert!(size_of::<Variable>() == 160, "struct fb_var_screeninfo");
const _: () = {
    let fixed = if cfg!(target_pointer_width = "64") { 80 } else { 68 };
    assert!(size_of::<Fixed>() == fixed, "struct fb_fix_screeninfo");
};

impl Panel for FbPanel {
    fn canvas(&mut self) -> &mut Canvas {
        &mut self.canvas
    }

    fn present(&mut self, _at: Millis, _kind: ScreenKind) -> Result<(), PanelError> {
        let image = self.canvas.image();
        let (width, height) = (image.width(), image.height());
        let visible = width * self.format.bytes;
        let all = self.shown.len() != visible * height;
        self.shown.resize(visible * height, 0);
        let mut row = vec![0; visible];
        for (y, shown) in self.shown.chunks_exact_mut(visible).enumerate() {
            self.format.put(image.view().row(y), &mut row);
            if all || row != shown {
                let at = (self.start + y * self.row_bytes) as u64;
                self.file
                    .write_all_at(&row, at)
                    .map_err(|source| PanelError::Device { path: self.path.clone(), source })?;
                shown.copy_from_slice(&row);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let image = self.canvas.image();
        format!("{} ({}, {}x{} px)", self.path.display(), self.name, image.width(), image.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(bits_per_pixel: u32, colours: [(u32, u32); 3]) -> Result<Format, String> {
        let mut all = [Bits::default(); 4];
        for (bits, (offset, length)) in all.iter_mut().zip(colours) {
            (bits.offset, bits.length) = (offset, length);
        }
        Format::new(&Variable { bits_per_pixel, colours: all, ..Variable::default() })
    }

    #[test]
    fn pixels_lie_as_the_driver_says() {
        let put = |format: Format| {
            let mut out = vec![0; 2 * format.bytes];
            format.put(&[255, 0, 8, 1, 128, 255], &mut out);
            out
        };
        // RGB565: 11111 000000 00001 and 00000 100000 11111.
        let small = format(16, [(11, 5), (5, 6), (0, 5)]).unwrap();
        assert_eq!(put(small), [0xF801u16.to_ne_bytes(), 0x041Fu16.to_ne_bytes()].concat());
        let usual = format(32, [(16, 8), (8, 8), (0, 8)]).unwrap();
        assert_eq!(put(usual), [0x00FF_0008u32.to_ne_bytes(), 0x0001_80FFu32.to_ne_bytes()].concat());
        let turned = format(32, [(0, 8), (8, 8), (16, 8)]).unwrap();
        assert_eq!(put(turned)[..4], 0x0008_00FFu32.to_ne_bytes());
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (bits, colours) in
            [(8, [(0, 8); 3]), (32, [(16, 10), (8, 8), (0, 8)]), (16, [(11, 8), (5, 6), (0, 5)])]
        {
            assert!(format(bits, colours).unwrap_err().contains("does not draw"));
        }
    }

    #[test]
    fn a_file_is_no_framebuffer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let e = FbPanel::open(file.path()).err().unwrap();
        assert!(e.to_string().contains("display.panel"), "{e}");
        let e = FbPanel::open(Path::new("/dev/limen-no-such-fb")).err().unwrap();
        assert!(e.to_string().contains("/dev/limen-no-such-fb"), "{e}");
    }
}
