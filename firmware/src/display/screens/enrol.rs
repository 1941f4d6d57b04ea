//! Somebody is enrolled: the camera's picture in a ring that fills with each pose, and what to do now.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::{PointsIter, Rectangle};
use limen_models::image::RgbImage;

use crate::display::Words;
use crate::display::canvas::{self, mix};
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::keys::{self, Label, Look};
use crate::display::scale;
use crate::display::text::{self, Align, Style};
use crate::display::theme::{INK, MIST, Metrics, NIGHT, SKY, SLATE, SNOW, Shape};
use crate::kiosk::poses::{EACH, Hint, Pose, Progress};

/// At which height faces are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the middle of the picture.
    Standing,
    /// In its lower part, as from a wheelchair: the ring and the part of the picture in it lie lower.
    Low,
}

/// Frames are being taken.
#[derive(Clone)]
pub struct Enrol<'a> {
    /// What the camera sees. It is shown as in a mirror.
    pub frame: Option<&'a RgbImage>,
    /// At which height.
    pub reach: Reach,
    /// How much of each of [`Pose::ALL`] there is, 0 to 1; `None` for a pose that is not asked for.
    pub shares: [Option<f32>; 5],
    /// The pose that is asked for, if one is.
    pub next: Option<Pose>,
    /// What to do now.
    pub hint: String,
    /// Whether the ok button presses the key that cancels.
    pub is_focused: bool,
}

