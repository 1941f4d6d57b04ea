//! A contact sheet: many small pictures in a grid, each in a coloured frame with a caption, and pictures to PNG files.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Dimensions, Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use limen_models::image::{ImageError, RgbImage};

use super::canvas::{Canvas, colour};
use super::fonts::Fonts;
use super::scale;
use super::text::{self, Align, CAP, LINE, Style};
use super::theme::{MIST, NIGHT, SNOW};

/// One picture of the sheet.
#[derive(Clone)]
pub struct Cell {
    /// Any size; its middle square is shown.
    pub image: RgbImage,
    /// Colour of the frame.
    pub colour: [u8; 3],
    /// One or two caption lines; more are not shown, longer ones are cut.
    pub lines: Vec<String>,
}

/// How the sheet looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Heading; may be empty.
    pub title: String,
    /// Sentence under the heading; may be empty.
    pub subtitle: String,
    /// Cells in a row, at least 1.
    pub columns: usize,
    /// Side of a picture without its frame, px, at least 16.
    pub thumb_px: usize,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { title: String::new(), subtitle: String::new(), columns: 8, thumb_px: 112 }
    }
}

/// Space around and between cells, px.
const GAP: usize = 12;
/// Frame around a picture, px.
const FRAME: usize = 4;
/// Em of captions, px.
const CAPTION: f32 = 14.0;
/// Em of the heading and the sentence under it, px.
const TITLE: (f32, f32) = (28.0, 17.0);

impl Sheet {
    /// Draws the sheet. Fails where it would be larger than a picture may be: use fewer cells, smaller pictures or more
    /// columns.
    pub fn render(&self, cells: &[Cell], fonts: &Fonts) -> Result<RgbImage, ImageError> {
        let thumb = self.thumb_px.max(16);
        let columns = self.columns.max(1).min(cells.len().max(1));
        let rows = cells.len().div_ceil(columns);
        let captions = cells.iter().map(|c| c.lines.len().min(2)).max().unwrap_or(0);
        let line = (CAPTION * LINE) as usize;
        let cell_width = thumb + 2 * FRAME;
        let cell_height = thumb + 2 * FRAME + captions * line;
        let head = self.head_height();
        // A sheet of few cells is still wide enough for a heading.
        let width = (columns * (cell_width + GAP) + GAP).max(360);
        let height = head + rows * (cell_height + GAP) + GAP;

        let mut canvas = Canvas::new(width, height)?;
        let Ok(()) = canvas.fill_solid(&canvas.bounding_box(), NIGHT);
        self.draw_head(&mut canvas, width as f32, fonts);
        for (i, cell) in cells.iter().enumerate() {
            let x = GAP + (i % columns) * (cell_width + GAP);
            let y = head + GAP + (i / columns) * (cell_height + GAP);
            let (picture, _) = scale::cover(&cell.image, thumb, thumb)?;
            let frame = area(x, y, thumb + 2 * FRAME, thumb + 2 * FRAME);
            let Ok(()) = canvas.fill_solid(&frame, colour(cell.colour));
            let inside = area(x + FRAME, y + FRAME, thumb, thumb);
            let pixels = picture.data().chunks_exact(3).map(|p| Rgb888::new(p[0], p[1], p[2]));
            let Ok(()) = canvas.fill_contiguous(&inside, pixels);
            for (n, words) in cell.lines.iter().take(2).enumerate() {
                let (typeface, ink) = if n == 0 { (&fonts.bold, SNOW) } else { (&fonts.regular, MIST) };
                let words = text::cut(words, cell_width as f32, CAPTION, typeface);
                let middle = (y + thumb + 2 * FRAME + n * line) as f32 + line as f32 * 0.55;
                put(&mut canvas, &words, x as f32, middle, Style { size: CAPTION, typeface, ink, on: NIGHT });
            }
        }
        Ok(canvas.into_image())
    }

    fn head_height(&self) -> usize {
        let line = |s: &str, size: f32| if s.is_empty() { 0 } else { (size * LINE) as usize };
        let lines = line(&self.title, TITLE.0) + line(&self.subtitle, TITLE.1);
        if lines == 0 { 0 } else { lines + GAP }
    }

