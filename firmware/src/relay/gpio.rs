//! The door on a GPIO line: one relay over any `embedded-hal` output pin, and two kernel interfaces that give such pins.
//!
//! The active level is applied here, once: both back ends are asked for plain levels, since they differ in what
//! `set_high` means on an active-low line.

use std::fmt::Display;
use std::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};

use super::{ActiveLevel, Coil, GpioDriver, GpioLine, Relay, RelayError};
use crate::time::Millis;

pub mod switch;
mod v1;
mod v2;
pub mod wiegand;

/// Who the kernel shows as the line's user.
const CONSUMER: &str = "limen";

/// How often a line is read back, and how long it has between two readings: a long wire has its capacitance.
const READINGS: u32 = 5;
const SETTLE: Duration = Duration::from_millis(1);

/// Opens `line` with the level that leaves the coil without current.
pub fn open(line: &GpioLine, active: ActiveLevel, driver: GpioDriver) -> Result<Box<dyn Relay>, RelayError> {
    let rest = level(Coil::Released, active);
    Ok(match driver {
        GpioDriver::V2 => {
            Box::new(PinRelay::new(v2::open(line, rest)?, active, format!("gpio:{line} (uAPI v2)"))?)
        }
        GpioDriver::V1 => {
            Box::new(PinRelay::new(v1::open(line, rest)?, active, format!("gpio:{line} (uAPI v1)"))?)
        }
    })
}

/// Takes `line` as an output for something other than the door, low to begin with (uAPI v2).
#[cfg(feature = "spi")]
pub fn output(line: &GpioLine) -> Result<impl OutputPin<Error: std::fmt::Debug> + Send + use<>, RelayError> {
    v2::open(line, PinState::Low)
}

/// Whether the coil has current, by the line's level as it stands; `None` through uAPI v1, which would drive it.
pub fn look(line: &GpioLine, active: ActiveLevel, driver: GpioDriver) -> Result<Option<Coil>, RelayError> {
    match driver {
        GpioDriver::V1 => Ok(None),
        GpioDriver::V2 => {
            let found = v2::level(line)?;
            let coil = |coil| (level(coil, active) == found).then_some(coil);
            Ok(coil(Coil::Energised).or(coil(Coil::Released)))
        }
    }
}

/// A relay on any output pin that can be read back and be moved to another thread.
pub struct PinRelay<P: OutputPin + InputPin> {
    pin: P,
    active: ActiveLevel,
    name: String,
}

impl<P: OutputPin + InputPin> PinRelay<P>
where
    P::Error: Display,
{
    /// Takes `pin` and releases the coil. `name` stands in messages.
    pub fn new(pin: P, active: ActiveLevel, name: String) -> Result<Self, RelayError> {
        let mut relay = Self { pin, active, name };
        relay.set(Coil::Released)?;
        Ok(relay)
    }

    fn set(&mut self, coil: Coil) -> Result<(), RelayError> {
        let doing = match coil {
            Coil::Energised => "energising",
            Coil::Released => "releasing",
        };
        let wanted = level(coil, self.active);
        let failed = |e: P::Error| RelayError::Io { relay: self.name.clone(), doing, why: e.to_string() };
        self.pin.set_state(wanted).map_err(failed)?;
        for reading in 0..READINGS {
            if reading > 0 {
                std::thread::sleep(SETTLE);
            }
            if self.pin.is_high().map_err(failed)? == (wanted == PinState::High) {
                return Ok(());
            }
        }
        let level = if wanted == PinState::High { "low" } else { "high" };
        Err(RelayError::Stuck { relay: self.name.clone(), doing, level })
    }
}

impl<P: OutputPin + InputPin + Send> Relay for PinRelay<P>
where
    P::Error: Display,
{
    fn energise(&mut self, _at: Millis) -> Result<(), RelayError> {
        self.set(Coil::Energised)
    }

    fn release(&mut self, _at: Millis) -> Result<(), RelayError> {
        self.set(Coil::Released)
    }

    fn describe(&self) -> String {
        let active = match self.active {
            ActiveLevel::High => "high",
            ActiveLevel::Low => "low",
        };
        format!("{}, active {active}", self.name)
    }
}

impl<P: OutputPin + InputPin> Drop for PinRelay<P> {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; closing the line is the kernel's own release.
        let _ = self.pin.set_state(level(Coil::Released, self.active));
    }
}

