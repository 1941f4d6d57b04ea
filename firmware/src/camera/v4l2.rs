//! Video4Linux cameras: capture into memory-mapped buffers, single- or multi-planar, the newest frame wins.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::buffer::Flags as BufferFlags;
use v4l::format::{Colorspace, FourCC, Quantization};
use v4l::video::capture::Parameters;
use v4l::{Device, Format, Fraction};

use super::exposure::Exposure;
use super::yuv::Range;
use super::{Camera, CameraError, CameraSettings, CameraSource, Frame};
use crate::time::Millis;

mod controls;
mod ioctl;
pub mod layout;
mod mplane;
mod stream;

use controls::Controls;
use layout::Layout;
use stream::{Planar, Stream, newest};

/// A camera silent for longer is lost: no webcam exposes for more than a second.
const STALL: Duration = Duration::from_secs(3);

/// An open, streaming device.
pub struct V4l2Camera {
    camera: String,
    source: Arc<str>,
    card: String,
    planar: Planar,
    layout: Layout,
    format: Format,
    range: Option<Range>,
    stream: Option<Box<dyn Stream>>,
    /// Where the exposure is ours to see to.
    controls: Option<Controls>,
    opened: Instant,
    clock: BufferClock,
    seq: u64,
}

/// When frames were taken: the driver's stamps, brought to the time since the camera opened.
#[derive(Debug, Default)]
struct BufferClock {
    /// The stamp that time is counted from, and that time.
    first: Option<(Duration, Millis)>,
}

impl BufferClock {
    /// When the frame of this `stamp` was taken that is there at `now`; a driver that does not tell took it now.
    fn at(&mut self, stamp: Option<Duration>, now: Millis) -> Millis {
        let Some(stamp) = stamp else { return now };
        let (first, begun) = *self.first.get_or_insert((stamp, now));
        let taken = begun.plus(Millis::from(stamp.saturating_sub(first)).0).min(now);
        if now.since(taken) > Millis::from(STALL).0 {
            // A clock that was set, or that stands still.
            self.first = Some((stamp, now));
            return now;
        }
        taken
    }
}

impl V4l2Camera {
    /// Opens the device file, agrees on a format and prepares streaming.
    pub fn open(path: &Path, settings: &CameraSettings) -> Result<Self, CameraError> {
        // The binding panics on a driver that reports a value it does not know; that ends here.
        std::panic::catch_unwind(|| Self::negotiate(path, settings)).unwrap_or_else(|_| {
            Err(CameraError::Unsupported {
                camera: CameraSource::V4l2(path.to_owned()).to_string(),
                why: "its driver answers what V4L2 does not define; try another driver or camera".into(),
            })
        })
    }

    fn negotiate(path: &Path, settings: &CameraSettings) -> Result<Self, CameraError> {
        let camera = CameraSource::V4l2(path.to_owned()).to_string();
        let fail = |e: io::Error| device_error(&camera, path, &e);
        let unusable = |why: String| CameraError::Unsupported { camera: camera.clone(), why };

        let device = Device::with_path(path).map_err(fail)?;
        ioctl::keep(&device.handle()).map_err(fail)?;
        let caps = device.query_caps().map_err(|_| unusable(not_a_camera(path)))?;
        let planar = Planar::of(caps.capabilities).map_err(|why| unusable(why.to_owned()))?;

        let offered = planar.formats(&device).map_err(fail)?;
        if offered.is_empty() {
            let why = "it offers no picture format, as a bridge does whose source gives no pictures".into();
            return Err(CameraError::Lost { camera, why });
        }
        let layout = Layout::choose(&offered, settings.format).map_err(unusable)?;
        let wish = Format::new(settings.width_px, settings.height_px, FourCC::new(&layout.fourcc()));
        let rate = Parameters::new(Fraction::new(settings.rate.den(), settings.rate.num()));
        let format = planar.set(&device, &wish, rate).map_err(fail)?;
        if format.fourcc.repr != layout.fourcc() {
            return Err(unusable(format!("it offered {} and then chose {}", wish.fourcc, format.fourcc)));
        }
        let stream = planar.stream(&device, STALL).map_err(fail)?;
        let by_faces = settings.exposure == Exposure::Faces;
        Ok(Self {
            source: path.to_string_lossy().into(),
            camera,
            card: caps.card,
            planar,
            layout,
            range: range(&format),
            format,
            stream: Some(stream),
            controls: by_faces.then(|| Controls::of(device.handle(), settings.rate)),
            opened: Instant::now(),
            clock: BufferClock::default(),
            seq: 0,
        })
    }

