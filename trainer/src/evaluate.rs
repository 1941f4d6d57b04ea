//! Figures, by the very code that stands at the door: `models` makes the embeddings, `gallery-db` the scores.

pub mod afs;
pub mod bootstrap;
pub mod calibrate;
pub mod comparisons;
pub mod ensemble;
pub mod extract;
pub mod groups;
pub mod identification;
pub mod lfw;
pub mod open_set;
pub mod overlap;
pub mod pair_list;
pub mod parallel;
pub mod rates;
pub mod result;
pub mod seeds;
pub mod store;
