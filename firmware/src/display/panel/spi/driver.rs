//! Drives a panel on an SPI bus: commands by mipidsi, the canvas as a whole whenever it is shown.

use std::fmt::Debug;
use std::io::{self, Write};
use std::time::Duration;

use embedded_graphics::pixelcolor::{Rgb565, Rgb888};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use mipidsi::interface::{Interface, InterfaceKind};
use mipidsi::models::{ILI9341Rgb565, Model, ST7789};
use mipidsi::options::{ColorInversion, ColorOrder, Orientation, Rotation};
use mipidsi::{Builder, Display, InitError};
use spidev::{SpiModeFlags, Spidev, SpidevOptions};

use super::{Controller, SpiSource};
use crate::display::canvas::Canvas;
use crate::display::panel::{Panel, PanelError};
use crate::display::screens::ScreenKind;
use crate::relay::gpio;
use crate::time::Millis;

/// 240x320 px in a thirtieth of a second; both controllers are wired at that speed on common boards.
const SPEED_HZ: u32 = 32_000_000;
/// The kernel takes no more in one transfer (`spidev.bufsiz`), bytes.
const TRANSFER: usize = 4096;

/// Opens bus and lines, and starts the panel up.
pub fn open(source: &SpiSource, canvas: Canvas) -> Result<Box<dyn Panel>, PanelError> {
    let device = |e| PanelError::Device { path: source.device.clone(), source: e };
    let mut bus = Spidev::open(&source.device).map_err(device)?;
    let options = SpidevOptions::new().max_speed_hz(SPEED_HZ).mode(SpiModeFlags::SPI_MODE_0).build();
    bus.configure(&options).map_err(device)?;
    let (dc, reset) = (gpio::output(&source.dc)?, gpio::output(&source.reset)?);
    let name = format!("spi:{source}");
    Ok(match source.controller {
        Controller::St7789 => Box::new(SpiPanel::start(ST7789, Wire::new(bus, dc), reset, canvas, name)?),
        Controller::Ili9341 => {
            Box::new(SpiPanel::start(ILI9341Rgb565, Wire::new(bus, dc), reset, canvas, name)?)
        }
    })
}

/// A controller that we know how panels are wired to.
trait Known: Model<ColorFormat = Rgb565> {
    /// Liquid crystals that are bright without voltage (IPS) want their colours inverted.
    const INVERSION: ColorInversion;
    const ORDER: ColorOrder;
}

impl Known for ST7789 {
    const INVERSION: ColorInversion = ColorInversion::Inverted;
    const ORDER: ColorOrder = ColorOrder::Rgb;
}

impl Known for ILI9341Rgb565 {
    const INVERSION: ColorInversion = ColorInversion::Normal;
    const ORDER: ColorOrder = ColorOrder::Bgr;
}

/// A panel of controller `M` on bus `W` with lines `P`.
struct SpiPanel<W: Write, P: OutputPin, M: Known> {
    canvas: Canvas,
    display: Display<Wire<W, P>, M, P>,
    name: String,
}

impl<W: Write, P: OutputPin, M: Known> SpiPanel<W, P, M> {
    fn start(model: M, wire: Wire<W, P>, reset: P, canvas: Canvas, name: String) -> Result<Self, PanelError> {
        let (width, height) = (canvas.image().width(), canvas.image().height());
        // The glass stands upright; a wide picture lies on its side.
        let rotation = if width > height { Rotation::Deg90 } else { Rotation::Deg0 };
        let unusable = |why: String| PanelError::Unusable { path: name.clone().into(), why };
        let side = |px: usize| u16::try_from(px).map_err(|_| unusable(format!("{px} px are too many")));
        let display = Builder::new(model, wire)
            .reset_pin(reset)
            .display_size(side(width.min(height))?, side(width.max(height))?)
            .orientation(Orientation::new().rotate(rotation))
            .invert_colors(M::INVERSION)
            .color_order(M::ORDER)
            .init(&mut Sleep)
            .map_err(|e| match e {
                InitError::Interface(source) => PanelError::Device { path: name.clone().into(), source },
                other => unusable(format!("{width}x{height} px: {other:?}")),
            })?;
        Ok(Self { canvas, display, name })
    }
}

