//! Camera pixel layouts to RGB and back: YUYV, NV12, planar 4:2:0/4:2:2/4:4:4 and grey, by ITU-R BT.601.
//!
//! Chroma is replicated over the pixels that share it, as OpenCV and libv4lconvert do.

use limen_models::image::{ImageError, RgbImage};
use thiserror::Error;

/// How luma and chroma use their eight bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// Studio range: Y 16 to 235, U and V 16 to 240. The default of video files and of V4L2.
    #[default]
    Limited,
    /// 0 to 255 for all: JPEG and webcams that say so.
    Full,
}

/// How many pixels share one chroma sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsampling {
    /// No chroma: grey.
    Mono,
    /// One per 2x2 pixels.
    C420,
    /// One per 2x1 pixels.
    C422,
    /// One per pixel.
    C444,
}

impl Subsampling {
    /// Columns and rows of one chroma plane for a picture of `width` x `height` px; odd sides round up.
    pub fn chroma_size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Mono => (0, 0),
            Self::C420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::C422 => (width.div_ceil(2), height),
            Self::C444 => (width, height),
        }
    }

    /// Bytes of all planes of one frame.
    pub fn frame_len(self, width: usize, height: usize) -> usize {
        let (cw, ch) = self.chroma_size(width, height);
        width * height + 2 * cw * ch
    }
}

/// Why bytes are not a picture of that layout.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum YuvError {
    /// Fewer bytes than the size and stride need.
    #[error("{layout} frame of {width}x{height} px needs {expected} bytes, got {got}")]
    Short {
        /// Name of the layout.
        layout: &'static str,
        /// Width, px.
        width: usize,
        /// Height, px.
        height: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The size itself is impossible.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// 16 fractional bits: products stay below 2^26.
const SHIFT: i32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

/// One pixel to RGB. BT.601: Kr = 0.299, Kb = 0.114; limited range scales luma by 255/219 and chroma by 255/224.
#[inline]
pub fn to_rgb(y: u8, u: u8, v: u8, range: Range) -> [u8; 3] {
    // Coefficients times 2^16, rounded. Full: 1.402, 0.344136, 0.714136, 1.772.
    // Limited: 1.164384, 1.596027, 0.391762, 0.812968, 2.017232.
    let (offset, ky, rv, gu, gv, bu) = match range {
        Range::Full => (0, 65_536, 91_881, 22_554, 46_802, 116_130),
        Range::Limited => (16, 76_309, 104_597, 25_675, 53_279, 132_201),
    };
    let y = (i32::from(y) - offset) * ky + HALF;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let byte = |x: i32| (x >> SHIFT).clamp(0, 255) as u8;
    [byte(y + rv * v), byte(y - gu * u - gv * v), byte(y + bu * u)]
}

/// One pixel to Y, U, V: the inverse of [`to_rgb`], within rounding.
#[inline]
pub fn from_rgb([r, g, b]: [u8; 3], range: Range) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    // Coefficients times 2^16; each luma row sums to the range, each chroma row to 0, so that grey stays grey.
    let (y, u, v) = match range {
        Range::Full => (
            19_595 * r + 38_470 * g + 7_471 * b,
            -11_058 * r - 21_710 * g + 32_768 * b,
            32_768 * r - 27_439 * g - 5_329 * b,
        ),
        // 219/255 and 224/255 of the full-range rows.
        Range::Limited => (
            16_829 * r + 33_039 * g + 6_416 * b + (16 << SHIFT),
            -9_714 * r - 19_070 * g + 28_784 * b,
            28_784 * r - 24_103 * g - 4_681 * b,
        ),
    };
    let byte = |x: i32| ((x + HALF) >> SHIFT).clamp(0, 255) as u8;
    [byte(y), byte(u + (128 << SHIFT)), byte(v + (128 << SHIFT))]
}

/// A frame's planes, tightly packed: `y` is `height * width` bytes, `u` and `v` as [`Subsampling::chroma_size`] says.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Luma.
    pub y: &'a [u8],
    /// Blue difference; empty for grey.
    pub u: &'a [u8],
    /// Red difference; empty for grey.
    pub v: &'a [u8],
}

