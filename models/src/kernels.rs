//! Our SIMD operations: what the heavy layers of a network run on, here behind tract and in the trainer behind burn.
//!
//! Images are channels-last ([`frame`]); a kernel is written once for any vector ([`simd`]) and compiled for each kind
//! of CPU, chosen at run time. `unsafe` is allowed here alone in this crate: SIMD, and raw pointers into images that
//! threads share by rows.
#![allow(unsafe_code, reason = "SIMD kernels; each block says why it is sound")]
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(unused, reason = "the levels of the two have no use here")
)]

pub mod activate;
pub mod buffer;
pub mod convolution;
pub mod dense;
pub mod depthwise;
pub mod direct;
pub mod entry;
mod fetch;
pub mod frame;
pub(crate) mod fused;
pub mod gemm;
mod graph;
#[cfg(test)]
mod guard;
pub mod int8;
pub mod pool;
pub(crate) mod prelu;
pub mod program;
pub mod quantise;
pub mod rows;
pub mod simd;
pub mod softmax;
#[cfg(test)]
mod tests;
pub mod winograd;
