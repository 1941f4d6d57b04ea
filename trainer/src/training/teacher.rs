//! The embeddings of another embedder, made once for every picture and kept beside the run.
//!
//! The teacher sees the crop as its own manifest entry wants it; picture and mirror image are summed, as in the
//! protocol that it is best at. The student learns to point where the teacher points.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use limen_gallery_db::score::unit;
use limen_models::align::Aligner;
use limen_models::image::RgbImage;
use limen_models::manifest::{Manifest, ModelEntry, sha256_hex};
use limen_models::resample::planes;
use limen_models::session::Session;
use sha2::{Digest, Sha256};

use crate::config::Teacher;
use crate::dataset::parallel::{self, Progress};
use crate::dataset::set::Set;

/// First bytes of a cache: format and version.
const MAGIC: &[u8; 8] = b"LMTEACH2";

/// One unit embedding a picture.
#[derive(Debug)]
pub struct Lessons {
    /// Numbers of an embedding.
    pub length: usize,
    values: Vec<f32>,
}

impl Lessons {
    /// The embeddings for `set`: those that the cache has, the others computed on `workers` threads and kept there one
    /// by one. A picture is known by its pixels, so a set that grows or shrinks and a run that was killed lose nothing.
    ///
    /// # Errors
    /// When the teacher cannot be loaded or run, a picture cannot be read, the cache is another teacher's or cannot be
    /// written.
    pub fn prepare(config: &Teacher, set: &Set, run: &Path, workers: usize) -> Result<Self> {
        let manifest = Manifest::load(&config.models)?;
        let entry = manifest.model(&config.id).context("teacher.id")?;
        let spec = entry.embedding.with_context(|| format!("teacher {:?} is no embedder", config.id))?;
        let samples = set.index().samples();
        let progress = Progress::new(samples.len() as u64, "pictures looked at");
        let keys = parallel::map(samples.len(), workers, &progress, |i| {
            Ok(key(&set.crop(&samples[i], &mut Vec::new())?))
        })?;
        let path = config.cache.clone().unwrap_or_else(|| run.join("teacher.bin"));
        // Debug of plain numbers and words: any change of what the teacher sees changes it.
        let sees = format!("{}{:?}{:?}{:?}", entry.sha256, entry.input, entry.alignment, set.crops());
        let mut cache = Cache::open(path, &sha256_hex(sees.as_bytes()), spec.length)?;
        let missing: Vec<usize> = (0..keys.len()).filter(|i| !cache.known.contains_key(&keys[*i])).collect();
        if !missing.is_empty() {
            ask(&manifest, entry, set, &keys, &missing, &mut cache, workers)?;
        }
        let values = keys.iter().flat_map(|key| &cache.known[key]).copied().collect();
        Ok(Self { length: spec.length, values })
    }

    /// The mean direction of each person of `set`, which the lessons are for: [people, length].
    pub fn of_people(&self, set: &Set) -> Vec<f32> {
        let mut means = Vec::with_capacity(set.index().identities().len() * self.length);
        for places in set.index().ranges() {
            let mut mean = vec![0.0; self.length];
            let places: Vec<u32> = places.collect();
            for lesson in self.of(&places).chunks_exact(self.length) {
                mean.iter_mut().zip(lesson).for_each(|(sum, v)| *sum += v);
            }
            // Lessons that cancel each other out have no direction: such a row stays 0.
            let _ = unit(&mut mean);
            means.append(&mut mean);
        }
        means
    }

    /// Embeddings of the pictures at these places, one after the other: [n, length].
    pub fn of(&self, samples: &[u32]) -> Vec<f32> {
        let one = |place: &u32| {
            let at = *place as usize * self.length;
            self.values.get(at..at + self.length).unwrap_or_default().iter().copied()
        };
        samples.iter().flat_map(one).collect()
    }
}

/// A picture's name in the cache: the first half of its pixels' SHA-256.
fn key(picture: &RgbImage) -> Key {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(picture.data())[..16]);
    half
}

type Key = [u8; 16];

