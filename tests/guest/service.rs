//! `limen run` as systemd runs it: the unit in its sandbox reaches what it needs and no more, comes back when it dies or
//! hangs, ends when it is told to, and is told of in the journal.

use std::time::Duration;

use crate::house::{change, furnish, hang_up};
use crate::machine::{self, Guest};
use crate::sound::Recording;

/// Emulation is slow: within this time a start, a restart or a decision happens, or it does not.
const SLOW: Duration = Duration::from_secs(240);

/// hardware.sh hides a camera until its cable is in, from udev as well.
const RIGHTS: &str = "udevadm settle; chgrp video /dev/video0; chmod 660 /dev/video0";

/// Runs a script with the helpers of hardware.sh, stopping at the first failure; what systemd knows is told with it.
#[track_caller]
fn sh(guest: &mut Guest, script: &str) -> String {
    let tell = "systemctl status --no-pager -n 0 limen || :; journalctl --no-pager -u limen -n 40";
    let script = format!(". /share/hardware.sh; PATIENCE=200; trap '{tell}' ERR; set -eE; {script}");
    guest.run(&script, SLOW).fine()
}

/// One property of the service.
fn property(guest: &mut Guest, name: &str) -> String {
    sh(guest, &format!("systemctl show limen -P {name}")).trim().to_owned()
}

#[test]
fn the_unit_opens_the_door_comes_back_and_ends_as_told() {
    let Some(kit) = machine::kit("the_unit_opens_the_door_comes_back_and_ends_as_told") else { return };
    let mut guest = Guest::boot_systemd(&kit);
    furnish(&guest, "drm:/dev/dri/card0");
    change(&guest, "/share/models", "/usr/share/limen/models");
    change(&guest, "/tmp/gallery.db", "/var/lib/limen/gallery.db");
    change(
        &guest,
        "[watchdog]",
        "[metrics]\nlisten = \"unix:/run/limen/metrics.sock\"\n[sound]\ndevice = \"plughw:Loopback,0,0\"\n[watchdog]",
    );
    for (name, text) in [
        ("limen.service", include_str!("../../cross/systemd/limen.service")),
        ("limen.sysusers", include_str!("../../cross/systemd/limen.sysusers")),
        ("60-limen.rules", include_str!("../../cross/systemd/60-limen.rules")),
    ] {
        std::fs::write(guest.shared(name), text).unwrap();
    }
    // As a package puts it there.
    sh(
        &mut guest,
        "cp /share/limen.sysusers /usr/lib/sysusers.d/limen.conf; systemd-sysusers
         cp /share/60-limen.rules /usr/lib/udev/rules.d; udevadm control --reload
         cp /share/limen /usr/bin; mkdir -p /usr/share/limen /etc/limen; cp -r /share/models /usr/share/limen
         cp /share/limen.toml /etc/limen; chgrp limen-config /etc/limen/limen.toml; chmod 640 /etc/limen/limen.toml; cp /share/limen.service /etc/systemd/system
         mkdir -p /var/lib/private/limen; cp /share/gallery.db /var/lib/private/limen
         systemctl daemon-reload",
    );
    hang_up(&mut guest);
    // A sound card whose output can be recorded. What limen leaves open to the program that plays is written down.
    sh(
        &mut guest,
        "modprobe snd-aloop; mkdir -p /usr/local/bin
         printf '#!/bin/sh\\nls -l /proc/self/fd >/run/limen/left-open\\nexec /usr/bin/aplay \"$@\"\\n' >/usr/local/bin/aplay
         chmod +x /usr/local/bin/aplay",
    );
    sh(&mut guest, &format!("{RIGHTS}; systemctl start limen; sleep 5; systemctl is-active limen"));
    assert_ne!(property(&mut guest, "UID"), "0");
    let exposed = sh(&mut guest, "systemd-analyze security --no-pager --threshold=10 limen | tail -n 1");
    println!("{}", exposed.trim());

    // In its sandbox it has its camera, its display, its line, its gallery, its sound card.
    sh(
        &mut guest,
        "arecord -q -D hw:Loopback,1,0 -t raw -f S16_LE -r 48000 -c 1 /tmp/heard & recorder=$!
         camera_feed /share/ada.yuv
         wait_for eval 'journalctl -u limen -o cat | grep -q \"granted  Ada\"'
         test -S /run/limen/metrics.sock
         wait_for eval '[ \"$(tr -d \\\\000 </tmp/heard | head -c 9 | wc -c)\" -gt 0 ]'; sleep 3
         kill $recorder; wait $recorder || :; cp /tmp/heard /share",
    );
    assert!(sh(&mut guest, "edges").contains("1 "), "the line was not set");
    let heard = Recording::of(&std::fs::read(guest.shared("heard")).unwrap());
    let (low, high) = (heard.first(660.0), heard.first(990.0));
    println!("two notes, after {low:?} and {high:?} ms, peak {}", heard.peak());
    // The first lasts 120 ms.
    let apart = high.expect("the second note").saturating_sub(low.expect("the first note"));
    assert!((60..=180).contains(&apart), "{apart} ms apart");
    assert!((19_000.0..=19_700.0).contains(&heard.peak()), "60 % of full scale: {}", heard.peak());
    let left_open = sh(&mut guest, "cat /run/limen/left-open");
    for kept in ["video", "gpio", "/dev/dri", "gallery", "socket"] {
        assert!(!left_open.contains(kept), "{left_open}");
    }

    // A lost camera is a warning, and no line of the program is an error, which would be a fault of its own.
    sh(&mut guest, "camera_unplug; wait_for eval 'journalctl -u limen -p warning -o cat | grep -q lost'");
    assert_eq!(sh(&mut guest, "journalctl -u limen -p err -o cat -q _COMM=limen"), "");
    sh(&mut guest, &format!("camera_plug 640 480; {RIGHTS}; camera_feed /share/nobody.yuv"));

    // Killed while the door may be open: the line is at rest, and the program is back.
    let pid = property(&mut guest, "MainPID");
    sh(&mut guest, &format!("kill -KILL {pid}; wait_for systemctl is-active limen; line_is 2 0"));
    assert_ne!(property(&mut guest, "MainPID"), pid);

    // Stopped dead: systemd hears no heartbeat any more (WatchdogSec).
    let pid = property(&mut guest, "MainPID");
    let restarted = "$(systemctl show limen -P NRestarts)";
    sh(
        &mut guest,
        &format!(
            "n={restarted}; kill -STOP {pid}; wait_for eval '[ {restarted} -gt '$n' ]'; wait_for systemctl is-active limen"
        ),
    );
    assert!(sh(&mut guest, "journalctl -u limen -o cat").contains("Watchdog timeout"));
    assert!(sh(&mut guest, "line_is 2 0 && echo at rest").contains("at rest"));

    // A bad configuration is refused and told, and the door goes on; stopping is quick, and for good.
    sh(
        &mut guest,
        "cp /etc/limen/limen.toml /tmp/good; echo '[nonsense]' >>/etc/limen/limen.toml; systemctl reload limen
         wait_for eval 'journalctl -u limen -p warning -o cat | grep -q \"goes on as it was\"'
         cp /tmp/good /etc/limen/limen.toml",
    );
    let took = sh(&mut guest, "time -p systemctl stop limen 2>/dev/null; line_is 2 0");
    println!("stopped, with systemd's own work: {}", took.trim());
    assert_eq!(property(&mut guest, "Result"), "success");
    let told = sh(&mut guest, "limen events verify --gallery /var/lib/private/limen/gallery.db");
    assert!(told.contains("each as it was written"), "{told}");
}
