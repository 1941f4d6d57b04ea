//! Who comes to the door: the right people are let in for the right time, seen at the relay's line, on the display and in
//! the journal.

use limen::decide::Denial;
use limen::display::screens::{CameraLost, Denied, Granted, Screen};

use crate::house::{
    EARLY_MS, LATE_MS, PULSE_MS, english, furnish, open, openings, quiet, reports, shows, until,
};
use crate::machine::{self, Guest};

#[test]
fn the_right_people_are_let_in_and_nobody_else() {
    let Some(kit) = machine::kit("the_right_people_are_let_in_and_nobody_else") else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "drm:/dev/dri/card0");
    open(&mut guest);
    let words = english().words;

    until(&mut guest, "ada", "granted  Ada", 0);
    shows(&mut guest, &Screen::Granted(Granted::new(&words, "Ada")));
    // As long as she stands there she may be let in again.
    quiet(&mut guest);
    let for_ada = openings(&mut guest);
    assert!(!for_ada.is_empty(), "the door did not open for Ada");

    until(&mut guest, "stranger", "denied", 0);
    shows(&mut guest, &Screen::Denied(Denied::new(&words, Denial::Unknown)));

    guest.sh(". /share/hardware.sh; camera_unplug; PATIENCE=30 wait_for grep camera-lost /tmp/out");
    shows(&mut guest, &Screen::CameraLost(CameraLost::new(&words)));
    assert_eq!(openings(&mut guest), for_ada, "the door opened for a stranger, or without a camera");

    // Who was let in before the cable was pulled is let in again, and the other one too.
    guest.sh(". /share/hardware.sh; camera_plug 640 480");
    until(&mut guest, "ada", "granted  Ada", for_ada.len());
    until(&mut guest, "ben", "granted  Ben", 0);
    shows(&mut guest, &Screen::Granted(Granted::new(&words, "Ben")));
    quiet(&mut guest);

    let events = reports(&mut guest);
    let kinds: Vec<String> = events
        .iter()
        .filter(|e| e["kind"] != "enrolled")
        .map(|e| [&e["kind"], &e["external_id"], &e["reason"]].map(|w| w.as_str().unwrap_or("")).join(" "))
        .collect();
    let mut once = kinds.clone();
    once.dedup();
    // Whoever is quicker than the cable is pulled out once more.
    while let Some(again) = once.windows(4).position(|w| w[..2] == w[2..] && w[0] == "camera-lost  ") {
        once.drain(again..again + 2);
    }
    let expected = [
        "started  ",
        "granted Ada ",
        "denied  unknown",
        "camera-lost  ",
        "camera-back  ",
        "granted Ada ",
        "granted Ben ",
        "stopped  ",
    ];
    assert_eq!(once, expected);
    let grants = kinds.iter().filter(|k| k.starts_with("granted")).count();
    let all = openings(&mut guest);
    assert_eq!(all.len(), grants, "{all:?}");
    for (_, length) in all {
        let length = length.expect("the door is shut at the end");
        println!("open for {length} ms");
        assert!((PULSE_MS - EARLY_MS..PULSE_MS + LATE_MS).contains(&length), "open for {length} ms");
    }
}
