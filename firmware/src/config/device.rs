//! Sections `[display]`, `[sound]`, `[watchdog]` and `[metrics]`: what belongs to the device and not to the door.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// Whether whoever is enrolled sits, as in a wheelchair.
    pub low: bool,
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
            low: false,
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
