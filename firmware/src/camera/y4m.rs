//! YUV4MPEG2 clips (.y4m), read and written one frame at a time.
//!
//! Format: mjpegtools `yuv4mpeg(5)`. A header line `YUV4MPEG2 W640 H480 F15:1 C420jpeg ...`, then for each frame a line
//! `FRAME ...` and the planes Y, U, V, 8 bits a sample.

use std::io::{self, BufRead, Read, Write};

use limen_models::image::{MAX_SIDE_PX, RgbImage};
use limen_models::photo::MAX_PIXELS;
use thiserror::Error;

use super::FrameRate;
use super::yuv::{self, Planes, Range, Subsampling};

/// Longest header or frame line accepted, bytes (mjpegtools allows 256).
const MAX_LINE: u64 = 1024;

/// Why a clip cannot be read or written.
#[derive(Debug, Error)]
pub enum Y4mError {
    /// The header is not what the format asks for.
    #[error("not a usable Y4M clip: {0}")]
    Header(String),
    /// A pixel layout this reader does not know.
    #[error("Y4M layout C{0} is not supported; convert it: ffmpeg -i IN -pix_fmt yuv420p OUT.y4m")]
    Layout(String),
    /// A frame is cut short or does not begin with `FRAME`.
    #[error("frame {frame}: {why}")]
    Frame {
        /// Counted from 0.
        frame: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A picture of another size than the clip.
    #[error(
        "a {got_width}x{got_height} px picture cannot go into a {width}x{height} px clip: scale it first"
    )]
    Size {
        /// Width of the clip, px.
        width: usize,
        /// Height of the clip, px.
        height: usize,
        /// Width of the picture, px.
        got_width: usize,
        /// Height of the picture, px.
        got_height: usize,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Chroma layout with the name it has in the header. The three 4:2:0 names differ by a quarter pixel in where chroma
/// is sampled; replicated chroma is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chroma {
    /// `420jpeg`, and the default of a header that names none.
    #[default]
    C420Jpeg,
    /// `420mpeg2`.
    C420Mpeg2,
    /// `420paldv`.
    C420PalDv,
    /// `420`.
    C420,
    /// `422`.
    C422,
    /// `444`.
    C444,
    /// `mono`.
    Mono,
}

impl Chroma {
    const ALL: [(Self, &'static str, Subsampling); 7] = [
        (Self::C420Jpeg, "420jpeg", Subsampling::C420),
        (Self::C420Mpeg2, "420mpeg2", Subsampling::C420),
        (Self::C420PalDv, "420paldv", Subsampling::C420),
        (Self::C420, "420", Subsampling::C420),
        (Self::C422, "422", Subsampling::C422),
        (Self::C444, "444", Subsampling::C444),
        (Self::Mono, "mono", Subsampling::Mono),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n, _)| *n == name).map(|(c, ..)| *c)
    }

    /// The name after `C` in the header.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(c, ..)| *c == self).map_or("420jpeg", |(_, n, _)| n)
    }

    /// How many pixels share one chroma sample.
    pub fn subsampling(self) -> Subsampling {
        Self::ALL.iter().find(|(c, ..)| *c == self).map_or(Subsampling::C420, |(.., s)| *s)
    }
}

/// What the header line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width, px, 1 to [`MAX_SIDE_PX`].
    pub width: usize,
    /// Height, px, 1 to [`MAX_SIDE_PX`].
    pub height: usize,
    /// Frame rate; `None` where the header does not know.
    pub rate: Option<FrameRate>,
    /// Pixel layout.
    pub chroma: Chroma,
    /// Limited unless `XCOLORRANGE=FULL` stands in the header.
    pub range: Range,
}

impl Header {
    /// Bytes of one frame's planes.
    pub fn frame_len(&self) -> usize {
        self.chroma.subsampling().frame_len(self.width, self.height)
    }

