//! What is said and asked of whoever is at the device: a sign, a few words, and keys for the answers.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::Size;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;

use crate::display::Language;
use crate::display::fonts::Fonts;
use crate::display::icon::{self, Icon, Paint};
use crate::display::keys::{self, Label, Look};
use crate::display::text::{self, Align, LINE, Style};
use crate::display::theme::{AMBER, LEAF, Metrics, NIGHT, SKY, SNOW, Shape};
use crate::kiosk::enrol::{Asked, Known, Outcome};

/// Words with keys.
#[derive(Clone)]
pub struct Choice {
    /// The sign before the title.
    pub icon: Icon,
    /// Its colour.
    pub sign: Rgb888,
    /// What it is about.
    pub title: String,
    /// A few sentences.
    pub text: String,
    /// The answers.
    pub keys: Vec<String>,
    /// The answer that the ok button takes.
    pub focus: Option<usize>,
}

impl Choice {
    /// With the words for `asked`. Somebody whose name no font can write is called by the id.
    pub fn new(language: &Language, asked: &Asked, focus: Option<usize>) -> Self {
        let words = &language.words;
        let (icon, sign) = match asked {
            Asked::Person(_) => (Icon::Face, SKY),
            Asked::Consent { .. } => (Icon::Info, SKY),
            Asked::Remove(_) | Asked::Alike | Asked::AlikeTo(_) => (Icon::Warning, AMBER),
            Asked::Told { what: Outcome::Unclear | Outcome::Full | Outcome::Failed, .. } => {
                (Icon::Warning, AMBER)
            }
            Asked::Told { .. } => (Icon::Tick, LEAF),
        };
        let name = match asked {
            Asked::Person(Known { name, id, .. }) | Asked::Remove(Known { name, id, .. }) => (name, id),
            Asked::AlikeTo(Known { name, id, .. }) => (name, id),
            Asked::Consent { id } | Asked::Told { id, .. } => (id, id),
            Asked::Alike => (&String::new(), &String::new()),
        };
        let name = if language.fonts.can_write(name.0) { name.0 } else { name.1 };
        let (title, text) = words.asked(asked, name);
        let keys = asked.keys().iter().map(|key| words.answer(*key).to_owned()).collect();
        Self { icon, sign, title, text, keys, focus }
    }
}

/// Up to so many keys stand beside each other on a tall screen, more of them below each other.
const ABREAST: usize = 2;

/// The room of the words, and that of the keys below or beside them.
fn rooms(size: Size, keys: usize) -> (Rectangle, Rectangle) {
    let words = match Metrics::of(size).shape {
        Shape::Tall if keys <= ABREAST => size.height - size.height / 5,
        Shape::Tall => size.height - (size.height / 7 * keys as u32).min(size.height),
        Shape::Wide => size.width * 2 / 3,
    };
    keys::split(size, words)
}

/// Where key `at` of `keys` lies on a screen of that size.
pub fn place(size: Size, keys: usize, at: usize) -> Rectangle {
    let (_, room) = rooms(size, keys);
    let (n, at) = (keys.max(1) as u32, at as u32);
    match Metrics::of(size).shape {
        Shape::Tall if keys <= ABREAST => keys::part(room, (n, 1), (at, 0)),
        Shape::Tall => keys::part(room, (1, n), (0, at)),
        Shape::Wide => {
            let rows = n.max(4);
            keys::part(room, (1, rows), (0, rows - n + at))
        }
    }
}

/// Which of `keys` is touched at `at`.
pub fn hit(size: Size, keys: usize, at: (u32, u32)) -> Option<usize> {
    keys::hit((0..keys).map(|key| place(size, keys, key)), at)
}

