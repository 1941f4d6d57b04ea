//! The door for a long time: a clip over and over in real time, its file taken away and put back again and again. One
//! minute, or as many as `LIMEN_SOAK_MINUTES` says (`./x soak 90`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use limen::camera::FrameRate;
use limen::camera::clip::ClipWriter;
use limen_tests::doorstep;
use limen_tests::site::{binary, json_lines};

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
/// Who comes by in the clip, each followed by nobody.
const PASSING: [&str; 3] = ["enrolled/Ada/2.jpg", "strangers/Carl/1.jpg", "enrolled/Ben/3.jpg"];
/// How long somebody, and after them nobody, is there: frames at 30 a second.
const THERE: usize = 45;
const AWAY: usize = 36;
/// So many times in a row the camera is lost, and then for so long not.
const STORM: usize = 10;
const CALM: Duration = Duration::from_secs(180);
/// Within so long the clip comes to its end, is lost or is back, on a machine that has other things to do as well.
const SLOW: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[camera]
source = "replay:clip.y4m"
repeat = true
[models]
folder = "MODELS"
[gallery]
file = "gallery.db"
[decision]
cool_down_ms = 2000
[door]
relay = "fake"
[metrics]
listen = "unix:m.sock"
"#;

/// The figures of a running door.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn of(folder: &Path) -> Option<Self> {
        let mut stream = UnixStream::connect(folder.join("m.sock")).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Some(Self(text.lines().filter_map(figure).collect()))
    }

    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    fn frames(&self) -> f64 {
        self.get("limen_frame_seconds_count")
    }

    /// Upper bounds in ms, and how many frames took no longer.
    fn buckets(&self) -> Vec<(f64, f64)> {
        let bound = |name: &str| {
            name.strip_prefix("limen_frame_seconds_bucket{le=\"")?.strip_suffix("\"}")?.parse().ok()
        };
        let mut all: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter_map(|(name, n)| Some((bound(name)?, *n)))
            .map(|(s, n): (f64, f64)| (s * 1000.0, n))
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    /// So long, in ms, took 99 of 100 frames since `before` at most.
    fn p99_since(&self, before: &Self) -> f64 {
        let earlier = before.buckets();
        let since: Vec<(f64, f64)> = self
            .buckets()
            .into_iter()
            .enumerate()
            .map(|(i, (bound, n))| (bound, n - earlier.get(i).map_or(0.0, |e| e.1)))
            .collect();
        let all = self.frames() - before.frames();
        since.iter().find(|(_, n)| *n >= 0.99 * all).map_or(f64::INFINITY, |(bound, _)| *bound)
    }
}

/// A door that runs, and is gone when this is.
struct Door {
    folder: PathBuf,
    limen: Child,
}

impl Door {
    fn figures(&mut self) -> Figures {
        self.wait_for("an answer to its figures", |_| true)
    }

