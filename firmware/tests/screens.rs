//! Every screen at every panel size against its golden picture. `LIMEN_BLESS=1` writes the goldens anew; a difference
//! writes the new picture beside the golden as `NAME.new.png`.

// Clippy's leave for tests does not reach the helpers beside them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use limen::decide::{Denial, Request};
use limen::display::canvas::Canvas;
use limen::display::fonts::Fonts;
use limen::display::icon::Icon;
use limen::display::overlay::{Tag, draw_face};
use limen::display::screens::enrol::Reach;
use limen::display::screens::pin_pad::Key;
use limen::display::screens::service_menu::{Camera, Facts};
use limen::display::screens::{
    Alarm, CameraLost, Choice, Denied, Enrol, FaceMark, Granted, Idle, Live, Message, OutOfOrder, PinPad,
    Screen, Service, ServiceMenu, demo, draw,
};
use limen::display::sheet::{Cell, Sheet};
use limen::display::{FontSource, Language, palette};
use limen::doorway;
use limen::kiosk::enrol::{Asked, Known, Outcome};
use limen::kiosk::poses::{Hint, Pose, Progress};
use limen::menu::{self, Item, Note};
use limen_gallery_db::Standing;
use limen_models::geometry::BBox;
use limen_models::image::RgbImage;
use limen_models::photo;
use limen_models::quality::Reason;

const SIZES: [(usize, usize); 3] = [(240, 240), (320, 480), (800, 480)];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// What is wrong with `image`, if anything.
fn compare(image: &RgbImage, name: &str) -> Option<String> {
    let path = golden(&format!("{name}.png"));
    let beside = golden(&format!("{name}.new.png"));
    match photo::decode_file(&path) {
        Ok(want) if want == *image => {
            let _ = std::fs::remove_file(&beside);
            None
        }
        _ if std::env::var_os("LIMEN_BLESS").is_some_and(|v| v == "1") => {
            write_small(image, &path);
            let _ = std::fs::remove_file(&beside);
            None
        }
        other => {
            write_small(image, &beside);
            let why = match other {
                Ok(want) if (want.width(), want.height()) == (image.width(), image.height()) => {
                    let n = want.data().chunks(3).zip(image.data().chunks(3)).filter(|(a, b)| a != b).count();
                    format!("{n} pixels differ")
                }
                Ok(_) => "another size".into(),
                Err(e) => e.to_string(),
            };
            Some(format!("{name}: {why}; see {}", beside.display()))
        }
    }
}

/// As small as PNG can: the repository keeps it.
fn write_small(image: &RgbImage, path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    let (width, height) = (image.width() as u32, image.height() as u32);
    PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::NoFilter)
        .write_image(image.data(), width, height, ExtendedColorType::Rgb8)
        .unwrap();
}

/// A drawn person: head, hair, eyes, mouth and shoulders, by ellipses.
fn person(image: &mut RgbImage, (cx, cy): (f32, f32), height: f32, skin: [u8; 3], coat: [u8; 3]) -> BBox {
    let (rx, ry) = (height * 0.37, height * 0.5);
    let mut ellipse = |x: f32, y: f32, a: f32, b: f32, rgb: [u8; 3]| {
        for py in (y - b).max(0.0) as usize..=(y + b).max(0.0) as usize {
            for px in (x - a).max(0.0) as usize..=(x + a).max(0.0) as usize {
                if ((px as f32 - x) / a).powi(2) + ((py as f32 - y) / b).powi(2) <= 1.0 {
                    image.set_pixel(px, py, rgb);
                }
            }
        }
    };
    ellipse(cx, cy + height * 1.25, height * 0.85, height * 0.75, coat);
    ellipse(cx, cy + height * 0.5, rx * 0.45, ry * 0.4, skin);
    ellipse(cx, cy - height * 0.1, rx * 1.08, ry * 0.95, [58, 42, 34]);
    ellipse(cx, cy + height * 0.04, rx * 0.92, ry * 0.92, skin);
    for side in [-1.0, 1.0] {
        ellipse(cx + side * rx * 0.4, cy, rx * 0.14, ry * 0.07, [250, 250, 250]);
        ellipse(cx + side * rx * 0.4, cy, rx * 0.07, ry * 0.065, [40, 50, 60]);
    }
    ellipse(cx, cy + ry * 0.52, rx * 0.3, ry * 0.06, [170, 80, 80]);
    BBox { x1: cx - rx, y1: cy - ry, x2: cx + rx, y2: cy + ry }
}

/// A 640x480 frame with two drawn people before a wall, and their boxes.
fn frame() -> (RgbImage, [BBox; 2]) {
    let data = (0..480)
        .flat_map(|y| {
            (0..640).flat_map(move |x| [170 - y / 8, 178 - y / 8, 180 - x / 16].map(|v: i32| v as u8))
        })
        .collect();
    let mut image = RgbImage::new(640, 480, data).unwrap();
    let a = person(&mut image, (255.0, 190.0), 170.0, [224, 176, 148], [44, 70, 110]);
    let b = person(&mut image, (430.0, 240.0), 120.0, [140, 96, 72], [120, 50, 58]);
    (image, [a, b])
}

