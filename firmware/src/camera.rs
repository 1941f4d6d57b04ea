//! Where frames come from: one trait, its errors sorted by what the daemon does next, and the `kind:path` names of the
//! back ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Millis;

pub mod clip;
pub mod damage;
pub mod exposure;
pub mod meter;
pub mod mjpeg;
pub mod replay;
pub mod turn;
#[cfg(feature = "v4l2")]
pub mod v4l2;
pub mod y4m;
pub mod yuv;

/// One picture from the camera.
#[derive(Clone)]
pub struct Frame {
    /// The pixels, upright.
    pub image: RgbImage,
    /// Counts from 0 without gaps, over repeats of a clip too.
    pub seq: u64,
    /// When it was taken, since the camera first opened. Replay counts it from the frame rate.
    pub at: Millis,
    /// How often the camera had been opened before, in this run.
    pub opening: u32,
    /// Where it came from, for reports: the file name of a photograph or clip, the path of a device.
    pub source: Arc<str>,
}

impl fmt::Debug for Frame {
    /// No pixels and no file name (a photograph is often named after its person).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame(seq {}, {}, {:?})", self.seq, self.at, self.image)
    }
}

/// A source of frames, polled by the camera thread.
pub trait Camera: Send {
    /// Waits for the next frame; `None` when a clip has ended. After an error, [`CameraError::cure`] tells whether to
    /// call again, to open the camera anew or to give up.
    fn next_frame(&mut self) -> Result<Option<Frame>, CameraError>;

    /// Told how light what matters in its last frame is, as luma of 0 to 255: exposes the next ones by that, if it can and
    /// was asked to. After an error it sees to its exposure itself.
    fn meter(&mut self, _luma: f32) -> Result<(), CameraError> {
        Ok(())
    }

    /// One line for a person: what it is and what it delivers.
    fn describe(&self) -> String;
}

/// What a caller does about a [`CameraError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Ask for the next frame: only this one is bad, or its light.
    Skip,
    /// Drop the camera, wait, open it again: cable, driver or another program.
    Reopen,
    /// Tell the person: the setting or the file must change.
    Refuse,
}

/// Why there is no frame.
#[derive(Debug, Error)]
pub enum CameraError {
    /// The text of the setting names no camera.
    #[error(
        "camera \"{text}\": {why}; write replay:PATH (a picture, a folder, a .y4m or .mjpeg clip) \
         or v4l2:/dev/video0"
    )]
    Name {
        /// As written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing is at that path.
    #[error("{camera}: not found; check the path{}", if .camera.starts_with("v4l2:") { " and the cable (`ls /dev/video*` lists the cameras)" } else { "" })]
    NotFound {
        /// The camera, as in the setting.
        camera: String,
    },
    /// Another program holds the device.
    #[error("{camera}: busy; stop the other program that uses it (`fuser -v` on the device names it)")]
    Busy {
        /// The camera, as in the setting.
        camera: String,
    },
    /// The file or device cannot be used, now or later.
    #[error("{camera}: {why}")]
    Unsupported {
        /// The camera, as in the setting.
        camera: String,
        /// What was found and the cure.
        why: String,
    },
    /// This program was built without that back end.
    #[error("{camera}: this build of limen has no {feature} support; build it with `--features {feature}`")]
    NotBuilt {
        /// The camera, as in the setting.
        camera: String,
        /// The missing cargo feature.
        feature: &'static str,
    },
    /// It worked and stopped: unplugged, stalled, unreadable.
    #[error("{camera}: lost ({why}); it is opened again as soon as it is back: check cable and power")]
    Lost {
        /// The camera, as in the setting.
        camera: String,
        /// What the system said.
        why: String,
    },
    /// One frame is damaged; the next may be good.
    #[error("{camera}: frame {frame} is damaged ({why}) and is skipped")]
    Corrupt {
        /// The camera, as in the setting.
        camera: String,
        /// Counted from 0, in the clip or folder.
        frame: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Its exposure cannot be set; frames come all the same.
    #[error(
        "{camera}: its exposure cannot be set ({why}) and is left to the camera; set camera.exposure = \"camera\""
    )]
    Exposure {
        /// The camera, as in the setting.
        camera: String,
        /// What the system said.
        why: String,
    },
}