impl<'a> Enrol<'a> {
    /// With the words for how far it is.
    pub fn new(
        words: &Words,
        progress: Progress,
        (frame, reach): (Option<&'a RgbImage>, Reach),
        is_focused: bool,
    ) -> Self {
        let shares = progress.taken.map(|n| n.map(|n| f32::from(n) / f32::from(EACH)));
        let next = if let Hint::Look(pose) = progress.hint { Some(pose) } else { None };
        Self { frame, reach, shares, next, hint: words.look(progress.hint).to_owned(), is_focused }
    }
}

/// The square of the ring, and the room of the words.
fn rooms(size: Size, reach: Reach) -> (Rectangle, Rectangle) {
    let m = Metrics::of(size);
    let Size { width, height } = size;
    if m.shape == Shape::Wide {
        return keys::split(size, height);
    }
    let bar = ((3.6 * m.unit) as u32).max(height.saturating_sub(width)).min(height);
    let ring = height - bar;
    let area = |top: u32, height: u32, side: u32| {
        let left = width.saturating_sub(side) / 2;
        Rectangle::new(Point::new(left as i32, top as i32), Size::new(side.min(width), height))
    };
    match reach {
        Reach::Standing => (area(0, ring, ring), area(ring, bar, width)),
        Reach::Low => (area(bar, ring, ring), area(0, bar, width)),
    }
}

/// Where the key lies that cancels: in the corner beside the ring, or below the words.
pub fn place(size: Size) -> Rectangle {
    let (_, words) = rooms(size, Reach::Standing);
    match Metrics::of(size).shape {
        Shape::Wide => keys::part(words, (1, 4), (0, 3)),
        Shape::Tall => {
            let side = size.width / 7;
            Rectangle::new(Point::new((size.width - side) as i32, 0), Size::new_equal(side))
        }
    }
}

/// Whether it is touched at `at`: it is the only one.
pub fn hit(size: Size, at: (u32, u32)) -> Option<usize> {
    keys::hit(std::iter::once(place(size)), at)
}

pub(super) fn draw<D>(s: &Enrol<'_>, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(NIGHT)?;
    let size = target.bounding_box().size;
    let m = Metrics::of(size);
    let (square, room) = rooms(size, s.reach);
    ring(s, square, m.unit, target)?;
    let key = place(size);
    let label = (Label::Sign(Icon::Cross), Look::Ready, s.is_focused);
    let largest = (0.6 * key.size.height as f32).min(3.4 * m.unit);
    keys::draw(target, key, label, (largest, m.unit), fonts)?;

    let (mut left, mut width) = (room.top_left.x as f32, room.size.width as f32);
    let (top, mut height) = (room.top_left.y as f32, room.size.height as f32);
    match (m.shape, s.reach) {
        (Shape::Wide, _) => height -= key.size.height as f32,
        // The key keeps its corner, where the words are by then.
        (Shape::Tall, Reach::Low) => width -= key.size.width as f32,
        (Shape::Tall, Reach::Standing) => {}
    }
    (left, width) = (left + 0.6 * m.unit, width - 1.2 * m.unit);
    let hint = text::fit_block(&s.hint, (width, height), (1.3 * m.unit, 2.6 * m.unit), &fonts.bold);
    let style = Style { size: 0.0, typeface: &fonts.bold, ink: SNOW, on: NIGHT };
    let above = top + (height - hint.height()) / 2.0;
    text::draw_block(target, &hint, left + width / 2.0, above, Align::Centre, style).map(|_| ())
}

/// The picture in a thin ring for the look ahead, and around it an arc to each side that is looked at.
fn ring<D>(s: &Enrol<'_>, square: Rectangle, u: f32, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let side = square.size.width.min(square.size.height);
    let corner = square.top_left + Point::new((square.size.width - side) as i32 / 2, 0);
    let outer = side as f32 / 2.0 - 0.5 * u;
    let (arc, thin, gap) = (1.2 * u, 0.5 * u, 0.4 * u);
    let radius = (outer - arc - thin - 2.0 * gap).max(0.0);
    let picture = s.frame.and_then(|frame| seen(frame, s.reach, (2.0 * radius) as usize));
    let middle = side as f32 / 2.0;
    let cover = |distance: f32| (0.5 - distance).clamp(0.0, 1.0);
    let band = |d: f32, inner: f32, outer: f32| cover((d - outer).max(inner - d));
    let area = Rectangle::new(corner, Size::new_equal(side));
    let colours = area.points().map(|p| {
        let (x, y) = ((p.x - corner.x) as f32 + 0.5 - middle, (p.y - corner.y) as f32 + 0.5 - middle);
        let d = x.hypot(y);
        let inside = cover(d - radius);
        if inside > 0.0 {
            let shown = picture.as_ref().map_or(SLATE, |im| {
                let at = |v: f32, most: usize| ((v + radius).max(0.0) as usize).min(most - 1);
                canvas::colour(im.pixel(at(x, im.width()), at(y, im.height())))
            });
            return mix(NIGHT, shown, inside);
        }
        let ahead = band(d, radius + gap, radius + gap + thin);
        if ahead > 0.0 {
            return mix(NIGHT, ink(s, Pose::Ahead, y.atan2(x)), ahead);
        }
        let (pose, turn) = sector(x, y);
        // Wider where it is looked to now; the ends of the arcs stand apart.
        let inner = outer - if s.next == Some(pose) { arc } else { 0.55 * arc };
        let apart = (FRAC_PI_2 / 2.0 - turn.abs()) * d - 0.5 * gap;
        let shade = band(d, inner, outer).min(cover(-apart));
        if s.shares[pose as usize].is_none() { NIGHT } else { mix(NIGHT, ink(s, pose, turn), shade) }
    });
    target.fill_contiguous(&area, colours)
}

/// The colour of a pose's arc, `turn` away from its middle, which fills from there to both ends; that of the look ahead
/// begins above and goes round.
fn ink(s: &Enrol<'_>, pose: Pose, turn: f32) -> Rgb888 {
    let along = match pose {
        Pose::Ahead => (turn + FRAC_PI_2).rem_euclid(TAU) / TAU,
        _ => turn.abs() / (FRAC_PI_2 / 2.0),
    };
    let share = s.shares[pose as usize].unwrap_or(0.0);
    match share > 0.0 && along <= share {
        true => SKY,
        false if s.next == Some(pose) => MIST,
        false => INK,
    }
}

/// To which side of the middle a point lies, and how far from that side's own direction, rad.
fn sector(x: f32, y: f32) -> (Pose, f32) {
    let (pose, towards) = match (x.abs() >= y.abs(), x >= 0.0, y >= 0.0) {
        (true, true, _) => (Pose::Right, 0.0),
        (true, false, _) => (Pose::Left, PI),
        (false, _, true) => (Pose::Down, FRAC_PI_2),
        (false, _, false) => (Pose::Up, -FRAC_PI_2),
    };
    let turn = y.atan2(x) - towards;
    (pose, if turn < -PI { turn + TAU } else { turn })
}

/// What of the frame is in the ring, as in a mirror: a square of 5/6 of its shorter side.
fn seen(frame: &RgbImage, reach: Reach, side: usize) -> Option<RgbImage> {
    let part = (frame.width().min(frame.height()) * 5 / 6).max(1);
    let left = (frame.width() - part) / 2;
    let top = match reach {
        Reach::Standing => (frame.height() - part) / 2,
        Reach::Low => frame.height() - part,
    };
    let rows =
        (top..top + part).flat_map(|y| frame.view().row(y)[left * 3..(left + part) * 3].iter().copied());
    let cut = RgbImage::new(part, part, rows.collect()).ok()?;
    Some(scale::resize(&cut, side, side).ok()?.mirrored())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Language;
    use crate::display::canvas::Canvas;
    use limen_models::quality::Reason;

    #[test]
    fn arcs_lie_where_one_looks() {
        let side = |x, y| sector(x, y).0;
        assert_eq!(
            [side(1.0, 0.5), side(-1.0, 0.5), side(0.5, -1.0), side(0.5, 1.0)],
            [Pose::Right, Pose::Left, Pose::Up, Pose::Down]
        );
        // On both sides of where the angle jumps.
        for y in [-0.1, 0.1] {
            assert!((sector(-1.0, y).1.abs() - 0.0997).abs() < 1e-3, "{:?}", sector(-1.0, y));
        }
    }

    #[test]
    fn the_ring_and_its_part_of_the_picture_lie_lower_for_those_who_sit() {
        let (standing, low) =
            (rooms(Size::new(320, 480), Reach::Standing), rooms(Size::new(320, 480), Reach::Low));
        let room = |y, h| Rectangle::new(Point::new(0, y), Size::new(320, h));
        assert_eq!((standing, low), ((room(0, 320), room(320, 160)), (room(160, 320), room(0, 160))));
        // Rows 0 to 11 of a picture 12 px high: 10 of them, without the first and the last, or the last ten. Mirrored.
        let data = (0..12u8).flat_map(|y| (0..12u8).flat_map(move |x| [y, x, 0])).collect();
        let frame = RgbImage::new(12, 12, data).unwrap();
        let corner = |reach| seen(&frame, reach, 10).unwrap().pixel(0, 0);
        assert_eq!((corner(Reach::Standing), corner(Reach::Low)), ([1, 10, 0], [2, 10, 0]));
    }

    #[test]
    fn the_key_is_beside_the_ring() {
        for (width, height) in [(240u32, 240u32), (320, 480), (800, 480)] {
            let size = Size::new(width, height);
            let (square, _) = rooms(size, Reach::Standing);
            let (key, middle) = (place(size), square.center());
            let near = Point::new(key.top_left.x, key.top_left.y + key.size.height as i32 - 1) - middle;
            let outer = square.size.height as f32 / 2.0 - 0.5 * Metrics::of(size).unit;
            assert!((near.x as f32).hypot(near.y as f32) >= outer, "{size:?} {near:?} {outer}");
            assert_eq!(hit(size, (key.center().x as u32, key.center().y as u32)), Some(0));
        }
    }

    #[test]
    fn no_hint_is_cut_on_the_smallest_panel() {
        let reasons =
            [Reason::TooSmall, Reason::TurnedAway, Reason::Misaligned, Reason::LowContrast, Reason::TooDark];
        let hints = Pose::ALL.map(Hint::Look).into_iter().chain(reasons.map(Hint::Improve));
        for hint in hints.chain([Hint::OneAtATime, Hint::Anew]) {
            for code in ["en", "de", "es", "zh"] {
                let language = Language::open(&code.parse().unwrap(), &Default::default()).unwrap();
                // Beside the key, on the bar above a low ring.
                let room = (240.0 - place(Size::new(240, 240)).size.width as f32 - 12.0, 36.0);
                let said = language.words.look(hint);
                let fitted = text::fit_block(said, room, (13.0, 26.0), &language.fonts.bold);
                assert!(!fitted.lines.concat().contains('…') && fitted.height() <= 36.0, "{code}: {said}");
            }
        }
    }

    #[test]
    fn a_frame_smaller_than_anything_is_drawn() {
        let frame = RgbImage::filled(1, 1, [9; 3]).unwrap();
        let s = Enrol {
            frame: Some(&frame),
            reach: Reach::Low,
            shares: [Some(0.4), None, Some(1.0), None, Some(2.0)],
            next: None,
            hint: "x".into(),
            is_focused: true,
        };
        for (width, height) in [(1, 1), (3, 200), (200, 3)] {
            let mut canvas = Canvas::new(width, height).unwrap();
            let Ok(()) = draw(&s, &Fonts::built_in(), &mut canvas);
        }
    }
}
