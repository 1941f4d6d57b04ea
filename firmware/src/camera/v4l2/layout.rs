//! Which pixel layouts of a V4L2 device we take, in which order, and how their bytes become a picture. No device needed.

use limen_models::image::RgbImage;

use crate::camera::PixelFormat;
use crate::camera::mjpeg;
use crate::camera::yuv::{self, Range};

/// A layout this program decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `YUYV`: raw, 2 bytes a pixel.
    Yuyv,
    /// `MJPG` (or `JPEG`): one JPEG a frame.
    Mjpg([u8; 4]),
    /// `NV12`: raw, 1.5 bytes a pixel.
    Nv12,
    /// `GREY`: 1 byte a pixel, infrared cameras.
    Grey,
}

impl Layout {
    /// In the order we prefer them: raw colour costs no decoding, JPEG costs some, NV12 and grey come last because
    /// devices that offer only them are rare and often infrared.
    const PREFERRED: [Self; 5] =
        [Self::Yuyv, Self::Mjpg(*b"MJPG"), Self::Mjpg(*b"JPEG"), Self::Nv12, Self::Grey];

    /// The code that asks the driver for it.
    pub fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Yuyv => *b"YUYV",
            Self::Mjpg(code) => code,
            Self::Nv12 => *b"NV12",
            Self::Grey => *b"GREY",
        }
    }

    /// The layout of a code, if we take it.
    pub fn of(fourcc: [u8; 4]) -> Option<Self> {
        Self::PREFERRED.into_iter().find(|l| l.fourcc() == fourcc)
    }

    /// Its name in the configuration.
    fn format(self) -> PixelFormat {
        match self {
            Self::Yuyv => PixelFormat::Yuyv,
            Self::Mjpg(_) => PixelFormat::Mjpg,
            Self::Nv12 => PixelFormat::Nv12,
            Self::Grey => PixelFormat::Grey,
        }
    }

    /// The best of the layouts a device offers that are as wished, or why none will do, with the cure.
    pub fn choose(offered: &[[u8; 4]], wish: PixelFormat) -> Result<Self, String> {
        let taken = || Self::PREFERRED.into_iter().filter(|l| offered.contains(&l.fourcc()));
        if let Some(best) = taken().find(|l| wish == PixelFormat::Cheapest || wish == l.format()) {
            return Ok(best);
        }
        let mut other: Vec<PixelFormat> = taken().map(Self::format).collect();
        other.dedup();
        if !other.is_empty() {
            let names: Vec<String> = other.iter().map(|f| format!("\"{f}\"")).collect();
            return Err(format!(
                "it does not offer {wish}; set camera.format to one of {}, or to \"\" for the cheapest",
                names.join(", ")
            ));
        }
        if offered.iter().any(|c| is_bayer(*c)) {
            return Err(
                "it delivers raw Bayer data, which needs an image signal processor; put a bridge before it: \
                 on a Raspberry Pi rpicam-vid or libcamera into v4l2loopback, on a Jetson nvarguscamerasrc \
                 into v4l2loopback, and name the loopback device here"
                    .into(),
            );
        }
        if let Some(apart) = offered.iter().find(|c| lies_apart(**c)) {
            return Err(format!(
                "it puts the planes of a picture into separate pieces of memory ({}), which limen does not read; ask its \
                 driver for NV12 in one piece, or convert with ffmpeg into v4l2loopback",
                apart.escape_ascii()
            ));
        }
        let names: Vec<String> = offered.iter().map(|c| c.escape_ascii().to_string()).collect();
        Err(format!(
            "it offers only {}; limen takes YUYV, MJPG, NV12 and GREY: convert with ffmpeg into v4l2loopback",
            names.join(", ")
        ))
    }

    /// One buffer as a picture of `width` x `height` px (JPEG brings its own size); `stride` is bytes a row, `range`
    /// what the driver says, where it does.
    pub fn decode(
        self,
        data: &[u8],
        width: usize,
        height: usize,
        stride: usize,
        range: Option<Range>,
    ) -> Result<RgbImage, String> {
        let limited = range.unwrap_or(Range::Limited);
        match self {
            Self::Yuyv => yuv::yuyv_to_image(data, width, height, stride, limited),
            Self::Nv12 => yuv::nv12_to_image(data, width, height, stride, limited),
            // A grey sensor uses all 256 values unless its driver denies it.
            Self::Grey => yuv::grey_to_image(data, width, height, stride, range.unwrap_or(Range::Full)),
            Self::Mjpg(_) => return mjpeg::decode(data),
        }
        .map_err(|e| e.to_string())
    }
}

/// Raw sensor codes (videodev2.h, `V4L2_PIX_FMT_SBGGR8` to `SRGGB16`): 8 bits are spelled out, deeper ones begin with
/// the colour pair or `p` for packed.
fn is_bayer(code: [u8; 4]) -> bool {
    const WHOLE: [&[u8; 4]; 5] = [b"BA81", b"GBRG", b"GRBG", b"RGGB", b"BYR2"];
    const PAIRS: [&[u8; 2]; 4] = [b"BG", b"GB", b"BA", b"RG"];
    let deep = PAIRS.iter().any(|p| code[..2] == **p) && matches!(&code[2..], b"10" | b"12" | b"14" | b"16");
    let packed = code[0] == b'p' && matches!(code[1], b'B' | b'G' | b'g' | b'R') && code[2] != b'4';
    WHOLE.contains(&&code) || deep || packed
}