pub(super) fn draw<D>(s: &Choice, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(NIGHT)?;
    let size = target.bounding_box().size;
    let u = Metrics::of(size).unit;
    let (room, _) = rooms(size, s.keys.len());
    let (width, height) = (room.size.width as f32, room.size.height as f32);
    let sign = (2.6 * u).min(height / 3.0);
    let left = 1.6 * u + sign;
    let title = text::fit_block(
        &s.title,
        (width - left - 0.6 * u, (height / 2.0).max(2.0)),
        (1.3 * u, 2.2 * u),
        &fonts.bold,
    );
    let words = (width - 1.6 * u, (height - title.height() - 1.4 * u).max(0.0));
    let body = text::fit_block(&s.text, words, ((1.15 * u).max(10.0), 1.9 * u), &fonts.regular);
    let top = 0.6 * u;
    let paint = Paint { fill: s.sign, ink: NIGHT, on: NIGHT };
    let middle = top + title.size * LINE / 2.0;
    icon::draw(target, s.icon, (0.8 * u + sign / 2.0, middle.max(sign / 2.0)), sign, paint)?;
    let style = |typeface| Style { size: 0.0, typeface, ink: SNOW, on: NIGHT };
    let below = text::draw_block(target, &title, left, top, Align::Left, style(&fonts.bold))?;
    if body.height() <= words.1 {
        // Short words stand in the middle of what is left.
        let space = (words.1 - body.height()).min(1.6 * u) / 2.0;
        text::draw_block(
            target,
            &body,
            0.8 * u,
            below + 0.4 * u + space,
            Align::Left,
            style(&fonts.regular),
        )?;
    }
    for (i, key) in s.keys.iter().enumerate() {
        let area = place(size, s.keys.len(), i);
        let look = (Label::Words(key), Look::Ready, s.focus == Some(i));
        keys::draw(target, area, look, (2.1 * u, u), fonts)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use embedded_graphics::geometry::Point;
    use limen_gallery_db::Standing;

    use super::*;
    use crate::display::Language;

    #[test]
    fn keys_lie_where_they_were_worked_out() {
        let key = |x, y, w, h| Rectangle::new(Point::new(x, y), Size::new(w, h));
        // Two beside each other, a fifth of the height; five below each other, a seventh each: 34 of 240.
        assert_eq!(place(Size::new(240, 240), 2, 1), key(120, 192, 120, 48));
        assert_eq!(place(Size::new(240, 240), 5, 0), key(0, 70, 240, 34));
        assert_eq!(place(Size::new(240, 240), 5, 4), key(0, 206, 240, 34));
        // Beside the words from 533 on: the lower two of four rows, or all of five.
        assert_eq!(place(Size::new(800, 480), 2, 0), key(533, 240, 267, 120));
        assert_eq!(place(Size::new(800, 480), 5, 1), key(533, 96, 267, 96));
        assert_eq!(hit(Size::new(240, 240), 2, (119, 239)), Some(0));
        assert_eq!(hit(Size::new(240, 240), 2, (120, 191)), None);
    }

    /// Nobody agrees to what they cannot read.
    #[test]
    fn nothing_that_is_asked_is_cut_on_the_smallest_panel() {
        let who = || Known {
            id: "123456789012".into(),
            name: "Maximiliane Muster".into(),
            standing: Standing::Suspended,
        };
        let told = |what| Asked::Told { id: who().id, what };
        let all = [
            Asked::Person(who()),
            Asked::Remove(who()),
            Asked::Consent { id: who().id },
            Asked::Alike,
            Asked::AlikeTo(who()),
            told(Outcome::Enrolled(15)),
            told(Outcome::Stands(Standing::Suspended)),
            told(Outcome::Stands(Standing::Active)),
            told(Outcome::Removed),
            told(Outcome::Unclear),
            told(Outcome::Full),
            told(Outcome::Failed),
        ];
        for code in ["en", "de", "es", "zh"] {
            let language = Language::open(&code.parse().unwrap(), &Default::default()).unwrap();
            for asked in &all {
                let s = Choice::new(&language, asked, None);
                let (room, _) = rooms(Size::new(240, 240), s.keys.len());
                let (width, height) = (room.size.width as f32, room.size.height as f32);
                let (u, bold) = (10.0, &language.fonts.bold);
                let sign = 26f32.min(height / 3.0);
                let title =
                    text::fit_block(&s.title, (width - 22.0 - sign, height / 2.0), (13.0, 22.0), bold);
                let words = (width - 1.6 * u, height - title.height() - 1.4 * u);
                let body = text::fit_block(&s.text, words, (11.5, 19.0), &language.fonts.regular);
                for line in title.lines.iter().chain(&body.lines) {
                    assert!(!line.contains('…'), "{code}: {line}");
                }
                assert!(body.height() <= words.1, "{code}: {}", s.text);
                for (i, key) in s.keys.iter().enumerate() {
                    let area = place(Size::new(240, 240), s.keys.len(), i);
                    let line = text::fit_line(key, area.size.width as f32 - 10.0, (9.0, 21.0), bold);
                    assert_eq!(line.lines.concat(), *key, "{code}");
                }
            }
        }
    }
}
