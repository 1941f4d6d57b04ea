//! `limen annotate`: a clip in, the same clip with named boxes out, and a JSON line a frame.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use limen_models::image::RgbImage;
use limen_models::manifest::Manifest;
use limen_models::pipeline::Pipeline;
use limen_models::quality::Limits;
use serde_json::json;

use crate::annotate::{Annotator, best};
use crate::camera::clip::ClipWriter;
use crate::camera::{self, CameraSettings, CameraSource, Cure, FrameRate};
use crate::cmd::{Exit, shown};
use crate::config::Config;
use crate::display::scale;
use crate::display::sheet::{Cell, Sheet, write_png};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Annotate {
    /// A .y4m or .mjpeg clip, a folder of photographs, one photograph; anything else (.mp4) through an installed ffmpeg
    clip: PathBuf,
    /// One photograph a person: NAME.jpg, or NAME/any.jpg
    #[arg(long, value_name = "DIR")]
    gallery: PathBuf,
    /// The annotated clip: .mjpeg, .y4m, or .mp4 through ffmpeg
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// A JSON line a frame: faces, names, cosine to every subject
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A contact sheet of all faces as PNG
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Model folder; the default configuration's otherwise
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Embedder by id
    #[arg(long, value_name = "ID")]
    embedder: Option<String>,
    /// Score threshold; the manifest's for --fmr otherwise
    #[arg(long, allow_negative_numbers = true, value_parser = super::score_argument)]
    threshold: Option<f32>,
    /// False match rate whose threshold is taken
    #[arg(long, default_value_t = 1e-3)]
    fmr: f64,
    /// Frames a second, for clips that do not say
    #[arg(long, default_value_t = 5)]
    fps: u32,
    /// Size of the frames written, WIDTHxHEIGHT; the first frame's otherwise. Others are scaled to fill it
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(usize, usize)>,
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parsed
        .filter(|(w, h)| (16..=4096).contains(w) && (16..=4096).contains(h))
        .ok_or_else(|| "WIDTHxHEIGHT such as 640x480, 16 to 4096 each".into())
}

/// Most faces on a contact sheet; a sheet of more is unreadable.
const SHEET_FACES: usize = 600;

