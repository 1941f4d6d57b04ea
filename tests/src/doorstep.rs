//! Who the tests have come to a door: the composed people of models/people, in a grey room before its camera.

use std::path::{Path, PathBuf};
use std::process::Command;

use limen_models::image::RgbImage;
use limen_models::photo;

use crate::site::binary;

/// A file of models/people.
fn person(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/people")).join(file)
}

/// A grey room of `width` x `height` px, and in its middle the photograph `file` of models/people, `times` as large, or nobody.
pub fn room((width, height): (usize, usize), file: Option<&str>, times: usize) -> RgbImage {
    let mut frame = RgbImage::filled(width, height, [120, 118, 115]).expect("a room has a size");
    if let Some(file) = file {
        let photo = photo::decode_file(&person(file)).expect("the photograph is there");
        let (wide, high) = (photo.width() * times, photo.height() * times);
        let (left, top) = ((width - wide) / 2, (height - high) / 2);
        for y in 0..high {
            for x in 0..wide {
                frame.set_pixel(left + x, top + y, photo.pixel(x / times, y / times));
            }
        }
    }
    frame
}

/// Enrols Ada and Ben, with three photographs each, by the program, in the folder of the configuration.
#[track_caller]
pub fn enrol(config: &Path) {
    let folder = config.parent().expect("a configuration lies in a folder");
    for name in ["Ada", "Ben"] {
        let photos = [1, 2, 3].map(|n| person(&format!("enrolled/{name}/{n}.jpg")));
        let mut limen = Command::new(binary());
        limen.current_dir(folder).args(["enrol", "--config"]).arg(config);
        let done = limen.args(["--id", name, "--name", name]).args(photos).output().expect("limen starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
