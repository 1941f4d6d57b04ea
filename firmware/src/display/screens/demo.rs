//! The mark of a simulated door: a strip at the upper edge, with the screen in the room below it.

use embedded_graphics::draw_target::{DrawTarget, DrawTargetExt};
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;

use super::Screen;
use crate::display::fonts::Fonts;
use crate::display::text::{self, Align, CAP, Style};
use crate::display::theme::{AMBER, Metrics, NIGHT};

/// Where the screen is drawn on a panel of that size.
pub fn below(size: Size) -> Rectangle {
    let strip = ((1.8 * Metrics::of(size).unit).round() as u32).min(size.height);
    Rectangle::new(Point::new(0, strip as i32), Size::new(size.width, size.height - strip))
}

/// Draws `screen` below a strip that says `mark`.
pub fn draw<D>(screen: &Screen<'_>, mark: &str, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let size = target.bounding_box().size;
    let m = Metrics::of(size);
    let room = below(size);
    let strip = size.height - room.size.height;
    super::draw(screen, fonts, &mut target.cropped(&room))?;
    target.fill_solid(&Rectangle::new(Point::zero(), Size::new(size.width, strip)), AMBER)?;
    let line = text::fit_line(mark, m.width - m.unit, (m.unit, 1.4 * m.unit), &fonts.bold);
    let style = Style { size: line.size, typeface: &fonts.bold, ink: NIGHT, on: AMBER };
    let baseline = (strip as f32 + line.size * CAP) / 2.0;
    line.lines.iter().try_for_each(|l| text::draw(target, l, m.width / 2.0, baseline, Align::Centre, style))
}
