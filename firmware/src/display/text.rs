//! Anti-aliased text: measured, cut, wrapped and fitted.
//!
//! Sizes are the em in px. Text is blended towards the flat colour it stands on, since a panel cannot be read back.

use ab_glyph::{Font, FontArc, GlyphId, PxScale, PxScaleFont, ScaleFont};
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::Point;
use embedded_graphics::pixelcolor::Rgb888;

use super::canvas::mix;
use super::fonts::Typeface;

/// Distance from baseline to baseline, em.
pub const LINE: f32 = 1.28;
/// Height of a capital, em (Noto Sans: 1462 of 2048).
pub const CAP: f32 = 0.714;

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// Em, px.
    pub size: f32,
    /// Letters.
    pub typeface: &'a Typeface,
    /// Colour of the letters.
    pub ink: Rgb888,
    /// Flat colour they stand on.
    pub on: Rgb888,
}

/// Where a line's given x lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At its beginning.
    Left,
    /// At its middle.
    Centre,
}

/// A piece of text with the size it was fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Lines from the top, at least one unless the text is empty.
    pub lines: Vec<String>,
    /// Em, px.
    pub size: f32,
}

impl Fitted {
    /// From the top of the first line to the bottom of the last, px.
    pub fn height(&self) -> f32 {
        self.lines.len() as f32 * self.size * LINE
    }
}

/// A letter's font, scaled so that one em is `size` px, and its number there.
fn glyph(typeface: &Typeface, letter: char, size: f32) -> Option<(PxScaleFont<&FontArc>, GlyphId)> {
    let (font, id) = typeface.glyph(letter)?;
    let scale = PxScale::from(size * font.height_unscaled() / font.units_per_em()?);
    Some((font.as_scaled(scale), id))
}

/// Width of a line, px.
pub fn width(text: &str, size: f32, typeface: &Typeface) -> f32 {
    text.chars().filter_map(|c| glyph(typeface, c, size)).map(|(font, id)| font.h_advance(id)).sum()
}

/// Draws one line with its baseline at `baseline`. `x` as `align` says.
pub fn draw<D>(
    target: &mut D,
    text: &str,
    x: f32,
    baseline: f32,
    align: Align,
    style: Style<'_>,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let total = width(text, style.size, style.typeface);
    let mut pen = match align {
        Align::Left => x,
        Align::Centre => x - total / 2.0,
    }
    .round();
    // Coverage of the whole line first: neighbours and accents overlap, and each pixel is blended once.
    let left = pen.floor() as i32 - style.size as i32;
    let top = (baseline - 1.2 * style.size).floor() as i32;
    let columns = (total + 2.0 * style.size) as usize + 2;
    let rows = (1.7 * style.size) as usize + 2;
    let mut coverage = vec![0f32; columns * rows];
    for c in text.chars() {
        let Some((font, id)) = glyph(style.typeface, c, style.size) else { continue };
        let glyph = id.with_scale_and_position(font.scale(), ab_glyph::point(pen, baseline.round()));
        pen += font.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        let (gx, gy) = (bounds.min.x as i32 - left, bounds.min.y as i32 - top);
        outline.draw(|px, py, c| {
            let (px, py) = (gx + px as i32, gy + py as i32);
            if px >= 0 && py >= 0 && (px as usize) < columns && (py as usize) < rows {
                let cell = &mut coverage[py as usize * columns + px as usize];
                *cell = cell.max(c);
            }
        });
    }
    let pixels = coverage.iter().enumerate().filter(|(_, c)| **c > 0.002).map(|(i, c)| {
        let at = Point::new(left + (i % columns) as i32, top + (i / columns) as i32);
        Pixel(at, mix(style.on, style.ink, *c))
    });
    target.draw_iter(pixels)
}

/// Draws fitted lines from `top` downwards and gives the y below the last.
pub fn draw_block<D>(
    target: &mut D,
    block: &Fitted,
    x: f32,
    top: f32,
    align: Align,
    style: Style<'_>,
) -> Result<f32, D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let step = block.size * LINE;
    for (i, line) in block.lines.iter().enumerate() {
        // Capitals in the middle of the line's height.
        let baseline = top + step * (i as f32 + 0.5) + block.size * CAP / 2.0;
        draw(target, line, x, baseline, align, Style { size: block.size, ..style })?;
    }
    Ok(top + block.height())
}

