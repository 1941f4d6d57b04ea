//! Keys on the screen: what is touched, or taken by a button. Where they lie and how they look.

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::{PointsIter, Rectangle};

use super::canvas::mix;
use super::fonts::Fonts;
use super::icon::{self, Icon, Paint};
use super::text::{self, Align, CAP, Style};
use super::theme::{INK, MIST, Metrics, NIGHT, SKY, SLATE, SNOW, Shape};

/// What stands on a key.
#[derive(Debug, Clone, Copy)]
pub enum Label<'a> {
    /// Words or a digit.
    Words(&'a str),
    /// A sign.
    Sign(Icon),
}

/// Whether a key does anything now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It does.
    Ready,
    /// It does not: nothing but its label is there.
    Idle,
}

/// The part (`column`, `row`) of an area that is cut into `columns` x `rows` equal parts, all of whose pixels are a part's.
pub fn part(area: Rectangle, (columns, rows): (u32, u32), (column, row): (u32, u32)) -> Rectangle {
    let edge = |length: u32, n: u32, of: u32| (length * n / of.max(1)) as i32;
    let (x0, x1) = (edge(area.size.width, column, columns), edge(area.size.width, column + 1, columns));
    let (y0, y1) = (edge(area.size.height, row, rows), edge(area.size.height, row + 1, rows));
    Rectangle::new(area.top_left + Point::new(x0, y0), Size::new((x1 - x0) as u32, (y1 - y0) as u32))
}

/// Which of those areas is touched at `x`, `y`.
pub fn hit(mut areas: impl Iterator<Item = Rectangle>, (x, y): (u32, u32)) -> Option<usize> {
    let at = Point::new(i32::try_from(x).ok()?, i32::try_from(y).ok()?);
    areas.position(|area| area.contains(at))
}

/// Cuts a screen in two, one above the other where it is tall, side by side where it is wide; the first is `first` px high
/// or wide.
pub fn split(size: Size, first: u32) -> (Rectangle, Rectangle) {
    let Size { width, height } = size;
    let (one, other, begins) = match Metrics::of(size).shape {
        Shape::Tall => {
            (Size::new(width, first), Size::new(width, height - first), Point::new(0, first as i32))
        }
        Shape::Wide => {
            (Size::new(first, height), Size::new(width - first, height), Point::new(first as i32, 0))
        }
    };
    (Rectangle::new(Point::zero(), one), Rectangle::new(begins, other))
}

/// Draws a key a little smaller than `area`, so that neighbours stand apart; `focused` ones in a thick frame. The label is
/// `size` px high at most, and `unit` is the step of distances ([`super::theme::Metrics`]).
pub fn draw<D>(
    target: &mut D,
    area: Rectangle,
    (label, look, focused): (Label<'_>, Look, bool),
    (size, unit): (f32, f32),
    fonts: &Fonts,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let gap = (0.18 * unit).max(1.5);
    let half = (area.size.width as f32 / 2.0 - gap, area.size.height as f32 / 2.0 - gap);
    let (cx, cy) = (
        area.top_left.x as f32 + area.size.width as f32 / 2.0,
        area.top_left.y as f32 + area.size.height as f32 / 2.0,
    );
    let round = (0.6 * unit).min(half.0).min(half.1).max(0.0);
    let frame = (0.3 * unit).max(3.0);
    let (plate, ink) = match look {
        Look::Ready => (SLATE, SNOW),
        Look::Idle => (NIGHT, INK),
    };
    // Distance to the rounded edge, negative inside.
    let distance = |p: Point| {
        let x = (p.x as f32 + 0.5 - cx).abs() - (half.0 - round);
        let y = (p.y as f32 + 0.5 - cy).abs() - (half.1 - round);
        x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - round
    };
    let cover = |distance: f32| (0.5 - distance).clamp(0.0, 1.0);
    target.draw_iter(area.points().map(|p| {
        let d = distance(p);
        let rim = if focused { SKY } else { plate };
        Pixel(p, mix(mix(NIGHT, rim, cover(d)), plate, cover(d + frame)))
    }))?;
    let room = 2.0 * half.0 - 2.0 * frame;
    match label {
        Label::Words(words) => {
            let line = text::fit_line(words, room, (0.9 * unit, size), &fonts.bold);
            let style = Style { size: line.size, typeface: &fonts.bold, ink, on: plate };
            let baseline = cy + line.size * CAP / 2.0;
            line.lines.iter().try_for_each(|l| text::draw(target, l, cx, baseline, Align::Centre, style))
        }
        Label::Sign(sign) => {
            let diameter = (1.4 * size).min(room).min(2.0 * half.1 - 2.0 * frame).max(1.0);
            icon::draw(target, sign, (cx, cy), diameter, Paint { fill: plate, ink, on: plate })
        }
    }
}

/// The place for a typed digit: a ring, and a disc once it is typed.
pub fn dot<D>(target: &mut D, (cx, cy): (f32, f32), diameter: f32, typed: bool) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let radius = diameter / 2.0;
    let reach = radius.ceil() as u32 + 1;
    let corner = Point::new(cx.round() as i32 - reach as i32, cy.round() as i32 - reach as i32);
    let line = (0.22 * diameter).max(1.5);
    target.draw_iter(Rectangle::new(corner, Size::new_equal(2 * reach + 1)).points().map(|p| {
        let d = (p.x as f32 - cx).hypot(p.y as f32 - cy) - radius;
        let cover = |distance: f32| (0.5 - distance).clamp(0.0, 1.0);
        let (ring, hole) = if typed { (SNOW, 0.0) } else { (MIST, cover(d + line)) };
        Pixel(p, mix(mix(NIGHT, ring, cover(d)), NIGHT, hole))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_area_without_a_gap() {
        let area = Rectangle::new(Point::new(10, 20), Size::new(100, 50));
        // 100 in three parts: 33, 33, 34.
        let across: Vec<_> = (0..3).map(|c| part(area, (3, 2), (c, 1))).collect();
        assert_eq!(
            across.iter().map(|r| (r.top_left.x, r.size.width)).collect::<Vec<_>>(),
            [(10, 33), (43, 33), (76, 34)]
        );
        assert!(across.iter().all(|r| (r.top_left.y, r.size.height) == (45, 25)));
        assert_eq!(part(area, (1, 1), (0, 0)), area);
    }
}
