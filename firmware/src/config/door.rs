//! Sections `[door]` and `[inputs]`: the relay, and the switches of the door.

use serde::{Deserialize, Serialize};

use crate::relay::{ActiveLevel, FailState, GpioDriver};

/// Section `[door]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Door {
    /// What the rules call this door.
    pub name: String,
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
            name: "front".into(),
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
    /// The contact of the fire alarm, likewise.
    pub fire: String,
    /// Level of a fire.
    pub fire_alarm: ActiveLevel,
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
            fire: String::new(),
            fire_alarm: ActiveLevel::High,
            held_open_ms: 30_000,
        }
    }
}
