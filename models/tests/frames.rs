//! Frames that are no ordinary colour picture: without colour, small, tiny; and pyramids of halves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_models::detect::mtcnn::{Pyramid, Settings};
use limen_models::geometry::Detection;
use limen_models::image::RgbImage;

#[path = "support/rooms.rs"]
mod rooms;
use rooms::{cascade, half, person, room};

/// Landmarks of the same face, farthest apart, as a share of the distance of the eyes.
fn apart(a: &Detection, b: &Detection) -> f32 {
    let pairs = a.landmarks.0.iter().zip(&b.landmarks.0);
    pairs.map(|(p, q)| p.distance(*q)).fold(0.0, f32::max) / a.landmarks.eye_distance()
}

/// As a camera without colour gives it.
fn grey(frame: &RgbImage) -> RgbImage {
    let mut grey = frame.clone();
    for px in grey.data_mut().as_chunks_mut::<3>().0 {
        *px = [((77 * u32::from(px[0]) + 150 * u32::from(px[1]) + 29 * u32::from(px[2])) / 256) as u8; 3];
    }
    grey
}

#[test]
fn a_camera_without_colour_sees_the_same_faces() {
    let cascade = cascade();
    let frame = room(&[(&half(&person("Ada")), [40, 60]), (&half(&person("Ben")), [360, 120])]);
    let want = cascade.detect(frame.view(), &Settings::door()).unwrap();
    let got = cascade.detect(grey(&frame).view(), &Settings::door()).unwrap();
    assert_eq!((want.len(), got.len()), (2, 2));
    for want in &want {
        let off = got.iter().map(|got| apart(want, got)).fold(f32::INFINITY, f32::min);
        assert!(off < 0.1, "landmarks lie {off} of the eye distance away");
    }
}

#[test]
fn a_small_frame_shows_its_face() {
    let cascade = cascade();
    // The second is 34x38 px, and the face in it some twenty pixels wide, the networks' own limit.
    let mut photo = person("Ada");
    for halved in 1..3 {
        photo = half(&photo);
        let found = cascade.detect(photo.view(), &Settings::door()).unwrap();
        assert_eq!(found.len(), 1, "halved {halved} times, {}x{}", photo.width(), photo.height());
    }
}

#[test]
fn a_tiny_frame_shows_nobody_and_is_no_error() {
    let cascade = cascade();
    let sides = [1, 2, 11, 12, 13, 24, 37];
    for (width, height) in sides.iter().flat_map(|w| sides.map(|h| (*w, h))) {
        let frame = RgbImage::filled(width, height, [90; 3]).unwrap();
        for pyramid in [Pyramid::Frame, Pyramid::Halves] {
            for settings in [Settings::door(), Settings::training_data(), Settings::close_up()] {
                let found = cascade.detect(frame.view(), &Settings { pyramid, ..settings }).unwrap();
                assert!(found.is_empty(), "{width}x{height}: {found:?}");
            }
        }
    }
}

#[test]
fn halves_of_the_frame_show_the_same_faces_near_the_same_place() {
    let cascade = cascade();
    let (ada, ben) = (person("Ada"), half(&person("Ben")));
    let settings = Settings { pyramid: Pyramid::Halves, ..Settings::door() };
    let (mut all, mut same) = (Vec::new(), true);
    for step in 0..6 {
        let frame = match step {
            0..3 => room(&[(&ada, [40 * step, 10 + 7 * step])]),
            _ => room(&[(&half(&ada), [17 * step, 20 + 5 * step]), (&ben, [350 + 9 * step, 30 * step])]),
        };
        let want = cascade.detect(frame.view(), &Settings::door()).unwrap();
        let got = cascade.detect(frame.view(), &settings).unwrap();
        assert_eq!(want.len(), got.len(), "step {step}");
        for want in &want {
            all.push(got.iter().map(|got| apart(want, got)).fold(f32::INFINITY, f32::min));
        }
        same &= want == got;
    }
    // Boxes are cut to whole pixels, so that many come out the same.
    assert!(!same, "the levels were made of the frame");
    all.sort_by(f32::total_cmp);
    assert!(all.last().is_some_and(|most| *most < 0.08), "landmarks apart by {all:?}");
}
