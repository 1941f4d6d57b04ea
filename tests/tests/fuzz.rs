//! Whatever is given to Limen, it is answered and never panics: files bent by chance, for a moment each, or for as many
//! seconds as `LIMEN_FUZZ_SECONDS` says (`./x fuzz 10` takes ten minutes each). What was once a fault is kept in tests/corpus and tried
//! first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use limen::camera::mjpeg::MjpegReader;
use limen::camera::y4m::{Header, Y4mReader, Y4mWriter};
use limen::config::{Config, DEFAULT_TOML};
use limen::display::LanguageSource;
use limen::input::keys::{Key, Typed, Typist};
use limen::input::{CardNumber, qr, wiegand};
use limen::people::archive::Archive;
use limen::people::{List, Store, table};
use limen::time::Millis;
use limen_gallery_db::{
    EventKind, Gallery, Journal, NewEvent, NewPass, NewSubject, OnExisting, PassText, Use, backup,
};
use limen_models::manifest::{Manifest, sha256_hex};
use limen_models::photo;
use limen_tests::dice::Dice;
use limen_tests::mutate::mutate;
use limen_tests::people::{Person, jpeg, portrait};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Tries what is kept for `target`, the seeds, and bent seeds until the time is over.
fn fuzz(
    target: &str,
    seeds: &[Vec<u8>],
    words: &[&[u8]],
    answer: impl Fn(&[u8]) + std::panic::RefUnwindSafe,
) {
    let seconds: f64 =
        std::env::var("LIMEN_FUZZ_SECONDS").map_or(1.0, |s| s.parse().expect("a number of seconds"));
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut dice = Dice::new(seed);
    let mut kept: Vec<Vec<u8>> = std::fs::read_dir(corpus(target))
        .map(|files| files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect())
        .unwrap_or_default();
    kept.extend_from_slice(seeds);
    let first = kept.clone();
    let (begun, mut tried, mut slowest) = (Instant::now(), 0u64, Duration::ZERO);
    let mut given = first.into_iter();
    while tried < kept.len() as u64 || begun.elapsed().as_secs_f64() < seconds {
        let bytes = given.next().unwrap_or_else(|| mutate(&kept, words, &mut dice));
        let asked = Instant::now();
        if catch_unwind(|| answer(&bytes)).is_err() {
            let file = corpus(target).join(&sha256_hex(&bytes)[..16]);
            std::fs::create_dir_all(corpus(target)).unwrap();
            std::fs::write(&file, &bytes).unwrap();
            panic!("{target}: a panic at what is kept in {} from now on", file.display());
        }
        slowest = slowest.max(asked.elapsed());
        tried += 1;
    }
    println!("{target}: {tried} files in {:.0?}, the slowest {slowest:.0?}", begun.elapsed());
}

#[test]
fn any_configuration_is_answered() {
    let words: [&[u8]; 8] = [
        b"[camera]\n",
        b"= \"",
        b"\"\"\"",
        b"v4l2:",
        b"gpio:/dev/gpiochip0:",
        b"-9223372036854775808",
        b"nan",
        b"1e400",
    ];
    fuzz("config", &[DEFAULT_TOML.into()], &words, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Err(e) = Config::parse(text, Path::new("limen.toml")) {
            assert!(e.to_string().starts_with("limen.toml: "), "{e}");
        }
    });
}

#[test]
fn any_manifest_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights");
    let whole = std::fs::read(folder.join("manifest.toml")).unwrap();
    let words: [&[u8]; 6] = [
        b"[[model]]\n",
        b"kind = \"mtcnn-p\"\n",
        b"= -1\n",
        b"= 1e400\n",
        b"../",
        b"[[model.operating_points]]\n",
    ];
    fuzz("manifest", &[whole], &words, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(manifest) = Manifest::parse(&folder, text) {
            // What may be used is used: nothing in it may lead outside the folder, or to a panic.
            let _ = manifest.select(None).map(|s| s.model_id());
            for model in manifest.models() {
                assert!(manifest.file(model).starts_with(&folder), "{:?}", manifest.file(model));
            }
        }
    });
}