    fn draw_head(&self, canvas: &mut Canvas, width: f32, fonts: &Fonts) {
        let mut top = GAP as f32;
        let parts =
            [(&self.title, TITLE.0, &fonts.bold, SNOW), (&self.subtitle, TITLE.1, &fonts.regular, MIST)];
        for (words, size, typeface, ink) in parts {
            if !words.is_empty() {
                let words = text::cut(words, width - 2.0 * GAP as f32, size, typeface);
                put(
                    canvas,
                    &words,
                    GAP as f32,
                    top + size * LINE / 2.0,
                    Style { size, typeface, ink, on: NIGHT },
                );
                top += size * LINE;
            }
        }
    }
}

/// A line with the middle of its capitals at `middle`.
fn put(canvas: &mut Canvas, words: &str, x: f32, middle: f32, style: Style<'_>) {
    let Ok(()) = text::draw(canvas, words, x, middle + style.size * CAP / 2.0, Align::Left, style);
}

fn area(x: usize, y: usize, width: usize, height: usize) -> Rectangle {
    Rectangle::new(Point::new(x as i32, y as i32), Size::new(width as u32, height as u32))
}

/// Writes a picture as PNG. The file has its name only when it is whole and on disk: a reader sees the old picture or
/// the new one.
pub fn write_png(image: &RgbImage, path: &Path) -> io::Result<()> {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".part");
    let part = path.with_file_name(name);
    let written = write_whole(image, &part).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // The failed write is what the caller hears of.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn write_whole(image: &RgbImage, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(image.data(), image.width() as u32, image.height() as u32, ExtendedColorType::Rgb8)
        .map_err(|e| match e {
            image::ImageError::IoError(e) => e,
            other => io::Error::other(other),
        })?;
    file.flush()?;
    file.get_ref().sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::photo;

    fn cell(rgb: [u8; 3], lines: &[&str]) -> Cell {
        Cell {
            image: RgbImage::filled(30, 40, [50; 3]).unwrap(),
            colour: rgb,
            lines: lines.iter().map(|l| (*l).to_owned()).collect(),
        }
    }

    #[test]
    fn cells_stand_in_rows_with_their_frames() {
        let sheet = Sheet { columns: 2, thumb_px: 180, ..Sheet::default() };
        let cells = [cell([255, 0, 0], &["a"]), cell([0, 255, 0], &[]), cell([0, 0, 255], &["b", "c", "d"])];
        let im = sheet.render(&cells, &Fonts::built_in()).unwrap();
        // Two columns of 188 px with gaps of 12; two rows of 188 px and two caption lines of 17 px.
        assert_eq!((im.width(), im.height()), (2 * 200 + 12, 2 * (188 + 34 + 12) + 12));
        assert_eq!(im.pixel(12, 12), [255, 0, 0]);
        assert_eq!(im.pixel(12 + 200, 12), [0, 255, 0]);
        assert_eq!(im.pixel(12, 12 + 234), [0, 0, 255]);
        assert_eq!(im.pixel(16, 16), [50; 3]);
        assert_eq!(im.pixel(12 + 187, 12 + 187), [255, 0, 0]);
        assert_eq!(im.pixel(5, 5), crate::display::canvas::bytes(NIGHT));
    }

    #[test]
    fn an_empty_sheet_is_its_heading_and_a_huge_one_is_refused() {
        let sheet = Sheet { title: "Nobody".into(), subtitle: "0 probes".into(), ..Sheet::default() };
        let im = sheet.render(&[], &Fonts::built_in()).unwrap();
        assert!(im.height() > 60 && im.data().contains(&0xf4));
        let tall = Sheet { columns: 1, thumb_px: 500, ..Sheet::default() };
        assert!(tall.render(&vec![cell([1, 2, 3], &[]); 24], &Fonts::built_in()).is_err());
    }

    #[test]
    fn a_png_comes_back_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let im = RgbImage::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        write_png(&im, &path).unwrap();
        assert!(photo::decode_file(&path).unwrap() == im);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_png(&im, &dir.path().join("no/folder.png")).is_err());
    }
}
