//! The embeddings of another embedder, made once for every picture and kept beside the run.
//!
//! The teacher sees the crop as its own manifest entry wants it; picture and mirror image are summed, as in the
//! protocol that it is best at. The student learns to point where the teacher points.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use limen_gallery_db::score::unit;
use limen_models::align::Aligner;
use limen_models::geometry::{Landmarks, Point};
use limen_models::manifest::{Manifest, ModelEntry, sha256_hex};
use limen_models::resample::planes;
use limen_models::session::Session;

use crate::config::Teacher;
use crate::dataset::set::Set;
use crate::evaluate::extract::progress;

/// First bytes of a cache: format and version.
const MAGIC: &[u8; 8] = b"LMTEACH1";

/// One unit embedding a picture.
#[derive(Debug)]
pub struct Lessons {
    /// Numbers of an embedding.
    pub length: usize,
    values: Vec<f32>,
}

impl Lessons {
    /// The embeddings for `set`: from the cache where it fits teacher and pictures, else computed on `workers` threads
    /// and kept there.
    ///
    /// # Errors
    /// When the teacher cannot be loaded or run, a picture cannot be read, or the cache not be written.
    pub fn prepare(config: &Teacher, set: &Set, run: &Path, workers: usize) -> Result<Self> {
        let manifest = Manifest::load(&config.models)?;
        let entry = manifest.model(&config.id).context("teacher.id")?;
        let spec = entry.embedding.with_context(|| format!("teacher {:?} is no embedder", config.id))?;
        let cache = config.cache.clone().unwrap_or_else(|| run.join("teacher.bin"));
        // Debug of plain numbers and words: any change of what the teacher sees changes it.
        let sees = format!("{:?}{:?}{:?}", entry.input, entry.alignment, set.crops());
        let key = sha256_hex(format!("{}{sees}{}", entry.sha256, set.index().digest()).as_bytes());
        let count = set.index().samples().len();
        if let Some(values) = read(&cache, &key, count * spec.length)? {
            return Ok(Self { length: spec.length, values });
        }
        let values = embed_all(&manifest, entry, set, spec.length, workers)?;
        write(&cache, &key, &values)?;
        Ok(Self { length: spec.length, values })
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

fn embed_all(
    manifest: &Manifest,
    entry: &ModelEntry,
    set: &Set,
    length: usize,
    workers: usize,
) -> Result<Vec<f32>> {
    let net = Session::load(manifest, entry, &["embedding"])?;
    let aligner = Aligner::for_embedder(entry)
        .with_context(|| format!("teacher {:?} has no alignment template", entry.id))?;
    // In a stored crop every face's landmarks lie on the set's template.
    let landmarks = Landmarks(set.crops().template.map(|[x, y]| Point::new(x, y)));
    let samples = set.index().samples();
    let bar = progress(samples.len() as u64, "lessons");
    let next = AtomicUsize::new(0);
    let (w, h) = (entry.input.width, entry.input.height);
    let work = || -> Result<Vec<(usize, Vec<f32>)>> {
        let (mut mine, mut bytes) = (Vec::new(), Vec::new());
        let mut input = vec![0.0; 3 * w * h];
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = samples.get(i) else { return Ok(mine) };
            let crop = set.crop(sample, &mut bytes)?;
            let face = aligner.align(crop.view(), &landmarks)?;
            let mut sum = vec![0.0; length];
            for mirrored in [false, true] {
                planes(face.crop.view(), mirrored, &entry.input, &mut input);
                let mut out = net.run([1, 3, h, w], &input)?.swap_remove(0).data;
                ensure!(
                    out.len() == length,
                    "teacher {:?} gives {} numbers, its entry says {length}",
                    entry.id,
                    out.len()
                );
                unit(&mut out)
                    .with_context(|| format!("teacher {:?} on {}", entry.id, set.index().place(sample)))?;
                sum.iter_mut().zip(out).for_each(|(s, o)| *s += o);
            }
            unit(&mut sum)
                .with_context(|| format!("teacher {:?} on {}", entry.id, set.index().place(sample)))?;
            mine.push((i, sum));
            bar.inc(1);
        }
    };
    let mut values = vec![0.0; samples.len() * length];
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let part = thread.join().map_err(|_| anyhow::anyhow!("a teacher thread died"))??;
            for (i, embedding) in part {
                values[i * length..][..length].copy_from_slice(&embedding);
            }
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(values)
}

/// The cache's numbers if it is there and of this teacher and these pictures.
fn read(path: &Path, key: &str, count: usize) -> Result<Option<Vec<f32>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("{}: cannot be read", path.display())),
    };
    let body = bytes.strip_prefix(MAGIC.as_slice()).and_then(|b| b.strip_prefix(key.as_bytes()));
    let Some(body) = body.filter(|b| b.len() == 4 * count) else {
        eprintln!("limen-train: {}: of another teacher or other pictures; made anew", path.display());
        return Ok(None);
    };
    Ok(Some(body.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
}

fn write(path: &Path, key: &str, values: &[f32]) -> Result<()> {
    let mut bytes = [MAGIC.as_slice(), key.as_bytes()].concat();
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    let part = PathBuf::from(format!("{}.part", path.display()));
    std::fs::write(&part, bytes)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("{}: cannot be written", path.display()))
}
