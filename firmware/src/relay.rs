//! The door's relay: one trait of two verbs, its errors, and the names of the back ends. Nothing else touches the door.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Millis;

pub mod fake;
#[cfg(feature = "gpio")]
pub mod gpio;
pub mod pulse;

pub use pulse::{Edge, FailState, Input, Pulse};

/// A relay coil. Opening one leaves the coil without current, and so does dropping it: whatever dies lets go of the
/// door.
pub trait Relay: Send {
    /// Current into the coil. `at` is when, for the record.
    fn energise(&mut self, at: Millis) -> Result<(), RelayError>;

    /// No current.
    fn release(&mut self, at: Millis) -> Result<(), RelayError>;

    /// One line for a person: what it is and where.
    fn describe(&self) -> String;
}

/// Why the relay did not do it. The door is then in an unknown state: say so loudly.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The text of the setting names no relay.
    #[error("relay \"{text}\": {why}; write gpio:LINE-NAME, gpio:/dev/gpiochip0:17, fake or fake:FILE")]
    Name {
        /// As written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No GPIO line of that name or number.
    #[error("{relay}: no such GPIO line; `gpioinfo` lists the lines of this board")]
    NotFound {
        /// The relay, as in the setting.
        relay: String,
    },
    /// Another program or driver holds the line.
    #[error("{relay}: the line is in use ({by}); stop the other user of it")]
    Busy {
        /// The relay, as in the setting.
        relay: String,
        /// Who, as far as the kernel tells.
        by: String,
    },
    /// Read back, the line is not where it was driven to.
    #[error(
        "{relay}: {doing} did nothing: read back, the line is {level}; is it shorted, or does something else drive it?"
    )]
    Stuck {
        /// The relay, as in the setting.
        relay: String,
        /// What was tried.
        doing: &'static str,
        /// Where the line is.
        level: &'static str,
    },
    /// This program was built without that back end.
    #[error("{relay}: this build of limen has no {feature} support; build it with `--features {feature}`")]
    NotBuilt {
        /// The relay, as in the setting.
        relay: String,
        /// The missing cargo feature.
        feature: &'static str,
    },
    /// The kernel or the file said no.
    #[error("{relay}: {doing} failed: {why}")]
    Io {
        /// The relay, as in the setting.
        relay: String,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        why: String,
    },
}

/// Whether the coil has current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coil {
    /// Current flows.
    Energised,
    /// No current.
    Released,
}

/// The level on the line that puts current into the coil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActiveLevel {
    /// A high level energises.
    #[default]
    High,
    /// A low level energises, as on most opto-isolated relay boards.
    Low,
}

impl ActiveLevel {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::High => Self::Low,
            Self::Low => Self::High,
        }
    }
}

/// Which kernel interface drives a GPIO line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpioDriver {
    /// Character device, uAPI v2 (Linux 5.10 and later), through `gpiocdev`.
    #[default]
    V2,
    /// Character device, uAPI v1 (Linux 4.8; gone from the newest kernels), through `linux-embedded-hal`.
    V1,
}

/// A GPIO line, by its name in the device tree or by chip and offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpioLine {
    /// The line's own name, the same after every reboot.
    Name(String),
    /// `/dev/gpiochipN` and the offset on it.
    Offset {
        /// The chip's device file.
        chip: PathBuf,
        /// Line number on the chip.
        offset: u32,
    },
}

impl fmt::Display for GpioLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Offset { chip, offset } => write!(f, "{}:{offset}", chip.display()),
        }
    }
}

impl FromStr for GpioLine {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("nothing after the colon");
        }
        if !text.starts_with("/dev/") {
            return Ok(Self::Name(text.to_owned()));
        }
        let (chip, offset) = text.rsplit_once(':').ok_or("the line's number is missing after the chip")?;
        let offset = offset.parse().map_err(|_| "the line's number must be 0, 1, 2, ...")?;
        Ok(Self::Offset { chip: chip.into(), offset })
    }
}

