//! The plots' letters: Noto Sans, how wide a text is and the outlines of its letters.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, OutlineCurve};

/// Thickness of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Ordinary.
    Regular,
    /// Headings.
    Bold,
}

/// The built-in font; a test reads both, so that `None` (which would draw no text) does not happen.
fn font(weight: Weight) -> Option<&'static FontRef<'static>> {
    static REGULAR: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    static BOLD: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    let (cell, bytes) = match weight {
        Weight::Regular => (&REGULAR, notosans::REGULAR_TTF),
        Weight::Bold => (&BOLD, notosans::BOLD_TTF),
    };
    cell.get_or_init(|| FontRef::try_from_slice(bytes).ok()).as_ref()
}

/// One step of a letter's outline, px from the left end of the text's base line, y down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A new contour begins.
    Move([f32; 2]),
    /// Straight on.
    Line([f32; 2]),
    /// A quadratic curve: control point, end.
    Quad([f32; 2], [f32; 2]),
    /// A cubic curve: two control points, end.
    Cubic([f32; 2], [f32; 2], [f32; 2]),
}

/// Width of `text` with an em of `size` px, px.
pub fn width(text: &str, size: f32, weight: Weight) -> f32 {
    layout(text, size, weight, |_, _, _, _| {})
}

/// The outlines of `text` with an em of `size` px.
pub fn outlines(text: &str, size: f32, weight: Weight) -> Vec<Step> {
    let mut steps = Vec::new();
    layout(text, size, weight, |font, glyph, left, scale| {
        let Some(outline) = font.outline(glyph) else { return };
        let at = |p: ab_glyph::Point| [left + p.x * scale, -p.y * scale];
        let mut last = None;
        for curve in outline.curves {
            let (from, step, to) = match curve {
                OutlineCurve::Line(a, b) => (a, Step::Line(at(b)), b),
                OutlineCurve::Quad(a, c, b) => (a, Step::Quad(at(c), at(b)), b),
                OutlineCurve::Cubic(a, c, d, b) => (a, Step::Cubic(at(c), at(d), at(b)), b),
            };
            if last != Some(from) {
                steps.push(Step::Move(at(from)));
            }
            steps.push(step);
            last = Some(to);
        }
    });
    steps
}

/// Walks over the letters: `each(font, glyph, left px, px per font unit)`; gives the width in px.
fn layout(
    text: &str,
    size: f32,
    weight: Weight,
    mut each: impl FnMut(&FontRef<'static>, ab_glyph::GlyphId, f32, f32),
) -> f32 {
    let Some(font) = font(weight) else { return 0.0 };
    let scale = size / font.units_per_em().unwrap_or(1000.0);
    let (mut x, mut last) = (0.0, None);
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let glyph = font.glyph_id(c);
        if let Some(last) = last {
            x += scale * font.kern_unscaled(last, glyph);
        }
        each(font, glyph, x, scale);
        x += scale * font.h_advance_unscaled(glyph);
        last = Some(glyph);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fonts_are_read_and_width_grows_with_text_and_size() {
        for weight in [Weight::Regular, Weight::Bold] {
            let w = width("loss", 10.0, weight);
            assert!(w > 10.0 && w < 40.0, "{w}");
            assert!((width("loss", 20.0, weight) - 2.0 * w).abs() < 1e-3);
            assert!((width("lossloss", 10.0, weight) - 2.0 * w).abs() < 1.0);
        }
    }

    #[test]
    fn a_letter_stands_on_the_base_line() {
        // H has one contour, straight lines only, from the base line up: no y below it.
        let steps = outlines("H", 100.0, Weight::Regular);
        let ys: Vec<f32> = steps
            .iter()
            .filter_map(|s| if let Step::Line(p) | Step::Move(p) = s { Some(p[1]) } else { None })
            .collect();
        assert_eq!(ys.len(), steps.len(), "straight lines only");
        let (low, high) = ys.iter().fold((0f32, 0f32), |(l, h), y| (l.min(*y), h.max(*y)));
        assert!(high.abs() < 0.5 && (60.0..80.0).contains(&-low), "{low} {high}");
        // o has an outer and an inner contour.
        assert_eq!(
            outlines("o", 10.0, Weight::Bold).iter().filter(|s| matches!(s, Step::Move(_))).count(),
            2
        );
    }
}
