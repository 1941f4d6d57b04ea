//! Somebody is there: the camera's picture, a box with a name on each face, and one hint.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;
use limen_models::geometry::BBox;
use limen_models::image::RgbImage;

use crate::display::fonts::Fonts;
use crate::display::overlay::{self, Tag};
use crate::display::scale;
use crate::display::text::{self, Align, CAP, Fitted, Style};
use crate::display::theme::{Metrics, NIGHT, SKY, SNOW};

/// What the camera sees.
#[derive(Clone)]
pub struct Live<'a> {
    /// The frame; its middle fills the panel.
    pub frame: &'a RgbImage,
    /// The faces in it, drawn in this order.
    pub faces: Vec<FaceMark<'a>>,
    /// What the person should do; empty for nothing.
    pub hint: String,
}

/// One face.
#[derive(Clone, Copy)]
pub struct FaceMark<'a> {
    /// Where, in px of the frame.
    pub bbox: BBox,
    /// Name, or a word such as "unknown"; may be empty.
    pub name: &'a str,
    /// Similarity, -1 to 1.
    pub score: Option<f32>,
    /// The identity's colour.
    pub colour: [u8; 3],
}

pub(super) fn draw<D>(s: &Live<'_>, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let area = target.bounding_box();
    let m = Metrics::of(area.size);
    let bar = if s.hint.trim().is_empty() { 0 } else { (3.4 * m.unit) as u32 };
    let picture = Size::new(area.size.width, area.size.height.saturating_sub(bar));
    // A panel without room for a picture shows its hint alone.
    if let Ok((mut view, place)) = scale::cover(s.frame, picture.width as usize, picture.height as usize) {
        for face in &s.faces {
            let tag = Tag { name: face.name, score: face.score };
            overlay::draw_face(&mut view, &place.place(&face.bbox), tag, face.colour, &fonts.bold);
        }
        let pixels = view.data().chunks_exact(3).map(|p| Rgb888::new(p[0], p[1], p[2]));
        target.fill_contiguous(&Rectangle::new(area.top_left, picture), pixels)?;
    }
    if bar == 0 {
        return Ok(());
    }
    let top = area.top_left + Point::new(0, picture.height as i32);
    target.fill_solid(&Rectangle::new(top, Size::new(area.size.width, bar)), NIGHT)?;
    let line = (m.unit / 6.0).max(2.0) as u32;
    target.fill_solid(&Rectangle::new(top, Size::new(area.size.width, line)), SKY)?;
    let hint = fitted(&s.hint, m, fonts);
    let style = Style { size: hint.size, typeface: &fonts.bold, ink: SNOW, on: NIGHT };
    let middle = picture.height as f32 + (bar + line) as f32 / 2.0;
    hint.lines.iter().try_for_each(|l| {
        text::draw(target, l, m.width / 2.0, middle + hint.size * CAP / 2.0, Align::Centre, style)
    })
}

/// The hint on its bar.
fn fitted(hint: &str, m: Metrics, fonts: &Fonts) -> Fitted {
    text::fit_line(hint, m.width - 2.0 * m.unit, (1.3 * m.unit, 1.8 * m.unit), &fonts.bold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Request;
    use crate::display::Language;
    use limen_models::quality::Reason;

    #[test]
    fn no_built_in_hint_is_cut_on_the_smallest_panel() {
        let reasons: [Reason; Reason::ALL] = [
            Reason::TooSmall,
            Reason::CutOff,
            Reason::TurnedAway,
            Reason::LookingUpOrDown,
            Reason::Leaning,
            Reason::Misaligned,
            Reason::Blurred,
            Reason::TooDark,
            Reason::TooBright,
            Reason::LowContrast,
        ];
        let requests = [Request::Wait, Request::OneAtATime].into_iter();
        for request in requests.chain(reasons.map(Request::Improve)) {
            for code in ["en", "de", "es", "zh"] {
                let language = Language::open(&code.parse().unwrap(), &Default::default()).unwrap();
                let hint = language.words.hint(request);
                let m = Metrics::of(Size::new(240, 240));
                assert_eq!(fitted(hint, m, &language.fonts).lines, [hint]);
            }
        }
    }
}
