//! `limen-train train` as a machine meets it: killed at any step, on a disk that fills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use limen_models::image::RgbImage;
use limen_tests::people::save_png;
use limen_tests::site::{Site, trainer};
use limen_train::metrics::{FILE_NAME, Metrics};
use limen_train::training::checkpoint;

const STEPS: u64 = 40;

/// Crops of six people, each a pattern of its own, and a configuration of a very small network.
fn site() -> Site {
    let site = Site::new();
    for person in 0..6usize {
        let home = site.path(&format!("people/p{person}"));
        std::fs::create_dir_all(&home).unwrap();
        for picture in 0..4usize {
            let mut crop = RgbImage::filled(96, 112, [0; 3]).unwrap();
            for y in 0..112 {
                for x in 0..96 {
                    let wave = ((x * (person + 1) / 8 + y * (6 - person) / 8 + picture) % 2) as u8;
                    let level = |c: usize| 40 + 30 * ((person + c) % 5) as u8 + 50 * wave + 3 * picture as u8;
                    crop.set_pixel(x, y, [level(0), level(1), level(2)]);
                }
            }
            save_png(&crop, &home.join(format!("{picture}.png")));
        }
    }
    site.write(
        "run.toml",
        format!(
            "seed = 3
[data]
paths = [\"people\"]
held_out = 0.34
workers = 2
[network]
depth = 4
width = 0.125
embedding = 16
[head]
kind = \"a-softmax\"
[schedule]
steps = {STEPS}
batch = 6
lr = 0.02
fall = {{ kind = \"steps\", at = [25], gamma = 0.1 }}
[output]
checkpoint_every = 3
keep = 99
validate_every = 0
log_every = 1
"
        ),
    );
    site
}

fn losses(run: &Path) -> Vec<(u64, u64)> {
    Metrics::read(run).unwrap().steps.iter().map(|s| (s.step, s.loss.to_bits())).collect()
}

fn last(run: &Path) -> Vec<u8> {
    std::fs::read(checkpoint::path(run, STEPS)).unwrap()
}

/// Starts the run with `args` and kills it (as `kill -9` does) once its metrics have `lines`. Was it still going?
fn killed_at(site: &Site, args: &[&str], lines: usize) -> bool {
    let mut child = Command::new(trainer())
        .args(args)
        .current_dir(site.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let metrics: PathBuf = site.path("broken").join(FILE_NAME);
    loop {
        let written = std::fs::read(&metrics).map_or(0, |b| b.iter().filter(|c| **c == b'\n').count());
        if written >= lines || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // It may have ended by itself in between.
    let _ = child.kill();
    child.wait().unwrap().signal() == Some(9)
}

#[test]
fn a_run_killed_at_any_step_goes_on_bit_by_bit() {
    let site = site();
    site.train("train run.toml --out whole").exits(0);
    let mut kills = 0;
    for (i, lines) in [1, 5, 12, 20, 33].into_iter().enumerate() {
        let args: &[&str] = match i {
            0 => &["train", "run.toml", "--out", "broken"],
            _ => &["train", "--out", "broken", "--resume"],
        };
        kills += usize::from(killed_at(&site, args, lines));
    }
    assert!(kills >= 3, "{kills} of 5 kills met a running program");
    println!("{kills} kills");
    site.train("train --out broken --resume").exits(0);
    assert_eq!(losses(&site.path("broken")), losses(&site.path("whole")), "one loss curve");
    assert!(last(&site.path("broken")) == last(&site.path("whole")), "one last checkpoint");
}

#[test]
fn a_disk_that_fills_leaves_the_checkpoints_before_it_whole() {
    let site = site();
    site.train("train run.toml --out whole").exits(0);
    let size = std::fs::metadata(checkpoint::path(&site.path("whole"), 3)).unwrap().len();
    let Some(unshare) = site.own_mounts("a_disk_that_fills_leaves_the_checkpoints_before_it_whole") else {
        return;
    };
    // Room for two checkpoints and most of a third.
    let script = format!(
        "mount -t tmpfs -o size={} tmpfs disk
         '{}' train run.toml --out disk/run >said 2>&1; code=$?
         cp -r disk/run kept; exit $code",
        size * 2 + size * 3 / 4,
        trainer().display()
    );
    site.write("script.sh", script);
    let outcome = site.shell(&format!("{unshare} sh script.sh"));
    let said = site.read("said");
    assert_eq!(outcome.code, 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let told = said.contains("step-00000009") && said.contains("are whole") && said.contains("No space left");
    assert!(told, "{said}");
    let kept = site.path("kept");
    let names = checkpoint::list(&kept).unwrap();
    assert_eq!(names, [checkpoint::path(&kept, 6), checkpoint::path(&kept, 3)], "and nothing of a third");
    assert_eq!(std::fs::read_dir(kept.join("checkpoints")).unwrap().count(), 2);
    // With room again it goes on to the same end.
    site.train("train --out kept --resume").exits(0);
    assert_eq!(losses(&kept), losses(&site.path("whole")));
    assert!(last(&kept) == last(&site.path("whole")), "one last checkpoint");
}
