//! Features on disk: detection and embedding of a set are done once, every figure after that takes seconds.
//!
//! `NAME.npy` holds `[faces, 2, length]` f32: for each face the network's output and that of its mirror image, neither
//! normalised. `NAME.jsonl` beside it has a header line and then one line a picture, in order: path, identity, row in
//! the array, box and landmarks, or why there is no face.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limen_models::geometry::Detection;
use limen_models::manifest::Mirror;
use serde::{Deserialize, Serialize};

use crate::evaluate::comparisons::Labelled;
use crate::evaluate::extract::{Feature, Outcome};
use crate::evaluate::lfw::Fusion;
use crate::file::write_atomically;
use crate::import::numpy::{read_npy, write_npy};

/// The format this program writes; it reads this one alone.
const FORMAT: u32 = 1;

/// The index file's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Id of the way from picture to feature.
    pub model: String,
    /// The model's mirror rule.
    pub mirror: Mirror,
    /// Numbers that the network gives for one face.
    pub length: usize,
    /// The folder that the paths are relative to.
    pub root: PathBuf,
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the header's root.
    pub path: PathBuf,
    /// Who it shows.
    pub identity: String,
    /// Row in the array; none where there is no face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// Box, landmarks and confidence; none for a picture that was aligned already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<Detection>,
    /// Why there is no face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The features of a set of pictures.
pub struct Store {
    /// What they come from.
    pub header: Header,
    /// The pictures.
    pub entries: Vec<Entry>,
    /// `[faces, 2, length]`.
    values: Vec<f32>,
}

impl Store {
    /// From the outcomes of `pictures` (path under the header's root, identity), in order.
    ///
    /// # Errors
    /// When a feature has another length than the header says.
    pub fn new(header: Header, pictures: Vec<(PathBuf, String)>, outcomes: Vec<Outcome>) -> Result<Self> {
        let mut store = Self { header, entries: Vec::with_capacity(pictures.len()), values: Vec::new() };
        let mut rows = 0;
        for ((path, identity), outcome) in pictures.into_iter().zip(outcomes) {
            let entry = match outcome {
                Outcome::Found { feature, face } => {
                    let length = store.header.length;
                    ensure!(
                        feature.plain.len() == length && feature.mirrored.len() == length,
                        "{}: a feature of {} numbers where the others have {length}",
                        path.display(),
                        feature.plain.len()
                    );
                    store.values.extend(feature.plain.iter().chain(&feature.mirrored));
                    rows += 1;
                    Entry { path, identity, row: Some(rows - 1), face, error: None }
                }
                Outcome::Failed(why) => Entry { path, identity, row: None, face: None, error: Some(why) },
            };
            store.entries.push(entry);
        }
        Ok(store)
    }

    /// Writes `array` (NAME.npy) and the index beside it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, array: &Path) -> Result<()> {
        let mut index = serde_json::to_string(&self.header)?;
        index.push('\n');
        for entry in &self.entries {
            index.push_str(&serde_json::to_string(entry)?);
            index.push('\n');
        }
        let faces = self.values.len() / (2 * self.header.length).max(1);
        write_atomically(array, &write_npy(&[faces, 2, self.header.length], &self.values))?;
        write_atomically(&index_path(array), index.as_bytes())
    }

    /// Reads `array` and the index beside it.
    ///
    /// # Errors
    /// When one of them is missing or damaged, or they do not belong together.
    pub fn load(array: &Path) -> Result<Self> {
        let index = index_path(array);
        let text = std::fs::read_to_string(&index).with_context(|| {
            format!("{}: cannot be read; `limen-train extract` writes it beside the .npy", index.display())
        })?;
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().with_context(|| format!("{}: is empty", index.display()))?;
        let header: Header = serde_json::from_str(first)
            .with_context(|| format!("{} line 1: is no header of `limen-train extract`", index.display()))?;
        ensure!(
            header.format == FORMAT,
            "{}: format {} is not known here (this program reads {FORMAT}): extract again",
            index.display(),
            header.format
        );
        let mut entries = Vec::new();
        for (i, line) in lines {
            let entry: Entry =
                serde_json::from_str(line).with_context(|| format!("{} line {}", index.display(), i + 1))?;
            entries.push(entry);
        }
        let bytes = std::fs::read(array).with_context(|| format!("{}: cannot be read", array.display()))?;
        let tensor = read_npy(&bytes).with_context(|| format!("{}", array.display()))?;
        let faces = entries.iter().filter(|e| e.row.is_some()).count();
        ensure!(
            tensor.shape() == [faces, 2, header.length]
                && entries.iter().filter_map(|e| e.row).all(|row| row < faces),
            "{}: its shape {:?} does not belong to the index beside it ({faces} faces of {} numbers): extract again",
            array.display(),
            tensor.shape(),
            header.length
        );
        Ok(Self { header, entries, values: tensor.into_data() })
    }

    /// The feature of picture `i`; none where it has no face.
    pub fn feature(&self, i: usize) -> Option<Feature> {
        let (row, n) = (self.entries.get(i)?.row?, self.header.length);
        let values = self.values.get(row * 2 * n..(row + 1) * 2 * n)?;
        let (plain, mirrored) = values.split_at(n);
        Some(Feature { plain: plain.to_vec(), mirrored: mirrored.to_vec() })
    }

    /// The vector of picture `i`.
    pub fn vector(&self, i: usize, fusion: Fusion) -> Option<Vec<f32>> {
        self.feature(i).map(|f| fusion.apply(&f))
    }

    /// How the model itself fuses face and mirror image.
    pub fn fusion(&self) -> Fusion {
        self.header.mirror.into()
    }

    /// Pictures without a usable face.
    pub fn failures(&self) -> usize {
        self.entries.iter().filter(|e| e.row.is_none()).count()
    }

    /// All pictures with their people numbered in the order of their names, and those names.
    pub fn labelled(&self, fusion: Fusion) -> (Vec<Labelled>, Vec<String>) {
        let mut names: Vec<String> = self.entries.iter().map(|e| e.identity.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &String| names.binary_search(name).unwrap_or_default() as u32;
        let faces = self
            .entries
            .iter()
            .enumerate()
            .map(|(i, e)| Labelled { subject: number(&e.identity), vector: self.vector(i, fusion) })
            .collect();
        (faces, names)
    }
}

