//! Writes networks in the form the firmware loads.

pub mod card;
pub mod npy;
pub mod onnx;
pub mod onnx_f16;
pub mod onnx_int8;
pub mod proto;
pub mod quantise;