    /// The figures as soon as `good` says so.
    fn wait_for(&mut self, what: &str, good: impl Fn(&Figures) -> bool) -> Figures {
        let begun = Instant::now();
        loop {
            if let Some(figures) = Figures::of(&self.folder).filter(|f| good(f)) {
                return figures;
            }
            let ended = self.limen.try_wait().unwrap();
            let said = || std::fs::read_to_string(self.folder.join("err")).unwrap_or_default();
            assert!(ended.is_none(), "the door ended ({ended:?}): {}", said());
            assert!(begun.elapsed() < SLOW, "no {what} for {SLOW:?}: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Ended already, where all went well.
        let _ = self.limen.kill();
        let _ = self.limen.wait();
    }
}

/// A door in `folder` with Ada and Ben enrolled, and the clip before its camera.
fn furnish(folder: &Path) -> Door {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights").canonicalize().unwrap();
    std::fs::write(folder.join("limen.toml"), CONFIG.replace("MODELS", models.to_str().unwrap())).unwrap();
    doorstep::enrol(&folder.join("limen.toml"));
    let mut clip =
        ClipWriter::create(&folder.join("clip.y4m"), WIDTH, HEIGHT, FrameRate::per_second(30)).unwrap();
    for file in PASSING {
        for (who, times) in [(Some(file), THERE), (None, AWAY)] {
            let frame = doorstep::room((WIDTH, HEIGHT), who, 1);
            for _ in 0..times {
                clip.write(&frame).unwrap();
            }
        }
    }
    clip.finish().unwrap();
    let file = |name| std::fs::File::create(folder.join(name)).unwrap();
    let limen = Command::new(binary())
        .current_dir(folder)
        .args(["run", "--json", "--config", "limen.toml"])
        .stdout(file("out"))
        .stderr(file("err"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    Door { folder: folder.to_owned(), limen }
}

#[test]
fn a_door_runs_on_through_lost_cameras_and_grows_by_nothing() {
    let minutes: f64 =
        std::env::var("LIMEN_SOAK_MINUTES").map_or(1.0, |m| m.parse().expect("a number of minutes"));
    let length = Duration::from_secs_f64(minutes * 60.0);
    let folder = tempfile::tempdir().unwrap();
    let mut door = furnish(folder.path());
    let (clip, gone) = (folder.path().join("clip.y4m"), folder.path().join("gone.y4m"));

    let first = door.wait_for("frame", |f| f.frames() > 0.0);
    let begun = Instant::now();
    // The first and the last tenth, ten minutes at most, are compared with each other.
    let part = (length / 9).min(Duration::from_secs(600));
    let (mut early, mut late_begin) = (None, None);
    let mut memory: Vec<(Duration, f64)> = Vec::new();
    let mut back_after_ms: Vec<u128> = Vec::new();
    while begun.elapsed() < length {
        // Some rounds of the clip in peace, then it is gone at its end, for a moment or for some seconds.
        let losses = back_after_ms.len();
        let peace = Duration::from_millis(3000 + 2700 * (losses as u64 % 5));
        let calm = losses > 0 && losses.is_multiple_of(STORM);
        let until = (begun.elapsed() + if calm { CALM } else { peace }).min(length);
        while begun.elapsed() < until {
            let figures = door.figures();
            memory.push((begun.elapsed(), figures.get("process_resident_memory_bytes")));
            if early.is_none() && begun.elapsed() >= part {
                early = Some(door.figures());
            }
            if late_begin.is_none() && begun.elapsed() + part >= length {
                late_begin = Some(door.figures());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        std::fs::rename(&clip, &gone).unwrap();
        let lost = door.wait_for("lost camera", |f| f.get("limen_camera_up") == 0.0).frames();
        std::thread::sleep(Duration::from_millis(100 + 700 * (losses as u64 % 4)));
        std::fs::rename(&gone, &clip).unwrap();
        let back = Instant::now();
        door.wait_for("frame after a lost camera", |f| f.frames() > lost);
        back_after_ms.push(back.elapsed().as_millis());
    }
    let last = door.figures();
    let stop = Instant::now();
    assert!(Command::new("kill").arg(door.limen.id().to_string()).status().unwrap().success());
    let status = door.limen.wait().unwrap();
    let stopped_ms = stop.elapsed().as_millis();
    let said = std::fs::read_to_string(folder.path().join("err")).unwrap();
    assert!(status.success(), "{status}: {said}");

    let losses = back_after_ms.len();
    back_after_ms.sort_unstable();
    let frames = last.frames();
    let (early, late_begin) = (early.unwrap(), late_begin.unwrap());
    let (p99, p99_late) = (early.p99_since(&first), last.p99_since(&late_begin));
    // Tables and buffers have their size by then.
    let settled = (length / 2).min(Duration::from_secs(600));
    let minute = |from: Duration| {
        let in_it: Vec<f64> = memory
            .iter()
            .filter(|(at, _)| *at >= from && *at < from + Duration::from_secs(60))
            .map(|(_, bytes)| *bytes)
            .collect();
        in_it.iter().sum::<f64>() / in_it.len() as f64
    };
    let (then, now) = (minute(settled), minute(length.saturating_sub(Duration::from_secs(60))));
    let events = json_lines(&std::fs::read_to_string(folder.path().join("out")).unwrap());
    let count = |kind: &str, id: Option<&str>| {
        events.iter().filter(|e| e["kind"] == kind && e["external_id"].as_str() == id).count()
    };
    let (ada, ben, carl) =
        (count("granted", Some("Ada")), count("granted", Some("Ben")), count("denied", None));
    println!(
        "{minutes} minutes: {frames} frames; Ada let in {ada} times, Ben {ben}, a stranger denied {carl} times; \
         {losses} times the camera was lost, frames again after {} ms (p95 {} ms) once it was there; stopped in {stopped_ms} ms",
        back_after_ms[losses / 2],
        back_after_ms[losses * 95 / 100],
    );
    println!(
        "a frame took at most {p99:.1} ms in 99 of 100 at the beginning, {p99_late:.1} ms at the end; memory {:.1} MiB \
         after {:.1} minutes, {:.1} MiB at the end ({:+.2} %); {} files open at the beginning, {} at the end",
        then / 1048576.0,
        settled.as_secs_f64() / 60.0,
        now / 1048576.0,
        (now / then - 1.0) * 100.0,
        first.get("process_open_fds"),
        last.get("process_open_fds"),
    );
    let alike = |a: usize, b: usize| a.abs_diff(b) <= 1;
    assert!(ada > 0 && alike(ada, ben) && alike(ada, carl), "{ada} {ben} {carl}: {said}");
    assert_eq!((count("camera-lost", None), count("camera-back", None)), (losses, losses), "{said}");
    assert_eq!(first.get("process_open_fds"), last.get("process_open_fds"), "files were left open");
    if minutes >= 10.0 {
        assert!(now <= then * 1.02, "memory grew from {then} to {now} bytes");
    }
    let verify = Command::new(binary())
        .current_dir(folder.path())
        .args(["events", "verify", "--config", "limen.toml"])
        .output()
        .unwrap();
    let verified = String::from_utf8_lossy(&verify.stdout).into_owned();
    assert!(verify.status.success(), "{verified}");
    // Two more than the door told of: Ada and Ben were enrolled.
    assert!(verified.starts_with(&format!("{} events", events.len() + 2)), "{verified}");
}