#[test]
fn any_picture_is_answered() {
    let picture = portrait(&Person::new(1), 1);
    let small = limen_models::image::RgbImage::filled(9, 7, [10, 200, 30]).unwrap();
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let buffer = image::RgbImage::from_raw(9, 7, small.data().to_vec()).unwrap();
        buffer.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let seeds = [
        jpeg(&picture, Some(6)),
        jpeg(&small, None),
        encoded(image::ImageFormat::Png),
        encoded(image::ImageFormat::WebP),
    ];
    let words: [&[u8]; 7] =
        [b"\xff\xd8", b"\xff\xd9", b"\xff\xc0\x00\x11", b"\xff\xe1", b"IHDR", b"IDAT", b"VP8L"];
    fuzz("image", &seeds, &words, |bytes| {
        let _ = photo::decode(bytes, Path::new("a.jpg"));
    });
}

#[test]
fn any_clip_is_answered() {
    let picture = portrait(&Person::new(1), 1);
    let mut y4m =
        Y4mWriter::new(Vec::new(), Header::parse("YUV4MPEG2 W16 H12 F30:1 C420jpeg").unwrap()).unwrap();
    for grey in [10, 200] {
        y4m.write_image(&limen_models::image::RgbImage::filled(16, 12, [grey; 3]).unwrap()).unwrap();
    }
    let mjpeg = [jpeg(&picture, None), jpeg(&picture, None)].concat();
    let words: [&[u8]; 6] = [b"FRAME\n", b" W", b" H4294967295", b" F0:0", b" C444", b"\xff\xd8\xff"];
    fuzz("clip", &[y4m.finish().unwrap(), mjpeg], &words, |bytes| {
        if let Ok(mut clip) = Y4mReader::new(bytes) {
            while clip.next_image().is_ok_and(|image| image.is_some()) {}
        }
        let mut clip = MjpegReader::new(bytes);
        while clip.next_image().is_ok_and(|image| image.is_some()) {}
    });
}

#[test]
fn any_language_file_is_answered() {
    let seeds: Vec<Vec<u8>> =
        ["en", "zh"].map(|code| code.parse::<LanguageSource>().unwrap().text().unwrap().into_bytes()).into();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let words: [&[u8]; 4] = [b"{name}", b"{", b"[hints]\n", "か".as_bytes()];
    fuzz("language", &seeds, &words, |bytes| {
        std::fs::write(&file, bytes).unwrap();
        let _ = limen::display::Language::open(&LanguageSource::File(file.clone()), &Default::default());
    });
}

const PEOPLE: &str = "\u{feff}id;name;groups;valid_from;valid_until;consent;pin;card;photos\r\n\
    7;Ada;\"staff;lab\";2026-01-01;2026-12-31T18:00:00+01:00;2026-01-01;258025;0042;\r\n\
    8;Ben|;;;;;;;a/8.jpg | b\r\n";

/// A store of one list and two pictures.
struct Desk(Vec<String>, Vec<u8>);

impl Store for Desk {
    fn names(&self) -> &[String] {
        &self.0
    }

    fn read(&mut self, at: usize, most: u64) -> std::io::Result<Option<Vec<u8>>> {
        let bytes = if at == 0 { self.1.clone() } else { Vec::new() };
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }
}

#[test]
fn any_list_of_people_is_answered() {
    let words: [&[u8]; 8] = [
        b"id,name\n",
        b";",
        b"\"",
        b"\r\n",
        b"9999-12-31",
        b"-262143-01-01",
        b"../",
        b"2026-12-31T23:59:60Z",
    ];
    fuzz("people", &[PEOPLE.into(), PEOPLE.replace(';', ",").into()], &words, |bytes| {
        let names = ["people.csv", "7.jpg", "a/8.jpg"].map(str::to_owned).to_vec();
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let list =
            List::of(Box::new(Desk(names, bytes.to_vec())), Path::new("day"), &zone, jiff::Timestamp::now());
        match list {
            Err(e) => assert!(e.to_string().starts_with("day/people.csv, line "), "{e}"),
            Ok(list) => {
                assert_eq!(table::read(bytes).ok().map(|rows| rows.len()), Some(list.entries.len()));
                assert!(list.entries.iter().all(|e| e.pictures.len() <= 2));
            }
        }
    });
}

