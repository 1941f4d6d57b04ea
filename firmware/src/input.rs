//! What a person shows besides a face: a card, a PIN, a pass. Whatever reads it, it becomes one kind of thing.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use limen_gallery_db::{CredentialKey, PassText, Secret};
use thiserror::Error;

use crate::config;
use crate::inputs::Wire;
use crate::pin::Digits;
use crate::relay::{ActiveLevel, GpioLine, RelayError};

pub mod keyboard;
pub mod keys;
pub mod qr;
pub mod strangers;
pub mod wiegand;

/// What reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// A reader of cards that types like a keyboard.
    Keyboard,
    /// Keys for digits.
    Keypad,
    /// A reader of cards on two lines.
    Wiegand,
    /// The door's camera, which reads QR codes.
    Camera,
}

impl Reader {
    /// The thread's name, and the journal's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyboard => "keyboard",
            Self::Keypad => "keypad",
            Self::Wiegand => "wiegand",
            Self::Camera => "camera",
        }
    }
}

/// What was shown. Its parts have a `Debug` without a number as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A card.
    Card(CardNumber),
    /// A person's PIN.
    Pin(Digits),
    /// A pass, be it a good one or not.
    Pass(PassText),
}

/// Something that a person showed, and to what.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// What.
    pub what: What,
    /// To which reader.
    pub from: Reader,
}

impl fmt::Debug for Shown {
    /// Not even which kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// Fewest and most digits of a card's number as a keyboard types it.
pub const CARD_DIGITS: (usize, usize) = (4, 32);

/// A card's number, always written alike: hex digits as they are typed, in capitals, or `26:FACILITY:NUMBER`. `Debug` does
/// not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CardNumber(String);

/// Why a text is no card's number. It does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a card's number has 4 to 32 of the digits 0 to 9 and A to F, as its reader types it, or is 26:FACILITY:NUMBER or \
     34:FACILITY:NUMBER, as a Wiegand reader sends it"
)]
pub struct BadCard;

impl FromStr for CardNumber {
    type Err = BadCard;

    fn from_str(text: &str) -> Result<Self, BadCard> {
        let text = text.trim().to_ascii_uppercase();
        if text.contains(':') {
            return text.parse::<wiegand::Frame>().map(Self::from);
        }
        let fits = (CARD_DIGITS.0..=CARD_DIGITS.1).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit());
        if fits { Ok(Self(text)) } else { Err(BadCard) }
    }
}

impl From<wiegand::Frame> for CardNumber {
    fn from(frame: wiegand::Frame) -> Self {
        Self(frame.to_string())
    }
}

impl CardNumber {
    /// What the gallery finds it by: without the file's secret nobody can tell from it which card it is.
    pub fn key(&self, secret: &Secret) -> CredentialKey {
        CredentialKey::new(secret.mac("limen card 1", self.0.as_bytes()))
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(..)")
    }
}

/// Which event device of the kernel's, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Empty: none.
    None,
    /// By a name that stays the same: `/dev/input/by-id/...`, `/dev/input/by-path/...`, or `evdev:DEVICE`.
    Evdev(PathBuf),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let stays = ["/dev/input/by-id/", "/dev/input/by-path/"];
        let path = match text {
            "" => return Ok(Self::None),
            _ if stays.iter().any(|folder| text.starts_with(folder)) => text,
            _ => text.strip_prefix("evdev:").unwrap_or_default(),
        };
        if path.is_empty() {
            return Err(format!(
                "reader \"{text}\": write /dev/input/by-id/..., or /dev/input/by-path/... for whatever is plugged in there \
                 (`ls -l /dev/input/by-*`); event numbers change from start to start; \"\" is none"
            ));
        }
        Ok(Self::Evdev(path.into()))
    }
}

/// The readers that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Readers that type: which, and on what.
    pub typing: Vec<(Reader, PathBuf)>,
    /// The lines of a Wiegand reader, D0 and D1.
    pub wiegand: Option<(GpioLine, GpioLine)>,
    /// The lines to a controller, likewise, and what is sent.
    pub controller: Option<(GpioLine, GpioLine, Sending)>,
}

