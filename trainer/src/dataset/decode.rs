//! A sample's bytes to pixels: photographs of any size, or the crops of a set, whose size is checked.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use limen_models::image::RgbImage;
use limen_models::photo;

use crate::dataset::crop::Crops;
use crate::dataset::index::{Content, Index, Sample};

/// The picture of `sample`, of whatever size; `bytes` is room that is used again. Where the index holds pixels,
/// `crops` tells their size.
///
/// # Errors
/// When it cannot be read or is no whole picture; the message names its place.
pub fn picture(
    index: &Index,
    crops: Option<&Crops>,
    sample: &Sample,
    bytes: &mut Vec<u8>,
) -> Result<RgbImage> {
    index.read(sample, bytes)?;
    match (index.content(sample), crops) {
        (Content::Pixels, Some(crops)) => RgbImage::new(crops.width, crops.height, std::mem::take(bytes))
            .with_context(|| index.place(sample)),
        (Content::Pixels, None) => anyhow::bail!("{}: pixels without a size", index.place(sample)),
        (Content::Files, _) => Ok(photo::decode(bytes, Path::new(&index.place(sample)))?),
    }
}

/// The crop of `sample`, of the size that `crops` says.
///
/// # Errors
/// As [`picture`], and when the size is another one.
pub fn crop(index: &Index, crops: &Crops, sample: &Sample, bytes: &mut Vec<u8>) -> Result<RgbImage> {
    let image = picture(index, Some(crops), sample, bytes)?;
    ensure!(
        (image.width(), image.height()) == (crops.width, crops.height),
        "{}: {}x{} px where the set's crops have {}x{}; make crops of one size with `limen-train preprocess`",
        index.place(sample),
        image.width(),
        image.height(),
        crops.width,
        crops.height
    );
    Ok(image)
}
