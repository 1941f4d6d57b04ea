//! Bad input of every kind: the exit code, the words that name the thing, and a gallery as whole as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use limen_gallery_db::{Check, Gallery, GalleryError, Options, Standing};
use limen_models::manifest::{Manifest, ModelEntry, sha256_hex};
use limen_tests::cmyk::adobe_cmyk_jpeg;
use limen_tests::people::{Person, Scene, group, jpeg, portrait, save_png, turned};
use limen_tests::site::{CONFIG, Site, binary};

/// Person 0 is enrolled as `p0`; `probe.jpg` shows person 0 again.
fn site() -> Site {
    let site = Site::new();
    site.photo("p0.jpg", &portrait(&Person::new(0), 100));
    site.photo("probe.jpg", &portrait(&Person::new(0), 101));
    site.limen("enrol --config limen.toml --id p0 --name Nobody p0.jpg").exits(0);
    site
}

/// Everything the gallery holds.
fn contents(site: &Site) -> String {
    let list = site.limen("gallery list --config limen.toml --json").exits(0).stdout;
    let shown: String = list
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["id"].as_str().unwrap().to_owned())
        .map(|id| site.limen(&format!("gallery show --config limen.toml --json {id}")).exits(0).stdout)
        .collect();
    list + &shown + &site.limen("events --config limen.toml --json").exits(0).stdout
}

