//! The built program, command by command, on drawn people: exit codes, `--json`, and decisions that plain code makes too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen::decide::PinMatch;
use limen::pin::{PinHash, Tries};
use limen_gallery_db::Gallery;
use limen_models::manifest::{Manifest, Mirror};
use limen_models::photo::decode_file;
use limen_tests::model_folder::{EMBEDDER, EMBEDDER_SUM, OPERATING_POINTS};
use limen_tests::nets::nets;
use limen_tests::people::{Person, group, portrait};
use limen_tests::reference;
use limen_tests::site::{Site, json_lines};
use serde_json::Value;

/// The default configuration asks for a false match rate of 1e-4 and a lead of 0.05.
const THRESHOLD: f64 = OPERATING_POINTS[2].1 as f64;
const LEAD: f64 = 0.05;

/// Persons 0 to 2, enrolled as `p0` to `p2` with two photographs each.
fn site() -> Site {
    let site = Site::new();
    for i in 0..3 {
        enrol(&site, i);
    }
    site
}

fn enrol(site: &Site, person: u64) {
    for take in [1, 2] {
        site.photo(&format!("p{person}-{take}.jpg"), &portrait(&Person::new(person), 100 * take + person));
    }
    let args = format!(
        "enrol --config limen.toml --id p{person} --name Person{person} p{person}-1.jpg p{person}-2.jpg --json"
    );
    let said = site.limen(&args).exits(0).json();
    assert_eq!(said[0]["enrolled"], true);
    assert_eq!(said[0]["templates"], 2);
}

/// Faces of a photograph by plain code: place and embedding, from left to right.
fn plain_faces(site: &Site, photo: &str) -> Vec<(f64, Vec<f64>)> {
    let image = decode_file(&site.path(photo)).unwrap();
    let mut found = reference::detect(nets(), &image, reference::Settings::door(&image));
    found.sort_by(|a, b| a.bbox[0].total_cmp(&b.bbox[0]));
    let embed = |f: &reference::Found| {
        reference::embed(nets(), &reference::align(&image, &f.landmarks), Mirror::None)
    };
    found.iter().map(|f| (f.bbox[0], embed(f))).collect()
}

/// What the door should say of a probe: decision, reason, id, score, margin. `people` are ids with their embeddings.
fn plain_decision(
    probe: &[f64],
    people: &[(String, Vec<Vec<f64>>)],
) -> (&'static str, Option<&'static str>, Option<String>, f64, f64) {
    let best_of = |all: &[Vec<f64>]| all.iter().map(|t| reference::cosine(probe, t)).fold(-1.0, f64::max);
    let mut scores: Vec<(f64, &str)> = people.iter().map(|(id, all)| (best_of(all), id.as_str())).collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (score, margin) = (scores[0].0, scores[0].0 - scores[1].0);
    let known = (score >= THRESHOLD).then(|| scores[0].1.to_owned());
    match known {
        None => ("deny", Some("unknown"), None, score, margin),
        Some(_) if margin < LEAD => ("deny", Some("ambiguous"), known, score, margin),
        Some(_) => ("grant", None, known, score, margin),
    }
}

fn near(value: &Value, want: f64) -> bool {
    value.as_f64().is_some_and(|v| (v - want).abs() < 2e-3)
}

