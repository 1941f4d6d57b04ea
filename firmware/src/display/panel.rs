//! Where screens are shown: a canvas to draw on and a verb that makes it visible; the names of the back ends.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use limen_models::image::ImageError;
use thiserror::Error;

use super::canvas::Canvas;
use super::screens::ScreenKind;
use crate::relay::RelayError;
use crate::time::Millis;
use spi::SpiSource;

pub mod drm;
pub mod fb;
pub mod png;
pub mod spi;

/// A display.
pub trait Panel: Send {
    /// What is drawn here is seen after the next [`Panel::present`]. Its size is the panel's.
    fn canvas(&mut self) -> &mut Canvas;

    /// Shows the canvas. `at` and `kind` are for the record.
    fn present(&mut self, at: Millis, kind: ScreenKind) -> Result<(), PanelError>;

    /// One line for a person: what it is and where.
    fn describe(&self) -> String;
}

/// Why nothing is shown. The door works without a display: report it and go on.
#[derive(Debug, Error)]
pub enum PanelError {
    /// The text of the setting names no panel.
    #[error(
        "display \"{text}\": {why}; write none, drm:/dev/dri/card0, fb:/dev/fb0, spi:st7789:/dev/spidev0.0:DC-LINE:RESET-LINE, \
         png:FOLDER or png-latest:FILE.png"
    )]
    Name {
        /// As written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A size no panel has.
    #[error("a display of {width_px}x{height_px} px cannot be drawn on: {source}")]
    Size {
        /// Width as set, px.
        width_px: u32,
        /// Height as set, px.
        height_px: u32,
        /// Why.
        source: ImageError,
    },
    /// The device does not answer.
    #[error(
        "{path}: {source}; is there a display (`ls /dev/dri /dev/fb* /dev/spidev*`), does no other program hold it, and has this user the right to it (group `video`, or `spi`)? \
         display.panel = \"none\" does without"
    )]
    Device {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The device answers what cannot be drawn on.
    #[error("{path}: {why}; take another display.panel")]
    Unusable {
        /// The device.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A GPIO line of the panel's.
    #[error("{0}")]
    Line(#[from] RelayError),
    /// This program was built without that back end.
    #[error("{panel}: this build of limen has no SPI panels; build it with `--features spi`")]
    NotBuilt {
        /// The panel, as in the setting.
        panel: String,
    },
    /// The picture cannot be stored.
    #[error("{path}: cannot be written: {source}; check the folder, its permissions and the free space")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Which panel, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PanelSource {
    /// `none`: nothing is shown.
    None,
    /// `drm:DEVICE`: a display of a graphics card.
    Drm(PathBuf),
    /// `fb:DEVICE`: a framebuffer of the kernel's.
    Fb(PathBuf),
    /// `spi:CONTROLLER:DEVICE:DC:RESET`: a small panel on an SPI bus.
    Spi(SpiSource),
    /// `png:FOLDER`: every screen that differs from the one before, as a numbered file.
    PngFolder(PathBuf),
    /// `png-latest:FILE`: the current screen, replaced atomically.
    PngLatest(PathBuf),
}

impl FromStr for PanelSource {
    type Err = PanelError;

    fn from_str(text: &str) -> Result<Self, PanelError> {
        let bad = |why| PanelError::Name { text: text.to_owned(), why };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None => Err(bad("unknown kind")),
            Some((_, "")) => Err(bad("nothing after the colon")),
            Some(("drm", device)) => Ok(Self::Drm(device.into())),
            Some(("fb", device)) => Ok(Self::Fb(device.into())),
            Some(("spi", rest)) => rest.parse().map(Self::Spi).map_err(bad),
            Some(("png", folder)) => Ok(Self::PngFolder(folder.into())),
            Some(("png-latest", file)) => Ok(Self::PngLatest(file.into())),
            Some(_) => Err(bad("unknown kind")),
        }
    }
}

impl fmt::Display for PanelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Drm(p) => write!(f, "drm:{}", p.display()),
            Self::Fb(p) => write!(f, "fb:{}", p.display()),
            Self::Spi(source) => write!(f, "spi:{source}"),
            Self::PngFolder(p) => write!(f, "png:{}", p.display()),
            Self::PngLatest(p) => write!(f, "png-latest:{}", p.display()),
        }
    }
}

/// What to ask a panel for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelSettings {
    /// Width, px.
    pub width_px: u32,
    /// Height, px.
    pub height_px: u32,
}

impl Default for PanelSettings {
    /// 800x480, the common 7-inch panel.
    fn default() -> Self {
        Self { width_px: 800, height_px: 480 }
    }
}

/// What a panel of that size is drawn on.
fn canvas(width_px: u32, height_px: u32) -> Result<Canvas, PanelError> {
    Canvas::new(width_px as usize, height_px as usize).map_err(|source| PanelError::Size {
        width_px,
        height_px,
        source,
    })
}

/// Opens the panel that `source` names; `None` for [`PanelSource::None`].
pub fn open(source: &PanelSource, settings: PanelSettings) -> Result<Option<Box<dyn Panel>>, PanelError> {
    let PanelSettings { width_px, height_px } = settings;
    let canvas = || canvas(width_px, height_px);
    Ok(match source {
        PanelSource::None => None,
        PanelSource::Drm(device) => Some(Box::new(drm::DrmPanel::open(device)?)),
        PanelSource::Fb(device) => Some(Box::new(fb::FbPanel::open(device)?)),
        #[cfg(feature = "spi")]
        PanelSource::Spi(source) => Some(spi::driver::open(source, canvas()?)?),
        #[cfg(not(feature = "spi"))]
        PanelSource::Spi(_) => return Err(PanelError::NotBuilt { panel: source.to_string() }),
        PanelSource::PngFolder(folder) => Some(Box::new(png::PngPanel::numbered(folder, canvas()?)?)),
        PanelSource::PngLatest(file) => Some(Box::new(png::PngPanel::latest(file, canvas()?))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_name_is_read_and_written_alike() {
        for text in [
            "none",
            "drm:/dev/dri/card0",
            "fb:/dev/fb0",
            "spi:st7789:/dev/spidev0.0:a:b",
            "png:screens",
            "png-latest:/run/limen/screen.png",
        ] {
            assert_eq!(text.parse::<PanelSource>().unwrap().to_string(), text);
        }
        for text in ["", "png", "png:", "fb", "hdmi:1", "spi:st7789", "png-latest:"] {
            assert!(text.parse::<PanelSource>().unwrap_err().to_string().contains("png:FOLDER"), "{text}");
        }
    }

    #[test]
    fn an_impossible_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let source = PanelSource::PngFolder(dir.path().into());
        let e = open(&source, PanelSettings { width_px: 0, height_px: 480 }).err().unwrap();
        assert!(e.to_string().contains("0x480"), "{e}");
        assert!(open(&PanelSource::None, PanelSettings { width_px: 0, height_px: 0 }).unwrap().is_none());
    }
}
