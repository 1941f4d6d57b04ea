//! How a camera hangs: its frames are turned upright, and mirrored where it gives mirror images.

use limen_models::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{Camera, CameraError, Frame};

/// By how much a frame is turned, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Rotation {
    /// The camera stands upright.
    #[default]
    None,
    /// By a quarter.
    Quarter,
    /// It hangs upside down.
    Half,
    /// By three quarters.
    ThreeQuarters,
}

impl Rotation {
    fn apply(self, image: RgbImage) -> RgbImage {
        let (w, h) = (image.width(), image.height());
        let (width, height) = match self {
            Self::None => return image,
            Self::Half => (w, h),
            Self::Quarter | Self::ThreeQuarters => (h, w),
        };
        let mut pixels = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = match self {
                    Self::None => (x, y),
                    Self::Quarter => (y, h - 1 - x),
                    Self::Half => (w - 1 - x, h - 1 - y),
                    Self::ThreeQuarters => (w - 1 - y, x),
                };
                pixels.extend_from_slice(&image.pixel(from_x, from_y));
            }
        }
        // As many pixels as before, so they fit.
        RgbImage::new(width, height, pixels).unwrap_or(image)
    }
}

impl TryFrom<u32> for Rotation {
    type Error = String;

    fn try_from(degrees: u32) -> Result<Self, String> {
        match degrees {
            0 => Ok(Self::None),
            90 => Ok(Self::Quarter),
            180 => Ok(Self::Half),
            270 => Ok(Self::ThreeQuarters),
            _ => Err(format!("a rotation of {degrees} degrees cannot be: it must be 0, 90, 180 or 270")),
        }
    }
}

impl From<Rotation> for u32 {
    fn from(rotation: Rotation) -> Self {
        match rotation {
            Rotation::None => 0,
            Rotation::Quarter => 90,
            Rotation::Half => 180,
            Rotation::ThreeQuarters => 270,
        }
    }
}

/// What is done to every frame: turned first, then mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Turned.
    pub rotation: Rotation,
    /// Mirrored.
    pub mirror: bool,
}

impl Turn {
    /// The frame as it should be.
    pub fn apply(self, image: RgbImage) -> RgbImage {
        let upright = self.rotation.apply(image);
        if self.mirror { upright.mirrored() } else { upright }
    }
}

/// A camera whose frames are turned.
pub(super) struct Turned {
    pub(super) camera: Box<dyn Camera>,
    pub(super) turn: Turn,
}

impl Camera for Turned {
    fn next_frame(&mut self) -> Result<Option<Frame>, CameraError> {
        let frame = self.camera.next_frame()?;
        Ok(frame.map(|frame| Frame { image: self.turn.apply(frame.image), ..frame }))
    }

    fn meter(&mut self, luma: f32) -> Result<(), CameraError> {
        self.camera.meter(luma)
    }

    fn describe(&self) -> String {
        let mirrored = if self.turn.mirror { ", mirrored" } else { "" };
        format!("{}, turned by {} degrees{mirrored}", self.camera.describe(), u32::from(self.turn.rotation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red values of a 3x2 picture: 1 2 3 / 4 5 6.
    fn turned(rotation: Rotation, mirror: bool) -> (usize, Vec<u8>) {
        let image = RgbImage::new(3, 2, (1..=6).flat_map(|v| [v, 0, 0]).collect()).unwrap();
        let out = Turn { rotation, mirror }.apply(image);
        (out.width(), out.data().iter().step_by(3).copied().collect())
    }

    #[test]
    fn a_picture_turns_clockwise_and_is_mirrored_after_that() {
        assert_eq!(turned(Rotation::None, false), (3, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(turned(Rotation::Quarter, false), (2, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(turned(Rotation::Half, false), (3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(turned(Rotation::ThreeQuarters, false), (2, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(turned(Rotation::None, true), (3, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(turned(Rotation::Quarter, true), (2, vec![1, 4, 2, 5, 3, 6]));
    }

    #[test]
    fn a_rotation_is_a_number_of_quarters() {
        for degrees in [0, 90, 180, 270] {
            assert_eq!(u32::from(Rotation::try_from(degrees).unwrap()), degrees);
        }
        assert!(Rotation::try_from(45).unwrap_err().contains("0, 90, 180 or 270"));
    }
}
