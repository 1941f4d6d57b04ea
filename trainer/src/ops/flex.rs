//! The bridge to burn: when a tensor lies on the CPU back end, how its numbers are reached, what the gradient tape keeps.

mod convolution;
mod map;
mod memory;
mod normalisation;
mod sgd;
mod tape;

pub use convolution::conv3x3;
pub use map::{inside, max_pool};
pub use normalisation::Operation as Normalisation;
pub use sgd::sgd_step;
