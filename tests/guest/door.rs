//! Who comes to the door: the right people are let in for the right time, seen at the relay's line, on the display and in
//! the journal.

use limen::decide::Denial;
use limen::display::screens::{Denied, Granted, OutOfOrder, Screen};

use crate::house::{OFF_MS, PULSE_MS, drawn, furnish, open, openings, until};
use crate::machine::{self, Guest};

#[test]
fn the_right_people_are_let_in_and_nobody_else() {
    let Some(kit) = machine::kit("the_right_people_are_let_in_and_nobody_else") else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "drm:/dev/dri/card0");
    open(&mut guest);

    until(&mut guest, "ada", "granted  Ada", 0);
    assert_eq!(guest.screenshot(), drawn(&Screen::Granted(Granted::new("Ada"))), "Ada's screen");
    // As long as she stands there she may be let in again.
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; sleep 12");
    let for_ada = openings(&mut guest);
    assert!(!for_ada.is_empty(), "the door did not open for Ada");

    until(&mut guest, "stranger", "denied", 0);
    let denied = Denied::unknown(Denial::Unknown.sentence());
    assert_eq!(guest.screenshot(), drawn(&Screen::Denied(denied)), "the stranger's screen");

    guest.sh(". /share/hardware.sh; camera_unplug; PATIENCE=30 wait_for grep camera-lost /tmp/out");
    assert_eq!(
        guest.screenshot(),
        drawn(&Screen::OutOfOrder(OutOfOrder::new("Camera lost"))),
        "without a camera"
    );
    assert_eq!(openings(&mut guest), for_ada, "the door opened for a stranger, or without a camera");

    // Who was let in before the cable was pulled is let in again, and the other one too.
    guest.sh(". /share/hardware.sh; camera_plug 640 480");
    until(&mut guest, "ada", "granted  Ada", for_ada.len());
    until(&mut guest, "ben", "granted  Ben", 0);
    assert_eq!(guest.screenshot(), drawn(&Screen::Granted(Granted::new("Ben"))), "Ben's screen");
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; sleep 12");

    let pid = "$(cat /tmp/limen.pid)";
    guest.sh(&format!(
        ". /share/hardware.sh; kill {pid}; wait_for eval '! kill -0 {pid}' && [ \"$(line 2)\" = 0 ]"
    ));
    let said = guest.sh("/tmp/limen events --config /share/limen.toml --json");
    let events: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let kinds: Vec<String> = events
        .iter()
        .filter(|e| e["kind"] != "enrolled")
        .map(|e| [&e["kind"], &e["external_id"], &e["reason"]].map(|w| w.as_str().unwrap_or("")).join(" "))
        .collect();
    let mut once = kinds.clone();
    once.dedup();
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
        assert!(length.abs_diff(PULSE_MS) < OFF_MS, "open for {length} ms");
    }
}