/// Lets the program and plain code judge every face of `photos`; gives the decisions made.
fn judge(site: &Site, photos: &[&str], people: &[(String, Vec<Vec<f64>>)]) -> Vec<(String, Option<String>)> {
    let mut made = Vec::new();
    let outcome = site.limen(&format!("identify --config limen.toml --json {}", photos.join(" ")));
    let lines = outcome.json();
    assert_eq!(lines.len(), photos.len());
    for (line, photo) in lines.iter().zip(photos) {
        assert_eq!(line["photo"], *photo);
        assert!(near(&line["threshold"], THRESHOLD));
        let mut faces = line["faces"].as_array().unwrap().clone();
        faces.sort_by(|a, b| a["box"][0].as_f64().unwrap().total_cmp(&b["box"][0].as_f64().unwrap()));
        let plain = plain_faces(site, photo);
        assert_eq!(faces.len(), plain.len(), "{photo}");
        for (face, (x1, probe)) in faces.iter().zip(plain) {
            assert!((face["box"][0].as_f64().unwrap() - x1).abs() < 0.6, "{photo}: {face}");
            let (decision, reason, id, score, margin) = plain_decision(&probe, people);
            // A case that rests on the last digit decides nothing about the program.
            assert!((score - THRESHOLD).abs() > 0.01 && (margin - LEAD).abs() > 5e-3, "{photo}: too close");
            assert_eq!(face["decision"], decision, "{photo}: {face}");
            assert_eq!(face["reason"].as_str(), reason, "{photo}: {face}");
            assert_eq!(face["id"].as_str().map(str::to_owned), id, "{photo}: {face}");
            assert!(near(&face["score"], score) && near(&face["margin"], margin), "{face}: {score} {margin}");
            assert_eq!(face["faults"].as_array().unwrap().len(), 0, "{photo}: {face}");
            made.push((decision.to_owned(), id));
        }
    }
    let all_in = !made.is_empty() && made.iter().all(|(d, _)| d == "grant");
    outcome.exits(if all_in { 0 } else { 1 });
    made
}

fn templates(site: &Site, people: &[u64]) -> Vec<(String, Vec<Vec<f64>>)> {
    let of = |i: u64| [1, 2].map(|take| plain_faces(site, &format!("p{i}-{take}.jpg")).remove(0).1).to_vec();
    people.iter().map(|&i| (format!("p{i}"), of(i))).collect()
}

#[test]
fn identify_decides_as_plain_code_does() {
    let site = site();
    let people = templates(&site, &[0, 1, 2]);
    for i in 0..3 {
        site.photo(&format!("again{i}.jpg"), &portrait(&Person::new(i), 900 + i));
    }
    site.photo("stranger.jpg", &portrait(&Person::new(40), 940));
    let party = [Person::new(2), Person::new(41), Person::new(0), Person::new(42), Person::new(1)];
    site.photo("party.jpg", &group(&party, 3));

    let made = judge(&site, &["again0.jpg", "again1.jpg", "again2.jpg"], &people);
    assert_eq!(made, [0, 1, 2].map(|i| ("grant".to_owned(), Some(format!("p{i}")))));
    assert_eq!(judge(&site, &["stranger.jpg"], &people), [("deny".to_owned(), None)]);
    let made = judge(&site, &["party.jpg"], &people);
    assert_eq!(made.iter().filter(|(d, _)| d == "grant").count(), 3);
    assert_eq!(made.len(), 5);

    // The same person under a second id: nobody can tell the two apart any more, so neither is let in.
    site.photo("twin.jpg", &portrait(&Person::new(1), 700));
    site.limen("enrol --config limen.toml --id twin --name Twin --allow-duplicate twin.jpg").exits(0);
    let mut people = people;
    people.push(("twin".into(), vec![plain_faces(&site, "twin.jpg").remove(0).1]));
    let made = judge(&site, &["again1.jpg"], &people);
    assert_eq!(made[0].0, "deny");
}

#[test]
fn verify_answers_by_its_exit_code() {
    let site = site();
    site.photo("again.jpg", &portrait(&Person::new(1), 901));
    let yes = site.limen("verify --config limen.toml --id p1 --json again.jpg").exits(0).json();
    assert_eq!((&yes[0]["verified"], &yes[0]["id"]), (&Value::Bool(true), &Value::from("p1")));
    let best = templates(&site, &[1])[0].1.clone();
    let probe = plain_faces(&site, "again.jpg").remove(0).1;
    let score = best.iter().map(|t| reference::cosine(&probe, t)).fold(-1.0, f64::max);
    assert!(near(&yes[0]["score"], score), "{score}: {}", yes[0]);

    let no = site.limen("verify --config limen.toml --id p0 --json again.jpg").exits(1).json();
    assert_eq!((&no[0]["verified"], &no[0]["reason"]), (&Value::Bool(false), &Value::from("unknown")));
    site.limen("verify --config limen.toml --id p1 --threshold 0.9999 again.jpg").exits(1);
    site.limen("verify --config limen.toml --id nobody again.jpg").exits(3).says(&["nobody", "gallery list"]);
}

