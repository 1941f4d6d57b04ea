//! The power goes, at any moment: what a program asked of the disk is recorded, and the gallery opened from what the disk
//! may hold at each of many moments. What was acknowledged is there, what was begun is there as a whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use limen_gallery_db::*;

use crate::crash::{Dice, ops};
use crate::disk::{DONE, Record};
use crate::myself::myself;
use crate::plain::{Op, Plain, run};

/// How often the power goes.
const CUTS: u64 = 3000;
/// How often the gallery is opened in the recorded time, and what is done each time.
const SESSIONS: u64 = 8;
const OPERATIONS: usize = 25;
/// The calls by which a program changes a file; disk.rs stops at those that it does not know.
const CALLS: &str = "trace=openat,write,pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,rename,renameat2";
const PATH: &str = "LIMEN_TEST_POWER_PATH";

fn all_ops() -> impl Iterator<Item = Op> {
    (0..SESSIONS).flat_map(|session| ops(1000 + session).take(OPERATIONS))
}

/// The child: not a test of its own, but started by the one below.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    let mut out = std::io::stdout().lock();
    let mut all = all_ops();
    for _ in 0..SESSIONS {
        let mut gallery = Gallery::open(&path).unwrap();
        for op in all.by_ref().take(OPERATIONS) {
            let _ = run(&mut gallery, &op); // the map knows which are refused
            out.write_all(DONE).unwrap();
            out.flush().unwrap();
        }
    }
}

/// What the child asked of the disk; `None` where nobody may look.
fn recorded(folder: &Path, log: &Path) -> Option<Record> {
    let strace = || {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-xx", "-y", "-s", "8388608", "-e", CALLS, "-o"]).arg(log);
        strace
    };
    if !strace().arg("true").stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
        return None;
    }
    let child = myself();
    let mut traced = strace();
    traced.arg(child.get_program()).args(child.get_args());
    traced.args(["--exact", "power::child", "--nocapture", "--test-threads=1"]);
    let done = traced.env(PATH, folder.join("gallery.db")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(Record::read(&std::fs::read_to_string(log).unwrap(), folder))
}

#[test]
fn no_power_cut_loses_what_was_acknowledged() {
    // In memory, where there is such a place: nothing here needs a disk.
    let memory = Path::new("/dev/shm");
    let room = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let folder = room.path().join("recorded");
    std::fs::create_dir(&folder).unwrap();
    let Some(record) = recorded(&folder.canonicalize().unwrap(), &room.path().join("log")) else {
        println!("SKIPPED (no strace here, or it may not look): no_power_cut_loses_what_was_acknowledged");
        return;
    };
    let mut states = vec![Plain::default()];
    for op in all_ops() {
        let mut next = states.last().unwrap().clone();
        let _ = next.run(&op);
        states.push(next);
    }
    assert_eq!(record.said(record.len()), states.len() - 1);

    let mut dice = Dice(0x50FF);
    let (mut torn, mut kept) = (0, 0);
    for cut in 0..CUTS {
        let count = dice.below(record.len() as u64 + 1) as usize;
        let acknowledged = record.said(count);
        let place = room.path().join("cut");
        std::fs::create_dir(&place).unwrap();
        for (name, contents) in record.cut(count, &mut dice) {
            torn += u64::from(name.ends_with("-wal"));
            std::fs::write(place.join(name), contents).unwrap();
        }
        let told = |e: &dyn std::fmt::Display| -> ! {
            panic!(
                "cut {cut}, after {count} of {} things, {acknowledged} acknowledged: {:.400}",
                record.len(),
                e.to_string()
            )
        };
        let options = Options { check: Check::Full, ..Options::default() };
        let gallery = Gallery::open_with(&place.join("gallery.db"), &options).unwrap_or_else(|e| told(&e));
        if let Err(without) = states[acknowledged].compare(&gallery) {
            let next = states.get(acknowledged + 1).unwrap_or_else(|| told(&without));
            next.compare(&gallery).unwrap_or_else(|with| {
                told(&format!("neither without the next:\n{without:.200}\nnor with it:\n{with:.200}"))
            });
            kept += 1;
        }
        drop(gallery);
        std::fs::remove_dir_all(&place).unwrap();
    }
    println!(
        "{CUTS} power cuts among {} things asked of the disk, {} operations: {torn} with a log beside the gallery, \
         {kept} with the operation on its way found whole; nothing acknowledged was lost",
        record.len(),
        states.len() - 1
    );
}
