//! A contact sheet of errors: pairs of pictures side by side with a caption below each.

use anyhow::{Context, Result};
use image::imageops::FilterType;
use limen_models::image::RgbImage;

use super::axes::shortened;
use super::{Anchor, GREY, INK, Scene};

/// Two pictures that were compared.
pub struct Pair {
    /// One face.
    pub left: RgbImage,
    /// The other.
    pub right: RgbImage,
    /// First line below, as `0.412  false match`.
    pub caption: String,
    /// Second line, as the two names.
    pub names: String,
}

/// Side of the square that a picture is fitted into, px.
const SIDE: f32 = 112.0;
/// Pairs in a row.
const COLUMNS: usize = 4;
const GAP: f32 = 18.0;
const HEAD: f32 = 56.0;
const CAPTION: f32 = 38.0;

/// The sheet, all `pairs` under one `title`.
///
/// # Errors
/// When it is too large for memory, or a picture cannot be brought to size.
pub fn sheet(title: &str, pairs: &[Pair]) -> Result<RgbImage> {
    let cell = (2.0 * SIDE + 4.0, SIDE + CAPTION);
    let rows = pairs.len().div_ceil(COLUMNS).max(1);
    let width = GAP + COLUMNS as f32 * (cell.0 + GAP);
    let height = HEAD + rows as f32 * (cell.1 + GAP);
    let mut scene = Scene::new(width, height);
    scene.heading((GAP, 34.0), &shortened(title, width - 2.0 * GAP, 18.0), 18.0);
    if pairs.is_empty() {
        scene.text((GAP, HEAD + 20.0), "none", 14.0, Anchor::Start, GREY);
    }
    let place = |i: usize| {
        let (column, row) = ((i % COLUMNS) as f32, (i / COLUMNS) as f32);
        (GAP + column * (cell.0 + GAP), HEAD + row * (cell.1 + GAP))
    };
    for (i, pair) in pairs.iter().enumerate() {
        let (x, y) = place(i);
        scene.text((x, y + SIDE + 16.0), &shortened(&pair.caption, cell.0, 12.5), 12.5, Anchor::Start, INK);
        scene.text((x, y + SIDE + 32.0), &shortened(&pair.names, cell.0, 11.5), 11.5, Anchor::Start, GREY);
    }
    let mut paper = scene.pixels(1.0)?;
    for (i, pair) in pairs.iter().enumerate() {
        let (x, y) = place(i);
        paste(&mut paper, &pair.left, x, y)?;
        paste(&mut paper, &pair.right, x + SIDE + 4.0, y)?;
    }
    Ok(paper)
}

/// Fits `picture` into the square at `x`, `y`, its proportions kept.
fn paste(paper: &mut RgbImage, picture: &RgbImage, x: f32, y: f32) -> Result<()> {
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let scale = SIDE / w.max(h);
    let (w, h) = (((w * scale).round() as usize).max(1), ((h * scale).round() as usize).max(1));
    let whole =
        image::RgbImage::from_raw(picture.width() as u32, picture.height() as u32, picture.data().to_vec());
    let whole = whole.context("a picture's size does not fit its pixels")?;
    let small = image::imageops::resize(&whole, w as u32, h as u32, FilterType::Triangle);
    let (left, top) = ((x + (SIDE - w as f32) / 2.0) as usize, (y + (SIDE - h as f32) / 2.0) as usize);
    for row in 0..h {
        for column in 0..w {
            if left + column < paper.width() && top + row < paper.height() {
                paper.set_pixel(left + column, top + row, small.get_pixel(column as u32, row as u32).0);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_proportions_and_stand_side_by_side() {
        let red = RgbImage::filled(40, 80, [200, 0, 0]).unwrap();
        let blue = RgbImage::filled(300, 300, [0, 0, 200]).unwrap();
        let pair =
            Pair { left: red, right: blue, caption: "0.412  false match".into(), names: "A / B".into() };
        let s = sheet("errors", &[pair]).unwrap();
        let count = |rgb: [u8; 3]| {
            (0..s.height())
                .flat_map(|y| (0..s.width()).map(move |x| (x, y)))
                .filter(|&(x, y)| s.pixel(x, y) == rgb)
                .count()
        };
        assert_eq!(count([200, 0, 0]), 56 * 112, "half as wide as high");
        assert_eq!(count([0, 0, 200]), 112 * 112);
        assert!(sheet("errors", &[]).is_ok());
    }
}
