//! Convolution of each channel by itself.

use std::ops::Range;

use super::activate::{Activation, Finishing, Target};
use super::buffer::Buffer;
use super::convolution::Out;
use super::frame::Frame;
use super::program::{Image, Map, Need, Step, Value};
use super::simd::{Level, Simd, by_level};

/// A depthwise layer: `activation(conv(from)) + residual`, one kernel a channel.
#[derive(Debug)]
pub struct Depthwise {
    /// What it reads.
    pub from: Value,
    /// What it writes.
    pub to: Value,
    /// `[channels, height, width]`.
    pub weights: Vec<f32>,
    /// Height and width of the kernel, px.
    pub kernel: [usize; 2],
    /// From window to window, px.
    pub stride: [usize; 2],
    /// Zeros before the first row and column, 0 or 1.
    pub pad: [usize; 2],
    /// What is done to the sums.
    pub activation: Activation,
    /// Added last.
    pub residual: Option<Value>,
}

impl Depthwise {
    /// What it reads and what it needs of it.
    pub fn reads(&self, images: &[Image]) -> Vec<(Value, Need)> {
        let need = Need::of_window(self.kernel, self.stride, self.pad, images[self.to.0].plane);
        std::iter::once((self.from, need)).chain(self.residual.map(|v| (v, Need::default()))).collect()
    }

    /// The kernel.
    ///
    /// # Panics
    /// When the weights, the activation or the residual do not fit.
    pub fn step(self, level: Level, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        let (channels, taps) = (to.frame.plane.channels, self.kernel[0] * self.kernel[1]);
        assert!(from.frame.plane.channels == channels, "as many channels as before");
        assert_eq!(self.weights.len(), channels * taps, "weights of another shape");
        let residual = self.residual.map(|v| maps[v.0]);
        assert!(residual.is_none_or(|r| r.frame.plane == to.frame.plane), "a residual of another size");
        let padded = channels.next_multiple_of(level.lanes());
        let mut weights = Buffer::zeroed(taps * padded);
        for (c, kernel) in self.weights.chunks_exact(taps).enumerate() {
            for (tap, w) in kernel.iter().enumerate() {
                weights[tap * padded + c] = *w;
            }
        }
        let origin = from.start() + from.frame.first_tap(self.pad);
        let out = Out { level, to, residual, activation: self.activation };
        Box::new(ByChannel {
            from: from.frame,
            origin,
            kernel: self.kernel,
            stride: self.stride,
            weights,
            padded,
            out,
        })
    }
}

#[derive(Debug)]
struct ByChannel {
    from: Frame,
    /// The first tap of the first window.
    origin: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    /// `[tap][channel filled up]`.
    weights: Buffer,
    padded: usize,
    out: Out,
}

impl Step for ByChannel {
    fn weights(&self) -> usize {
        size_of_val::<[f32]>(&self.weights)
    }

    fn lines(&self) -> usize {
        self.out.to.frame.plane.height
    }

    fn products(&self) -> usize {
        self.out.to.frame.plane.numbers() * self.kernel[0] * self.kernel[1]
    }

    unsafe fn run(&self, maps: *mut f32, lines: Range<usize>, _: &mut Buffer) {
        let target = self.out.target(maps);
        let from = maps.wrapping_add(self.origin).cast_const();
        // SAFETY: the frame has room for every tap (`reads`), the maps hold both images and the residual, which no
        // other thread has, and what is written is neither read nor the residual.
        unsafe { depthwise(self.out.level, self, from, &target, lines) };
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn depthwise_body<S: Simd>(layer: &ByChannel, from: *const f32, target: &Target, lines: Range<usize>) {
    /// Pixels that share the weights in registers.
    const PIXELS: usize = 4;
    let step = layer.stride[1].wrapping_mul(layer.from.pitch);
    let after = layer.out.to.frame.plane;
    let mut c = 0;
    while c < after.channels {
        let lanes = S::LANES.min(after.channels - c);
        // SAFETY: the caller vouches for every tap and for the target.
        unsafe {
            let finish = Finishing::<S>::new(&target.finish, c, lanes);
            let load = |p: *const f32| S::load_part(p, lanes);
            for y in lines.clone() {
                let row = from.wrapping_add(y * layer.stride[0] * layer.from.row() + c);
                let mut x = 0;
                while x < after.width {
                    let count = PIXELS.min(after.width - x);
                    let first = row.wrapping_add(x.wrapping_mul(step));
                    let mut sums = [S::splat(0.0); PIXELS];
                    for ky in 0..layer.kernel[0] {
                        for kx in 0..layer.kernel[1] {
                            let tap = ky * layer.kernel[1] + kx;
                            let w = S::load(layer.weights.as_ptr().wrapping_add(tap * layer.padded + c));
                            let at = first.wrapping_add(ky * layer.from.row() + kx * layer.from.pitch);
                            // A count known to the compiler keeps the sums in registers.
                            if count == PIXELS {
                                for i in 0..PIXELS {
                                    sums[i] = S::fma(load(at.wrapping_add(i.wrapping_mul(step))), w, sums[i]);
                                }
                            } else {
                                for i in 0..count {
                                    sums[i] = S::fma(load(at.wrapping_add(i.wrapping_mul(step))), w, sums[i]);
                                }
                            }
                        }
                    }
                    for i in 0..count {
                        finish.store(target, y, x + i, sums[i]);
                    }
                    x += count;
                }
            }
        }
        c += S::LANES;
    }
}

by_level! {
    /// Rows of one image.
    fn depthwise = depthwise_body(layer: &ByChannel, from: *const f32, target: &Target, lines: Range<usize>)
}
