//! A camera made of files: a picture, a folder of pictures in name order, or a clip, with simulated time.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use limen_models::image::RgbImage;
use limen_models::photo;

use super::clip::ClipKind;
use super::mjpeg::{MjpegError, MjpegReader};
use super::y4m::{Y4mError, Y4mReader};
use super::{Camera, CameraError, CameraSettings, CameraSource, Frame, FrameRate, Pace, Repeat};

/// Endings of files that a folder's replay shows; others are passed over.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// What is played.
enum Reel {
    Pictures { files: Vec<PathBuf>, next: usize, hold: u32, shown: Option<(Picture, u32)> },
    Y4m(Y4mReader<BufReader<File>>),
    Mjpeg(MjpegReader<BufReader<File>>),
}

/// A decoded picture and the name it is reported by.
type Picture = (RgbImage, Arc<str>);

/// A camera that plays files.
pub struct ReplayCamera {
    path: PathBuf,
    name: Arc<str>,
    reel: Reel,
    rate: FrameRate,
    repeat: Repeat,
    pace: Pace,
    opened: Instant,
    seq: u64,
    /// `seq` when the reel last began, to tell an empty round from a full one.
    round_began: u64,
}

impl ReplayCamera {
    /// Opens a picture, a folder or a clip.
    pub fn open(path: &Path, settings: &CameraSettings) -> Result<Self, CameraError> {
        let (reel, rate) = open_reel(path, settings)?;
        Ok(Self {
            path: path.to_owned(),
            name: file_name(path),
            reel,
            rate,
            repeat: settings.repeat,
            pace: settings.pace,
            opened: Instant::now(),
            seq: 0,
            round_began: 0,
        })
    }

    /// Frames a second: the clip's own, else the setting's.
    pub fn rate(&self) -> FrameRate {
        self.rate
    }

    /// How many frames the reel holds, where that is known without reading it: pictures, but not clips.
    pub fn frames(&self) -> Option<u64> {
        match &self.reel {
            Reel::Pictures { files, hold, .. } => Some(files.len() as u64 * u64::from(*hold)),
            Reel::Y4m(_) | Reel::Mjpeg(_) => None,
        }
    }

    fn next_picture(&mut self) -> Result<Option<Picture>, CameraError> {
        let camera = label(&self.path);
        let lost = |e: std::io::Error| CameraError::Lost { camera: label(&self.path), why: e.to_string() };
        match &mut self.reel {
            Reel::Pictures { files, next, hold, shown } => {
                if let Some((picture, left)) = shown.as_mut().filter(|(_, left)| *left > 0) {
                    *left -= 1;
                    return Ok(Some(picture.clone()));
                }
                let index = *next;
                let Some(file) = files.get(index) else { return Ok(None) };
                *next += 1;
                let image = photo::decode_file(file).map_err(|e| CameraError::Corrupt {
                    camera,
                    frame: index as u64,
                    why: e.to_string(),
                })?;
                let picture = (image, file_name(file));
                *shown = (*hold > 1).then(|| (picture.clone(), *hold - 1));
                Ok(Some(picture))
            }
            Reel::Y4m(clip) => match clip.next_image() {
                Ok(image) => Ok(image.map(|i| (i, self.name.clone()))),
                Err(Y4mError::Frame { frame, why }) => {
                    Err(CameraError::Corrupt { camera, frame, why: why.into() })
                }
                Err(Y4mError::Io(e)) => Err(lost(e)),
                Err(e) => Err(CameraError::Unsupported { camera, why: e.to_string() }),
            },
            Reel::Mjpeg(clip) => match clip.next_image() {
                Ok(image) => Ok(image.map(|i| (i, self.name.clone()))),
                Err(MjpegError::Frame { frame, why }) => Err(CameraError::Corrupt { camera, frame, why }),
                Err(MjpegError::Io(e)) => Err(lost(e)),
                Err(e @ MjpegError::Empty) => Err(CameraError::Unsupported { camera, why: e.to_string() }),
            },
        }
    }

