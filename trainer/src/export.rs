//! Writes networks in the form the firmware loads.

pub mod onnx;
pub mod proto;