/// A header of this format.
pub fn header(model: String, mirror: Mirror, length: usize, root: PathBuf) -> Header {
    Header { format: FORMAT, model, mirror, length, root }
}

fn index_path(array: &Path) -> PathBuf {
    array.with_extension("jsonl")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A store of (path, identity, plain, mirrored); empty vectors stand for no face.
    pub(in crate::evaluate) fn store(model: &str, rows: &[(&str, &str, &[f32], &[f32])]) -> Store {
        let length = rows.iter().map(|r| r.2.len()).max().unwrap();
        let outcome = |r: &(&str, &str, &[f32], &[f32])| match r.2.is_empty() {
            true => Outcome::Failed("no face found".into()),
            false => Outcome::Found {
                feature: Feature { plain: r.2.to_vec(), mirrored: r.3.to_vec() },
                face: None,
            },
        };
        let pictures = rows.iter().map(|r| (r.0.into(), r.1.to_owned())).collect();
        let header = header(model.into(), Mirror::Concat, length, "/pictures".into());
        Store::new(header, pictures, rows.iter().map(outcome).collect()).unwrap()
    }

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let array = folder.path().join("lfw.npy");
        let s = store(
            "m",
            &[
                ("b/1.jpg", "b", &[1.0, 2.0], &[3.0, 4.0]),
                ("a/1.jpg", "a", &[], &[]),
                ("b/2.jpg", "b", &[5.0, 6.0], &[7.0, 8.0]),
            ],
        );
        s.save(&array).unwrap();
        let back = Store::load(&array).unwrap();
        assert_eq!((&back.header, &back.entries), (&s.header, &s.entries));
        assert_eq!(back.vector(2, Fusion::Concat).unwrap(), [5.0, 6.0, 7.0, 8.0]);
        assert!(back.feature(1).is_none() && back.failures() == 1);
        let (faces, names) = back.labelled(back.fusion());
        assert_eq!(names, ["a", "b"]);
        assert_eq!(faces.iter().map(|f| f.subject).collect::<Vec<_>>(), [1, 0, 1]);
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let array = folder.path().join("lfw.npy");
        let s = store("m", &[("a/1.jpg", "a", &[1.0, 2.0], &[3.0, 4.0])]);
        s.save(&array).unwrap();
        std::fs::write(&array, write_npy(&[2, 2, 2], &[0.0; 8])).unwrap();
        assert!(Store::load(&array).err().unwrap().to_string().contains("does not belong"));
        std::fs::write(array.with_extension("jsonl"), "{}\n").unwrap();
        assert!(Store::load(&array).err().unwrap().to_string().contains("line 1"));
        std::fs::remove_file(array.with_extension("jsonl")).unwrap();
        assert!(Store::load(&array).err().unwrap().to_string().contains("extract"));
    }
}
