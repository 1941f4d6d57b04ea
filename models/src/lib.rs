//! Frame in, embedding out: the model files and the pipeline that trainer and firmware share.
//!
//! The way through, each step its own module and its own type: [`photo`] or a camera gives an
//! [`image::RgbImage`]; [`detect`] finds [`geometry::Detection`]s; [`align`] cuts an [`align::AlignedFace`];
//! [`quality`] says whether it may be used; [`embed`] makes the [`embed::Embedding`]. [`pipeline`] runs them in order.
//! This crate knows no database, camera, clock or door.

pub mod align;
pub mod detect;
pub mod embed;
pub mod error;
pub mod geometry;
pub mod image;
pub mod kernels;
pub mod manifest;
pub mod photo;
pub mod pipeline;
pub mod quality;
pub mod resample;
pub mod session;