/// Asks the teacher about the `missing` pictures; the cache has them after it.
fn ask(
    manifest: &Manifest,
    entry: &ModelEntry,
    set: &Set,
    keys: &[Key],
    missing: &[usize],
    cache: &mut Cache,
    workers: usize,
) -> Result<()> {
    let net = Session::load(manifest, entry, &["embedding"])?;
    let aligner = Aligner::for_embedder(entry)
        .with_context(|| format!("teacher {:?} has no alignment template", entry.id))?;
    let landmarks = set.crops().landmarks();
    let progress = Progress::new(missing.len() as u64, "lessons");
    let (w, h, length) = (entry.input.width, entry.input.height, cache.length);
    let cache = Mutex::new(cache);
    parallel::map(missing.len(), workers, &progress, |k| {
        let (key, sample) = (&keys[missing[k]], &set.index().samples()[missing[k]]);
        let named = || format!("teacher {:?} on {}", entry.id, set.index().place(sample));
        let crop = set.crop(sample, &mut Vec::new())?;
        let face = aligner.align(crop.view(), &landmarks)?;
        let (mut sum, mut input) = (vec![0.0; length], vec![0.0; 3 * w * h]);
        for mirrored in [false, true] {
            planes(face.crop.view(), mirrored, &entry.input, &mut input);
            let mut out = net.run([1, 3, h, w], &input)?.swap_remove(0).data;
            ensure!(
                out.len() == length,
                "teacher {:?} gives {} numbers, its entry says {length}",
                entry.id,
                out.len()
            );
            unit(&mut out).with_context(named)?;
            sum.iter_mut().zip(out).for_each(|(s, o)| *s += o);
        }
        unit(&mut sum).with_context(named)?;
        let Ok(mut cache) = cache.lock() else { bail!("another teacher thread died") };
        cache.keep(*key, sum)
    })?;
    Ok(())
}

/// A file of lessons: [`MAGIC`], what teacher they are of, then a record a picture, appended as it is made: its key and
/// `length` little-endian f32.
struct Cache {
    path: PathBuf,
    file: File,
    length: usize,
    known: HashMap<Key, Vec<f32>>,
}

impl Cache {
    /// Opens or begins the file. Half a record at its end, of a run that was killed, is cut off.
    fn open(path: PathBuf, teacher: &str, length: usize) -> Result<Self> {
        let head = [MAGIC.as_slice(), teacher.as_bytes()].concat();
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            bytes => bytes.with_context(|| format!("{}: cannot be read", path.display()))?,
        };
        let begun = head.starts_with(&bytes);
        ensure!(
            begun || bytes.starts_with(&head),
            "{}: lessons of another teacher, or no lessons; name another file in teacher.cache or remove this one",
            path.display()
        );
        let size = size_of::<Key>() + 4 * length;
        let records = bytes.get(head.len()..).unwrap_or_default().chunks_exact(size);
        let whole = head.len() + records.len() * size;
        let read = |record: &[u8]| -> Option<(Key, Vec<f32>)> {
            let (key, values) = record.split_first_chunk()?;
            Some((*key, values.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
        };
        let known = records.filter_map(read).collect();
        let unwritable = || format!("{}: cannot be written", path.display());
        let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(unwritable)?;
        if begun {
            file.set_len(0).and_then(|()| file.write_all(&head)).with_context(unwritable)?;
        } else if whole < bytes.len() {
            file.set_len(whole as u64).with_context(unwritable)?;
        }
        Ok(Self { path, file, length, known })
    }

    /// Appends a lesson.
    fn keep(&mut self, key: Key, lesson: Vec<f32>) -> Result<()> {
        let mut record = key.to_vec();
        record.extend(lesson.iter().flat_map(|v| v.to_le_bytes()));
        let written = self.file.metadata().and_then(|before| {
            // Half a record would shift all after it.
            self.file.write_all(&record).inspect_err(|_| drop(self.file.set_len(before.len())))
        });
        written.with_context(|| format!("{}: cannot be written", self.path.display()))?;
        self.known.insert(key, lesson);
        Ok(())
    }
}
