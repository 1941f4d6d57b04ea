//! `limen demo`: opens a simulated door. People are enrolled from photographs, then they and strangers walk by.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_gallery_db::{EnrolPolicy, EventKind, NewSubject, Sample};
use limen_models::photo;

use crate::cmd::probe::only_embedding;
use crate::cmd::{Exit, shown};
use crate::config::Config;
use crate::daemon::{self, Orders};
use crate::display;
use crate::display::fonts::Fonts;
use crate::display::sheet::{Cell, Sheet};
use crate::recognise::{GalleryFile, Recogniser};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Demo {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Who plays: enrolled/NAME/PHOTO, strangers/NAME/PHOTO, and door.mjpeg, what the door's camera saw
    #[arg(long, value_name = "DIR")]
    people: PathBuf,
    /// Where gallery, screens, journal and relay edges go; made new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// False match rate whose threshold is taken
    #[arg(long, default_value_t = 1e-3)]
    fmr: f64,
}

/// Frames a second of the clip.
const FPS: u32 = 8;

/// Runs the command.
pub fn run(args: &Demo) -> Result<Exit> {
    let enrolled = cast(&args.people.join("enrolled"))?;
    let strangers = cast(&args.people.join("strangers"))?;
    let screens = args.out.join("screens");
    if screens.exists() {
        std::fs::remove_dir_all(&screens)
            .with_context(|| format!("{}: cannot be emptied", shown(&screens)))?;
    }
    std::fs::create_dir_all(&screens).with_context(|| format!("{}: cannot be made", shown(&screens)))?;
    let config = config(args, &screens);
    for suffix in ["", "-wal", "-shm"] {
        let old = PathBuf::from(format!("{}{suffix}", config.gallery.file.display()));
        if old.exists() {
            std::fs::remove_file(&old).with_context(|| format!("{}: cannot be removed", shown(&old)))?;
        }
    }
    let mut recogniser = Recogniser::open(&config, None, GalleryFile::MayBeNew)?;
    for (i, person) in enrolled.iter().enumerate() {
        enrol(&mut recogniser, (i + 1).to_string(), person)?;
    }
    crate::say!("threshold {:.4}, for a false match rate of {}", recogniser.policy.threshold, args.fmr);
    for person in enrolled.iter().chain(&strangers) {
        compare(&recogniser, person)?;
    }
    drop(recogniser);

    crate::say!("walking by:");
    daemon::run(&config, &Orders::default(), &mut |e| {
        if matches!(e.kind, EventKind::Granted | EventKind::Denied) {
            let at = e.detail.as_ref().and_then(|d| d["at_ms"].as_u64()).unwrap_or(0);
            crate::say!(
                "{:>6.2} s  {:<8} {:<12} score {}",
                at as f64 / 1000.0,
                e.kind.as_str(),
                e.external_id.as_deref().or(e.reason.as_deref()).unwrap_or(""),
                e.score.map_or("-".into(), |s| s.to_string()),
            );
        }
    })?;
    let sheet = args.out.join("screens.png");
    contact_sheet(&screens, &sheet)?;
    crate::say!("screens   {}", shown(&sheet));
    crate::say!("journal   limen events --gallery {}", shown(&config.gallery.file));
    crate::say!("relay     {}", shown(&args.out.join("relay.jsonl")));
    Ok(Exit::Yes)
}

fn config(args: &Demo, screens: &Path) -> Config {
    let mut config = Config::default();
    config.models.folder.clone_from(&args.models);
    config.gallery.file = args.out.join("gallery.db");
    config.decision.false_match_rate = args.fmr;
    config.camera.source = format!("replay:{}", args.people.join("door.mjpeg").display());
    config.camera.frames_per_second = FPS;
    config.camera.every_frame = true;
    config.door.relay = format!("fake:{}", args.out.join("relay.jsonl").display());
    config.door.pulse_ms = 1000;
    config.display.panel = format!("png:{}", screens.display());
    // Of the shape of the contact sheet's cells.
    (config.display.width_px, config.display.height_px) = (480, 480);
    config.display.verdict_ms = 1000;
    config
}

/// Somebody who plays.
struct Person {
    name: String,
    photos: Vec<PathBuf>,
}

/// The people of a folder, by name.
fn cast(folder: &Path) -> Result<Vec<Person>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let mut paths = std::fs::read_dir(folder)
            .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("{}: cannot be listed", shown(folder)))?;
        paths.sort();
        Ok(paths)
    };
    let person = |path: PathBuf| -> Result<Person> {
        let photos = list(&path)?;
        ensure!(photos.len() >= 2, "{}: at least two photographs are needed", shown(&path));
        Ok(Person { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), photos })
    };
    list(folder)?.into_iter().filter(|p| p.is_dir()).map(person).collect()
}

/// All photographs but the last.
fn enrol(recogniser: &mut Recogniser, id: String, person: &Person) -> Result<()> {
    let mut samples = Vec::new();
    for path in &person.photos[..person.photos.len() - 1] {
        let (embedding, quality) = only_embedding(recogniser, path)?;
        samples.push(Sample { vector: embedding.values().to_vec(), quality, source: String::new() });
    }
    let policy = EnrolPolicy { min_quality: 0.0, ..EnrolPolicy::default() };
    let model = recogniser.model.clone();
    let subject = NewSubject::new(&id, &person.name);
    let enrolled = recogniser.gallery.enrol(&subject, &model, &samples, &policy)?;
    crate::say!("enrolled {} as {id} with {} photographs", person.name, enrolled.kept.len());
    Ok(())
}

/// What the last photograph scores against the gallery.
fn compare(recogniser: &Recogniser, person: &Person) -> Result<()> {
    let Some(path) = person.photos.last() else { return Ok(()) };
    let (probe, _) = only_embedding(recogniser, path)?;
    let candidates = recogniser.gallery.identify(&recogniser.model, probe.values(), usize::MAX)?;
    for candidate in candidates.as_slice() {
        let Some(subject) = recogniser.gallery.subject(candidate.subject)? else { continue };
        let kind = if subject.name == person.name { "genuine" } else { "impostor" };
        crate::say!("  {:<10} with {:<10} {kind:<8} score {}", person.name, subject.name, candidate.score);
    }
    Ok(())
}

/// Every verdict screen and the one before it.
fn contact_sheet(folder: &Path, to: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>())
        .with_context(|| format!("{}: cannot be listed", shown(folder)))?;
    files.sort();
    let mut cells = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let name = file.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let is_verdict = |p: &PathBuf| {
            let n = p.to_string_lossy();
            n.contains("granted") || n.contains("denied")
        };
        if is_verdict(file) || files.get(i + 1).is_some_and(is_verdict) {
            cells.push(Cell { image: photo::decode_file(file)?, colour: [60, 70, 80], lines: vec![name] });
        }
    }
    let sheet =
        Sheet { title: "Limen: what the door showed".into(), columns: 4, thumb_px: 240, ..Sheet::default() };
    display::sheet::write_png(&sheet.render(&cells, &Fonts::built_in())?, to)
        .with_context(|| format!("{}: cannot be written", shown(to)))
}