impl<'a> Planes<'a> {
    /// Cuts `data` into planes in the order Y, U, V (I420 and its kin); bytes after them are ignored.
    pub fn split(
        data: &'a [u8],
        width: usize,
        height: usize,
        subsampling: Subsampling,
    ) -> Result<Self, YuvError> {
        check("planar YUV", width, height, subsampling.frame_len(width, height), data)?;
        let (cw, ch) = subsampling.chroma_size(width, height);
        let (y, rest) = data.split_at(width * height);
        let (u, rest) = rest.split_at(cw * ch);
        Ok(Self { y, u, v: &rest[..cw * ch] })
    }

    /// The planes as a picture of `width` x `height` px.
    pub fn to_image(
        self,
        width: usize,
        height: usize,
        subsampling: Subsampling,
        range: Range,
    ) -> Result<RgbImage, YuvError> {
        let (cw, ch) = subsampling.chroma_size(width, height);
        check("luma plane", width, height, width * height, self.y)?;
        check("chroma plane", width, height, cw * ch, self.u)?;
        check("chroma plane", width, height, cw * ch, self.v)?;
        let (sx, sy) = match subsampling {
            Subsampling::C420 => (1, 1),
            Subsampling::C422 => (1, 0),
            Subsampling::C444 | Subsampling::Mono => (0, 0),
        };
        picture(width, height, |x, row| {
            let y = self.y[row * width + x];
            if subsampling == Subsampling::Mono {
                return to_rgb(y, 128, 128, range);
            }
            let c = (row >> sy) * cw + (x >> sx);
            to_rgb(y, self.u[c], self.v[c], range)
        })
    }
}

/// A picture as tightly packed planes, Y then U then V; chroma is the mean of the pixels that share it.
pub fn from_image(image: &RgbImage, subsampling: Subsampling, range: Range) -> Vec<u8> {
    let (w, h) = (image.width(), image.height());
    let mut out = Vec::with_capacity(subsampling.frame_len(w, h));
    for row in 0..h {
        out.extend((0..w).map(|x| from_rgb(image.pixel(x, row), range)[0]));
    }
    let (cw, ch) = subsampling.chroma_size(w, h);
    let (sx, sy) = (w.div_ceil(cw.max(1)), h.div_ceil(ch.max(1)));
    for channel in [1, 2] {
        for cy in 0..ch {
            for cx in 0..cw {
                // The mean is taken in RGB: chroma is linear in it, so this equals the mean chroma but rounds once.
                let (mut sum, mut n) = ([0u32; 3], 0u32);
                for y in cy * sy..((cy + 1) * sy).min(h) {
                    for x in cx * sx..((cx + 1) * sx).min(w) {
                        let p = image.pixel(x, y);
                        sum.iter_mut().zip(p).for_each(|(s, c)| *s += u32::from(c));
                        n += 1;
                    }
                }
                out.push(from_rgb(sum.map(|s| ((s + n / 2) / n.max(1)) as u8), range)[channel]);
            }
        }
    }
    out
}

/// YUYV (YUY2), the webcam's raw layout: Y0 U Y1 V for each two pixels. `stride` is bytes a row, at least `2 * width`
/// rounded up to whole pairs.
pub fn yuyv_to_image(
    data: &[u8],
    width: usize,
    height: usize,
    stride: usize,
    range: Range,
) -> Result<RgbImage, YuvError> {
    let row_len = width.div_ceil(2) * 4;
    let stride = stride.max(row_len);
    check("YUYV", width, height, stride * height.saturating_sub(1) + row_len, data)?;
    picture(width, height, |x, y| {
        let pair = y * stride + (x / 2) * 4;
        to_rgb(data[pair + (x % 2) * 2], data[pair + 1], data[pair + 3], range)
    })
}

/// NV12: a luma plane, then one plane of interleaved U and V at half size; both `stride` bytes a row.
pub fn nv12_to_image(
    data: &[u8],
    width: usize,
    height: usize,
    stride: usize,
    range: Range,
) -> Result<RgbImage, YuvError> {
    let row_len = width.div_ceil(2) * 2;
    let stride = stride.max(row_len);
    let chroma = stride * height;
    check("NV12", width, height, chroma + stride * height.div_ceil(2).saturating_sub(1) + row_len, data)?;
    picture(width, height, |x, y| {
        let c = chroma + (y / 2) * stride + (x / 2) * 2;
        to_rgb(data[y * stride + x], data[c], data[c + 1], range)
    })
}

