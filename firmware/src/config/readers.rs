//! Section `[readers]`: what people show besides a face, and what is sent to a controller.

use serde::{Deserialize, Serialize};

/// Section `[readers]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readers {
    /// A reader of cards that types like a keyboard: `/dev/input/by-id/...`, `/dev/input/by-path/...`, or empty for none.
    pub keyboard: String,
    /// Keys for people's PINs, likewise.
    pub keypad: String,
    /// The lines of a Wiegand reader: `gpio:NAME`, `gpio:/dev/gpiochip0:17`, or empty for none.
    pub wiegand_d0: String,
    /// The other one.
    pub wiegand_d1: String,
    /// The lines to a controller, to which whoever is let in is sent, likewise.
    pub wiegand_out_d0: String,
    /// The other one.
    pub wiegand_out_d1: String,
    /// Bits of what is sent, 26 or 34.
    pub wiegand_out_bits: u32,
    /// Its facility; the number is the person's id.
    pub wiegand_out_facility: u16,
    /// So often a picture without a face is looked through for a pass, ms; 0: never.
    pub qr_every_ms: u64,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            keyboard: String::new(),
            keypad: String::new(),
            wiegand_d0: String::new(),
            wiegand_d1: String::new(),
            wiegand_out_d0: String::new(),
            wiegand_out_d1: String::new(),
            wiegand_out_bits: 26,
            wiegand_out_facility: 0,
            qr_every_ms: 0,
        }
    }
}
