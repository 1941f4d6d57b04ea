//! What follows a convolution, on channels-last rows while they are in cache: bias, PReLU, residual.

use super::frame::Plane;
use super::simd::{Level, Simd, by_level};

/// What is done to the sums of a convolution.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added by channel.
    pub bias: Option<&'a [f32]>,
    /// PReLU: negative values are multiplied by the channel's slope.
    pub slope: Option<&'a [f32]>,
}

/// A pointer to one number a channel, or null.
fn pointer(values: Option<&[f32]>, channels: usize) -> *const f32 {
    values.map_or(std::ptr::null(), |v| {
        assert_eq!(v.len(), channels, "one number a channel");
        v.as_ptr()
    })
}

/// What a layer does to its sums: `min(prelu(sums + bias), most)`.
#[derive(Debug, Clone, Default)]
pub struct Activation {
    /// Added by channel.
    pub bias: Option<Vec<f32>>,
    /// PReLU: negative values are multiplied by the channel's slope, 0 for a ReLU.
    pub slope: Option<Vec<f32>>,
    /// Most that comes out, 6 for a ReLU6.
    pub most: Option<f32>,
}

impl Activation {
    /// The same by pointers, without a residual.
    ///
    /// # Panics
    /// When there is not one number a channel.
    pub fn finish(&self, channels: usize) -> Finish {
        let pointer = |v: &Option<Vec<f32>>| pointer(v.as_deref(), channels);
        let most = self.most.unwrap_or(f32::INFINITY);
        Finish { bias: pointer(&self.bias), slope: pointer(&self.slope), most, ..Finish::default() }
    }
}

/// What is done to sums on their way to memory, by pointers: `min(prelu(sums + bias), most) + residual`. What is null
/// is left out.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    /// A number a channel.
    pub bias: *const f32,
    /// A number a channel.
    pub slope: *const f32,
    /// Most that comes out of the PReLU; infinite for no bound.
    pub most: f32,
    /// An image as large as the one written.
    pub residual: *const f32,
    /// From row to row of the residual.
    pub residual_row: usize,
    /// From pixel to pixel of the residual.
    pub residual_pixel: usize,
}

impl Default for Finish {
    /// Nothing.
    fn default() -> Self {
        Self {
            bias: std::ptr::null(),
            slope: std::ptr::null(),
            most: f32::INFINITY,
            residual: std::ptr::null(),
            residual_row: 0,
            residual_pixel: 0,
        }
    }
}

/// An image to write: where its first pixel is, and what is done to the sums that become it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The first pixel.
    pub to: *mut f32,
    /// From row to row.
    pub row: usize,
    /// From pixel to pixel.
    pub pixel: usize,
    /// What is done.
    pub finish: Finish,
}

/// Where a pixel begins, in steps from row to row and from pixel to pixel.
#[inline(always)]
fn pixel(image: *const f32, row: usize, row_step: usize, column: usize, pixel_step: usize) -> *const f32 {
    image.wrapping_add(row.wrapping_mul(row_step)).wrapping_add(column.wrapping_mul(pixel_step))
}

/// A [`Finish`] for one vector of channels, its bias and slope in registers.
#[derive(Clone, Copy)]
pub struct Finishing<S: Simd> {
    bias: S::V,
    slope: Option<S::V>,
    most: Option<S::V>,
    residual: *const f32,
    residual_row: usize,
    residual_pixel: usize,
    channel: usize,
    lanes: usize,
}

impl<S: Simd> Finishing<S> {
    /// For `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// The pointers must hold numbers for these channels.
    #[inline(always)]
    pub unsafe fn new(finish: &Finish, channel: usize, lanes: usize) -> Self {
        // SAFETY: the caller vouches for the channels.
        unsafe {
            let load = |p: *const f32| S::load_part(p.add(channel), lanes);
            Self {
                bias: if finish.bias.is_null() { S::splat(0.0) } else { load(finish.bias) },
                slope: (!finish.slope.is_null()).then(|| load(finish.slope)),
                most: (finish.most < f32::INFINITY).then(|| S::splat(finish.most)),
                residual: finish.residual,
                residual_row: finish.residual_row,
                residual_pixel: finish.residual_pixel,
                channel,
                lanes,
            }
        }
    }

