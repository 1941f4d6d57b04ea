//! The appliance: camera -> recognition -> decision -> relay, display, journal. The binary `limen` is a thin shell on it.

pub mod act;
pub mod annotate;
pub mod camera;
pub mod cmd;
pub mod config;
pub mod controls;
pub mod daemon;
pub mod decide;
pub mod display;
pub mod doorway;
pub mod input;
pub mod inputs;
pub mod log;
pub mod menu;
pub mod metrics;
pub mod pin;
pub mod plugged;
pub mod recognise;
pub mod relay;
pub mod slot;
pub mod sound;
pub mod supervise;
pub mod time;
pub mod track;
pub mod tries;
