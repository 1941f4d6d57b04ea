//! The device cannot do its work: a warning, what is wrong and what a person can do instead.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{AMBER, EARTH};
use crate::display::words::Said;

/// Model refused, gallery damaged, a relay that does not obey.
#[derive(Clone)]
pub struct OutOfOrder {
    /// Large words.
    pub title: String,
    /// What to do instead.
    pub text: String,
    /// For the technician, small at the bottom edge.
    pub note: String,
}

impl OutOfOrder {
    /// `note` is for the technician.
    pub fn new(words: &Words, note: impl Into<String>) -> Self {
        let Said { title, text } = words.out_of_order.clone();
        Self { title, text, note: note.into() }
    }
}

pub(super) fn draw<D>(s: &OutOfOrder, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (headline, text, note) = (&s.title, &s.text, &s.note);
    notice::draw(
        &Notice { icon: Icon::Warning, sign: AMBER, back: EARTH, kicker: "", headline, text, note },
        fonts,
        target,
    )
}