#[test]
fn enrolment_is_refused_with_a_reason_and_changes_nothing() {
    let site = site();
    let before = site.limen("gallery list --config limen.toml --json").exits(0).stdout;
    site.photo("again.jpg", &portrait(&Person::new(1), 901));
    site.photo("other.jpg", &portrait(&Person::new(50), 950));
    site.photo("two.jpg", &group(&[Person::new(60), Person::new(61)], 6));
    for (args, code, reason) in [
        ("--id p1 --name Again again.jpg", 5, "already-enrolled"),
        ("--id new --name Again again.jpg", 5, "duplicate-person"),
        ("--id new --name Two two.jpg", 5, "too-few-photos"),
        ("--id new --name Few --min-photos 2 other.jpg", 5, "too-few-photos"),
        ("--id p0 --name Add --add other.jpg", 5, "samples-disagree"),
    ] {
        let said = site.limen(&format!("enrol --config limen.toml --json {args}")).exits(code).json();
        assert_eq!(
            (&said[0]["enrolled"], &said[0]["reason"]),
            (&Value::Bool(false), &Value::from(reason)),
            "{args}"
        );
    }
    assert_eq!(site.limen("gallery list --config limen.toml --json").exits(0).stdout, before);
    let kinds = site.limen("events --config limen.toml --json").exits(0).json();
    assert_eq!(kinds.len(), 3, "a refused enrolment is no event: {kinds:?}");
}

#[test]
fn the_gallery_lists_shows_suspends_exports_imports_and_forgets() {
    let site = site();
    site.photo("again1.jpg", &portrait(&Person::new(1), 901));
    let list = site.limen("gallery list --config limen.toml --json").exits(0).json();
    let ids: Vec<_> = list.iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["p0", "p1", "p2"]);
    assert!(list.iter().all(|s| s["templates"] == 2 && s["standing"] == "active"), "{list:?}");
    let show = site.limen("gallery show --config limen.toml --json p1").exits(0).json();
    assert_eq!(
        (&show[0]["name"], show[0]["templates"].as_array().unwrap().len()),
        (&Value::from("Person1"), 2)
    );
    assert_eq!(show[0]["templates"][0]["source"], "p1-1.jpg");
    site.limen("gallery show --config limen.toml nobody").exits(3).says(&["nobody"]);

    site.limen("gallery suspend --config limen.toml p1").exits(0);
    let said = site.limen("identify --config limen.toml --json again1.jpg").exits(1).json();
    assert_eq!(
        (&said[0]["faces"][0]["reason"], &said[0]["faces"][0]["id"]),
        (&"suspended".into(), &"p1".into())
    );
    site.limen("gallery resume --config limen.toml p1").exits(0);
    let before = site.limen("identify --config limen.toml --json again1.jpg").exits(0).stdout;

    // Out of one gallery, into a new one: the same answer, digit by digit.
    site.limen("gallery export --config limen.toml people.jsonl").exits(0);
    site.limen("gallery export --config limen.toml people.jsonl").exits(4).says(&["people.jsonl"]);
    site.limen("gallery import --gallery second.db people.jsonl").exits(0);
    let args = "identify --config limen.toml --gallery second.db --json again1.jpg";
    assert_eq!(site.limen(args).exits(0).stdout, before);

    // A name that is not there takes nobody along.
    site.limen("gallery remove --config limen.toml p0 nobody").exits(3).says(&["nobody"]);
    assert_eq!(site.limen("gallery list --config limen.toml --json").exits(0).json().len(), 3);
    site.limen("gallery remove --config limen.toml p0 p1").exits(0);
    assert_eq!(site.limen("gallery list --config limen.toml --json").exits(0).json().len(), 1);
    site.limen("identify --config limen.toml again1.jpg").exits(1);
    site.limen("gallery import --config limen.toml people.jsonl").exits(0);
    assert_eq!(site.limen("identify --config limen.toml --json again1.jpg").exits(0).stdout, before);
}

