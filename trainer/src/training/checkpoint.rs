//! A run's state in one safetensors file: weights, velocities, statistics, step; written whole or not at all.
//!
//! Order of the pictures, augmentation and chosen classes are pure functions of seed and step, so nothing else has to
//! be kept for a resumed run to go on bit by bit as if it had never stopped.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::graph::Tensor;
use crate::import::{Weights, safetensors};

/// Format of the state that this program writes and reads.
const FORMAT: u32 = 1;
/// Key of the state in the file's metadata.
const KEY: &str = "limen";

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of this state.
    pub format: u32,
    /// Solver steps done.
    pub step: u64,
    /// Name of the network.
    pub network: String,
    /// Classes of the head.
    pub classes: usize,
    /// Digest of the pictures trained on.
    pub data: String,
    /// How often lambda was backed off.
    pub back_offs: u32,
    /// Program and version.
    pub tool: String,
}

impl State {
    /// At `step`, by this program.
    pub fn new(step: u64, network: &str, classes: usize, data: &str, back_offs: u32) -> Self {
        Self {
            format: FORMAT,
            step,
            network: network.to_owned(),
            classes,
            data: data.to_owned(),
            back_offs,
            tool: format!("limen-train {}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// State and tensors.
#[derive(Debug)]
pub struct Checkpoint {
    /// What it says of itself.
    pub state: State,
    /// By name: `param/...`, `velocity/...`, `statistics/...`.
    pub tensors: Weights,
}

/// File of the step `n` inside a run's folder.
pub fn path(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:08}.safetensors"))
}

/// Checkpoints of a run, newest first.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(run: &Path) -> Result<Vec<PathBuf>> {
    let folder = run.join("checkpoints");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("{}: cannot be listed", folder.display())),
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("step-") && name.ends_with(".safetensors")
        })
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}

/// Writes a checkpoint and removes those beyond the `keep` newest. Until the new file is whole and on the disk, the old
/// ones stay; where it cannot be written, nothing of it is left.
///
/// # Errors
/// When the disk is full or cannot be written, naming the file.
pub fn save(run: &Path, state: &State, tensors: &[(String, Tensor)], keep: usize) -> Result<PathBuf> {
    let path = path(run, state.step);
    let part = path.with_extension("part");
    let folder = run.join("checkpoints");
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        write(&part, state, tensors)?;
        std::fs::rename(&part, &path)?;
        File::open(&folder)?.sync_all()
    });
    if let Err(e) = written {
        // Half a file helps nobody; an error here says nothing new.
        let _ = std::fs::remove_file(&part);
        return Err(e).with_context(|| {
            format!("{}: the checkpoint cannot be written; the ones before it are whole", path.display())
        });
    }
    for old in list(run)?.into_iter().skip(keep.max(1)) {
        std::fs::remove_file(&old).with_context(|| format!("{}: cannot be removed", old.display()))?;
    }
    Ok(path)
}

