//! `limen run` over a folder of photographs: journal, relay edges and screens agree with each other and with a plan.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use limen::camera::FrameRate;
use limen::camera::clip::ClipWriter;
use limen_models::photo::decode_file;
use limen_tests::people::{Person, Place, Scene, group, portrait};
use limen_tests::site::{CONFIG, Site, binary, json_lines};
use serde_json::Value;

/// 5 frames a second.
const FRAME_MS: u64 = 200;
/// Each photograph is shown for so many frames.
const HOLD: u64 = 4;
const PULSE_MS: u64 = 1500;
const MAX_OPEN_MS: u64 = 2200;
const COOL_DOWN_MS: u64 = 3000;
/// Frames before a decision.
const FRAMES: u64 = 3;

/// Seeds below 10 are enrolled as `p<seed>`, 9 is suspended, all others are strangers.
const VISITS: [&[u64]; 14] =
    [&[], &[0], &[20], &[1, 21], &[2], &[], &[22, 23], &[9], &[0], &[], &[24], &[1], &[1], &[]];

fn site() -> Site {
    let site = Site::new();
    let settings = format!(
        "pulse_ms = {PULSE_MS}\nmax_open_ms = {MAX_OPEN_MS}\n\
         [decision]\nmin_frames = {FRAMES}\ncool_down_ms = {COOL_DOWN_MS}\n\
         [display]\npanel = \"png:screens\"\nwidth_px = 320\nheight_px = 240\nverdict_ms = 300\n"
    );
    let camera = format!("[camera]\nframes_per_second = 5\nhold_frames = {HOLD}\nevery_frame = true");
    site.write("limen.toml", CONFIG.replace("[camera]", &camera) + &settings);
    for seed in [0, 1, 2, 9] {
        site.photo("a.jpg", &portrait(&Person::new(seed), 100 + seed));
        site.limen(&format!("enrol --config limen.toml --id p{seed} --name Person{seed} a.jpg")).exits(0);
    }
    site.limen("gallery suspend --config limen.toml p9").exits(0);
    site
}

/// (time, who; `None` is a stranger) of every grant and of every denial that is due.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    granted: Vec<(u64, String)>,
    denied: Vec<(u64, Option<String>)>,
}

fn plan() -> Plan {
    let mut plan = Plan::default();
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for frame in 0..VISITS.len() as u64 * HOLD {
        let (here, at) = (VISITS[(frame / HOLD) as usize], frame * FRAME_MS);
        seen.retain(|person, _| here.contains(person));
        for &person in here {
            let frames = seen.entry(person).or_default();
            *frames += 1;
            let cooled = last.get(&person).is_none_or(|then| at - then >= COOL_DOWN_MS);
            match person {
                0..9 if *frames >= FRAMES && cooled => {
                    last.insert(person, at);
                    plan.granted.push((at, format!("p{person}")));
                }
                0..9 => {}
                9 if *frames == FRAMES => plan.denied.push((at, Some("p9".into()))),
                _ if *frames == FRAMES => plan.denied.push((at, None)),
                _ => {}
            }
        }
    }
    plan
}

/// (time, energised) of every edge that pulses for grants at `times` make.
fn edges_for(times: impl Iterator<Item = u64>) -> Vec<(u64, bool)> {
    let mut edges = Vec::new();
    let mut open: Option<(u64, u64)> = None;
    for at in times.collect::<BTreeSet<u64>>() {
        match open {
            Some((since, until)) if at < until => {
                open = Some((since, until.max(at + PULSE_MS).min(since + MAX_OPEN_MS)));
            }
            before => {
                edges.extend(before.map(|(_, until)| (until, false)));
                edges.push((at, true));
                open = Some((at, at + PULSE_MS));
            }
        }
    }
    edges.extend(open.map(|(_, until)| (until, false)));
    edges
}

