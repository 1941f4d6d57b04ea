//! Channels-last images in memory, with a border of zeros around them.

/// Size of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Numbers a pixel.
    pub channels: usize,
}

impl Plane {
    /// Numbers of the image.
    pub fn numbers(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// A channels-last image in a border of zeros: one pixel before, at least one after, pixels filled up to `pitch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The image inside.
    pub plane: Plane,
    /// Numbers a pixel, absent channels included.
    pub pitch: usize,
    /// Rows, border included.
    pub rows: usize,
    /// Columns, border included.
    pub columns: usize,
}

impl Frame {
    /// A frame whose inside is filled up to a multiple of `multiple` pixels in both directions.
    pub fn new(plane: Plane, pitch: usize, multiple: usize) -> Self {
        let whole = |n: usize| n.next_multiple_of(multiple) + 2;
        Self { plane, pitch, rows: whole(plane.height), columns: whole(plane.width) }
    }

    /// Where the first tap of a window lies that begins `pad` (0 or 1) rows and columns before the image.
    pub fn first_tap(&self, pad: [usize; 2]) -> usize {
        (1 - pad[0]) * self.row() + (1 - pad[1]) * self.pitch
    }

    /// Numbers of a row.
    pub fn row(&self) -> usize {
        self.columns * self.pitch
    }

    /// Numbers of all.
    pub fn numbers(&self) -> usize {
        self.rows * self.row()
    }
}
