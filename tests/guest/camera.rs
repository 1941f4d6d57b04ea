//! The kinds of camera that the guest can have: single- and multi-planar, in each format, in trouble, exposed by limen.

use std::time::Duration;

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

#[test]
fn whatever_befalls_a_camera_it_is_back_each_time() {
    let Some(kit) = machine::kit("whatever_befalls_a_camera_it_is_back_each_time") else { return };
    // A few times in every suite, a hundred times in `./x test --full`.
    let unplugs: usize = std::env::var("LIMEN_UNPLUGS").map_or(5, |n| n.parse().expect("a number of times"));
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "none");
    change(&guest, "gpio:door-relay", "fake");
    guest.sh(". /share/hardware.sh; webcam_up 1");
    start(&mut guest);
    let open_files = "sleep 2; ls /proc/$(cat /tmp/limen.pid)/fd | wc -l";
    let before =
        guest.sh(&format!(". /share/hardware.sh; wait_for grep 'camera: v4l2' /tmp/err; {open_files}"));

    // What happens, and what makes it good again.
    let mut troubles = vec![
        ("control inject_fatal_streaming_error=1", ":"),
        ("control inject_vidioc_qbuf_error=1", ":"),
        ("control inject_vidioc_streamon_error=1; control inject_fatal_streaming_error=1", ":"),
        ("control inject_vidioc_reqbufs_error=1; control inject_fatal_streaming_error=1", ":"),
        ("control percentage_of_dropped_buffers=100", "control percentage_of_dropped_buffers=0"),
        ("control disconnect=1", "echo vivid.0 >unbind; echo vivid.0 >bind; wait_for test -c /dev/video0"),
    ];
    troubles.resize(
        troubles.len() + unplugs,
        ("echo vivid.0 >unbind", "sleep 0.$((RANDOM % 9)); echo vivid.0 >bind; wait_for test -c /dev/video0"),
    );
    let mut back_after_ms: Vec<u64> = troubles
        .iter()
        .map(|(trouble, cure)| {
            // Under emulation beside other work the camera may be lost once more than was asked for.
            let script = format!(
                ". /share/hardware.sh; cd /sys/bus/platform/drivers/vivid
                 times() {{ grep -c $1 /tmp/out; }}
                 more() {{ [ $(times $1) -gt $2 ]; }}
                 seen() {{ more camera-back $back && [ $(times camera-back) -ge $(times camera-lost) ]; }}
                 hundredths() {{ tr -d . </proc/uptime | cut -d ' ' -f 1; }}
                 lost=$(times camera-lost); back=$(times camera-back)
                 {{ {trouble}; wait_for more camera-lost $lost && {cure}; }} >&2
                 cured=$(hundredths); wait_for seen >&2 && echo $((($(hundredths) - cured) * 10))"
            );
            // Twice what the script waits, so that it says what it waited for.
            let told = guest.run(&script, Duration::from_secs(120)).fine();
            told.trim().parse().unwrap_or_else(|_| panic!("{trouble}: {told}"))
        })
        .collect();
    back_after_ms.sort_unstable();
    let [half, most] = [50, 95]
        .map(|percent| back_after_ms[(back_after_ms.len() * percent / 100).min(back_after_ms.len() - 1)]);
    println!(
        "{} times lost, {unplugs} of them unplugged; back after {half} ms, p95 {most} ms, under emulation",
        troubles.len()
    );
    assert_eq!(before, guest.sh(open_files), "files were left open");

    // A damaged frame is no lost camera.
    guest
        .sh(". /share/hardware.sh; control inject_v4l2_buf_flag_error=1; wait_for grep 'is damaged' /tmp/err
         kill -0 $(cat /tmp/limen.pid)");
    let lost = guest.sh("grep -c camera-lost /tmp/out");
    assert_eq!(lost.trim(), troubles.len().to_string());
}
