//! The common form of all screens without a clock or a picture: a large sign and a few words.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use crate::display::fonts::{Fonts, Typeface};
use crate::display::icon::{self, Icon, Paint};
use crate::display::text::{self, Align, Fitted, Style};
use crate::display::theme::{MIST, Metrics, SNOW, Shape};
use crate::display::{canvas, palette};

/// What stands on it; empty words take no room.
pub(super) struct Notice<'a> {
    pub icon: Icon,
    /// Colour of the sign and of `kicker`.
    pub sign: Rgb888,
    /// Background.
    pub back: Rgb888,
    /// Small line above the headline.
    pub kicker: &'a str,
    /// The large words.
    pub headline: &'a str,
    /// A sentence below.
    pub text: &'a str,
    /// A small line at the bottom edge.
    pub note: &'a str,
}

pub(super) fn draw<D>(n: &Notice<'_>, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(n.back)?;
    let m = Metrics::of(target.bounding_box().size);
    let u = m.unit;
    let foot = if n.note.trim().is_empty() { 0.0 } else { 2.4 * u };
    let room = m.height - foot;
    let words = |width: f32, height: f32, large: f32| Lines::fit(n, fonts, u, (width, height), large);
    match m.shape {
        Shape::Tall => {
            // A square panel has no height to spare for the sign.
            let sign = u * if m.height > 1.2 * m.width { 11.0 } else { 8.0 };
            let gap = 1.1 * u;
            let words = words(m.width - 2.4 * u, room - sign - gap - 2.0 * u, 3.6);
            let top = (room - sign - gap - words.height(u)) / 2.0;
            sign_at(n, target, (m.width / 2.0, top + sign / 2.0), sign)?;
            words.draw(n, u, target, m.width / 2.0, top + sign + gap, Align::Centre)?;
        }
        Shape::Wide => {
            let sign = 11.0 * u;
            let left = 3.0 * u + sign + 2.6 * u;
            let words = words(m.width - left - 2.0 * u, room - 3.0 * u, 4.0);
            sign_at(n, target, (3.0 * u + sign / 2.0, room / 2.0), sign)?;
            words.draw(n, u, target, left, (room - words.height(u)) / 2.0, Align::Left)?;
        }
    }
    let note = text::fit_line(n.note, m.width - 1.6 * u, (u.max(10.0), (1.35 * u).max(11.0)), &fonts.regular);
    let style = Style { size: note.size, typeface: &fonts.regular, ink: MIST, on: n.back };
    note.lines
        .iter()
        .try_for_each(|l| text::draw(target, l, m.width / 2.0, m.height - 1.3 * u, Align::Centre, style))
}

fn sign_at<D>(n: &Notice<'_>, target: &mut D, centre: (f32, f32), diameter: f32) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    // White on a bright sign is hard to read: there the mark is cut out of it.
    let bright = palette::ink_on(canvas::bytes(n.sign)) == [0; 3];
    let ink = if bright { n.back } else { SNOW };
    icon::draw(target, n.icon, centre, diameter, Paint { fill: n.sign, ink, on: n.back })
}

/// The three texts fitted to their room.
struct Lines<'a> {
    fonts: &'a Fonts,
    kicker: Fitted,
    headline: Fitted,
    text: Fitted,
}

impl<'a> Lines<'a> {
    /// The headline may take three small lines; the sentence gets the rest of the height.
    fn fit(n: &Notice<'_>, fonts: &'a Fonts, u: f32, (width, height): (f32, f32), large: f32) -> Self {
        let small = (1.35 * u).max(10.0);
        let kicker = text::fit_line(n.kicker, width, (small, 2.0 * u), &fonts.bold);
        let left = height - kicker.height();
        let headline = headline(n.headline, (width, (left * 0.7).min(8.2 * u)), u, large, &fonts.bold);
        let left = left - headline.height() - gap(&headline, u);
        let text = text::fit_block(n.text, (width, left), (small, 2.1 * u), &fonts.regular);
        Self { fonts, kicker, headline, text }
    }

    fn height(&self, u: f32) -> f32 {
        let space = if self.text.lines.is_empty() { 0.0 } else { gap(&self.headline, u) };
        self.kicker.height() + self.headline.height() + space + self.text.height()
    }

    fn draw<D>(
        &self,
        n: &Notice<'_>,
        u: f32,
        target: &mut D,
        x: f32,
        top: f32,
        align: Align,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color = Rgb888>,
    {
        let style = |typeface, ink| Style { size: 0.0, typeface, ink, on: n.back };
        let Fonts { regular, bold } = self.fonts;
        let y = text::draw_block(target, &self.kicker, x, top, align, style(bold, n.sign))?;
        let y = text::draw_block(target, &self.headline, x, y, align, style(bold, SNOW))?;
        let y = y + gap(&self.headline, u);
        text::draw_block(target, &self.text, x, y, align, style(regular, SNOW)).map(|_| ())
    }
}

/// On one line if that can be large, else on up to three.
fn headline(words: &str, room: (f32, f32), u: f32, large: f32, bold: &Typeface) -> Fitted {
    let line = text::fit_line(words, room.0, (1.8 * u, large * u), bold);
    if line.size >= 2.5 * u {
        return line;
    }
    text::fit_block(words, room, (1.8 * u, large * u), bold)
}

fn gap(headline: &Fitted, u: f32) -> f32 {
    if headline.lines.is_empty() { 0.0 } else { 0.4 * u }
}
