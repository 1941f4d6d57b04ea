//! Figures of the running door, as Prometheus and its like read them, on a socket that nobody reaches from elsewhere.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use limen_gallery_db::Event;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Between two looks whether somebody asks.
const NAP: Duration = Duration::from_millis(100);
/// Longest wait for somebody who asks and then says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest question, bytes.
const QUESTION: u64 = 8192;

/// How to write a place.
const HOW: &str = "write unix:PATH, tcp:127.0.0.1:9464 or tcp:[::1]:9464, or \"\" for none";

/// Where the figures are to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// On a socket in the file system.
    Unix(PathBuf),
    /// On a port of this machine, which no other machine reaches.
    Tcp(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("\"{text}\": {why}; {HOW}");
        if text.is_empty() {
            return Ok(Self::Nowhere);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let address = text.strip_prefix("tcp:").ok_or_else(|| bad("no such kind of place"))?;
        let address: SocketAddr = address.parse().map_err(|_| bad("no address and port"))?;
        if !address.ip().is_loopback() {
            return Err(bad("other machines could reach that address, and Limen talks to none"));
        }
        Ok(Self::Tcp(address))
    }
}

/// An event's kind as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    frames: Histogram,
    events: Family<Kind, Counter>,
    camera: Gauge,
    memory: Gauge,
    descriptors: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        // From 1 ms in steps of a tenth to 5 s: fine enough for a percentile.
        let frames = Histogram::new(exponential_buckets(0.001, 1.1, 90));
        let events = Family::<Kind, Counter>::default();
        let (camera, memory, descriptors) = (Gauge::default(), Gauge::default(), Gauge::default());
        let seconds = "From a frame to what is known of the faces on it";
        registry.register_with_unit("limen_frame", seconds, Unit::Seconds, frames.clone());
        registry.register("limen_events", "Lines of the journal by kind", events.clone());
        registry.register("limen_camera_up", "Whether the camera gives pictures", camera.clone());
        let resident = "Memory that the program has for itself";
        registry.register_with_unit("process_resident_memory", resident, Unit::Bytes, memory.clone());
        registry.register("process_open_fds", "Open files, sockets and devices", descriptors.clone());
        Self { registry, frames, events, camera, memory, descriptors }
    }
}

impl Metrics {
    /// A frame was looked at, which took so long.
    pub fn frame(&self, took: Duration) {
        self.frames.observe(took.as_secs_f64());
    }

    /// An event was written down.
    pub fn event(&self, event: &Event) {
        self.events.get_or_create(&Kind { kind: event.kind.as_str() }).inc();
    }

    /// Whether the camera gives pictures.
    pub fn camera(&self, up: bool) {
        self.camera.set(i64::from(up));
    }

    /// All of it in OpenMetrics' text.
    pub fn text(&self) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        // The folder itself is open while it is counted.
        self.descriptors.set(i64::try_from(open).unwrap_or(i64::MAX).saturating_sub(1));
        let mut text = String::new();
        // A `String` takes whatever is written.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Resident memory of this process.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Whom is listened to.
#[derive(Debug)]
pub enum Listener {
    /// On a socket in the file system, which goes when this is dropped.
    Unix(UnixListener, PathBuf),
    /// On a port.
    Tcp(TcpListener),
}

impl Listener {
    /// Begins to listen; `None` for [`Place::Nowhere`].
    pub fn open(place: &Place) -> Result<Option<Self>> {
        let (listener, named) = match place {
            Place::Nowhere => return Ok(None),
            Place::Unix(path) => (unix(path), format!("unix:{}", path.display())),
            Place::Tcp(address) => (tcp(address), format!("tcp:{address}")),
        };
        let cure = "is the folder there, has this user the right to it, does no other program listen there?";
        listener
            .map(Some)
            .with_context(|| format!("metrics.listen = \"{named}\": nobody can be listened to there; {cure}"))
    }

    /// Answers whoever asks, until `stop`.
    pub fn serve(&self, metrics: &Metrics, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let answered = self.accept().and_then(|mut stream| {
                let asked = question(&mut stream)?;
                stream.write_all(answer(&asked, metrics).as_bytes())
            });
            // Nobody there is the usual case, and who goes away in the middle is no fault here.
            if answered.is_err() {
                std::thread::sleep(NAP);
            }
        }
    }

