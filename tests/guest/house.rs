//! What stands at the guest's door: the program, its models, a gallery with two people, and what the camera can be shown.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use limen::display::Language;
use limen::display::canvas::Canvas;
use limen::display::screens::{self, Screen};
use limen::display::sheet::write_png;
use limen_models::image::RgbImage;
use limen_tests::doorstep;
use limen_tests::site::binary;

use crate::machine::{Guest, PANEL};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;
/// How long a grant opens the door here, ms; and how much sooner and later it may shut where the machine has to wait for
/// its processor: a pulse counts from the decision, and the line is set a little after that.
pub const PULSE_MS: u64 = 4000;
pub const EARLY_MS: u64 = 500;
pub const LATE_MS: u64 = 3000;
/// For so long a thread may do nothing, ms.
pub const SILENT_MS: u64 = 25_000;
/// Emulation is slow: within this time, s, something happens, or it does not.
const PATIENCE_S: u64 = 120;

const CONFIG: &str = r#"
[camera]
source = "v4l2:/dev/video0"
[models]
folder = "/share/models"
min_face = 0.3
[gallery]
file = "/tmp/gallery.db"
[decision]
lost_after_ms = 60000
[door]
relay = "gpio:door-relay"
pulse_ms = 4000
[display]
panel = "PANEL"
verdict_ms = 10000
[watchdog]
silent_ms = SILENT
"#;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The program for the guest: `LIMEN_GUEST_PROGRAM` where it is another kind of processor, else that of this machine.
fn program() -> PathBuf {
    std::env::var_os("LIMEN_GUEST_PROGRAM").map_or_else(binary, PathBuf::from)
}

/// How much longer all takes where the processor is of another kind.
fn slowness() -> u64 {
    if std::env::var_os("LIMEN_GUEST_PROGRAM").is_some() { 4 } else { 1 }
}

/// How long a script may take that waits for something to happen.
fn slow() -> Duration {
    Duration::from_secs(PATIENCE_S * slowness() + 60)
}

/// One frame as a camera gives it: YUYV, BT.601, limited range.
fn yuyv(frame: &RgbImage) -> Vec<u8> {
    let yuv = |[r, g, b]: [u8; 3]| {
        let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
        let y = 16.0 + 0.257 * r + 0.504 * g + 0.098 * b;
        [y, 128.0 - 0.148 * r - 0.291 * g + 0.439 * b, 128.0 + 0.439 * r - 0.368 * g - 0.071 * b]
    };
    let pair = |i: usize| {
        let (x, y) = (i * 2 % frame.width(), i * 2 / frame.width());
        let (a, b) = (yuv(frame.pixel(x, y)), yuv(frame.pixel(x + 1, y)));
        [a[0], (a[1] + b[1]) / 2.0, b[0], (a[2] + b[2]) / 2.0].map(|v| v.round() as u8)
    };
    (0..frame.width() * frame.height() / 2).flat_map(pair).collect()
}

/// Puts the program, the models, a gallery with Ada and Ben, and what the camera will see into the guest's share; the screen goes to `panel`.
pub fn furnish(guest: &Guest, panel: &str) {
    std::fs::copy(program(), guest.shared("limen")).unwrap();
    std::fs::create_dir(guest.shared("models")).unwrap();
    for file in std::fs::read_dir(repository().join("models/weights")).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, guest.shared("models").join(file.file_name().unwrap())).unwrap();
    }
    std::fs::write(guest.shared("hardware.sh"), include_str!("../../cross/guest/hardware.sh")).unwrap();
    let config = CONFIG.replace("PANEL", panel).replace("SILENT", &(SILENT_MS * slowness()).to_string());
    std::fs::write(guest.shared("limen.toml"), &config).unwrap();
    // Enrolled outside, where it is quick, by the same program.
    let config = config.replace("/share", guest.shared("").to_str().unwrap());
    let config = config.replace("/tmp/gallery.db", guest.shared("gallery.db").to_str().unwrap());
    std::fs::write(guest.shared("outside.toml"), config).unwrap();
    doorstep::enrol(&guest.shared("outside.toml"));
    let shown = |name: &str, frame: &RgbImage| {
        std::fs::write(guest.shared(&format!("{name}.yuv")), yuyv(frame)).unwrap();
    };
    let see = |name: &str, photo: Option<&str>| shown(name, &doorstep::room((WIDTH, HEIGHT), photo, 2));
    see("nobody", None);
    see("ada", Some("enrolled/Ada/2.jpg"));
    see("ben", Some("enrolled/Ben/3.jpg"));
    see("stranger", Some("strangers/Carl/1.jpg"));
    for (name, shift) in doorstep::POSES {
        let frame = doorstep::turned((WIDTH, HEIGHT), "enrolled/Ada/1.jpg", 2, shift);
        shown(&format!("ada-{name}"), &frame);
    }
}

