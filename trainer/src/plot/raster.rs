//! A scene as pixels, anti-aliased by tiny-skia.

use anyhow::{Context, Result};
use limen_models::image::RgbImage;
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};

use super::{Anchor, Colour, Dash, Direction, PAPER, Place, Scene, Shape, Text, font};

/// Stroke and gap of a dashed line, px.
pub(super) const DASHES: [f32; 2] = [6.0, 4.0];

/// Draws `scene` with `scale` pixels per px.
pub(super) fn draw(scene: &Scene, scale: f32) -> Result<RgbImage> {
    let side = |px: f32| (px * scale).round().max(0.0) as u32;
    let (w, h) = (side(scene.width), side(scene.height));
    let mut map = Pixmap::new(w, h).with_context(|| format!("a plot of {w}x{h} pixels cannot be drawn"))?;
    map.fill(Color::from_rgba8(PAPER.0, PAPER.1, PAPER.2, 255));
    let to_pixels = Transform::from_scale(scale, scale);
    for shape in &scene.shapes {
        match shape {
            Shape::Line { points, colour, width, opacity, dash } => {
                let stroke = Stroke {
                    width: *width,
                    line_cap: LineCap::Round,
                    line_join: LineJoin::Round,
                    dash: match dash {
                        Dash::Solid => None,
                        Dash::Dashed => StrokeDash::new(DASHES.to_vec(), 0.0),
                    },
                    ..Stroke::default()
                };
                if let Some(path) = polygon(points, Closed::No) {
                    map.stroke_path(&path, &paint(*colour, *opacity), &stroke, to_pixels, None);
                }
            }
            Shape::Area { points, colour, opacity } => {
                if let Some(path) = polygon(points, Closed::Yes) {
                    map.fill_path(&path, &paint(*colour, *opacity), FillRule::Winding, to_pixels, None);
                }
            }
            Shape::Dot { at, radius, colour, opacity } => {
                if let Some(path) = PathBuilder::from_circle(at.0, at.1, *radius) {
                    map.fill_path(&path, &paint(*colour, *opacity), FillRule::Winding, to_pixels, None);
                }
            }
            Shape::Circle { at, radius, colour, width } => {
                if let Some(path) = PathBuilder::from_circle(at.0, at.1, *radius) {
                    let stroke = Stroke { width: *width, ..Stroke::default() };
                    map.stroke_path(&path, &paint(*colour, 1.0), &stroke, to_pixels, None);
                }
            }
            Shape::Text(text) => {
                if let Some(path) = letters(text) {
                    map.fill_path(&path, &paint(text.colour, 1.0), FillRule::Winding, to_pixels, None);
                }
            }
        }
    }
    let rgb = map.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    Ok(RgbImage::new(w as usize, h as usize, rgb)?)
}

fn paint(colour: Colour, opacity: f32) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(colour.0, colour.1, colour.2, alpha);
    paint
}

enum Closed {
    No,
    Yes,
}

fn polygon(points: &[Place], closed: Closed) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    if matches!(closed, Closed::Yes) {
        path.close();
    }
    path.finish()
}

fn letters(text: &Text) -> Option<Path> {
    let width = font::width(&text.text, text.size, text.weight);
    let back = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    // Along the text and down from it, to the scene.
    let at = |[x, y]: [f32; 2]| match text.direction {
        Direction::Right => (text.at.0 + x - back, text.at.1 + y),
        Direction::Up => (text.at.0 + y, text.at.1 - (x - back)),
    };
    let mut path = PathBuilder::new();
    for step in font::outlines(&text.text, text.size, text.weight) {
        match step {
            font::Step::Move(p) => {
                let p = at(p);
                path.move_to(p.0, p.1);
            }
            font::Step::Line(p) => {
                let p = at(p);
                path.line_to(p.0, p.1);
            }
            font::Step::Quad(c, p) => {
                let (c, p) = (at(c), at(p));
                path.quad_to(c.0, c.1, p.0, p.1);
            }
            font::Step::Cubic(c, d, p) => {
                let (c, d, p) = (at(c), at(d), at(p));
                path.cubic_to(c.0, c.1, d.0, d.1, p.0, p.1);
            }
        }
    }
    path.finish()
}
