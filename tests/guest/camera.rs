//! The kinds of camera that the guest can have: single- and multi-planar, in each format, in trouble, exposed by limen.

use serde_json::Value;

use crate::house::{change, furnish, start};
use crate::machine::{self, Guest};

/// What `limen doctor` says of a camera that is asked for `format`: whether it is well, and why. `before` is done first.
#[track_caller]
fn doctor(guest: &mut Guest, format: &str, before: &str) -> (bool, String) {
    let said = guest.sh(&format!(
        ". /share/hardware.sh; {before}
         printf '[camera]\\nformat = \"{format}\"\\n' >/tmp/doctor.toml
         /tmp/limen doctor --config /tmp/doctor.toml --json || true"
    ));
    let findings = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let camera = findings.into_iter().find(|f| f["what"] == "camera").unwrap_or_else(|| panic!("{said}"));
    (camera["ok"] == true, camera["text"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_camera_of_each_kind_gives_frames_or_says_why_not() {
    let Some(kit) = machine::kit("a_camera_of_each_kind_gives_frames_or_says_why_not") else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "none");
    guest.sh("cp /share/limen /tmp");
    for (planar, note) in [("1", ""), ("2", ", multi-planar")] {
        guest.sh(&format!(". /share/hardware.sh; webcam_up {planar}"));
        for (asked, given) in [("", "YUYV"), ("YUYV", "YUYV"), ("NV12", "NV12"), ("GREY", "GREY")] {
            let (well, text) = doctor(&mut guest, asked, "");
            let wanted = format!("640x480 px {given}{note}); gave a 640x480 frame");
            assert!(well && text.ends_with(&wanted), "{planar} {asked:?}: {text}");
        }
        let trouble = [
            ("MJPG", "", "does not offer MJPG; set camera.format to one of \"YUYV\", \"NV12\", \"GREY\""),
            (
                "",
                "v4l2-ctl -d0 --stream-mmap >/tmp/other 2>&1 & echo $! >/tmp/other.pid
                 wait_for grep '<' /tmp/other",
                "busy; stop the other program",
            ),
            (
                "",
                "kill $(cat /tmp/other.pid); wait_for eval '! kill -0 $(cat /tmp/other.pid)'
                 control percentage_of_dropped_buffers=100",
                "lost (no frame for 3 s)",
            ),
            (
                "",
                "control percentage_of_dropped_buffers=0; control inject_v4l2_buf_flag_error=1",
                "frame 0 is damaged (the driver marks it as damaged)",
            ),
        ];
        for (format, before, wanted) in trouble {
            let (well, text) = doctor(&mut guest, format, before);
            assert!(!well && text.contains(wanted), "{planar}: {text}, not {wanted}");
        }
        let (well, text) = doctor(&mut guest, "", "");
        assert!(well, "{planar}: {text}");
    }

    // Before a black wall the gain rises as far as it goes, before a white one it falls.
    change(&guest, "[camera]", "[camera]\nformat = \"NV12\"\nexposure = \"faces\"");
    change(&guest, "gpio:door-relay", "fake");
    guest.sh(". /share/hardware.sh; control osd_text_mode=2; control test_pattern=5");
    start(&mut guest);
    guest.sh(". /share/hardware.sh; wait_for control_is gain 255 && control_is gain_automatic 0");
    guest.sh(". /share/hardware.sh; control test_pattern=6; wait_for control_is gain 0");

    // A cable that is pulled, and is back.
    guest.sh(
        ". /share/hardware.sh; control disconnect=1; wait_for grep camera-lost /tmp/out && cd /sys/bus/platform/drivers/vivid &&
         echo vivid.0 >unbind && echo vivid.0 >bind && wait_for grep camera-back /tmp/out",
    );
    // What it took it gives back.
    guest.sh(". /share/hardware.sh; wait_for control_is gain_automatic 0 && kill $(cat /tmp/limen.pid) &&
         wait_for test -s /tmp/code && control_is gain_automatic 1");
    let said = guest.sh("cat /tmp/err");
    assert!(said.contains("NV12, multi-planar; exposed by the faces: gain"), "{said}");
}