impl Named {
    /// Whether any of them is a thing of its own, beside the camera.
    pub fn has_hardware(&self) -> bool {
        !self.typing.is_empty() || self.wiegand.is_some() || self.controller.is_some()
    }
}

/// How a person is told to a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    format: wiegand::Format,
    facility: u16,
}

impl Sending {
    /// The card of a person with this id; `None` where it is no number of 0 to 65535.
    pub fn card(self, id: &str) -> Option<wiegand::Frame> {
        let number = Some(id).filter(|id| id.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        wiegand::Frame::new(self.format, self.facility, number)
    }
}

/// What `[readers]` names; else a field and what is wrong.
pub fn named(readers: &config::Readers) -> Result<Named, (&'static str, String)> {
    let mut typing: Vec<(Reader, PathBuf)> = Vec::new();
    for (field, text, reader) in [
        ("readers.keyboard", &readers.keyboard, Reader::Keyboard),
        ("readers.keypad", &readers.keypad, Reader::Keypad),
    ] {
        match text.parse().map_err(|why| (field, why))? {
            KeySource::None => {}
            KeySource::Evdev(path) if typing.iter().any(|(_, other)| *other == path) => {
                return Err((
                    field,
                    "is the device of readers.keyboard too; a device is one or the other".into(),
                ));
            }
            KeySource::Evdev(path) => typing.push((reader, path)),
        }
    }
    let r = readers;
    let wiegand = pair(("readers.wiegand_d0", &r.wiegand_d0), ("readers.wiegand_d1", &r.wiegand_d1))?;
    let out = ("readers.wiegand_out_d0", r.wiegand_out_d0.as_str());
    let out = pair(out, ("readers.wiegand_out_d1", &r.wiegand_out_d1))?;
    let format = wiegand::Format::with_bits(r.wiegand_out_bits).ok_or_else(|| {
        ("readers.wiegand_out_bits", format!("is {}, it must be 26 or 34", r.wiegand_out_bits))
    })?;
    if r.wiegand_out_facility > format.most() {
        let why = format!("is {}, of 26 bits it must be 0 to 255", r.wiegand_out_facility);
        return Err(("readers.wiegand_out_facility", why));
    }
    let sending = Sending { format, facility: r.wiegand_out_facility };
    Ok(Named { typing, wiegand, controller: out.map(|(d0, d1)| (d0, d1, sending)) })
}

/// Takes the lines of a Wiegand reader.
pub fn open_wiegand((d0, d1): &(GpioLine, GpioLine)) -> Result<Box<dyn wiegand::Pulses>, RelayError> {
    #[cfg(feature = "gpio")]
    return crate::relay::gpio::wiegand::open(d0, d1);
    #[cfg(not(feature = "gpio"))]
    Err(not_built(d0, d1))
}

/// Takes the lines to a controller.
pub fn open_controller(d0: &GpioLine, d1: &GpioLine) -> Result<Box<dyn wiegand::Lines>, RelayError> {
    #[cfg(feature = "gpio")]
    return crate::relay::gpio::wiegand::open_out(d0, d1);
    #[cfg(not(feature = "gpio"))]
    Err(not_built(d0, d1))
}

#[cfg(not(feature = "gpio"))]
fn not_built(d0: &GpioLine, d1: &GpioLine) -> RelayError {
    RelayError::NotBuilt { relay: format!("gpio:{d0} and gpio:{d1}"), feature: "gpio" }
}

/// Two lines, or none.
fn pair(
    d0: (&'static str, &str),
    d1: (&'static str, &str),
) -> Result<Option<(GpioLine, GpioLine)>, (&'static str, String)> {
    let line = |(field, text): (&'static str, &str)| {
        if text.is_empty() {
            return Err((field, "is missing: D0 and D1 go together; name its line, or none".into()));
        }
        // Levels do not matter here: both rest high.
        Ok(Wire::named(field, text, (ActiveLevel::Low, ActiveLevel::High))?.line)
    };
    match (d0.1, d1.1) {
        ("", "") => Ok(None),
        (one, other) if one == other => Err((d1.0, "is the line of D0 too; name the other one".into())),
        _ => Ok(Some((line(d0)?, line(d1)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(text: &str) -> Result<CardNumber, BadCard> {
        text.parse()
    }

    #[test]
    fn a_card_has_one_number_however_it_is_written() {
        assert_eq!(card("04a2b3c4"), card(" 04A2B3C4\n"));
        assert_ne!(card("0012345678"), card("12345678"), "zeros are part of what a reader types");
        assert_eq!(card("26:012:00345"), card("26:12:345"));
        assert_ne!(card("26:12:345"), card("34:12:345"));
        for bad in [
            "",
            "123",
            "12 34",
            "12345G",
            "26:256:1",
            "26:1:65536",
            "34:1",
            "27:1:1",
            ":::",
            "26:-1:5",
            "26:+1:5",
            "26:1:1:x",
        ] {
            assert_eq!(card(bad), Err(BadCard), "{bad}");
        }
        assert!(card(&"1".repeat(32)).is_ok() && card(&"1".repeat(33)).is_err());
    }

    #[test]
    fn nothing_of_what_is_shown_is_seen() {
        let shown = Shown { what: What::Card(card("123456").unwrap()), from: Reader::Keyboard };
        let said = format!("{shown:?} {:?} {}", shown.what, BadCard);
        assert!(!said.contains("123456"), "{said}");
    }

    #[test]
    fn a_reader_has_a_name_that_stays() {
        for good in ["/dev/input/by-id/usb-x-event-kbd", "/dev/input/by-path/y", "evdev:/tmp/reader"] {
            assert!(matches!(good.parse(), Ok(KeySource::Evdev(_))), "{good}");
        }
        assert_eq!("".parse(), Ok(KeySource::None));
        for bad in ["/dev/input/event0", "evdev:", "usb", "/dev/hidraw0"] {
            let why = bad.parse::<KeySource>().unwrap_err();
            assert!(why.contains(bad) && why.contains("by-id"), "{why}");
        }
    }

    #[test]
    fn readers_are_named_whole_or_not_at_all() {
        let default = config::Readers::default;
        let none = named(&default()).unwrap();
        assert!(!none.has_hardware() && none.controller.is_none(), "{none:?}");
        let keyboard = "/dev/input/by-id/a".to_owned();
        let twice = config::Readers { keyboard: keyboard.clone(), keypad: keyboard.clone(), ..default() };
        assert_eq!(named(&twice).unwrap_err().0, "readers.keypad");
        let half = config::Readers { wiegand_d1: "gpio:d1".into(), ..default() };
        assert_eq!(named(&half).unwrap_err().0, "readers.wiegand_d0");
        let same = config::Readers { wiegand_d0: "gpio:d1".into(), ..half };
        assert_eq!(named(&same).unwrap_err().0, "readers.wiegand_d1");
        let out = config::Readers {
            keyboard,
            wiegand_out_d0: "gpio:o0".into(),
            wiegand_out_d1: "gpio:o1".into(),
            wiegand_out_facility: 12,
            ..default()
        };
        let named_out = named(&out).unwrap();
        assert_eq!(named_out.typing, [(Reader::Keyboard, "/dev/input/by-id/a".into())]);
        let (.., sending) = named_out.controller.unwrap();
        assert_eq!(sending.card("00345"), "26:12:345".parse().ok());
        for id in ["ada", "65536", "-1", "", "+7"] {
            assert_eq!(sending.card(id), None, "{id}");
        }
        let wide = config::Readers { wiegand_out_facility: 256, ..out };
        assert_eq!(named(&wide).unwrap_err().0, "readers.wiegand_out_facility");
        assert!(named(&config::Readers { wiegand_out_bits: 34, ..wide }).is_ok());
    }
}
