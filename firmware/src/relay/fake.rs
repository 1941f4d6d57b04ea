//! A relay without a door: records every edge with its time, in memory and, if wished, as JSON lines in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Coil, Relay, RelayError};
use crate::time::Millis;

/// One change of the coil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEdge {
    /// When, as the caller said.
    pub at_ms: Millis,
    /// The coil afterwards.
    pub coil: Coil,
    /// Whether somebody asked for it.
    pub cause: Cause,
}

/// Why the coil changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// `energise` or `release` was called.
    Commanded,
    /// The relay was dropped with current in its coil, as when a program ends; its time is that of the last command.
    Dropped,
}

/// A view of the recorded edges that outlives the relay.
#[derive(Debug, Clone, Default)]
pub struct EdgeLog(Arc<Mutex<Vec<RecordedEdge>>>);

impl EdgeLog {
    /// The edges so far, oldest first.
    pub fn edges(&self) -> Vec<RecordedEdge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, edge: RecordedEdge) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(edge);
    }
}

/// The recording relay. Only changes are recorded: a second `release` in a row is none.
pub struct FakeRelay {
    log: EdgeLog,
    file: Option<(PathBuf, File)>,
    coil: Coil,
    last: Millis,
}

impl FakeRelay {
    /// Records in memory.
    pub fn new() -> Self {
        Self { log: EdgeLog::default(), file: None, coil: Coil::Released, last: Millis::ZERO }
    }

    /// Records in memory and in `path`, which begins empty, a JSON object a line: `at_ms`, `coil` (`energised`,
    /// `released`), `cause` (`commanded`, `dropped`).
    pub fn with_file(path: &Path) -> Result<Self, RelayError> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path);
        let file = file.map_err(|e| RelayError::Io {
            relay: format!("fake:{}", path.display()),
            doing: "opening the file",
            why: e.to_string(),
        })?;
        let mut relay = Self::new();
        relay.file = Some((path.to_owned(), file));
        Ok(relay)
    }

    /// A handle on the edges, to be read while the relay is in use and after.
    pub fn log(&self) -> EdgeLog {
        self.log.clone()
    }

    fn set(&mut self, coil: Coil, at: Millis, cause: Cause) -> Result<(), RelayError> {
        self.last = at;
        if coil == self.coil {
            return Ok(());
        }
        self.coil = coil;
        let edge = RecordedEdge { at_ms: at, coil, cause };
        self.log.push(edge);
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let line = serde_json::to_string(&edge).map_err(std::io::Error::other);
        line.and_then(|l| writeln!(file, "{l}")).map_err(|e| RelayError::Io {
            relay: format!("fake:{}", path.display()),
            doing: "writing an edge",
            why: e.to_string(),
        })
    }
}

impl Default for FakeRelay {
    fn default() -> Self {
        Self::new()
    }
}

impl Relay for FakeRelay {
    fn energise(&mut self, at: Millis) -> Result<(), RelayError> {
        self.set(Coil::Energised, at, Cause::Commanded)
    }

    fn release(&mut self, at: Millis) -> Result<(), RelayError> {
        self.set(Coil::Released, at, Cause::Commanded)
    }

    fn describe(&self) -> String {
        match &self.file {
            Some((path, _)) => format!("fake (no door; edges go to {})", path.display()),
            None => "fake (no door)".into(),
        }
    }
}

impl Drop for FakeRelay {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure here; the record in memory stands.
        let _ = self.set(Coil::Released, self.last, Cause::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_recorded_with_their_times_and_repeats_are_not() {
        let mut r = FakeRelay::new();
        let log = r.log();
        r.release(Millis(1)).unwrap();
        r.energise(Millis(10)).unwrap();
        r.energise(Millis(11)).unwrap();
        r.release(Millis(40)).unwrap();
        let got: Vec<_> = log.edges().iter().map(|e| (e.at_ms.0, e.coil)).collect();
        assert_eq!(got, [(10, Coil::Energised), (40, Coil::Released)]);
        drop(r);
        assert_eq!(log.edges().len(), 2, "a relay at rest has nothing to let go of");
    }

    #[test]
    fn a_dropped_relay_lets_go_and_the_file_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edges.jsonl");
        let mut r = FakeRelay::with_file(&path).unwrap();
        let log = r.log();
        r.energise(Millis(7)).unwrap();
        drop(r);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"at_ms\":7,\"coil\":\"energised\",\"cause\":\"commanded\"}\n\
             {\"at_ms\":7,\"coil\":\"released\",\"cause\":\"dropped\"}\n"
        );
        let read: Vec<RecordedEdge> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(read, log.edges());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let e = FakeRelay::with_file(Path::new("/nonexistent/e.jsonl")).err().unwrap();
        assert!(e.to_string().contains("/nonexistent/e.jsonl"), "{e}");
    }
}
