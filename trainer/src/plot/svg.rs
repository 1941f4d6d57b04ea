//! A scene as an SVG document; the text stays text, so that it can be searched and copied.

use std::fmt::Write;

use super::raster::DASHES;
use super::{Anchor, Colour, Dash, Direction, PAPER, Place, Scene, Shape, Text, font};

/// The whole document.
pub(super) fn document(scene: &Scene) -> String {
    let (w, h) = (scene.width, scene.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"Noto Sans, sans-serif\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"{}\"/>\n",
        hex(PAPER)
    );
    for shape in &scene.shapes {
        out.push_str(&element(shape));
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Line { points, colour, width, opacity, dash } => {
            let gaps = match dash {
                Dash::Solid => String::new(),
                Dash::Dashed => format!(" stroke-dasharray=\"{} {}\"", DASHES[0], DASHES[1]),
            };
            format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" \
                 stroke-linecap=\"round\" stroke-linejoin=\"round\"{gaps}/>",
                list(points),
                hex(*colour)
            )
        }
        Shape::Area { points, colour, opacity } => format!(
            "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{opacity}\"/>",
            list(points),
            hex(*colour)
        ),
        Shape::Dot { at, radius, colour, opacity } => format!(
            "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{radius}\" fill=\"{}\" fill-opacity=\"{opacity}\"/>",
            at.0,
            at.1,
            hex(*colour)
        ),
        Shape::Circle { at, radius, colour, width } => format!(
            "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{radius}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"/>",
            at.0,
            at.1,
            hex(*colour)
        ),
        Shape::Text(text) => words(text),
    }
}

fn words(text: &Text) -> String {
    let (x, y) = text.at;
    let anchor = match text.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let weight = match text.weight {
        font::Weight::Regular => "",
        font::Weight::Bold => " font-weight=\"bold\"",
    };
    let turn = match text.direction {
        Direction::Right => String::new(),
        Direction::Up => format!(" transform=\"rotate(-90 {x:.2} {y:.2})\""),
    };
    format!(
        "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{weight}{turn}>{}</text>",
        text.size,
        hex(text.colour),
        escape(&text.text)
    )
}

fn list(points: &[Place]) -> String {
    let mut out = String::with_capacity(points.len() * 14);
    for (x, y) in points {
        // Writing to a String does not fail.
        let _ = write!(out, "{x:.2},{y:.2} ");
    }
    out.truncate(out.trim_end().len());
    out
}

fn hex(c: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", c.0, c.1, c.2)
}

/// Text that cannot end its element; characters that XML forbids stand as spaces.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
