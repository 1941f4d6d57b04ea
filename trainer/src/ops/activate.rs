//! The way back through what follows a convolution: to its sums, the bias and the PReLU's slope.

use limen_models::by_level;
use limen_models::kernels::buffer::Buffer;
use limen_models::kernels::frame::{Frame, Plane};
use limen_models::kernels::simd::{Level, Simd};

#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
#[inline(always)]
unsafe fn backward_body<S: Simd>(
    g: *const f32,
    z: *const f32,
    slope: *const f32,
    out: *mut f32,
    bias_sum: *mut f32,
    slope_sum: *mut f32,
    pixels: usize,
    channels: usize,
    pitch: usize,
) {
    // SAFETY: the caller vouches for pixels x channels numbers behind g and z, pixels x pitch behind out, a multiple of
    // the lanes, and pitch behind the sums.
    unsafe {
        let mut c = 0;
        while c < channels {
            let n = S::LANES.min(channels - c);
            let load = |p: *const f32| S::load_part(p, n);
            let mut bias = S::load(bias_sum.add(c));
            if slope.is_null() {
                for pixel in 0..pixels {
                    let v = load(g.add(pixel.wrapping_mul(channels) + c));
                    bias = S::add(bias, v);
                    S::store(out.add(pixel.wrapping_mul(pitch) + c), v);
                }
            } else {
                let slopes = load(slope.add(c));
                let mut sum = S::load(slope_sum.add(c));
                for pixel in 0..pixels {
                    let at = pixel.wrapping_mul(channels) + c;
                    let (up, z) = (load(g.add(at)), load(z.add(at)));
                    let v = S::if_negative(z, S::mul(up, slopes), up);
                    sum = S::fma(up, S::negative(z), sum);
                    bias = S::add(bias, v);
                    S::store(out.add(pixel.wrapping_mul(pitch) + c), v);
                }
                S::store(slope_sum.add(c), sum);
            }
            S::store(bias_sum.add(c), bias);
            c += S::LANES;
        }
    }
}

by_level! {
    /// Runs an epilogue backward over a row.
    fn backward_raw = backward_body(
        g: *const f32, z: *const f32, slope: *const f32, out: *mut f32, bias_sum: *mut f32, slope_sum: *mut f32,
        pixels: usize, channels: usize, pitch: usize,
    )
}

/// Sums of the gradients to bias and slope, channels filled up to whole vectors.
#[derive(Debug, Default)]
pub struct Sums {
    /// To the bias.
    pub bias: Buffer,
    /// To the slope.
    pub slope: Buffer,
}

impl Sums {
    /// Zeros.
    pub fn new(pitch: usize) -> Self {
        Self { bias: Buffer::zeroed(pitch), slope: Buffer::zeroed(pitch) }
    }
}

/// The gradient before bias and PReLU, in its frame. `activation` is what the PReLU was given, bias included, and its
/// slope.
pub fn backward(
    level: Level,
    frame: &Frame,
    g: &[f32],
    activation: Option<(&[f32], &[f32])>,
    out: &mut [f32],
    sums: &mut Sums,
) {
    let (Plane { height, width, channels }, pitch) = (frame.plane, frame.pitch);
    assert_eq!(g.len(), height * width * channels, "gradient of another size");
    assert!(pitch.is_multiple_of(level.lanes()) && pitch >= channels, "pixels of whole vectors");
    assert!(sums.bias.len() == pitch && sums.slope.len() == pitch, "sums of another size");
    let (z, slope) = match activation {
        Some((z, slope)) => {
            assert!(z.len() == g.len() && slope.len() == channels, "activation of another size");
            (z.as_ptr(), slope.as_ptr())
        }
        None => (std::ptr::null(), std::ptr::null()),
    };
    let row = frame.row();
    assert_eq!(out.len(), frame.numbers(), "frame of another size");
    out[..row].fill(0.0);
    out[(height + 1) * row..].fill(0.0);
    for y in 0..height {
        let line = &mut out[(y + 1) * row..(y + 2) * row];
        line[..pitch].fill(0.0);
        line[(width + 1) * pitch..].fill(0.0);
        if pitch - channels >= level.lanes() {
            line.fill(0.0);
        }
        let at = y * width * channels;
        // SAFETY: row y of g and z and the line's middle, all inside by the sizes asserted above; where there is no
        // activation z is never read.
        unsafe {
            backward_raw(
                level,
                g.as_ptr().add(at),
                z.wrapping_add(at),
                slope,
                line.as_mut_ptr().add(pitch),
                sums.bias.as_mut_ptr(),
                sums.slope.as_mut_ptr(),
                width,
                channels,
                pitch,
            );
        }
    }
}