/// A PNG that is nothing but a header.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let crc = |data: &[u8]| {
        !data.iter().fold(!0u32, |c, &b| {
            (0..8).fold(c ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
        })
    };
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let sum = crc(&png[12..29]);
    png.extend(sum.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

#[test]
fn photographs_that_cannot_be_used_are_named_and_change_nothing() {
    let site = site();
    let before = contents(&site);
    let whole = std::fs::read(site.path("p0.jpg")).unwrap();
    std::fs::create_dir(site.path("folder.jpg")).unwrap();
    site.write("cut.jpg", &whole[..whole.len() / 2]);
    site.write("huge.png", png_header(30_000, 30_000));
    site.write("text.jpg", "This is a letter, whatever its name says.\n");
    site.write("empty.jpg", "");
    for (photo, code, words) in [
        ("missing.jpg", 4, "cannot be read"),
        ("folder.jpg", 4, "cannot be read"),
        ("cut.jpg", 3, "cut short"),
        ("huge.png", 3, "30000x30000"),
        ("text.jpg", 3, "not a JPEG, PNG or WebP"),
        ("empty.jpg", 3, "not a JPEG, PNG or WebP"),
    ] {
        for command in ["identify", "verify --id p0", "enrol --id new --name New"] {
            site.limen(&format!("{command} --config limen.toml {photo}")).exits(code).says(&[photo, words]);
        }
        // One bad photograph does not take the good one along, and is not passed over in silence.
        let both = site.limen(&format!("identify --config limen.toml --json {photo} probe.jpg")).exits(code);
        assert!(both.json()[0]["error"].as_str().unwrap().contains(words));
        assert_eq!(both.json()[1]["faces"][0]["id"], "p0");
    }
    assert_eq!(contents(&site), before);
}

#[test]
fn no_face_and_five_faces_are_answered_and_not_enrolled() {
    let site = site();
    let before = contents(&site);
    site.photo("nobody.jpg", &Scene::new(320, 240, 1).noise(2.0).done());
    let five: Vec<Person> = [0, 30, 31, 32, 33].map(Person::new).to_vec();
    site.photo("five.jpg", &group(&five, 5));
    let said = site.limen("identify --config limen.toml --json nobody.jpg five.jpg").exits(1).json();
    assert_eq!(said[0]["faces"].as_array().unwrap().len(), 0);
    let faces = said[1]["faces"].as_array().unwrap();
    assert_eq!((faces.len(), faces.iter().filter(|f| f["decision"] == "grant").count()), (5, 1));
    for (photo, words) in [("nobody.jpg", "no face"), ("five.jpg", "5 faces")] {
        site.limen(&format!("enrol --config limen.toml --id new --name New {photo}")).exits(5).says(&[
            photo,
            words,
            "nothing was changed",
        ]);
        site.limen(&format!("verify --config limen.toml --id p0 {photo}")).exits(3).says(&[photo, words]);
    }
    assert_eq!(contents(&site), before);
}

#[test]
fn unusual_photographs_are_recognised_all_the_same() {
    let site = site();
    let upright = portrait(&Person::new(0), 102);
    let sixteen: Vec<u16> = upright.data().iter().map(|&v| u16::from(v) * 257).collect();
    let sixteen: image::ImageBuffer<image::Rgb<u16>, _> =
        image::ImageBuffer::from_raw(upright.width() as u32, upright.height() as u32, sixteen).unwrap();
    sixteen.save(site.path("sixteen.png")).unwrap();
    site.write("cmyk.jpg", adobe_cmyk_jpeg(&upright));
    save_png(&upright, &site.path("named-wrongly.jpg"));
    let quarter = turned(&upright);
    let half = turned(&quarter);
    // Orientation 6: turn it by 90 degrees clockwise to see it upright; 3: by 180; 8: by 270.
    site.write("exif6.jpg", jpeg(&quarter, Some(6)));
    site.write("exif3.jpg", jpeg(&half, Some(3)));
    site.write("exif8.jpg", jpeg(&turned(&half), Some(8)));
    for photo in ["sixteen.png", "cmyk.jpg", "named-wrongly.jpg", "exif6.jpg", "exif3.jpg", "exif8.jpg"] {
        let said = site.limen(&format!("identify --config limen.toml --json {photo}"));
        let said = said.exits(0).json();
        assert_eq!((&said[0]["faces"][0]["id"], &said[0]["width"]), (&"p0".into(), &320.into()), "{photo}");
    }
    // And it is the orientation that does it.
    site.photo("lying.jpg", &quarter);
    site.limen("identify --config limen.toml lying.jpg").exits(1);
}

/// Changes the entry of the model `id` in the site's manifest.
fn change(site: &Site, id: &str, f: impl Fn(&mut ModelEntry)) {
    let mut manifest = Manifest::load(&site.path("models")).unwrap();
    let mut entry = manifest.model(id).unwrap().clone();
    f(&mut entry);
    manifest.put(entry).unwrap();
    manifest.save().unwrap();
}

#[test]
fn models_that_do_not_fit_are_refused_by_file_and_field() {
    let site = site();
    let before = contents(&site);
    let manifest = site.read("models/manifest.toml");
    let onnx = |name: &str| std::fs::read(site.path("models").join(name)).unwrap();
    let (p, r, o, embedder) =
        (onnx("drawn-p.onnx"), onnx("drawn-r.onnx"), onnx("drawn-o.onnx"), onnx("drawn-embedder.onnx"));
    let refused = |what: &str, code: i32, words: &[&str]| {
        for command in ["identify", "verify --id p0", "enrol --id new --name New"] {
            site.limen(&format!("{command} --config limen.toml probe.jpg")).exits(code).says(words);
        }
        site.write("models/manifest.toml", &manifest);
        site.write("models/drawn-p.onnx", &p);
        site.write("models/drawn-r.onnx", &r);
        site.write("models/drawn-o.onnx", &o);
        site.write("models/drawn-embedder.onnx", &embedder);
        site.limen("identify --config limen.toml probe.jpg").exits(0);
        assert_eq!(contents(&site), before, "{what}");
    };

    site.write("models/drawn-r.onnx", &r[..r.len() / 2]);
    refused("cut short, by its hash", 3, &["drawn-r.onnx", "sha256"]);
    for part in [r.len() / 2, r.len() - 1, 10] {
        site.write("models/drawn-r.onnx", &r[..part]);
        change(&site, "drawn-r", |m| m.sha256 = sha256_hex(&r[..part]));
        refused("cut short, with the hash of what is left", 3, &["drawn-r.onnx", "not a usable ONNX"]);
    }
    site.write("models/drawn-o.onnx", "");
    change(&site, "drawn-o", |m| m.sha256 = sha256_hex(b""));
    refused("nothing in it", 3, &["drawn-o.onnx", "not a usable ONNX"]);
    change(&site, "drawn-p", |m| m.sha256 = "0".repeat(64));
    refused("another hash", 3, &["drawn-p.onnx", "sha256", &"0".repeat(64)]);
    site.write("models/drawn-o.onnx", &r);
    change(&site, "drawn-o", |m| m.sha256 = sha256_hex(&r));
    refused("another network in its place", 3, &["drawn-o.onnx", "landmarks"]);
    change(&site, "drawn", |m| (m.file, m.sha256) = ("drawn-p.onnx".into(), sha256_hex(&p)));
    refused("another network as embedder", 3, &["drawn-p.onnx"]);
    change(&site, "drawn", |m| (m.input.width, m.input.height) = (100, 116));
    refused("another input size", 3, &["drawn-embedder.onnx", "?x3x112x96", "116x100", "input"]);
    change(&site, "drawn", |m| m.embedding.as_mut().unwrap().length = 64);
    refused("another length", 3, &["128", "64", "embedding.length"]);
    std::fs::remove_file(site.path("models/drawn-embedder.onnx")).unwrap();
    refused("no file", 4, &["drawn-embedder.onnx", "cannot be read"]);
    std::fs::remove_file(site.path("models/manifest.toml")).unwrap();
    refused("no manifest", 4, &["manifest.toml", "cannot be read"]);
    for (from, to, words) in [
        ("format = 1", "format = 2", "update Limen"),
        ("\"rgb\"", "\"yuv\"", "yuv"),
        ("licence = ", "license = ", "license"),
        ("kind = \"mtcnn-r\"", "kind = \"mtcnn-o\"", "48x48"),
        ("fmr = 0.0001", "fmr = 0.0002", "decision.false_match_rate"),
    ] {
        assert!(manifest.contains(from), "{from}");
        site.write("models/manifest.toml", manifest.replace(from, to));
        refused(to, 3, &["manifest.toml", words]);
    }
}

#[test]
fn galleries_that_cannot_be_used_are_left_as_they_are() {
    let site = site();
    let before = contents(&site);
    let good = std::fs::read(site.path("gallery.db")).unwrap();
    // Header of a SQLite file: pages of 4096 bytes, user_version at byte 60, application_id at byte 68, big-endian.
    let page = usize::from(u16::from_be_bytes([good[16], good[17]]));
    assert!(page >= 512 && good.len() / page >= 8, "{page}, {}", good.len());
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&9999u32.to_be_bytes());
    let mut foreign = good.clone();
    foreign[68..72].copy_from_slice(b"OTHR");
    let mut kinds: Vec<(String, Vec<u8>, &[&str])> = vec![
        ("newer.db".into(), newer, &["newer Limen", "9999"]),
        ("foreign.db".into(), foreign, &["not a Limen gallery"]),
        ("text.db".into(), b"Somebody's shopping list\n".repeat(60), &["not a Limen gallery"]),
        ("short.db".into(), good[..good.len() - page - 100].to_vec(), &["damaged"]),
    ];
    for number in 1..good.len() / page {
        let mut broken = good.clone();
        broken[number * page..(number + 1) * page].fill(0xA5);
        kinds.push((format!("page{number}.db"), broken, &["damaged"]));
    }
    for (name, bytes, words) in &kinds {
        site.write(name, bytes);
        for command in [
            "identify --config limen.toml probe.jpg",
            "enrol --config limen.toml --id new --name New probe.jpg",
            "gallery list",
            "gallery remove p0",
            "gallery export out.jsonl",
            "events",
        ] {
            let mut parts: Vec<&str> = command.split(' ').collect();
            let gallery = format!("--gallery {name}");
            parts.insert(if parts[0] == "gallery" { 2 } else { 1 }, &gallery);
            let outcome = site.limen(&parts.join(" "));
            assert_eq!(outcome.code, 3, "{command} on {name}: {}", outcome.stderr);
            outcome.says(&[name]).says(words);
            assert_eq!(std::fs::read(site.path(name)).unwrap(), *bytes, "{command} wrote to {name}");
        }
        assert!(!site.path("out.jsonl").exists());
    }
    assert_eq!(contents(&site), before);
}

