//! Section `[controls]`: what is touched and pressed at the door, and the PIN that opens the service menu.

use serde::{Deserialize, Serialize};

use crate::pin::PinHash;
use crate::relay::ActiveLevel;

/// Section `[controls]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Controls {
    /// The touch screen: `evdev:DEVICE`, `/dev/input/...`, or empty for none.
    pub touch: String,
    /// The button that goes up: `gpio:NAME`, `gpio:/dev/gpiochip0:17`, or empty for none.
    pub up_button: String,
    /// The button that goes down, likewise.
    pub down_button: String,
    /// The button that takes, likewise.
    pub ok_button: String,
    /// Level of a pressed button.
    pub pressed: ActiveLevel,
    /// What opens the service menu, as an Argon2id hash; empty: nothing does.
    pub pin: PinHash,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            touch: String::new(),
            up_button: String::new(),
            down_button: String::new(),
            ok_button: String::new(),
            pressed: ActiveLevel::Low,
            pin: PinHash::default(),
        }
    }
}
