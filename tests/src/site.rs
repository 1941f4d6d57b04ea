//! One installation in a temporary folder: models, gallery, configuration, and the built `limen` to run there.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use limen_models::image::RgbImage;
use tempfile::TempDir;

use crate::model_folder;
use crate::nets::nets;
use crate::people::save_jpeg;

/// A folder with `models/`, `limen.toml` (gallery in `gallery.db`, a relay without a door) and what a test adds.
/// Commands run inside it, so their file names are short.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// What it printed for programs.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
}

impl Site {
    /// Drawn networks, the default configuration but for the places of things, nobody enrolled.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let site = Self { folder };
        std::fs::create_dir(site.path("models")).expect("a folder for the networks");
        model_folder::write(&site.path("models"), nets());
        site.write("limen.toml", CONFIG);
        site
    }

    /// The path of `name` in the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the file is written");
    }

    /// Writes a photograph as JPEG.
    pub fn photo(&self, name: &str, image: &RgbImage) {
        save_jpeg(image, &self.path(name));
    }

    /// Reads a text file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs `limen` with `args`, parted at spaces.
    pub fn limen(&self, args: &str) -> Outcome {
        self.finish(Command::new(binary()).args(args.split_whitespace()), args)
    }

    /// Runs `limen-train` with `args`, parted at spaces.
    pub fn train(&self, args: &str) -> Outcome {
        self.finish(Command::new(trainer()).args(args.split_whitespace()), args)
    }

    /// Runs `limen` as a user who owns nothing (root may write everywhere, whatever the rights say).
    pub fn limen_as_nobody(&self, args: &str) -> Outcome {
        const NOBODY: u32 = 65_534;
        // The build folder may be closed to others.
        let copy = self.path("limen");
        // By another process: what another thread starts just now would inherit the file that is written here, and a
        // program that is open for writing cannot be run.
        let copied = Command::new("cp").arg(binary()).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()), "the program is copied");
        self.finish(Command::new(copy).args(args.split_whitespace()).uid(NOBODY).gid(NOBODY), args)
    }

    /// Runs `script` in a shell whose `$LIMEN` is the program.
    pub fn shell(&self, script: &str) -> Outcome {
        self.finish(Command::new("sh").args(["-c", script]).env("LIMEN", binary()), script)
    }

    /// The words that run a script where it may mount a tmpfs of its own, after the folder `disk` is made to mount it on;
    /// `None`, which is said as skipping `test`, where this machine lets nobody mount.
    pub fn own_mounts(&self, test: &str) -> Option<String> {
        std::fs::create_dir(self.path("disk")).expect("a folder to mount on");
        let root = self.path(".").metadata().expect("the site is there").uid() == 0;
        let unshare = if root { "unshare -m" } else { "unshare -mr" };
        let probe = self.shell(&format!("{unshare} mount -t tmpfs -o size=1m tmpfs disk"));
        if probe.code != 0 {
            println!("SKIPPED (cannot mount tmpfs): {test}");
            return None;
        }
        Some(unshare.to_owned())
    }

    fn finish(&self, command: &mut Command, shown: &str) -> Outcome {
        let output = command
            .current_dir(self.folder.path())
            .output()
            .unwrap_or_else(|e| panic!("{shown}: cannot be started: {e}"));
        let outcome = Outcome::from(output);
        for text in ["panicked at", "RUST_BACKTRACE", "called `"] {
            assert!(!outcome.stderr.contains(text), "{shown}: a panic reached the user:\n{}", outcome.stderr);
        }
        outcome
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// The default configuration with places inside the site.
pub const CONFIG: &str = "\
[camera]
source = \"replay:photos\"
[models]
folder = \"models\"
[gallery]
file = \"gallery.db\"
[door]
relay = \"fake:edges.jsonl\"
";

impl From<Output> for Outcome {
    fn from(o: Output) -> Self {
        let text = |b: Vec<u8>| String::from_utf8(b).expect("limen prints UTF-8");
        Self { code: o.status.code().unwrap_or(-1), stdout: text(o.stdout), stderr: text(o.stderr) }
    }
}

impl Outcome {
    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code; it printed\n{}\nand said\n{}", self.stdout, self.stderr);
        self
    }

    /// Demands that people are told all of `words`.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in\n{}", self.stderr);
        }
        self
    }

    /// Demands that all of `words` are printed.
    #[track_caller]
    pub fn prints(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stdout.contains(word), "no {word:?} in\n{}", self.stdout);
        }
        self
    }

    /// The JSON objects of standard output, one a line.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        json_lines(&self.stdout)
    }
}

/// JSON objects, one a line.
#[track_caller]
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// The `limen` built with this very test program: `target/<profile>/limen`, two folders up.
pub fn binary() -> PathBuf {
    program("limen", &["firmware/src", "firmware/limen.toml", "gallery-db/src", "models/src"])
}

/// The `limen-train` built with this very test program.
pub fn trainer() -> PathBuf {
    program("limen-train", &["trainer/src", "gallery-db/src", "models/src"])
}

/// A program beside this one, not older than its `parts`.
fn program(name: &str, parts: &[&str]) -> PathBuf {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified());
    let me = std::env::current_exe().expect("a test has a file");
    let folder = me.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let program = folder.join(name);
    let how = "build it first: `cargo build --release --workspace` (`./x test` does)";
    let (Ok(built), Ok(mine)) = (time(&program), time(&me)) else {
        panic!("{} is not there; {how}", program.display())
    };
    // `cargo test --test NAME` builds this program anew and not that of another package; a stale one proves nothing.
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for part in parts {
        if let Some(file) = changed_between(&root.join(part), built, mine) {
            panic!("{} is older than {}; {how}", program.display(), file.display());
        }
    }
    program
}

/// A file that was changed after `from`, up to `to`. Files of tests alone are no part of the program.
fn changed_between(path: &Path, from: SystemTime, to: SystemTime) -> Option<PathBuf> {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return None;
    }
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).ok()?.filter_map(Result::ok);
        return entries.find_map(|e| changed_between(&e.path(), from, to));
    }
    let time = path.metadata().and_then(|m| m.modified()).ok()?;
    (time > from && time <= to).then(|| path.to_owned())
}
