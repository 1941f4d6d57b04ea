//! What people do at the device: taps on a touch screen, or three buttons. Both become one kind of input.

use std::path::PathBuf;
use std::str::FromStr;

use crate::config;
use crate::inputs::Wire;

mod button;
pub mod focus;
pub mod taps;
mod touch;

pub use button::press;
pub use touch::{describe, watch};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The screen was touched, px of the panel from its upper left corner.
    Tap {
        /// To the right.
        x: u32,
        /// Downwards.
        y: u32,
    },
    /// The button that goes up.
    Up,
    /// The button that goes down.
    Down,
    /// The button that takes.
    Ok,
}

/// Which touch screen, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TouchSource {
    /// Empty: none.
    None,
    /// `evdev:DEVICE`, or `/dev/input/...`: an event device of the kernel's.
    Evdev(PathBuf),
}

impl FromStr for TouchSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = match text {
            "" => return Ok(Self::None),
            _ if text.starts_with("/dev/input/") => text,
            _ => text.strip_prefix("evdev:").unwrap_or_default(),
        };
        if path.is_empty() {
            return Err(format!(
                "touch screen \"{text}\": write evdev:/dev/input/by-path/..., /dev/input/event0, or \"\" for none"
            ));
        }
        Ok(Self::Evdev(path.into()))
    }
}

/// A button that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// What pressing it means.
    pub input: Input,
    /// On what.
    pub wire: Wire,
}

impl Button {
    /// The thread's name.
    pub fn name(&self) -> &'static str {
        match self.input {
            Input::Up => "up",
            Input::Down => "down",
            Input::Ok | Input::Tap { .. } => "ok",
        }
    }
}

/// The buttons that the configuration names, all three or none; else a field and what is wrong.
pub fn buttons(controls: &config::Controls) -> Result<Vec<Button>, (&'static str, String)> {
    let all = [
        ("controls.up_button", &controls.up_button, Input::Up),
        ("controls.down_button", &controls.down_button, Input::Down),
        ("controls.ok_button", &controls.ok_button, Input::Ok),
    ];
    if all.iter().all(|(_, text, _)| text.is_empty()) {
        return Ok(Vec::new());
    }
    // A cut wire is a button that nobody presses.
    let levels = (controls.pressed, controls.pressed.other());
    all.into_iter()
        .map(|(field, text, input)| {
            if text.is_empty() {
                return Err((
                    field,
                    "is missing: up, down and ok go together; name its line, or none".into(),
                ));
            }
            Ok(Button { input, wire: Wire::named(field, text, levels)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::ActiveLevel;

    #[test]
    fn a_touch_screen_is_named_in_either_way() {
        let event = || TouchSource::Evdev("/dev/input/event0".into());
        assert_eq!("evdev:/dev/input/event0".parse(), Ok(event()));
        assert_eq!("/dev/input/event0".parse(), Ok(event()));
        assert_eq!("".parse(), Ok(TouchSource::None));
        for bad in ["mouse", "evdev:", "gpio:x", "/dev/tty0"] {
            let why = bad.parse::<TouchSource>().unwrap_err();
            assert!(why.contains(bad) && why.contains("/dev/input/event0"), "{why}");
        }
    }

    #[test]
    fn buttons_go_together_and_a_cut_wire_is_none_that_is_pressed() {
        let mut controls = config::Controls::default();
        assert_eq!(buttons(&controls), Ok(Vec::new()));
        controls.up_button = "gpio:up".into();
        controls.ok_button = "gpio:ok".into();
        assert_eq!(buttons(&controls).unwrap_err().0, "controls.down_button");
        controls.down_button = "gpio:down".into();
        let all = buttons(&controls).unwrap();
        assert_eq!(all.iter().map(Button::name).collect::<Vec<_>>(), ["up", "down", "ok"]);
        assert!(all.iter().all(|b| (b.wire.active, b.wire.cut) == (ActiveLevel::Low, ActiveLevel::High)));
        controls.ok_button = "ok".into();
        let (field, why) = buttons(&controls).unwrap_err();
        assert!(field == "controls.ok_button" && why.contains("gpio:LINE-NAME"), "{field} {why}");
    }
}
