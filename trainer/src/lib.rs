//! From pictures to a model the firmware can run: import, measurement, thresholds.

pub mod backbone;
pub mod cmd;
pub mod config;
pub mod dataset;
pub mod detector;
pub mod device;
pub mod engine;
pub mod evaluate;
pub mod export;
pub mod file;
pub mod graph;
pub mod head;
pub mod import;
pub mod metrics;
pub mod ops;
pub mod plot;
pub mod report;
pub mod training;
