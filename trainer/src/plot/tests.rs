//! One scene in both forms.

use super::*;

fn sample() -> Scene {
    let mut scene = Scene::new(60.0, 40.0);
    let points = vec![(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)];
    scene.shapes.push(Shape::Area { points, colour: Colour(255, 0, 0), opacity: 0.5 });
    scene.shapes.push(Shape::Dot { at: (45.0, 20.0), radius: 5.0, colour: Colour(0, 0, 255), opacity: 1.0 });
    scene.text((5.0, 8.0), "a < b & c", 6.0, Anchor::Start, INK);
    scene
}

#[test]
fn pixels_are_where_the_shapes_are() {
    let p = sample().pixels(2.0).unwrap();
    assert_eq!((p.width(), p.height()), (120, 80));
    // Half red on white.
    let [r, g, b] = p.pixel(40, 40);
    assert!(r == 255 && (126..=129).contains(&g) && g == b, "{r} {g} {b}");
    assert_eq!(p.pixel(90, 40), [0, 0, 255]);
    assert_eq!(p.pixel(110, 70), [255, 255, 255]);
    let dark =
        (0..20).flat_map(|y| (0..120).map(move |x| (x, y))).filter(|&(x, y)| p.pixel(x, y)[0] < 128).count();
    assert!(dark > 20, "the text left {dark} dark pixels");
}

#[test]
fn svg_escapes_text_and_names_colours() {
    let svg = sample().svg();
    assert!(
        svg.contains("a &lt; b &amp; c") && svg.contains("#ff0000") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(svg.contains("points=\"10.00,10.00 30.00,10.00 30.00,30.00 10.00,30.00\""), "{svg}");
}

#[test]
fn both_files_are_written_under_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = sample().save(&folder.path().join("loss.v1")).unwrap();
    assert!(files[0].ends_with("loss.v1.svg") && files[1].ends_with("loss.v1.png"));
    let png = limen_models::photo::decode_file(&files[1]).unwrap();
    assert_eq!((png.width(), png.height()), (120, 80));
    assert!(Scene::new(0.0, 10.0).pixels(1.0).is_err());
}

/// Every text lies inside the scene, and no two lie on one another.
#[track_caller]
pub(super) fn assert_legible(scene: &Scene) {
    let boxes: Vec<([f32; 4], &str)> = scene
        .shapes
        .iter()
        .filter_map(|s| if let Shape::Text(t) = s { Some(t) } else { None })
        .map(|t| {
            let width = font::width(&t.text, t.size, t.weight);
            let from = match t.anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => -width / 2.0,
                Anchor::End => -width,
            };
            let (x, y) = t.at;
            let (up, down) = (0.75 * t.size, 0.22 * t.size);
            let corners = match t.direction {
                Direction::Right => [x + from, y - up, x + from + width, y + down],
                Direction::Up => [x - up, y - from - width, x + down, y - from],
            };
            (corners, t.text.as_str())
        })
        .collect();
    assert!(!boxes.is_empty(), "a plot says what it shows");
    for (i, (a, text)) in boxes.iter().enumerate() {
        let inside = a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= scene.width && a[3] <= scene.height;
        assert!(inside, "{text:?} leaves the scene: {a:?}");
        for (b, other) in &boxes[i + 1..] {
            let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
            assert!(apart, "{text:?} lies on {other:?}: {a:?} {b:?}");
        }
    }
}

#[test]
#[should_panic(expected = "lies on")]
fn texts_on_one_another_are_found() {
    let mut scene = sample();
    scene.text((8.0, 9.0), "x", 6.0, Anchor::Start, INK);
    assert_legible(&scene);
}
