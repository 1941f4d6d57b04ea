//! A photograph's bytes to an upright 8-bit RGB picture: JPEG, PNG and WebP, EXIF rotation applied, bad files named.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};
use thiserror::Error;

use crate::image::{MAX_SIDE_PX, RgbImage};

/// Most pixels decoded from one file (a 50-megapixel camera); bounds memory on a small board.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Largest file read, bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// Why a photograph cannot be used; the caller adds nothing but the next file.
#[derive(Debug, Error)]
pub enum PhotoError {
    /// The file cannot be read at all.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a JPEG, PNG or WebP, whatever its name says.
    #[error(
        "{path}: not a JPEG, PNG or WebP photograph (its content, not its name, decides); convert it first"
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A photograph in a format of the HEIF family.
    #[error(
        "{path}: a HEIC or AVIF photograph, which is not read here; export it as JPEG (on an iPhone: Settings, Camera, \
         Formats, Most Compatible)"
    )]
    Heif {
        /// The file.
        path: PathBuf,
    },
    /// Larger than [`MAX_SIDE_PX`], [`MAX_PIXELS`] or [`MAX_FILE_BYTES`].
    #[error(
        "{path}: too large ({what}); at most {MAX_SIDE_PX} px a side, {} megapixels and {} MiB: scale it down",
        MAX_PIXELS / 1_000_000,
        MAX_FILE_BYTES >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in words.
        what: String,
    },
    /// The file ends early or its content is broken.
    #[error("{path}: damaged or cut short ({why}); copy it again from its source")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        why: String,
    },
}

/// Reads and decodes one photograph. 16-bit, grey, palette, alpha and CMYK pictures come out as 8-bit RGB.
pub fn decode_file(path: &Path) -> Result<RgbImage, PhotoError> {
    let read = |source| PhotoError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let meta = file.metadata().map_err(read)?;
    if meta.is_dir() {
        return Err(read(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(PhotoError::TooLarge { path: path.to_owned(), what: format!("{} bytes", meta.len()) });
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(read)?;
    decode(&bytes, path)
}

/// Decodes a photograph held in memory; `name` stands in its error messages.
pub fn decode(bytes: &[u8], name: &Path) -> Result<RgbImage, PhotoError> {
    let damaged = |why: String| PhotoError::Damaged { path: name.to_owned(), why };
    if is_heif(bytes) {
        return Err(PhotoError::Heif { path: name.to_owned() });
    }
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|source| PhotoError::Read { path: name.to_owned(), source })?;
    let format = reader.format().filter(|f| {
        matches!(f, image::ImageFormat::Jpeg | image::ImageFormat::Png | image::ImageFormat::WebP)
    });
    let Some(format) = format else { return Err(PhotoError::Format { path: name.to_owned() }) };
    // The JPEG decoder fills what is missing with grey and says nothing: look for the end ourselves.
    if format == image::ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(damaged("the end of the JPEG is missing".into()));
    }
    // A PNG's size stands at a fixed place: it is judged before anything behind it is read.
    if let (image::ImageFormat::Png, Some(header)) = (format, bytes.get(16..24)) {
        let side = |b: &[u8]| b.iter().fold(0u64, |n, &v| n << 8 | u64::from(v));
        check_size(side(&header[..4]), side(&header[4..]), name)?;
    }
    let mut decoder = reader.into_decoder().map_err(|e| damaged(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), name)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(e.to_string()))?;
    picture.apply_orientation(orientation);
    let rgb = picture.into_rgb8();
    let (w, h) = (rgb.width() as usize, rgb.height() as usize);
    RgbImage::new(w, h, rgb.into_raw()).map_err(|e| damaged(e.to_string()))
}

/// Whether the file begins as one of the HEIF family: a box `ftyp` with a brand of theirs (ISO/IEC 23008-12, annex B;
/// AVIF 1.1, 6.3).
fn is_heif(bytes: &[u8]) -> bool {
    const BRANDS: [&[u8]; 10] =
        [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"];
    bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|brand| BRANDS.contains(&brand))
}

fn check_size(width: u64, height: u64, name: &Path) -> Result<(), PhotoError> {
    if width.max(height) > MAX_SIDE_PX as u64 || width * height > MAX_PIXELS {
        return Err(PhotoError::TooLarge { path: name.to_owned(), what: format!("{width}x{height} px") });
    }
    Ok(())
}