/// The text, or as much of it as fits `max_width` px with an ellipsis behind it.
pub fn cut(text: &str, max_width: f32, size: f32, typeface: &Typeface) -> String {
    if width(text, size, typeface) <= max_width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let cut = format!("{}…", kept.trim_end());
        if width(&cut, size, typeface) <= max_width {
            return cut;
        }
    }
    "…".to_owned()
}

/// Breaks text into lines of at most `max_width` px, at spaces, behind hyphens and between ideographs; a piece that is too
/// long by itself is broken anywhere.
pub fn wrap(text: &str, max_width: f32, size: f32, typeface: &Typeface) -> Vec<String> {
    wrap_at(text, max_width, size, typeface, breaks)
}

/// The same, but that a line may end only where `may_end` says so of the letters before and behind.
fn wrap_at(
    text: &str,
    max_width: f32,
    size: f32,
    typeface: &Typeface,
    may_end: fn(char, char) -> bool,
) -> Vec<String> {
    let fits = |s: &str| width(s, size, typeface) <= max_width;
    let mut lines = Vec::new();
    let mut line = String::new();
    for (piece, spaced) in pieces(text, may_end) {
        let space = if spaced && !line.is_empty() { " " } else { "" };
        let longer = format!("{line}{space}{piece}");
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in piece.chars() {
            line.push(c);
            if !fits(&line) && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// What stays together on a line, and whether a space stands before it.
fn pieces(text: &str, may_end: fn(char, char) -> bool) -> impl Iterator<Item = (&str, bool)> {
    text.split_whitespace().flat_map(move |word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let ends =
                rest.char_indices().zip(rest.chars().skip(1)).find(|((_, c), next)| may_end(*c, *next));
            let (piece, left) = rest.split_at(ends.map_or(rest.len(), |((at, c), _)| at + c.len_utf8()));
            rest = left;
            (!piece.is_empty()).then_some(piece)
        })
        .enumerate()
        .map(|(i, piece)| (piece, i == 0))
    })
}

/// What no line begins with.
const STOPS: &str = "，。、：；！？）》」』】·";

/// Whether a line may end between two letters: behind a hyphen, and on both sides of an ideograph, but not before a stop.
fn breaks(before: char, after: char) -> bool {
    let ideograph = |c| ('\u{2e80}'..='\u{9fff}').contains(&c) || ('\u{f900}'..='\u{ffef}').contains(&c);
    before == '-' || (ideograph(before) || ideograph(after)) && !STOPS.contains(after)
}

/// Whether a clause ends there, which is better.
fn ends_clause(before: char, after: char) -> bool {
    before == '-' || STOPS.contains(before) && !STOPS.contains(after)
}

/// One line as large as `sizes` allows within `max_width` px; cut with an ellipsis at the smallest size.
pub fn fit_line(text: &str, max_width: f32, (smallest, largest): (f32, f32), typeface: &Typeface) -> Fitted {
    let natural = width(text, largest, typeface).max(1e-3);
    // Widths grow in proportion to the size.
    let size = (largest * (max_width / natural).min(1.0)).max(smallest).floor();
    let lines = if text.trim().is_empty() { vec![] } else { vec![cut(text, max_width, size, typeface)] };
    Fitted { lines, size }
}

/// A paragraph as large as `sizes` allows within `max_width` x `max_height` px, without breaking words if a size of the
/// range can; at the smallest size what does not fit is cut with an ellipsis.
pub fn fit_block(
    text: &str,
    (max_width, max_height): (f32, f32),
    (smallest, largest): (f32, f32),
    typeface: &Typeface,
) -> Fitted {
    let mut size = largest.floor().max(1.0);
    loop {
        let lines = wrap(text, max_width, size, typeface);
        let whole = pieces(text, breaks).all(|(p, _)| width(p, size, typeface) <= max_width);
        let fitted = Fitted { lines, size };
        if whole && fitted.height() <= max_height {
            let clauses = wrap_at(text, max_width, size, typeface, ends_clause);
            let better = clauses != fitted.lines && clauses.len() == fitted.lines.len();
            let even = || balanced(text, max_width, fitted.lines, size, typeface);
            return Fitted { lines: if better { clauses } else { even() }, size };
        }
        if size <= smallest {
            return shorten(fitted, max_width, max_height, typeface);
        }
        size -= 1.0;
    }
}