impl CameraError {
    /// What to do next.
    pub fn cure(&self) -> Cure {
        match self {
            Self::Corrupt { .. } | Self::Exposure { .. } => Cure::Skip,
            // A device may be plugged in later; a file name that is wrong stays wrong.
            Self::NotFound { camera } if camera.starts_with("replay:") => Cure::Refuse,
            Self::Lost { .. } | Self::Busy { .. } | Self::NotFound { .. } => Cure::Reopen,
            Self::Name { .. } | Self::Unsupported { .. } | Self::NotBuilt { .. } => Cure::Refuse,
        }
    }
}

/// Which camera, written `kind:path` in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraSource {
    /// Files instead of a lens: a picture, a folder of pictures, a Y4M or MJPEG clip.
    Replay(PathBuf),
    /// A Video4Linux device.
    V4l2(PathBuf),
}

impl CameraSource {
    /// Whether frames come from files. Such a camera must never drive a real door.
    pub fn is_fake(&self) -> bool {
        matches!(self, Self::Replay(_))
    }

    /// The file, folder or device.
    pub fn path(&self) -> &Path {
        match self {
            Self::Replay(p) | Self::V4l2(p) => p,
        }
    }
}

impl FromStr for CameraSource {
    type Err = CameraError;

    fn from_str(text: &str) -> Result<Self, CameraError> {
        let bad = |why| CameraError::Name { text: text.to_owned(), why };
        let (kind, path) = text.split_once(':').ok_or_else(|| bad("no kind before a colon"))?;
        if path.is_empty() {
            return Err(bad("no path after the colon"));
        }
        match kind {
            "replay" => Ok(Self::Replay(path.into())),
            "v4l2" => Ok(Self::V4l2(path.into())),
            _ => Err(bad("unknown kind")),
        }
    }
}

impl fmt::Display for CameraSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay(p) => write!(f, "replay:{}", p.display()),
            Self::V4l2(p) => write!(f, "v4l2:{}", p.display()),
        }
    }
}

/// Frames a second as a fraction; both parts at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

impl FrameRate {
    /// `num / den` frames a second; `None` if either is 0.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 { None } else { Some(Self { num, den }) }
    }

    /// Whole frames a second, at least 1.
    pub const fn per_second(fps: u32) -> Self {
        Self { num: if fps == 0 { 1 } else { fps }, den: 1 }
    }

    /// Frames in `den()` seconds.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Seconds that hold `num()` frames.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// When frame `seq` is shown, counted from frame 0; rounded down, so no error adds up.
    pub fn at(self, seq: u64) -> Millis {
        let ms = u128::from(seq) * 1000 * u128::from(self.den) / u128::from(self.num);
        Millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fps", f64::from(self.num) / f64::from(self.den))
    }
}

/// What happens at the end of a clip or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// The camera ends.
    #[default]
    Once,
    /// It starts again; `seq` and `at` go on counting.
    Forever,
}

/// How fast a clip is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As fast as it is asked for: tests, annotation, evaluation.
    #[default]
    Fast,
    /// As a camera would: `next_frame` waits until the frame's time has come.
    RealTime,
}

/// The pixel format asked of a device, by the name that V4L2 has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PixelFormat {
    /// Of those that it offers, the colour one that costs least to read; grey where there is no colour.
    #[default]
    #[serde(rename = "")]
    Cheapest,
    /// Raw, 2 bytes a pixel.
    Yuyv,
    /// Raw, 1.5 bytes a pixel.
    Nv12,
    /// A JPEG a frame.
    Mjpg,
    /// Raw, 1 byte a pixel, without colour.
    Grey,
}