    /// Back to the first frame.
    fn rewind(&mut self) -> Result<(), CameraError> {
        let path = &self.path;
        match &mut self.reel {
            Reel::Pictures { next, shown, .. } => {
                *next = 0;
                *shown = None;
            }
            Reel::Y4m(_) => self.reel = open_y4m(path).map_err(gone)?.0,
            Reel::Mjpeg(_) => self.reel = open_mjpeg(path).map_err(gone)?,
        }
        self.round_began = self.seq;
        Ok(())
    }
}

impl Camera for ReplayCamera {
    fn next_frame(&mut self) -> Result<Option<Frame>, CameraError> {
        let mut picture = self.next_picture()?;
        // A round that gave no frame at all would repeat for ever without one.
        if picture.is_none() && self.repeat == Repeat::Forever && self.seq > self.round_began {
            self.rewind()?;
            picture = self.next_picture()?;
        }
        let Some((image, source)) = picture else { return Ok(None) };
        let at = self.rate.at(self.seq);
        if self.pace == Pace::RealTime {
            std::thread::sleep(Duration::from_millis(at.0).saturating_sub(self.opened.elapsed()));
        }
        let frame = Frame { image, seq: self.seq, at, opening: 0, source };
        self.seq += 1;
        Ok(Some(frame))
    }

    fn describe(&self) -> String {
        let what = match &self.reel {
            Reel::Pictures { files, .. } if files.len() == 1 => "one photograph".to_owned(),
            Reel::Pictures { files, .. } => format!("{} photographs", files.len()),
            Reel::Y4m(clip) => format!("Y4M clip, {}x{} px", clip.header().width, clip.header().height),
            Reel::Mjpeg(_) => "MJPEG clip".to_owned(),
        };
        format!("{} ({what}, {})", label(&self.path), self.rate)
    }
}

/// A clip that was there a moment ago may come back.
fn gone(e: CameraError) -> CameraError {
    match e {
        CameraError::NotFound { camera } => CameraError::Lost { camera, why: "the file is gone".to_owned() },
        e => e,
    }
}

fn open_reel(path: &Path, settings: &CameraSettings) -> Result<(Reel, FrameRate), CameraError> {
    let meta = std::fs::metadata(path).map_err(|e| open_error(path, &e))?;
    let hold = settings.hold_frames.max(1);
    let pictures = |files| Reel::Pictures { files, next: 0, hold, shown: None };
    if meta.is_dir() {
        return Ok((pictures(pictures_in(path)?), settings.rate));
    }
    match ClipKind::of(path) {
        Some(ClipKind::Y4m) => {
            let (reel, rate) = open_y4m(path)?;
            Ok((reel, rate.unwrap_or(settings.rate)))
        }
        Some(ClipKind::Mjpeg) => Ok((open_mjpeg(path)?, settings.rate)),
        None if is_picture(path) => Ok((pictures(vec![path.to_owned()]), settings.rate)),
        None => Err(CameraError::Unsupported {
            camera: label(path),
            why: "neither a picture (.jpg, .png, .webp), a folder, nor a .y4m or .mjpeg clip; \
                  other video: ffmpeg -i IN -q:v 3 OUT.mjpeg"
                .into(),
        }),
    }
}

fn open_y4m(path: &Path) -> Result<(Reel, Option<FrameRate>), CameraError> {
    let clip = Y4mReader::new(open_file(path)?).map_err(|e| match e {
        Y4mError::Io(e) => open_error(path, &e),
        e => CameraError::Unsupported { camera: label(path), why: e.to_string() },
    })?;
    let rate = clip.header().rate;
    Ok((Reel::Y4m(clip), rate))
}

