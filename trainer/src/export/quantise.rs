//! Static int8: ranges from pictures, scales from ranges, layers with int8 weights, and what it costs.
//!
//! The way through: [`observe::observe`] runs pictures through the f32 network and keeps a histogram of every value
//! that will be written as int8; [`Observed::calibrate`](observe::Observed::calibrate) makes scales of them by one
//! [`Method`], on a network whose channels [`equalise::equalise`] made equally loud; [`graph::Quantised::new`] makes layers of weights and scales; `export::onnx_int8` writes them.

pub mod equalise;
pub mod graph;
pub mod measure;
pub mod observe;
pub mod range;
mod reads;
pub mod scheme;
pub mod sensitivity;

pub use graph::{Exempt, Quantised};
pub use observe::{Calibration, Observed};
pub use range::Method;

use limen_models::error::ModelError;

use crate::graph::GraphError;

/// Why a network could not be quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantiseError {
    /// The network does not allow it.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The engine could not run it.
    #[error(transparent)]
    Run(#[from] ModelError),
}

/// Inputs of a network: one a picture, all of one shape, prepared as the network takes them.
#[derive(Clone)]
pub struct Samples {
    /// [1, channels, height, width].
    pub shape: [usize; 4],
    /// One list a picture, as long as the shape says.
    pub inputs: Vec<Vec<f32>>,
}

impl std::fmt::Debug for Samples {
    /// Sizes only: the numbers are people's faces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Samples({} of {:?})", self.inputs.len(), self.shape)
    }
}

#[cfg(test)]
mod tests;