#[test]
fn any_zip_is_answered_within_bounds() {
    use std::io::{Cursor, Write};
    let zip = |method| {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in [("people.csv", PEOPLE.as_bytes()), ("7.jpg", &[7; 400]), ("a/8.jpg", b"8")] {
            zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method))
                .unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let words: [&[u8]; 6] =
        [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"../"];
    let seeds = [zip(zip::CompressionMethod::Stored), zip(zip::CompressionMethod::Deflated)];
    fuzz("zip", &seeds, &words, |bytes| {
        let Ok(mut archive) = Archive::open(Cursor::new(bytes.to_vec())) else { return };
        for at in 0..archive.names().len() {
            assert!(archive.names()[at].split('/').all(|part| part != ".."));
            if let Ok(Some(file)) = archive.read(at, 200) {
                assert!(file.len() <= 200);
            }
        }
    });
}

/// Right check sums for the lines of an export, so that what is bent is read and not refused at once.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let (mut sums, mut out) = (Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let Some(body) = line.strip_prefix(b"{\"sum\":\"").and_then(|rest| rest.get(18..)) else {
            out.extend_from_slice(line);
            continue;
        };
        sums.extend_from_slice(b"{");
        sums.extend_from_slice(body);
        out.extend_from_slice(format!("{{\"sum\":\"{}\",", &sha256_hex(&sums)[..16]).as_bytes());
        out.extend_from_slice(body);
    }
    out
}

#[test]
fn any_export_is_answered_and_one_that_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut gallery = Gallery::open(&place("source.db")).unwrap();
    for id in ["1", "2"] {
        let new = NewSubject::new(id, "Somebody");
        let sample = limen_gallery_db::Sample { vector: vec![0.5; 16], quality: 0.5, source: "a".into() };
        let policy = limen_gallery_db::EnrolPolicy {
            allow_duplicate: limen_gallery_db::DuplicateRule::Allow,
            min_samples: 1,
            ..Default::default()
        };
        let model = limen_gallery_db::ModelId::new("m").unwrap();
        gallery
            .noting(NewEvent::new(new.at, EventKind::Enrolled).about_id(id))
            .enrol(&new, &model, &[sample], &policy)
            .unwrap();
    }
    gallery.export(&place("whole.jsonl"), Journal::Take).unwrap();
    let whole = std::fs::read(place("whole.jsonl")).unwrap();
    assert_eq!(summed(&whole), whole, "the sums are those of an export");
    let words: [&[u8]; 6] = [
        b"{\"sum\":\"0123456789abcdef\",\"subject\":{",
        b"null",
        b"-1",
        b"1e400",
        b"\\u0000",
        b"\"version\":1",
    ];
    let target = place("target.db");
    let gallery = std::sync::Mutex::new(Gallery::open(&target).unwrap());
    fuzz("import", &[whole], &words, |bytes| {
        std::fs::write(place("in.jsonl"), summed(bytes)).unwrap();
        let mut gallery = gallery.lock().unwrap_or_else(|e| e.into_inner());
        let before = gallery.contents().unwrap();
        match gallery.import(&place("in.jsonl"), OnExisting::Replace) {
            Err(_) => assert_eq!(gallery.contents().unwrap(), before),
            Ok(_) => {
                gallery.verify_journal(&[]).unwrap();
            }
        }
        let _ = backup::head_of(&place("in.jsonl"));
    });
}

#[test]
fn whatever_is_typed_is_answered() {
    let words: [&[u8]; 4] = [b"\x10", b"\x10\x10", b"\x01\x02\x03\x04\x10", b"\x11\x12\x13"];
    fuzz("keys", &[b"\x00\x01\x02\x03\x04\x05\x06\x07\x10\x09".into()], &words, |bytes| {
        for typist in [Typist::Machine, Typist::Person] {
            let (mut typed, mut at) = (Typed::new(typist), 0);
            for byte in bytes {
                // The upper half is how long it took.
                at += u64::from(byte >> 5) * 170;
                let key = match byte & 31 {
                    digit @ 0..=15 => Key::Digit(digit),
                    16 => Key::Enter,
                    17 => Key::Delete,
                    18 => Key::Nothing,
                    // No digit, were it said to be one.
                    19 => Key::Digit(200),
                    _ => Key::Other,
                };
                let what = typed.press(key, Millis(at));
                assert!(what.is_none_or(|what| !format!("{what:?}").contains(|c: char| c.is_ascii_digit())));
            }
        }
    });
}

