//! Plots: a scene of shapes in pixels, drawn once and written twice, as SVG and as PNG.
//!
//! A figure (`curve`, `det`, `histogram`, `angular`) builds a [`Scene`]; [`Scene::save`] writes both files from it.
//! Coordinates are px from the top left, y down.

pub mod angular;
pub mod axes;
pub mod curve;
pub mod det;
pub mod font;
pub mod histogram;
mod raster;
pub mod sheet;
mod svg;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use limen_models::image::RgbImage;

use crate::file::write_atomically;

/// A place in a scene: px from the left, px from the top.
pub type Place = (f32, f32);

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// Text and axes.
pub const INK: Colour = Colour(0x22, 0x26, 0x2a);
/// Secondary text.
pub const GREY: Colour = Colour(0x6b, 0x72, 0x78);
/// Grid lines.
pub const GRID: Colour = Colour(0xe3, 0xe6, 0xe8);
/// Background.
pub const PAPER: Colour = Colour(0xff, 0xff, 0xff);
/// Colours of series, told apart by colour-blind readers too (Okabe and Ito 2008, the yellow darkened for white paper).
pub const SERIES: [Colour; 8] = [
    Colour(0x00, 0x72, 0xb2),
    Colour(0xd5, 0x5e, 0x00),
    Colour(0x00, 0x9e, 0x73),
    Colour(0xcc, 0x79, 0xa7),
    Colour(0xb5, 0x95, 0x00),
    Colour(0x56, 0xb4, 0xe9),
    Colour(0x7a, 0x4f, 0x2b),
    Colour(0x55, 0x55, 0x55),
];

/// The colour of series `i`; after eight they come again.
pub fn series_colour(i: usize) -> Colour {
    SERIES[i % SERIES.len()]
}

/// Which end of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// Which way a text runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Left to right.
    Right,
    /// From below to above, as beside a vertical axis.
    Up,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Without gaps.
    Solid,
    /// Strokes and gaps.
    Dashed,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// On the base line, at the end that `anchor` says.
    pub at: Place,
    /// The words.
    pub text: String,
    /// Em, px.
    pub size: f32,
    /// Which end `at` is.
    pub anchor: Anchor,
    /// Thickness of the letters.
    pub weight: font::Weight,
    /// Ink.
    pub colour: Colour,
    /// Which way it runs.
    pub direction: Direction,
}

/// What a scene is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line {
        /// Its corners.
        points: Vec<Place>,
        /// Ink.
        colour: Colour,
        /// Thickness, px.
        width: f32,
        /// 0 (not seen) to 1.
        opacity: f32,
        /// With or without gaps.
        dash: Dash,
    },
    /// A filled polygon.
    Area {
        /// Its corners.
        points: Vec<Place>,
        /// Ink.
        colour: Colour,
        /// 0 to 1.
        opacity: f32,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: Place,
        /// Px.
        radius: f32,
        /// Ink.
        colour: Colour,
        /// 0 to 1.
        opacity: f32,
    },
    /// The outline of a circle.
    Circle {
        /// Its middle.
        at: Place,
        /// Px.
        radius: f32,
        /// Ink.
        colour: Colour,
        /// Thickness, px.
        width: f32,
    },
    /// A line of text.
    Text(Text),
}

/// A drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Px.
    pub width: f32,
    /// Px.
    pub height: f32,
    /// In the order of drawing.
    pub shapes: Vec<Shape>,
}

/// PNG pixels per px of the scene: sharp on today's screens and in print.
const PNG_SCALE: f32 = 2.0;

impl Scene {
    /// An empty drawing.
    pub fn new(width: f32, height: f32) -> Self {
        Self { width, height, shapes: Vec::new() }
    }

    /// A solid line of full opacity.
    pub fn line(&mut self, points: Vec<Place>, colour: Colour, width: f32) {
        self.shapes.push(Shape::Line { points, colour, width, opacity: 1.0, dash: Dash::Solid });
    }

    /// A horizontal text.
    pub fn text(&mut self, at: Place, text: &str, size: f32, anchor: Anchor, colour: Colour) {
        self.shapes.push(Shape::Text(Text {
            at,
            text: text.to_owned(),
            size,
            anchor,
            weight: font::Weight::Regular,
            colour,
            direction: Direction::Right,
        }));
    }

    /// A bold horizontal text that begins at `at`.
    pub fn heading(&mut self, at: Place, text: &str, size: f32) {
        self.shapes.push(Shape::Text(Text {
            at,
            text: text.to_owned(),
            size,
            anchor: Anchor::Start,
            weight: font::Weight::Bold,
            colour: INK,
            direction: Direction::Right,
        }));
    }

    /// The drawing as an SVG document.
    pub fn svg(&self) -> String {
        svg::document(self)
    }

    /// The drawing as pixels, `scale` of them per px.
    ///
    /// # Errors
    /// When it has no size, or one beyond all memory.
    pub fn pixels(&self, scale: f32) -> Result<RgbImage> {
        raster::draw(self, scale)
    }

    /// Writes `stem.svg` and `stem.png` (twice as many pixels) and names them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, stem: &Path) -> Result<[PathBuf; 2]> {
        let [svg, png] = ["svg", "png"].map(|kind| {
            let mut name = stem.file_name().unwrap_or_default().to_owned();
            name.push(".");
            name.push(kind);
            stem.with_file_name(name)
        });
        write_atomically(&svg, self.svg().as_bytes())?;
        save_png(&self.pixels(PNG_SCALE)?, &png)?;
        Ok([svg, png])
    }
}

/// Writes a picture as PNG, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn save_png(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let (w, h) = (picture.width() as u32, picture.height() as u32);
    let rgb = image::ExtendedColorType::Rgb8;
    image::write_buffer_with_format(&mut bytes, picture.data(), w, h, rgb, image::ImageFormat::Png)
        .with_context(|| format!("{}: cannot be encoded", path.display()))?;
    write_atomically(path, bytes.get_ref())
}

#[cfg(test)]
mod tests;
