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
pub mod gate;
pub mod inputs;
pub mod kiosk;
pub mod log;
pub mod menu;
pub mod metrics;
pub mod people;
pub mod pin;
pub mod recognise;
pub mod relay;
pub mod rules;
pub mod slot;
pub mod sound;
pub mod supervise;
pub mod time;
pub mod track;