fn language(code: &str) -> Language {
    Language::open(&code.parse().unwrap(), &FontSource::None).unwrap()
}

/// Every screen, and `name` on those that name somebody.
fn screens<'a>(
    language: &'a Language,
    frame: &'a RgbImage,
    boxes: &[BBox; 2],
    name: &'a str,
) -> Vec<(&'static str, Screen<'a>)> {
    let words = &language.words;
    let mark = |i: usize, name, score, colour| FaceMark { bbox: boxes[i], name, score, colour };
    vec![
        ("idle", Screen::Idle(Idle::new(words, jiff::civil::datetime(2026, 11, 24, 9, 41, 0, 0)))),
        (
            "live",
            Screen::Live(Live {
                frame,
                faces: vec![
                    mark(0, name, Some(0.87), palette::colour(0)),
                    mark(1, words.unknown(), Some(0.12), palette::UNKNOWN),
                ],
                hint: words.hint(Request::Improve(Reason::TooSmall)).into(),
            }),
        ),
        ("granted", Screen::Granted(Granted::new(words, name))),
        ("denied", Screen::Denied(Denied::new(words, Denial::Suspended))),
        ("denied-unknown", Screen::Denied(Denied::new(words, Denial::Unknown))),
        ("enrol", Screen::Enrol(Enrol::new(words, progress(), (Some(frame), Reach::Standing), false))),
        ("enrol-low", Screen::Enrol(Enrol::new(words, begun(), (Some(frame), Reach::Low), true))),
        ("consent", Screen::Choice(Choice::new(language, &Asked::Consent { id: "4711".into() }, None))),
        ("person", Screen::Choice(Choice::new(language, &Asked::Person(known(name)), Some(1)))),
        ("enrolled", told(language, Outcome::Enrolled(8))),
        ("id-pad", Screen::PinPad(PinPad::id(words, "4711", Some(Key::Enter)))),
        ("remove", Screen::Choice(Choice::new(language, &Asked::Remove(known(name)), Some(0)))),
        ("alike", Screen::Choice(Choice::new(language, &Asked::Alike, None))),
        ("alike-to", Screen::Choice(Choice::new(language, &Asked::AlikeTo(known(name)), None))),
        ("unclear", told(language, Outcome::Unclear)),
        ("pin-pad-choose", Screen::PinPad(PinPad::new(words, 0, Note::Choose(menu::Choice::First), None))),
        ("alarm-forced", Screen::Alarm(Alarm::new(words, doorway::Alarm::Forced))),
        ("alarm-held", Screen::Alarm(Alarm::new(words, doorway::Alarm::Held))),
        ("alarm-tampered", Screen::Alarm(Alarm::new(words, doorway::Alarm::Tampered))),
        ("alarm-fire", Screen::Alarm(Alarm::new(words, doorway::Alarm::Fire))),
        ("camera-lost", Screen::CameraLost(CameraLost::new(words))),
        ("service", Screen::Service(Service::new(words))),
        ("out-of-order", Screen::OutOfOrder(OutOfOrder::new(words, "C1: models/detector.onnx was changed"))),
        ("pin-pad", Screen::PinPad(PinPad::new(words, 5, Note::Enter, None))),
        (
            "pin-pad-wrong",
            Screen::PinPad(PinPad::new(words, 0, Note::Wrong { left: 4 }, Some(Key::Digit(5)))),
        ),
        ("pin-pad-locked", Screen::PinPad(PinPad::new(words, 0, Note::Locked { left_s: 58 }, None))),
        ("service-menu", Screen::ServiceMenu(ServiceMenu::new(words, &facts(), None))),
        (
            "service-menu-lost",
            Screen::ServiceMenu(ServiceMenu::new(
                words,
                &Facts { camera: Camera::Lost, free_mib: None, ..facts() },
                Some(Item::People),
            )),
        ),
    ]
}

/// Half of the way: two of the poses are done, the third has begun.
fn progress() -> Progress {
    Progress { taken: [3, 3, 1, 0, 0].map(Some), hint: Hint::Look(Pose::Right) }
}

/// At the beginning, at a door that judges nobody who looks up or down.
fn begun() -> Progress {
    let taken = [Some(1), Some(0), Some(0), None, None];
    Progress { taken, hint: Hint::Improve(Reason::TooDark) }
}

fn known(name: &str) -> Known {
    Known { id: "4711".into(), name: name.into(), standing: Standing::Active }
}

fn told(language: &Language, what: Outcome) -> Screen<'static> {
    Screen::Choice(Choice::new(language, &Asked::Told { id: "4711".into(), what }, None))
}

fn facts() -> Facts {
    Facts {
        people: Some(412),
        templates: Some(1236),
        events: Some(98_765),
        model: "limen-half10@0123456789ab".into(),
        free_mib: Some(27_310),
        ..Facts::default()
    }
}

