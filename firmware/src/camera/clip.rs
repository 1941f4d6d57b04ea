//! Clips on disk: which kind a file name means, and one writer for both kinds that leaves no half-written file behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use limen_models::image::RgbImage;
use thiserror::Error;

use super::FrameRate;
use super::mjpeg::{MjpegError, MjpegWriter};
use super::y4m::{Chroma, Header, Y4mError, Y4mWriter};
use super::yuv::Range;

/// JPEG quality of written clips: thin lines and small text stay readable.
const JPEG_QUALITY: u8 = 92;

/// A clip format this program reads and writes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipKind {
    /// YUV4MPEG2, uncompressed.
    Y4m,
    /// JPEG pictures one after the other.
    Mjpeg,
}

impl ClipKind {
    /// By the file name's ending: `.y4m`, `.mjpeg`, `.mjpg`.
    pub fn of(path: &Path) -> Option<Self> {
        let ext = path.extension()?.to_str()?.to_ascii_lowercase();
        match ext.as_str() {
            "y4m" => Some(Self::Y4m),
            "mjpeg" | "mjpg" => Some(Self::Mjpeg),
            _ => None,
        }
    }
}

/// Why a clip cannot be written.
#[derive(Debug, Error)]
pub enum ClipError {
    /// The name ends in nothing we write.
    #[error("{path}: a clip's name must end in .y4m or .mjpeg")]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// The system said no.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The picture does not fit into the clip.
    #[error("{path}: {why}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
}

enum Encoder {
    Y4m(Y4mWriter<BufWriter<File>>),
    Mjpeg(MjpegWriter<BufWriter<File>>),
}

/// A clip being written. The file has its name only after [`ClipWriter::finish`]; a writer dropped before that removes
/// what it wrote.
pub struct ClipWriter {
    encoder: Option<Encoder>,
    path: PathBuf,
    part: PathBuf,
}

impl ClipWriter {
    /// Starts a clip of `width` x `height` px; its kind follows from the name of `path`. Y4M is written as 4:4:4 in
    /// full range, which keeps thin coloured lines.
    pub fn create(path: &Path, width: usize, height: usize, rate: FrameRate) -> Result<Self, ClipError> {
        let kind = ClipKind::of(path).ok_or_else(|| ClipError::Kind { path: path.to_owned() })?;
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".part");
        let part = path.with_file_name(name);
        let file =
            File::create(&part).map_err(|source| ClipError::Write { path: path.to_owned(), source })?;
        let mut clip = Self { encoder: None, path: path.to_owned(), part };
        let output = BufWriter::new(file);
        clip.encoder = Some(match kind {
            ClipKind::Y4m => {
                let header =
                    Header { width, height, rate: Some(rate), chroma: Chroma::C444, range: Range::Full };
                Encoder::Y4m(Y4mWriter::new(output, header).map_err(|e| clip.y4m(e))?)
            }
            ClipKind::Mjpeg => Encoder::Mjpeg(MjpegWriter::new(output, JPEG_QUALITY)),
        });
        Ok(clip)
    }

    /// Appends one picture. A Y4M clip takes only its own size.
    pub fn write(&mut self, image: &RgbImage) -> Result<(), ClipError> {
        let result = match &mut self.encoder {
            Some(Encoder::Y4m(w)) => w.write_image(image).map_err(Failure::Y4m),
            Some(Encoder::Mjpeg(w)) => w.write_image(image).map_err(Failure::Mjpeg),
            None => Ok(()),
        };
        result.map_err(|e| match e {
            Failure::Y4m(e) => self.y4m(e),
            Failure::Mjpeg(e) => self.mjpeg(e),
        })
    }

    /// Writes everything to disk and gives the file its name.
    pub fn finish(mut self) -> Result<(), ClipError> {
        let output = match self.encoder.take() {
            Some(Encoder::Y4m(w)) => w.finish().map_err(|e| self.y4m(e))?,
            Some(Encoder::Mjpeg(w)) => w.finish().map_err(|e| self.mjpeg(e))?,
            None => return Ok(()),
        };
        let done = output.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            std::fs::rename(&self.part, &self.path)
        });
        done.map_err(|source| ClipError::Write { path: self.path.clone(), source })
    }

    fn y4m(&self, e: Y4mError) -> ClipError {
        let path = self.path.clone();
        match e {
            Y4mError::Io(source) => ClipError::Write { path, source },
            other => ClipError::Picture { path, why: other.to_string() },
        }
    }

    fn mjpeg(&self, e: MjpegError) -> ClipError {
        let path = self.path.clone();
        match e {
            MjpegError::Io(source) => ClipError::Write { path, source },
            other => ClipError::Picture { path, why: other.to_string() },
        }
    }
}

enum Failure {
    Y4m(Y4mError),
    Mjpeg(MjpegError),
}

impl Drop for ClipWriter {
    fn drop(&mut self) {
        // After a rename there is nothing of this name left.
        let _ = std::fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_follows_from_the_name() {
        assert_eq!(ClipKind::of(Path::new("a.Y4M")), Some(ClipKind::Y4m));
        assert_eq!(ClipKind::of(Path::new("b/a.mjpg")), Some(ClipKind::Mjpeg));
        assert_eq!(ClipKind::of(Path::new("a.mp4")), None);
        let e = ClipWriter::create(Path::new("a.mp4"), 2, 2, FrameRate::per_second(1)).err().unwrap();
        assert!(e.to_string().contains(".mjpeg"), "{e}");
    }

    #[test]
    fn a_clip_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let im = RgbImage::filled(8, 6, [10, 200, 30]).unwrap();
        for name in ["a.y4m", "a.mjpeg"] {
            let path = dir.path().join(name);
            let mut w = ClipWriter::create(&path, 8, 6, FrameRate::per_second(5)).unwrap();
            w.write(&im).unwrap();
            drop(w);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "an abandoned clip leaves nothing");

            let mut w = ClipWriter::create(&path, 8, 6, FrameRate::per_second(5)).unwrap();
            w.write(&im).unwrap();
            w.write(&im).unwrap();
            assert!(!path.exists());
            w.finish().unwrap();
            assert!(path.exists() && std::fs::read_dir(dir.path()).unwrap().count() == 1);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let e = ClipWriter::create(Path::new("/nonexistent/a.y4m"), 8, 6, FrameRate::per_second(5));
        assert!(e.err().unwrap().to_string().starts_with("/nonexistent/a.y4m"));
    }
}