/// Codes of pictures in several pieces of memory (videodev2.h, `V4L2_PIX_FMT_NV12M` and its kin: NM12, YM12, ...).
fn lies_apart(code: [u8; 4]) -> bool {
    matches!(code[0], b'N' | b'Y' | b'T' | b'V')
        && code[1] == b'M'
        && code[2..].iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::mjpeg::MjpegWriter;

    fn choose(offered: &[[u8; 4]]) -> Result<Layout, String> {
        Layout::choose(offered, PixelFormat::Cheapest)
    }

    #[test]
    fn the_cheapest_colour_layout_wins() {
        assert_eq!(choose(&[*b"MJPG", *b"YUYV", *b"NV12"]), Ok(Layout::Yuyv));
        assert_eq!(choose(&[*b"GREY", *b"MJPG", *b"H264"]), Ok(Layout::Mjpg(*b"MJPG")));
        assert_eq!(choose(&[*b"GREY", *b"NV12"]), Ok(Layout::Nv12));
        assert_eq!(choose(&[*b"Y16 ", *b"GREY"]), Ok(Layout::Grey));
        assert_eq!(Layout::of(*b"JPEG"), Some(Layout::Mjpg(*b"JPEG")));
        assert_eq!(Layout::of(*b"H264"), None);
    }

    #[test]
    fn a_format_that_is_asked_for_is_taken_or_refused() {
        let offered = [*b"YUYV", *b"JPEG", *b"H264", *b"GREY"];
        assert_eq!(Layout::choose(&offered, PixelFormat::Grey), Ok(Layout::Grey));
        assert_eq!(Layout::choose(&offered, PixelFormat::Mjpg), Ok(Layout::Mjpg(*b"JPEG")));
        let why = Layout::choose(&offered, PixelFormat::Nv12).unwrap_err();
        assert!(why.contains("not offer NV12") && why.contains("\"YUYV\", \"MJPG\", \"GREY\""), "{why}");
        // Where nothing will do, that is what is said.
        let why = Layout::choose(&[*b"RG10"], PixelFormat::Nv12).unwrap_err();
        assert!(why.contains("Bayer"), "{why}");
    }

    #[test]
    fn planes_in_separate_memory_are_named() {
        for code in [b"NM12", b"YM12", b"NM21"] {
            let why = choose(&[*code]).unwrap_err();
            assert!(why.contains("separate pieces of memory") && why.contains("NV12"), "{why}");
        }
        assert_eq!(choose(&[*b"NM12", *b"NV12"]), Ok(Layout::Nv12));
    }

    #[test]
    fn a_raw_sensor_is_sent_over_the_bridge() {
        for code in [b"pBAA", b"BA81", b"RG10", b"BG12", b"RGGB", b"pRCC"] {
            let why = choose(&[*code]).unwrap_err();
            assert!(why.contains("Bayer") && why.contains("v4l2loopback"), "{why}");
        }
        // A device that offers a usable layout besides its raw one is fine.
        assert_eq!(choose(&[*b"RG10", *b"YUYV"]), Ok(Layout::Yuyv));
    }

    #[test]
    fn other_layouts_are_named() {
        let why = choose(&[*b"H264", *b"RGB3"]).unwrap_err();
        assert!(why.contains("H264, RGB3") && !why.contains("Bayer"), "{why}");
    }

    #[test]
    fn each_layout_decodes_its_bytes() {
        let red = [81, 90, 81, 240];
        assert_eq!(Layout::Yuyv.decode(&red, 2, 1, 4, None).unwrap().pixel(1, 0), [254, 0, 0]);
        assert_eq!(
            Layout::Nv12.decode(&[81, 81, 81, 81, 90, 240], 2, 2, 2, None).unwrap().pixel(1, 1),
            [254, 0, 0]
        );
        assert_eq!(Layout::Grey.decode(&[7], 1, 1, 1, None).unwrap().pixel(0, 0), [7; 3]);
        assert_eq!(Layout::Grey.decode(&[16], 1, 1, 1, Some(Range::Limited)).unwrap().pixel(0, 0), [0; 3]);
        let mut w = MjpegWriter::new(Vec::new(), 90);
        w.write_image(&RgbImage::filled(8, 8, [128; 3]).unwrap()).unwrap();
        let jpeg = w.finish().unwrap();
        // The driver's buffer is longer than the picture.
        let padded = [&jpeg[..], &[0; 100]].concat();
        let im = Layout::Mjpg(*b"MJPG").decode(&padded, 8, 8, 0, None).unwrap();
        assert_eq!((im.width(), im.height()), (8, 8));
        assert!(Layout::Mjpg(*b"MJPG").decode(&jpeg[..40], 8, 8, 0, None).is_err());
        assert!(Layout::Yuyv.decode(&red[..3], 2, 1, 4, None).is_err());
    }
}