    /// Parses the header line without its newline.
    pub fn parse(line: &str) -> Result<Self, Y4mError> {
        let bad = |what: String| Y4mError::Header(what);
        let mut words = line.split(' ').filter(|w| !w.is_empty());
        if words.next() != Some("YUV4MPEG2") {
            return Err(bad("it does not begin with YUV4MPEG2".into()));
        }
        let (mut width, mut height, mut rate) = (None, None, None);
        let (mut chroma, mut range) = (Chroma::default(), Range::default());
        for word in words {
            let Some(tag) = word.chars().next() else { continue };
            let value = &word[tag.len_utf8()..];
            let side = || {
                value
                    .parse::<usize>()
                    .ok()
                    .filter(|v| (1..=MAX_SIDE_PX).contains(v))
                    .ok_or_else(|| bad(format!("{tag}{value}: each side must be 1 to {MAX_SIDE_PX} px")))
            };
            match tag {
                'W' => width = Some(side()?),
                'H' => height = Some(side()?),
                'F' => rate = Some(parse_rate(value).ok_or_else(|| bad(format!("frame rate F{value}")))?),
                'C' => chroma = Chroma::parse(value).ok_or_else(|| Y4mError::Layout(value.to_owned()))?,
                'X' if value.eq_ignore_ascii_case("COLORRANGE=FULL") => range = Range::Full,
                // Interlacing and pixel aspect do not change how bytes become pixels; other X are comments.
                _ => {}
            }
        }
        let width = width.ok_or_else(|| bad("the width (W) is missing".into()))?;
        let height = height.ok_or_else(|| bad("the height (H) is missing".into()))?;
        // Checked before a frame is allocated.
        if width as u64 * height as u64 > MAX_PIXELS {
            return Err(bad(format!("W{width} H{height} is above {} megapixels", MAX_PIXELS / 1_000_000)));
        }
        Ok(Self { width, height, rate: rate.flatten(), chroma, range })
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (num, den) = self.rate.map_or((0, 0), |r| (r.num(), r.den()));
        let range = match self.range {
            Range::Full => "FULL",
            Range::Limited => "LIMITED",
        };
        write!(
            f,
            "YUV4MPEG2 W{} H{} F{num}:{den} Ip A1:1 C{} XCOLORRANGE={range}",
            self.width,
            self.height,
            self.chroma.name()
        )
    }
}

/// `num:den`; `0:0` means unknown and gives `Some(None)`.
fn parse_rate(value: &str) -> Option<Option<FrameRate>> {
    let (num, den) = value.split_once(':')?;
    let (num, den) = (num.parse().ok()?, den.parse().ok()?);
    if (num, den) == (0, 0) { Some(None) } else { FrameRate::new(num, den).map(Some) }
}

/// Reads a clip frame by frame; memory is one frame.
pub struct Y4mReader<R> {
    input: R,
    header: Header,
    planes: Vec<u8>,
    frame: u64,
}

impl<R: BufRead> Y4mReader<R> {
    /// Reads the header from `input`.
    pub fn new(mut input: R) -> Result<Self, Y4mError> {
        let line = read_line(&mut input)?
            .ok_or_else(|| Y4mError::Header("the first line is missing or too long".into()))?;
        let header = Header::parse(&line)?;
        Ok(Self { input, header, planes: vec![0; header.frame_len()], frame: 0 })
    }

    /// What the clip says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame's planes as stored; `None` at the clean end of the clip. After an error the clip is at its end:
    /// there is no mark to find the next frame by.
    pub fn next_planes(&mut self) -> Result<Option<Planes<'_>>, Y4mError> {
        let frame = self.frame;
        let broken = move |why| Y4mError::Frame { frame, why };
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let line = read_line(&mut self.input)?.unwrap_or_default();
        if line != "FRAME" && !line.starts_with("FRAME ") {
            self.drain()?;
            return Err(broken("the line FRAME is missing, the clip is damaged from here on"));
        }
        match self.input.read_exact(&mut self.planes) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(broken("the clip is cut short within this frame"));
            }
            Err(e) => return Err(e.into()),
        }
        self.frame += 1;
        let h = &self.header;
        let planes = Planes::split(&self.planes, h.width, h.height, h.chroma.subsampling());
        planes.map(Some).map_err(|_| broken("its planes do not fit"))
    }

    /// The next frame as a picture; `None` at the clean end of the clip.
    pub fn next_image(&mut self) -> Result<Option<RgbImage>, Y4mError> {
        let Header { width, height, chroma, range, .. } = self.header;
        let frame = self.frame;
        let Some(planes) = self.next_planes()? else { return Ok(None) };
        planes
            .to_image(width, height, chroma.subsampling(), range)
            .map(Some)
            .map_err(|_| Y4mError::Frame { frame, why: "its planes do not fit" })
    }

    /// Drains the input in bounded pieces, so that the next call sees the end.
    fn drain(&mut self) -> Result<(), Y4mError> {
        io::copy(&mut self.input, &mut io::sink())?;
        Ok(())
    }
}