fn open_mjpeg(path: &Path) -> Result<Reel, CameraError> {
    let mut file = open_file(path)?;
    // A clip without any picture is refused here and not after the daemon has started.
    match MjpegReader::new(&mut file).next_jpeg() {
        Err(e @ MjpegError::Empty) => {
            return Err(CameraError::Unsupported { camera: label(path), why: e.to_string() });
        }
        Err(MjpegError::Io(e)) => return Err(open_error(path, &e)),
        Ok(_) | Err(MjpegError::Frame { .. }) => {}
    }
    file.rewind().map_err(|e| open_error(path, &e))?;
    Ok(Reel::Mjpeg(MjpegReader::new(file)))
}

fn open_file(path: &Path) -> Result<BufReader<File>, CameraError> {
    Ok(BufReader::with_capacity(1 << 16, File::open(path).map_err(|e| open_error(path, &e))?))
}

/// The folder's pictures, sorted by name.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, CameraError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            if is_picture(&file) && file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    };
    let files = read().map_err(|e| open_error(folder, &e))?;
    if files.is_empty() {
        return Err(CameraError::Unsupported {
            camera: label(folder),
            why: "no photograph (.jpg, .jpeg, .png, .webp) in this folder; its subfolders are not searched"
                .into(),
        });
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| PICTURES.contains(&&*e.to_ascii_lowercase()))
}

fn open_error(path: &Path, e: &std::io::Error) -> CameraError {
    let camera = label(path);
    match e.kind() {
        std::io::ErrorKind::NotFound => CameraError::NotFound { camera },
        _ => CameraError::Unsupported { camera, why: format!("cannot be read: {e}") },
    }
}

fn label(path: &Path) -> String {
    CameraSource::Replay(path.to_owned()).to_string()
}

fn file_name(path: &Path) -> Arc<str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into()
}

#[cfg(test)]
mod tests {
    use super::super::Cure;
    use super::super::clip::ClipWriter;
    use super::*;
    use crate::display::sheet::write_png;
    use crate::time::Millis;

    fn grey(g: u8) -> RgbImage {
        RgbImage::filled(4, 4, [g; 3]).unwrap()
    }

    fn settings() -> CameraSettings {
        CameraSettings { rate: FrameRate::per_second(10), ..CameraSettings::default() }
    }

    /// (seq, at, source, first byte) of each frame, or the damaged frame's number.
    type Seen = Result<(u64, u64, String, u8), u64>;

    fn play(camera: &mut ReplayCamera, most: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < most {
            match camera.next_frame() {
                Ok(None) => break,
                Ok(Some(f)) => seen.push(Ok((f.seq, f.at.0, f.source.to_string(), f.image.data()[0]))),
                Err(e) => {
                    assert_eq!(e.cure(), Cure::Skip, "{e}");
                    let CameraError::Corrupt { frame, .. } = e else { panic!("{e}") };
                    seen.push(Err(frame));
                }
            }
        }
        seen
    }

