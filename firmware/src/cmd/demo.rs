//! `limen demo`: opens a simulated door. A few people are enrolled from photographs, then they and strangers walk by.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use clap::Args;
use limen_gallery_db::{EnrolPolicy, Event, EventKind, Gallery, NewSubject, Sample};
use limen_models::photo;
use limen_models::pipeline::Embed;

use crate::cmd::{Exit, shown};
use crate::config::Config;
use crate::display::sheet::{Cell, Sheet};
use crate::recognise::{GalleryFile, Recogniser};
use crate::{daemon, display};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Demo {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Folder with PERSON/PHOTO.jpg; the two people with most photographs are enrolled
    #[arg(long, value_name = "DIR")]
    photos: PathBuf,
    /// Where gallery, screens, journal and relay edges go; made new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// People enrolled
    #[arg(long, default_value_t = 2)]
    people: usize,
    /// Strangers who walk by
    #[arg(long, default_value_t = 3)]
    strangers: usize,
    /// False match rate whose threshold is taken
    #[arg(long, default_value_t = 1e-4)]
    fmr: f64,
}

/// Frames each photograph is shown, at [`FPS`] frames a second.
const HOLD: u32 = 6;
const FPS: u32 = 4;

/// Runs the command.
pub fn run(args: &Demo) -> Result<Exit> {
    let (people, strangers) = cast(&args.photos, args.people, args.strangers)?;
    let clip = args.out.join("clip");
    let screens = args.out.join("screens");
    for folder in [&clip, &screens] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("{}: cannot be emptied", shown(folder)))?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", shown(folder)))?;
    }
    let mut config = Config::default();
    config.models.folder.clone_from(&args.models);
    config.gallery.file = args.out.join("gallery.db");
    for suffix in ["", "-wal", "-shm"] {
        let old = PathBuf::from(format!("{}{suffix}", config.gallery.file.display()));
        if old.exists() {
            std::fs::remove_file(&old).with_context(|| format!("{}: cannot be removed", shown(&old)))?;
        }
    }
    config.decision.false_match_rate = args.fmr;
    config.decision.min_frames = 2;
    config.camera.source = format!("replay:{}", clip.display());
    config.camera.frames_per_second = FPS;
    config.camera.hold_frames = HOLD;
    config.camera.every_frame = true;
    config.door.relay = format!("fake:{}", args.out.join("relay.jsonl").display());
    config.door.pulse_ms = 1000;
    config.display.panel = format!("png:{}", screens.display());
    // Square, as the cells of the contact sheet are.
    (config.display.width_px, config.display.height_px) = (480, 480);
    config.display.verdict_ms = 1000;

    enrol(&config, &people)?;
    let mut order = 0;
    let mut show = |photo: &Path, who: &str| -> Result<()> {
        let extension = photo.extension().and_then(|e| e.to_str()).unwrap_or("jpg");
        let to = clip.join(format!("{order:02}-{who}.{extension}"));
        order += 1;
        std::fs::copy(photo, &to).map(|_| ()).with_context(|| format!("{}: cannot be copied", shown(photo)))
    };
    for i in 0..people.len().max(strangers.len()) {
        if let Some(p) = people.get(i) {
            show(&p.probe, "enrolled")?;
        }
        if let Some(s) = strangers.get(i) {
            show(s, "stranger")?;
        }
    }
    crate::say!("walking by: {order} people, {} of them enrolled", people.len());
    let mut verdicts: Vec<Event> = Vec::new();
    daemon::run(&config, &AtomicBool::new(false), &mut |e| {
        if matches!(e.kind, EventKind::Granted | EventKind::Denied) {
            let at = e.detail.as_ref().and_then(|d| d["at_ms"].as_u64()).unwrap_or(0);
            crate::say!(
                "{:>6.2} s  {:<8} {:<12} score {}",
                at as f64 / 1000.0,
                e.kind.as_str(),
                e.external_id.as_deref().or(e.reason.as_deref()).unwrap_or(""),
                e.score.map_or("-".into(), |s| s.to_string()),
            );
            verdicts.push(e.clone());
        }
    })?;
    let sheet = args.out.join("screens.png");
    contact_sheet(&screens, &sheet)?;
    crate::say!("screens   {}", shown(&sheet));
    crate::say!("journal   limen events --gallery {}", shown(&config.gallery.file));
    crate::say!("relay     {}", shown(&args.out.join("relay.jsonl")));
    Ok(Exit::Yes)
}

struct Person {
    name: String,
    gallery: Vec<PathBuf>,
    probe: PathBuf,
}

/// Who plays: people with at least three photographs are enrolled, others are strangers.
fn cast(folder: &Path, people: usize, strangers: usize) -> Result<(Vec<Person>, Vec<PathBuf>)> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let mut paths = std::fs::read_dir(folder)
            .and_then(|d| d.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("{}: cannot be listed", shown(folder)))?;
        paths.sort();
        Ok(paths)
    };
    let mut folders = Vec::new();
    for path in list(folder)?.into_iter().filter(|p| p.is_dir()) {
        let photos = list(&path)?;
        if !photos.is_empty() {
            folders.push((path, photos));
        }
    }
    folders.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    ensure!(
        folders.len() >= people + strangers && folders.iter().take(people).all(|(_, p)| p.len() >= 3),
        "{}: {people} people with three photographs and {strangers} others are needed",
        shown(folder)
    );
    let others = folders.split_off(people);
    let people = folders
        .into_iter()
        .map(|(path, mut photos)| {
            let name = path.file_name().map(|n| n.to_string_lossy().replace('_', " ")).unwrap_or_default();
            let probe = photos.swap_remove(2);
            photos.truncate(2);
            Person { name, gallery: photos, probe }
        })
        .collect();
    let step = (others.len() / strangers.max(1)).max(1);
    Ok((
        people,
        others.into_iter().step_by(step).take(strangers).map(|(_, mut p)| p.swap_remove(0)).collect(),
    ))
}

fn enrol(config: &Config, people: &[Person]) -> Result<()> {
    let mut recogniser = Recogniser::open(config, None, GalleryFile::MayBeNew)?;
    for (i, person) in people.iter().enumerate() {
        let mut samples = Vec::new();
        for path in &person.gallery {
            let image = photo::decode_file(path)?;
            let (faces, _) = recogniser.pipeline.process(image.view(), Embed::Largest)?;
            samples.extend(faces.into_iter().filter_map(|f| {
                let quality = f.quality.score;
                f.embedding.map(|e| Sample { vector: e.values().to_vec(), quality, source: String::new() })
            }));
        }
        let policy = EnrolPolicy { min_quality: 0.0, ..EnrolPolicy::default() };
        let id = (i + 1).to_string();
        let model = recogniser.model.clone();
        let gallery: &mut Gallery = &mut recogniser.gallery;
        let enrolled = gallery.enrol(&NewSubject::new(&id, &person.name), &model, &samples, &policy)?;
        crate::say!("enrolled {} as {id} with {} photographs", person.name, enrolled.kept.len());
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
    display::sheet::write_png(&sheet.render(&cells)?, to)
        .with_context(|| format!("{}: cannot be written", shown(to)))
}