#[test]
fn the_journal_reads_the_same_as_json_and_as_csv() {
    let site = site();
    site.limen("gallery suspend --config limen.toml p2").exits(0);
    site.limen("gallery remove --config limen.toml p1").exits(0);
    let json = site.limen("events --config limen.toml --json").exits(0).json();
    let csv = site.limen("events --config limen.toml --csv").exits(0).stdout;
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("seq,time,kind,subject,external_id"), "{csv}");
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), json.len());
    for (row, event) in rows.iter().zip(&json) {
        assert_eq!(row[0], event["seq"].to_string());
        assert_eq!(row[1], event["time"]);
        assert_eq!(row[2], event["kind"]);
        assert_eq!(row[4], event["external_id"].as_str().unwrap_or(""));
    }
    let kinds: Vec<_> = json.iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "enrolled").count(), 3, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"removed"));
    assert_eq!(json.last().unwrap()["external_id"], "p1");
    assert!(!csv.contains("Person"), "names stand in the gallery alone");

    let only = site.limen("events --config limen.toml --json --kind removed --since 1h").exits(0).json();
    assert_eq!(only, json[json.len() - 1..]);
    let last = site.limen("events --config limen.toml --json --last 2").exits(0).json();
    assert_eq!(last, json[json.len() - 2..]);
    let after = format!("events --config limen.toml --json --after {}", json[0]["seq"]);
    assert_eq!(site.limen(&after).exits(0).json(), json[1..]);
    site.limen("events --config limen.toml --kind opened").exits(2).says(&["opened", "granted"]);
}

#[test]
fn validity_is_kept_at_both_ends() {
    let site = Site::new();
    site.photo("a.jpg", &portrait(&Person::new(3), 3));
    site.photo("b.jpg", &portrait(&Person::new(3), 4));
    for (validity, code, reason) in [
        ("--valid-until 2001-01-01T00:00:00Z", 1, Some("expired")),
        ("--valid-from 2101-01-01T00:00:00Z", 1, Some("not-yet-valid")),
        ("--valid-from 2001-01-01T00:00:00Z --valid-until 2101-01-01T00:00:00Z", 0, None),
    ] {
        let args = format!("enrol --config limen.toml --id 7 --name Seven --replace {validity} a.jpg");
        site.limen(&args).exits(0);
        let said = site.limen("identify --config limen.toml --json b.jpg").exits(code).json();
        assert_eq!(said[0]["faces"][0]["reason"].as_str(), reason, "{validity}");
        site.limen("verify --config limen.toml --id 7 b.jpg").exits(code);
    }
}

