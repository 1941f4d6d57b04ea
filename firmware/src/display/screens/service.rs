//! Somebody works on the device: a cog, and what a person can do instead.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{NIGHT, SKY};
use crate::display::words::Said;

/// Maintenance.
#[derive(Clone)]
pub struct Service {
    /// Large words.
    pub title: String,
    /// What to do instead.
    pub text: String,
}

impl Service {
    /// With the words of that language.
    pub fn new(words: &Words) -> Self {
        let Said { title, text } = words.service.clone();
        Self { title, text }
    }
}

pub(super) fn draw<D>(s: &Service, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (headline, text) = (&s.title, &s.text);
    let notice = Notice { icon: Icon::Cog, sign: SKY, back: NIGHT, kicker: "", headline, text, note: "" };
    notice::draw(&notice, fonts, target)
}
