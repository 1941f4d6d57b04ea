//! A GPIO line as an output pin through the character device's uAPI v2 (`gpiocdev`).

use std::fmt;
use std::path::PathBuf;

use embedded_hal::digital::{Error, ErrorKind, ErrorType, InputPin, OutputPin, PinState};
use gpiocdev::line::{Offset, Value};
use gpiocdev::request::{Builder, Request};

use super::super::{GpioLine, RelayError};
use super::CONSUMER;

/// An output line held by this process; closing it gives the line back to the kernel.
pub(super) struct CdevV2Pin(Request);

/// What `gpiocdev` said.
#[derive(Debug)]
pub(super) struct PinError(gpiocdev::Error);

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for CdevV2Pin {
    type Error = PinError;
}

impl OutputPin for CdevV2Pin {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.0.set_lone_value(Value::Inactive).map_err(PinError)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.0.set_lone_value(Value::Active).map_err(PinError)
    }
}

impl InputPin for CdevV2Pin {
    fn is_high(&mut self) -> Result<bool, PinError> {
        self.0.lone_value().map(|value| value == Value::Active).map_err(PinError)
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.is_high().map(|high| !high)
    }
}

/// The level of `line` as it stands, whichever direction it has.
pub(super) fn level(line: &GpioLine) -> Result<PinState, RelayError> {
    let mut pin = CdevV2Pin(request(line, |asked| asked)?);
    let high = pin.is_high().map_err(|e| RelayError::Io {
        relay: format!("gpio:{line}"),
        doing: "reading the line",
        why: e.to_string(),
    })?;
    Ok(if high { PinState::High } else { PinState::Low })
}

/// Requests `line` as an output that begins at `level`; no active-low flag, so values are plain levels.
pub(super) fn open(line: &GpioLine, level: PinState) -> Result<CdevV2Pin, RelayError> {
    let value = match level {
        PinState::High => Value::Active,
        PinState::Low => Value::Inactive,
    };
    request(line, |asked| asked.as_output(value)).map(CdevV2Pin)
}

/// Chip and number of `line`, which must be there and, if it is named, free.
pub(super) fn place(line: &GpioLine) -> Result<(PathBuf, Offset), RelayError> {
    let relay = || format!("gpio:{line}");
    match line {
        GpioLine::Name(name) => {
            let found =
                gpiocdev::find_named_line(name).ok_or_else(|| RelayError::NotFound { relay: relay() })?;
            if found.info.used {
                return Err(RelayError::Busy { relay: relay(), by: found.info.consumer });
            }
            Ok((found.chip, found.info.offset))
        }
        GpioLine::Offset { chip, .. } if !chip.exists() => Err(RelayError::NotFound { relay: relay() }),
        GpioLine::Offset { chip, offset } => Ok((chip.clone(), *offset)),
    }
}

/// Takes `line`, which must be there and free, as `asked` says.
pub(super) fn request(
    line: &GpioLine,
    asked: impl FnOnce(&mut Builder) -> &mut Builder,
) -> Result<Request, RelayError> {
    let (chip, offset) = place(line)?;
    let mut request = Request::builder();
    request.with_consumer(CONSUMER).on_chip(chip).with_line(offset);
    asked(&mut request).request().map_err(|e| RelayError::Io {
        relay: format!("gpio:{line}"),
        doing: "requesting the line",
        why: e.to_string(),
    })
}
