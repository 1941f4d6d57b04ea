//! How a crop is stored: JPEG of some quality, or without loss.

use std::fmt;
use std::io::Cursor;

use anyhow::{Context, Result};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use limen_models::image::RgbImage;

/// The forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG, quality 1 to 100; SphereFace's crops are JPEG (`face_align_demo.m` L47).
    Jpeg(u8),
    /// WebP without loss.
    Webp,
    /// PNG.
    Png,
}

impl Encoding {
    /// Ending of its files' names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg(_) => "jpg",
            Self::Webp => "webp",
            Self::Png => "png",
        }
    }

    /// The picture in this form.
    ///
    /// # Errors
    /// When the encoder refuses the picture's size.
    pub fn encode(self, image: &RgbImage) -> Result<Vec<u8>> {
        let (w, h) = (image.width() as u32, image.height() as u32);
        let mut out = Cursor::new(Vec::new());
        let (data, colour) = (image.data(), ExtendedColorType::Rgb8);
        match self {
            Self::Jpeg(quality) => {
                JpegEncoder::new_with_quality(&mut out, quality).write_image(data, w, h, colour)
            }
            Self::Webp => WebPEncoder::new_lossless(&mut out).write_image(data, w, h, colour),
            Self::Png => PngEncoder::new(&mut out).write_image(data, w, h, colour),
        }
        .with_context(|| format!("a crop of {w}x{h} px cannot be stored as {self}"))?;
        Ok(out.into_inner())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jpeg(quality) => write!(f, "jpeg {quality}"),
            Self::Webp => f.write_str("webp lossless"),
            Self::Png => f.write_str("png"),
        }
    }
}