fn write(path: &Path, state: &State, tensors: &[(String, Tensor)]) -> std::io::Result<()> {
    let mut at = 0;
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ KEY: serde_json::to_string(state)? }));
    for (name, tensor) in tensors {
        let end = at + 4 * tensor.data().len();
        let entry = serde_json::json!({ "dtype": "F32", "shape": tensor.shape(), "data_offsets": [at, end] });
        header.insert(name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, tensor) in tensors {
        for value in tensor.data() {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.into_inner().map_err(|e| e.into_error())?.sync_all()
}

/// Reads a checkpoint.
///
/// # Errors
/// When it cannot be read, is cut short, or is none of this program's.
pub fn load(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let parsed = || -> Result<Checkpoint> {
        let tensors = safetensors::read(&bytes)?;
        let metadata = safetensors::metadata(&bytes)?;
        let Some(state) = metadata.get(KEY) else {
            bail!("it is no checkpoint of limen-train (named weights can be a start: start.weights)")
        };
        let state: State = serde_json::from_str(state).context("its state cannot be read")?;
        ensure!(state.format == FORMAT, "format {} is not known here ({FORMAT} is): update", state.format);
        Ok(Checkpoint { state, tensors })
    };
    parsed().with_context(|| path.display().to_string())
}

/// The newest checkpoint of a run that is whole; those that are not are named on stderr. `None` where there is none.
///
/// # Errors
/// When there are checkpoints but none is whole.
pub fn newest(run: &Path) -> Result<Option<Checkpoint>> {
    let all = list(run)?;
    for path in &all {
        match load(path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(e) => eprintln!("limen-train: passed over: {e:#}"),
        }
    }
    ensure!(all.is_empty(), "{}: none of its {} checkpoints is whole", run.display(), all.len());
    Ok(None)
}

impl Checkpoint {
    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// Naming the tensor, and that the checkpoint is of another network.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensors.take(name).map_err(|_| {
            anyhow::anyhow!("the checkpoint is of another network ({}): it has no {name}", self.state.network)
        })?;
        ensure!(
            tensor.shape() == shape,
            "the checkpoint is of another network ({}): {name} is {:?} there and {shape:?} here",
            self.state.network,
            tensor.shape()
        );
        Ok(tensor.into_data())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<(String, Tensor)> {
        vec![
            ("param/a".into(), Tensor::new([2, 2], vec![1.0, -0.0, f32::MIN_POSITIVE, 3.5]).unwrap()),
            ("velocity/a".into(), Tensor::new([1], vec![0.25]).unwrap()),
        ]
    }

    fn state(step: u64) -> State {
        State::new(step, "net", 10, "digest", 0)
    }

    #[test]
    fn what_is_written_is_read_bit_by_bit() {
        let run = tempfile::tempdir().unwrap();
        let path = save(run.path(), &state(7), &tensors(), 2).unwrap();
        let mut c = load(&path).unwrap();
        assert_eq!(c.state, state(7));
        let back = c.take("param/a", &[2, 2]).unwrap();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(tensors()[0].1.data()));
        let e = c.take("velocity/a", &[2]).unwrap_err().to_string();
        assert!(e.contains("another network (net)") && e.contains("velocity/a"), "{e}");
        assert!(c.take("param/b", &[1]).unwrap_err().to_string().contains("param/b"));
    }

    #[test]
    fn the_newest_stay_and_a_torn_one_is_passed_over() {
        let run = tempfile::tempdir().unwrap();
        assert!(newest(run.path()).unwrap().is_none());
        for step in [5, 10, 15] {
            save(run.path(), &state(step), &tensors(), 2).unwrap();
        }
        let steps: Vec<PathBuf> = list(run.path()).unwrap();
        assert_eq!(steps, [path(run.path(), 15), path(run.path(), 10)]);
        let bytes = std::fs::read(&steps[0]).unwrap();
        std::fs::write(&steps[0], &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(newest(run.path()).unwrap().unwrap().state.step, 10);
        std::fs::write(&steps[1], b"").unwrap();
        assert!(newest(run.path()).unwrap_err().to_string().contains("none of its 2 checkpoints"));
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_the_old_ones() {
        let run = tempfile::tempdir().unwrap();
        let old = save(run.path(), &state(1), &tensors(), 1).unwrap();
        // A folder stands where the part would be written.
        std::fs::create_dir(path(run.path(), 2).with_extension("part")).unwrap();
        let e = save(run.path(), &state(2), &tensors(), 1).unwrap_err();
        assert!(format!("{e:#}").contains("step-00000002"), "{e:#}");
        assert!(load(&old).is_ok());
    }

    #[test]
    fn foreign_files_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.safetensors");
        std::fs::write(&file, [2u64.to_le_bytes().as_slice(), b"{}"].concat()).unwrap();
        let e = format!("{:#}", load(&file).unwrap_err());
        assert!(e.contains("x.safetensors") && e.contains("no checkpoint"), "{e}");
    }
}
