//! Who the tests have come to a door: the composed people of models/people, in a grey room before its camera.

use std::path::{Path, PathBuf};
use std::process::Command;

use limen_models::image::RgbImage;
use limen_models::photo;

use crate::site::binary;

/// How far Ada's nose is moved for each pose of an enrolment ([`turned`]), px of the photograph: yaw is estimated as 0, 17, -14,
/// 0 and 0 degrees then, pitch as 17, 17, 16, 0 and 31.
pub const POSES: [(&str, (f32, f32)); 5] = [
    ("ahead", (0.0, 0.0)),
    ("left", (20.0, 0.0)),
    ("right", (-20.0, 0.0)),
    ("up", (0.0, -9.0)),
    ("down", (0.0, 9.0)),
];

/// A file of models/people.
fn person(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/people")).join(file)
}

/// A grey room of `width` x `height` px, and in its middle the photograph `file` of models/people, `times` as large, or nobody.
pub fn room(size: (usize, usize), file: Option<&str>, times: usize) -> RgbImage {
    hang(size, file.map(photograph).as_ref(), times)
}

/// The same with somebody who looks another way: the nose is moved by `shift` px of the photograph, to the right and down, and
/// what is around it less the farther it is. Landmarks, and the estimate of yaw and pitch, follow it.
pub fn turned(size: (usize, usize), file: &str, times: usize, shift: (f32, f32)) -> RgbImage {
    let photo = photograph(file);
    // Of all these photographs, which are 136x156 px (models/people/compose.py): the template's nose, and a little of the mouth.
    let (nose, reach) = ((68.0, 98.0), 20.0f32);
    let mut moved = photo.clone();
    for y in 0..photo.height() {
        for x in 0..photo.width() {
            let (dx, dy) = (x as f32 - nose.0, y as f32 - nose.1);
            let share = (-(dx * dx + dy * dy) / (2.0 * reach * reach)).exp();
            moved.set_pixel(x, y, between(&photo, (x as f32 - share * shift.0, y as f32 - share * shift.1)));
        }
    }
    hang(size, Some(&moved), times)
}

fn photograph(file: &str) -> RgbImage {
    photo::decode_file(&person(file)).expect("the photograph is there")
}

/// The colour between four pixels.
fn between(image: &RgbImage, (x, y): (f32, f32)) -> [u8; 3] {
    let at = |v: f32, most: usize| v.clamp(0.0, (most - 1) as f32);
    let (x, y) = (at(x, image.width()), at(y, image.height()));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(image.width() - 1), (y0 + 1).min(image.height() - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let [a, b, c, d] =
        [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| image.pixel(x, y).map(f32::from));
    std::array::from_fn(|i| {
        let (above, below) = (a[i] + (b[i] - a[i]) * fx, c[i] + (d[i] - c[i]) * fx);
        (above + (below - above) * fy).round() as u8
    })
}

fn hang((width, height): (usize, usize), photo: Option<&RgbImage>, times: usize) -> RgbImage {
    let mut frame = RgbImage::filled(width, height, [120, 118, 115]).expect("a room has a size");
    if let Some(photo) = photo {
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
