//! Passes on pictures: straight, turned, small, grey, beside others; and how long a look takes.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::cmd::pass::picture;

const TEXT: &str = "LIMEN1:0102030405060708090A0B0C0D0E0F10000003E8000007D0000102030405060708090A0B0C0D0E0F";

fn pass() -> PassText {
    TEXT.parse().unwrap()
}

/// A picture of 640x480 px in grey, with the code of `text`, each of its modules `module` px wide, turned by `degrees` about the
/// middle; dark and light as given.
fn scene(text: &str, module: f64, degrees: f64, (dark, light): (u8, u8)) -> RgbImage {
    let code = picture(text).unwrap();
    let mut image = RgbImage::filled(640, 480, [110; 3]).unwrap();
    let (sin, cos) = degrees.to_radians().sin_cos();
    // A quiet zone of four modules belongs to the code.
    let width = code.width() as f64;
    for y in 0..480 {
        for x in 0..640 {
            let (dx, dy) = (x as f64 - 320.0, y as f64 - 240.0);
            let u = (dx * cos + dy * sin) / module + width / 2.0;
            let v = (dy * cos - dx * sin) / module + width / 2.0;
            let inside = |at: f64| (-4.0..width + 4.0).contains(&at);
            if inside(u) && inside(v) {
                let on = |at: f64| (0.0..width).contains(&at);
                let is_dark = on(u) && on(v) && code[(u as usize, v as usize)] == qrcode::Color::Dark;
                image.set_pixel(x, y, [if is_dark { dark } else { light }; 3]);
            }
        }
    }
    image
}

#[test]
fn a_pass_is_read_as_a_telephone_shows_it() {
    for (module, degrees, contrast) in [
        (8.0, 0.0, (0, 255)),
        (4.0, 0.0, (30, 220)),
        (5.0, 20.0, (30, 220)),
        (6.0, 180.0, (60, 160)),
        (3.0, 5.0, (20, 230)),
    ] {
        let read = read(&scene(TEXT, module, degrees, contrast));
        assert_eq!(read, Some(pass()), "{module} px, {degrees} degrees, {contrast:?}");
    }
    let mirrored = scene(TEXT, 6.0, 10.0, (20, 230)).mirrored();
    assert_eq!(read(&mirrored), Some(pass()), "as a camera sees it that is mirrored");
}

#[test]
fn other_codes_and_no_codes_are_none() {
    assert_eq!(read(&scene("https://example.org/", 6.0, 0.0, (0, 255))), None);
    assert_eq!(read(&scene(&TEXT.to_lowercase(), 6.0, 0.0, (0, 255))), None);
    for grey in [0, 128, 255] {
        assert_eq!(read(&RgbImage::filled(640, 480, [grey; 3]).unwrap()), None);
    }
    assert_eq!(read(&RgbImage::filled(1, 1, [9; 3]).unwrap()), None);
}

#[test]
fn a_look_is_rare_and_never_where_a_face_is() {
    let mut lookout = Lookout::new(400);
    let due: Vec<bool> = [(0, 0), (0, 399), (1, 400), (0, 450), (0, 849), (0, 850)]
        .map(|(faces, at)| lookout.is_due(faces, Millis(at)))
        .into();
    assert_eq!(due, [true, false, false, true, false, true]);
    assert!(!Lookout::new(0).is_due(0, Millis(1_000_000)));
}

#[test]
fn a_pass_that_stays_is_shown_once() {
    let mut lookout = Lookout::new(400);
    assert_eq!(lookout.news(None, Millis(0)), None);
    assert_eq!(lookout.news(Some(pass()), Millis(0)), Some(pass()));
    assert_eq!(lookout.news(Some(pass()), Millis(2999)), None);
    assert_eq!(lookout.news(None, Millis(4000)), None);
    assert_eq!(lookout.news(Some(pass()), Millis(5998)), None, "it was there 2999 ms ago");
    assert_eq!(lookout.news(Some(pass()), Millis(8998)), Some(pass()));
    let other: PassText = TEXT.replace("LIMEN1:01", "LIMEN1:02").parse().unwrap();
    assert_eq!(lookout.news(Some(other.clone()), Millis(9000)), Some(other));
}

/// Pictures that have many corners of QR codes, and none: what takes a reader longest.
fn corners(module: usize) -> RgbImage {
    let mut image = RgbImage::filled(640, 480, [255; 3]).unwrap();
    for y in 0..480 {
        for x in 0..640 {
            let (u, v) = (x / module % 8, y / module % 8);
            let ring = u.abs_diff(3).max(v.abs_diff(3));
            if u < 7 && v < 7 && ring != 2 {
                image.set_pixel(x, y, [0; 3]);
            }
        }
    }
    image
}

#[test]
fn every_look_has_an_end() {
    for module in [3, 4, 6, 10] {
        let begun = Instant::now();
        assert_eq!(read(&corners(module)), None);
        println!("corners of {module} px: {:.1?}", begun.elapsed());
    }
    for (what, image) in [
        ("empty", RgbImage::filled(640, 480, [110; 3]).unwrap()),
        ("a pass", scene(TEXT, 6.0, 10.0, (20, 230))),
    ] {
        let begun = Instant::now();
        for _ in 0..20 {
            let _ = read(&image);
        }
        println!("{what}: {:.2} ms", begun.elapsed().as_secs_f64() * 50.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_pass_that_is_held_somehow_is_read_as_it_is_or_not_at_all(
        module in 1.5..9.0f64,
        degrees in 0.0..360.0f64,
        dark in 0..140u8,
        light in 100..=255u8,
        blots in proptest::collection::vec((200..440usize, 120..360usize, 1..30usize), 0..6),
    ) {
        let mut image = scene(TEXT, module, degrees, (dark, light));
        for (x, y, size) in blots {
            for (u, v) in (x..x + size).flat_map(|u| (y..y + size).map(move |v| (u, v))) {
                image.set_pixel(u, v, [70; 3]);
            }
        }
        let read = read(&image);
        prop_assert!(read.is_none() || read == Some(pass()));
    }
}
