//! Figures, by the very code that stands at the door: `models` makes the embeddings, `gallery-db` the scores.

pub mod calibrate;
pub mod extract;
pub mod lfw;
pub mod open_set;
pub mod overlap;