/// A line without its newline; `None` if it is longer than [`MAX_LINE`], unfinished or not text.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok(if line.pop() == Some(b'\n') { String::from_utf8(line).ok() } else { None })
}

/// Writes a clip frame by frame.
pub struct Y4mWriter<W> {
    output: W,
    header: Header,
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the header to `output`.
    pub fn new(mut output: W, header: Header) -> Result<Self, Y4mError> {
        writeln!(output, "{header}")?;
        Ok(Self { output, header })
    }

    /// Appends one picture, which must have the clip's size.
    pub fn write_image(&mut self, image: &RgbImage) -> Result<(), Y4mError> {
        let Header { width, height, chroma, range, .. } = self.header;
        if (image.width(), image.height()) != (width, height) {
            let (got_width, got_height) = (image.width(), image.height());
            return Err(Y4mError::Size { width, height, got_width, got_height });
        }
        self.write_planes(&yuv::from_image(image, chroma.subsampling(), range))
    }

    /// Appends one frame as packed planes of [`Header::frame_len`] bytes.
    pub fn write_planes(&mut self, planes: &[u8]) -> Result<(), Y4mError> {
        if planes.len() != self.header.frame_len() {
            return Err(Y4mError::Frame { frame: 0, why: "the planes do not have the clip's size" });
        }
        self.output.write_all(b"FRAME\n")?;
        Ok(self.output.write_all(planes)?)
    }