    fn lost(&mut self, why: String) -> CameraError {
        self.close();
        CameraError::Lost { camera: self.camera.clone(), why }
    }

    /// Ends the stream and lets go of the device. The V4L2 binding panics where a half-gone driver refuses to stop; such a panic ends here.
    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(stream)));
        }
        self.controls = None;
    }
}

impl Camera for V4l2Camera {
    fn next_frame(&mut self) -> Result<Option<Frame>, CameraError> {
        let Some(stream) = self.stream.as_mut() else {
            return Err(self.lost("it was lost before".into()));
        };
        let (w, h, stride) =
            (self.format.width as usize, self.format.height as usize, self.format.stride as usize);
        let (layout, range) = (self.layout, self.range);
        let mut stamp = None;
        let taken = newest(&mut **stream, |bytes, meta| {
            if meta.flags.contains(BufferFlags::TIMESTAMP_MONOTONIC) {
                let (seconds, micros) = (meta.timestamp.sec, meta.timestamp.usec);
                let parts = u64::try_from(seconds).ok().zip(u64::try_from(micros).ok());
                stamp = parts.map(|(s, us)| Duration::from_secs(s).saturating_add(Duration::from_micros(us)));
            }
            if meta.flags.contains(BufferFlags::ERROR) {
                return Err("the driver marks it as damaged".to_owned());
            }
            // Some drivers leave `bytesused` at 0 for raw frames.
            let used = meta.bytesused as usize;
            let data = if used == 0 { bytes } else { &bytes[..used.min(bytes.len())] };
            layout.decode(data, w, h, stride, range)
        });
        let at = self.clock.at(stamp, self.opened.elapsed().into());
        match taken {
            Ok(Ok(image)) => {
                let frame = Frame { image, seq: self.seq, at, opening: 0, source: self.source.clone() };
                self.seq += 1;
                Ok(Some(frame))
            }
            Ok(Err(why)) => Err(CameraError::Corrupt { camera: self.camera.clone(), frame: self.seq, why }),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                Err(self.lost(format!("no frame for {} s", STALL.as_secs())))
            }
            Err(e) => Err(self.lost(e.to_string())),
        }
    }

    fn meter(&mut self, luma: f32) -> Result<(), CameraError> {
        let Some(controls) = &mut self.controls else { return Ok(()) };
        controls.meter(luma).map_err(|e| {
            self.controls = None;
            CameraError::Exposure { camera: self.camera.clone(), why: e.to_string() }
        })
    }

    fn describe(&self) -> String {
        let Format { width, height, fourcc, .. } = self.format;
        let planar = if self.planar == Planar::Multi { ", multi-planar" } else { "" };
        let exposed = self.controls.as_ref().map_or(String::new(), |c| format!("; {}", c.describe()));
        format!("{} ({}, {width}x{height} px {fourcc}{planar}{exposed})", self.camera, self.card)
    }
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        self.close();
    }
}

/// The range the driver states or implies; `None` leaves it to the layout.
fn range(format: &Format) -> Option<Range> {
    match (format.quantization, format.colorspace) {
        (Quantization::FullRange, _) | (Quantization::Default, Colorspace::JPEG) => Some(Range::Full),
        (Quantization::LimitedRange, _) => Some(Range::Limited),
        (Quantization::Default, _) => None,
    }
}

