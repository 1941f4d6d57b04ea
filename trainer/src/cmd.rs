//! The commands, one a file.

pub mod calibrate;
pub mod detect;
pub mod eval;
pub mod import;
