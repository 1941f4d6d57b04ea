//! Motion JPEG: pictures one after the other in a file, read and written one at a time.
//!
//! Pictures are told apart by walking the marker segments (ITU T.81 annex B), so that the end mark of a thumbnail inside
//! an EXIF block ends nothing.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use limen_models::image::RgbImage;
use limen_models::photo;
use thiserror::Error;

/// Largest picture accepted, bytes: bounds memory on a damaged stream.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// Why a picture of a clip cannot be read or written.
#[derive(Debug, Error)]
pub enum MjpegError {
    /// One picture is damaged; reading goes on with the next.
    #[error("frame {frame}: {why}")]
    Frame {
        /// Counted from 0, damaged ones included.
        frame: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There is no JPEG in the whole input.
    #[error("no JPEG picture in it; an MJPEG clip is JPEG pictures one after the other")]
    Empty,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why one picture ended early; what it means for the search for the next.
enum Broken {
    /// The input ended within it.
    End,
    /// The start mark of the next picture was met and is already taken.
    NextBegins,
    /// Bytes that no marker explains, or too many of them.
    Junk(&'static str),
    Io(io::Error),
}

/// Splits a stream of JPEGs; memory is one compressed picture.
pub struct MjpegReader<R> {
    input: R,
    frame: u64,
    start_taken: bool,
    jpeg: Vec<u8>,
}

impl<R: BufRead> MjpegReader<R> {
    /// Reads from `input`, from wherever it stands.
    pub fn new(input: R) -> Self {
        Self { input, frame: 0, start_taken: false, jpeg: Vec::new() }
    }

    /// The next picture's bytes; `None` at the end. After [`MjpegError::Frame`] the next call goes on behind the damage.
    pub fn next_jpeg(&mut self) -> Result<Option<&[u8]>, MjpegError> {
        if !self.find_start()? {
            return if self.frame == 0 { Err(MjpegError::Empty) } else { Ok(None) };
        }
        let frame = self.frame;
        self.frame += 1;
        let why = match self.take_picture() {
            Ok(()) => return Ok(Some(&self.jpeg)),
            Err(Broken::End) => "the clip is cut short within this picture",
            Err(Broken::NextBegins) => {
                self.start_taken = true;
                "it is cut short, the next picture begins within it"
            }
            Err(Broken::Junk(why)) => why,
            Err(Broken::Io(e)) => return Err(e.into()),
        };
        Err(MjpegError::Frame { frame, why: why.into() })
    }

    /// The next picture, decoded and upright; `None` at the end.
    pub fn next_image(&mut self) -> Result<Option<RgbImage>, MjpegError> {
        let frame = self.frame;
        let Some(jpeg) = self.next_jpeg()? else { return Ok(None) };
        decode(jpeg).map(Some).map_err(|why| MjpegError::Frame { frame, why })
    }

    /// Skips to behind the next start-of-image mark; false at the end of the input.
    fn find_start(&mut self) -> Result<bool, MjpegError> {
        if std::mem::take(&mut self.start_taken) {
            return Ok(true);
        }
        let mut last = 0;
        while let Some(b) = self.byte()? {
            if (last, b) == (0xFF, 0xD8) {
                return Ok(true);
            }
            last = b;
        }
        Ok(false)
    }

    /// From behind the start mark to behind the end mark, into `self.jpeg`.
    fn take_picture(&mut self) -> Result<(), Broken> {
        self.jpeg.clear();
        self.jpeg.extend_from_slice(&[0xFF, 0xD8]);
        let mut marker = self.marker()?;
        loop {
            self.jpeg.extend_from_slice(&[0xFF, marker]);
            marker = match marker {
                0xD9 => return Ok(()),
                0xD8 => return Err(Broken::NextBegins),
                0x01 | 0xD0..=0xD7 => self.marker()?,
                0x00 => return Err(Broken::Junk("a marker is missing")),
                _ => {
                    let len = [self.need()?, self.need()?];
                    let body = usize::from(u16::from_be_bytes(len));
                    let body = body.checked_sub(2).ok_or(Broken::Junk("a segment of impossible length"))?;
                    self.jpeg.extend_from_slice(&len);
                    self.take_bytes(body)?;
                    if marker == 0xDA { self.take_scan()? } else { self.marker()? }
                }
            };
        }
    }

    /// Reads `FF xx`, fill bytes allowed.
    fn marker(&mut self) -> Result<u8, Broken> {
        if self.need()? != 0xFF {
            return Err(Broken::Junk("a marker is missing"));
        }
        loop {
            match self.need()? {
                0xFF => {}
                marker => return Ok(marker),
            }
        }
    }

    /// Entropy-coded data up to the next real marker, which is returned.
    fn take_scan(&mut self) -> Result<u8, Broken> {
        loop {
            let chunk = self.input.fill_buf().map_err(Broken::Io)?;
            if chunk.is_empty() {
                return Err(Broken::End);
            }
            let n = chunk.iter().position(|&b| b == 0xFF).unwrap_or(chunk.len());
            let whole = n == chunk.len();
            self.jpeg.extend_from_slice(&chunk[..n]);
            self.input.consume(n);
            self.bounded(0)?;
            if whole {
                continue;
            }
            match self.marker()? {
                stuffed @ (0x00 | 0xD0..=0xD7) => self.jpeg.extend_from_slice(&[0xFF, stuffed]),
                marker => return Ok(marker),
            }
        }
    }

    fn take_bytes(&mut self, mut n: usize) -> Result<(), Broken> {
        self.bounded(n)?;
        while n > 0 {
            let chunk = self.input.fill_buf().map_err(Broken::Io)?;
            if chunk.is_empty() {
                return Err(Broken::End);
            }
            let part = n.min(chunk.len());
            self.jpeg.extend_from_slice(&chunk[..part]);
            self.input.consume(part);
            n -= part;
        }
        Ok(())
    }

    fn bounded(&self, more: usize) -> Result<(), Broken> {
        if self.jpeg.len() + more > MAX_FRAME_BYTES {
            return Err(Broken::Junk("it is larger than 16 MiB"));
        }
        Ok(())
    }

    fn need(&mut self) -> Result<u8, Broken> {
        self.byte().map_err(Broken::Io)?.ok_or(Broken::End)
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let b = self.input.fill_buf()?.first().copied();
        self.input.consume(usize::from(b.is_some()));
        Ok(b)
    }
}

/// One JPEG of a clip or camera to a picture; the error is a sentence.
pub fn decode(jpeg: &[u8]) -> Result<RgbImage, String> {
    photo::decode(&with_tables(jpeg), Path::new("picture")).map_err(|e| match e {
        photo::PhotoError::Damaged { why, .. } => why,
        other => other.to_string(),
    })
}

/// Webcams leave out the Huffman tables, since MJPEG fixes them (T.81 annex K). The decoder knows them, but uses them
/// only after the `AVI1` mark that video files carry: it is put in.
fn with_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    const AVI1: [u8; 12] = [0xFF, 0xE0, 0, 10, b'A', b'V', b'I', b'1', 0, 0, 0, 0];
    let mut at = 2;
    while let Some(&[0xFF, marker, hi, lo]) = jpeg.get(at..at + 4) {
        match marker {
            0xC4 => return Cow::Borrowed(jpeg),
            0xDA => return Cow::Owned([&jpeg[..2], &AVI1, &jpeg[2..]].concat()),
            0xFF => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([hi, lo])),
        }
    }
    Cow::Borrowed(jpeg)
}

/// Writes pictures one after the other; they need not have one size.
pub struct MjpegWriter<W> {
    output: W,
    quality: u8,
}

impl<W: Write> MjpegWriter<W> {
    /// Writes to `output` with JPEG quality 1 to 100.
    pub fn new(output: W, quality: u8) -> Self {
        Self { output, quality: quality.clamp(1, 100) }
    }