    #[test]
    fn a_folder_plays_in_name_order_and_holds_each_photograph() {
        let dir = tempfile::tempdir().unwrap();
        for (name, g) in [("b.png", 2), ("a.PNG", 1), ("c.png", 3)] {
            write_png(&grey(g), &dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "no photograph").unwrap();
        let mut cam =
            ReplayCamera::open(dir.path(), &CameraSettings { hold_frames: 2, ..settings() }).unwrap();
        assert_eq!(cam.frames(), Some(6));
        let seen = play(&mut cam, 99);
        let want: Vec<Seen> =
            [("a.PNG", 1), ("a.PNG", 1), ("b.png", 2), ("b.png", 2), ("c.png", 3), ("c.png", 3)]
                .iter()
                .enumerate()
                .map(|(i, (n, g))| Ok((i as u64, i as u64 * 100, (*n).to_owned(), *g)))
                .collect();
        assert_eq!(seen, want);
        assert!(cam.next_frame().unwrap().is_none(), "the end stays the end");
    }

    #[test]
    fn a_damaged_photograph_is_skipped_and_named() {
        let dir = tempfile::tempdir().unwrap();
        write_png(&grey(1), &dir.path().join("1.png")).unwrap();
        std::fs::write(dir.path().join("2.jpg"), "text").unwrap();
        write_png(&grey(3), &dir.path().join("3.png")).unwrap();
        let mut cam = ReplayCamera::open(dir.path(), &settings()).unwrap();
        let seen = play(&mut cam, 99);
        // The sequence has no gap: the damaged file gave no frame.
        assert_eq!(seen, [Ok((0, 0, "1.png".into(), 1)), Err(1), Ok((1, 100, "3.png".into(), 3))]);
    }

    #[test]
    fn clips_play_and_repeat_with_time_going_on() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["c.y4m", "c.mjpeg"] {
            let path = dir.path().join(name);
            let mut w = ClipWriter::create(&path, 4, 4, FrameRate::per_second(4)).unwrap();
            w.write(&grey(10)).unwrap();
            w.write(&grey(250)).unwrap();
            w.finish().unwrap();
            let forever =
                CameraSettings { repeat: Repeat::Forever, rate: FrameRate::per_second(4), ..settings() };
            let mut cam = ReplayCamera::open(&path, &forever).unwrap();
            let seen: Vec<_> = play(&mut cam, 5).into_iter().map(Result::unwrap).collect();
            assert_eq!(
                seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(),
                [(0, 0), (1, 250), (2, 500), (3, 750), (4, 1000)]
            );
            assert!(seen.iter().map(|s| s.3).eq([10, 250, 10, 250, 10]), "{seen:?}");
            assert!(seen.iter().all(|s| s.2 == name));
        }
    }

    #[test]
    fn a_y4m_clip_brings_its_own_rate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.y4m");
        ClipWriter::create(&path, 4, 4, FrameRate::per_second(25)).unwrap().finish().unwrap();
        let mut cam = ReplayCamera::open(&path, &settings()).unwrap();
        assert_eq!(cam.rate(), FrameRate::per_second(25));
        assert!(cam.describe().contains("4x4 px") && cam.describe().contains("25 fps"));
        assert!(cam.next_frame().unwrap().is_none());
    }

    #[test]
    fn a_repeated_reel_without_a_single_good_frame_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1.jpg"), "text").unwrap();
        let forever = CameraSettings { repeat: Repeat::Forever, ..settings() };
        let mut cam = ReplayCamera::open(dir.path(), &forever).unwrap();
        assert_eq!(play(&mut cam, 99), [Err(0)]);

        // Nor does one whose files went away in the middle play damage for ever.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("1.png");
        write_png(&grey(1), &file).unwrap();
        let mut cam = ReplayCamera::open(dir.path(), &forever).unwrap();
        assert_eq!(play(&mut cam, 2).len(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(play(&mut cam, 99), [Err(0)]);
    }

    #[test]
    fn what_cannot_be_played_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let p = dir.path().join(name);
            std::fs::write(&p, content).unwrap();
            p
        };
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        for (path, word) in [
            (file("a.mp4", b"x"), "ffmpeg"),
            (file("a.y4m", b"nonsense"), "too long"),
            (file("a.mjpeg", b"nonsense"), "no JPEG"),
            (empty, "no photograph"),
            (dir.path().join("missing.y4m"), "not found"),
        ] {
            let e = ReplayCamera::open(&path, &settings()).err().unwrap();
            assert_eq!(e.cure(), Cure::Refuse);
            assert!(e.to_string().contains(word), "{e}");
            assert!(e.to_string().contains(&path.display().to_string()), "{e}");
        }
    }

    #[test]
    fn real_time_pace_waits_for_the_frame() {
        let dir = tempfile::tempdir().unwrap();
        write_png(&grey(1), &dir.path().join("1.png")).unwrap();
        let s = CameraSettings {
            hold_frames: 3,
            pace: Pace::RealTime,
            rate: FrameRate::per_second(100),
            ..settings()
        };
        let mut cam = ReplayCamera::open(dir.path(), &s).unwrap();
        while let Some(f) = cam.next_frame().unwrap() {
            assert!(Millis::from(cam.opened.elapsed()) >= f.at);
        }
    }
}
