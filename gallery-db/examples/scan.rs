//! Measures the search: time, rows scored exactly, and whether each result is the one that scoring every row gives.
//!
//! `scan [TEMPLATES]` stops at galleries of that many templates (1,000,000 unless told), which take 5 GB of memory and
//! as much of the temporary folder. Exits with 1 if a result differs. One thread.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use limen_gallery_db::{Candidate, Gallery, Index, Kernel, ModelId, SubjectId, TemplateId, cosine};
use rusqlite::{Connection, params};

/// Values of a template.
const LENGTH: usize = 512;
/// Probes of each gallery; half of them resemble somebody there.
const PROBES: usize = 8;
/// Candidates asked for.
const K: usize = 5;

/// How the templates lie.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Random,
    /// Around 1000 centres, at cosines of 0.5 to 0.9 to one another.
    Clustered,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let most = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    println!("{LENGTH} values, {PROBES} probes, {K} candidates, one thread; ms a probe");
    println!(
        "{:>9} {:<10} {:<13} {:>8} {:>8} {:>9}  same as every row scored",
        "templates", "layout", "kernel", "ms", "ms of 8", "re-scored"
    );
    let mut same = true;
    for (count, layout) in [
        (10_000, Layout::Random),
        (100_000, Layout::Random),
        (100_000, Layout::Clustered),
        (1_000_000, Layout::Random),
    ] {
        if count <= most {
            same &= search(count, layout)?;
        }
    }
    println!(
        "{:>9} {:<10} {:>8} {:>8} {:>9} {:>9}",
        "templates", "values", "open s", "load s", "search ms", "MiB"
    );
    for (count, length) in [(10_000, 512), (50_000, 512), (1_000_000, 128), (1_000_000, 512)] {
        if count <= most {
            load(count, length)?;
        }
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line for each kernel; says whether all results were right.
fn search(count: usize, layout: Layout) -> Result<bool, Box<dyn Error>> {
    let mut numbers = Numbers(1);
    let rows = matrix(count, layout, &mut numbers);
    let probes: Vec<Vec<f32>> = (0..PROBES).map(|i| probe(i, &rows, &mut numbers)).collect();
    let probes: Vec<&[f32]> = probes.iter().map(Vec::as_slice).collect();

    let (_, each) = fastest(|| probes.iter().map(|p| flat(&rows, p)).sum::<f32>());
    println!(
        "{count:>9} {:<10} {:<13} {:>8.2}",
        format!("{layout:?}"),
        "f32, plain",
        ms(each) / PROBES as f64
    );

    let mut index = Index::new(LENGTH)?;
    for (i, row) in rows.chunks_exact(LENGTH).enumerate() {
        index.insert(person(i), TemplateId::new(i as i64 + 1), row)?;
    }
    let expected: Vec<Vec<Candidate>> = probes.iter().map(|p| every_row(&rows, p)).collect();
    let rescored =
        probes.iter().map(|p| index.rescored(p, K)).sum::<Result<usize, _>>()? as f64 / PROBES as f64;
    let mut all_same = true;
    for kernel in Kernel::available() {
        index = index.with_kernel(kernel);
        let (single, each) =
            fastest(|| probes.iter().map(|p| index.identify(p, K)).collect::<Result<Vec<_>, _>>());
        let (together, all) = fastest(|| index.identify_all(&probes, K));
        let (single, together) = (single?, together?);
        let same = single == together && single.iter().zip(&expected).all(|(got, e)| got.as_slice() == e);
        all_same &= same;
        println!(
            "{count:>9} {:<10} {kernel:<13} {:>8.2} {:>8.2} {rescored:>9.1}  {}",
            format!("{layout:?}"),
            ms(each) / PROBES as f64,
            ms(all) / PROBES as f64,
            if same { "yes" } else { "NO" },
        );
    }
    Ok(all_same)
}

/// Prints how long a gallery of `count` templates takes from its file to the first answer.
fn load(count: usize, length: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gallery.db");
    drop(Gallery::open(&path)?);
    let model = ModelId::new("scan")?;
    let mut numbers = Numbers(1);
    fill(&path, count, length, &model, &mut numbers)?;
    let probe = numbers.direction(length);

    let (gallery, opened) = time(|| Gallery::open(&path));
    let gallery = gallery?;
    let (first, loaded) = time(|| gallery.identify(&model, &probe, K));
    let (second, searched) = time(|| gallery.identify(&model, &probe, K));
    if first? != second? {
        return Err("two searches differ".into());
    }
    println!(
        "{count:>9} {length:<10} {:>8.2} {:>8.2} {:>9.2} {:>9}",
        opened.as_secs_f64(),
        loaded.as_secs_f64(),
        ms(searched),
        resident().map_or("?".to_owned(), |kib| (kib / 1024).to_string()),
    );
    Ok(())
}

/// Puts templates into the file in one transaction: a hundred times faster than enrolling.
fn fill(
    path: &Path,
    count: usize,
    length: usize,
    model: &ModelId,
    numbers: &mut Numbers,
) -> Result<(), Box<dyn Error>> {
    let mut db = Connection::open(path)?;
    let tx = db.transaction()?;
    {
        let mut subject = tx.prepare(
            "INSERT INTO subject (id, external_id, name, suspended, created) VALUES (?1, ?2, 'name', 0, 0)",
        )?;
        let mut template = tx.prepare(
            "INSERT INTO template (subject, model, encoding, vector, quality, source, created)
             VALUES (?1, ?2, 'f32', ?3, 0.5, 'camera', 0)",
        )?;
        for i in 0..count {
            let id = person(i);
            subject.execute(params![id.as_bytes(), i.to_string()])?;
            let vector: Vec<u8> = numbers.direction(length).iter().flat_map(|x| x.to_le_bytes()).collect();
            template.execute(params![id.as_bytes(), model.as_str(), vector])?;
        }
    }
    tx.commit()?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// [count, LENGTH], rows of unit length.
fn matrix(count: usize, layout: Layout, numbers: &mut Numbers) -> Vec<f32> {
    let centres: Vec<Vec<f32>> = (0..1000).map(|_| numbers.direction(LENGTH)).collect();
    let mut rows = Vec::with_capacity(count * LENGTH);
    for i in 0..count {
        let own = numbers.direction(LENGTH);
        match layout {
            Layout::Random => rows.extend(own),
            // The cosine to the centre is a, that of two members of one centre a * a.
            Layout::Clustered => {
                let a = (0.5 + 0.4 * (i % 97) as f32 / 96.0).sqrt();
                rows.extend(mix(&centres[i % centres.len()], &own, a));
            }
        }
    }
    rows
}

/// Odd ones at a cosine of about 0.7 to some row, even ones anywhere.
fn probe(i: usize, rows: &[f32], numbers: &mut Numbers) -> Vec<f32> {
    let own = numbers.direction(LENGTH);
    let somebody = rows.chunks_exact(LENGTH).nth(i * 997);
    somebody.filter(|_| i % 2 == 1).map_or(own.clone(), |row| mix(row, &own, 0.7))
}

/// Unit vectors at right angles (or nearly) -> one whose cosine to the first is `a`.
fn mix(first: &[f32], second: &[f32], a: f32) -> Vec<f32> {
    let b = (1.0 - a * a).sqrt();
    unit(first.iter().zip(second).map(|(x, y)| a * x + b * y).collect())
}

fn unit(v: Vec<f32>) -> Vec<f32> {
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    v.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}

/// The best candidates by the plainest code: each row scored.
fn every_row(rows: &[f32], probe: &[f32]) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = rows
        .chunks_exact(LENGTH)
        .enumerate()
        .map(|(i, row)| Candidate {
            subject: person(i),
            template: TemplateId::new(i as i64 + 1),
            // The index brings its rows to unit length once more; that may move the last bit.
            score: cosine(probe, &unit(row.to_vec())),
        })
        .collect();
    all.sort_by(|a, b| b.score.cmp(&a.score).then(a.subject.cmp(&b.subject)));
    all.truncate(K);
    all
}

/// The scan that int8 replaces: the largest f32 product with a row.
fn flat(rows: &[f32], probe: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut best = f32::MIN;
    for row in rows.chunks_exact(probe.len()) {
        let mut sums = [0f32; LANES];
        for (x, y) in row.as_chunks::<LANES>().0.iter().zip(probe.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                sums[i] += x[i] * y[i];
            }
        }
        best = best.max(sums.iter().sum());
    }
    black_box(best)
}

fn person(i: usize) -> SubjectId {
    SubjectId::from_bytes((i as u128).to_be_bytes())
}

fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let out = work();
    (out, start.elapsed())
}

/// The fastest of five runs, because the machine does other things as well, and the last result.
fn fastest<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let (mut out, mut least) = time(&mut work);
    for _ in 1..5 {
        let (again, took) = time(&mut work);
        (out, least) = (again, least.min(took));
    }
    (out, least)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Memory of this program now, KiB; `None` where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// xorshift64: any spread will do, it only has to be the same everywhere.
struct Numbers(u64);

impl Numbers {
    /// A sum of four numbers from -0.5 to 0.5: near enough to normal for directions to be even.
    fn number(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let parts = [0, 16, 32, 48].map(|shift| (self.0 >> shift & 0xFFFF) as f32 / 65536.0 - 0.5);
        parts.iter().sum()
    }

    /// A direction, unit length.
    fn direction(&mut self, length: usize) -> Vec<f32> {
        unit((0..length).map(|_| self.number()).collect())
    }
}
