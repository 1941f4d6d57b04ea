//! What a run writes down beside its weights: metrics line by line, and where it comes from.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::config::Config;
use crate::metrics::{FILE_NAME, Record};
use crate::training::Pictures;

/// Name of the file that says where a run comes from.
pub const ORIGIN: &str = "origin.json";

/// Appends to a run's metrics.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
}

impl Recorder {
    /// Opens the run's file; a last line that was torn when the run was killed is taken away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(run: &Path) -> Result<Self> {
        let path = run.join(FILE_NAME);
        let open = || -> std::io::Result<File> {
            let mut file =
                OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(Self { file, path })
    }

    /// One line, at once.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

/// Writes `origin.json`: program, revision, seed, pictures, machine.
///
/// # Errors
/// When it cannot be written.
pub fn write_origin(run: &Path, config: &Config, pictures: &Pictures) -> Result<()> {
    let train = pictures.train.index();
    let origin = json!({
        "tool": format!("limen-train {}", env!("CARGO_PKG_VERSION")),
        "revision": env!("LIMEN_REVISION"),
        "seed": config.seed,
        "pictures": train.samples().len(),
        "identities": train.identities().len(),
        "data_digest": train.digest(),
        "held_out_identities": pictures.held_out.as_ref().map(|s| s.index().identities().len()),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "target": std::env::consts::ARCH,
    });
    let path = run.join(ORIGIN);
    std::fs::write(&path, format!("{origin:#}\n"))
        .with_context(|| format!("{}: cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, Validation};

    #[test]
    fn a_torn_line_is_taken_away_before_more_is_written() {
        let run = tempfile::tempdir().unwrap();
        let record = |step| Record::Validation(Validation { step, figure: "f".into(), value: 0.5 });
        Recorder::open(run.path()).unwrap().write(&record(1)).unwrap();
        let path = run.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"kind\":\"ste");
        std::fs::write(&path, bytes).unwrap();
        Recorder::open(run.path()).unwrap().write(&record(2)).unwrap();
        let m = Metrics::read(run.path()).unwrap();
        assert_eq!(m.validations.iter().map(|v| v.step).collect::<Vec<_>>(), [1, 2]);
    }
}
