//! The switches of the door: what each does to the relay's line and leaves in the journal.

use crate::house::{PULSE_MS, change, furnish, open, openings, reports};
use crate::machine::{self, Guest};

#[test]
fn the_switches_of_the_door_open_it_and_raise_alarms() {
    let Some(kit) = machine::kit("the_switches_of_the_door_open_it_and_raise_alarms") else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "none");
    change(
        &guest,
        "[door]",
        "[inputs]
contact = \"gpio:contact\"
exit_button = \"gpio:exit\"
tamper = \"gpio:tamper\"
held_open_ms = 3000
[door]",
    );
    // Long enough to tell its own end from one that came before it.
    change(&guest, "pulse_ms = 4000", "pulse_ms = 8000");
    open(&mut guest);
    // Wired as shipped: each switch goes to ground. The door and the housing are shut.
    guest.sh(". /share/hardware.sh; wait_for grep started /tmp/out; pull 0 down; pull 3 down; wait_for grep tamper-over /tmp/out");

    // Whoever goes out presses the button and opens the door, which falls shut behind them.
    guest.sh(". /share/hardware.sh; pull 1 down; wait_for line_is 2 1; pull 0 up; pull 1 up; pull 0 down");
    guest.sh(". /share/hardware.sh; wait_for line_is 2 0");
    let once = openings(&mut guest);
    assert_eq!(once.len(), 1, "{once:?}");
    assert!(once[0].1.is_some_and(|length| length > PULSE_MS / 2), "{once:?}");

    // Next it is left open, then forced.
    guest.sh(". /share/hardware.sh; pull 1 down; wait_for line_is 2 1; pull 0 up; pull 1 up; wait_for grep door-held /tmp/out; pull 0 down; sleep 2");
    guest.sh(". /share/hardware.sh; pull 0 up; wait_for grep door-forced /tmp/out; pull 0 down");
    // A housing that is opened shuts the door at once.
    guest.sh(
        ". /share/hardware.sh; pull 1 down; wait_for line_is 2 1; pull 1 up; pull 3 up; wait_for line_is 2 0",
    );
    let cut_short = openings(&mut guest).last().and_then(|(_, length)| *length).expect("the door is shut");
    assert!(cut_short < 7500, "open for {cut_short} ms");
    // A wire that is cut is an open door.
    guest.sh(". /share/hardware.sh; sleep 2; pull 0 up; wait_for eval '[ \"$(grep -c door-forced /tmp/out)\" = 2 ]'");

    let told: Vec<String> = reports(&mut guest)
        .iter()
        .map(|e| [&e["kind"], &e["reason"]].map(|w| w.as_str().unwrap_or("")).join(" ").trim().to_owned())
        .collect();
    // Until they are pulled down all wires are cut; how long that is, and so whether the door is held, is the machine's.
    let begun =
        told.iter().position(|t| t == "granted exit-button").expect("the button's line in the journal");
    let (before, after) = told.split_at(begun);
    for word in ["started", "fault tamper", "fault tamper-over"] {
        assert!(before.iter().any(|t| t == word), "{told:?}");
    }
    let expected = [
        "granted exit-button",
        "granted exit-button",
        "door-held",
        "door-forced",
        "granted exit-button",
        "fault tamper",
        "door-forced",
        "stopped",
    ];
    assert_eq!(after, expected);
}
