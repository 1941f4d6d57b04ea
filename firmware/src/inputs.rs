//! The switches at the door, each on a GPIO line: door contact, exit button, tamper switch, fire alarm.

use std::time::Duration;

use crate::config;
use crate::doorway::Change;
use crate::relay::{ActiveLevel, GpioLine, RelayError};

/// What hangs on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Whether the door stands open.
    Contact,
    /// Whether somebody inside wants out.
    Exit,
    /// Whether the housing is open.
    Tamper,
    /// Whether the fire alarm asks for an open door.
    Fire,
}

impl Switch {
    /// The thread's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Exit => "exit",
            Self::Tamper => "tamper",
            Self::Fire => "fire",
        }
    }

    /// What it means when the switch is, or is no more, at the level that has something to say.
    pub(crate) fn change(self, active: bool) -> Change {
        match self {
            Self::Contact => Change::Contact { open: active },
            Self::Exit => Change::Exit { pressed: active },
            Self::Tamper => Change::Tamper { alarm: active },
            Self::Fire => Change::Fire { alarm: active },
        }
    }
}

/// A switch that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wired {
    /// Which.
    pub switch: Switch,
    /// On what.
    pub wire: Wire,
}

/// A GPIO line that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    pub(crate) line: GpioLine,
    /// The level that has something to say: an open door, a pressed button, an open housing.
    pub(crate) active: ActiveLevel,
    /// What a cut wire reads as.
    pub(crate) cut: ActiveLevel,
}

impl Wire {
    /// The line that `field` of the configuration names as `text`; else the field and what is wrong.
    pub(crate) fn named(
        field: &'static str,
        text: &str,
        (active, cut): (ActiveLevel, ActiveLevel),
    ) -> Result<Self, (&'static str, String)> {
        let line = text.strip_prefix("gpio:").ok_or("it begins with gpio:").and_then(str::parse);
        let bad = |why| (field, format!("input \"{text}\": {why}; {HOW}"));
        Ok(Self { line: line.map_err(bad)?, active, cut })
    }
}

/// The switches that the configuration names; where a name is none, its field and what is wrong.
pub fn wired(inputs: &config::Inputs) -> Result<Vec<Wired>, (&'static str, String)> {
    let shut = inputs.contact_shut;
    let all = [
        ("inputs.contact", &inputs.contact, Switch::Contact, shut.other()),
        ("inputs.exit_button", &inputs.exit_button, Switch::Exit, inputs.exit_pressed),
        ("inputs.tamper", &inputs.tamper, Switch::Tamper, inputs.tamper_alarm),
        ("inputs.fire", &inputs.fire, Switch::Fire, inputs.fire_alarm),
    ];
    let named = all.into_iter().filter(|(_, text, ..)| !text.is_empty());
    named
        .map(|(field, text, switch, active)| {
            let cut = match switch {
                // A cut wire of a fire alarm lets people out.
                Switch::Contact | Switch::Tamper | Switch::Fire => active,
                Switch::Exit => active.other(),
            };
            Ok(Wired { switch, wire: Wire::named(field, text, (active, cut))? })
        })
        .collect()
}

const HOW: &str = "write gpio:LINE-NAME, gpio:/dev/gpiochip0:17, or \"\" where there is none";

/// Reads one line. Whatever happened before it is opened is told by its first change.
pub trait Sense: Send {
    /// Waits for a change, `limit` at most: whether the line is now at the level that has something to say.
    fn next(&mut self, limit: Duration) -> Result<Option<bool>, RelayError>;
}

/// Takes the line, and pulls it so that a cut wire is a door that stands open, a housing that is open, a fire, and a button
/// that nobody presses.
pub fn open(wire: &Wire) -> Result<Box<dyn Sense>, RelayError> {
    #[cfg(feature = "gpio")]
    return crate::relay::gpio::switch::open(wire);
    #[cfg(not(feature = "gpio"))]
    Err(RelayError::NotBuilt { relay: format!("gpio:{}", wire.line), feature: "gpio" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_wired_and_levels_are_those_that_mean_something() {
        assert_eq!(wired(&config::Inputs::default()), Ok(Vec::new()));
        let inputs = config::Inputs {
            contact: "gpio:contact".into(),
            tamper: "gpio:/dev/gpiochip0:3".into(),
            ..config::Inputs::default()
        };
        let all = wired(&inputs).unwrap();
        assert_eq!(all.iter().map(|w| w.switch).collect::<Vec<_>>(), [Switch::Contact, Switch::Tamper]);
        assert_eq!(all[0].wire.active, ActiveLevel::High, "shut is low, so open is high");
        assert_eq!(all[0].wire.cut, ActiveLevel::High, "a cut wire is an open door");
        assert_eq!(all[1].wire.line, GpioLine::Offset { chip: "/dev/gpiochip0".into(), offset: 3 });
    }

    #[test]
    fn a_bad_name_is_told_with_its_field_and_the_cure() {
        for text in ["contact", "fake", "gpio:", "gpio:/dev/gpiochip0:x"] {
            let inputs = config::Inputs { exit_button: text.into(), ..config::Inputs::default() };
            let (field, why) = wired(&inputs).unwrap_err();
            assert_eq!(field, "inputs.exit_button");
            assert!(why.contains(text) && why.contains("gpio:LINE-NAME"), "{why}");
        }
    }
}