    /// Finishes the sums of a pixel and writes them.
    ///
    /// # Safety
    /// The target must have the pixel, and its residual too.
    #[inline(always)]
    pub unsafe fn store(&self, target: &Target, row: usize, column: usize, sums: S::V) {
        // SAFETY: the caller vouches for the pixel.
        unsafe {
            let mut v = S::add(sums, self.bias);
            if let Some(slope) = self.slope {
                v = S::fma(S::negative(v), slope, S::positive(v));
            }
            if let Some(most) = self.most {
                // The second operand comes out where one is NaN, so NaN goes through.
                v = S::min(most, v);
            }
            if !self.residual.is_null() {
                let r = pixel(self.residual, row, self.residual_row, column, self.residual_pixel)
                    .add(self.channel);
                v = S::add(v, S::load_part(r, self.lanes));
            }
            let to = pixel(target.to, row, target.row, column, target.pixel).cast_mut().add(self.channel);
            S::store_part(to, v, self.lanes);
        }
    }
}

#[inline(always)]
unsafe fn finish_body<S: Simd>(target: &Target, rows: Plane) {
    // SAFETY: the caller vouches for `rows` behind the target.
    unsafe {
        let mut c = 0;
        while c < rows.channels {
            let lanes = S::LANES.min(rows.channels - c);
            let finish = Finishing::<S>::new(&target.finish, c, lanes);
            for row in 0..rows.height {
                for column in 0..rows.width {
                    let at = pixel(target.to, row, target.row, column, target.pixel).add(c);
                    let sums = S::load_part(at, lanes);
                    finish.store(target, row, column, sums);
                }
            }
            c += S::LANES;
        }
    }
}

by_level! {
    /// Finishes sums that lie where the target is.
    pub fn finish = finish_body(target: &Target, rows: Plane)
}

#[inline(always)]
unsafe fn forward_body<S: Simd>(
    z: *mut f32,
    y: *mut f32,
    residual: *const f32,
    bias: *const f32,
    slope: *const f32,
    pixels: usize,
    channels: usize,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind z, y and residual and channels behind the others.
    unsafe {
        for pixel in 0..pixels {
            let at = pixel.wrapping_mul(channels);
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let load = |p: *const f32| S::load_part(p, n);
                let store = |p: *mut f32, v| S::store_part(p, v, n);
                let mut v = load(z.add(at + c));
                if !bias.is_null() {
                    v = S::add(v, load(bias.add(c)));
                    if z != y {
                        store(z.add(at + c), v);
                    }
                }
                if !slope.is_null() {
                    v = S::fma(S::negative(v), load(slope.add(c)), S::positive(v));
                }
                if !residual.is_null() {
                    v = S::add(v, load(residual.add(at + c)));
                }
                store(y.add(at + c), v);
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// Runs an epilogue over rows.
    fn forward_raw = forward_body(
        z: *mut f32, y: *mut f32, residual: *const f32, bias: *const f32, slope: *const f32, pixels: usize, channels: usize,
    )
}

/// Adds the bias to `z` in place and writes the activated values, plus `residual`, to `y`.
pub fn forward(
    level: Level,
    e: &Epilogue<'_>,
    channels: usize,
    z: &mut [f32],
    y: &mut [f32],
    residual: Option<&[f32]>,
) {
    assert_eq!(z.len(), y.len(), "same rows");
    assert!(residual.is_none_or(|r| r.len() == y.len()), "same rows");
    let (bias, slope) = (pointer(e.bias, channels), pointer(e.slope, channels));
    let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
    // SAFETY: lengths are asserted above.
    unsafe {
        forward_raw(
            level,
            z.as_mut_ptr(),
            y.as_mut_ptr(),
            residual,
            bias,
            slope,
            z.len() / channels,
            channels,
        )
    };
}

/// As [`forward`] where nobody wants the sums themselves: `y` holds them and is overwritten.
pub fn forward_in_place(
    level: Level,
    e: &Epilogue<'_>,
    channels: usize,
    y: &mut [f32],
    residual: Option<&[f32]>,
) {
    assert!(residual.is_none_or(|r| r.len() == y.len()), "same rows");
    let (bias, slope) = (pointer(e.bias, channels), pointer(e.slope, channels));
    let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
    let p = y.as_mut_ptr();
    // SAFETY: lengths are asserted above; each value is read before it is written.
    unsafe { forward_raw(level, p, p, residual, bias, slope, y.len() / channels, channels) };
}
