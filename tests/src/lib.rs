//! Fixtures of the end to end tests: drawn people, networks that find and know them, and a plain reference pipeline.
//!
//! Nothing here stands in the place of product code: the networks are real ones, small, run by the same engine
//! through the same files. A fixture that cannot be made stops the test, so this crate may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod cmyk;
pub mod dice;
pub mod doorstep;
pub mod model_folder;
pub mod mutate;
pub mod nets;
pub mod people;
pub mod reference;
pub mod site;
