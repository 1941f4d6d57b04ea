//! `limen enrol-many` on drawn people: folders and ZIPs, verdicts, dry runs, runs that go on, and nothing half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Cursor, Write};
use std::process::{Command, Stdio};

use limen_tests::people::{Person, Scene, jpeg, portrait, turned};
use limen_tests::site::{Site, binary};
use serde_json::Value;
use zip::write::SimpleFileOptions;

/// A site with the folder `day` and this list in it.
fn site(people: &str) -> Site {
    let site = Site::new();
    std::fs::create_dir(site.path("day")).unwrap();
    site.write("day/people.csv", people);
    site
}

/// Runs the command and gives its verdicts and its sums.
fn run(site: &Site, args: &str, code: i32) -> (Vec<Value>, Value) {
    let mut lines = site.limen(&format!("enrol-many --config limen.toml --json {args}")).exits(code).json();
    let sums = lines.pop().unwrap();
    (lines, sums)
}

/// The word for each person, and the reason of a refusal.
fn words(verdicts: &[Value]) -> Vec<(&str, &str)> {
    verdicts.iter().map(|v| (v["verdict"].as_str().unwrap(), v["reason"].as_str().unwrap_or(""))).collect()
}

/// Everything that the gallery holds.
fn contents(site: &Site) -> String {
    let list = site.limen("gallery list --config limen.toml --json").exits(0).stdout;
    let show = |line: &str| {
        let id = serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        site.limen(&format!("gallery show --config limen.toml --json {id}")).exits(0).stdout
    };
    let shown: String = list.lines().map(show).collect();
    list + &shown + &site.limen("events --config limen.toml --json").exits(0).stdout
}

fn show(site: &Site, id: &str) -> Value {
    site.limen(&format!("gallery show --config limen.toml --json {id}")).exits(0).json().remove(0)
}

