//! The one configuration file: typed, with a default and a comment per field, checked before anything starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use limen_models::detect::mtcnn::{self, LandmarkPasses, MinFace};
use limen_models::quality::Limits;

use crate::camera::turn::Turn;
use crate::camera::{CameraSettings, CameraSource, FrameRate, Pace, Repeat};
use crate::display::{Language, LanguageError, PanelSettings};

mod camera;
mod controls;
mod device;
mod door;
mod fault;
mod readers;
mod recognition;

pub use camera::Camera;
pub use controls::Controls;
pub use device::{Display, Metrics, Sound, Watchdog};
pub use door::{Door, Inputs};
pub use readers::Readers;
pub use recognition::{Decision, GalleryFile, Models};

/// The commented default as it ships; [`Config::default`] equals it (tested).
pub const DEFAULT_TOML: &str = include_str!("../limen.toml");

/// What is wrong with a configuration; the daemon does not start and a running one keeps its old configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown field or a value of the wrong type.
    #[error("{path}: {why}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column, excerpt and reason.
        why: String,
    },
    /// A value that cannot be used.
    #[error("{path}: line {line}: {field}: {why}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Line of the field, or of its section where the field is left to its default; from 1.
        line: usize,
        /// Dotted name.
        field: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where frames come from.
    pub camera: Camera,
    /// The networks.
    pub models: Models,
    /// The people.
    pub gallery: GalleryFile,
    /// When a face is let in.
    pub decision: Decision,
    /// Which faces are good enough.
    pub quality: Limits,
    /// The door.
    pub door: Door,
    /// The door's switches.
    pub inputs: Inputs,
    /// What is touched and pressed at the door.
    pub controls: Controls,
    /// What people show besides a face.
    pub readers: Readers,
    /// The screen.
    pub display: Display,
    /// The tones.
    pub sound: Sound,
    /// When the program, or the machine, is started anew.
    pub watchdog: Watchdog,
    /// Figures for whoever watches many doors.
    pub metrics: Metrics,
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Checks `text`; `path` stands in messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| ConfigError::Syntax {
            path: path.to_owned(),
            why: without_pin(e.to_string().trim_end()),
        })?;
        match config.fault() {
            None => Ok(config),
            Some((field, why)) => {
                Err(ConfigError::Value { path: path.to_owned(), line: line_of(text, field), field, why })
            }
        }
    }

    /// The camera, parsed.
    pub fn camera_source(&self) -> Option<CameraSource> {
        self.camera.source.parse().ok()
    }

    /// What the panel is asked for.
    pub fn panel_settings(&self) -> PanelSettings {
        PanelSettings { width_px: self.display.width_px, height_px: self.display.height_px }
    }

    /// What screens are written in; its files are read.
    pub fn language(&self) -> Result<Language, LanguageError> {
        Language::open(&self.display.language.parse()?, &self.display.font.parse()?)
    }

    /// What the camera is asked for.
    pub fn camera_settings(&self) -> CameraSettings {
        CameraSettings {
            width_px: self.camera.width_px,
            height_px: self.camera.height_px,
            format: self.camera.format,
            exposure: self.camera.exposure,
            rate: FrameRate::per_second(self.camera.frames_per_second),
            hold_frames: self.camera.hold_frames,
            repeat: if self.camera.repeat { Repeat::Forever } else { Repeat::Once },
            pace: if self.camera.every_frame { Pace::Fast } else { Pace::RealTime },
            turn: Turn { rotation: self.camera.rotate_deg, mirror: self.camera.mirror },
        }
    }

    /// The detector's settings: the door's, with this file's smallest face.
    pub fn detector(&self) -> mtcnn::Settings {
        mtcnn::Settings {
            min_face: MinFace::OfFrame(self.models.min_face),
            pyramid: self.models.pyramid,
            landmarks: LandmarkPasses::Mirrored,
            ..mtcnn::Settings::door()
        }
    }

    /// Threads for the networks, at least one.
    pub fn threads(&self) -> usize {
        match self.models.threads {
            // The camera, the display and the journal have a core of their own where there is one.
            0 => std::thread::available_parallelism().map_or(1, |n| n.get() - 1).max(1),
            some => some as usize,
        }
    }

    /// The embedder asked for by id.
    pub fn embedder(&self) -> Option<&str> {
        Some(self.models.embedder.as_str()).filter(|id| !id.is_empty())
    }
}

/// What TOML says of a text, but for what stands behind `pin =` in the line that it quotes: it may be a PIN as it is.
pub(crate) fn without_pin(said: &str) -> String {
    let quoted = |line: &str| {
        let (number, of_file) = line.split_once('|')?;
        let key = of_file.trim_start().trim_start_matches(['"', '\'']);
        key.starts_with("pin").then(|| format!("{number}| pin = ..."))
    };
    said.lines().map(|line| quoted(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}

/// The line of `field` (`section.key`) in `text`, or of its section, or 1.
fn line_of(text: &str, field: &str) -> usize {
    let Some((section, key)) = field.split_once('.') else { return 1 };
    let mut inside = false;
    let mut found = 1;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            inside = name.split(']').next().is_some_and(|n| n.trim() == section);
            if inside {
                found = i + 1;
            }
        } else if inside && line.split('=').next().is_some_and(|k| k.trim() == key) {
            return i + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests;
