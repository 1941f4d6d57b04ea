//! Wiegand: a card as pulses on two lines, D0 for a zero and D1 for a one, read and sent. Pure; times come with the pulses.
//!
//! ```text
//! 26 bits: P ffffffff  nnnnnnnnnnnnnnnn P      P: even over the first half, odd over the second
//! 34 bits: P ffffffffffffffff nnnnnnnnnnnnnnnn P
//! ```
//!
//! A pulse takes 20 to 100 µs, the next one begins 0.2 to 20 ms after it (SIA AC-01); between two cards is a longer rest.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::input::BadCard;
use crate::relay::RelayError;

/// After so long a rest, µs, what comes is of another card: more than twice the longest time between two pulses.
pub const GAP_US: u64 = 50_000;
/// What comes sooner after a pulse than this, µs, is no pulse: half of the shortest time between two.
pub const GLITCH_US: u64 = 100;
/// Longest wait for a card, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(100);
/// How long a pulse is when we send.
pub const PULSE: Duration = Duration::from_micros(50);
/// From its end to the next one.
pub const PAUSE: Duration = Duration::from_millis(2);

/// On which line a pulse came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bit {
    /// D0.
    Zero,
    /// D1.
    One,
}

/// How many bits a card has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// 8 bits of facility, 16 of number.
    Bits26,
    /// 16 bits each.
    Bits34,
}

impl Format {
    /// The format with so many bits in all.
    pub fn with_bits(bits: u32) -> Option<Self> {
        match bits {
            26 => Some(Self::Bits26),
            34 => Some(Self::Bits34),
            _ => None,
        }
    }

    /// Bits in all.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits26 => 26,
            Self::Bits34 => 34,
        }
    }

    /// The greatest facility.
    pub const fn most(self) -> u16 {
        match self {
            Self::Bits26 => 0xff,
            Self::Bits34 => 0xffff,
        }
    }
}

/// A card as it is sent. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    format: Format,
    facility: u16,
    number: u16,
}

/// Why pulses are no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// Another number of them.
    #[error("{0} pulses are no card of 26 or 34 bits; set the reader to one of these formats")]
    Length(u32),
    /// A bit was lost or turned.
    #[error("a card's parity is wrong; look at the two wires and the reader's ground")]
    Parity,
    /// Pulses on both lines at once.
    #[error("pulses come on both lines at once; look at the two wires and the reader's ground")]
    Noise,
}

impl Frame {
    /// A card of that format; `None` where its facility does not fit.
    pub fn new(format: Format, facility: u16, number: u16) -> Option<Self> {
        (facility <= format.most()).then_some(Self { format, facility, number })
    }

    /// As bits, the first one sent the highest of [`Format::bits`].
    pub fn bits(self) -> u64 {
        let half = self.format.bits() / 2;
        let data = u64::from(self.facility) << 16 | u64::from(self.number);
        let even = (data >> (half - 1)).count_ones() & 1;
        let odd = (data & low(half - 1)).count_ones() & 1 ^ 1;
        u64::from(even) << (self.format.bits() - 1) | data << 1 | u64::from(odd)
    }

    /// From `count` bits, the last one that came the lowest.
    pub fn read(bits: u64, count: u32) -> Result<Self, FrameFault> {
        let format = Format::with_bits(count).ok_or(FrameFault::Length(count))?;
        let data = bits >> 1;
        let frame = Self { format, facility: (data >> 16) as u16 & format.most(), number: data as u16 };
        if frame.bits() == bits & low(count) { Ok(frame) } else { Err(FrameFault::Parity) }
    }
}

/// The lowest `n` bits.
const fn low(n: u32) -> u64 {
    (1 << n) - 1
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.format.bits(), self.facility, self.number)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frame(..)")
    }
}

impl FromStr for Frame {
    type Err = BadCard;

