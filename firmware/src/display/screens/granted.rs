//! The door opens: a tick, a greeting and the name.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
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
    /// With the usual words.
    pub fn new(name: impl Into<String>) -> Self {
        Self { greeting: "Welcome".into(), name: name.into(), detail: "The door is open".into() }
    }
}

pub(super) fn draw<D>(s: &Granted, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (kicker, headline, text) = (&s.greeting, &s.name, &s.detail);
    notice::draw(
        &Notice { icon: Icon::Tick, sign: LEAF, back: FOREST, kicker, headline, text, note: "" },
        target,
    )
}