/// What the system's error on the device file means for a person.
fn device_error(camera: &str, path: &Path, e: &io::Error) -> CameraError {
    /// errno values of Linux, the same on all its architectures that we build for.
    const ENXIO: i32 = 6;
    const EBUSY: i32 = 16;
    const ENODEV: i32 = 19;
    const ENOTTY: i32 = 25;
    let camera = camera.to_owned();
    match (e.kind(), e.raw_os_error()) {
        (io::ErrorKind::NotFound, _) | (_, Some(ENXIO | ENODEV)) => CameraError::NotFound { camera },
        (_, Some(EBUSY)) => CameraError::Busy { camera },
        (io::ErrorKind::PermissionDenied, _) => CameraError::Unsupported {
            camera,
            why: "no permission; add the user of this program to the group `video`".into(),
        },
        (_, Some(ENOTTY)) | (io::ErrorKind::IsADirectory, _) => {
            CameraError::Unsupported { camera, why: not_a_camera(path) }
        }
        _ => CameraError::Unsupported { camera, why: format!("cannot be opened: {e}") },
    }
}

fn not_a_camera(path: &Path) -> String {
    format!("{} is not a Video4Linux device; cameras are /dev/video0 and its kin", path.display())
}

#[cfg(test)]
mod tests {
    use super::super::Cure;
    use super::*;

    fn open_error(path: &str) -> CameraError {
        V4l2Camera::open(Path::new(path), &CameraSettings::default()).err().unwrap()
    }

    #[test]
    fn a_device_that_is_not_there_may_come_back() {
        let e = open_error("/dev/limen-no-such-video");
        assert!(matches!(e, CameraError::NotFound { .. }), "{e}");
        assert_eq!(e.cure(), Cure::Reopen);
        assert!(e.to_string().contains("cable"), "{e}");
    }

    #[test]
    fn a_file_or_device_of_another_kind_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path().to_str().unwrap(), "/dev/null"] {
            let e = open_error(path);
            assert_eq!(e.cure(), Cure::Refuse);
            assert!(e.to_string().contains("not a Video4Linux device"), "{e}");
        }
    }

    #[test]
    fn errno_tells_busy_from_forbidden() {
        let map =
            |n| device_error("v4l2:/dev/video0", Path::new("/dev/video0"), &io::Error::from_raw_os_error(n));
        assert!(matches!(map(16), CameraError::Busy { .. }));
        assert!(map(13).to_string().contains("group `video`"));
        assert!(matches!(map(19), CameraError::NotFound { .. }));
        assert!(map(22).to_string().contains("cannot be opened"));
    }

    #[test]
    fn frames_are_taken_when_the_driver_says_but_not_later_than_now() {
        let mut clock = BufferClock::default();
        let mut at = |stamp: Option<u64>, now| clock.at(stamp.map(Duration::from_millis), Millis(now)).0;
        assert_eq!(at(Some(70_000), 500), 500);
        // Taken 40 ms after the first, looked at 300 ms after it.
        assert_eq!(at(Some(70_040), 800), 540);
        assert_eq!(at(Some(71_000), 1400), 1400, "ahead of our own clock");
        assert_eq!(at(None, 1500), 1500);
        // The driver's clock stands still: after the longest silence of a camera it is believed no more.
        assert_eq!(at(Some(71_000), 5000), 5000);
        assert_eq!(at(Some(71_010), 5020), 5010);
    }

    #[test]
    fn the_range_follows_the_driver() {
        let format = |quantization, colorspace| {
            range(&Format { quantization, colorspace, ..Format::new(2, 2, FourCC::new(b"YUYV")) })
        };
        assert_eq!(format(Quantization::Default, Colorspace::SRGB), None);
        assert_eq!(format(Quantization::Default, Colorspace::JPEG), Some(Range::Full));
        assert_eq!(format(Quantization::LimitedRange, Colorspace::JPEG), Some(Range::Limited));
        assert_eq!(format(Quantization::FullRange, Colorspace::SRGB), Some(Range::Full));
    }
}