/// Another configuration for this guest.
pub fn change(guest: &Guest, from: &str, to: &str) {
    let config = std::fs::read_to_string(guest.shared("limen.toml")).unwrap();
    assert!(config.contains(from));
    std::fs::write(guest.shared("limen.toml"), config.replace(from, to)).unwrap();
}

/// Shows the camera `file` and waits until `limen` says `word` once more than the `before` times it did.
#[track_caller]
pub fn until(guest: &mut Guest, file: &str, word: &str, before: usize) {
    let patience = PATIENCE_S * slowness();
    let script = format!(
        ". /share/hardware.sh; camera_feed /share/{file}.yuv && \
         PATIENCE={patience} wait_for eval '[ \"$(grep -c \"{word}\" /tmp/out)\" -gt {before} ]' || \
         {{ cat /tmp/out /tmp/err; exit 1; }}"
    );
    guest.run(&script, slow()).fine();
}

/// The door's openings so far by the clock of the guest's kernel: when, ms, and for how long, `None` while it is open.
pub fn openings(guest: &mut Guest) -> Vec<(u64, Option<u64>)> {
    let mut all: Vec<(u64, Option<u64>)> = Vec::new();
    for line in guest.sh(". /share/hardware.sh; edges").lines() {
        let (value, at) = line.split_once(' ').unwrap();
        let at: u64 = at.parse().unwrap();
        match (value, all.last_mut()) {
            ("1", None | Some((_, Some(_)))) => all.push((at, None)),
            ("0", Some((since, length @ None))) => *length = Some(at - *since),
            // Set to what it is.
            _ => (),
        }
    }
    all
}

/// Stops `limen run`; what its journal says after that.
pub fn reports(guest: &mut Guest) -> Vec<serde_json::Value> {
    let pid = "$(cat /tmp/limen.pid)";
    guest.sh(&format!(". /share/hardware.sh; kill {pid}; wait_for eval '! kill -0 {pid}' && line_is 2 0"));
    let said = guest.sh("/tmp/limen events --config /share/limen.toml --json");
    said.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Nobody stands before the camera, and whatever was to be decided by the frames on their way is decided and done.
pub fn quiet(guest: &mut Guest) {
    let script = ". /share/hardware.sh; camera_feed /share/nobody.yuv
        now= ; until [ \"$now\" = \"$(wc -l </tmp/out)\" ] && line_is 2 0; do
            now=$(wc -l </tmp/out); sleep 12
        done";
    guest.run(script, slow()).fine();
}

/// What the guest's door speaks.
pub fn english() -> Language {
    Language::open(&"en".parse().unwrap(), &Default::default()).unwrap()
}

/// Waits until the guest's display shows `screen`, to the pixel.
#[track_caller]
pub fn shows(guest: &mut Guest, screen: &Screen<'_>) {
    let mut canvas = Canvas::new(PANEL.0, PANEL.1).unwrap();
    let Ok(()) = screens::draw(screen, &english().fonts, &mut canvas);
    let wanted = canvas.into_image();
    let begun = Instant::now();
    loop {
        let shown = guest.screenshot();
        if shown == wanted {
            return;
        }
        if begun.elapsed() > slow() {
            let [shown, wanted] = [("shown", shown), ("wanted", wanted)].map(|(name, picture)| {
                let file = std::env::temp_dir().join(format!("limen-guest-{name}.png"));
                write_png(&picture, &file).unwrap();
                file
            });
            panic!("{} is shown and not {}", shown.display(), wanted.display());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Hangs camera, lines and display up, and shows nobody.
pub fn hang_up(guest: &mut Guest) {
    guest.sh(". /share/hardware.sh; set -e; lines_up contact exit door-relay tamper up down ok d0 d1 out0 out1; display_up; camera_up 640 480");
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; watch_lines");
}

/// Hangs everything up and starts `limen run`.
pub fn open(guest: &mut Guest) {
    hang_up(guest);
    start(guest);
}

/// Starts `limen run`.
pub fn start(guest: &mut Guest) {
    guest.sh(
        "cp /share/limen /share/gallery.db /tmp
         setsid sh -c '/tmp/limen run --config /share/limen.toml & echo $! >/tmp/limen.pid; wait $!; echo $? >/tmp/code' \
             >/tmp/out 2>/tmp/err &",
    );
}
