//! `limen run`, all wiring: camera thread -> slot of one -> recognition thread -> act thread. Whatever dies ends all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use limen_gallery_db::Gallery;
use limen_gallery_db::event::{Event, EventKind};

use crate::act::Actor;
use crate::camera::{self, CameraSource, Cure, Frame};
use crate::config::Config;
use crate::recognise::{GalleryFile, Recogniser, Seen, Watch};
use crate::relay::{self, Pulse};
use crate::slot::{Overtake, Slot};
use crate::time::Millis;
use crate::{display, track};

/// Longest sleep of any thread, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(100);
/// Between two tries to open a lost camera.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Verdicts on their way to the act thread; the recogniser waits when it is full.
const MESSAGES: usize = 4;

/// What the act thread hears.
enum Message {
    Seen(Seen),
    CameraLost(String),
    CameraBack,
}

/// How time passes at the door.
#[derive(Clone, Copy)]
enum Clock {
    /// As on the wall.
    Real(Instant),
    /// As in the clip, frame by frame.
    Clip,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames looked at.
    pub frames: u64,
    /// Doors opened.
    pub granted: u64,
    /// Denials written down.
    pub denied: u64,
}

/// Watches the door until `stop` is set or the clip ends. `report` hears every event as it is written.
pub fn run(config: &Config, stop: &AtomicBool, report: &mut (dyn FnMut(&Event) + Send)) -> Result<Summary> {
    let source: CameraSource = config.camera.source.parse()?;
    let relay_source: relay::RelaySource = config.door.relay.parse()?;
    let clip_time = source.is_fake() && config.camera.every_frame;
    let recogniser = Recogniser::open(config, None, GalleryFile::MayBeNew)?;
    let door = (recogniser.model.clone(), recogniser.policy.threshold);
    let relay = relay::open(&relay_source, config.door.active_level, config.door.gpio_driver)?;
    let pulse = Pulse::new(config.door.fail, config.door.pulse_ms, config.door.max_open_ms)?;
    let panel = display::panel::open(&config.display.panel.parse()?, config.panel_settings())?;
    let journal = Gallery::open(&config.gallery.file)?;
    let mut actor = Actor::new(relay, pulse, panel, journal, door, config.display.verdict_ms)?;
    report(&actor.note(EventKind::Started, Timestamp::now())?);

    let watch = Watch::new(
        recogniser,
        track::Settings {
            min_iou: 0.3,
            min_likeness: config.decision.same_face,
            lost_after_ms: 1000,
            samples: 5,
        },
        config.models.full_search_ms,
    );
    let slot = Slot::default();
    let (send, receive) = sync_channel(MESSAGES);
    let lost = send.clone();
    let clock = if clip_time { Clock::Clip } else { Clock::Real(Instant::now()) };
    let overtake = if clip_time { Overtake::Wait } else { Overtake::NewestWins };

    let summary: Result<Summary> = std::thread::scope(|scope| {
        let camera = scope.spawn(|| {
            let ending = Ending { stop, slot: &slot };
            let result = film(config, &source, &slot, overtake, stop, &lost);
            drop(lost);
            ending.natural(result)
        });
        let recognition = scope.spawn(|| {
            let ending = Ending { stop, slot: &slot };
            let result = recognise(watch, &slot, send);
            ending.natural(result)
        });
        let act = scope.spawn(|| {
            let ending = Ending { stop, slot: &slot };
            let result = act(&mut actor, &receive, clock, stop, report);
            // Whoever waits to say something is told that nobody listens.
            drop(receive);
            ending.natural(result)
        });
        let results = [camera.join(), recognition.join()];
        let acted = act.join().map_err(|_| anyhow!("the act thread died"))?;
        for (name, result) in ["camera", "recognition"].into_iter().zip(results) {
            result.map_err(|_| anyhow!("the {name} thread died"))??;
        }
        acted
    });
    let ending = if summary.is_ok() { EventKind::Stopped } else { EventKind::Fault };
    match actor.note(ending, Timestamp::now()) {
        Ok(event) => report(&event),
        // What ended the run is told first; a journal that cannot be written may be the very cause.
        Err(e) if summary.is_ok() => return Err(e),
        Err(_) => {}
    }
    summary
}