    /// Flushes and hands the output back.
    pub fn finish(mut self) -> Result<W, Y4mError> {
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(width: usize, height: usize, chroma: Chroma, range: Range) -> Header {
        Header { width, height, rate: FrameRate::new(25, 2), chroma, range }
    }

    #[test]
    fn headers_from_the_wild_are_read() {
        let h =
            Header::parse("YUV4MPEG2 W352 H288 F30000:1001 Ip A128:117 C420mpeg2 XYSCSS=420MPEG2").unwrap();
        assert_eq!((h.width, h.height, h.chroma, h.range), (352, 288, Chroma::C420Mpeg2, Range::Limited));
        assert_eq!(h.rate, FrameRate::new(30_000, 1001));
        let h = Header::parse("YUV4MPEG2 H2 W4 F0:0 XCOLORRANGE=FULL").unwrap();
        assert_eq!((h.rate, h.chroma, h.range), (None, Chroma::C420Jpeg, Range::Full));
    }

    #[test]
    fn bad_headers_name_the_field() {
        for (line, word) in [
            ("YUV4MPEG W1 H1", "YUV4MPEG2"),
            ("YUV4MPEG2 H1", "width"),
            ("YUV4MPEG2 W1", "height"),
            ("YUV4MPEG2 W0 H1", "W0"),
            ("YUV4MPEG2 W99999 H1", "W99999"),
            ("YUV4MPEG2 W1 H-1", "H-1"),
            ("YUV4MPEG2 W12000 H12000", "megapixels"),
            ("YUV4MPEG2 W1 H1 F30", "F30"),
            ("YUV4MPEG2 W1 H1 F30:0", "F30:0"),
            ("YUV4MPEG2 W1 H1 C420p10", "C420p10"),
            ("YUV4MPEG2 W1 H1 C444alpha", "C444alpha"),
        ] {
            let e = Header::parse(line).unwrap_err().to_string();
            assert!(e.contains(word), "{line}: {e}");
        }
    }

    #[test]
    fn a_known_clip_gives_known_pixels() {
        let mut clip = b"YUV4MPEG2 W2 H2 F1:1 C420jpeg\nFRAME\n".to_vec();
        clip.extend_from_slice(&[81, 81, 81, 81, 90, 240]); // BT.601 red
        clip.extend_from_slice(b"FRAME Ip\n");
        clip.extend_from_slice(&[16, 235, 16, 235, 128, 128]);
        let mut r = Y4mReader::new(&clip[..]).unwrap();
        assert_eq!(r.next_image().unwrap().unwrap().pixel(1, 1), [254, 0, 0]);
        assert_eq!(r.next_image().unwrap().unwrap().data()[..6], [0, 0, 0, 255, 255, 255]);
        assert!(r.next_image().unwrap().is_none());
    }

    #[test]
    fn a_truncated_last_frame_is_named_and_then_the_clip_ends() {
        let mut w = Y4mWriter::new(Vec::new(), header(4, 4, Chroma::C420, Range::Limited)).unwrap();
        for _ in 0..3 {
            w.write_image(&RgbImage::filled(4, 4, [9, 9, 9]).unwrap()).unwrap();
        }
        let clip = w.finish().unwrap();
        for cut in [1, 10, 23, 24, 27] {
            let mut r = Y4mReader::new(&clip[..clip.len() - cut]).unwrap();
            assert!(r.next_image().unwrap().is_some() && r.next_image().unwrap().is_some());
            let e = r.next_image().unwrap_err();
            assert!(matches!(e, Y4mError::Frame { frame: 2, .. }), "cut {cut}: {e}");
            assert!(r.next_image().unwrap().is_none());
        }
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        let mut w = Y4mWriter::new(Vec::new(), header(4, 4, Chroma::C444, Range::Full)).unwrap();
        assert!(w.write_image(&RgbImage::filled(4, 5, [0; 3]).unwrap()).is_err());
        assert!(w.write_planes(&[0; 47]).is_err());
    }

    proptest! {
        #[test]
        fn planes_round_trip_exactly(
            (width, height, data) in (1usize..9, 1usize..9)
                .prop_flat_map(|(w, h)| (Just(w), Just(h), proptest::collection::vec(any::<u8>(), w * h * 3 * 2))),
            full: bool,
        ) {
            let range = if full { Range::Full } else { Range::Limited };
            let h = header(width, height, Chroma::C444, range);
            let mut w = Y4mWriter::new(Vec::new(), h).unwrap();
            for frame in data.chunks(width * height * 3) {
                w.write_planes(frame).unwrap();
            }
            let clip = w.finish().unwrap();
            let mut r = Y4mReader::new(&clip[..]).unwrap();
            prop_assert_eq!(*r.header(), h);
            for frame in data.chunks(width * height * 3) {
                let p = r.next_planes().unwrap().unwrap();
                prop_assert_eq!([p.y, p.u, p.v].concat(), frame);
            }
            prop_assert!(r.next_planes().unwrap().is_none());
        }

        #[test]
        fn a_grey_picture_survives_every_layout(width in 1usize..9, height in 1usize..9, g: u8) {
            let im = RgbImage::filled(width, height, [g; 3]).unwrap();
            for (chroma, ..) in Chroma::ALL {
                let mut w = Y4mWriter::new(Vec::new(), header(width, height, chroma, Range::Full)).unwrap();
                w.write_image(&im).unwrap();
                let clip = w.finish().unwrap();
                prop_assert!(Y4mReader::new(&clip[..]).unwrap().next_image().unwrap().unwrap() == im);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            head in prop_oneof![
                Just(""), Just("YUV4MPEG2 "), Just("YUV4MPEG2 W3 H2 C420\n"), Just("YUV4MPEG2 W1 H1 Cmono\nFRAME\n"),
            ],
            tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let clip = [head.as_bytes(), &tail].concat();
            if let Ok(mut r) = Y4mReader::new(&clip[..]) {
                for _ in 0..8 {
                    let _ = r.next_image();
                }
            }
        }
    }
}
