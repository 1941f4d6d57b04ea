//! Marks on a picture: a box around each face and a tag with name and score, readable on any background.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use limen_models::geometry::BBox;
use limen_models::image::RgbImage;

use super::canvas::{Brush, colour};
use super::fonts::Typeface;
use super::palette;
use super::text::{self, Align, CAP, Style};

/// What stands on a face's tag.
#[derive(Clone, Copy, Default)]
pub struct Tag<'a> {
    /// Name or word; empty with no score draws no tag.
    pub name: &'a str,
    /// Similarity, -1 to 1, shown with two digits.
    pub score: Option<f32>,
}

impl Tag<'_> {
    fn line(&self) -> String {
        match self.score {
            Some(score) if self.name.is_empty() => format!("{score:.2}"),
            Some(score) => format!("{} {score:.2}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// Draws a box of `rgb` around `bbox` and its tag above, else below, else inside it. What lies outside the picture is
/// not drawn; the tag is moved to be inside.
pub fn draw_face(image: &mut RgbImage, bbox: &BBox, tag: Tag<'_>, rgb: [u8; 3], typeface: &Typeface) {
    let (width, height) = (image.width() as i32, image.height() as i32);
    let short = width.min(height);
    let line = (short / 150).clamp(2, 6);
    // Far outside coordinates would overflow below; nothing of them is seen anyway.
    let limit = |v: f32| if v.is_finite() { v.clamp(-30_000.0, 30_000.0).round() as i32 } else { 0 };
    let (x1, y1, x2, y2) = (limit(bbox.x1), limit(bbox.y1), limit(bbox.x2), limit(bbox.y2));
    let mut brush = Brush(image);
    // A dark rim on both sides keeps a bright line visible on a bright wall and a dark one on a dark coat.
    ring(&mut brush, (x1 - 1, y1 - 1, x2 + 1, y2 + 1), 1, [0; 3]);
    ring(&mut brush, (x1, y1, x2, y2), line, rgb);
    ring(&mut brush, (x1 + line, y1 + line, x2 - line, y2 - line), 1, [0; 3]);

    let words = tag.line();
    if words.is_empty() {
        return;
    }
    let size = (short as f32 / 24.0).clamp(13.0, 40.0).floor();
    let pad = (size * 0.35) as i32;
    let tag_height = (size * 1.35) as i32;
    let most = (width - 2 * pad).min(((x2 - x1) * 5 / 2).max(size as i32 * 9));
    let words = fit_tag(&words, tag, most as f32, (size, typeface));
    let tag_width = text::width(&words, size, typeface).ceil() as i32 + 2 * pad;

    let left = x1.min(width - tag_width).max(0);
    let above = y1 - 1 - tag_height;
    let top = if above >= 0 {
        above
    } else if y2 + 1 + tag_height < height {
        y2 + 2
    } else {
        y1.max(0) + line
    };
    let top = top.min(height - tag_height).max(0);
    fill(&mut brush, (left - 1, top - 1, left + tag_width, top + tag_height), [0; 3]);
    fill(&mut brush, (left, top, left + tag_width - 1, top + tag_height - 1), rgb);
    let style = Style { size, typeface, ink: colour(palette::ink_on(rgb)), on: colour(rgb) };
    let baseline = top as f32 + (tag_height as f32 + size * CAP) / 2.0;
    let Ok(()) = text::draw(&mut brush, &words, (left + pad) as f32, baseline, Align::Left, style);
}

/// The tag's line within `most` px: the name is cut and the score is kept.
fn fit_tag(words: &str, tag: Tag<'_>, most: f32, (size, typeface): (f32, &Typeface)) -> String {
    if text::width(words, size, typeface) <= most {
        return words.to_owned();
    }
    let score = tag.score.map(|s| format!(" {s:.2}")).unwrap_or_default();
    let room = most - text::width(&score, size, typeface);
    format!("{}{score}", text::cut(tag.name, room, size, typeface))
}

/// Both corners included.
type Corners = (i32, i32, i32, i32);

/// A frame `line` px thick, growing inwards.
fn ring(brush: &mut Brush<'_>, (x1, y1, x2, y2): Corners, line: i32, rgb: [u8; 3]) {
    let line = line - 1;
    fill(brush, (x1, y1, x2, (y1 + line).min(y2)), rgb);
    fill(brush, (x1, (y2 - line).max(y1), x2, y2), rgb);
    fill(brush, (x1, y1, (x1 + line).min(x2), y2), rgb);
    fill(brush, ((x2 - line).max(x1), y1, x2, y2), rgb);
}

fn fill(brush: &mut Brush<'_>, (x1, y1, x2, y2): Corners, rgb: [u8; 3]) {
    if x2 >= x1 && y2 >= y1 {
        let size = Size::new((x2 - x1 + 1) as u32, (y2 - y1 + 1) as u32);
        let Ok(()) = brush.fill_solid(&Rectangle::new(Point::new(x1, y1), size), colour(rgb));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::fonts::Fonts;
    use proptest::prelude::*;

    const CYAN: [u8; 3] = [0, 255, 255];

    fn grey(w: usize, h: usize) -> RgbImage {
        RgbImage::filled(w, h, [127; 3]).unwrap()
    }

    fn count(im: &RgbImage, rgb: [u8; 3]) -> usize {
        im.data().chunks(3).filter(|p| *p == rgb).count()
    }

    #[test]
    fn the_box_lies_on_its_coordinates_with_dark_rims() {
        let mut im = grey(100, 100);
        let b = BBox { x1: 20.0, y1: 30.0, x2: 59.0, y2: 79.0 };
        draw_face(&mut im, &b, Tag::default(), CYAN, &Fonts::built_in().bold);
        for (x, y) in [(20, 30), (59, 30), (20, 79), (59, 79), (40, 31), (21, 50)] {
            assert_eq!(im.pixel(x, y), CYAN, "{x},{y}");
        }
        for (x, y) in [(19, 29), (60, 80), (22, 32), (40, 32), (57, 50)] {
            assert_eq!(im.pixel(x, y), [0; 3], "{x},{y}");
        }
        for (x, y) in [(18, 50), (40, 50), (61, 50), (40, 82)] {
            assert_eq!(im.pixel(x, y), [127; 3], "{x},{y}");
        }
        // 40x50 px less the 36x46 px inside.
        assert_eq!(count(&im, CYAN), 40 * 50 - 36 * 46);
    }

    #[test]
    fn the_tag_is_above_then_below_then_inside() {
        let tag = Tag { name: "Ann", score: Some(0.876) };
        let first_row = |b: BBox, h: usize| {
            let mut im = grey(200, h);
            draw_face(&mut im, &b, tag, CYAN, &Fonts::built_in().bold);
            // The tag is the only run of more than 8 coloured px right of the box's left line.
            (0..h).find(|y| (0..6).all(|x| im.pixel(24 + x, *y) != [127; 3] && im.pixel(24, *y) == CYAN))
        };
        let b = |y1, y2| BBox { x1: 20.0, y1, x2: 120.0, y2 };
        assert!(first_row(b(60.0, 150.0), 200).unwrap() < 60);
        assert_eq!(first_row(b(2.0, 100.0), 200).unwrap(), 2, "the box's own top line comes first");
        let mut im = grey(200, 200);
        draw_face(&mut im, &b(2.0, 100.0), tag, CYAN, &Fonts::built_in().bold);
        assert_eq!(im.pixel(22, 104), CYAN, "below");
        let mut im = grey(200, 110);
        draw_face(&mut im, &b(2.0, 100.0), tag, CYAN, &Fonts::built_in().bold);
        assert_eq!(im.pixel(22, 8), CYAN, "inside");
    }

    #[test]
    fn a_long_name_is_cut_and_its_score_stays() {
        let name = "Wolfeschlegelsteinhausenbergerdorff";
        let tag = Tag { name, score: Some(0.5) };
        let words = fit_tag(&tag.line(), tag, 150.0, (16.0, &Fonts::built_in().bold));
        assert!(words.ends_with("… 0.50"), "{words}");
        assert!(text::width(&words, 16.0, &Fonts::built_in().bold) <= 150.0);
        assert_eq!(Tag { name: "", score: Some(-0.031) }.line(), "-0.03");
        assert_eq!(Tag { name: "unknown", score: None }.line(), "unknown");
    }

    proptest! {
        #[test]
        fn any_box_on_any_picture_is_drawn_without_a_panic(
            w in 1usize..80, h in 1usize..80,
            (x1, y1, x2, y2) in (-99f32..99.0, -99f32..99.0, -99f32..99.0, -99f32..99.0),
            odd in prop_oneof![Just(0f32), Just(f32::NAN), Just(f32::INFINITY), Just(-1e30)],
        ) {
            let mut im = grey(w, h);
            draw_face(&mut im, &BBox { x1: x1 + odd, y1, x2, y2 }, Tag { name: "Zoë", score: Some(0.4) }, CYAN, &Fonts::built_in().bold);
        }
    }
}