#[test]
fn any_pulses_are_answered() {
    let card: wiegand::Frame = "34:4097:7".parse().unwrap();
    let pulses: Vec<u8> = (0..34).rev().map(|place| (card.bits() >> place & 1) as u8 | 2).collect();
    let words: [&[u8]; 3] = [b"\xff", b"\x01\x00", b"\x02\x03\x02\x03"];
    fuzz("wiegand", &[pulses], &words, |bytes| {
        let (mut decoder, mut at) = (wiegand::Decoder::default(), 0u64);
        let told = |card: Option<Result<wiegand::Frame, wiegand::FrameFault>>| {
            if let Some(Ok(card)) = card {
                assert_eq!(card.to_string().parse(), Ok(card));
            }
        };
        for byte in bytes {
            // From none to 16 s.
            at += (1 << (byte >> 1 & 31)) >> 7;
            told(decoder.pulse(if byte & 1 == 1 { wiegand::Bit::One } else { wiegand::Bit::Zero }, at));
        }
        told(decoder.rest());
        // A clock that goes back, or to its end.
        told(decoder.pulse(wiegand::Bit::One, u64::MAX));
        told(decoder.pulse(wiegand::Bit::Zero, 0));
    });
}

#[test]
fn any_pass_and_any_card_number_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
    let subject = gallery.add_subject(&NewSubject::new("1", "Somebody")).unwrap().id;
    let now = jiff::Timestamp::now();
    let until = now + jiff::SignedDuration::from_hours(1);
    let new = NewPass { subject, valid_from: now, valid_until: until, usage: Use::Often, at: now };
    let (_, text) = gallery.issue_pass(&new).unwrap();
    let secret = gallery.secret().unwrap();
    let gallery = std::sync::Mutex::new(gallery);
    let seeds: [Vec<u8>; 3] = [text.as_str().into(), "26:12:345".into(), "04A2B3C4".into()];
    let words: [&[u8]; 4] = [b"LIMEN1:", b"FF", b"34:", b":65535"];
    fuzz("shown", &seeds, &words, |bytes| {
        let Ok(given) = std::str::from_utf8(bytes) else { return };
        let gallery = gallery.lock().unwrap_or_else(|e| e.into_inner());
        if let Ok(pass) = given.parse::<PassText>() {
            assert_eq!(gallery.check_pass(&pass, now).is_ok(), pass == text);
        }
        if let Ok(card) = given.parse::<CardNumber>() {
            assert_eq!(gallery.find_credential(&card.key(&secret)).unwrap(), None);
        }
    });
}

#[test]
fn any_picture_of_a_code_is_answered() {
    let text = format!("LIMEN1:{}", "0123456789ABCDEF".repeat(5));
    let code = limen::cmd::pass::picture(&text).unwrap();
    // A byte a module; bent, rows move against each other and codes of other sizes come about.
    let side = code.width();
    let modules: Vec<u8> = code.to_colors().into_iter().map(|c| c.select(1, 0)).collect();
    let finder: &[u8] = &[1, 1, 1, 1, 1, 1, 1, 0];
    let words: [&[u8]; 4] = [finder, &[1, 0, 0, 0, 0, 0, 1, 0], &[1, 0, 1, 1, 1, 0, 1, 0], &[0; 33]];
    fuzz("qr", &[modules], &words, |bytes| {
        let side = if bytes.len().is_multiple_of(2) { side } else { 21 + bytes.len() % 40 };
        let height = bytes.len().div_ceil(side).clamp(1, 60);
        let (px, quiet) = (3, 4);
        let (w, h) = ((side + 2 * quiet) * px, (height + 2 * quiet) * px);
        let mut image = limen_models::image::RgbImage::filled(w, h, [230; 3]).unwrap();
        for (x, y) in (0..side * px).flat_map(|x| (0..height * px).map(move |y| (x, y))) {
            let module = bytes.get(y / px * side + x / px).copied().unwrap_or(0);
            let grey = if module == 1 { 20 } else { 230u8.saturating_sub(module) };
            image.set_pixel(x + quiet * px, y + quiet * px, [grey; 3]);
        }
        let _ = qr::read(&image);
    });
}
