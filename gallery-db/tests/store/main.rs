//! The store against a plain map: by operations through two handles, over reopening, and killed at any moment.

// Clippy takes only functions marked #[test] for tests; all of this file is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod myself;
mod plain;
mod property;
