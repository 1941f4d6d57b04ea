//! Sizes of one 3x3 convolution with padding 1.

use limen_models::kernels::frame::Plane;

/// Distance between the pixels a convolution is taken at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stride {
    /// Output as large as the input.
    One,
    /// Output half as large, rounded up.
    Two,
}

impl Stride {
    /// In pixels.
    pub fn pixels(self) -> usize {
        match self {
            Stride::One => 1,
            Stride::Two => 2,
        }
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Images.
    pub batch: usize,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Rows in.
    pub height: usize,
    /// Columns in.
    pub width: usize,
    /// Step.
    pub stride: Stride,
}

impl Shape {
    /// Rows out.
    pub fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride.pixels())
    }

    /// Columns out.
    pub fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride.pixels())
    }

    /// Numbers of one input image.
    pub fn image(&self) -> usize {
        self.inputs * self.height * self.width
    }

    /// Numbers of one output image.
    pub fn out_image(&self) -> usize {
        self.outputs * self.out_height() * self.out_width()
    }

    /// Numbers of the weights, `[outputs, inputs, 3, 3]`.
    pub fn weights(&self) -> usize {
        self.outputs * self.inputs * 9
    }
}

impl Shape {
    /// One input image.
    pub fn plane(&self) -> Plane {
        Plane { height: self.height, width: self.width, channels: self.inputs }
    }

    /// One output image.
    pub fn out_plane(&self) -> Plane {
        Plane { height: self.out_height(), width: self.out_width(), channels: self.outputs }
    }
}
