//! The keys for a PIN, or for an id: what stands there, what is said of it, and twelve keys as on a telephone.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;

use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::keys::{self, Label, Look};
use crate::display::text::{self, Align, CAP, Style};
use crate::display::theme::{Metrics, NIGHT, SKY, SNOW, Shape};
use crate::menu::Note;
use crate::pin::{LONGEST, SHORTEST};

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// The digits are the PIN.
    Enter,
    /// Takes the last digit away.
    Delete,
    /// Back to the door.
    Close,
}

impl Key {
    /// All of them, in the order in which buttons go through them.
    pub const ALL: [Self; 13] = [
        Self::Digit(1),
        Self::Digit(2),
        Self::Digit(3),
        Self::Digit(4),
        Self::Digit(5),
        Self::Digit(6),
        Self::Digit(7),
        Self::Digit(8),
        Self::Digit(9),
        Self::Digit(0),
        Self::Enter,
        Self::Delete,
        Self::Close,
    ];
}

/// What stands above the keys.
#[derive(Clone, PartialEq, Eq)]
pub enum Typed {
    /// So many digits of a PIN, up to [`LONGEST`]; which they are is not shown.
    Hidden(usize),
    /// What everybody may read.
    Shown(String),
}

/// What is asked, and how far it is.
#[derive(Clone)]
pub struct PinPad {
    /// What is asked for, or what came of it.
    pub title: String,
    /// What stands there.
    pub typed: Typed,
    /// Whether the keys for digits do anything.
    pub keys: Look,
    /// The key that the ok button presses.
    pub focus: Option<Key>,
}

impl PinPad {
    /// With the words for `note`.
    pub fn new(words: &Words, typed: usize, note: Note, focus: Option<Key>) -> Self {
        let keys = match note {
            Note::Enter | Note::Wrong { .. } | Note::Choose(_) => Look::Ready,
            Note::Comparing | Note::Locked { .. } => Look::Idle,
        };
        Self { title: words.pin(note), typed: Typed::Hidden(typed), keys, focus }
    }

    /// For the id of a person.
    pub fn id(words: &Words, typed: &str, focus: Option<Key>) -> Self {
        Self {
            title: words.enrol.id.clone(),
            typed: Typed::Shown(typed.to_owned()),
            keys: Look::Ready,
            focus,
        }
    }

    /// Whether it may be entered.
    fn is_long_enough(&self) -> bool {
        match &self.typed {
            Typed::Hidden(digits) => *digits >= SHORTEST,
            Typed::Shown(text) => !text.is_empty(),
        }
    }
}

/// The head above or beside the keys, and the keys' own room.
fn rooms(size: Size) -> (Rectangle, Rectangle) {
    let Size { width, height } = size;
    let head = match Metrics::of(size).shape {
        Shape::Tall if height * 5 > width * 6 => height * 6 / 25,
        Shape::Tall => height / 5,
        Shape::Wide => width * 2 / 5,
    };
    keys::split(size, head)
}

/// Where a key lies on a screen of that size: what is touched, a little more than what is seen.
pub fn place(size: Size, key: Key) -> Rectangle {
    let (head, pad) = rooms(size);
    let (column, row) = match key {
        Key::Digit(0) => (1, 3),
        Key::Digit(digit) => ((u32::from(digit) - 1) % 3, (u32::from(digit) - 1) / 3),
        Key::Delete => (0, 3),
        Key::Enter => (2, 3),
        Key::Close => {
            return match Metrics::of(size).shape {
                Shape::Tall => {
                    let side = head.size.height.min(size.width / 5);
                    let left = (size.width - side) as i32;
                    Rectangle::new(Point::new(left, 0), Size::new(side, side))
                }
                // Below the words, as high as a key.
                Shape::Wide => keys::part(head, (1, 4), (0, 3)),
            };
        }
    };
    keys::part(pad, (3, 4), (column, row))
}

/// Which of [`Key::ALL`] is touched at `at`.
pub fn hit(size: Size, at: (u32, u32)) -> Option<usize> {
    keys::hit(Key::ALL.iter().map(|key| place(size, *key)), at)
}

pub(super) fn draw<D>(s: &PinPad, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(NIGHT)?;
    let size = target.bounding_box().size;
    let u = Metrics::of(size).unit;
    for key in Key::ALL {
        let digit = if let Key::Digit(digit) = key { digit.to_string() } else { String::new() };
        let (label, look) = match key {
            Key::Digit(_) => (Label::Words(&digit), s.keys),
            Key::Delete => (Label::Sign(Icon::Back), s.keys),
            Key::Enter if !s.is_long_enough() => (Label::Sign(Icon::Tick), Look::Idle),
            Key::Enter => (Label::Sign(Icon::Tick), s.keys),
            Key::Close => (Label::Sign(Icon::Cross), Look::Ready),
        };
        let area = place(size, key);
        let largest = (area.size.height as f32 * 0.6).min(area.size.width as f32 * 0.6).min(3.4 * u);
        keys::draw(target, area, (label, look, s.focus == Some(key)), (largest, u), fonts)?;
    }
    head(s, fonts, target, size, u)
}