/// Grey, one byte a pixel, `stride` bytes a row.
pub fn grey_to_image(
    data: &[u8],
    width: usize,
    height: usize,
    stride: usize,
    range: Range,
) -> Result<RgbImage, YuvError> {
    let stride = stride.max(width);
    check("grey", width, height, stride * height.saturating_sub(1) + width, data)?;
    picture(width, height, |x, y| to_rgb(data[y * stride + x], 128, 128, range))
}

fn check(
    layout: &'static str,
    width: usize,
    height: usize,
    expected: usize,
    data: &[u8],
) -> Result<(), YuvError> {
    if data.len() < expected {
        return Err(YuvError::Short { layout, width, height, expected, got: data.len() });
    }
    Ok(())
}

/// Fills a picture pixel by pixel, rows from the top.
fn picture(
    width: usize,
    height: usize,
    mut pixel: impl FnMut(usize, usize) -> [u8; 3],
) -> Result<RgbImage, YuvError> {
    let mut out = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            out.extend_from_slice(&pixel(x, y));
        }
    }
    Ok(RgbImage::new(width, height, out)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn black_white_and_grey_by_hand() {
        assert_eq!(to_rgb(16, 128, 128, Range::Limited), [0; 3]);
        assert_eq!(to_rgb(235, 128, 128, Range::Limited), [255; 3]);
        assert_eq!(to_rgb(0, 128, 128, Range::Limited), [0; 3]); // below black is clipped
        assert_eq!(to_rgb(0, 128, 128, Range::Full), [0; 3]);
        assert_eq!(to_rgb(77, 128, 128, Range::Full), [77; 3]);
        // (126 - 16) * 255 / 219 = 128.08
        assert_eq!(to_rgb(126, 128, 128, Range::Limited), [128; 3]);
    }

    #[test]
    fn primaries_by_hand() {
        // BT.601 limited, the colour bars of every test chart: red 81/90/240, green 145/54/34, blue 41/240/110.
        assert_eq!(from_rgb([255, 0, 0], Range::Limited), [81, 90, 240]);
        assert_eq!(from_rgb([0, 255, 0], Range::Limited), [145, 54, 34]);
        assert_eq!(from_rgb([0, 0, 255], Range::Limited), [41, 240, 110]);
        // 76 = 0.299 * 255; U = 128 - 0.168736 * 255 = 84.97; V = 128 + 127.5 -> 255 (clipped).
        assert_eq!(from_rgb([255, 0, 0], Range::Full), [76, 85, 255]);
        assert_eq!(to_rgb(81, 90, 240, Range::Limited), [254, 0, 0]);
        // 76 + 1.402 * 127 = 254.05; 76 + 0.344136 * 43 - 0.714136 * 127 = 0.1; 76 - 1.772 * 43 = -0.2
        assert_eq!(to_rgb(76, 85, 255, Range::Full), [254, 0, 0]);
    }

    #[test]
    fn yuyv_takes_chroma_from_its_pair() {
        // Two pairs: red-ish then grey, one row of 4 px plus 4 bytes of padding.
        let row = [81, 90, 145, 240, 126, 128, 235, 128, 9, 9, 9, 9];
        let im = yuyv_to_image(&row, 4, 1, 12, Range::Limited).unwrap();
        assert_eq!(im.pixel(0, 0), [254, 0, 0]);
        // Y = 145 with red's chroma: 150.2 + 178.8 -> 255; 150.2 + 14.9 - 91.1 = 74; 150.2 - 76.7 = 74 (73.55)
        assert_eq!(im.pixel(1, 0), [255, 74, 74]);
        assert_eq!((im.pixel(2, 0), im.pixel(3, 0)), ([128; 3], [255; 3]));
        assert!(matches!(
            yuyv_to_image(&row[..7], 4, 1, 8, Range::Limited),
            Err(YuvError::Short { expected: 8, got: 7, .. })
        ));
    }

    #[test]
    fn an_odd_width_yuyv_row_ends_in_a_whole_pair() {
        let row = [10, 128, 20, 128, 30, 128, 40, 128];
        let im = yuyv_to_image(&row, 3, 1, 0, Range::Full).unwrap();
        assert_eq!(im.data(), &[10, 10, 10, 20, 20, 20, 30, 30, 30]);
    }

    #[test]
    fn nv12_and_i420_agree() {
        // 4x2, left half red, right half blue; stride 6.
        let y = [81, 81, 41, 41];
        let mut nv12 = Vec::new();
        for _ in 0..2 {
            nv12.extend_from_slice(&y);
            nv12.extend_from_slice(&[0, 0]);
        }
        nv12.extend_from_slice(&[90, 240, 240, 110]);
        let a = nv12_to_image(&nv12, 4, 2, 6, Range::Limited).unwrap();
        let i420 = [&y[..], &y, &[90, 240], &[240, 110]].concat();
        let b = Planes::split(&i420, 4, 2, Subsampling::C420)
            .unwrap()
            .to_image(4, 2, Subsampling::C420, Range::Limited)
            .unwrap();
        assert!(a == b);
        assert_eq!(a.pixel(1, 1), [254, 0, 0]);
        assert!(a.pixel(3, 0)[2] > 250 && a.pixel(3, 0)[0] < 3);
    }

    #[test]
    fn nv12_rows_follow_the_stride_in_both_planes() {
        // 2x4 in full range, stride 4: grey above, and red chroma for the lower two rows only.
        let mut data = Vec::new();
        for _ in 0..4 {
            data.extend_from_slice(&[76, 76, 9, 9]);
        }
        data.extend_from_slice(&[128, 128, 9, 9, 85, 255, 9, 9]);
        let im = nv12_to_image(&data, 2, 4, 4, Range::Full).unwrap();
        assert_eq!((im.pixel(1, 1), im.pixel(1, 2)), ([76; 3], [254, 0, 0]));
        // The last row may end without its padding, but not earlier.
        assert!(nv12_to_image(&data[..22], 2, 4, 4, Range::Full).is_ok());
        assert!(nv12_to_image(&data[..21], 2, 4, 4, Range::Full).is_err());
    }

    #[test]
    fn grey_keeps_its_values_and_skips_padding() {
        let im = grey_to_image(&[1, 2, 0, 3, 4, 0], 2, 2, 3, Range::Full).unwrap();
        assert_eq!(im.data(), &[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
        assert!(grey_to_image(&[1, 2, 0, 3], 2, 2, 3, Range::Full).is_err());
        assert!(grey_to_image(&[], 0, 0, 0, Range::Full).is_err());
    }

    #[test]
    fn odd_sides_round_chroma_up() {
        assert_eq!(Subsampling::C420.chroma_size(5, 3), (3, 2));
        assert_eq!(Subsampling::C422.chroma_size(5, 3), (3, 3));
        assert_eq!(Subsampling::C420.frame_len(5, 3), 15 + 12);
        assert_eq!(Subsampling::Mono.frame_len(5, 3), 15);
        let im = RgbImage::filled(5, 3, [200, 100, 50]).unwrap();
        let p = from_image(&im, Subsampling::C420, Range::Full);
        assert_eq!(p.len(), 27);
        let back = Planes::split(&p, 5, 3, Subsampling::C420)
            .unwrap()
            .to_image(5, 3, Subsampling::C420, Range::Full)
            .unwrap();
        assert!(back.pixel(4, 2).iter().zip([200, 100, 50]).all(|(a, b)| a.abs_diff(b) <= 1));
    }

    proptest! {
        /// Eight-bit YUV cannot hold every RGB; limited range loses a little more.
        #[test]
        fn rgb_survives_within_rounding(rgb: [u8; 3]) {
            for (range, most) in [(Range::Full, 2), (Range::Limited, 3)] {
                let [y, u, v] = from_rgb(rgb, range);
                let back = to_rgb(y, u, v, range);
                prop_assert!(rgb.iter().zip(back).all(|(a, b)| a.abs_diff(b) <= most), "{rgb:?} {back:?}");
            }
        }

        #[test]
        fn grey_is_exact_in_full_range(g: u8) {
            prop_assert_eq!(from_rgb([g; 3], Range::Full), [g, 128, 128]);
        }
    }
}
