//! The bridge to burn: when a tensor lies on the CPU back end, how its numbers are reached, what the gradient tape keeps.

mod convolution;
mod memory;

pub use convolution::conv3x3;
