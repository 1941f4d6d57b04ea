//! What hangs does not hold the door open: the program ends, or the machine's watchdog starts the machine anew.

use std::time::Duration;

use limen::display::screens::{Granted, Screen};

use crate::house::{SILENT_MS, change, english, furnish, open, openings, shows, until};
use crate::machine::{self, Guest};

#[test]
fn a_thread_that_hangs_while_the_door_is_open_ends_the_program_and_the_line_is_released() {
    let test = "a_thread_that_hangs_while_the_door_is_open_ends_the_program_and_the_line_is_released";
    let Some(kit) = machine::kit(test) else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "fb:/dev/fb0");
    // Long enough to freeze the thread before it shuts the door.
    change(&guest, "pulse_ms = 4000", "pulse_ms = 15000");
    open(&mut guest);
    until(&mut guest, "ada", "granted  Ada", 0);
    shows(&mut guest, &Screen::Granted(Granted::new(&english().words, "Ada")));
    // One thread alone can be frozen in a control group of its own.
    guest.sh(
        "set -e; mount -t cgroup2 none /sys/fs/cgroup
         pid=$(cat /tmp/limen.pid); cd /sys/fs/cgroup; mkdir door; echo $pid >door/cgroup.procs
         mkdir door/hung; echo threaded >door/hung/cgroup.type
         for task in /proc/$pid/task/*; do
             [ $(cat $task/comm) != act ] || echo ${task##*/} >door/hung/cgroup.threads
         done
         [ -n \"$(cat door/hung/cgroup.threads)\" ]; echo 1 >door/hung/cgroup.freeze; cat /tmp/lines/sim_gpio2/value >/tmp/then",
    );
    assert_eq!(guest.sh("cat /tmp/then").trim(), "1", "the door was open when the thread was frozen");
    // A frozen thread is thawed by the signal that ends its program.
    let ended =
        guest.sh(". /share/hardware.sh; PATIENCE=50 wait_for test -s /tmp/code; cut -d' ' -f1 /proc/uptime");
    assert_eq!(guest.sh("cat /tmp/code").trim(), "6");
    let said = guest.sh("cat /tmp/err");
    assert!(said.contains("the act thread has done nothing"), "{said}");
    assert_eq!(guest.sh(". /share/hardware.sh; line 2").trim(), "0");
    // Let go, which the kernel does not count as set.
    let (since, shut) = openings(&mut guest)[0];
    assert_eq!(shut, None);
    let ended: f64 = ended.trim().parse().unwrap();
    let length = (ended * 1000.0) as u64 - since;
    println!("open for {length} ms");
    assert!(length < SILENT_MS + 10_000, "open for {length} ms");
}

#[test]
fn a_program_that_hangs_is_cured_by_the_watchdog_of_the_machine() {
    let Some(kit) = machine::kit("a_program_that_hangs_is_cured_by_the_watchdog_of_the_machine") else {
        return;
    };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "none");
    change(&guest, "[watchdog]", "[watchdog]\ndevice = \"/dev/watchdog\"");
    guest.sh("modprobe softdog soft_margin=10");
    open(&mut guest);
    guest.sh(". /share/hardware.sh; wait_for grep started /tmp/out");
    // Fed, it does not bite.
    guest.sh("sleep 15");
    guest.sh("kill -STOP $(cat /tmp/limen.pid)");
    assert!(guest.ends_within(Duration::from_secs(60)), "the machine was not started anew");
}
