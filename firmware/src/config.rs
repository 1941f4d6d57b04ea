//! The one configuration file: typed, with a default and a comment per field, checked before anything starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use limen_models::detect::mtcnn::{self, LandmarkPasses, MinFace, Pyramid};
use limen_models::quality::Limits;

use crate::camera::exposure::Exposure;
use crate::camera::turn::{Rotation, Turn};
use crate::camera::{CameraSettings, CameraSource, FrameRate, Pace, PixelFormat, Repeat};
use crate::decide::Companions;
use crate::display::{FontSource, Language, LanguageError, LanguageSource, PanelSettings, PanelSource};
use crate::inputs;
use crate::metrics::Place;
use crate::relay::{ActiveLevel, FailState, GpioDriver, Pulse, RelaySource};

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
    /// The screen.
    pub display: Display,
    /// The tones.
    pub sound: Sound,
    /// When the program, or the machine, is started anew.
    pub watchdog: Watchdog,
    /// Figures for whoever watches many doors.
    pub metrics: Metrics,
}

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

/// Section `[models]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Folder with `manifest.toml`.
    pub folder: PathBuf,
    /// Embedder by id; empty: the manifest's default.
    pub embedder: String,
    /// Smallest face looked for, as a share of the frame's shorter side.
    pub min_face: f32,
    /// What the small pictures are made of in which faces are searched.
    pub pyramid: Pyramid,
    /// At least so often, in ms, the whole picture is searched for faces; in between, only around those in sight.
    pub full_search_ms: u64,
    /// Threads that share the networks' work on a frame; 0: one for each core but one.
    pub threads: u32,
    /// Whether the embedder multiplies in half precision, where the processor can.
    pub half: bool,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            folder: "/usr/share/limen/models".into(),
            embedder: String::new(),
            min_face: 0.125,
            pyramid: Pyramid::Frame,
            full_search_ms: 250,
            threads: 0,
            half: false,
        }
    }
}

/// Section `[gallery]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GalleryFile {
    /// The SQLite file.
    pub file: PathBuf,
}

impl Default for GalleryFile {
    fn default() -> Self {
        Self { file: "/var/lib/limen/gallery.db".into() }
    }
}

/// Section `[decision]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decision {
    /// False match rate per comparison whose threshold is taken from the manifest.
    pub false_match_rate: f64,
    /// Threshold in place of that, -1 to 1; 0 means: by the rate.
    pub threshold: f32,
    /// Least lead over the second-best subject.
    pub min_margin: f32,
    /// Good frames fused before a decision.
    pub min_frames: u32,
    /// Least likeness of two frames of one track, as a cosine.
    pub same_face: f32,
    /// Whoever is out of sight for so long is somebody new, ms.
    pub lost_after_ms: u64,
    /// The same subject is not let in again for so long, ms.
    pub cool_down_ms: u64,
    /// What a second large face means.
    pub companions: Companions,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            false_match_rate: 1e-4,
            threshold: 0.0,
            min_margin: 0.05,
            min_frames: 3,
            same_face: 0.35,
            lost_after_ms: 1000,
            cool_down_ms: 5000,
            companions: Companions::Allowed,
        }
    }
}

/// Section `[door]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Door {
    /// `gpio:NAME`, `gpio:/dev/gpiochip0:17`, `fake` or `fake:FILE`.
    pub relay: String,
    /// Kernel interface of a GPIO line.
    pub gpio_driver: GpioDriver,
    /// Level that puts current into the coil.
    pub active_level: ActiveLevel,
    /// What the door does without current.
    pub fail: FailState,
    /// How long a grant opens the door, ms.
    pub pulse_ms: u64,
    /// Upper bound when grants follow each other, ms.
    pub max_open_ms: u64,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            relay: "gpio:door-relay".into(),
            gpio_driver: GpioDriver::default(),
            active_level: ActiveLevel::default(),
            fail: FailState::default(),
            pulse_ms: 3000,
            max_open_ms: 15_000,
        }
    }
}