/// The words, and below them what stands there: of a PIN a dot a digit on the places for all.
fn head<D>(s: &PinPad, fonts: &Fonts, target: &mut D, size: Size, u: f32) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (head, _) = rooms(size);
    let close = place(size, Key::Close);
    let (width, middle, lines) = match Metrics::of(size).shape {
        Shape::Tall => (close.top_left.x as f32, head.size.height as f32 / 2.0, 2.4 * u),
        Shape::Wide => (head.size.width as f32, close.top_left.y as f32 / 2.0, 6.0 * u),
    };
    let room = (width - 1.6 * u, lines);
    let title = text::fit_block(&s.title, room, (1.2 * u, 1.9 * u), &fonts.bold);
    let dots = 1.1 * u;
    let top = middle - (title.height() + 0.5 * u + dots) / 2.0;
    let style = Style { size: 0.0, typeface: &fonts.bold, ink: SNOW, on: NIGHT };
    let below = text::draw_block(target, &title, width / 2.0, top, Align::Centre, style)?;
    let middle = below + 0.5 * u + dots / 2.0;
    let typed = match &s.typed {
        Typed::Hidden(digits) => *digits,
        Typed::Shown(id) => {
            let line = text::fit_line(id, room.0, (u, 2.0 * u), &fonts.bold);
            let style = Style { size: line.size, ink: SKY, ..style };
            let baseline = middle + line.size * CAP / 2.0;
            return line
                .lines
                .iter()
                .try_for_each(|l| text::draw(target, l, width / 2.0, baseline, Align::Centre, style));
        }
    };
    let step = (room.0 / LONGEST as f32).min(2.0 * u);
    let first = width / 2.0 - step * (LONGEST as f32 - 1.0) / 2.0;
    (0..LONGEST).try_for_each(|i| {
        keys::dot(target, (first + step * i as f32, middle), dots.min(0.8 * step), i < typed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Language;
    use crate::menu::Choice;

    const SIZES: [Size; 3] = [Size::new(240, 240), Size::new(320, 480), Size::new(800, 480)];

    #[test]
    fn keys_lie_where_they_were_worked_out() {
        // 240x240: a head of 48 px, rows of 48, columns of 80.
        let place = |key| place(SIZES[0], key);
        let key = |x, y, w, h| Rectangle::new(Point::new(x, y), Size::new(w, h));
        assert_eq!(place(Key::Digit(1)), key(0, 48, 80, 48));
        assert_eq!(place(Key::Digit(6)), key(160, 96, 80, 48));
        assert_eq!(place(Key::Digit(0)), key(80, 192, 80, 48));
        assert_eq!(place(Key::Close), key(192, 0, 48, 48));
        // 800x480: keys from 320 on, rows of 120, columns of 160.
        let place = |key| super::place(SIZES[2], key);
        assert_eq!(place(Key::Digit(1)), key(320, 0, 160, 120));
        assert_eq!(place(Key::Enter), key(640, 360, 160, 120));
        assert_eq!(place(Key::Close), key(0, 360, 320, 120));
        let touched = |x, y| hit(SIZES[2], (x, y)).map(|at| Key::ALL[at]);
        assert_eq!(touched(319, 0), None);
        assert_eq!(touched(320, 0), Some(Key::Digit(1)));
        assert_eq!(touched(799, 479), Some(Key::Enter));
        assert_eq!(touched(800, 480), None);
        assert_eq!(hit(SIZES[2], (u32::MAX, u32::MAX)), None);
    }

    #[test]
    fn no_point_belongs_to_two_keys_and_each_key_is_as_large_as_a_fingertip() {
        for size in SIZES {
            for (i, key) in Key::ALL.into_iter().enumerate() {
                let area = place(size, key);
                assert!(area.size.width >= 44 && area.size.height >= 44, "{key:?} {area:?}");
                assert_eq!(area.intersection(&Rectangle::new(Point::zero(), size)), area, "{key:?}");
                for other in Key::ALL.into_iter().skip(i + 1) {
                    assert!(area.intersection(&place(size, other)).is_zero_sized(), "{key:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_said_is_not_cut_on_the_smallest_panel() {
        let choices = [Choice::First, Choice::Again, Choice::Differs, Choice::Simple].map(Note::Choose);
        let notes = [Note::Enter, Note::Comparing, Note::Wrong { left: 4 }, Note::Locked { left_s: 3600 }];
        for code in ["en", "de", "es", "zh"] {
            let language = Language::open(&code.parse().unwrap(), &Default::default()).unwrap();
            for note in notes.into_iter().chain(choices) {
                let said = language.words.pin(note);
                let fitted = text::fit_block(&said, (192.0 - 16.0, 24.0), (12.0, 19.0), &language.fonts.bold);
                assert_eq!(fitted.lines, [said], "{code}");
            }
        }
    }
}
