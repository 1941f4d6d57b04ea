//! Something is wrong with the door: a bell, what it is and what a person can do.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{CORAL, WINE};
use crate::display::words::Said;
use crate::doorway;

/// A door that was forced, or stands open too long, or a housing that was opened.
#[derive(Clone)]
pub struct Alarm {
    /// Large words.
    pub title: String,
    /// What to do about it.
    pub text: String,
}

impl Alarm {
    /// With the words for `alarm`.
    pub fn new(words: &Words, alarm: doorway::Alarm) -> Self {
        let Said { title, text } = words.alarm(alarm).clone();
        Self { title, text }
    }
}

pub(super) fn draw<D>(s: &Alarm, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (headline, text) = (&s.title, &s.text);
    let notice = Notice { icon: Icon::Bell, sign: CORAL, back: WINE, kicker: "", headline, text, note: "" };
    notice::draw(&notice, fonts, target)
}