/// Section `[inputs]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inputs {
    /// The door contact: `gpio:NAME`, `gpio:/dev/gpiochip0:17`, or empty for none.
    pub contact: String,
    /// Level of a shut door.
    pub contact_shut: ActiveLevel,
    /// The exit button, likewise.
    pub exit_button: String,
    /// Level of a pressed button.
    pub exit_pressed: ActiveLevel,
    /// The switch in the housing, likewise.
    pub tamper: String,
    /// Level of an open housing.
    pub tamper_alarm: ActiveLevel,
    /// How long the door may stand open after it was locked again, ms.
    pub held_open_ms: u64,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            contact: String::new(),
            contact_shut: ActiveLevel::Low,
            exit_button: String::new(),
            exit_pressed: ActiveLevel::Low,
            tamper: String::new(),
            tamper_alarm: ActiveLevel::High,
            held_open_ms: 30_000,
        }
    }
}

/// Section `[display]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Display {
    /// `none`, `drm:DEVICE`, `fb:DEVICE`, `spi:CONTROLLER:DEVICE:DC:RESET`, `png:FOLDER` or `png-latest:FILE`.
    pub panel: String,
    /// Width, px.
    pub width_px: u32,
    /// Height, px.
    pub height_px: u32,
    /// How long "granted" or "denied" stays, ms.
    pub verdict_ms: u64,
    /// `en`, `de`, `es`, `zh` or `FILE.toml`.
    pub language: String,
    /// `FILE` or `FILE#INDEX` with letters that the built-in fonts lack, or empty for none.
    pub font: String,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            panel: "none".into(),
            width_px: 800,
            height_px: 480,
            verdict_ms: 2000,
            language: "en".into(),
            font: String::new(),
        }
    }
}

/// Section `[sound]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sound {
    /// A device of ALSA's by its name; empty: silence.
    pub device: String,
    /// Peak of the tones, percent of full scale.
    pub volume_percent: u32,
}

impl Default for Sound {
    fn default() -> Self {
        Self { device: String::new(), volume_percent: 60 }
    }
}

/// Section `[watchdog]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watchdog {
    /// The machine's watchdog; empty: none.
    pub device: PathBuf,
    /// A thread that does nothing for so long hangs, ms.
    pub silent_ms: u64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { device: PathBuf::new(), silent_ms: 10_000 }
    }
}

