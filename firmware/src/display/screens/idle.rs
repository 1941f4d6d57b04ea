//! Nobody is there: the time, the date and how to begin.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;
use jiff::civil::DateTime;

use crate::display::Words;
use crate::display::fonts::{Fonts, Typeface};
use crate::display::icon::{self, Icon, Paint};
use crate::display::text::{self, Align, CAP, Fitted, Style};
use crate::display::theme::{MIST, Metrics, NIGHT, SKY, SNOW, Shape};

/// The screen at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The time as it is to be read, `09:41`.
    pub clock: String,
    /// The date as it is to be read.
    pub date: String,
    /// How to begin.
    pub hint: String,
}

impl Idle {
    /// At that moment.
    pub fn new(words: &Words, now: DateTime) -> Self {
        let clock = format!("{:02}:{:02}", now.hour(), now.minute());
        Self { clock, date: words.date(now.date()), hint: words.idle.hint.clone() }
    }
}

const FACE: Paint = Paint { fill: SKY, ink: SKY, on: NIGHT };

pub(super) fn draw<D>(s: &Idle, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(NIGHT)?;
    let m = Metrics::of(target.bounding_box().size);
    let u = m.unit;
    match m.shape {
        Shape::Tall => {
            let (x, width) = (m.width / 2.0, m.width - 2.4 * u);
            let below = when(s, fonts, target, x, 0.9 * u + m.height * 0.16, width, 7.4 * u)?;
            let (above, under) = (below + 1.3 * u, m.height - 4.0 * u);
            let face = (under - above).clamp(3.0 * u, 9.0 * u);
            icon::draw(target, Icon::Face, (x, (above + under) / 2.0), face, FACE)?;
            hint(s, fonts, target, m.height - 2.4 * u, m)
        }
        Shape::Wide => {
            let middle = m.height * 0.42;
            when(s, fonts, target, m.width * 0.36, middle - 1.6 * u, m.width * 0.56, 9.0 * u)?;
            icon::draw(target, Icon::Face, (m.width * 0.8, middle), 9.0 * u, FACE)?;
            hint(s, fonts, target, m.height - 3.2 * u, m)
        }
    }
}

/// Clock and date around `x`, the clock's middle at `y`; gives the y below both.
fn when<D>(
    s: &Idle,
    fonts: &Fonts,
    target: &mut D,
    x: f32,
    y: f32,
    width: f32,
    largest: f32,
) -> Result<f32, D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let clock = text::fit_line(&s.clock, width, (largest / 4.0, largest), &fonts.bold);
    let date = text::fit_line(&s.date, width, (largest / 6.0, largest / 4.2), &fonts.regular);
    line(target, &clock, x, y, &fonts.bold, SNOW)?;
    let y = y + clock.size * CAP / 2.0 + date.size * 1.15;
    line(target, &date, x, y, &fonts.regular, MIST)?;
    Ok(y + date.size * 0.6)
}

/// The hint across the panel, its middle at `y`.
fn hint<D>(s: &Idle, fonts: &Fonts, target: &mut D, y: f32, m: Metrics) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let u = m.unit;
    let hint = text::fit_line(&s.hint, m.width - 2.4 * u, (1.3 * u, 2.0 * u), &fonts.bold);
    line(target, &hint, m.width / 2.0, y, &fonts.bold, SNOW)
}

/// The one line of `fitted`, centred on `x` and the middle of its capitals on `y`.
fn line<D>(
    target: &mut D,
    fitted: &Fitted,
    x: f32,
    y: f32,
    typeface: &Typeface,
    ink: Rgb888,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let style = Style { size: fitted.size, typeface, ink, on: NIGHT };
    fitted
        .lines
        .iter()
        .try_for_each(|l| text::draw(target, l, x, y + fitted.size * CAP / 2.0, Align::Centre, style))
}
