//! Wiegand on GPIO lines: a controller is sent who is let in, with the times of the kernel's own clock; a reader's pulses come in.

use std::path::Path;
use std::process::Command;

use limen::input::wiegand::{Bit, Decoder};
use limen_tests::site::binary;

use crate::house::{change, furnish, open, quiet, reports, until};
use crate::machine::{self, Guest};

/// Ada under an id that a controller takes.
fn rename_ada(guest: &Guest) {
    let limen = |arguments: &[&str], photos: &[String]| {
        let mut limen = Command::new(binary());
        limen.args(arguments).arg("--config").arg(guest.shared("outside.toml")).args(photos);
        assert!(limen.status().unwrap().success(), "{arguments:?}");
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/people/enrolled/Ada");
    let photos = [1, 2, 3].map(|n| folder.join(format!("{n}.jpg")).display().to_string());
    limen(&["gallery", "remove", "Ada"], &[]);
    limen(&["enrol", "--id", "345", "--name", "Ada"], &photos);
}

/// The pulses to the controller: on which of the two highest lines, and when, µs.
fn pulses(guest: &mut Guest) -> Vec<(Bit, u64)> {
    let set: Vec<(u32, u64)> = guest
        .sh(". /share/hardware.sh; pulses")
        .lines()
        .map(|line| {
            let (number, at) = line.split_once(' ').unwrap();
            (number.parse().unwrap(), at.parse().unwrap())
        })
        .collect();
    let last = set.iter().map(|(number, _)| *number).max().unwrap_or(0);
    let bit = |number| [(last, Bit::One), (last - 1, Bit::Zero)].into_iter().find(|(n, _)| *n == number);
    set.into_iter().filter_map(|(number, at)| Some((bit(number)?.1, at))).collect()
}

#[test]
fn a_controller_is_sent_who_is_let_in_and_a_readers_pulses_come_in() {
    let test = "a_controller_is_sent_who_is_let_in_and_a_readers_pulses_come_in";
    let Some(kit) = machine::kit(test) else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "none");
    rename_ada(&guest);
    change(
        &guest,
        "[door]",
        "[readers]
wiegand_d0 = \"gpio:d0\"
wiegand_d1 = \"gpio:d1\"
wiegand_out_d0 = \"gpio:out0\"
wiegand_out_d1 = \"gpio:out1\"
wiegand_out_facility = 12
[door]",
    );
    open(&mut guest);
    until(&mut guest, "ada", "granted", 0);
    quiet(&mut guest);
    let pulses = pulses(&mut guest);
    let (mut decoder, mut cards) = (Decoder::default(), Vec::new());
    cards.extend(pulses.iter().filter_map(|(bit, at)| decoder.pulse(*bit, *at)));
    cards.extend(decoder.rest());
    // As long as she stands there she may be let in again.
    assert!(
        !cards.is_empty() && cards.iter().all(|card| *card == Ok("26:12:345".parse().unwrap())),
        "{pulses:?}"
    );
    for pair in pulses.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= 2000, "{pair:?}");
    }

    // Five pulses are no card, and that is told once.
    guest.sh(". /share/hardware.sh; wiegand 7 7 8 7 8; wait_for grep '5 pulses are no card' /tmp/err; wiegand 7 8; sleep 1");
    let told = guest.sh("grep -c 'are no card' /tmp/err");
    assert_eq!(told.trim(), "1");
    // Nothing shows a number. (A whole card takes a shell under emulation longer than a reader may.)
    assert!(!guest.sh("cat /tmp/out /tmp/err").contains("26:12"), "a card's number is told");
    let kinds: Vec<String> =
        reports(&mut guest).iter().map(|e| e["kind"].as_str().unwrap_or("").to_owned()).collect();
    assert!(!kinds.contains(&"fault".to_owned()), "{kinds:?}");
}