#[test]
fn exports_that_cannot_be_used_change_nothing() {
    let site = site();
    site.photo("p1.jpg", &portrait(&Person::new(1), 7));
    site.limen("enrol --config limen.toml --id p1 --name One p1.jpg").exits(0);
    site.limen("gallery export --config limen.toml good.jsonl").exits(0);
    site.limen("gallery remove --config limen.toml p1").exits(0);
    let before = contents(&site);
    let good = site.read("good.jsonl");
    let lines: Vec<&str> = good.lines().collect();
    site.write("cut.jsonl", &good[..good.len() - 40]);
    site.write("fewer.jsonl", lines[..lines.len() - 1].join("\n") + "\n");
    site.write("text.jsonl", "Somebody's shopping list\n");
    site.write("empty.jsonl", "");
    let version = serde_json::from_str::<serde_json::Value>(lines[0]).unwrap();
    let now = version.to_string();
    site.write("newer.jsonl", good.replacen(lines[0], &now.replace("\"version\":", "\"version\":99"), 1));
    for file in ["cut.jsonl", "fewer.jsonl", "text.jsonl", "empty.jsonl", "newer.jsonl"] {
        site.limen(&format!("gallery import --config limen.toml {file}")).exits(3).says(&[file]);
        assert_eq!(contents(&site), before, "{file}");
    }
    site.limen("gallery import --config limen.toml missing.jsonl").exits(4).says(&["missing.jsonl"]);
    site.limen("gallery import --config limen.toml good.jsonl").exits(0);
    assert_ne!(contents(&site), before);
}