/// The same number of lines with words moved down, until the last is at least half as long as the longest.
fn balanced(
    text: &str,
    max_width: f32,
    mut lines: Vec<String>,
    size: f32,
    typeface: &Typeface,
) -> Vec<String> {
    for percent in (50..100).rev().step_by(3) {
        let widths = lines.iter().map(|l| width(l, size, typeface));
        let (longest, last) = widths.fold((0f32, 0f32), |(longest, _), w| (longest.max(w), w));
        if last * 2.0 >= longest {
            break;
        }
        let narrower = wrap(text, max_width * percent as f32 / 100.0, size, typeface);
        if narrower.len() != lines.len() {
            break;
        }
        lines = narrower;
    }
    lines
}

/// Keeps the lines that fit the height, at least one, and ends the last with an ellipsis if any was dropped.
fn shorten(mut block: Fitted, max_width: f32, max_height: f32, typeface: &Typeface) -> Fitted {
    let room = ((max_height / (block.size * LINE)) as usize).max(1);
    if block.lines.len() > room {
        block.lines.truncate(room);
        if let Some(last) = block.lines.last_mut() {
            let mut kept = std::mem::take(last);
            while !kept.is_empty() && width(&format!("{kept}…"), block.size, typeface) > max_width {
                kept.pop();
            }
            *last = format!("{}…", kept.trim_end());
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::display::canvas::Canvas;
    use crate::display::fonts::Fonts;
    use embedded_graphics::pixelcolor::{RgbColor, WebColors};
    use proptest::prelude::*;

    static FONTS: LazyLock<Fonts> = LazyLock::new(Fonts::built_in);

    fn style() -> Style<'static> {
        Style { size: 40.0, typeface: &FONTS.bold, ink: Rgb888::WHITE, on: Rgb888::BLACK }
    }

    fn ink(text: &str) -> Vec<u8> {
        let mut c = Canvas::new(120, 60).unwrap();
        draw(&mut c, text, 10.0, 45.0, Align::Left, style()).unwrap();
        c.into_image().into_data()
    }

    #[test]
    fn accents_are_drawn() {
        let (plain, umlaut) = (ink("u"), ink("ü"));
        let lit = |v: &[u8]| v.iter().filter(|b| **b > 128).count();
        assert!(lit(&umlaut) > lit(&plain) + 50);
    }

    #[test]
    fn a_capital_is_as_high_as_the_font_says() {
        let data = ink("H");
        let rows: Vec<usize> =
            (0..60).filter(|y| data[y * 360..(y + 1) * 360].iter().any(|b| *b > 128)).collect();
        // 0.714 * 40 = 28.6 px above the baseline at row 45.
        assert_eq!((rows[0], rows[rows.len() - 1]), (16, 44));
    }

    #[test]
    fn letters_blend_between_ink_and_ground_only() {
        let on = Rgb888::CSS_DARK_SLATE_BLUE;
        let mut c = Canvas::new(120, 60).unwrap();
        c.clear(on).unwrap();
        draw(&mut c, "ög", 60.0, 40.0, Align::Centre, Style { on, ..style() }).unwrap();
        let im = c.into_image();
        assert!(im.data().chunks(3).all(|p| p[0] >= on.r() && p[1] >= on.g() && p[2] >= on.b()));
        assert!(im.data().chunks(3).any(|p| p == [255; 3]));
    }

    #[test]
    fn long_lines_are_cut_with_an_ellipsis() {
        let full = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff";
        let short = cut(full, 200.0, 20.0, &FONTS.bold);
        assert!(short.ends_with('…') && short.len() < full.len());
        assert!(width(&short, 20.0, &FONTS.bold) <= 200.0);
        assert_eq!(cut("Ann", 200.0, 20.0, &FONTS.bold), "Ann");
        assert_eq!(cut("Ann", 1.0, 20.0, &FONTS.bold), "…");
    }

    #[test]
    fn a_line_shrinks_before_it_is_cut() {
        let f = fit_line("Maximilian", 120.0, (14.0, 60.0), &FONTS.bold);
        assert_eq!(f.lines, ["Maximilian"]);
        assert!(f.size < 60.0 && width("Maximilian", f.size, &FONTS.bold) <= 120.0);
        let f = fit_line("Ann", 500.0, (14.0, 60.0), &FONTS.bold);
        assert_eq!(f.size, 60.0);
        assert!(fit_line("Maximilian", 30.0, (14.0, 60.0), &FONTS.bold).lines[0].ends_with('…'));
        assert!(fit_line(" ", 30.0, (14.0, 60.0), &FONTS.bold).lines.is_empty());
    }

    #[test]
    fn double_names_break_behind_their_hyphen() {
        let long = width("Sophie-Charlotte von", 20.0, &FONTS.bold);
        assert_eq!(
            wrap("Sophie-Charlotte von Preußen", long, 20.0, &FONTS.bold),
            ["Sophie-Charlotte von", "Preußen"]
        );
        let short = width("Sophie-C", 20.0, &FONTS.bold);
        assert_eq!(wrap("Sophie-Carl", short, 20.0, &FONTS.bold), ["Sophie-", "Carl"]);
    }

    #[test]
    fn ideographs_break_anywhere_but_before_a_stop() {
        let words = "您的通行权限已过期，请联系管理员。";
        let nine = width("您的通行权限已过期", 20.0, &FONTS.bold);
        assert_eq!(wrap(words, nine, 20.0, &FONTS.bold), ["您的通行权限已过", "期，请联系管理员。"]);
        let f = fit_block(words, (nine, 60.0), (10.0, 20.0), &FONTS.bold);
        assert_eq!((f.size, f.lines.len()), (20.0, 2));
        let f = fit_block("未经许可开门，请把门关好。", (nine, 60.0), (10.0, 20.0), &FONTS.bold);
        assert_eq!(f.lines, ["未经许可开门，", "请把门关好。"]);
        assert_eq!(wrap("演示 DEMO", 80.0, 20.0, &FONTS.bold), ["演示", "DEMO"]);
    }

    #[test]
    fn no_word_is_left_alone_where_lines_can_be_even() {
        let words = "one two three four five six seven";
        let width = width("one two three four five six", 20.0, &FONTS.regular);
        let f = fit_block(words, (width, 80.0), (20.0, 20.0), &FONTS.regular);
        assert_eq!(wrap(words, width, 20.0, &FONTS.regular)[1], "seven");
        assert_eq!(f.lines, ["one two three four", "five six seven"]);
    }

    #[test]
    fn a_paragraph_that_cannot_fit_says_that_more_was_meant() {
        let f = fit_block(&"word ".repeat(50), (100.0, 50.0), (16.0, 30.0), &FONTS.regular);
        assert_eq!((f.size, f.lines.len()), (16.0, 2));
        assert!(f.lines[1].ends_with('…'));
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_lose_nothing(text in "[a-zA-Zäß -]{0,80}", max in 30f32..300.0) {
            let lines = wrap(&text, max, 16.0, &FONTS.regular);
            for line in &lines {
                prop_assert!(width(line, 16.0, &FONTS.regular) <= max, "{line}");
            }
            let squeeze = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }

        #[test]
        fn any_text_fits_any_room_without_a_panic(text in any::<String>(), w in 0f32..200.0, h in 0f32..100.0) {
            let f = fit_block(&text, (w, h), (10.0, 24.0), &FONTS.regular);
            let mut c = Canvas::new(50, 50).unwrap();
            draw_block(&mut c, &f, 5.0, -3.0, Align::Centre, style()).unwrap();
            let _ = fit_line(&text, w, (10.0, 24.0), &FONTS.bold);
        }
    }
}
