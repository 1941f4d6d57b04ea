//! Somebody is enrolled: how far it is, what to do now, and a bar with a part for each photograph.

use embedded_graphics::draw_target::{DrawTarget, DrawTargetExt};
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;

use super::notice::{self, Notice};
use crate::decide::Request;
use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::Icon;
use crate::display::theme::{INK, Metrics, NIGHT, SKY};

/// Photographs are being taken.
#[derive(Clone)]
pub struct Enrol {
    /// Small line above the progress.
    pub title: String,
    /// The progress in words.
    pub progress: String,
    /// What to do now.
    pub instruction: String,
    /// Photographs taken.
    pub done: usize,
    /// Photographs wanted.
    pub all: usize,
}

impl Enrol {
    /// `done` of `all` photographs are taken; `request` is what the person should do for the next one, if anything but look.
    pub fn new(words: &Words, (done, all): (usize, usize), request: Option<Request>) -> Self {
        let said = &words.enrol;
        let instruction = request.map_or(said.look.as_str(), |r| words.hint(r)).to_owned();
        Self { title: said.title.clone(), progress: words.progress(done, all), instruction, done, all }
    }
}

pub(super) fn draw<D>(s: &Enrol, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let (kicker, headline, text) = (&s.title, &s.progress, &s.instruction);
    let notice = Notice { icon: Icon::Face, sign: SKY, back: NIGHT, kicker, headline, text, note: "" };
    let size = target.bounding_box().size;
    let height = Metrics::of(size).unit as u32;
    target.clear(NIGHT)?;
    let above = Size::new(size.width, size.height - height);
    notice::draw(&notice, fonts, &mut target.cropped(&Rectangle::new(Point::zero(), above)))?;
    // More parts than that could not be told apart.
    let parts = s.all.clamp(1, 24) as u32;
    let done = s.done.saturating_mul(parts as usize) / s.all.max(1);
    let edge = |i: u32| size.width * i / parts;
    let gap = (height / 5).max(1);
    (0..parts).try_for_each(|i| {
        let part = Rectangle::new(
            Point::new(edge(i) as i32, size.height as i32 - height as i32),
            Size::new((edge(i + 1) - edge(i)).saturating_sub(gap), height),
        );
        target.fill_solid(&part, if (i as usize) < done { SKY } else { INK })
    })
}
