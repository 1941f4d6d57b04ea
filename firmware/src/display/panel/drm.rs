//! A panel that is a display of the kernel's mode setting (`/dev/dri/card0`): its preferred mode, one buffer in plain memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use drm::Device;
use drm::buffer::{Buffer, DrmFourcc};
use drm::control::connector::State;
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{ClipRect, Device as ControlDevice, Mode, ModeTypeFlags, connector, crtc, framebuffer};

use super::{Panel, PanelError, canvas};
use crate::display::canvas::Canvas;
use crate::display::screens::ScreenKind;
use crate::time::Millis;

/// Bytes of a pixel, X, R, G, B from the most significant.
const PIXEL: usize = 4;

/// The open card; whoever opens it first, or alone, may set its mode.
struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Device for Card {}
impl ControlDevice for Card {}

/// Where a picture goes: a connected display, in a mode, fed by one of the card's scan-out units.
struct Way {
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
    /// As people know it, such as `HDMI-A-1`.
    name: String,
}

/// A display of a graphics card.
pub struct DrmPanel {
    path: PathBuf,
    card: Card,
    way: Way,
    buffer: DumbBuffer,
    framebuffer: framebuffer::Handle,
    canvas: Canvas,
}

impl DrmPanel {
    /// Takes the first connected display of the card at `path`; the canvas has the size of its preferred mode.
    pub fn open(path: &Path) -> Result<Self, PanelError> {
        let fault = |source| PanelError::Device { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault)?;
        let card = Card(file);
        let way = way(&card).map_err(fault)?.ok_or_else(|| PanelError::Unusable {
            path: path.to_owned(),
            why: "no display is connected to this card".into(),
        })?;
        let (width, height) = way.mode.size();
        let (width_px, height_px) = (u32::from(width), u32::from(height));
        let canvas = canvas(width_px, height_px)?;
        let buffer =
            card.create_dumb_buffer((width_px, height_px), DrmFourcc::Xrgb8888, 32).map_err(fault)?;
        let framebuffer = card.add_framebuffer(&buffer, 24, 32).map_err(fault)?;
        card.set_crtc(way.crtc, Some(framebuffer), (0, 0), &[way.connector], Some(way.mode))
            .map_err(fault)?;
        Ok(Self { path: path.to_owned(), card, way, buffer, framebuffer, canvas })
    }

    fn put(&mut self) -> io::Result<()> {
        let pitch = self.buffer.pitch() as usize;
        let image = self.canvas.image();
        let mut map = self.card.map_dumb_buffer(&mut self.buffer)?;
        for (y, row) in map.chunks_exact_mut(pitch).take(image.height()).enumerate() {
            for (out, px) in
                row.as_chunks_mut::<PIXEL>().0.iter_mut().zip(image.view().row(y).as_chunks::<3>().0)
            {
                *out = u32::from_be_bytes([0, px[0], px[1], px[2]]).to_le_bytes();
            }
        }
        drop(map);
        let (width, height) = self.way.mode.size();
        match self.card.dirty_framebuffer(self.framebuffer, &[ClipRect::new(0, 0, width, height)]) {
            // A card that scans the memory itself need not be told.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP)) => {
                Ok(())
            }
            told => told,
        }
    }
}

/// The way to the first connected display, the one that the card already takes where it takes one.
fn way(card: &Card) -> io::Result<Option<Way>> {
    let resources = card.resource_handles()?;
    for handle in resources.connectors() {
        let connector = card.get_connector(*handle, true)?;
        if connector.state() != State::Connected {
            continue;
        }
        let modes = connector.modes();
        let preferred = modes.iter().find(|m| m.mode_type().contains(ModeTypeFlags::PREFERRED));
        let Some(mode) = preferred.or(modes.first()) else { continue };
        let mut crtc = None;
        for encoder in connector.current_encoder().iter().chain(connector.encoders()) {
            let encoder = card.get_encoder(*encoder)?;
            crtc =
                encoder.crtc().or_else(|| resources.filter_crtcs(encoder.possible_crtcs()).first().copied());
            if crtc.is_some() {
                break;
            }
        }
        let Some(crtc) = crtc else { continue };
        let name = format!("{}-{}", connector.interface().as_str(), connector.interface_id());
        return Ok(Some(Way { connector: *handle, crtc, mode: *mode, name }));
    }
    Ok(None)
}

impl Panel for DrmPanel {
    fn canvas(&mut self) -> &mut Canvas {
        &mut self.canvas
    }

    fn present(&mut self, _at: Millis, _kind: ScreenKind) -> Result<(), PanelError> {
        self.put().map_err(|source| PanelError::Device { path: self.path.clone(), source })
    }

    fn describe(&self) -> String {
        let (width, height) = self.way.mode.size();
        format!("{} ({}, {width}x{height} px)", self.path.display(), self.way.name)
    }
}

impl Drop for DrmPanel {
    fn drop(&mut self) {
        // The kernel frees them with the file all the same.
        let _ = self.card.destroy_framebuffer(self.framebuffer);
        let _ = self.card.destroy_dumb_buffer(self.buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_card() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let e = DrmPanel::open(file.path()).err().unwrap();
        assert!(e.to_string().contains("display.panel"), "{e}");
        let e = DrmPanel::open(Path::new("/dev/dri/limen-no-such-card")).err().unwrap();
        assert!(e.to_string().contains("limen-no-such-card"), "{e}");
    }
}
