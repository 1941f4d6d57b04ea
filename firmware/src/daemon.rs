//! `limen run`, all wiring: camera thread -> slot of one -> recognition thread -> act thread, and where faces are goes back
//! to the camera thread, which exposes by them. Whatever dies ends all, and
//! what hangs ends the program.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use limen_gallery_db::Gallery;
use limen_gallery_db::event::{Event, EventKind};
use limen_gallery_db::score::Threshold;
use limen_models::geometry::BBox;

use crate::act::attend;
use crate::act::{Actor, Voice};
use crate::camera::damage::Damage;
use crate::camera::exposure::Exposure;
use crate::camera::meter::Meter;
use crate::camera::{self, Camera, CameraSource, Cure, Frame};
use crate::config::Config;
use crate::controls::{self, Input, TouchSource};
use crate::decide::{Policy, Readers};
use crate::display::screens::enrol::Reach;
use crate::display::{self, Stage};
use crate::doorway::{Change, Doorway};
use crate::gate::{Gate, House};
use crate::input::qr::{self, Lookout};
use crate::input::strangers::{self, Keyboard};
use crate::input::{self, Reader, Sending, Shown, What, keyboard, wiegand};
use crate::inputs;
use crate::metrics::{Listener, Metrics};
use crate::pin::{Answer, Question};
use crate::plugged;
use crate::recognise::{GalleryFile, Recogniser, Seen, Watch};
use crate::relay::{self, Pulse};
use crate::slot::{Overtake, Slot, Taken};
use crate::sound::Player;
use crate::supervise::{self, Heart, Hearts, Watchdogs};
use crate::time::Millis;
use crate::track;

/// Longest sleep of any thread, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(100);
/// How often signals are looked for.
const LISTEN: Duration = Duration::from_millis(25);
/// Longest wait for a frame in one go.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries to open a lost camera.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// The exit code of a program one of whose threads hung.
const HUNG: i32 = 6;
/// Verdicts on their way to the act thread; the recogniser waits when it is full.
const MESSAGES: usize = 4;

/// What the act thread hears.
enum Message {
    Seen(Seen),
    /// Which of the camera's openings is over, if one was.
    CameraLost(Option<u32>),
    CameraBack,
    Switch(Change),
    /// Somebody at the device did something.
    Press(Input),
    /// Digits were compared with the PIN, or hashed.
    Pin(Answer),
    /// Somebody showed something to a reader.
    Shown(Shown),
    /// A keyboard was plugged in that nobody told of.
    Stranger(Keyboard),
    /// No frame will come any more.
    Ended,
}

/// How time passes at the door.
#[derive(Clone, Copy)]
enum Clock {
    /// As on the wall.
    Real(Instant),
    /// As in the clip, frame by frame.
    Clip,
}

impl Clock {
    /// The moment, which is `clip` on a clip's clock.
    fn now(self, clip: Millis) -> Millis {
        match self {
            Self::Real(start) => start.elapsed().into(),
            Self::Clip => clip,
        }
    }
}

