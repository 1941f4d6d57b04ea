//! The two lines of a Wiegand reader or to a controller, by the character device's uAPI v2. Both rest high.

use std::time::{Duration, Instant};

use embedded_hal::digital::{OutputPin, PinState};
use gpiocdev::line::{Bias, EdgeDetection, Offset};
use gpiocdev::request::Request;

use super::v2::{self, CdevV2Pin, PinError};
use crate::input::wiegand::{Bit, Lines, Pulses};
use crate::relay::{GpioLine, RelayError};

/// Pulses that the kernel keeps while nobody reads: those of some cards.
const KEPT: u32 = 256;

/// Takes both lines of a reader, which must be of one chip: so the kernel tells the order of their pulses.
pub fn open(d0: &GpioLine, d1: &GpioLine) -> Result<Box<dyn Pulses>, RelayError> {
    let name = format!("gpio:{d0} and gpio:{d1}");
    let (chip, zero) = v2::place(d0)?;
    let (other, one) = v2::place(d1)?;
    if chip != other || zero == one {
        let why = "the two lines of a reader are two of one chip".to_owned();
        return Err(RelayError::Io { relay: name, doing: "requesting the lines", why });
    }
    let request = Request::builder()
        .with_consumer(super::CONSUMER)
        .with_kernel_event_buffer_size(KEPT)
        .on_chip(chip)
        .with_lines(&[zero, one])
        .as_input()
        .with_bias(Bias::PullUp)
        .with_edge_detection(EdgeDetection::FallingEdge)
        .request()
        .map_err(|e| failed(&name, "requesting the lines", &e))?;
    Ok(Box::new(Reader { request, zero, name }))
}

struct Reader {
    request: Request,
    zero: Offset,
    name: String,
}

impl Pulses for Reader {
    fn next(&mut self, limit: Duration) -> Result<Option<(Bit, u64)>, RelayError> {
        // A wait that fails, as by a signal, ends like one in vain; lines that are gone say so when they are read.
        if !self.request.wait_edge_event(limit).unwrap_or(false) {
            return Ok(None);
        }
        let edge = self.request.read_edge_event().map_err(|e| failed(&self.name, "reading the lines", &e))?;
        let bit = if edge.offset == self.zero { Bit::Zero } else { Bit::One };
        Ok(Some((bit, edge.timestamp_ns / 1000)))
    }
}

/// Takes both lines to a controller, high to begin with.
pub fn open_out(d0: &GpioLine, d1: &GpioLine) -> Result<Box<dyn Lines>, RelayError> {
    let line = |line| v2::open(line, PinState::High);
    Ok(Box::new(Controller { lines: [line(d0)?, line(d1)?], name: format!("gpio:{d0} and gpio:{d1}") }))
}

struct Controller {
    lines: [CdevV2Pin; 2],
    name: String,
}

impl Lines for Controller {
    fn pulse(&mut self, bit: Bit, width: Duration) -> Result<(), RelayError> {
        let Self { lines: [zero, one], name } = self;
        let line = if bit == Bit::Zero { zero } else { one };
        let mut set =
            |state| line.set_state(state).map_err(|e: PinError| failed(name, "sending a pulse", &e));
        set(PinState::Low)?;
        let begun = Instant::now();
        // To sleep for so short a time would double it.
        while begun.elapsed() < width {
            std::hint::spin_loop();
        }
        set(PinState::High)
    }
}

fn failed(name: &str, doing: &'static str, why: &dyn std::fmt::Display) -> RelayError {
    RelayError::Io { relay: name.to_owned(), doing, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_there_are_named() {
        let none = GpioLine::Offset { chip: "/nonexistent/gpiochip9".into(), offset: 3 };
        for error in [open(&none, &none).err().unwrap(), open_out(&none, &none).err().unwrap()] {
            assert!(matches!(error, RelayError::NotFound { .. }), "{error:?}");
        }
    }
}