/// Ends the other threads when this one ends, be it by an error or a panic.
struct Ending<'a> {
    stop: &'a AtomicBool,
    slot: &'a Slot<Frame>,
}

impl Ending<'_> {
    /// An end that is no fault leaves the others to finish what is on its way.
    fn natural<T>(self, result: Result<T>) -> Result<T> {
        if result.is_ok() {
            self.slot.close();
            std::mem::forget(self);
        }
        result
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.slot.close();
    }
}

/// Camera thread: frames into the slot; a lost camera is opened again until the program stops.
fn film(
    config: &Config,
    source: &CameraSource,
    slot: &Slot<Frame>,
    overtake: Overtake,
    stop: &AtomicBool,
    lost: &SyncSender<Message>,
) -> Result<()> {
    let settings = config.camera_settings();
    let mut told = false;
    while !stop.load(Ordering::SeqCst) {
        let mut camera = match camera::open(source, &settings) {
            Ok(camera) => camera,
            Err(e) if e.cure() == Cure::Reopen => {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("limen: warning: {e}");
                    let _ = lost.send(Message::CameraLost("Camera not found".into()));
                }
                nap(REOPEN_AFTER, stop);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        eprintln!("limen: camera: {}", camera.describe());
        if std::mem::take(&mut told) {
            let _ = lost.send(Message::CameraBack);
        }
        while !stop.load(Ordering::SeqCst) {
            match camera.next_frame() {
                Ok(Some(frame)) => {
                    if !slot.put(frame, overtake) {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(e) => match e.cure() {
                    Cure::Skip => eprintln!("limen: warning: {e}"),
                    Cure::Reopen => {
                        eprintln!("limen: warning: {e}");
                        let _ = lost.send(Message::CameraLost("Camera lost".into()));
                        told = true;
                        nap(REOPEN_AFTER, stop);
                        break;
                    }
                    Cure::Refuse => return Err(e.into()),
                },
            }
        }
    }
    Ok(())
}

fn nap(length: Duration, stop: &AtomicBool) {
    let end = Instant::now() + length;
    while Instant::now() < end && !stop.load(Ordering::SeqCst) {
        std::thread::sleep(NAP);
    }
}

/// Recognition thread.
fn recognise(mut watch: Watch, slot: &Slot<Frame>, send: SyncSender<Message>) -> Result<()> {
    while let Some(frame) = slot.take() {
        let seen = watch.look(Arc::new(frame), Timestamp::now())?;
        if send.send(Message::Seen(seen)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Act thread: the only one that touches relay, panel and journal.
fn act(
    actor: &mut Actor,
    receive: &Receiver<Message>,
    clock: Clock,
    stop: &AtomicBool,
    report: &mut (dyn FnMut(&Event) + Send),
) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut now = Millis::ZERO;
    let real = |start: Instant| Millis::from(start.elapsed());
    loop {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let message = match clock {
            Clock::Clip => receive.recv_timeout(NAP),
            Clock::Real(start) => {
                now = real(start);
                actor.tick(now)?;
                let wait = actor.deadline().map_or(NAP, |d| Duration::from_millis(d.since(now)).min(NAP));
                receive.recv_timeout(wait)
            }
        };
        match message {
            Ok(Message::Seen(seen)) => {
                now = match clock {
                    Clock::Clip => seen.frame.at,
                    Clock::Real(start) => real(start),
                };
                summary.frames += 1;
                for event in actor.frame(&seen, now, Timestamp::now())? {
                    match event.kind {
                        EventKind::Granted => summary.granted += 1,
                        EventKind::Denied => summary.denied += 1,
                        _ => {}
                    }
                    report(&event);
                }
            }
            Ok(Message::CameraLost(note)) => report(&actor.out_of_order(now, Timestamp::now(), &note)?),
            Ok(Message::CameraBack) => report(&actor.note(EventKind::CameraBack, Timestamp::now())?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let clip_ended = matches!(clock, Clock::Clip) && !stop.load(Ordering::SeqCst);
    actor.finish(now, clip_ended).context("the door could not be shut")?;
    Ok(summary)
}
