//! A small panel on an SPI bus, as it is named in the config; spi/driver.rs drives it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::relay::GpioLine;

#[cfg(feature = "spi")]
pub mod driver;

/// What stands between bus and glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Sitronix ST7789, up to 240x320 px.
    St7789,
    /// Ilitek ILI9341, 240x320 px.
    Ili9341,
}

impl Controller {
    const fn name(self) -> &'static str {
        match self {
            Self::St7789 => "st7789",
            Self::Ili9341 => "ili9341",
        }
    }
}

/// `CONTROLLER:DEVICE:DC:RESET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiSource {
    /// The chip.
    pub controller: Controller,
    /// The bus, `/dev/spidev0.0`.
    pub device: PathBuf,
    /// The line that is low for commands and high for data.
    pub dc: GpioLine,
    /// The line that resets the chip while it is low.
    pub reset: GpioLine,
}

impl FromStr for SpiSource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split(':');
        let mut next = || parts.next().unwrap_or_default();
        let controller = match next() {
            "st7789" => Controller::St7789,
            "ili9341" => Controller::Ili9341,
            _ => return Err("the controller is st7789 or ili9341"),
        };
        let device = PathBuf::from(next());
        // A line of a chip has a colon in it.
        let mut line = || match next() {
            "" => Err("two GPIO lines come after the device: data/command and reset"),
            chip if chip.starts_with("/dev/") => format!("{chip}:{}", next()).parse(),
            name => name.parse(),
        };
        let source = Self { controller, device, dc: line()?, reset: line()? };
        if parts.next().is_some() { Err("something follows on the reset line") } else { Ok(source) }
    }
}

impl fmt::Display for SpiSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { controller, device, dc, reset } = self;
        write!(f, "{}:{}:{dc}:{reset}", controller.name(), device.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_or_counted_on_their_chip() {
        for text in [
            "st7789:/dev/spidev0.0:GPIO25:GPIO27",
            "ili9341:/dev/spidev1.0:/dev/gpiochip0:25:/dev/gpiochip0:27",
            "ili9341:/dev/spidev1.0:panel-dc:/dev/gpiochip0:27",
        ] {
            assert_eq!(text.parse::<SpiSource>().unwrap().to_string(), text);
        }
        for text in [
            "st7735:/dev/spidev0.0:a:b",
            "st7789",
            "st7789:/dev/spidev0.0",
            "st7789:/dev/spidev0.0:a",
            "st7789:/dev/spidev0.0:a:b:c",
            "st7789:/dev/spidev0.0:/dev/gpiochip0:x:b",
        ] {
            assert!(text.parse::<SpiSource>().is_err(), "{text}");
        }
    }
}
