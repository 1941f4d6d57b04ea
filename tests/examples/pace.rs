//! Limen as a contender of `tests/peers/bench.py`: loads what it is told to and runs it, a command a line.
//!
//!     network NAME FILE INPUT THREADS        an ONNX file on the picture INPUT, 3x112x96, by so many threads
//!     index NAME LENGTH ROWS PROBES          the two of ROWS that are nearest to each of PROBES
//!     detect NAME MODELS FRAMES              the faces of each of FRAMES
//!     door NAME MODELS EMBEDDER FRAMES ROWS  from each of FRAMES to the two of ROWS nearest to each of its faces
//!     run NAME FIRST COUNT                   COUNT inputs from FIRST on, begun anew after the last
//!     drop NAME                              frees what was loaded
//!
//! Words are separated by tabs. INPUT, ROWS and PROBES are files of f32, FRAMES of 640x480 RGB. Each command is answered
//! with a line of numbers: what the last input gave. Time is read from outside, by the system's count of this process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use limen_gallery_db::{Candidates, Index, SubjectId, TemplateId, Workspace as SearchWorkspace};
use limen_models::detect::mtcnn::Settings;
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::pipeline::{Embed, Pipeline, Workspace};
use limen_models::quality::Limits;
use limen_models::session::{Session, Shape};

/// What a network of this bench reads.
const FACE: Shape = [1, 3, 112, 96];
/// A frame's size, px.
const FRAME: (usize, usize) = (640, 480);
/// Candidates asked for, as at the door.
const K: usize = 2;

/// Runs the input of this number and returns what tells one answer from another.
type Contender = Box<dyn FnMut(usize) -> Result<Vec<f32>>>;

fn main() -> Result<()> {
    let mut contenders: HashMap<String, Contender> = HashMap::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let mut answer = Vec::new();
        let mut load = |name: &str, contender| drop(contenders.insert(name.to_owned(), contender));
        match words[..] {
            ["network", name, file, input, threads] => {
                load(name, network(Path::new(file), Path::new(input), threads.parse()?)?)
            }
            ["index", name, length, rows, probes] => {
                load(name, search(length.parse()?, Path::new(rows), Path::new(probes))?)
            }
            ["detect", name, models, frames] => load(name, detect(Path::new(models), Path::new(frames))?),
            ["door", name, models, embedder, frames, rows] => {
                load(name, door(Path::new(models), embedder, Path::new(frames), Path::new(rows))?)
            }
            ["run", name, first, count] => {
                let run = contenders.get_mut(name).with_context(|| format!("{name:?} was not loaded"))?;
                let first: usize = first.parse()?;
                for i in first..first + count.parse::<usize>()? {
                    answer = run(i)?;
                }
            }
            ["drop", name] => drop(contenders.remove(name)),
            _ => bail!("{line:?} is no command; the head of tests/examples/pace.rs lists them"),
        }
        let answer: Vec<String> = answer.iter().map(f32::to_string).collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", answer.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

/// The network's output.
fn network(file: &Path, input: &Path, threads: usize) -> Result<Contender> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let session = Session::from_bytes("network", &bytes, &["embedding"], file)?.with_threads(threads);
    let input = rows(input, FACE.iter().product())?.next().context("INPUT is empty")??;
    Ok(Box::new(move |_| Ok(session.run(FACE, &input)?.swap_remove(0).data)))
}

/// Number and score of the nearest row.
fn search(length: usize, file: &Path, probes: &Path) -> Result<Contender> {
    let index = fill(length, file)?;
    let probes: Vec<Vec<f32>> = rows(probes, length)?.collect::<Result<_>>()?;
    ensure!(!probes.is_empty(), "PROBES is empty");
    let mut workspace = SearchWorkspace::default();
    Ok(Box::new(move |i| nearest(index.identify_in(&probes[i % probes.len()], K, &mut workspace)?)))
}

/// How many faces, and of the first its box (x1, y1, x2, y2).
fn detect(models: &Path, frames: &Path) -> Result<Contender> {
    let (pipeline, frames) = (pipeline(models, None)?, pictures(frames)?);
    Ok(Box::new(move |i| {
        let faces = pipeline.detect(frames[i % frames.len()].view())?;
        let first = faces.first().map(|f| [f.bbox.x1, f.bbox.y1, f.bbox.x2, f.bbox.y2]);
        Ok([faces.len() as f32].into_iter().chain(first.into_iter().flatten()).collect())
    }))
}

/// Number and score of the nearest row to the first face, and that face's embedding.
fn door(models: &Path, embedder: &str, frames: &Path, file: &Path) -> Result<Contender> {
    let (pipeline, frames) = (pipeline(models, Some(embedder))?, pictures(frames)?);
    let index = fill(pipeline.embedder().length(), file)?;
    let (mut workspace, mut search_workspace) = (Workspace::default(), SearchWorkspace::default());
    Ok(Box::new(move |i| {
        let (faces, _) = pipeline.process(frames[i % frames.len()].view(), Embed::All, &mut workspace)?;
        let mut answer = Vec::new();
        for embedding in faces.iter().filter_map(|f| f.embedding.as_ref()) {
            let found = nearest(index.identify_in(embedding.values(), K, &mut search_workspace)?)?;
            if answer.is_empty() {
                answer = [&found, embedding.values()].concat();
            }
        }
        Ok(answer)
    }))
}

fn pipeline(models: &Path, embedder: Option<&str>) -> Result<Pipeline> {
    Ok(Pipeline::load(&Manifest::load(models)?, embedder, Settings::door(), Limits::none())?)
}

fn nearest(found: &Candidates) -> Result<Vec<f32>> {
    let best = found.best().context("ROWS is empty")?;
    Ok(vec![u128::from_be_bytes(*best.subject.as_bytes()) as f32, best.score.value()])
}

/// An index of a file's rows, each a person of its own.
fn fill(length: usize, file: &Path) -> Result<Index> {
    let mut index = Index::new(length)?;
    for (i, row) in rows(file, length)?.enumerate() {
        index.insert(
            SubjectId::from_bytes((i as u128).to_be_bytes()),
            TemplateId::new(i as i64 + 1),
            &row?,
        )?;
    }
    Ok(index)
}

/// A file's rows of `length` numbers, read as they are asked for.
fn rows(file: &Path, length: usize) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    let count = opened.metadata()?.len() as usize / (4 * length);
    let mut reader = BufReader::with_capacity(1 << 20, opened);
    let mut bytes = vec![0; 4 * length];
    Ok((0..count).map(move |_| {
        reader.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }))
}

fn pictures(file: &Path) -> Result<Vec<RgbImage>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let (width, height) = FRAME;
    let frames = bytes.chunks_exact(width * height * 3);
    let frames: Vec<_> =
        frames.map(|f| RgbImage::new(width, height, f.to_vec())).collect::<Result<_, _>>()?;
    ensure!(!frames.is_empty(), "{}: no frame of {width}x{height} RGB", file.display());
    Ok(frames)
}
