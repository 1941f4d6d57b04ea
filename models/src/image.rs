//! Pixels: an owned 8-bit RGB picture and the borrowed view that every stage reads.

use thiserror::Error;

/// Largest side accepted anywhere, in pixels. A decoder that announces more is refused before it allocates.
pub const MAX_SIDE_PX: usize = 12_000;

/// Why a buffer is not a picture.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// A side is zero or above [`MAX_SIDE_PX`].
    #[error("a picture of {width_px}x{height_px} px cannot be used: each side must be 1 to {MAX_SIDE_PX} px")]
    Size {
        /// Width as announced, px.
        width_px: usize,
        /// Height as announced, px.
        height_px: usize,
    },
    /// The buffer does not hold `width * height * 3` bytes.
    #[error("a {width_px}x{height_px} RGB picture needs {expected} bytes, got {got}")]
    Length {
        /// Width, px.
        width_px: usize,
        /// Height, px.
        height_px: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}

/// An owned picture: 8-bit RGB, interleaved, rows from the top, no padding.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl std::fmt::Debug for RgbImage {
    /// Size only: pixels are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RgbImage({}x{})", self.width, self.height)
    }
}

impl RgbImage {
    /// Takes `data` (`height * width * 3` bytes, RGB) as a picture.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, ImageError> {
        if width == 0 || height == 0 || width > MAX_SIDE_PX || height > MAX_SIDE_PX {
            return Err(ImageError::Size { width_px: width, height_px: height });
        }
        let expected = width * height * 3;
        if data.len() != expected {
            return Err(ImageError::Length { width_px: width, height_px: height, expected, got: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, rgb: [u8; 3]) -> Result<Self, ImageError> {
        let n = width.min(MAX_SIDE_PX + 1) * height.min(MAX_SIDE_PX + 1);
        Self::new(width, height, rgb.iter().copied().cycle().take(n * 3).collect())
    }

    /// Width, px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes, RGB interleaved, rows from the top.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All bytes, writable.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The bytes themselves, for a buffer that is used again.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The colour at column `x`, row `y`; both must lie inside.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let i = (y * self.width + x) * 3;
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }

    /// Sets the colour at column `x`, row `y`; outside is ignored.
    pub fn set_pixel(&mut self, x: usize, y: usize, rgb: [u8; 3]) {
        if x < self.width && y < self.height {
            let i = (y * self.width + x) * 3;
            self.data[i..i + 3].copy_from_slice(&rgb);
        }
    }

    /// Borrows the whole picture.
    pub fn view(&self) -> RgbView<'_> {
        RgbView { width: self.width, height: self.height, data: &self.data }
    }

    /// The picture mirrored left to right.
    pub fn mirrored(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for row in self.data.chunks_exact(self.width * 3) {
            for px in row.chunks_exact(3).rev() {
                data.extend_from_slice(px);
            }
        }
        Self { width: self.width, height: self.height, data }
    }
}

/// A borrowed picture: 8-bit RGB, interleaved, rows from the top, no padding. Cheap to copy.
#[derive(Clone, Copy)]
pub struct RgbView<'a> {
    width: usize,
    height: usize,
    data: &'a [u8],
}

impl<'a> RgbView<'a> {
    /// Borrows `data` (`height * width * 3` bytes, RGB) as a picture.
    pub fn new(width: usize, height: usize, data: &'a [u8]) -> Result<Self, ImageError> {
        if width == 0 || height == 0 || width > MAX_SIDE_PX || height > MAX_SIDE_PX {
            return Err(ImageError::Size { width_px: width, height_px: height });
        }
        let expected = width * height * 3;
        if data.len() != expected {
            return Err(ImageError::Length { width_px: width, height_px: height, expected, got: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// Width, px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y` as `width * 3` bytes.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.width * 3..(y + 1) * self.width * 3]
    }

    /// The colour at column `x`, row `y`; both must lie inside.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let i = (y * self.width + x) * 3;
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_the_wrong_length_is_refused() {
        assert_eq!(
            RgbImage::new(2, 2, vec![0; 11]),
            Err(ImageError::Length { width_px: 2, height_px: 2, expected: 12, got: 11 })
        );
        assert!(matches!(RgbImage::filled(30_000, 30_000, [0; 3]), Err(ImageError::Size { .. })));
        assert!(matches!(RgbImage::new(0, 4, vec![]), Err(ImageError::Size { .. })));
    }

    #[test]
    fn mirroring_swaps_columns_and_keeps_colours() {
        let im = RgbImage::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(im.mirrored().data(), &[4, 5, 6, 1, 2, 3]);
    }
}