/// The level on the line for a state of the coil.
fn level(coil: Coil, active: ActiveLevel) -> PinState {
    match (coil, active) {
        (Coil::Energised, ActiveLevel::High) | (Coil::Released, ActiveLevel::Low) => PinState::High,
        (Coil::Energised, ActiveLevel::Low) | (Coil::Released, ActiveLevel::High) => PinState::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::digital::{Error, ErrorKind, ErrorType};
    use std::sync::{Arc, Mutex};

    /// Records levels; fails once `fail` is set, and stays where `stuck` says.
    #[derive(Default)]
    struct Pin {
        levels: Arc<Mutex<Vec<PinState>>>,
        fail: bool,
        stuck: Option<PinState>,
    }

    #[derive(Debug)]
    struct Broken;

    impl Display for Broken {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wire cut")
        }
    }

    impl Error for Broken {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    impl ErrorType for Pin {
        type Error = Broken;
    }

    impl OutputPin for Pin {
        fn set_low(&mut self) -> Result<(), Broken> {
            self.set_state(PinState::Low)
        }

        fn set_high(&mut self) -> Result<(), Broken> {
            self.set_state(PinState::High)
        }

        fn set_state(&mut self, state: PinState) -> Result<(), Broken> {
            if self.fail {
                return Err(Broken);
            }
            self.levels.lock().unwrap().push(state);
            Ok(())
        }
    }

    impl InputPin for Pin {
        fn is_high(&mut self) -> Result<bool, Broken> {
            let last = self.levels.lock().unwrap().last().copied();
            Ok(self.stuck.or(last) == Some(PinState::High))
        }

        fn is_low(&mut self) -> Result<bool, Broken> {
            self.is_high().map(|high| !high)
        }
    }

    fn levels_of(active: ActiveLevel) -> Vec<PinState> {
        let levels = Arc::new(Mutex::new(Vec::new()));
        let pin = Pin { levels: levels.clone(), ..Pin::default() };
        let mut relay = PinRelay::new(pin, active, "gpio:test".into()).unwrap();
        relay.energise(Millis(1)).unwrap();
        relay.release(Millis(2)).unwrap();
        relay.energise(Millis(3)).unwrap();
        drop(relay);
        levels.lock().unwrap().clone()
    }

    #[test]
    fn an_active_high_line_rests_low_when_opened_and_when_dropped() {
        use PinState::{High, Low};
        assert_eq!(levels_of(ActiveLevel::High), [Low, High, Low, High, Low]);
    }

    #[test]
    fn an_active_low_line_rests_high_when_opened_and_when_dropped() {
        use PinState::{High, Low};
        assert_eq!(levels_of(ActiveLevel::Low), [High, Low, High, Low, High]);
    }

    #[test]
    fn a_pin_that_fails_is_named() {
        let pin = Pin { fail: true, ..Pin::default() };
        let e = PinRelay::new(pin, ActiveLevel::High, "gpio:door".into()).err().unwrap();
        assert_eq!(e.to_string(), "gpio:door: releasing failed: wire cut");
    }

    #[test]
    fn a_line_that_does_not_move_is_told() {
        let pin = Pin { stuck: Some(PinState::Low), ..Pin::default() };
        let mut relay = PinRelay::new(pin, ActiveLevel::High, "gpio:door".into()).unwrap();
        let e = relay.energise(Millis(1)).unwrap_err();
        assert!(
            e.to_string().starts_with("gpio:door: energising did nothing: read back, the line is low"),
            "{e}"
        );
        let pin = Pin { stuck: Some(PinState::Low), ..Pin::default() };
        let e = PinRelay::new(pin, ActiveLevel::Low, "gpio:door".into()).err().unwrap();
        assert!(e.to_string().contains("releasing did nothing: read back, the line is low"), "{e}");
    }

    #[test]
    fn a_line_that_is_not_there_is_named_by_both_drivers() {
        let named = GpioLine::Name("limen-test-no-such-line".into());
        let numbered = GpioLine::Offset { chip: "/nonexistent/gpiochip9".into(), offset: 3 };
        for driver in [GpioDriver::V2, GpioDriver::V1] {
            for line in [&named, &numbered] {
                let e = open(line, ActiveLevel::High, driver).err().unwrap();
                assert!(matches!(e, RelayError::NotFound { .. }), "{e:?}");
                assert!(e.to_string().starts_with(&format!("gpio:{line}: ")), "{e}");
            }
        }
    }
}