    /// Whoever asks just now, and is not waited for long.
    fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// A connection.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // One that is gone already need not be taken away.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unix(path: &Path) -> io::Result<Listener> {
    // Left by a program that was killed; whatever is no socket is not ours.
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

fn tcp(address: &SocketAddr) -> io::Result<Listener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(listener))
}

/// The first line of a question in HTTP; the rest is read and passed over, since whoever is answered before all was said
/// may lose the answer.
fn question(asks: impl Read) -> io::Result<String> {
    let mut lines = BufReader::new(asks.take(QUESTION)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    Ok(first)
}

/// The answer in HTTP.
fn answer(question: &str, metrics: &Metrics) -> String {
    let (status, kind, body) = match question.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/metrics", _] => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.text())
        }
        _ => ("404 Not Found", "text/plain; charset=utf-8", "GET /metrics\n".to_owned()),
    };
    let length = body.len();
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use limen_gallery_db::{EventKind, Gallery, NewEvent};

    use super::*;

    fn asked(metrics: &Metrics, asks: &str) -> String {
        answer(&question(asks.as_bytes()).unwrap(), metrics)
    }

    #[test]
    fn frames_and_events_are_counted_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
        let metrics = Metrics::default();
        for ms in [3, 7, 40] {
            metrics.frame(Duration::from_millis(ms));
        }
        let event = gallery.append(&NewEvent::new(Timestamp::now(), EventKind::Granted)).unwrap();
        metrics.event(&event);
        metrics.event(&event);
        metrics.camera(true);
        let told = asked(&metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(told.starts_with("HTTP/1.0 200 OK\r\n"), "{told}");
        for line in [
            "limen_frame_seconds_count 3",
            "limen_events_total{kind=\"granted\"} 2",
            "limen_camera_up 1",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "# EOF",
        ] {
            assert!(told.lines().any(|l| l.starts_with(line)), "{line} is missing in\n{told}");
        }
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }

    #[test]
    fn other_questions_get_no_figures() {
        let metrics = Metrics::default();
        for question in ["", "\r\n", "GET / HTTP/1.1\r\n\r\n", "POST /metrics HTTP/1.1\r\n\r\n", "\u{0}\u{1}"]
        {
            assert!(asked(&metrics, question).starts_with("HTTP/1.0 404"), "{question:?}");
        }
        assert!(question([0xff, 0xfe].as_slice()).is_err());
    }

    #[test]
    fn places_are_of_this_machine_alone() {
        assert_eq!("".parse(), Ok(Place::Nowhere));
        assert_eq!("unix:/run/x".parse(), Ok(Place::Unix("/run/x".into())));
        assert!(matches!("tcp:127.0.0.1:9464".parse(), Ok(Place::Tcp(_))));
        assert!(matches!("tcp:[::1]:9464".parse(), Ok(Place::Tcp(_))));
        for (bad, why) in [
            ("unix:", "no such kind"),
            ("9464", "no such kind"),
            ("tcp:9464", "no address"),
            ("tcp:0.0.0.0:9464", "other machines"),
            ("tcp:192.168.1.2:9464", "other machines"),
        ] {
            let e = bad.parse::<Place>().unwrap_err();
            assert!(e.contains(why) && e.contains("unix:PATH"), "{bad}: {e}");
        }
    }

    #[test]
    fn a_socket_is_served_left_ones_are_taken_over_and_it_goes_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.sock");
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::open(&Place::Unix(path.clone())).unwrap().unwrap();
        let (metrics, stop) = (Metrics::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| listener.serve(&metrics, &stop));
            let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut told = String::new();
            stream.read_to_string(&mut told).unwrap();
            stop.store(true, Ordering::SeqCst);
            assert!(told.ends_with("# EOF\n"), "{told}");
        });
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "mine").unwrap();
        let e = Listener::open(&Place::Unix(path.clone())).unwrap_err();
        assert!(format!("{e:#}").contains("metrics.listen"), "{e:#}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
