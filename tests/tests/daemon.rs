//! `limen run` and what it is told while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen::sound::Tone;
use limen_tests::people::{Person, portrait};
use limen_tests::site::Site;

#[test]
fn a_running_door_takes_a_good_configuration_and_goes_on_without_a_bad_one() {
    let site = Site::new();
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/1.jpg", &portrait(&Person::new(1), 1));
    let config = site.read("limen.toml").replace("[models]", "repeat = true\n[models]");
    site.write("limen.toml", &config);
    let outcome = site.shell(
        r#"
        said() { # FILE WORD TIMES
            n=0
            until [ "$(grep -c "$2" "$1")" -ge "$3" ]; do
                n=$((n + 1))
                [ "$n" -lt 1200 ] || { echo "never said: $2"; cat out err; kill -KILL "$pid"; exit 9; }
                sleep 0.05
            done
        }
        "$LIMEN" run --config limen.toml >out 2>err & pid=$!
        said out started 1
        cp limen.toml good.toml
        echo 'nonsense = 1' >>limen.toml
        kill -HUP "$pid"
        said err 'goes on as it was' 1
        echo '[models]' >limen.toml
        kill -HUP "$pid"
        said err 'goes on as it was' 2
        cp good.toml limen.toml
        kill -HUP "$pid"
        said err 'read again' 1
        said out started 2
        kill "$pid"
        wait "$pid"
        echo "exit $?"
        cat out err
        "#,
    );
    assert!(outcome.stdout.starts_with("exit 0\n"), "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("limen.toml") && outcome.stdout.contains("nonsense"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.stdout.matches("stopped\n").count(), 2, "{}", outcome.stdout);
    assert_eq!(outcome.code, 0);
}

#[test]
fn a_door_is_heard_and_goes_on_when_it_no_longer_is() {
    let site = Site::new();
    let person = Person::new(1);
    site.photo("a.jpg", &portrait(&person, 1));
    site.limen("enrol --config limen.toml --id 1 --name One a.jpg").exits(0);
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/1.jpg", &portrait(&person, 2));
    let config = site.read("limen.toml").replace("[models]", "repeat = true\n[models]");
    let more = "[decision]\ncool_down_ms = 500\n[sound]\ndevice = \"default\"\n";
    site.write("limen.toml", config + more);
    // The door's PATH has one program: what stands in ALSA's place, and keeps what it is given.
    let outcome = site.shell(
        r#"
        granted() { # TIMES
            n=0
            until [ "$(grep -c granted out)" -ge "$1" ]; do
                n=$((n + 1))
                [ "$n" -lt 1200 ] || { echo "too few are let in"; cat out err; kill -KILL "$pid"; exit 9; }
                sleep 0.05
            done
        }
        mkdir bin
        printf '#!/bin/sh\n/bin/cat >>heard\n' >bin/aplay
        chmod +x bin/aplay
        PATH=$PWD/bin "$LIMEN" run --config limen.toml >out 2>err & pid=$!
        granted 2
        rm bin/aplay
        granted "$(($(grep -c granted out) + 4))"
        kill "$pid"
        wait "$pid"
        echo "exit $?"
        cat err
        "#,
    );
    assert!(outcome.stdout.starts_with("exit 0\n"), "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.stdout.matches("nothing is heard").count(), 1, "told once: {}", outcome.stdout);
    assert!(outcome.stdout.contains("apt-get install alsa-utils"), "{}", outcome.stdout);
    let granted: Vec<u8> = Tone::Granted.samples(60).iter().flat_map(|s| s.to_le_bytes()).collect();
    let heard = std::fs::read(site.path("heard")).unwrap();
    assert!(heard.starts_with(&granted), "{} bytes were heard", heard.len());
}

#[test]
fn a_clip_ends_and_so_do_figures_and_sound() {
    let site = Site::new();
    std::fs::create_dir(site.path("photos")).unwrap();
    site.photo("photos/1.jpg", &portrait(&Person::new(1), 1));
    let more = "[metrics]\nlisten = \"unix:m.sock\"\n[sound]\ndevice = \"default\"\n";
    site.write("limen.toml", site.read("limen.toml") + more);
    let outcome = site.shell("timeout 60 \"$LIMEN\" run --config limen.toml >out; echo \"exit $?\"");
    assert!(outcome.stdout.starts_with("exit 0\n"), "{}{}", outcome.stdout, outcome.stderr);
}

/// An exposure of 1.0 of 10; systemd takes it in tenths.
const MOST_EXPOSED: &str = "--threshold=10";

#[test]
fn the_unit_leaves_little_to_attack() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../cross/systemd/limen.service");
    let judge = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", MOST_EXPOSED, unit])
        .output();
    match judge {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout)),
        Err(e) => println!("SKIPPED (no systemd-analyze here: {e}): the_unit_leaves_little_to_attack"),
    }
}