/// Runs the command.
pub fn run(args: &Annotate) -> Result<Exit> {
    ensure!(args.clip.exists(), "{}: no such clip, folder or photograph", shown(&args.clip));
    let folder = args.models.clone().unwrap_or_else(|| Config::default().models.folder);
    let manifest = Manifest::load(&folder)?;
    let selection = manifest.select(args.embedder.as_deref())?;
    let threshold = match args.threshold {
        Some(t) => t,
        None => selection.threshold(args.fmr)?.threshold,
    };
    let settings = limen_models::detect::mtcnn::Settings::door();
    let pipeline = Pipeline::load(&manifest, args.embedder.as_deref(), settings, Limits::none())?;
    let annotator = Annotator::new(&pipeline, &args.gallery, threshold)?;

    let source = Decoded::open(&args.clip, args.fps)?;
    let settings = CameraSettings { rate: FrameRate::per_second(args.fps), ..CameraSettings::default() };
    let mut camera = camera::open(&CameraSource::Replay(source.path().to_owned()), &settings)?;
    let mut writer: Option<Writer> = None;
    let mut lines = match &args.json {
        Some(path) => Some(BufWriter::new(
            std::fs::File::create(path).with_context(|| format!("{}: cannot be written", shown(path)))?,
        )),
        None => None,
    };
    let mut cells: Vec<Cell> = Vec::new();
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} frames  {per_sec}") {
        bar.set_style(style);
    }
    let (mut frames, mut faces, mut named) = (0u64, 0usize, 0usize);
    loop {
        let frame = match camera.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(e) if e.cure() == Cure::Skip => {
                eprintln!("limen: warning: {e}");
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        let (w, h) = match (&writer, args.size) {
            (Some(w), _) => w.size,
            (None, Some(size)) => size,
            // Video formats want even sides.
            (None, None) => (frame.image.width() & !1, frame.image.height() & !1),
        };
        let mut image = if (frame.image.width(), frame.image.height()) == (w, h) {
            frame.image
        } else {
            scale::cover(&frame.image, w, h)?.0
        };
        let labelled = annotator.label(&image)?;
        frames += 1;
        faces += labelled.len();
        named += labelled.iter().filter(|f| f.name.is_some()).count();
        if let Some(out) = &mut lines {
            let line = json!({ "frame": frame.seq, "at_ms": frame.at.0, "source": &*frame.source, "faces": labelled });
            writeln!(out, "{line}").context("the JSON lines cannot be written")?;
        }
        if args.sheet.is_some() && cells.len() < SHEET_FACES {
            for face in &labelled {
                let score = best(&face.scores).map_or(String::new(), |(_, s)| format!("{s:.2}"));
                let who = face.name.clone().unwrap_or_else(|| "unknown".into());
                cells.push(Cell {
                    image: cut(&image, face),
                    colour: annotator.colour(face),
                    lines: vec![who, format!("#{} {score}", frame.seq)],
                });
            }
        }
        annotator.draw(&mut image, &labelled);
        let out = match &mut writer {
            Some(out) => out,
            None => writer.insert(Writer::create(&args.out, (w, h), args.fps)?),
        };
        out.clip.write(&image)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Some(writer) = writer else { bail!("{}: no frame in it", shown(&args.clip)) };
    writer.finish()?;
    if let Some(mut out) = lines {
        out.flush().context("the JSON lines cannot be written")?;
    }
    if let Some(path) = &args.sheet {
        let sheet = Sheet {
            title: format!("{} subjects, {frames} frames, {faces} faces", annotator.subjects.len()),
            subtitle: format!("threshold {threshold:.3}: {named} named, {} unknown", faces - named),
            columns: 20,
            thumb_px: 84,
        };
        write_png(&sheet.render(&cells, &annotator.fonts)?, path)
            .with_context(|| format!("{}: cannot be written", shown(path)))?;
    }
    eprintln!("limen: {frames} frames, {faces} faces, {named} named at threshold {threshold:.3}");
    Ok(Exit::Yes)
}

/// The face with some surroundings.
fn cut(image: &RgbImage, face: &crate::annotate::Labelled) -> RgbImage {
    let b = &face.detection.bbox;
    let side = (b.width().max(b.height()) * 1.2).max(8.0) as usize;
    let c = b.centre();
    let (x0, y0) = (c.x as isize - side as isize / 2, c.y as isize - side as isize / 2);
    let mut data = Vec::with_capacity(side * side * 3);
    for y in 0..side as isize {
        for x in 0..side as isize {
            let (px, py) = (x0 + x, y0 + y);
            let inside =
                px >= 0 && py >= 0 && (px as usize) < image.width() && (py as usize) < image.height();
            data.extend(if inside { image.pixel(px as usize, py as usize) } else { [0; 3] });
        }
    }
    RgbImage::new(side, side, data).unwrap_or_else(|_| image.clone())
}

/// A clip that the replay camera reads; others are decoded by ffmpeg into a file that goes with this value.
struct Decoded {
    path: PathBuf,
    is_ours: bool,
}

impl Decoded {
    fn open(clip: &Path, fps: u32) -> Result<Self> {
        let known = ["y4m", "mjpeg", "mjpg", "jpg", "jpeg", "png", "webp"];
        let extension = clip.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        if clip.is_dir() || !clip.exists() || known.contains(&extension.as_str()) {
            return Ok(Self { path: clip.to_owned(), is_ours: false });
        }
        let path = std::env::temp_dir().join(format!("limen-annotate-{}.y4m", std::process::id()));
        let decoded = Self { path, is_ours: true };
        let rate = fps.to_string();
        let status = ffmpeg()
            .args(["-i"])
            .arg(clip)
            .args(["-r", &rate, "-pix_fmt", "yuv444p", "-strict", "-1", "-f", "yuv4mpegpipe"])
            .arg(&decoded.path)
            .status();
        checked(status, "reading", clip)?;
        Ok(decoded)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        if self.is_ours {
            // A temporary file that is gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-y"]).stdout(Stdio::null());
    command
}

fn checked(status: std::io::Result<std::process::ExitStatus>, doing: &str, file: &Path) -> Result<()> {
    match status {
        Ok(s) if s.success() => Ok(()),
        Ok(_) => bail!("{}: ffmpeg failed {doing} it (its own message stands above)", shown(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "{}: {doing} this format needs ffmpeg, which is not installed; install it (apt install ffmpeg) or use .y4m or .mjpeg",
                shown(file)
            )
        }
        Err(e) => Err(e).with_context(|| format!("{}: ffmpeg cannot be started", shown(file))),
    }
}

/// The annotated clip on its way to a file.
struct Writer {
    size: (usize, usize),
    clip: ClipWriter,
    /// The clip that ffmpeg makes the final file of, and that file.
    convert: Option<(PathBuf, PathBuf)>,
}

impl Writer {
    fn create(out: &Path, size: (usize, usize), fps: u32) -> Result<Self> {
        let extension = out.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        let (path, convert) = match extension.as_str() {
            "mp4" | "mkv" | "webm" | "avi" => {
                let between = out.with_extension("between.y4m");
                (between.clone(), Some((between, out.to_owned())))
            }
            _ => (out.to_owned(), None),
        };
        let clip = ClipWriter::create(&path, size.0, size.1, FrameRate::per_second(fps))?;
        Ok(Self { size, clip, convert })
    }

    fn finish(self) -> Result<()> {
        self.clip.finish()?;
        if let Some((between, out)) = self.convert {
            let status = ffmpeg().arg("-i").arg(&between).args(["-pix_fmt", "yuv420p"]).arg(&out).status();
            let converted = checked(status, "writing", &out);
            std::fs::remove_file(&between)
                .with_context(|| format!("{}: cannot be removed", shown(&between)))?;
            converted?;
        }
        Ok(())
    }
}
