//! Rooms with the people of models/people in them, and the shipped detector.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use limen_models::detect::mtcnn::Mtcnn;
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::photo;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

pub fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A photograph with a person's one face.
pub fn person(name: &str) -> RgbImage {
    photo::decode_file(&folder("people/enrolled").join(name).join("1.jpg")).unwrap()
}

/// A grey room with each photograph's top left corner at a place.
pub fn room(people: &[(&RgbImage, [usize; 2])]) -> RgbImage {
    let mut frame = RgbImage::filled(WIDTH, HEIGHT, [110; 3]).unwrap();
    for (photo, [left, top]) in people {
        for y in 0..photo.height().min(HEIGHT - top) {
            for x in 0..photo.width().min(WIDTH - left) {
                frame.set_pixel(left + x, top + y, photo.pixel(x, y));
            }
        }
    }
    frame
}

/// Half the size, so that two fit.
pub fn half(photo: &RgbImage) -> RgbImage {
    let (width, height) = (photo.width() / 2, photo.height() / 2);
    let pixels = (0..width * height).flat_map(|i| photo.pixel(i % width * 2, i / width * 2));
    RgbImage::new(width, height, pixels.collect()).unwrap()
}

/// The networks that ship.
pub fn cascade() -> Mtcnn {
    let manifest = Manifest::load(&folder("weights")).unwrap();
    Mtcnn::load(&manifest, manifest.cascade().unwrap()).unwrap()
}