impl<W: Write + Send, P: OutputPin + Send, M: Known + Send> Panel for SpiPanel<W, P, M> {
    fn canvas(&mut self) -> &mut Canvas {
        &mut self.canvas
    }

    fn present(&mut self, _at: Millis, _kind: ScreenKind) -> Result<(), PanelError> {
        let image = self.canvas.image();
        let (right, bottom) = (image.width() as u16 - 1, image.height() as u16 - 1);
        let pixels = image.data().chunks_exact(3).map(|p| Rgb565::from(Rgb888::new(p[0], p[1], p[2])));
        self.display
            .set_pixels(0, 0, right, bottom, pixels)
            .map_err(|source| PanelError::Device { path: self.name.clone().into(), source })
    }

    fn describe(&self) -> String {
        format!("{} ({}x{} px)", self.name, self.canvas.image().width(), self.canvas.image().height())
    }
}

/// Bus and data/command line as mipidsi wants them. Each write is one transfer, in which the chip is selected.
struct Wire<W, P> {
    bus: W,
    dc: P,
    buffer: Vec<u8>,
}

impl<W: Write, P: OutputPin> Wire<W, P> {
    fn new(bus: W, dc: P) -> Self {
        Self { bus, dc, buffer: Vec::with_capacity(TRANSFER) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.bus.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl<W: Write, P: OutputPin> Interface for Wire<W, P> {
    type Word = u8;
    type Error = io::Error;
    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, args: &[u8]) -> io::Result<()> {
        self.dc.set_low().map_err(line)?;
        self.bus.write_all(&[command])?;
        self.dc.set_high().map_err(line)?;
        if args.is_empty() { Ok(()) } else { self.bus.write_all(args) }
    }

    fn send_pixels<const N: usize>(&mut self, pixels: impl IntoIterator<Item = [u8; N]>) -> io::Result<()> {
        for pixel in pixels {
            if self.buffer.len() + N > TRANSFER {
                self.flush()?;
            }
            self.buffer.extend(pixel);
        }
        self.flush()
    }

    fn send_repeated_pixel<const N: usize>(&mut self, pixel: [u8; N], count: u32) -> io::Result<()> {
        self.send_pixels((0..count).map(|_| pixel))
    }
}

fn line(fault: impl Debug) -> io::Error {
    io::Error::other(format!("its data/command line: {fault:?}"))
}

/// Waits as the panel needs while it starts up.
struct Sleep;

impl DelayNs for Sleep {
    fn delay_ns(&mut self, ns: u32) {
        std::thread::sleep(Duration::from_nanos(ns.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use embedded_graphics::draw_target::DrawTarget;
    use embedded_graphics::geometry::{Point, Size};
    use embedded_graphics::primitives::Rectangle;
    use embedded_hal::digital::ErrorType;

    use super::*;

    /// What a logic analyser would note: the lines and the bytes, in their order.
    #[derive(Debug, Clone, PartialEq)]
    enum Seen {
        Line(&'static str, bool),
        Bytes(Vec<u8>),
    }

    #[derive(Clone, Default)]
    struct Analyser(Arc<Mutex<Vec<Seen>>>);

    impl Analyser {
        fn line(&self, name: &'static str) -> Line {
            Line(self.clone(), name)
        }

        /// Commands, each with its data.
        fn commands(&self) -> Vec<(u8, Vec<u8>)> {
            let mut commands: Vec<(u8, Vec<u8>)> = Vec::new();
            let mut data = false;
            for seen in std::mem::take(&mut *self.0.lock().unwrap()) {
                match seen {
                    Seen::Line("dc", high) => data = high,
                    Seen::Line(..) => {}
                    Seen::Bytes(b) if data => commands.last_mut().unwrap().1.extend(b),
                    Seen::Bytes(b) => commands.push((b[0], vec![])),
                }
            }
            commands
        }
    }

    impl Write for Analyser {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(bytes.len() <= TRANSFER);
            self.0.lock().unwrap().push(Seen::Bytes(bytes.to_vec()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Line(Analyser, &'static str);

    impl ErrorType for Line {
        type Error = Infallible;
    }

    impl OutputPin for Line {
        fn set_low(&mut self) -> Result<(), Infallible> {
            self.0.0.lock().unwrap().push(Seen::Line(self.1, false));
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), Infallible> {
            self.0.0.lock().unwrap().push(Seen::Line(self.1, true));
            Ok(())
        }
    }

    fn start<M: Known>(
        model: M,
        size: (usize, usize),
    ) -> Result<(SpiPanel<Analyser, Line, M>, Analyser), PanelError> {
        let bus = Analyser::default();
        let (wire, reset) = (Wire::new(bus.clone(), bus.line("dc")), bus.line("reset"));
        let canvas = Canvas::new(size.0, size.1).unwrap();
        Ok((SpiPanel::start(model, wire, reset, canvas, "spi:test".into())?, bus))
    }

    #[test]
    fn an_st7789_is_reset_and_started_and_shown_a_red_rectangle() {
        let (mut panel, bus) = start(ST7789, (240, 240)).unwrap();
        let reset = [Seen::Line("reset", false), Seen::Line("reset", true)];
        assert_eq!(bus.0.lock().unwrap()[..2], reset);
        // Sleep out, no turning, inverted, 16 bits a pixel, normal mode, display on.
        let begun = [
            (0x11, vec![]),
            (0x36, vec![0]),
            (0x21, vec![]),
            (0x3a, vec![0x55]),
            (0x13, vec![]),
            (0x29, vec![]),
        ];
        assert_eq!(bus.commands(), begun);

        let red = Rectangle::new(Point::new(2, 1), Size::new(3, 2));
        panel.canvas().fill_solid(&red, Rgb888::new(255, 0, 0)).unwrap();
        panel.present(Millis::ZERO, ScreenKind::Idle).unwrap();
        let shown = bus.commands();
        assert_eq!(shown[..2], [(0x2a, vec![0, 0, 0, 239]), (0x2b, vec![0, 0, 0, 239])]);
        let (command, pixels) = &shown[2];
        assert_eq!((*command, pixels.len(), shown.len()), (0x2c, 240 * 240 * 2, 3));
        for (i, pixel) in pixels.chunks(2).enumerate() {
            let inside = (2..5).contains(&(i % 240)) && (1..3).contains(&(i / 240));
            assert_eq!(pixel, if inside { [0xf8, 0] } else { [0, 0] }, "pixel {i}");
        }
    }

    #[test]
    fn a_wide_ili9341_lies_on_its_side_with_blue_first() {
        let (mut panel, bus) = start(ILI9341Rgb565, (320, 240)).unwrap();
        let begun = bus.commands();
        // Columns and rows change places, and rows run backwards (0x60); blue first (0x08).
        assert!(begun.contains(&(0x36, vec![0x68])), "{begun:02x?}");
        assert!(begun.contains(&(0x20, vec![])) && begun.last() == Some(&(0x29, vec![])));
        panel.present(Millis::ZERO, ScreenKind::Idle).unwrap();
        let shown = bus.commands();
        assert_eq!(shown[..2], [(0x2a, vec![0, 0, 1, 63]), (0x2b, vec![0, 0, 0, 239])]);
        assert_eq!(shown[2].1.len(), 320 * 240 * 2);
    }

    #[test]
    fn a_size_that_the_controller_does_not_have_is_refused() {
        let e = start(ST7789, (800, 480)).err().unwrap().to_string();
        assert!(e.contains("800x480") && e.contains("display.panel"), "{e}");
    }
}
