//! The numbers of a flex tensor, channels-last, without a copy where they lie so already.

use std::borrow::Cow;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;

/// Steps of a channels-last `[n, c, h, w]`.
fn strides([_, c, h, w]: [usize; 4]) -> [usize; 4] {
    [c * h * w, 1, w * c, c]
}

/// Whether the memory is dense and channels-last.
fn is_channels_last(tensor: &FlexTensor, sizes: [usize; 4]) -> bool {
    sizes
        .iter()
        .zip(strides(sizes))
        .zip(tensor.layout().strides())
        .all(|((&size, want), &have)| size == 1 || have == want as isize)
}

/// Copies `[n, c, h * w]` to `[n, h * w, c]`.
fn to_channels_last(from: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let mut out = vec![0.0; from.len()];
    let image = (channels * pixels).max(1);
    // Eight pixels of a channel fill half a cache line; their lines stay in cache over all channels.
    const BLOCK: usize = 8;
    out.par_chunks_mut(image).zip(from.par_chunks(image)).for_each(|(out, from)| {
        for (block, out) in out.chunks_mut(BLOCK * channels).enumerate() {
            let first = block * BLOCK;
            for c in 0..channels {
                let from = &from[c * pixels + first..];
                for (to, x) in out[c..].iter_mut().step_by(channels).zip(from) {
                    *to = *x;
                }
            }
        }
    });
    out
}

/// The numbers of an f32 tensor `[n, c, h, w]` as `[n, h, w, c]`.
pub fn channels_last(tensor: &FlexTensor, sizes: [usize; 4]) -> Cow<'_, [f32]> {
    let [n, c, h, w] = sizes;
    let len = n * c * h * w;
    let start = tensor.layout().start_offset();
    if len == 0 {
        Cow::Owned(Vec::new())
    } else if is_channels_last(tensor, sizes) {
        Cow::Borrowed(&tensor.storage::<f32>()[start..start + len])
    } else if let Some(slice) = tensor.as_slice::<f32>() {
        Cow::Owned(to_channels_last(slice, c, h * w))
    } else {
        let dense = tensor.to_contiguous();
        Cow::Owned(to_channels_last(dense.as_slice::<f32>().unwrap_or_default(), c, h * w))
    }
}

/// The numbers of an f32 tensor in row-major order.
pub fn row_major(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(tensor.to_contiguous().as_slice::<f32>().unwrap_or_default().to_vec()),
    }
}

/// A tensor `[n, c, h, w]` on `[n, h, w, c]` numbers.
pub fn from_channels_last(values: Vec<f32>, sizes: [usize; 4]) -> FlexTensor {
    let strides = strides(sizes).iter().map(|&s| s as isize).collect();
    let len = values.len();
    FlexTensor::from_data(TensorData::new(values, [len])).with_layout(Layout::new(
        Shape::from(sizes),
        strides,
        0,
    ))
}

/// A row-major tensor.
pub fn from_row_major(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// Room for `len` numbers that the caller writes, every one, before it reads any.
#[allow(clippy::uninit_vec, reason = "see SAFETY")]
pub fn unwritten(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and f32 has no invalid bit patterns; the kernels write each output once before
    // anything reads it. Zeroing first was 6 % of a training step.
    unsafe { values.set_len(len) };
    values
}

/// Asks the C library, once, to keep freed memory: a step frees and asks for the same hundreds of megabytes every time,
/// and giving them back to the kernel between cost 15 % of a SphereFace-4 step in page faults.
pub fn keep_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: mallopt only sets parameters of the allocator; it may be called at any time.
            unsafe {
                libc::mallopt(libc::M_MMAP_MAX, 0);
                libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            }
        });
    }
}
