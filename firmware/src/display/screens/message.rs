//! A word for whoever reads it: a sign, a title and a sentence.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{NIGHT, SKY};

/// Starting up, a question, a notice.
#[derive(Clone)]
pub struct Message {
    /// The sign.
    pub icon: Icon,
    /// Large words.
    pub title: String,
    /// A sentence; may be empty.
    pub text: String,
}

pub(super) fn draw<D>(s: &Message, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (icon, headline, text) = (s.icon, &s.title, &s.text);
    notice::draw(
        &Notice { icon, sign: SKY, back: NIGHT, kicker: "", headline, text, note: "" },
        fonts,
        target,
    )
}