    fn from_str(text: &str) -> Result<Self, BadCard> {
        // A number may be written with zeros before it, and with nothing else.
        let number =
            |part: &str| part.parse::<u16>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
        let parts: Option<Vec<u16>> = text.split(':').map(number).collect();
        let Some([bits, facility, number]) = parts.as_deref() else { return Err(BadCard) };
        let format = Format::with_bits((*bits).into()).ok_or(BadCard)?;
        Self::new(format, *facility, *number).ok_or(BadCard)
    }
}

/// Pulses to cards.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    count: u32,
    bits: Bits,
    last: Option<(Bit, u64)>,
    noisy: bool,
}

#[derive(Clone, Copy, Default)]
struct Bits(u64);

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bits(..)")
    }
}

impl Decoder {
    /// A pulse that began at `at_us`. If a rest lay before it, the card before that rest.
    pub fn pulse(&mut self, bit: Bit, at_us: u64) -> Option<Result<Frame, FrameFault>> {
        let since = self.last.map_or(u64::MAX, |(_, last)| at_us.saturating_sub(last));
        let before = if since > GAP_US { self.rest() } else { None };
        if since < GLITCH_US {
            // The same line once more is its own echo. Both at once are a short circuit, or a lamp that was switched.
            self.noisy |= self.last.is_some_and(|(last, _)| last != bit);
            return before;
        }
        self.last = Some((bit, at_us));
        // More than any card has are counted no further.
        self.count = (self.count + 1).min(u64::BITS);
        self.bits.0 = self.bits.0 << 1 | u64::from(bit == Bit::One);
        before
    }

    /// No pulse came for [`GAP_US`]: the card that is whole now.
    pub fn rest(&mut self) -> Option<Result<Frame, FrameFault>> {
        let Self { count, bits, noisy, .. } = std::mem::take(self);
        match (count, noisy) {
            (0, _) => None,
            (_, true) => Some(Err(FrameFault::Noise)),
            (count, false) => Some(Frame::read(bits.0, count)),
        }
    }

    /// Whether a card is on its way.
    pub fn is_busy(&self) -> bool {
        self.count > 0
    }
}

/// The two lines of a reader. Pulses come in their order, with the time at which the kernel saw them.
pub trait Pulses: Send {
    /// Waits for a pulse, `limit` at most.
    fn next(&mut self, limit: Duration) -> Result<Option<(Bit, u64)>, RelayError>;
}

/// Hands on every card that a reader sends until `stop`, or until nobody listens: `send` says so by `false`. What is no card is
/// told once, until there is one again.
pub fn watch(
    pulses: &mut dyn Pulses,
    stop: &AtomicBool,
    send: &mut dyn FnMut(Frame) -> bool,
) -> Result<(), RelayError> {
    let (mut decoder, mut told_of) = (Decoder::default(), false);
    while !stop.load(Ordering::SeqCst) {
        let limit = if decoder.is_busy() { Duration::from_micros(GAP_US) } else { NAP };
        let card = match pulses.next(limit)? {
            Some((bit, at_us)) => decoder.pulse(bit, at_us),
            None => decoder.rest(),
        };
        match card {
            Some(Ok(frame)) => {
                told_of = false;
                if !send(frame) {
                    break;
                }
            }
            Some(Err(why)) if !std::mem::replace(&mut told_of, true) => {
                crate::tell!(Warning, "wiegand: {why}")
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}

/// The two lines to a controller.
pub trait Lines: Send {
    /// One pulse of `width`, after which the line is at rest.
    fn pulse(&mut self, bit: Bit, width: Duration) -> Result<(), RelayError>;
}

/// Sends a card, and rests so long that the next one is another.
pub fn send(frame: Frame, lines: &mut dyn Lines) -> Result<(), RelayError> {
    let (count, bits) = (frame.format.bits(), frame.bits());
    for place in (0..count).rev() {
        let bit = if bits >> place & 1 == 1 { Bit::One } else { Bit::Zero };
        lines.pulse(bit, PULSE)?;
        // However late the machine is, no pulse is hurried.
        std::thread::sleep(PAUSE);
    }
    std::thread::sleep(Duration::from_micros(2 * GAP_US));
    Ok(())
}

#[cfg(test)]
mod tests;
