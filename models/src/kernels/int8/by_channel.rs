//! Sums of products of u8 and int8 of each channel by itself.

use super::dot::Walk;
use crate::kernels::simd::{Level, Simd, by_level};

/// Channels that are worked on at once; pixels are a multiple of it apart.
pub const LANES: usize = 16;

/// The weights of a layer.
#[derive(Debug)]
pub struct ByChannel {
    level: Level,
    kernel: [usize; 2],
    /// From column tap to column tap, and the sums of a pixel.
    pitch: usize,
    /// `[tap][channel filled up to the pitch]`.
    weights: Vec<i8>,
}

impl ByChannel {
    /// Packs `[channels, rows, columns]` for pixels of `pitch` bytes, a multiple of [`LANES`].
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn new(level: Level, channels: usize, kernel: [usize; 2], pitch: usize, weights: &[i8]) -> Self {
        let taps = kernel[0] * kernel[1];
        assert!(pitch.is_multiple_of(LANES) && pitch >= channels, "pixels of whole vectors");
        assert_eq!(weights.len(), channels * taps, "weights of another shape");
        let mut packed = vec![0; taps * pitch];
        for (c, own) in weights.chunks_exact(taps).enumerate() {
            for (tap, w) in own.iter().enumerate() {
                packed[tap * pitch + c] = *w;
            }
        }
        Self { level, kernel, pitch, weights: packed }
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        self.weights.len()
    }

    /// Sums of a pixel.
    pub fn padded(&self) -> usize {
        self.pitch
    }

    /// Sums every channel of the pixels of `walk` into `sums`, `[pixel][channel filled up]`.
    ///
    /// # Safety
    /// Every byte under a tap must be readable, and `sums` must have room and be the caller's alone.
    pub unsafe fn run(&self, walk: &Walk, sums: *mut i32) {
        // SAFETY: the caller's promise, handed on; the level is one of this CPU.
        unsafe { own(self.level, self, walk, sums) }
    }
}

#[allow(clippy::extra_unused_type_parameters, reason = "names the level")]
#[inline(always)]
unsafe fn own_body<S: Simd>(layer: &ByChannel, walk: &Walk, sums: *mut i32) {
    for pixel in 0..walk.count {
        for c in (0..layer.pitch).step_by(LANES) {
            let mut all = [0i32; LANES];
            for ky in 0..layer.kernel[0] {
                for kx in 0..layer.kernel[1] {
                    let at = pixel * walk.pixel + ky * walk.tap + kx * layer.pitch + c;
                    let w = (ky * layer.kernel[1] + kx) * layer.pitch + c;
                    // SAFETY: the caller vouches for the bytes under the taps, whole vectors of channels of them; the
                    // weights are filled up to whole vectors too.
                    let (a, w) = unsafe {
                        (
                            walk.a.wrapping_add(at).cast::<[u8; LANES]>().read(),
                            layer.weights.as_ptr().add(w).cast::<[i8; LANES]>().read(),
                        )
                    };
                    for ((sum, a), w) in all.iter_mut().zip(a).zip(w) {
                        *sum += i32::from(a) * i32::from(w);
                    }
                }
            }
            // SAFETY: the caller vouches for a pixel's sums.
            unsafe { sums.add(pixel * layer.pitch + c).cast::<[i32; LANES]>().write_unaligned(all) };
        }
    }
}

by_level! {
    /// All pixels of a walk.
    fn own = own_body(layer: &ByChannel, walk: &Walk, sums: *mut i32)
}