/// Walks the marker segments (ITU T.81 annex B) to the end-of-image marker of the main picture; thumbnails inside
/// APP segments are stepped over by their length.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut i = 2; // after SOI
    let mut in_scan = false;
    while i + 1 < bytes.len() {
        if bytes[i] != 0xFF {
            if !in_scan {
                return false;
            }
            i += 1;
            continue;
        }
        match bytes[i + 1] {
            0xFF => i += 1,                          // fill byte
            0x00 | 0xD0..=0xD7 if in_scan => i += 2, // stuffed byte, restart marker
            0xD9 => return true,                     // EOI
            0x01 | 0xD0..=0xD8 => i += 2,
            marker => {
                let Some(len) = bytes.get(i + 2..i + 4) else { return false };
                in_scan = marker == 0xDA;
                i += 2 + usize::from(u16::from_be_bytes([len[0], len[1]])).max(2);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    /// 4x2: left half red, right half blue.
    fn red_blue() -> Vec<u8> {
        (0..8).flat_map(|i| if i % 4 < 2 { [255, 0, 0] } else { [0, 0, 255] }).collect()
    }

    fn jpeg(exif_orientation: Option<u8>) -> Vec<u8> {
        // 16x8, so that chroma blocks do not mix the halves.
        let px: Vec<u8> =
            (0..16 * 8).flat_map(|i| if i % 16 < 8 { [255, 0, 0] } else { [0, 0, 255] }).collect();
        let mut out = Vec::new();
        let mut enc = JpegEncoder::new_with_quality(&mut out, 100);
        if let Some(o) = exif_orientation {
            // A minimal EXIF block: little-endian TIFF, one IFD with the orientation tag 0x0112.
            let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
            tiff.extend_from_slice(&[o, 0, 0, 0, 0, 0, 0, 0]);
            enc.set_exif_metadata(tiff).unwrap();
        }
        enc.write_image(&px, 16, 8, ExtendedColorType::Rgb8).unwrap();
        out
    }

    fn name() -> &'static Path {
        Path::new("p.jpg")
    }

    #[test]
    fn exif_rotation_is_applied() {
        let up = decode(&jpeg(None), name()).unwrap();
        assert_eq!((up.width(), up.height()), (16, 8));
        assert!(up.pixel(1, 4)[0] > 200);
        // Orientation 6: the camera was turned; rotate 90 degrees clockwise to view. Left (red) becomes top.
        let turned = decode(&jpeg(Some(6)), name()).unwrap();
        assert_eq!((turned.width(), turned.height()), (8, 16));
        assert!(turned.pixel(4, 1)[0] > 200 && turned.pixel(4, 14)[2] > 200);
    }

    #[test]
    fn a_truncated_jpeg_is_damaged_and_not_grey() {
        let whole = jpeg(None);
        assert!(jpeg_is_complete(&whole));
        for cut in [whole.len() - 2, whole.len() - 20, whole.len() / 2, 10] {
            let e = decode(&whole[..cut], name()).unwrap_err();
            assert!(matches!(e, PhotoError::Damaged { .. }), "cut at {cut}: {e}");
        }
    }

    #[test]
    fn a_sixteen_bit_png_comes_out_as_eight_bit() {
        let px: Vec<u16> = red_blue().iter().map(|&v| u16::from(v) * 257).collect();
        let im = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(4, 2, px).unwrap();
        let mut out = Cursor::new(Vec::new());
        DynamicImage::ImageRgb16(im).write_to(&mut out, image::ImageFormat::Png).unwrap();
        assert_eq!(decode(out.get_ref(), name()).unwrap().data(), red_blue());
    }

    #[test]
    fn a_png_that_announces_too_much_is_refused_before_it_is_read() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend_from_slice(&30_000u32.to_be_bytes());
        png.extend_from_slice(&30_000u32.to_be_bytes());
        png.extend_from_slice(&[8, 2, 0, 0, 0]);
        let crc = crc32(&png[12..29]);
        png.extend_from_slice(&crc.to_be_bytes());
        let e = decode(&png, name()).unwrap_err();
        assert!(matches!(e, PhotoError::TooLarge { .. }), "{e}");
        assert!(e.to_string().contains("30000x30000"));
    }

    #[test]
    fn text_under_a_jpeg_name_is_no_photograph() {
        assert!(matches!(decode(b"hello, not a picture", name()), Err(PhotoError::Format { .. })));
        assert!(matches!(decode_file(Path::new("/nonexistent/x.jpg")), Err(PhotoError::Read { .. })));
    }

    #[test]
    fn a_picture_of_the_heif_family_is_told_what_to_become() {
        for brand in ["heic", "mif1", "avif"] {
            let bytes = [b"\0\0\0\x18ftyp", brand.as_bytes(), b"\0\0\0\0mif1heic and more"].concat();
            let e = decode(&bytes, name()).unwrap_err();
            assert!(
                matches!(e, PhotoError::Heif { .. }) && e.to_string().contains("export it as JPEG"),
                "{e}"
            );
        }
        // A film in the same kind of box is no photograph.
        assert!(matches!(decode(b"\0\0\0\x18ftypisom\0\0\0\0", name()), Err(PhotoError::Format { .. })));
        assert!(matches!(decode(b"\0\0\0\x18ftyp", name()), Err(PhotoError::Format { .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(
            mut bytes in proptest::collection::vec(0u8..=255, 0..400),
            head in 0..4usize,
        ) {
            let heads: [&[u8]; 4] = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBPVP8 "];
            let mut all = heads[head].to_vec();
            all.append(&mut bytes);
            let _ = decode(&all, name());
        }
    }

    fn crc32(data: &[u8]) -> u32 {
        !data.iter().fold(!0u32, |c, &b| {
            (0..8).fold(c ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
        })
    }
}