#[test]
fn check_and_doctor_say_what_is_right_and_what_is_missing() {
    let site = Site::new();
    assert!(site.limen("check --config limen.toml").exits(0).stdout.contains("limen.toml"));
    let default = site.limen("check --print-default").exits(0).stdout;
    site.write("default.toml", default);
    site.limen("check --config default.toml").exits(0);

    let findings = |code: i32| {
        let all = site.limen("doctor --config limen.toml --json").exits(code).json();
        all.iter()
            .filter(|f| f["ok"] == false)
            .map(|f| f["what"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(findings(1), ["gallery", "camera"], "nobody is enrolled, no photographs are there");
    site.photo("a.jpg", &portrait(&Person::new(3), 3));
    site.limen("enrol --config limen.toml --id 3 --name Three a.jpg").exits(0);
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/1.jpg", &portrait(&Person::new(3), 4));
    assert!(findings(0).is_empty());
    // Whether there is no such card or no such program.
    let config = site.read("limen.toml");
    site.write("limen.toml", format!("{config}[sound]\ndevice = \"plughw:77,0\"\n"));
    assert_eq!(findings(1), ["sound"]);
    site.write("limen.toml", config);
    std::fs::remove_file(site.path("models/drawn-r.onnx")).unwrap();
    assert_eq!(findings(1), ["models"]);
}

#[test]
fn a_person_is_erased_and_the_journal_still_verifies() {
    let site = Site::new();
    for (id, seed) in [("3", 3), ("4", 4)] {
        site.photo("a.jpg", &portrait(&Person::new(seed), 3));
        site.limen(&format!("enrol --config limen.toml --id {id} --name Somebody a.jpg")).exits(0);
    }
    site.limen("gallery remove --config limen.toml 3").exits(0);
    let told = site.limen("gallery export --config limen.toml out.limen").exits(0).stdout;
    let head = told.lines().find_map(|l| l.strip_prefix("the journal ended at ")).unwrap();
    assert!(head.starts_with("3:"), "{told}");

    let said = site.limen("gallery erase --config limen.toml 3").exits(0).stdout;
    assert!(said.starts_with("3 erased; 2 events no longer say"), "{said}");
    site.limen("gallery erase --config limen.toml 3").exits(3).says(&["nobody in the gallery has the id 3"]);
    let events = site.limen("events --config limen.toml --json").exits(0).json();
    let about: Vec<_> = events.iter().map(|e| e["external_id"].as_str()).collect();
    assert_eq!(about, [None, Some("4"), None, None]);
    let verify = format!("events verify --config limen.toml --head {head} --export out.limen");
    let said = site.limen(&verify).exits(0).stdout;
    assert!(
        said.starts_with("4 events (2 made to forget whom they concerned), each as it was written\nhead 4:"),
        "{said}"
    );
    let other = head.replacen("3:", "2:", 1);
    let said = site.limen(&format!("events verify --config limen.toml --head {other}")).exits(1).stdout;
    assert!(said.contains("event 2 is not the one that was known"), "{said}");
    site.limen("events verify --config limen.toml --head 3").exits(2).says(&["64 hex digits"]);
    site.write("no.limen", "hello");
    site.limen("events verify --config limen.toml --export no.limen").exits(3).says(&["no.limen", "export"]);
}

#[test]
fn release_takes_the_current_from_the_coil_and_says_so() {
    let site = Site::new();
    let said = site.limen("release --config limen.toml").exits(0).stdout;
    assert!(said.contains("the coil has no current"), "{said}");
    site.limen("release").exits(2);
}

#[test]
fn doctor_picks_an_embedder_and_changes_nothing_else() {
    let site = Site::new();
    // One without a threshold could not stand at a door, so the second gets those of the first.
    let mut manifest = Manifest::load(&site.path("models")).unwrap();
    let mut second = manifest.model(EMBEDDER_SUM).unwrap().clone();
    second.operating_points = manifest.model(EMBEDDER).unwrap().operating_points.clone();
    manifest.put(second).unwrap();
    manifest.save().unwrap();
    let place = format!("[models]\nembedder = \"{EMBEDDER_SUM}\" # two runs");
    site.write("limen.toml", site.read("limen.toml").replace("[models]", &place));
    let before = site.read("limen.toml");
    let said = site.limen("doctor --config limen.toml --pick --json").exits(0).json();
    let ids: Vec<_> = said.iter().map(|c| c["embedder"].as_str().unwrap()).collect();
    assert_eq!(ids, [EMBEDDER, EMBEDDER_SUM]);
    assert!(said.iter().all(|c| c["ms"].as_f64().unwrap() > 0.0));
    let marked = |mark: &str| said.iter().filter(|c| c[mark] == true).count();
    assert_eq!((marked("now"), marked("chosen")), (1, 1));
    let chosen = said.iter().find(|c| c["chosen"] == true).unwrap();
    let after = site.read("limen.toml");
    // Which is faster is this machine's affair; the line says it and keeps its comment.
    let chosen = chosen["embedder"].as_str().unwrap();
    assert_eq!(after, before.replace(&format!("\"{EMBEDDER_SUM}\""), &format!("\"{chosen}\"")));
    site.limen("check --config limen.toml").exits(0);
    site.write("none.toml", before.replace(EMBEDDER_SUM, "nobody"));
    let said = site.limen("doctor --config none.toml --pick").exits(3).stderr;
    assert!(said.contains("nobody"), "{said}");
}

#[test]
fn annotate_names_faces_as_plain_code_does() {
    let site = Site::new();
    std::fs::create_dir(site.path("known")).unwrap();
    std::fs::create_dir(site.path("frames")).unwrap();
    for (i, name) in ["Ann", "Bob", "Cid"].into_iter().enumerate() {
        site.photo(&format!("known/{name}.jpg"), &portrait(&Person::new(i as u64), 100 + i as u64));
    }
    let crowds: [&[u64]; 4] = [&[], &[1], &[70, 2, 0], &[71, 1]];
    for (i, crowd) in crowds.into_iter().enumerate() {
        let people: Vec<Person> = crowd.iter().map(|&s| Person::new(s)).collect();
        site.photo(&format!("frames/{i}.jpg"), &group(&people, 20 + i as u64));
    }
    let known: Vec<Vec<f64>> =
        ["Ann", "Bob", "Cid"].map(|n| plain_faces(&site, &format!("known/{n}.jpg")).remove(0).1).to_vec();
    // The default false match rate of the demo is 1e-3.
    let threshold = f64::from(OPERATING_POINTS[1].1);
    for out in ["out.mjpeg", "out.y4m"] {
        let args = "annotate frames --gallery known --models models --json faces.jsonl --sheet faces.png -o";
        site.limen(&format!("{args} {out}")).exits(0).says(&["4 frames", "6 faces", "4 named"]);
        let lines = json_lines(&site.read("faces.jsonl"));
        assert_eq!(lines.len(), crowds.len());
        for (i, line) in lines.iter().enumerate() {
            let mut faces = line["faces"].as_array().unwrap().clone();
            let x1 = |f: &Value| f["bbox"]["x1"].as_f64().unwrap();
            faces.sort_by(|a, b| x1(a).total_cmp(&x1(b)));
            let plain = plain_faces(&site, &format!("frames/{i}.jpg"));
            assert_eq!(faces.len(), plain.len());
            for (face, (x, probe)) in faces.iter().zip(plain) {
                assert!((x1(face) - x).abs() < 0.6, "{face}");
                let scores: Vec<f64> = known.iter().map(|k| reference::cosine(&probe, k)).collect();
                for (got, want) in face["scores"].as_array().unwrap().iter().zip(&scores) {
                    assert!(near(got, *want), "{face}: {scores:?}");
                }
                let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
                let name = (scores[best] >= threshold).then(|| ["Ann", "Bob", "Cid"][best]);
                assert_eq!(face["name"].as_str(), name, "{scores:?}");
            }
        }
        assert!(decode_file(&site.path("faces.png")).is_ok(), "the contact sheet is a picture");
        // The annotated clip is a clip again: four frames, and the camera reads it.
        let again = site.limen(&format!("annotate {out} --gallery known --models models -o again.y4m"));
        again.exits(0).says(&["4 frames"]);
    }
}

#[test]
fn a_pin_is_set_from_a_pipe_and_its_hash_is_in_the_gallery_alone() {
    let site = Site::new();
    let config = site.read("limen.toml");
    let pin = |typed: &str| site.shell(&format!("printf '{typed}\\n' | \"$LIMEN\" pin --config limen.toml"));
    let kept = || Gallery::open_read_only(&site.path("gallery.db")).ok()?.setting::<PinHash>().unwrap();
    for (typed, why) in [
        ("1234", "stand in a row"),
        ("7777", "all of its digits are the same"),
        ("258", "4 to 8 digits"),
        ("258025802", "4 to 8 digits"),
        ("abcd", "4 to 8 digits"),
        ("", "4 to 8 digits"),
    ] {
        let refused = pin(typed).exits(3).says(&[why]);
        assert!(typed.is_empty() || !refused.stderr.contains(typed), "{}", refused.stderr);
        assert!(kept().is_none());
    }
    let set = pin("2580").exits(0).says(&["gallery.db: the PIN is set"]);
    assert!(!set.stderr.contains("2580") && set.stdout.is_empty(), "{} {}", set.stderr, set.stdout);
    let first = kept().unwrap();
    let compared = |digits| first.compare(&limen::pin::chosen(digits).unwrap());
    assert_eq!((compared("2580"), compared("2581")), (PinMatch::Right, PinMatch::Wrong));
    pin("2580").exits(0);
    assert!(kept().unwrap() != first, "each hash has its own salt");
    assert_eq!(site.read("limen.toml"), config);

    // Wrong tries go with the PIN that is forgotten.
    let mut gallery = Gallery::open(&site.path("gallery.db")).unwrap();
    gallery.set(&Tries::of(9)).unwrap();
    site.limen("pin --config limen.toml --clear").exits(0).says(&["whoever touches the device next"]);
    assert!(kept().is_none() && gallery.setting::<Tries>().unwrap().is_none());
    let said = site.limen("events --config limen.toml --json").exits(0).json();
    let reasons: Vec<_> = said.iter().map(|e| e["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["pin-set", "pin-set", "pin-cleared"]);
    assert!(said.iter().all(|e| e["kind"] == "service" && e["detail"].is_null()));

    let doctor = || {
        let said = site.limen("doctor --config limen.toml --json").json();
        let found = said.iter().find(|f| f["what"] == "controls").unwrap();
        (found["ok"].as_bool().unwrap(), found["text"].as_str().unwrap().to_owned())
    };
    pin("2580").exits(0);
    let (well, text) = doctor();
    assert!(!well && text.contains("nothing to type it on"), "{text}");
    let buttons =
        "[controls]\nup_button = \"gpio:up\"\ndown_button = \"gpio:down\"\nok_button = \"gpio:ok\"\n";
    let display = "[display]\npanel = \"png-latest:screen.png\"\n";
    site.write("limen.toml", format!("{config}{buttons}{display}"));
    let (well, text) = doctor();
    assert!(well && text.contains("three buttons; a PIN opens"), "{text}");
    site.limen("pin --config limen.toml --clear").exits(0);
    let (well, text) = doctor();
    assert!(!well && text.contains("whoever touches the device first chooses one"), "{text}");
    site.write("limen.toml", format!("{config}{buttons}touch = \"/dev/input/limen-none\"\n{display}"));
    let (well, text) = doctor();
    assert!(!well && text.contains("group `input`"), "{text}");

    // One in the configuration comes first; everybody may read it.
    let hash = "pin = \"$argon2id$v=19$m=64,t=2,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA\"\n";
    site.write("limen.toml", format!("{config}{buttons}{hash}{display}"));
    site.limen("check --config limen.toml").exits(0);
    pin("2580").exits(3).says(&["controls.pin", "comes before the gallery's", "nothing was changed"]);
    assert!(kept().is_none());
    let (well, text) = doctor();
    assert!(!well && text.contains("chmod 0640"), "{text}");
    site.shell("chmod 640 limen.toml");
    assert!(doctor().0);

    site.limen("pin").exits(2).says(&["--config"]);
    site.limen("pin --config missing.toml").exits(4);
}

#[test]
fn help_teaches_and_wrong_usage_is_two() {
    let site = Site::new();
    let help = site.limen("--help").exits(0).stdout;
    for word in [
        "enrol",
        "enrol-many",
        "identify",
        "verify",
        "gallery",
        "events",
        "run",
        "annotate",
        "check",
        "pin",
        "doctor",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    site.limen("").exits(2);
    site.limen("open-the-door").exits(2).says(&["open-the-door"]);
    site.limen("identify --config limen.toml").exits(2).says(&["PHOTO"]);
    site.limen("identify --config limen.toml --threshold 2 a.jpg").exits(2).says(&["threshold"]);
    assert!(site.limen("completions bash").exits(0).stdout.contains("limen"));
}

#[test]
fn cards_pins_and_passes_are_given_listed_and_taken_back() {
    let site = Site::new();
    for person in [0, 1] {
        enrol(&site, person);
    }
    let numbers = ["0012345678", "26:012:00345"];
    let added = site.limen("card add --config limen.toml p0 0012345678").exits(0);
    assert_eq!(added.stdout, "p0 has card 1 now\n");
    let piped = site.shell("printf '26:012:00345\\n' | \"$LIMEN\" card add --config limen.toml p0").exits(0);
    assert!(!piped.stderr.contains("345"), "{}", piped.stderr);
    let taken =
        site.limen("card add --config limen.toml p1 26:12:345").exits(3).says(&["belongs to somebody"]);
    assert!(!taken.stderr.contains("p0") && !taken.stderr.contains("345"), "{}", taken.stderr);
    for (bad, why) in [("p1 123", "4 to 32 of the digits"), ("nobody 1234", "nobody in the gallery")] {
        site.limen(&format!("card add --config limen.toml {bad}")).exits(3).says(&[why]);
    }

    let pin = |args: &str, typed: &str| {
        site.shell(&format!("printf '{typed}\\n' | \"$LIMEN\" pin --config limen.toml {args}"))
    };
    pin("--for p1", "25801").exits(3).says(&["6 to 8 digits"]);
    pin("--for p1", "258013").exits(0).says(&["p1 has a new pin"]);
    for again in ["--for p1 --duress", "--for p0", "--for p0 --duress"] {
        let refused = pin(again, "258013").exits(3).says(&["cannot be had"]);
        assert!(!refused.stderr.contains("258013"), "{}", refused.stderr);
    }
    pin("--for p1 --duress", "258014").exits(0);
    pin("--for p1", "258019").exits(0);
    site.limen("pin --config limen.toml --duress").exits(2);
    let list = || site.limen("card list --config limen.toml --json").exits(0);
    let what: Vec<_> = list().json().iter().map(|c| (c["id"].clone(), c["what"].clone())).collect();
    assert_eq!(
        what,
        [("p0", "card"), ("p0", "card"), ("p1", "duress-pin"), ("p1", "pin")]
            .map(|(a, b)| (a.into(), b.into()))
    );
    site.limen("pin --config limen.toml --remove p1 --duress").exits(0);
    site.limen("pin --config limen.toml --remove p1 --duress").exits(3).says(&["p1 has no duress-pin"]);
    let pins_number = list().json()[2]["number"].to_string();
    site.limen(&format!("card remove --config limen.toml p1 {pins_number}")).exits(3).says(&["has no card"]);
    site.limen("card remove --config limen.toml p0 1").exits(0);
    site.limen("card remove --config limen.toml p0 1").exits(3).says(&["p0 has no card 1"]);
    site.limen("card add --config limen.toml p1 0012345678").exits(0);

    // A pass as a picture is the pass that is listed; one that cannot be written is none.
    let issued = site
        .limen("pass issue --config limen.toml p0 --until 2099-01-01T00:00:00Z --once --png pass.png")
        .exits(0);
    let image = decode_file(&site.path("pass.png")).unwrap();
    let text = limen::input::qr::read(&image).expect("a pass in the picture");
    let listed = site.limen("pass list --config limen.toml --json").exits(0).json();
    assert_eq!((listed.len(), &listed[0]["id"], &listed[0]["use"]), (1, &"p0".into(), &"once".into()));
    let id = listed[0]["pass"].as_str().unwrap().to_owned();
    assert!(issued.stdout.contains(&id) && !issued.stdout.contains("LIMEN1:"), "{}", issued.stdout);
    assert!(text.as_str().to_lowercase().contains(&id.replace('-', "")));
    site.limen("pass issue --config limen.toml p0 --until 2099-01-01T00:00:00Z --png none/pass.png")
        .exits(4)
        .says(&["so no pass was issued"]);
    assert_eq!(site.limen("pass list --config limen.toml p0 --json").exits(0).json().len(), 1);
    let json =
        site.limen("pass issue --config limen.toml p1 --until 2099-01-01T00:00:00Z --json").exits(0).json();
    assert!(json[0]["text"].as_str().unwrap().starts_with("LIMEN1:"));
    site.limen("pass issue --config limen.toml p0 --until 2020-01-01T00:00:00Z")
        .exits(3)
        .says(&["that is over"]);
    site.limen(&format!("pass revoke --config limen.toml {id}")).exits(0);
    site.limen(&format!("pass revoke --config limen.toml {id}")).exits(3).says(&["has no pass"]);
    assert!(
        site.limen("pass issue --config limen.toml p0 --until 2099-01-01T00:00:00Z")
            .exits(0)
            .stdout
            .contains('█')
    );

    // The journal tells of all, and of no number.
    let journal = site.limen("events --config limen.toml --kind credential --json").exits(0);
    let told = journal.json();
    let count = |reason: &str| told.iter().filter(|e| e["reason"] == reason).count();
    assert_eq!((count("given"), count("taken")), (10, 4), "{}", journal.stdout);
    for secret in numbers.into_iter().chain(["26:12:345", "258013", "258014", "258019", text.as_str()]) {
        for said in [&journal.stdout, &list().stdout, &site.limen("pass list --config limen.toml").stdout] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    // An export has none of it.
    site.limen("gallery export --config limen.toml out.jsonl").exits(0);
    site.limen("gallery import --gallery other.db out.jsonl").exits(0);
    assert_eq!(site.limen("card list --gallery other.db --json").exits(0).stdout, "");
}