/// What a running daemon is told from outside.
#[derive(Debug, Default)]
pub struct Orders {
    /// End.
    pub stop: Arc<AtomicBool>,
    /// Read the configuration again.
    pub reload: Arc<AtomicBool>,
    /// Where it lies; `None` where it lies in no file.
    pub config: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// What it came to.
    pub summary: Summary,
    /// The configuration to go on with, where one was read again.
    pub next: Option<Config>,
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

impl Summary {
    fn count(&mut self, event: &Event) {
        match event.kind {
            EventKind::Granted => self.granted += 1,
            EventKind::Denied => self.denied += 1,
            _ => {}
        }
    }
}

/// Watches the door until it is told otherwise or the clip ends. `report` hears every event as it is written.
pub fn run(config: &Config, orders: &Orders, report: &mut (dyn FnMut(&Event) + Send)) -> Result<Ended> {
    let source: CameraSource = config.camera.source.parse()?;
    let relay_source: relay::RelaySource = config.door.relay.parse()?;
    let clip_time = source.is_fake() && config.camera.every_frame;
    let recogniser = Recogniser::open(config, None, GalleryFile::MayBeNew)?;
    let settings = attendance(config, &recogniser)?;
    let relay = relay::open(&relay_source, config.door.active_level, config.door.gpio_driver)?;
    let wired = inputs::wired(&config.inputs).map_err(|(field, why)| anyhow!("{field}: {why}"))?;
    let switches: Vec<_> = wired
        .iter()
        .map(|w| Ok((w.switch, inputs::open(&w.wire)?)))
        .collect::<Result<_, relay::RelayError>>()?;
    let touch: TouchSource = config.controls.touch.parse().map_err(anyhow::Error::msg)?;
    let buttons = controls::buttons(&config.controls).map_err(|(field, why)| anyhow!("{field}: {why}"))?;
    let buttons: Vec<_> = buttons
        .into_iter()
        .map(|b| Ok((b.name(), b.input, inputs::open(&b.wire)?)))
        .collect::<Result<_, relay::RelayError>>()?;
    let readers = input::named(&config.readers).map_err(|(field, why)| anyhow!("{field}: {why}"))?;
    let wiegand = readers.wiegand.as_ref().map(input::open_wiegand).transpose()?;
    let controller = match &readers.controller {
        Some((d0, d1, sending)) => Some((input::open_controller(d0, d1)?, *sending)),
        None => None,
    };
    let pulse = Pulse::new(config.door.fail, config.door.pulse_ms, config.door.max_open_ms)?;
    let doorway = Doorway::new(config.inputs.held_open_ms);
    let simulated = source.is_fake() || relay_source.is_fake();
    let (player, cues) = (Player::new(&config.sound), Arc::default());
    let voice = Voice {
        panel: display::panel::open(&config.display.panel.parse()?, config.panel_settings())?,
        language: config.language()?.into(),
        stage: if simulated { Stage::Demo } else { Stage::Real },
        verdict_ms: config.display.verdict_ms,
        reach: if config.display.low { Reach::Low } else { Reach::Standing },
        cues: Arc::clone(&cues),
    };
    let journal = Gallery::open(&config.gallery.file)?;
    let reads = !readers.typing.is_empty() || readers.wiegand.is_some() || config.readers.qr_every_ms > 0;
    let known_by = if reads { Readers::Some } else { Readers::None };
    let policy = Policy { readers: known_by, ..recogniser.policy };
    let gate = Gate::new(policy, recogniser.model.clone(), House::of(&journal, &config.door.name)?);
    let mut actor = Actor::new(relay, (pulse, doorway), voice, journal, (recogniser.model.clone(), gate))?;
    let attended = touch != TouchSource::None || !buttons.is_empty();
    if attended {
        actor.attend(settings);
    }
    let panel_px = actor.panel_px();
    let listener = Listener::open(&config.metrics.listen.parse().map_err(anyhow::Error::msg)?)?;
    let metrics = &Metrics::default();
    // The newest is sent; one that is on its way is sent to its end.
    let cards = &Slot::default();
    let sending = controller.as_ref().map(|(_, sending)| *sending);
    let report = &mut |event: &Event| {
        metrics.event(event);
        if let Some(card) = sending.and_then(|sending| card_of(event, sending)) {
            cards.put(card, Overtake::NewestWins);
        }
        report(event);
    };
    let mut watchdogs = Watchdogs::open(&config.watchdog.device)?;
    report(&actor.note(EventKind::Started, Timestamp::now())?);
    watchdogs.ready("watching the door");

    let watch = Watch::new(
        recogniser,
        track::Settings {
            min_iou: 0.3,
            min_likeness: config.decision.same_face,
            lost_after_ms: config.decision.lost_after_ms,
            samples: 5,
        },
        config.models.full_search_ms,
    );
    let stop = &AtomicBool::new(false);
    let (slot, faces) = (&Slot::default(), &Slot::default());
    let pictures = Arc::new(Slot::default());
    let lookout = Lookout::new(config.readers.qr_every_ms);
    let hearts = &Hearts::new(config.watchdog.silent_ms);
    let (send, receive) = sync_channel(MESSAGES);
    let (lost, told) = (send.clone(), send.clone());
    // One of the menu's at a time, and one of the readers': both wait for their answer.
    let (ask, asked) = sync_channel(2);
    let clock = if clip_time { Clock::Clip } else { Clock::Real(Instant::now()) };
    let overtake = if clip_time { Overtake::Wait } else { Overtake::NewestWins };
    let (hands, heard) = (&mut actor, &mut *report);
    let mut next = None;

    let summary: Result<Summary> = std::thread::scope(|scope| {
        let together = Ending { stop, slot };
        let camera = start(scope, hearts.camera.name, move || {
            let ending = Ending { stop, slot };
            let result =
                film(config, &source, (slot, overtake), faces, stop, &lost, (&hearts.camera, metrics));
            drop(lost);
            ending.natural(result)
        })?;
        for (switch, mut sense) in switches {
            let told = told.clone();
            start(scope, switch.name(), move || {
                let ending = Ending { stop, slot };
                let change = |active| Message::Switch(switch.change(active));
                ending.natural(listen(stop, &told, || Ok(sense.next(NAP)?.map(change))))
            })?;
        }
        for (name, input, mut sense) in buttons {
            let told = told.clone();
            start(scope, name, move || {
                let ending = Ending { stop, slot };
                let mut known = false;
                let mut press = || controls::press(&mut *sense, &mut known, input, NAP);
                ending.natural(listen(stop, &told, || Ok(press()?.map(Message::Press))))
            })?;
        }
        if let (TouchSource::Evdev(path), Some(size)) = (touch, panel_px) {
            let told = told.clone();
            start(scope, "touch", move || {
                let ending = Ending { stop, slot };
                controls::watch(&path, size, stop, &mut |input| told.send(Message::Press(input)).is_ok());
                ending.natural(Ok(()))
            })?;
        }
        let typing: Vec<PathBuf> = readers.typing.iter().map(|(_, path)| path.clone()).collect();
        for (reader, path) in &readers.typing {
            let told = told.clone();
            start(scope, reader.name(), move || {
                let ending = Ending { stop, slot };
                let send = &mut |shown| told.send(Message::Shown(shown)).is_ok();
                keyboard::watch(path, *reader, stop, send);
                ending.natural(Ok(()))
            })?;
        }
        if !typing.is_empty() {
            let told = told.clone();
            start(scope, "strangers", move || {
                let ending = Ending { stop, slot };
                strangers::watch(&typing, stop, &mut |k| told.send(Message::Stranger(k)).is_ok());
                ending.natural(Ok(()))
            })?;
        }
        if let Some(mut pulses) = wiegand {
            let told = told.clone();
            start(scope, Reader::Wiegand.name(), move || {
                let ending = Ending { stop, slot };
                let send = &mut |card: wiegand::Frame| {
                    let shown = Shown { what: What::Card(card.into()), from: Reader::Wiegand };
                    told.send(Message::Shown(shown)).is_ok()
                };
                ending.natural(wiegand::watch(&mut *pulses, stop, send).map_err(Into::into))
            })?;
        }
        if let Some((mut lines, _)) = controller {
            start(scope, "controller", move || {
                let ending = Ending { stop, slot };
                ending.natural(tell_controller(&mut *lines, cards, stop))
            })?;
        }
        if lookout.is_on() {
            let (lookout, pictures, told) = (lookout.clone(), Arc::clone(&pictures), told.clone());
            // Not one of the scope's: nobody waits for a look that takes long, not even whoever stops the program.
            let thread = Builder::new().name("qr".into());
            thread.spawn(move || read_passes(lookout, &pictures, &told)).context("no qr thread")?;
        }
        if attended || reads {
            start(scope, "pin", move || {
                let ending = Ending { stop, slot };
                hash(&asked, &told);
                ending.natural(Ok(()))
            })?;
        }
        let pictures = &pictures;
        let recognition = start(scope, hearts.recognition.name, move || {
            let ending = Ending { stop, slot };
            let show = (lookout, &**pictures);
            ending.natural(recognise(watch, slot, faces, show, send, (&hearts.recognition, metrics)))
        })?;
        if let Some(listener) = &listener {
            start(scope, "metrics", move || listener.serve(metrics, stop))?;
        }
        if let Some(player) = player {
            start(scope, "sound", move || player.serve(&cues, stop))?;
        }
        let act = start(scope, hearts.act.name, move || {
            let ending = Ending { stop, slot };
            let result = act(hands, (&receive, ask), clock, stop, heard, &hearts.act);
            // Whoever waits to say something is told that nobody listens.
            drop(receive);
            ending.natural(result)
        })?;
        // A clip's frame may take as long as it takes.
        let hanging = || if clip_time { None } else { hearts.hanging(Instant::now()) };
        next = watch_over(orders, stop, hanging, &mut watchdogs, || act.is_finished());
        // Figures and sound, and after a clip that ended the switches and the touch screen, go on until they are told.
        stop.store(true, Ordering::SeqCst);
        let results = [camera.join(), recognition.join()];
        let acted = act.join().map_err(|_| anyhow!("the act thread died"))?;
        for (name, result) in ["camera", "recognition"].into_iter().zip(results) {
            result.map_err(|_| anyhow!("the {name} thread died"))??;
        }
        together.natural(acted)
    });
    pictures.close();
    let ending = if summary.is_ok() { EventKind::Stopped } else { EventKind::Fault };
    if summary.is_err() {
        actor.out_of_order();
    }
    match actor.note(ending, Timestamp::now()) {
        Ok(event) => report(&event),
        // What ended the run is told first; a journal that cannot be written may be the very cause.
        Err(e) if summary.is_ok() => return Err(e),
        Err(_) => {}
    }
    let summary = summary?;
    // After a fault nobody calls the machine's watchdog off: it starts the machine anew if nothing else does.
    watchdogs.dismiss(next.is_none());
    Ok(Ended { summary, next })
}

/// What the device is looked after by.
fn attendance(config: &Config, recogniser: &Recogniser) -> Result<attend::Settings> {
    let same_face = Threshold::new(config.decision.same_face);
    Ok(attend::Settings {
        pin: config.controls.pin.clone(),
        limits: config.quality,
        same_face: same_face.map_err(|e| anyhow!("decision.same_face: {e}"))?,
        threshold: recogniser.policy.threshold,
        model: recogniser.model.clone(),
    })
}

/// Starts a thread of that name.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.into()).spawn_scoped(scope, work).with_context(|| format!("no {name} thread"))
}