impl fmt::Display for PixelFormat {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What to ask a camera for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSettings {
    /// Wished width, px (`v4l2` only; the driver may give another).
    pub width_px: u32,
    /// Wished height, px (`v4l2` only; the driver may give another).
    pub height_px: u32,
    /// Pixel format (`v4l2` only).
    pub format: PixelFormat,
    /// Who sees to the exposure (`v4l2` only).
    pub exposure: exposure::Exposure,
    /// Frame rate wished of a device, and assumed for a replay that names none.
    pub rate: FrameRate,
    /// Replay: for how many frames each photograph of a folder is shown, at least 1.
    pub hold_frames: u32,
    /// Replay: what happens at the end.
    pub repeat: Repeat,
    /// Replay: how fast.
    pub pace: Pace,
    /// How its frames are made upright.
    pub turn: turn::Turn,
}

impl Default for CameraSettings {
    /// 640x480 at 15 frames a second; a replay once, each photograph for one frame, as fast as asked.
    fn default() -> Self {
        Self {
            width_px: 640,
            height_px: 480,
            format: PixelFormat::default(),
            exposure: exposure::Exposure::default(),
            rate: FrameRate::per_second(15),
            hold_frames: 1,
            repeat: Repeat::Once,
            pace: Pace::Fast,
            turn: turn::Turn::default(),
        }
    }
}

/// Opens the camera that `source` names.
pub fn open(source: &CameraSource, settings: &CameraSettings) -> Result<Box<dyn Camera>, CameraError> {
    let camera: Box<dyn Camera> = match source {
        CameraSource::Replay(path) => Box::new(replay::ReplayCamera::open(path, settings)?),
        #[cfg(feature = "v4l2")]
        CameraSource::V4l2(path) => Box::new(v4l2::V4l2Camera::open(path, settings)?),
        #[cfg(not(feature = "v4l2"))]
        CameraSource::V4l2(_) => {
            return Err(CameraError::NotBuilt { camera: source.to_string(), feature: "v4l2" });
        }
    };
    let turn = settings.turn;
    Ok(if turn == turn::Turn::default() { camera } else { Box::new(turn::Turned { camera, turn }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_name_is_read_and_written_alike() {
        for text in ["replay:clips/a b.y4m", "v4l2:/dev/video0", "replay:C:odd"] {
            assert_eq!(text.parse::<CameraSource>().unwrap().to_string(), text);
        }
        assert!("replay:x".parse::<CameraSource>().unwrap().is_fake());
        assert!(!"v4l2:/dev/video0".parse::<CameraSource>().unwrap().is_fake());
    }

    #[test]
    fn a_bad_camera_name_says_how_to_write_one() {
        for text in ["", "/dev/video0", "replay:", "usb:0"] {
            let e = text.parse::<CameraSource>().unwrap_err();
            assert_eq!(e.cure(), Cure::Refuse);
            assert!(e.to_string().contains("replay:PATH"), "{e}");
        }
    }

    #[test]
    fn frame_times_do_not_drift() {
        let ntsc = FrameRate::new(30_000, 1001).unwrap();
        // 30,000 frames last exactly 1001 s; frame 1 is at 33.37 ms.
        assert_eq!(ntsc.at(30_000), Millis(1_001_000));
        assert_eq!(ntsc.at(1), Millis(33));
        assert_eq!(FrameRate::per_second(0).at(2), Millis(2000));
        assert_eq!(FrameRate::new(0, 1), None);
    }

    #[test]
    fn a_missing_camera_is_named() {
        let e = open(&CameraSource::Replay("/nonexistent/clip.y4m".into()), &CameraSettings::default()).err();
        assert!(e.unwrap().to_string().starts_with("replay:/nonexistent/clip.y4m: not found"));
    }

    #[test]
    fn debug_shows_no_file_name() {
        let image = RgbImage::filled(2, 2, [0; 3]).unwrap();
        let f = Frame { image, seq: 1, at: Millis(5), opening: 0, source: "Jane_Doe.jpg".into() };
        assert!(!format!("{f:?}").contains("Jane"));
    }
}
