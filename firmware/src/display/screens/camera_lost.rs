//! The camera gives no pictures: a camera struck out, and what a person can do instead.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::pixelcolor::Rgb888;

use super::notice::{self, Notice};
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{AMBER, EARTH};
use crate::display::words::Said;

/// Nobody can be recognised.
#[derive(Clone)]
pub struct CameraLost {
    /// Large words.
    pub title: String,
    /// What to do instead.
    pub text: String,
}

impl CameraLost {
    /// With the words of that language.
    pub fn new(words: &Words) -> Self {
        let Said { title, text } = words.camera_lost.clone();
        Self { title, text }
    }
}

pub(super) fn draw<D>(s: &CameraLost, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (headline, text) = (&s.title, &s.text);
    let notice =
        Notice { icon: Icon::NoCamera, sign: AMBER, back: EARTH, kicker: "", headline, text, note: "" };
    notice::draw(&notice, fonts, target)
}