#[test]
fn a_gallery_held_by_another_program_can_be_tried_again() {
    let site = site();
    let before = contents(&site);
    site.photo("p1.jpg", &portrait(&Person::new(1), 7));
    // The other program is an import that waits for the rest of its file, in the middle of its transaction.
    assert!(Command::new("mkfifo").arg(site.path("pipe")).status().unwrap().success());
    let mut import = Command::new(binary())
        .args(["gallery", "import", "--config", "limen.toml", "pipe"])
        .current_dir(site.path("."))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pipe = std::fs::OpenOptions::new().write(true).open(site.path("pipe")).unwrap();
    let impatient = Options { busy: Duration::ZERO, check: Check::Quick };
    let is_locked = || match Gallery::open_with(&site.path("gallery.db"), &impatient) {
        Ok(mut gallery) => {
            let p0 = gallery.subject_by_external_id("p0").unwrap().unwrap().id;
            matches!(gallery.set_standing(p0, Standing::Active), Err(GalleryError::Busy { .. }))
        }
        Err(e) => panic!("{e}"),
    };
    while !is_locked() {
        assert!(import.try_wait().unwrap().is_none(), "the import ended before its time");
    }
    site.limen("enrol --config limen.toml --id p1 --name One p1.jpg")
        .exits(4)
        .says(&["gallery.db", "locked"]);
    // Reading goes on.
    assert_eq!(contents(&site), before);
    drop(pipe);
    assert_eq!(import.wait().unwrap().code(), Some(3), "the rest of its file never came");
    assert_eq!(contents(&site), before);
    site.limen("enrol --config limen.toml --id p1 --name One p1.jpg").exits(0);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let site = site();
    let before = contents(&site);
    let rights = |path: &str, mode: u32| {
        std::fs::set_permissions(site.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(site.path("closed")).unwrap();
    std::fs::copy(site.path("gallery.db"), site.path("closed/gallery.db")).unwrap();
    let bytes = std::fs::read(site.path("closed/gallery.db")).unwrap();
    site.photo("p1.jpg", &portrait(&Person::new(1), 7));
    // Whoever this test runs as must be able to read the site and no more.
    rights(".", 0o755);
    rights("closed/gallery.db", 0o666);
    rights("closed", 0o555);
    let root = std::fs::metadata(site.path(".")).unwrap().uid() == 0;
    let limen = |args: &str| if root { site.limen_as_nobody(args) } else { site.limen(args) };
    for command in [
        "enrol --config limen.toml --gallery closed/gallery.db --id p1 --name One p1.jpg",
        "enrol --config limen.toml --gallery closed/new.db --id p1 --name One p1.jpg",
        "gallery remove --gallery closed/gallery.db p0",
    ] {
        limen(command).exits(4).says(&["closed/", "cannot be written"]);
    }
    limen("gallery export --config limen.toml --gallery closed/gallery.db closed/out.jsonl").exits(4);
    rights("closed", 0o755);
    assert_eq!(std::fs::read(site.path("closed/gallery.db")).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(site.path("closed")).unwrap().count(), 1, "nothing was left behind");
    assert_eq!(contents(&site), before);
    let nowhere = "enrol --config limen.toml --gallery nowhere/gallery.db --id p1 --name One p1.jpg";
    site.limen(nowhere).exits(4).says(&["nowhere/gallery.db", "folder"]);
}

#[test]
fn a_full_disk_loses_nothing_and_opens_no_door() {
    let site = site();
    let Some(unshare) = site.own_mounts("a_full_disk_loses_nothing_and_opens_no_door") else { return };
    site.photo("p1.jpg", &portrait(&Person::new(1), 7));
    std::fs::create_dir(site.path("photos")).unwrap();
    for i in 0..4 {
        std::fs::copy(site.path("probe.jpg"), site.path(&format!("photos/{i}.jpg"))).unwrap();
    }
    let config = CONFIG.replace("file = \"gallery.db\"", "file = \"disk/gallery.db\"");
    site.write("full.toml", config.replace("[camera]", "[camera]\nevery_frame = true"));
    let before = site.limen("gallery list --config limen.toml --json").exits(0).stdout;
    let events = site.limen("events --config limen.toml --json").exits(0).stdout;
    // Fills the disk but for a few pages, tries, makes room, looks. A page is 4096 bytes.
    let script = r#"
        mount -t tmpfs -o size=1m tmpfs disk && cp gallery.db disk/gallery.db &&
        cat /dev/zero >disk/most 2>/dev/null; truncate -s -"$PAGES"k disk/most
        COMMAND >said 2>&1; code=$?
        : >disk/most
        "$LIMEN" gallery list --config full.toml --json >list && "$LIMEN" events --config full.toml --json >events &&
        "$LIMEN" identify --config full.toml probe.jpg >/dev/null || exit 99
        exit $code
    "#;
    let attempt = |command: &str, free_kib: u32| {
        let script = script.replace("COMMAND", command).replace("\"$PAGES\"", &free_kib.to_string());
        site.write("script.sh", script);
        let outcome = site.shell(&format!("{unshare} sh script.sh"));
        assert_ne!(outcome.code, 99, "{command}, {free_kib} KiB free: {}", outcome.stderr);
        let said = site.read("said");
        assert!(!said.contains("panicked"), "{said}");
        (outcome.code, said)
    };
    let mut full = 0;
    for free_kib in [0, 4, 16, 32, 40, 48, 64, 96, 160, 512] {
        let (code, said) = attempt("\"$LIMEN\" enrol --config full.toml --id p1 --name One p1.jpg", free_kib);
        if code == 0 {
            assert_eq!(site.read("list").lines().count(), 2, "{free_kib} KiB: acknowledged and lost");
            assert!(
                site.read("events").contains("\"enrolled\""),
                "{free_kib} KiB: enrolled without its line"
            );
        } else {
            assert_eq!(code, 4, "{free_kib} KiB: {said}");
            assert!(said.contains("disk/gallery.db") && said.contains("full"), "{free_kib} KiB: {said}");
            assert_eq!(site.read("list"), before, "{free_kib} KiB: {said}");
            assert_eq!(site.read("events"), events, "{free_kib} KiB: {said}");
            full += 1;
        }
        let run = "rm -f edges.jsonl; \"$LIMEN\" run --config full.toml --json";
        let (code, said) = attempt(run, free_kib);
        let granted = site.read("events").matches("\"granted\"").count();
        let opened = std::fs::read_to_string(site.path("edges.jsonl")).unwrap_or_default();
        let opened = opened.matches("\"energised\"").count();
        assert_eq!(opened, granted, "{free_kib} KiB: no record, no open door\n{said}");
        assert_eq!(
            (code == 0, granted),
            if code == 0 { (true, 1) } else { (false, 0) },
            "{free_kib} KiB: {said}"
        );
        assert!(code == 0 || (code == 4 && said.contains("full")), "{free_kib} KiB: {code} {said}");
    }
    assert!((2..10).contains(&full), "{full} of 10 attempts met a full disk");
}

#[test]
fn clips_and_cameras_that_cannot_be_used_are_named() {
    let site = site();
    let before = contents(&site);
    std::fs::create_dir(site.path("none")).unwrap();
    std::fs::create_dir(site.path("some")).unwrap();
    site.write("text.y4m", "YUV4MPEG3 W320\nnot a clip");
    site.write("empty.y4m", "");
    site.write("text.mjpeg", "Somebody's shopping list\n");
    let config = CONFIG.replace("[camera]", "[camera]\nevery_frame = true");
    for (source, word) in [
        ("missing", "missing"),
        ("none", "none"),
        ("text.y4m", "y4m"),
        ("empty.y4m", "y4m"),
        ("text.mjpeg", "mjpeg"),
    ] {
        site.write("run.toml", config.replace("replay:photos", &format!("replay:{source}")));
        // A program that waits for such a camera would wait for ever.
        let outcome = site.shell("timeout 60 \"$LIMEN\" run --config run.toml");
        assert!([3, 4].contains(&outcome.code), "{source}: {} {}", outcome.code, outcome.stderr);
        outcome.says(&[word]);
        assert!(!site.path("edges.jsonl").exists() || site.read("edges.jsonl").is_empty());
    }
    // A damaged photograph among good ones is passed over, and said.
    site.write("some/0.jpg", "Somebody's shopping list\n");
    for i in 1..5 {
        std::fs::copy(site.path("probe.jpg"), site.path(&format!("some/{i}.jpg"))).unwrap();
    }
    site.write("run.toml", config.replace("replay:photos", "replay:some"));
    let run = site.limen("run --config run.toml --json").exits(0);
    assert!(run.stdout.contains("\"granted\""), "{}", run.stdout);
    run.says(&["0.jpg"]);
    let people =
        |all: &str| all.lines().filter(|l| l.contains("\"uuid\"")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(people(&contents(&site)), people(&before));
}

#[test]
fn twenty_wrong_configurations_are_refused_by_file_line_and_field() {
    let site = site();
    let before = contents(&site);
    let wrong: [(&str, &[&str]); 29] = [
        ("[camera]\nsource = \"usb:0\"", &["line 2", "camera.source"]),
        ("[camera]\nsource = \"replay:\"", &["line 2", "camera.source"]),
        ("[camera]\nsuorce = \"replay:x\"", &["line 2", "suorce"]),
        ("[camera]\n\n\nwidth_px = 3", &["line 4", "camera.width_px"]),
        ("[camera]\nframes_per_second = 0", &["line 2", "camera.frames_per_second"]),
        ("[camera]\nhold_frames = 0", &["line 2", "camera.hold_frames"]),
        ("[camera]\nrepeat = \"yes\"", &["line 2", "repeat"]),
        ("[camra]\n", &["line 1", "camra"]),
        ("[models]\nfolder = \"\"", &["line 2", "models.folder"]),
        ("[models]\nmin_face = 2.0", &["line 2", "models.min_face"]),
        ("[gallery]\nfile = \"\"", &["line 2", "gallery.file"]),
        ("[decision]\nfalse_match_rate = 0.9", &["line 2", "decision.false_match_rate"]),
        ("[decision]\nthreshold = 2.0", &["line 2", "decision.threshold"]),
        ("[decision]\nmin_frames = 0", &["line 2", "decision.min_frames"]),
        ("[decision]\ncompanions = \"maybe\"", &["line 2", "maybe"]),
        ("[quality]\nmax_roll_deg = nan", &["line 2", "quality.max_roll_deg"]),
        ("[door]\nrelay = \"door\"", &["line 2", "door.relay"]),
        ("[door]\npulse_ms = 0", &["line 2", "door.pulse_ms"]),
        ("[door]\npulse_ms = 3000\npulse_ms = 4000", &["line 3", "pulse_ms"]),
        ("[door\n", &["line 1"]),
        ("[display]\npanel = \"hdmi\"", &["line 2", "display.panel"]),
        ("[display]\nlanguage = \"fr\"", &["line 2", "display.language"]),
        ("[display]\nfont = \"a.ttc#one\"", &["line 2", "display.font"]),
        ("[camera]\nsource = \"replay:x\"\n[door]\nrelay = \"gpio:door\"", &["line 2", "camera.source"]),
        ("[controls]\ntouch = \"mouse\"", &["line 2", "controls.touch", "/dev/input/event0"]),
        ("[controls]\ntouch = \"/dev/input/event0\"", &["line 2", "controls.touch", "display.panel"]),
        ("[controls]\nup_button = \"gpio:up\"", &["line 1", "controls.down_button", "go together"]),
        ("[controls]\npin = \"2580\"", &["line 2", "controls.pin", "limen pin"]),
        ("[controls]\npin = 2580", &["line 2", "controls.pin", "limen pin"]),
    ];
    for (text, words) in wrong {
        site.write("wrong.toml", text);
        for command in ["check", "run", "doctor", "identify", "enrol --id new --name New"] {
            let photo = if command == "identify" || command.starts_with("enrol") { "probe.jpg" } else { "" };
            site.limen(&format!("{command} --config wrong.toml {photo}"))
                .exits(3)
                .says(&["wrong.toml"])
                .says(words);
        }
    }
    site.write("wrong.toml", [0xFF, 0xFE, 0x00]);
    for command in ["check", "run"] {
        site.limen(&format!("{command} --config missing.toml")).exits(4).says(&["missing.toml"]);
        site.limen(&format!("{command} --config wrong.toml")).says(&["wrong.toml"]);
    }
    let french = site.limen("check --print-language en").exits(0).stdout.replace("too-dark", "to-dark");
    site.write("wrong.toml", "[display]\nlanguage = \"fr.toml\"");
    site.limen("check --config wrong.toml").exits(4).says(&["fr.toml: cannot be read"]);
    site.write("fr.toml", french);
    site.limen("check --config wrong.toml").exits(3).says(&["fr.toml: hints.to-dark", "--print-language en"]);
    assert!(!site.path("edges.jsonl").exists(), "nothing was started");
    assert_eq!(contents(&site), before);
}
