//! A house with rules: a running door follows them and what it is told from elsewhere, and each decision can be gone through
//! again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_tests::people::{Person, portrait};
use limen_tests::site::Site;

/// A door before whose camera a person stands all day who is enrolled, in the group "staff".
fn site() -> Site {
    let site = Site::new();
    let person = Person::new(1);
    site.photo("a.jpg", &portrait(&person, 1));
    site.limen("enrol --config limen.toml --id 1 --name One --groups staff a.jpg").exits(0);
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/1.jpg", &portrait(&person, 2));
    let config = site.read("limen.toml").replace("[models]", "repeat = true\n[models]");
    site.write("limen.toml", config + "[decision]\ncool_down_ms = 300\nmin_frames = 1\n");
    site
}

/// Waits until `out` says a word so many times more than it did.
const SAID: &str = r#"
    told() { grep -c "$1" out; }
    past() { # WORD BEFORE
        n=0
        until [ "$(told "$1")" -gt "$2" ]; do
            n=$((n + 1))
            [ "$n" -lt 1200 ] || { echo "never said: $1"; cat out err; kill -KILL "$pid"; exit 9; }
            sleep 0.05
        done
    }
    again() { past "$1" "$(told "$1")"; }
"#;

#[test]
fn a_running_door_follows_its_rules_and_what_it_is_told() {
    let site = site();
    // At no time by the face alone.
    site.write("strict.toml", "[[rules]]\nname = \"strict\"\ngroups = [\"staff\"]\nneeds = \"face + card\"");
    site.write("others.toml", "[[rules]]\nname = \"others\"\ngroups = [\"guests\"]");
    site.write("never.toml", "[schedules.never]\n[[rules]]\nname = \"never\"\nschedule = \"never\"");
    let outcome = site.shell(&format!(
        r#"{SAID}
        "$LIMEN" run --config limen.toml >out 2>err & pid=$!
        again granted
        "$LIMEN" rules set --config limen.toml strict.toml
        again 'asked.*second-factor'
        "$LIMEN" rules set --config limen.toml others.toml
        again 'denied.*not-here'
        "$LIMEN" rules set --config limen.toml never.toml
        again 'denied.*outside-hours'
        "$LIMEN" door open --config limen.toml --reason parcel && past remote-open 0
        "$LIMEN" rules clear --config limen.toml
        again granted
        "$LIMEN" door lockdown --config limen.toml --reason drill
        again 'denied.*lockdown'
        "$LIMEN" door open --config limen.toml --reason parcel; echo "open $?"
        "$LIMEN" door status --config limen.toml; echo "status $?"
        "$LIMEN" door normal --config limen.toml --reason drill
        again granted
        kill "$pid"
        wait "$pid"
        echo "exit $?"
        "$LIMEN" events verify --config limen.toml
        "#
    ));
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    for word in ["open 1\n", "locked down\nstatus 1\n", "exit 0\n", "each as it was written"] {
        assert!(outcome.stdout.contains(word), "{word}: {said}");
    }
    let kinds = "events --config limen.toml --json --kind door-mode,rules";
    let told: Vec<String> = site
        .limen(kinds)
        .exits(0)
        .json()
        .iter()
        .map(|e| format!("{} {} {}", e["kind"], e["reason"], e["detail"]["why"]).replace('"', ""))
        .collect();
    let expected = [
        "rules set null",
        "rules set null",
        "rules set null",
        "rules cleared null",
        "door-mode lockdown drill",
        "door-mode lockdown-over drill",
    ];
    assert_eq!(told, expected, "{said}");
    // Nobody answers where no door runs.
    site.limen("door open --config limen.toml --reason parcel").exits(3).says(&["is `limen run` running"]);
}

#[test]
fn each_decision_is_explained_and_comes_out_the_same_again() {
    let site = site();
    site.write("day.toml", "[[rules]]\nname = \"by card\"\ngroups = [\"staff\"]\nneeds = \"face + card\"");
    let once = site.read("limen.toml").replace("repeat = true\n", "");
    site.write("limen.toml", once);
    site.limen("run --config limen.toml").exits(0);
    site.limen("rules set --config limen.toml day.toml").exits(0);
    site.limen("run --config limen.toml").exits(0);
    let events = site.limen("events --config limen.toml --json --kind granted,asked").exits(0).json();
    assert_eq!(events.iter().map(|e| e["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["granted", "asked"]);
    for (event, words) in events
        .iter()
        .zip([["rule \"everybody\"", "face", "score"], ["rule \"by card\"", "face + card", "score"]])
    {
        let seq = event["seq"].as_i64().unwrap();
        site.limen(&format!("events show --config limen.toml {seq}")).exits(0).prints(&words);
        site.limen(&format!("replay --config limen.toml {seq}")).exits(0).prints(&["the same now"]);
    }
    // Erased, the person is in no event any more, and the decision comes out the same.
    site.limen("gallery erase --config limen.toml 1").exits(0);
    let seq = events[0]["seq"].as_i64().unwrap();
    site.limen(&format!("replay --config limen.toml --json {seq}")).exits(0).prints(&["\"same\":true"]);
    site.limen("replay --config limen.toml 1").exits(3).says(&["keeps no evidence"]);
    site.limen("replay --config limen.toml 999").exits(3).says(&["there is no event 999"]);
}

#[test]
fn rules_are_tried_before_they_are_needed() {
    let site = site();
    site.limen("rules show --config limen.toml").exits(0).prints(&["No rules"]);
    let example = site.limen("rules show --example --config limen.toml").exits(0).stdout;
    site.write("house.toml", &example);
    site.limen("rules check house.toml").exits(0).prints(&["good"]);
    site.limen("rules set --config limen.toml house.toml").exits(0);
    assert_eq!(site.limen("rules show --config limen.toml").exits(0).stdout, example);
    let tried = |at: &str| site.limen(&format!("rules try --config limen.toml --at {at} 1"));
    tried("2026-11-30T09:00").exits(0).prints(&["by \"staff by day\": face or card + pin"]);
    tried("2026-11-30T23:00").exits(0).prints(&["by \"staff at night\": face + pin"]);
    site.limen("rules try --config limen.toml --at 2026-11-30T09:00 --door vault 2")
        .exits(3)
        .says(&["the id 2"]);
    site.write("bad.toml", "[[rules]]\nname = \"x\"\nneeds = \"iris\"");
    site.limen("rules set --config limen.toml bad.toml").exits(3).says(&[
        "bad.toml",
        "rules \"x\": needs",
        "iris",
    ]);
    assert_eq!(site.limen("rules show --config limen.toml").exits(0).stdout, example, "nothing was changed");
}
