//! `limen doctor`: looks at everything the door needs and says what to do about what is missing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use limen_gallery_db::{EventFilter, Gallery, GalleryError, Order};
use limen_models::manifest::{Manifest, Selection};
use serde_json::json;

use crate::act::attend::free_mib;
use crate::camera;
use crate::cmd::{Exit, Site, pick};
use crate::config::Config;
use crate::controls::{self, TouchSource};
use crate::display;
use crate::input::{self, keyboard};
use crate::pin::PinHash;
use crate::recognise::{GalleryFile, Recogniser};
use crate::relay::{self, Coil, RelayError, RelaySource};
use crate::sound::Player;

/// Room that a gallery should have: the journal of some hundred thousand events.
const ENOUGH_MIB: u64 = 64;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    site: Site,
    /// Measure the model folder's embedders on this machine, take the fastest and write it into the configuration,
    /// instead of the rest
    #[arg(long)]
    pick: bool,
    /// One JSON object a finding, a line each
    #[arg(long)]
    json: bool,
}

/// What was found of one thing.
struct Finding {
    what: &'static str,
    result: Result<String, String>,
}

/// Runs the command. `Exit::No` when something is to be done.
pub fn run(args: &Doctor) -> Result<Exit> {
    if args.pick {
        return pick::run(&args.site, args.json);
    }
    let config = args.site.config()?;
    let manifest = Manifest::load(&config.models.folder);
    let selection = manifest.as_ref().map_err(ToString::to_string);
    let selection = selection.and_then(|m| m.select(config.embedder()).map_err(|e| e.to_string()));
    // Opening looks through the whole file: once is enough.
    let opened = Gallery::open_read_only(&config.gallery.file);
    // What is wrong with the gallery is told as such, and nowhere else.
    let known = opened.as_ref().ok();
    let mut findings = match selection {
        Ok(selection) => vec![
            Finding { what: "models", result: models(&config, &selection) },
            Finding { what: "terms", result: Ok(terms(&selection)) },
        ],
        Err(e) => vec![Finding { what: "models", result: Err(e) }],
    };
    findings.extend([
        Finding { what: "gallery", result: gallery(&config.gallery.file, &opened) },
        Finding { what: "camera", result: camera(&config) },
        Finding { what: "door", result: door(&config) },
        Finding { what: "display", result: panel(&config, known) },
        Finding { what: "sound", result: sound(&config) },
        Finding { what: "controls", result: controls(&config, args.site.config.as_deref(), known) },
        Finding { what: "readers", result: readers(&config) },
        Finding { what: "clock", result: clock(known) },
        Finding { what: "storage", result: storage(&config.gallery.file) },
    ]);
    for f in &findings {
        let (ok, text) = match &f.result {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        if args.json {
            crate::say!("{}", json!({ "what": f.what, "ok": ok, "text": text }));
        } else {
            crate::say!("{} {:<8} {text}", if ok { "ok  " } else { "TODO" }, f.what);
        }
    }
    Ok(if findings.iter().all(|f| f.result.is_ok()) { Exit::Yes } else { Exit::No })
}

fn models(config: &Config, selection: &Selection<'_>) -> Result<String, String> {
    // In a place of its own, so that a gallery in trouble is not blamed on the models.
    let scratch = std::env::temp_dir().join(format!("limen-doctor-{}.db", std::process::id()));
    let mut trial = config.clone();
    trial.gallery.file.clone_from(&scratch);
    let opened = Recogniser::open(&trial, None, GalleryFile::MayBeNew).map(|r| r.policy.threshold);
    for suffix in ["", "-wal", "-shm"] {
        // What was never made need not be removed.
        let _ = std::fs::remove_file(format!("{}{suffix}", scratch.display()));
    }
    let threshold = opened.map_err(|e| format!("{e:#}"))?;
    Ok(format!("{}, threshold {threshold:.4} in {}", selection.model_id(), config.models.folder.display()))
}

/// On what terms code and models may be used.
fn terms(selection: &Selection<'_>) -> String {
    let mut licences = vec![selection.embedder.licence.as_str()];
    for stage in selection.cascade {
        if !licences.contains(&stage.licence.as_str()) {
            licences.push(&stage.licence);
        }
    }
    format!("the code is MIT OR Apache-2.0; the models: {}", licences.join("; "))
}

fn gallery(file: &Path, opened: &Result<Gallery, GalleryError>) -> Result<String, String> {
    if !file.exists() {
        return Err(format!(
            "{}: not there yet; `limen enrol` makes it with the first person",
            file.display()
        ));
    }
    let gallery = opened.as_ref().map_err(ToString::to_string)?;
    let contents = gallery.contents().map_err(|e| e.to_string())?;
    let templates: u64 = contents.templates.iter().map(|(_, n)| n).sum();
    gallery.verify_journal(&[]).map_err(|e| e.to_string())?;
    Ok(format!(
        "{}: {} people, {templates} templates, {} events, each as it was written",
        file.display(),
        contents.subjects,
        contents.events
    ))
}

fn camera(config: &Config) -> Result<String, String> {
    let source = config.camera.source.parse().map_err(|e: camera::CameraError| e.to_string())?;
    let mut camera = camera::open(&source, &config.camera_settings()).map_err(|e| e.to_string())?;
    match camera.next_frame() {
        Ok(Some(f)) => {
            Ok(format!("{}; gave a {}x{} frame", camera.describe(), f.image.width(), f.image.height()))
        }
        Ok(None) => Err(format!("{}: no frame in it", config.camera.source)),
        Err(e) => Err(e.to_string()),
    }
}

/// The relay's line is read, not driven: that might open a door.
fn door(config: &Config) -> Result<String, String> {
    let source: RelaySource = config.door.relay.parse().map_err(|e: RelayError| e.to_string())?;
    if source.is_fake() {
        return Ok(format!("{source}: simulated, no door hangs on it"));
    }
    if !Path::new("/dev/gpiochip0").exists() {
        return Err(format!(
            "{source}: this machine has no GPIO lines (/dev/gpiochip0); set door.relay = \"fake\" to try without a door"
        ));
    }
    match relay::look(&source, config.door.active_level, config.door.gpio_driver) {
        Ok(Some(Coil::Released)) => {
            Ok(format!("{source}: at rest, the coil has no current; not tried, since it would open the door"))
        }
        Ok(Some(Coil::Energised)) => Err(format!(
            "{source}: the line is where it gives the coil current, though nobody holds it; `limen release` takes it away, \
             and a relay module with a pull-down (or pull-up, if a low level energises) keeps it away"
        )),
        Ok(None) => Ok(format!("{source}: not tried, since it would open the door")),
        Err(RelayError::Busy { by, .. }) if by == "limen" => {
            Ok(format!("{source}: held by limen, which watches the door"))
        }
        Err(e) => Err(e.to_string()),
    }
}

fn panel(config: &Config, gallery: Option<&Gallery>) -> Result<String, String> {
    let source = config.display.panel.parse().map_err(|e: display::PanelError| e.to_string())?;
    let opened = display::panel::open(&source, config.panel_settings()).map_err(|e| e.to_string())?;
    let language = config.language().map_err(|e| e.to_string())?;
    let Some(opened) = opened else { return Ok("none".to_owned()) };
    let people = gallery.and_then(|g| g.subjects().ok()).unwrap_or_default();
    let unwritten = people.iter().filter(|p| !language.fonts.can_write(&p.name)).count();
    if unwritten > 0 {
        return Err(format!(
            "{}: names that no font here can write: {unwritten}; these people are shown by their ids; set display.font \
             (docs/guide/languages.md)",
            opened.describe()
        ));
    }
    Ok(format!("{}, speaks {}", opened.describe(), config.display.language))
}

/// A moment of silence is played.
fn sound(config: &Config) -> Result<String, String> {
    let Some(mut player) = Player::new(&config.sound) else { return Ok("none".to_owned()) };
    player.check().map_err(|e| e.to_string())?;
    let set = &config.sound;
    Ok(format!(
        "{} took a moment of silence; tones come at {} % of full scale",
        set.device, set.volume_percent
    ))
}

/// Whether what is touched or pressed at the door reaches the service menu, and only who should.
fn controls(config: &Config, file: Option<&Path>, gallery: Option<&Gallery>) -> Result<String, String> {
    let touch = match config.controls.touch.parse()? {
        TouchSource::None => None,
        TouchSource::Evdev(path) => Some(controls::describe(&path).map_err(|e| e.to_string())?),
    };
    // Their lines are not taken: limen may hold them.
    let buttons = controls::buttons(&config.controls).map_err(|(field, why)| format!("{field}: {why}"))?;
    let buttons = (!buttons.is_empty()).then(|| "three buttons".to_owned());
    let all: Vec<String> = [touch, buttons].into_iter().flatten().collect();
    let in_file = config.controls.pin.is_set();
    let in_gallery = || gallery.and_then(|g| g.setting::<PinHash>().ok().flatten()).is_some();
    match (all.is_empty(), in_file || in_gallery()) {
        (true, false) => return Ok("none".into()),
        (true, true) => {
            return Err("there is a PIN, but nothing to type it on; set controls.touch or the buttons".into());
        }
        (false, false) => {
            return Err(format!(
                "{}; no PIN is set yet, so whoever touches the device first chooses one; do it there, or with \
                 `limen pin --config FILE`",
                all.join("; ")
            ));
        }
        (false, true) => {}
    }
    match file.filter(|_| in_file).and_then(readable_by_all) {
        Some(cure) => Err(cure),
        None => Ok(format!("{}; a PIN opens the service menu", all.join("; "))),
    }
}

/// What to do about a file with a PIN's hash that everybody on this machine can read.
fn readable_by_all(path: &Path) -> Option<String> {
    let open = std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o004 != 0);
    open.then(|| {
        format!(
            "{}: everybody on this machine can read the PIN's hash, and find the PIN by trying all of them; chmod 0640, and \
             give it to a group that limen is in (docs/guide/controls.md)",
            path.display()
        )
    })
}