/// Section `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// `unix:PATH`, `tcp:127.0.0.1:PORT`; empty: nowhere.
    pub listen: String,
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
            why: e.to_string().trim_end().into(),
        })?;
        match config.fault() {
            None => Ok(config),
            Some((field, why)) => {
                Err(ConfigError::Value { path: path.to_owned(), line: line_of(text, field), field, why })
            }
        }
    }

    /// The first value that cannot be used, with the reason.
    fn fault(&self) -> Option<(&'static str, String)> {
        let range = |field, value: f64, low: f64, high: f64| {
            (!(low..=high).contains(&value))
                .then(|| (field, format!("is {value}, it must be {low} to {high}")))
        };
        let c = &self.camera;
        if let Err(e) = c.source.parse::<CameraSource>() {
            return Some(("camera.source", e.to_string()));
        }
        let door = &self.door;
        let relay = match door.relay.parse::<RelaySource>() {
            Ok(r) => r,
            Err(e) => return Some(("door.relay", e.to_string())),
        };
        if !relay.is_fake() && self.camera_source().is_some_and(|s| s.is_fake()) {
            return Some((
                "camera.source",
                "a replayed clip may not drive a real door; use a v4l2: camera, or relay = \"fake\"".into(),
            ));
        }
        if let Err(e) = Pulse::new(door.fail, door.pulse_ms, door.max_open_ms) {
            return Some(("door.pulse_ms", e.to_string()));
        }
        match inputs::wired(&self.inputs) {
            Err(bad) => return Some(bad),
            Ok(wired) if !wired.is_empty() && self.camera_source().is_some_and(|s| s.is_fake()) => {
                return Some((
                    "camera.source",
                    "the switches of a real door go with a real camera; use a v4l2: camera, or leave [inputs] out"
                        .into(),
                ));
            }
            Ok(_) => {}
        }
        let d = &self.decision;
        let q = &self.quality;
        range("camera.width_px", c.width_px.into(), 64.0, 4096.0)
            .or_else(|| range("camera.height_px", c.height_px.into(), 64.0, 4096.0))
            .or_else(|| range("camera.frames_per_second", c.frames_per_second.into(), 1.0, 120.0))
            .or_else(|| range("camera.hold_frames", c.hold_frames.into(), 1.0, 10_000.0))
            .or_else(|| range("inputs.held_open_ms", self.inputs.held_open_ms as f64, 1000.0, 3_600_000.0))
            .or_else(|| range("models.min_face", self.models.min_face.into(), 0.02, 1.0))
            .or_else(|| range("models.threads", self.models.threads.into(), 0.0, 64.0))
            .or_else(|| range("models.full_search_ms", self.models.full_search_ms as f64, 0.0, 10_000.0))
            .or_else(|| {
                self.models
                    .folder
                    .as_os_str()
                    .is_empty()
                    .then(|| ("models.folder", "is empty; name the folder with manifest.toml".into()))
            })
            .or_else(|| {
                self.gallery
                    .file
                    .as_os_str()
                    .is_empty()
                    .then(|| ("gallery.file", "is empty; name the gallery's file".into()))
            })
            .or_else(|| range("decision.false_match_rate", d.false_match_rate, 1e-9, 0.1))
            .or_else(|| range("decision.threshold", d.threshold.into(), -1.0, 1.0))
            .or_else(|| range("decision.min_margin", d.min_margin.into(), 0.0, 1.0))
            .or_else(|| range("decision.min_frames", d.min_frames.into(), 1.0, 50.0))
            .or_else(|| range("decision.same_face", d.same_face.into(), 0.0, 1.0))
            .or_else(|| range("decision.lost_after_ms", d.lost_after_ms as f64, 100.0, 60_000.0))
            .or_else(|| range("decision.cool_down_ms", d.cool_down_ms as f64, 0.0, 3_600_000.0))
            .or_else(|| range("quality.min_eye_distance_px", q.min_eye_distance_px.into(), 8.0, 500.0))
            .or_else(|| range("quality.max_yaw_deg", q.max_yaw_deg.into(), 1.0, 90.0))
            .or_else(|| range("quality.max_pitch_deg", q.max_pitch_deg.into(), 1.0, 90.0))
            .or_else(|| range("quality.max_roll_deg", q.max_roll_deg.into(), 1.0, 90.0))
            .or_else(|| range("quality.min_sharpness", q.min_sharpness.into(), 0.0, 10_000.0))
            .or_else(|| range("quality.min_brightness", q.min_brightness.into(), 0.0, 255.0))
            .or_else(|| range("quality.max_brightness", q.max_brightness.into(), 0.0, 255.0))
            .or_else(|| range("quality.min_contrast", q.min_contrast.into(), 0.0, 128.0))
            .or_else(|| range("quality.max_outside", q.max_outside.into(), 0.0, 1.0))
            .or_else(|| range("quality.max_residual_px", q.max_residual_px.into(), 0.1, 100.0))
            .or_else(|| range("display.width_px", self.display.width_px.into(), 128.0, 4096.0))
            .or_else(|| range("display.height_px", self.display.height_px.into(), 128.0, 4096.0))
            .or_else(|| range("display.verdict_ms", self.display.verdict_ms as f64, 100.0, 60_000.0))
            .or_else(|| range("sound.volume_percent", self.sound.volume_percent.into(), 1.0, 100.0))
            .or_else(|| range("watchdog.silent_ms", self.watchdog.silent_ms as f64, 5000.0, 600_000.0))
            .or_else(|| {
                let e = self.display.panel.parse::<PanelSource>().err()?;
                Some(("display.panel", e.to_string()))
            })
            .or_else(|| Some(("metrics.listen", self.metrics.listen.parse::<Place>().err()?)))
            .or_else(|| {
                let e = self.display.language.parse::<LanguageSource>().err()?;
                Some(("display.language", e.to_string()))
            })
            .or_else(|| {
                let e = self.display.font.parse::<FontSource>().err()?;
                Some(("display.font", e.to_string()))
            })
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
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("limen.toml"))
    }

    #[test]
    fn the_shipped_file_is_the_default() {
        assert_eq!(parse(DEFAULT_TOML).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_shipped_file_names_and_explains_every_field() {
        let all: toml::Table = toml::from_str(&toml::to_string(&Config::default()).unwrap()).unwrap();
        let shipped: toml::Table = toml::from_str(DEFAULT_TOML).unwrap();
        for (section, fields) in &all {
            for field in fields.as_table().unwrap().keys() {
                assert!(shipped[section].get(field).is_some(), "{section}.{field} is missing");
                let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
                let at = line_of(DEFAULT_TOML, &format!("{section}.{field}")) - 1;
                let block = lines[..at].iter().rposition(|l| !l.contains('=')).unwrap();
                assert!(
                    lines[block].starts_with('#') || lines[at].contains('#'),
                    "{section}.{field} has no comment"
                );
            }
        }
    }

    /// (what is written, the field or word named, the line named)
    const BAD: [(&str, &str, usize); 32] = [
        ("[camera]\nsource = \"usb:0\"", "camera.source", 2),
        ("[camera]\nsource = \"v4l2:\"", "camera.source", 2),
        ("[camera]\n\nwidth_px = 10", "camera.width_px", 3),
        ("[camera]\nheight_px = 100000", "camera.height_px", 2),
        ("[camera]\nframes_per_second = 0", "camera.frames_per_second", 2),
        ("[camera]\nhold_frames = 0", "camera.hold_frames", 2),
        ("[models]\nmin_face = 3.0", "models.min_face", 2),
        ("[models]\nfull_search_ms = 60000", "models.full_search_ms", 2),
        ("[models]\nfolder = \"\"", "models.folder", 2),
        ("[gallery]\nfile = \"\"", "gallery.file", 2),
        ("[decision]\nfalse_match_rate = 0.5", "decision.false_match_rate", 2),
        ("[decision]\nthreshold = 1.5", "decision.threshold", 2),
        ("[decision]\nmin_margin = -0.1", "decision.min_margin", 2),
        ("[decision]\nmin_frames = 0", "decision.min_frames", 2),
        ("[decision]\nsame_face = nan", "decision.same_face", 2),
        ("[quality]\nmax_yaw_deg = 0.0", "quality.max_yaw_deg", 2),
        ("[quality]\nmin_eye_distance_px = 0.0", "quality.min_eye_distance_px", 2),
        ("[door]\nrelay = \"door\"", "door.relay", 2),
        ("[door]\npulse_ms = 0", "door.pulse_ms", 2),
        ("[door]\nmax_open_ms = 900000", "door.pulse_ms", 1),
        ("[display]\npanel = \"hdmi\"", "display.panel", 2),
        ("[display]\nwidth_px = 1", "display.width_px", 2),
        ("[display]\nverdict_ms = 5", "display.verdict_ms", 2),
        ("[display]\nlanguage = \"fr\"", "display.language", 2),
        ("[display]\nfont = \"fonts.ttc#one\"", "display.font", 2),
        ("[camera]\nsource = \"replay:clip.y4m\"\n[door]\nrelay = \"gpio:door\"", "camera.source", 2),
        ("[inputs]\ncontact = \"fake\"", "inputs.contact", 2),
        ("[inputs]\nheld_open_ms = 5", "inputs.held_open_ms", 2),
        (
            "[camera]\nsource = \"replay:clip.y4m\"\n[door]\nrelay = \"fake\"\n[inputs]\ntamper = \"gpio:x\"",
            "camera.source",
            2,
        ),
        ("[sound]\nvolume_percent = 0", "sound.volume_percent", 2),
        ("[metrics]\nlisten = \"tcp:0.0.0.0:9464\"", "metrics.listen", 2),
        ("[decision]\ncool_down_ms = 99999999", "decision.cool_down_ms", 2),
    ];

    #[test]
    fn each_bad_value_names_file_line_field_and_cure() {
        for (text, field, line) in BAD {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.starts_with(&format!("limen.toml: line {line}: {field}: ")), "{text:?}: {e}");
        }
    }

    #[test]
    fn what_is_no_configuration_names_the_line() {
        for (text, word) in [
            ("[camera]\nsuorce = \"v4l2:/dev/video0\"", "suorce"),
            ("[camra]\n", "camra"),
            ("[door]\npulse_ms = \"long\"", "pulse_ms"),
            ("[door]\npulse_ms = -3", "pulse_ms"),
            ("[door]\nfail = \"open\"", "open"),
            ("[door\n", "line 1"),
            ("[decision]\ncompanions = \"maybe\"", "maybe"),
            ("[camera]\nformat = \"H264\"", "H264"),
            ("[camera]\nexposure = \"auto\"", "auto"),
            ("[camera]\nsource = \"a\"\nsource = \"b\"", "source"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(
                e.starts_with("limen.toml: ") && e.contains(word) && e.contains("line "),
                "{text:?}: {e}"
            );
        }
        let e = Config::load(Path::new("/nonexistent.toml")).unwrap_err().to_string();
        assert!(e.contains("/nonexistent.toml: cannot be read"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[ -~\n]{0,200}") {
            let _ = parse(&text);
        }
    }
}
