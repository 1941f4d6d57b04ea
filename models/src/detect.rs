//! Faces in a frame: boxes and landmarks. One detector so far, [`mtcnn`].

pub mod mtcnn;
