//! The store against a plain map: by operations through two handles, over reopening, killed at any moment, and when the power goes.

// Clippy takes only functions marked #[test] for tests; all of this file is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod disk;
mod myself;
mod plain;
mod power;
mod property;