/// Feeds the watchdogs while all hearts beat, and passes on what is told from outside, until `ended`. What it gives is the
/// configuration that the daemon was told to go on with.
fn watch_over(
    orders: &Orders,
    stop: &AtomicBool,
    hanging: impl Fn() -> Option<(&'static str, u64)>,
    watchdogs: &mut Watchdogs,
    ended: impl Fn() -> bool,
) -> Option<Config> {
    let (mut next, mut fed) = (None, None::<Instant>);
    while !ended() {
        if orders.reload.swap(false, Ordering::SeqCst) && next.is_none() {
            next = read_again(orders);
        }
        if next.is_some() || orders.stop.load(Ordering::SeqCst) {
            stop.store(true, Ordering::SeqCst);
        }
        if let Some((name, silent)) = hanging() {
            crate::tell!(
                Error,
                "the {name} thread has done nothing for {silent} ms; the program ends, and lets go of the door"
            );
            // Threads that hang cannot be joined. The kernel gives the relay's line back.
            std::process::exit(HUNG);
        }
        if fed.is_none_or(|at| at.elapsed() >= supervise::EVERY) {
            fed = Some(Instant::now());
            if let Err(e) = watchdogs.feed() {
                crate::tell!(Warning, "the watchdog cannot be fed: {e}");
            }
        }
        std::thread::sleep(LISTEN);
    }
    next
}

/// The configuration as its file has it now, if the door can be watched with it.
fn read_again(orders: &Orders) -> Option<Config> {
    let path = orders.config.as_deref()?;
    let tried = Config::load(path).map_err(anyhow::Error::from).and_then(|config| {
        Recogniser::open(&config, None, GalleryFile::MayBeNew)?;
        config.language()?;
        Ok(config)
    });
    match tried {
        Ok(config) => {
            crate::tell!(Info, "{}: read again", path.display());
            Some(config)
        }
        Err(e) => {
            crate::tell!(Warning, "{e:#}; the door goes on as it was");
            None
        }
    }
}

/// The openings of one camera: their frames count on in time, so that nobody who was let in before a cable was pulled is
/// taken for somebody of later, and bear the opening's number.
#[derive(Default)]
struct Openings {
    /// Of the first, and how many there were.
    first: Option<Instant>,
    count: u32,
    /// When the present one was, since the first.
    at: Millis,
}

impl Openings {
    /// The camera was opened at `now`.
    fn opened(&mut self, now: Instant) {
        self.count += u32::from(self.first.is_some());
        self.at = now.duration_since(*self.first.get_or_insert(now)).into();
    }

    fn place(&self, frame: Frame) -> Frame {
        Frame { at: self.at.plus(frame.at.0), opening: self.count, ..frame }
    }
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
    (slot, overtake): (&Slot<Frame>, Overtake),
    faces: &Slot<Vec<BBox>>,
    stop: &AtomicBool,
    lost: &SyncSender<Message>,
    (heart, metrics): (&Heart, &Metrics),
) -> Result<()> {
    let settings = config.camera_settings();
    let mut told = false;
    let (mut openings, mut damage) = (Openings::default(), Damage::default());
    while !stop.load(Ordering::SeqCst) {
        heart.beat();
        let mut camera = match camera::open(source, &settings) {
            Ok(camera) => camera,
            // What was there may come back, were it a clip on a stick.
            Err(e) if e.cure() == Cure::Reopen || openings.first.is_some() => {
                if !std::mem::replace(&mut told, true) {
                    crate::tell!(Warning, "{e}");
                    let _ = lost.send(Message::CameraLost(None));
                }
                plugged::pause(REOPEN_AFTER, stop);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        openings.opened(Instant::now());
        crate::tell!(Info, "camera: {}", camera.describe());
        metrics.camera(true);
        if std::mem::take(&mut told) {
            let _ = lost.send(Message::CameraBack);
        }
        let mut meter = (settings.exposure == Exposure::Faces).then(Meter::default);
        while !stop.load(Ordering::SeqCst) {
            heart.beat();
            match camera.next_frame() {
                Ok(Some(frame)) => {
                    damage.good(Instant::now());
                    if let Some(meter) = &mut meter {
                        expose(&mut *camera, &frame, meter, faces);
                    }
                    if !slot.put(openings.place(frame), overtake) {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(e) => match e.cure() {
                    Cure::Skip => damage.bad(&e, Instant::now()),
                    Cure::Reopen => {
                        crate::tell!(Warning, "{e}");
                        metrics.camera(false);
                        let _ = lost.send(Message::CameraLost(Some(openings.count)));
                        told = true;
                        plugged::pause(REOPEN_AFTER, stop);
                        break;
                    }
                    Cure::Refuse => return Err(e.into()),
                },
            }
        }
    }
    Ok(())
}

/// Tells the camera how light the faces are that were last seen.
fn expose(camera: &mut dyn Camera, frame: &Frame, meter: &mut Meter, faces: &Slot<Vec<BBox>>) {
    if let Taken::Item(faces) = faces.take(Duration::ZERO) {
        meter.see(faces, frame.at);
    }
    if let Err(e) = camera.meter(meter.luma(&frame.image)) {
        crate::tell!(Warning, "{e}");
    }
}

/// The thread of a switch or a button: hands on what `next` gives, until the stop or until nobody listens.
fn listen(
    stop: &AtomicBool,
    send: &SyncSender<Message>,
    mut next: impl FnMut() -> Result<Option<Message>, relay::RelayError>,
) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        if let Some(message) = next()?
            && send.send(message).is_err()
        {
            break;
        }
    }
    Ok(())
}

/// The thread that hashes digits, to compare them with the PIN or to make them one, which takes a second on a small board: the
/// act thread has a door to shut meanwhile.
fn hash(asked: &Receiver<Question>, send: &SyncSender<Message>) {
    while let Ok(question) = asked.recv() {
        if send.send(Message::Pin(question.answer())).is_err() {
            break;
        }
    }
}

/// The thread that reads passes off pictures without a face, until there are no more: recognition does not wait for it, however
/// much there is to be seen.
fn read_passes(mut lookout: Lookout, pictures: &Slot<Arc<Frame>>, send: &SyncSender<Message>) {
    loop {
        let frame = match pictures.take(PATIENCE) {
            Taken::Item(frame) => frame,
            Taken::Nothing => continue,
            Taken::Closed => break,
        };
        let news = lookout.news(qr::read(&frame.image), frame.at);
        let shown = news.map(|pass| Shown { what: What::Pass(pass), from: Reader::Camera });
        if shown.is_some_and(|shown| send.send(Message::Shown(shown)).is_err()) {
            break;
        }
    }
}

/// What a controller is told of an event: whoever is let in.
fn card_of(event: &Event, sending: Sending) -> Option<wiegand::Frame> {
    let id = event.external_id.as_deref().filter(|_| event.kind == EventKind::Granted)?;
    let card = sending.card(id);
    if card.is_none() {
        crate::tell!(
            Warning,
            "the controller is not told of {id}: an id is sent that is a number of 0 to 65535"
        );
    }
    card
}

/// The thread that sends cards, which takes a tenth of a second each.
fn tell_controller(
    lines: &mut dyn wiegand::Lines,
    cards: &Slot<wiegand::Frame>,
    stop: &AtomicBool,
) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        if let Taken::Item(card) = cards.take(NAP) {
            wiegand::send(card, lines)?;
        }
    }
    Ok(())
}

/// Recognition thread.
fn recognise(
    mut watch: Watch,
    slot: &Slot<Frame>,
    faces: &Slot<Vec<BBox>>,
    (mut lookout, pictures): (Lookout, &Slot<Arc<Frame>>),
    send: SyncSender<Message>,
    (heart, metrics): (&Heart, &Metrics),
) -> Result<()> {
    loop {
        heart.beat();
        match slot.take(PATIENCE) {
            Taken::Item(frame) => {
                let begun = Instant::now();
                let seen = watch.look(Arc::new(frame))?;
                metrics.frame(begun.elapsed());
                if lookout.is_due(seen.sightings.len(), seen.frame.at) {
                    pictures.put(Arc::clone(&seen.frame), Overtake::NewestWins);
                }
                faces.put(seen.sightings.iter().map(|s| s.detection.bbox).collect(), Overtake::NewestWins);
                if send.send(Message::Seen(seen)).is_err() {
                    return Ok(());
                }
            }
            Taken::Nothing => {}
            Taken::Closed => {
                // Where nobody listens any more, it is known.
                let _ = send.send(Message::Ended);
                return Ok(());
            }
        }
    }
}

/// Act thread: the only one that touches relay, panel and journal.
fn act(
    actor: &mut Actor,
    (receive, ask): (&Receiver<Message>, SyncSender<Question>),
    clock: Clock,
    stop: &AtomicBool,
    report: &mut (dyn FnMut(&Event) + Send),
    heart: &Heart,
) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut now = Millis::ZERO;
    loop {
        heart.beat();
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let message = match clock {
            Clock::Clip => receive.recv_timeout(NAP),
            Clock::Real(_) => {
                now = clock.now(now);
                actor.tick(now, Timestamp::now())?.iter().for_each(&mut *report);
                let wait = actor.deadline(now).map_or(NAP, |d| Duration::from_millis(d.since(now)).min(NAP));
                receive.recv_timeout(wait)
            }
        };
        let written = match message {
            Ok(Message::Seen(seen)) => {
                now = clock.now(seen.frame.at);
                summary.frames += 1;
                actor.frame(&seen, now, Timestamp::now())?
            }
            Ok(Message::Switch(change)) => {
                now = clock.now(now);
                actor.switch(change, now, Timestamp::now())?
            }
            Ok(Message::Press(input)) => {
                now = clock.now(now);
                let (written, question) = actor.press(input, now, Timestamp::now())?;
                if let Some(question) = question {
                    ask.try_send(question).context("the pin thread does not take a PIN")?;
                }
                written
            }
            Ok(Message::Pin(answer)) => {
                now = clock.now(now);
                actor.pin(answer, now, Timestamp::now())?
            }
            Ok(Message::Shown(shown)) => {
                now = clock.now(now);
                let (written, question) = actor.shown(&shown, now, Timestamp::now())?;
                if let Some(question) = question {
                    ask.try_send(question).context("the pin thread does not take a PIN")?;
                }
                written
            }
            Ok(Message::Stranger(keyboard)) => vec![actor.stranger(&keyboard, Timestamp::now())?],
            Ok(Message::CameraLost(opening)) => vec![actor.camera_lost(now, Timestamp::now(), opening)?],
            Ok(Message::CameraBack) => vec![actor.camera_back(now, Timestamp::now())?],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Ok(Message::Ended) | Err(RecvTimeoutError::Disconnected) => break,
        };
        for event in &written {
            summary.count(event);
            report(event);
        }
    }
    let clip_ended = matches!(clock, Clock::Clip) && !stop.load(Ordering::SeqCst);
    actor.finish(now, clip_ended).context("the door could not be shut")?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::image::RgbImage;

    #[test]
    fn a_camera_that_is_back_goes_on_in_time() {
        let frame = |at| Frame {
            image: RgbImage::filled(1, 1, [0; 3]).unwrap(),
            seq: 0,
            at: Millis(at),
            opening: 0,
            source: "test".into(),
        };
        let (mut openings, begun) = (Openings::default(), Instant::now());
        openings.opened(begun);
        let before = openings.place(frame(900));
        assert_eq!((before.at, before.opening), (Millis(900), 0));
        openings.opened(begun + Duration::from_millis(2500));
        let after = openings.place(frame(40));
        assert_eq!((after.at, after.opening), (Millis(2540), 1));
    }
}