    /// Appends one picture.
    pub fn write_image(&mut self, image: &RgbImage) -> Result<(), MjpegError> {
        let (w, h) = (image.width() as u32, image.height() as u32);
        JpegEncoder::new_with_quality(&mut self.output, self.quality)
            .encode(image.data(), w, h, ExtendedColorType::Rgb8)
            .map_err(|e| match e {
                image::ImageError::IoError(e) => MjpegError::Io(e),
                other => MjpegError::Io(io::Error::other(other)),
            })
    }

    /// Flushes and hands the output back.
    pub fn finish(mut self) -> Result<W, MjpegError> {
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jpeg(rgb: [u8; 3]) -> Vec<u8> {
        let mut w = MjpegWriter::new(Vec::new(), 95);
        w.write_image(&RgbImage::filled(16, 8, rgb).unwrap()).unwrap();
        w.finish().unwrap()
    }

    /// The picture with a whole JPEG as a thumbnail in its APP1 segment, as cameras write it.
    fn with_thumbnail(outer: &[u8], inner: &[u8]) -> Vec<u8> {
        let len = (inner.len() + 8) as u16;
        [&outer[..2], &[0xFF, 0xE1], &len.to_be_bytes(), b"Exif\0\0", inner, &outer[2..]].concat()
    }

    /// All results until the end, as "ok" with a colour or the frame number of the damage.
    fn read(clip: &[u8]) -> Vec<Result<[u8; 3], u64>> {
        // A tiny buffer, so that every marker is cut by its edge once.
        let mut r = MjpegReader::new(io::BufReader::with_capacity(3, clip));
        let mut out = Vec::new();
        loop {
            match r.next_image() {
                Ok(None) => return out,
                Ok(Some(im)) => out.push(Ok(im.pixel(8, 4))),
                Err(MjpegError::Frame { frame, .. }) => out.push(Err(frame)),
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn is(got: &Result<[u8; 3], u64>, want: [u8; 3]) -> bool {
        got.as_ref().is_ok_and(|g| g.iter().zip(want).all(|(a, b)| a.abs_diff(b) < 8))
    }

    const RED: [u8; 3] = [230, 20, 20];
    const BLUE: [u8; 3] = [20, 20, 230];

    #[test]
    fn thumbnails_are_not_frames() {
        let clip = [with_thumbnail(&jpeg(RED), &jpeg(BLUE)), jpeg(BLUE)].concat();
        let got = read(&clip);
        assert_eq!(got.len(), 2);
        assert!(is(&got[0], RED) && is(&got[1], BLUE), "{got:?}");
    }

    #[test]
    fn padding_between_pictures_is_stepped_over() {
        let clip = [&jpeg(RED)[..], &[0, 0, 0, 0xFF, 0xFF], &jpeg(BLUE), b"junk"].concat();
        let got = read(&clip);
        assert!(got.len() == 2 && is(&got[0], RED) && is(&got[1], BLUE), "{got:?}");
    }

    #[test]
    fn a_cut_picture_is_named_and_the_next_one_is_found() {
        let (a, b) = (jpeg(RED), jpeg(BLUE));
        // Cut within the entropy-coded data, before the end mark.
        let got = read(&[&a, &b[..b.len() - 4], &a[..], &b[..b.len() - 1]].concat());
        assert!(is(&got[0], RED) && is(&got[2], RED), "{got:?}");
        assert_eq!((&got[1], &got[3], got.len()), (&Err(1), &Err(3), 4));
    }

    #[test]
    fn an_input_without_any_picture_is_refused() {
        for junk in [&b""[..], b"plain text", &[0xFF; 40]] {
            assert!(matches!(MjpegReader::new(junk).next_jpeg(), Err(MjpegError::Empty)));
        }
    }

    #[test]
    fn a_webcam_picture_without_huffman_tables_decodes_the_same() {
        let whole = jpeg(RED);
        let mut bare = whole[..2].to_vec();
        let mut at = 2;
        while whole[at + 1] != 0xDA {
            let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
            if whole[at + 1] != 0xC4 {
                bare.extend_from_slice(&whole[at..end]);
            }
            at = end;
        }
        bare.extend_from_slice(&whole[at..]);
        assert!(bare.len() < whole.len() - 300);
        // The encoder writes the tables of annex K, so both decode alike.
        assert!(decode(&bare).unwrap() == decode(&whole).unwrap());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_always_end(
            parts in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    Just(vec![0xFF, 0xD8]), Just(vec![0xFF, 0xD9]), Just(vec![0xFF, 0xDA, 0, 3, 7]),
                    Just(vec![0xFF, 0xE1, 0, 4]), Just(jpeg(RED)),
                ],
                0..12,
            ),
        ) {
            let clip = parts.concat();
            let mut r = MjpegReader::new(&clip[..]);
            let mut calls = 0;
            while !matches!(r.next_image(), Ok(None) | Err(MjpegError::Empty)) {
                calls += 1;
                prop_assert!(calls <= clip.len());
            }
        }
    }
}
