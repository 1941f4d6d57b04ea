//! Section `[camera]`: where frames come from.

use serde::{Deserialize, Serialize};

use crate::camera::PixelFormat;
use crate::camera::exposure::Exposure;
use crate::camera::turn::Rotation;

/// Section `[camera]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// `v4l2:/dev/...` or `replay:PATH`.
    pub source: String,
    /// Wished width, px.
    pub width_px: u32,
    /// Wished height, px.
    pub height_px: u32,
    /// Pixel format; empty: the cheapest.
    pub format: PixelFormat,
    /// Who sees to the exposure.
    pub exposure: Exposure,
    /// Wished frames a second.
    pub frames_per_second: u32,
    /// Replay of a folder: frames each photograph is shown.
    pub hold_frames: u32,
    /// Replay: start again at the end.
    pub repeat: bool,
    /// Replay: every frame is looked at and time is the clip's own.
    pub every_frame: bool,
    /// By how much its pictures are turned, clockwise, degrees.
    pub rotate_deg: Rotation,
    /// Whether its pictures are mirrored, after that.
    pub mirror: bool,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            source: "v4l2:/dev/video0".into(),
            width_px: 640,
            height_px: 480,
            format: PixelFormat::default(),
            exposure: Exposure::default(),
            frames_per_second: 15,
            hold_frames: 1,
            repeat: false,
            every_frame: false,
            rotate_deg: Rotation::None,
            mirror: false,
        }
    }
}
