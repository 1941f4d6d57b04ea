//! The appliance on virtual hardware: `limen run` in a guest machine with a camera, a relay's line and a display, each
//! fed or watched from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod camera;
mod controls;
mod door;
mod hang;
mod house;
mod machine;
mod readers;
mod service;
mod sound;
mod switches;