fn edges(site: &Site) -> Vec<(u64, bool)> {
    json_lines(&site.read("edges.jsonl"))
        .iter()
        .map(|e| {
            assert_eq!(e["cause"], "commanded");
            (e["at_ms"].as_u64().unwrap(), e["coil"] == "energised")
        })
        .collect()
}

/// (time, kind) of every screen, in the order of their numbers.
fn screens(site: &Site) -> Vec<(u64, String)> {
    let mut names: Vec<String> = std::fs::read_dir(site.path("screens"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let part = |name: &str| {
        let mut parts = name.strip_suffix(".png").unwrap().splitn(3, '-').skip(1);
        let time = parts.next().unwrap().strip_suffix("ms").unwrap().parse().unwrap();
        (time, parts.next().unwrap().to_owned())
    };
    for name in &names {
        let screen = decode_file(&site.path("screens").join(name)).unwrap();
        assert_eq!((screen.width(), screen.height()), (320, 240), "{name}");
    }
    names.iter().map(|n| part(n)).collect()
}

fn at_ms(event: &Value) -> u64 {
    event["detail"]["at_ms"].as_u64().unwrap()
}

fn of_kind<'a>(journal: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    journal.iter().filter(move |e| e["kind"] == kind)
}

/// Edges follow from the journal's grants, and each verdict of the journal has its screen and each such screen its
/// verdict.
fn agree(site: &Site, journal: &[Value]) {
    assert_eq!(edges(site), edges_for(of_kind(journal, "granted").map(at_ms)));
    let mut verdicts: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for e in journal.iter().filter(|e| e["kind"] == "granted" || e["kind"] == "denied") {
        verdicts.entry(at_ms(e)).or_default().insert(e["kind"].as_str().unwrap());
    }
    let shown: BTreeMap<u64, String> =
        screens(site).into_iter().filter(|(_, kind)| kind == "granted" || kind == "denied").collect();
    assert_eq!(shown.keys().collect::<Vec<_>>(), verdicts.keys().collect::<Vec<_>>());
    for (at, kind) in shown {
        assert!(verdicts[&at].contains(kind.as_str()), "a {kind} screen at {at} ms");
    }
}

/// Edges (ms, energised) and screens (ms, kind) of one run.
type Record = (Vec<(u64, bool)>, Vec<(u64, String)>);

#[test]
fn journal_edges_and_screens_agree_with_each_other_and_with_the_plan() {
    let site = site();
    std::fs::create_dir(site.path("photos")).unwrap();
    for (i, visit) in VISITS.iter().enumerate() {
        let people: Vec<Person> = visit.iter().map(|&s| Person::new(s)).collect();
        site.photo(&format!("photos/{i:02}.jpg"), &group(&people, 50 + i as u64));
    }
    let before = site.limen("events --config limen.toml --json").exits(0).json().len();
    let run = site.limen("run --config limen.toml --json").exits(0);
    let journal = run.json();
    let stored = site.limen("events --config limen.toml --json").exits(0).json();
    assert_eq!(stored.len() - before, journal.len());
    for (kept, printed) in stored[before..].iter().zip(&journal) {
        assert_eq!(printed, kept, "what is printed is what is kept");
    }
    assert_eq!(
        (&journal[0]["kind"], &journal.last().unwrap()["kind"]),
        (&"started".into(), &"stopped".into())
    );

    let plan = plan();
    let mut granted: Vec<(u64, String)> =
        of_kind(&journal, "granted").map(|e| (at_ms(e), e["external_id"].as_str().unwrap().into())).collect();
    granted.sort();
    assert_eq!(granted, plan.granted);
    let mut denied: Vec<(u64, Option<String>)> =
        of_kind(&journal, "denied").map(|e| (at_ms(e), e["external_id"].as_str().map(Into::into))).collect();
    denied.sort();
    assert_eq!(denied, plan.denied);
    assert_eq!(journal.len(), 2 + granted.len() + denied.len());
    for e in of_kind(&journal, "denied") {
        let known = !e["external_id"].is_null();
        assert_eq!(e["reason"], if known { "suspended" } else { "unknown" });
        assert_eq!(e["score"].as_f64().unwrap() >= e["threshold"].as_f64().unwrap(), known);
    }
    for e in of_kind(&journal, "granted") {
        assert!(e["score"].as_f64().unwrap() >= e["threshold"].as_f64().unwrap());
        assert_eq!(e["detail"]["frame"].as_u64().unwrap() * FRAME_MS, at_ms(e));
    }
    agree(&site, &journal);
    // The plan has what it is there for: two pulses that run together, one that does not, a bound that is reached.
    let edges = edges(&site);
    assert!(edges.len() / 2 < granted.len() && edges.len() >= 4, "{edges:?}");
    assert!(edges.chunks(2).any(|p| p[1].0 - p[0].0 == PULSE_MS), "{edges:?}");
    assert!(edges.chunks(2).any(|p| p[1].0 - p[0].0 == MAX_OPEN_MS), "{edges:?}");
    run.says(&[&format!("{} granted, {} denied", granted.len(), denied.len())]);
}

#[test]
fn a_clip_of_somebody_walking_by_is_one_grant_and_the_same_every_time() {
    let site = site();
    let mut clip =
        ClipWriter::create(&site.path("walk.y4m"), 320, 240, FrameRate::per_second(5)).expect("a clip");
    for frame in 0..12 {
        let place = Place::at(90.0 + 12.0 * f64::from(frame), 120.0, 130.0 + 2.0 * f64::from(frame));
        let scene = Scene::new(320, 240, 7).with(&Person::new(2), place).noise(2.0);
        clip.write(&if (2..10).contains(&frame) { scene.done() } else { Scene::new(320, 240, 7).done() })
            .unwrap();
    }
    clip.finish().unwrap();
    let config = site.read("limen.toml").replace("replay:photos", "replay:walk.y4m");
    site.write("limen.toml", config);
    let mut runs = Vec::new();
    for _ in 0..2 {
        let journal = site.limen("run --config limen.toml --json").exits(0).json();
        let granted: Vec<_> =
            of_kind(&journal, "granted").map(|e| (at_ms(e), e["external_id"].clone())).collect();
        // In sight from frame 2 on; the third good frame is frame 4.
        assert_eq!(granted, [(4 * FRAME_MS, Value::from("p2"))]);
        assert_eq!(of_kind(&journal, "denied").count(), 0);
        agree(&site, &journal);
        runs.push((edges(&site), screens(&site)));
        std::fs::remove_dir_all(site.path("screens")).unwrap();
    }
    // The idle screen shows the time of day, so its files may differ by one when the minute turns.
    let without_idle = |(edges, screens): &Record| {
        (edges.clone(), screens.iter().filter(|(_, kind)| kind != "idle").cloned().collect::<Vec<_>>())
    };
    assert_eq!(without_idle(&runs[0]), without_idle(&runs[1]));
}

#[test]
fn whoever_stops_it_finds_the_door_shut() {
    let site = site();
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/0.jpg", &portrait(&Person::new(0), 3));
    let config = site.read("limen.toml").replace("every_frame = true", "every_frame = true\nrepeat = true");
    let config = config.replace("pulse_ms = 1500", "pulse_ms = 20000").replace("2200", "20000");
    site.write("limen.toml", config);
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(binary())
            .args(["run", "--config", "limen.toml", "--json"])
            .current_dir(site.path("."))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.by_ref().any(|l| l.contains("\"granted\"")), "somebody is let in");
        // The shell's own kill: a small system has no program of that name.
        let kill = format!("kill -{signal} {}", child.id());
        let kill = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(kill.success());
        let rest: Vec<String> = lines.collect();
        assert!(child.wait().unwrap().success(), "a wished end is no fault");
        assert!(rest.last().unwrap().contains("\"stopped\""), "{rest:?}");
        let edges = edges(&site);
        assert!(edges.len() >= 2 && !edges.last().unwrap().1, "{edges:?}");
    }
}
