//! A child process works on a gallery and is killed with SIGKILL at any moment: what it acknowledged is there, what it
//! had begun is there as a whole or not at all. (A kill leaves the system's page cache; power.rs takes that away as well.)

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use limen_gallery_db::*;

use crate::myself::myself;
use crate::plain::{Op, PERSONS, Plain, run};

const ROUNDS: u64 = 30;
const PATH: &str = "LIMEN_TEST_CRASH_PATH";
const ROUND: &str = "LIMEN_TEST_CRASH_ROUND";

/// Numbers that look random, the same for parent and child.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }
}

/// The operations of a round, without end, whatever became of those before.
pub fn ops(round: u64) -> impl Iterator<Item = Op> {
    let mut dice = Dice(round.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    std::iter::repeat_with(move || {
        let person = dice.below(PERSONS.into()) as u8;
        match dice.below(10) {
            0 => Op::Add(person),
            1..=4 => Op::Enrol {
                person,
                seeds: (0..1 + dice.below(6)).map(|_| dice.below(60_000) as u16).collect(),
                encoding: if dice.below(2) == 0 { Encoding::F32 } else { Encoding::Int8 },
                existing: if dice.below(3) == 0 { Existing::Replace } else { Existing::AddSamples },
            },
            5 => Op::Remove(person),
            6 => Op::SetStanding(
                person,
                if dice.below(2) == 0 { Standing::Active } else { Standing::Suspended },
            ),
            7 => Op::Rename(person, dice.below(256) as u8),
            _ => Op::Append {
                person: Some(person),
                kind: usize::try_from(dice.below(EventKind::ALL.len() as u64)).unwrap(),
            },
        }
    })
}

/// The child: not a test of its own, but started by the one below.
#[test]
fn child() {
    let (Some(path), Ok(round)) = (std::env::var_os(PATH), std::env::var(ROUND)) else { return };
    let mut gallery = Gallery::open(&PathBuf::from(path)).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out).unwrap(); // ends the line that the test runner began
    for op in ops(round.parse().unwrap()) {
        let _ = run(&mut gallery, &op); // the parent's map knows which are refused
        // Straight into the pipe: what is there when the kill comes was acknowledged before it.
        out.write_all(b"done\n").unwrap();
        out.flush().unwrap();
    }
}

/// Starts a child on `path`, kills it some time after its `after`-th operation; returns how many it acknowledged.
fn killed(path: &Path, round: u64, after: u64, pause: Duration) -> usize {
    let mut child = myself()
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut done = 0;
    while done < after {
        let line = lines.next().expect("the child works until it is killed");
        done += u64::from(line == "done");
    }
    std::thread::sleep(pause);
    child.kill().unwrap(); // SIGKILL
    let rest = lines.filter(|line| line == "done").count();
    assert!(!child.wait().unwrap().success(), "killed, not ended");
    done as usize + rest
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery.db");
    let mut plain = Plain::default();
    let mut dice = Dice(0xD1CE);
    let (mut acknowledged, mut begun_kept) = (0, 0);
    for round in 0..ROUNDS {
        // A commit takes some hundred microseconds to some milliseconds: the kill falls anywhere in it.
        let pause = Duration::from_micros(dice.below(4000));
        let done = killed(&path, round, dice.below(25), pause);
        let mut ops = ops(round);
        for op in ops.by_ref().take(done) {
            let _ = plain.run(&op);
        }
        acknowledged += done;
        let mut with_next = plain.clone();
        let _ = with_next.run(&ops.next().unwrap());

        let options = Options { check: Check::Full, ..Options::default() };
        let gallery = Gallery::open_with(&path, &options).unwrap();
        if let Err(without) = plain.compare(&gallery) {
            with_next.compare(&gallery).unwrap_or_else(|with| {
                panic!("round {round}, {done} acknowledged: neither without the next\n{without}\nnor with it\n{with}")
            });
            plain = with_next;
            begun_kept += 1;
        }
    }
    println!("{ROUNDS} kills, {acknowledged} operations acknowledged, {begun_kept} begun ones found whole");
    assert!(acknowledged > 100, "{acknowledged}");
}
