//! The door stays shut: a cross, or a question mark for a stranger, and the reason in a sentence.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::decide::Denial;
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{AMBER, CORAL, EARTH, WINE};

/// Somebody may not pass.
#[derive(Clone)]
pub struct Denied {
    /// Large words.
    pub title: String,
    /// Why, and what the person can do.
    pub reason: String,
    /// [`Icon::Question`] for a stranger, who is shown amber; any other sign is shown red.
    pub icon: Icon,
}

impl Denied {
    /// For that reason.
    pub fn new(words: &Words, why: Denial) -> Self {
        let (title, icon) = match why {
            Denial::Unknown => (&words.denied.stranger, Icon::Question),
            _ => (&words.denied.title, Icon::Cross),
        };
        Self { title: title.clone(), reason: words.denial(why).to_owned(), icon }
    }
}

pub(super) fn draw<D>(s: &Denied, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (sign, back) = if s.icon == Icon::Question { (AMBER, EARTH) } else { (CORAL, WINE) };
    let (headline, text) = (&s.title, &s.reason);
    notice::draw(&Notice { icon: s.icon, sign, back, kicker: "", headline, text, note: "" }, fonts, target)
}