fn drawn(screen: &Screen<'_>, fonts: &Fonts, (width, height): (usize, usize)) -> RgbImage {
    let mut canvas = Canvas::new(width, height).unwrap();
    let Ok(()) = draw(screen, fonts, &mut canvas);
    canvas.into_image()
}

#[test]
fn screens_equal_their_golden_pictures() {
    let (frame, boxes) = frame();
    let english = language("en");
    let mut wrong = Vec::new();
    let mut screens = screens(&english, &frame, &boxes, "Zoë Müller");
    // Of those that differ in their words, one: the sheets of the other languages have all.
    let alike = [
        "alarm-held",
        "alarm-tampered",
        "alarm-fire",
        "remove",
        "alike",
        "alike-to",
        "unclear",
        "pin-pad-choose",
    ];
    screens.retain(|(name, _)| !alike.contains(name));
    let long = "Ægir Þorvaldur Guðmundsson-Wolfeschlegelstein";
    screens.extend([
        ("live-alone", Screen::Live(Live { frame: &frame, faces: vec![], hint: String::new() })),
        ("granted-long", Screen::Granted(Granted::new(&english.words, long))),
        (
            "message",
            Screen::Message(Message {
                icon: Icon::Info,
                title: "Starting".into(),
                text: "The models are being loaded".into(),
            }),
        ),
    ]);
    for (name, screen) in &screens {
        for size in SIZES {
            let image = drawn(screen, &english.fonts, size);
            wrong.extend(compare(&image, &format!("{name}-{}x{}", size.0, size.1)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_demo_says_so_above_its_screens() {
    let (frame, boxes) = frame();
    let english = language("en");
    let cells: Vec<Cell> = screens(&english, &frame, &boxes, "Zoë Müller")
        .into_iter()
        // All of them are asked in display/screens.rs.
        .filter(|(name, _)| ["idle", "granted", "enrol"].contains(name))
        .map(|(name, screen)| {
            let mut canvas = Canvas::new(240, 240).unwrap();
            let Ok(()) = demo::draw(&screen, &english.words.demo, &english.fonts, &mut canvas);
            Cell { image: canvas.into_image(), colour: [60, 70, 80], lines: vec![name.into()] }
        })
        .collect();
    assert_eq!(compare(&contact(&cells), "demo"), None);
}

#[test]
fn screens_in_other_languages_equal_their_golden_sheets() {
    let (frame, boxes) = frame();
    let mut wrong = Vec::new();
    for (code, name) in [("de", "Jürgen Groß"), ("es", "Íñigo Muñoz"), ("zh", "Zoë Müller")] {
        let language = language(code);
        let cells: Vec<Cell> = screens(&language, &frame, &boxes, name)
            .iter()
            .map(|(name, screen)| Cell {
                image: drawn(screen, &language.fonts, SIZES[0]),
                colour: [60, 70, 80],
                lines: vec![(*name).into()],
            })
            .collect();
        wrong.extend(compare(&contact(&cells), code));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn contact(cells: &[Cell]) -> RgbImage {
    let sheet = Sheet { columns: 4, thumb_px: 240, ..Sheet::default() };
    sheet.render(cells, &Fonts::built_in()).unwrap()
}

#[test]
fn overlays_equal_their_golden_picture() {
    let (mut image, boxes) = frame();
    let bold = &Fonts::built_in().bold;
    draw_face(&mut image, &boxes[0], Tag { name: "Zoë Müller", score: Some(0.87) }, palette::colour(3), bold);
    draw_face(&mut image, &boxes[1], Tag { name: "unknown", score: Some(0.12) }, palette::UNKNOWN, bold);
    // Near and over each border.
    let at = |x1: f32, y1: f32| BBox { x1, y1, x2: x1 + 70.0, y2: y1 + 90.0 };
    let corners = [(-20.0, -30.0), (590.0, 4.0), (-30.0, 420.0), (600.0, 410.0), (20.0, 6.0)];
    for (i, (x, y)) in corners.into_iter().enumerate() {
        let tag = Tag { name: "Wolfeschlegelstein", score: Some(0.5) };
        draw_face(&mut image, &at(x, y), tag, palette::colour(i + 4), bold);
    }
    assert_eq!(compare(&image, "overlay"), None);
}

#[test]
fn the_contact_sheet_equals_its_golden_picture() {
    let (image, _) = frame();
    let cells: Vec<Cell> = (0..30)
        .map(|i| Cell {
            image: image.clone(),
            colour: if i % 7 == 6 { palette::UNKNOWN } else { palette::colour(i) },
            lines: vec![
                if i % 7 == 6 { "unknown".into() } else { format!("Identity number {i}") },
                format!("{:.2}", 0.9 - i as f32 / 50.0),
            ],
        })
        .collect();
    let sheet = Sheet {
        title: "Open set: 24 probes of 6 identities, 6 strangers".into(),
        subtitle: "Frame: identity by colour, grey for unknown. Figure: cosine to the gallery photograph."
            .into(),
        columns: 8,
        thumb_px: 96,
    };
    assert_eq!(compare(&sheet.render(&cells, &Fonts::built_in()).unwrap(), "sheet"), None);
}