#[test]
fn a_dry_run_says_what_the_run_does_and_the_next_run_finds_it_done() {
    let list = "\u{feff}name;id;groups;valid_from;valid_until;consent\r\n\
        \"Zero; the first\";p0;staff|lab;2020-01-01;2030-12-31;2020-01-02\r\n\
        One;p1;;;;2020-01-02\r\nTwo;p2;;;;\r\nThree;p3;;31.12.2026;;2020-01-02\r\nFour;p4;;;;2020-01-02\r\n";
    let site = site(list);
    for (name, person, take) in [("p0-1", 0, 1), ("p0-2", 0, 2), ("p1", 1, 3), ("p2", 2, 4), ("guest", 9, 5)]
    {
        site.photo(&format!("day/{name}.jpg"), &portrait(&Person::new(person), take));
    }
    site.photo("day/p0-3.jpg", &Scene::new(320, 240, 1).noise(2.0).done());
    site.write("day/p1-2.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");

    let dry = run(&site, "--dry-run day", 5);
    assert!(!site.path("gallery.db").exists(), "a dry run makes no gallery");
    let (verdicts, sums) = run(&site, "day", 5);
    assert_eq!(dry.0, verdicts);
    assert_eq!(
        words(&verdicts),
        [
            ("enrolled", ""),
            ("enrolled", ""),
            ("refused", "no-consent"),
            ("refused", "bad-data"),
            ("refused", "no-pictures")
        ]
    );
    assert_eq!((&dry.1["dry_run"], &sums["dry_run"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!((&sums["people"], &sums["enrolled"], &sums["refused"]), (&5.into(), &2.into(), &3.into()));
    assert_eq!(sums["of_nobody"], serde_json::json!(["guest.jpg"]));
    let pictures = verdicts[0]["pictures"].as_array().unwrap();
    let used: Vec<_> = pictures.iter().map(|p| (p["picture"].as_str().unwrap(), p["used"] == true)).collect();
    assert_eq!(used, [("p0-1.jpg", true), ("p0-2.jpg", true), ("p0-3.jpg", false)]);
    assert!(pictures[2]["why"].as_str().unwrap().contains("no face found"));
    let heic = verdicts[1]["pictures"][0]["why"].as_str().unwrap();
    assert!(heic.starts_with("a HEIC or AVIF photograph") && heic.contains("export it as JPEG"), "{heic}");
    assert!(verdicts[3]["why"].as_str().unwrap().starts_with("valid_from: is neither"));

    let p0 = show(&site, "p0");
    assert_eq!(
        (&p0["name"], &p0["groups"]),
        (&"Zero; the first".into(), &serde_json::json!(["lab", "staff"]))
    );
    assert_eq!(p0["templates"].as_array().unwrap().len(), 2);
    assert!(p0["templates"][0]["source"].as_str().unwrap().starts_with("p0-1.jpg set:"));
    site.photo("again.jpg", &portrait(&Person::new(0), 900));
    let said = site.limen("identify --config limen.toml --json again.jpg").exits(0).json();
    assert_eq!(said[0]["faces"][0]["id"], "p0");

    // What was mended is done now, and what was done is not done again.
    site.write(
        "day/people.csv",
        list.replace("Two;p2;;;;", "Two;p2;;;;2020-02-03").replace("31.12.2026", ""),
    );
    site.photo("day/p3.jpg", &portrait(&Person::new(3), 6));
    let before = contents(&site);
    let dry = run(&site, "--dry-run day", 5);
    assert_eq!(contents(&site), before, "a dry run changes nothing");
    let (verdicts, _) = run(&site, "day", 5);
    assert_eq!(dry.0, verdicts);
    let now: Vec<_> = words(&verdicts).iter().map(|w| w.0).collect();
    assert_eq!(now, ["unchanged", "unchanged", "enrolled", "enrolled", "refused"]);
    let told = site.limen("enrol-many --config limen.toml day").exits(5);
    assert!(told.stdout.contains("line 2, p0: unchanged"), "{}", told.stdout);
    assert!(
        told.stdout.contains("line 6, p4: refused: no pictures found; name them p4.jpg"),
        "{}",
        told.stdout
    );
    told.says(&[
        "guest.jpg: nobody's in people.csv",
        "5 people: 0 enrolled, 0 changed, 4 unchanged, 1 refused",
    ]);
    let kinds = site.limen("events --config limen.toml --json").exits(0).json();
    assert_eq!(kinds.iter().filter(|e| e["kind"] == "enrolled").count(), 4, "an event a person");
    assert_eq!(kinds.len(), 4);
}

#[test]
fn a_zip_is_read_without_being_unpacked_and_pictures_in_it_are_turned_upright() {
    let site = Site::new();
    let quarter = turned(&portrait(&Person::new(1), 3));
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [
        (
            "export/people.csv",
            b"id,name,photos\np0,Zero,\np1,One,turned/phone.jpg\np2,Two,turned/lying.jpg\n".to_vec(),
        ),
        ("export/p0.jpg", jpeg(&portrait(&Person::new(0), 1), None)),
        // Orientation 6: turn it by 90 degrees clockwise to see it upright.
        ("export/turned/phone.jpg", jpeg(&quarter, Some(6))),
        ("export/turned/lying.jpg", jpeg(&turned(&portrait(&Person::new(2), 4)), None)),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&content).unwrap();
    }
    site.write("day.zip", zip.finish().unwrap().into_inner());
    let files = || std::fs::read_dir(site.path(".")).unwrap().count();
    let before = files();
    let (verdicts, _) = run(&site, "--consent --dry-run day.zip", 0);
    assert_eq!(files(), before, "nothing was unpacked");
    assert_eq!(words(&verdicts), [("enrolled", ""); 3]);
    assert_eq!(run(&site, "--consent day.zip", 0).0, verdicts);
    site.photo("again.jpg", &portrait(&Person::new(1), 901));
    let said = site.limen("identify --config limen.toml --json again.jpg").exits(0).json();
    assert_eq!(said[0]["faces"][0]["id"], "p1");
    // And it is the orientation that does it.
    site.photo("other.jpg", &portrait(&Person::new(2), 902));
    site.limen("identify --config limen.toml other.jpg").exits(1);
    assert!(show(&site, "p0")["consent"].is_string(), "the consent of all is on record");
    // The moment of that consent is no other data.
    assert_eq!(words(&run(&site, "--consent day.zip", 0).0), [("unchanged", ""); 3]);
}

#[test]
fn whoever_is_known_is_changed_only_when_it_is_said() {
    let list = "id,name,consent\np0,Zero,2020-01-02\np1,One,2020-01-02\n";
    let site = site(list);
    site.photo("day/p0-1.jpg", &portrait(&Person::new(0), 1));
    site.photo("day/p1-1.jpg", &portrait(&Person::new(1), 2));
    run(&site, "day", 0);
    site.photo("day/p0-2.jpg", &portrait(&Person::new(0), 3));
    site.write("day/people.csv", list.replace("One", "Uno"));
    let before = contents(&site);
    let (verdicts, _) = run(&site, "day", 5);
    assert_eq!(words(&verdicts), [("refused", "already-enrolled"), ("refused", "already-enrolled")]);
    assert!(verdicts[0]["why"].as_str().unwrap().contains("with other pictures; --add"));
    assert!(verdicts[1]["why"].as_str().unwrap().contains("with other data; --add"));
    assert_eq!(contents(&site), before);

    // Added: the picture that is there already is passed over, the data stay.
    let (verdicts, _) = run(&site, "--add day", 0);
    assert_eq!(words(&verdicts), [("enrolled", ""), ("unchanged", "")]);
    assert_eq!(verdicts[0]["templates"], 1);
    assert!(verdicts[0]["pictures"][0]["why"].as_str().unwrap().contains("the same picture"));
    assert_eq!(show(&site, "p0")["templates"].as_array().unwrap().len(), 2);
    assert_eq!(words(&run(&site, "--add day", 0).0), [("unchanged", ""); 2]);

    // Replaced: data and pictures are those of the list; where the pictures are the same they are not looked at again.
    let (verdicts, _) = run(&site, "--replace day", 0);
    assert_eq!(words(&verdicts), [("enrolled", ""), ("changed", "")]);
    assert_eq!(verdicts[0]["templates"], 2);
    assert_eq!(show(&site, "p1")["name"], "Uno");
    let last = site.limen("events --config limen.toml --json --last 1").exits(0).json();
    assert_eq!((&last[0]["kind"], &last[0]["external_id"]), (&"changed".into(), &"p1".into()));
    assert_eq!(words(&run(&site, "--replace day", 0).0), [("unchanged", ""); 2]);
    // Without pictures the templates stay.
    std::fs::remove_file(site.path("day/p1-1.jpg")).unwrap();
    site.write("day/people.csv", "id,name\np1,Yi\n");
    assert_eq!(words(&run(&site, "--replace day", 0).0), [("changed", "")]);
    let p1 = show(&site, "p1");
    assert_eq!((&p1["name"], p1["templates"].as_array().unwrap().len()), (&"Yi".into(), 1));
    assert!(
        p1["consent"].as_str().unwrap().starts_with("2020-01-0"),
        "what the list does not say stays: {p1}"
    );
}

#[test]
fn look_alikes_and_credentials_are_refused_and_the_others_go_on() {
    let site = site("id,name,pin,card\np0,Zero,,\np1,One,258025,\np2,Two,,0042\ntwin,Twin,,\np3,Three,,\n");
    for (name, person, take) in [("p0", 0, 1), ("p1", 1, 2), ("p2", 2, 3), ("twin", 0, 4), ("p3", 3, 5)] {
        site.photo(&format!("day/{name}.jpg"), &portrait(&Person::new(person), take));
    }
    for dry in ["--dry-run", ""] {
        let (verdicts, _) = run(&site, &format!("--consent {dry} day"), 5);
        assert_eq!(
            words(&verdicts),
            [
                ("enrolled", ""),
                ("refused", "credentials"),
                ("refused", "credentials"),
                ("refused", "duplicate-person"),
                ("enrolled", "")
            ],
            "{dry}: the copy knows whom the run would have enrolled"
        );
        assert!(verdicts[3]["why"].as_str().unwrap().contains("looks like p0"));
        assert!(!verdicts[1].to_string().contains("258025") && !verdicts[2].to_string().contains("0042"));
        assert_eq!(verdicts[3]["pictures"][0]["used"], false);
    }
    let (verdicts, _) = run(&site, "--consent --allow-duplicate day", 5);
    assert_eq!(verdicts[3]["verdict"], "enrolled");
    assert_eq!(verdicts[3]["look_alikes"][0]["id"], "p0");
}

#[test]
fn a_run_that_is_killed_is_gone_on_with() {
    let people: String = (0..6).map(|i| format!("p{i},Person {i}\n")).collect();
    let site = site(&format!("id,name\n{people}"));
    for i in 0..6 {
        for take in 0..2 {
            site.photo(&format!("day/p{i}-{take}.jpg"), &portrait(&Person::new(i), 10 * take + i));
        }
    }
    let args = ["enrol-many", "--config", "limen.toml", "--consent", "--json", "day"];
    let mut killed = Command::new(binary())
        .args(args)
        .current_dir(site.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    lines.by_ref().take(2).for_each(|line| assert!(line.unwrap().contains("\"enrolled\"")));
    killed.kill().unwrap();
    killed.wait().unwrap();
    // Whoever was told of is there; whoever is there is there with all that belongs to them.
    let there = site.limen("gallery list --config limen.toml --json").exits(0).json();
    assert!((2..=6).contains(&there.len()), "{} of 6 are there", there.len());
    assert!(there.iter().all(|s| s["templates"] == 2 && s["consent"].is_string()), "{there:?}");
    let (verdicts, _) = run(&site, "--consent day", 0);
    let unchanged = verdicts.iter().filter(|v| v["verdict"] == "unchanged").count();
    assert_eq!(unchanged, there.len());
    assert!(verdicts[unchanged..].iter().all(|v| v["verdict"] == "enrolled"));
    let events = site.limen("events --config limen.toml --json").exits(0).json();
    assert_eq!(events.iter().filter(|e| e["kind"] == "enrolled").count(), 6);
}

#[test]
fn lists_that_cannot_be_used_change_nothing() {
    let site = site("id,name\np0,Zero\n");
    site.photo("day/p0.jpg", &portrait(&Person::new(0), 1));
    run(&site, "--consent day", 0);
    let before = contents(&site);
    let refused = |args: &str, code: i32, words: &[&str]| {
        site.limen(&format!("enrol-many --config limen.toml {args}")).exits(code).says(words);
        assert_eq!(contents(&site), before, "{args}");
    };
    for (list, words) in [
        ("id,name,age\np1,One,7\n", ["day/people.csv, line 1", "\"age\" is no column"]),
        ("id,name\np1,One\np1,Two\n", ["day/people.csv, line 3", "the id of line 2"]),
        ("id,name\np1,One,\n", ["day/people.csv, line 2", "3 fields"]),
        ("", ["day/people.csv, line 1", "no column id"]),
    ] {
        site.write("day/people.csv", list);
        refused("day", 3, &words);
        refused("day", 3, &["nobody was enrolled"]);
    }
    std::fs::remove_file(site.path("day/people.csv")).unwrap();
    refused("day", 3, &["day: has no people.csv"]);
    refused("nowhere", 4, &["nowhere: cannot be read"]);
    site.write("text.zip", "Somebody's shopping list\n");
    refused("text.zip", 3, &["text.zip: is no ZIP that can be used"]);
    refused("--add --replace day", 2, &["cannot be used with"]);
}

#[test]
fn a_persons_data_are_changed_by_command() {
    let site = site("id,name,groups,valid_until\np0,Zero,staff,2030-12-31\n");
    site.photo("day/p0.jpg", &portrait(&Person::new(0), 1));
    run(&site, "--consent day", 0);
    let change = |args: &str| site.limen(&format!("gallery change --config limen.toml {args}"));
    change("p0 --name Nil --groups lab,door --valid-from 2020-01-01 --valid-until none").exits(0);
    let p0 = show(&site, "p0");
    assert_eq!((&p0["name"], &p0["groups"]), (&"Nil".into(), &serde_json::json!(["door", "lab"])));
    assert!(p0["valid_from"].is_string() && p0["valid_until"].is_null(), "{p0}");
    assert_eq!(p0["templates"].as_array().unwrap().len(), 1);
    let kinds = || {
        let events = site.limen("events --config limen.toml --json").exits(0).json();
        events.iter().map(|e| e["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(), ["enrolled", "changed"]);
    assert!(change("p0 --name Nil").exits(0).stdout.contains("as it was"));
    assert_eq!(kinds().len(), 2, "what is as it was is no event");
    change("p0 --groups=").exits(0);
    assert_eq!(show(&site, "p0")["groups"], serde_json::json!([]));
    change("p0 --valid-from 2030-01-01 --valid-until 2029-01-01").exits(3).says(&["valid until"]);
    change("p0 --valid-until tomorrow").exits(2).says(&["neither a day such as"]);
    change("p9 --name Nobody").exits(3).says(&["p9", "gallery list"]);
}
