//! The door opens: a tick, a greeting and the name.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{FOREST, LEAF};

/// Somebody may pass.
#[derive(Clone)]
pub struct Granted {
    /// Small line above the name.
    pub greeting: String,
    /// Who.
    pub name: String,
    /// Sentence below.
    pub detail: String,
}

impl Granted {
    /// For whoever has that name.
    pub fn new(words: &Words, name: impl Into<String>) -> Self {
        let said = &words.granted;
        Self { greeting: said.greeting.clone(), name: name.into(), detail: said.state.clone() }
    }
}

pub(super) fn draw<D>(s: &Granted, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (kicker, headline, text) = (&s.greeting, &s.name, &s.detail);
    notice::draw(
        &Notice { icon: Icon::Tick, sign: LEAF, back: FOREST, kicker, headline, text, note: "" },
        fonts,
        target,
    )
}
