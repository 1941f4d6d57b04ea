//! The first value of a configuration that cannot be used, and why.

use crate::camera::CameraSource;
use crate::config::Config;
use crate::controls::{self, TouchSource};
use crate::display::{FontSource, LanguageSource, PanelSource};
use crate::input;
use crate::inputs;
use crate::metrics::Place;
use crate::relay::{Pulse, RelaySource};

impl Config {
    /// The first value that cannot be used, with the reason.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
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
        if let Some(bad) = self.fault_of_controls().or_else(|| self.fault_of_readers()) {
            return Some(bad);
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
            .or_else(|| range("decision.verify_false_match_rate", d.verify_false_match_rate, 1e-9, 0.1))
            .or_else(|| {
                self.door
                    .name
                    .trim()
                    .is_empty()
                    .then(|| ("door.name", "is empty; give the door a name".into()))
            })
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
            .or_else(|| range("readers.qr_every_ms", self.readers.qr_every_ms as f64, 0.0, 60_000.0))
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

    fn fault_of_controls(&self) -> Option<(&'static str, String)> {
        let c = &self.controls;
        let touch = match c.touch.parse::<TouchSource>() {
            Ok(touch) => touch,
            Err(why) => return Some(("controls.touch", why)),
        };
        let buttons = match controls::buttons(c) {
            Ok(buttons) => buttons,
            Err(bad) => return Some(bad),
        };
        let field = match (&touch, buttons.is_empty()) {
            (TouchSource::Evdev(_), _) => Some("controls.touch"),
            (TouchSource::None, false) => Some("controls.ok_button"),
            (TouchSource::None, true) => None,
        };
        if let Some(field) = field.filter(|_| self.display.panel == "none") {
            return Some((field, "goes with a display; set display.panel, or leave [controls] out".into()));
        }
        c.pin.fault().map(|why| ("controls.pin", why.into()))
    }

    fn fault_of_readers(&self) -> Option<(&'static str, String)> {
        match input::named(&self.readers) {
            Err(bad) => Some(bad),
            Ok(named) if named.has_hardware() && self.camera_source().is_some_and(|s| s.is_fake()) => Some((
                "camera.source",
                "the readers of a real door go with a real camera; use a v4l2: camera, or leave [readers] out".into(),
            )),
            Ok(_) => None,
        }
    }
}
