//! From pictures to a model the firmware can run: import, measurement, thresholds.

pub mod cmd;
pub mod dataset;
pub mod evaluate;
pub mod export;
pub mod file;
pub mod graph;
pub mod import;
pub mod metrics;
pub mod plot;
pub mod report;
