//! A GPIO line as an output pin through the character device's uAPI v1 (`linux-embedded-hal`), for older kernels.

use embedded_hal::digital::PinState;
use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{self, Chip, Line, LineRequestFlags};

use super::super::{GpioLine, RelayError};
use super::CONSUMER;

/// Requests `line` as an output that begins at `level`; no active-low flag, so values are plain levels.
pub(super) fn open(line: &GpioLine, level: PinState) -> Result<CdevPin, RelayError> {
    let relay = || format!("gpio:{line}");
    let io = |doing| {
        move |e: gpio_cdev::Error| RelayError::Io { relay: format!("gpio:{line}"), doing, why: e.to_string() }
    };
    let found = match line {
        GpioLine::Name(name) => by_name(name).ok_or_else(|| RelayError::NotFound { relay: relay() })?,
        GpioLine::Offset { chip, .. } if !chip.exists() => {
            return Err(RelayError::NotFound { relay: relay() });
        }
        GpioLine::Offset { chip, offset } => {
            Chip::new(chip).and_then(|mut c| c.get_line(*offset)).map_err(io("opening the chip"))?
        }
    };
    let info = found.info().map_err(io("asking about the line"))?;
    if info.is_used() {
        return Err(RelayError::Busy { relay: relay(), by: info.consumer().unwrap_or("the kernel").into() });
    }
    let value = u8::from(level == PinState::High);
    found
        .request(LineRequestFlags::OUTPUT, value, CONSUMER)
        .and_then(CdevPin::new)
        .map_err(io("requesting the line"))
}

/// The first line of that name on any chip that can be read.
fn by_name(name: &str) -> Option<Line> {
    let chips = gpio_cdev::chips().ok()?;
    chips
        .flatten()
        .flat_map(|chip| chip.lines())
        .find(|line| line.info().is_ok_and(|info| info.name() == Some(name)))
}