/// Whether what people show can be read. No device and no line is taken: limen may hold them.
fn readers(config: &Config) -> Result<String, String> {
    let named = input::named(&config.readers).map_err(|(field, why)| format!("{field}: {why}"))?;
    let mut all = Vec::new();
    for (reader, path) in &named.typing {
        let found = keyboard::describe(path).map_err(|e| e.to_string())?;
        all.push(format!("{} {found}", reader.name()));
    }
    if let Some((d0, d1)) = &named.wiegand {
        all.push(format!("wiegand on {d0} and {d1}"));
    }
    if let Some((d0, d1, _)) = &named.controller {
        all.push(format!("a controller on {d0} and {d1}"));
    }
    if config.readers.qr_every_ms > 0 {
        all.push("passes before the camera".into());
    }
    Ok(if all.is_empty() { "none".into() } else { all.join("; ") })
}

/// Whether the clock can be right: a journal and people's validity go by it.
fn clock(gallery: Option<&Gallery>) -> Result<String, String> {
    let now = Timestamp::now();
    let newest = EventFilter { limit: Some(1), order: Order::NewestFirst, ..EventFilter::default() };
    let last = gallery.and_then(|g| g.events(&newest).ok());
    if let Some(last) = last.unwrap_or_default().first().filter(|last| last.time > now) {
        return Err(format!(
            "it says {}, before the journal's last event ({}); set it (`timedatectl set-time`)",
            seconds(now),
            seconds(last.time)
        ));
    }
    let battery = std::fs::read_dir("/sys/class/rtc").is_ok_and(|mut all| all.next().is_some());
    let note = if battery {
        ""
    } else {
        "; no battery clock: after a power cut the time is wrong until the network sets it (a DS3231 module keeps it)"
    };
    let zone = TimeZone::system();
    let zone = zone.iana_name().unwrap_or("no time zone set, so UTC");
    Ok(format!("{} ({zone}){note}", seconds(now)))
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Whether the gallery's folder can be written, and has room.
fn storage(file: &Path) -> Result<String, String> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = folder.join(format!(".limen-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, [0u8; 4096]).and_then(|()| std::fs::remove_file(&probe));
    written.map_err(|e| {
        format!(
            "{}: cannot be written ({e}); make the folder and give this user the right to it",
            folder.display()
        )
    })?;
    let free_mib = free_mib(file).map_err(|e| format!("{}: {e}", folder.display()))?;
    if free_mib < ENOUGH_MIB {
        return Err(format!(
            "{}: {free_mib} MiB free, too little for a journal that grows; free some, {ENOUGH_MIB} MiB at least",
            folder.display()
        ));
    }
    Ok(format!("{} can be written, {free_mib} MiB free", folder.display()))
}