/// Which relay, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelaySource {
    /// `gpio:NAME` or `gpio:/dev/gpiochip0:17`: a real door.
    Gpio(GpioLine),
    /// `fake` records edges in memory, `fake:FILE` also as JSON lines.
    Fake(Option<PathBuf>),
}

impl RelaySource {
    /// Whether no door hangs on it.
    pub fn is_fake(&self) -> bool {
        matches!(self, Self::Fake(_))
    }
}

impl FromStr for RelaySource {
    type Err = RelayError;

    fn from_str(text: &str) -> Result<Self, RelayError> {
        let bad = |why| RelayError::Name { text: text.to_owned(), why };
        let (kind, rest) = text.split_once(':').map_or((text, None), |(k, r)| (k, Some(r)));
        match (kind, rest) {
            ("fake", None) => Ok(Self::Fake(None)),
            (_, Some("")) => Err(bad("nothing after the colon")),
            ("fake", Some(file)) => Ok(Self::Fake(Some(file.into()))),
            ("gpio", Some(line)) => line.parse().map(Self::Gpio).map_err(bad),
            ("gpio", None) => Err(bad("no line after gpio")),
            _ => Err(bad("unknown kind")),
        }
    }
}

impl fmt::Display for RelaySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpio(line) => write!(f, "gpio:{line}"),
            Self::Fake(None) => f.write_str("fake"),
            Self::Fake(Some(file)) => write!(f, "fake:{}", file.display()),
        }
    }
}

/// Opens the relay that `source` names, its coil without current. `active` and `driver` matter to GPIO lines only.
pub fn open(
    source: &RelaySource,
    active: ActiveLevel,
    driver: GpioDriver,
) -> Result<Box<dyn Relay>, RelayError> {
    match source {
        RelaySource::Fake(None) => Ok(Box::new(fake::FakeRelay::new())),
        RelaySource::Fake(Some(file)) => Ok(Box::new(fake::FakeRelay::with_file(file)?)),
        #[cfg(feature = "gpio")]
        RelaySource::Gpio(line) => gpio::open(line, active, driver),
        #[cfg(not(feature = "gpio"))]
        RelaySource::Gpio(_) => {
            let _ = (active, driver);
            Err(RelayError::NotBuilt { relay: source.to_string(), feature: "gpio" })
        }
    }
}

/// What a relay's line says without being driven: nothing moves. `None` where there is nothing to read, on a simulated relay
/// and through uAPI v1. Errors with [`RelayError::Busy`] while `limen run` holds the line.
pub fn look(
    source: &RelaySource,
    active: ActiveLevel,
    driver: GpioDriver,
) -> Result<Option<Coil>, RelayError> {
    match source {
        RelaySource::Fake(_) => Ok(None),
        #[cfg(feature = "gpio")]
        RelaySource::Gpio(line) => gpio::look(line, active, driver),
        #[cfg(not(feature = "gpio"))]
        RelaySource::Gpio(_) => {
            let _ = (active, driver);
            Err(RelayError::NotBuilt { relay: source.to_string(), feature: "gpio" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_name_is_read_and_written_alike() {
        for text in ["fake", "fake:/tmp/edges.jsonl", "gpio:door-relay", "gpio:/dev/gpiochip0:17", "gpio:A:B"]
        {
            assert_eq!(text.parse::<RelaySource>().unwrap().to_string(), text);
        }
        assert_eq!(
            "gpio:/dev/gpiochip1:4".parse::<RelaySource>().unwrap(),
            RelaySource::Gpio(GpioLine::Offset { chip: "/dev/gpiochip1".into(), offset: 4 })
        );
        assert!("fake".parse::<RelaySource>().unwrap().is_fake());
        assert!(!"gpio:x".parse::<RelaySource>().unwrap().is_fake());
    }

    #[test]
    fn a_bad_relay_name_says_how_to_write_one() {
        for text in ["", "gpio", "gpio:", "fake:", "door:1", "gpio:/dev/gpiochip0", "gpio:/dev/gpiochip0:x"] {
            let e = text.parse::<RelaySource>().unwrap_err();
            assert!(e.to_string().contains("gpio:LINE-NAME"), "{text}: {e}");
        }
    }
}
