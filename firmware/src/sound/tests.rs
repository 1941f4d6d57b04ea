//! Players are real programs here, short scripts in place of `aplay`.

use std::path::Path;

use super::*;
use crate::slot::Overtake;

static RUNNING: AtomicBool = AtomicBool::new(false);

/// A player whose program is `script`; its folder is `$here`.
fn player(folder: &Path, script: &str) -> Player {
    let program = folder.join("player");
    // By another process: what a thread starts just now would inherit the file that is written here, and a program that is
    // open for writing cannot be run.
    let write = "printf '#!/bin/sh\\nhere=%s\\n%s\\n' \"$2\" \"$3\" >\"$1\" && chmod +x \"$1\"";
    let written = Command::new("sh").args(["-c", write, "sh"]).args([&program, folder]).arg(script).status();
    assert!(written.unwrap().success());
    Player { program, device: "plughw:1,0".into(), volume_percent: 60, limit: LIMIT, stuck: None }
}

/// Keeps what it was asked for and given.
const RECORDER: &str = "echo \"$@\" >>$here/asked; cat >>$here/heard";

fn heard(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("heard")).unwrap_or_default()
}

fn bytes(tone: Tone) -> Vec<u8> {
    tone.samples(60).iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Stops a player's thread, whatever the test comes to.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[track_caller]
fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_cue_is_handed_to_the_player_and_an_alarm_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let (cues, stop) = (Slot::default(), AtomicBool::new(false));
    let mut expected = bytes(Tone::Granted);
    std::thread::scope(|scope| {
        let player = player(folder, RECORDER);
        let _end = End(&stop);
        scope.spawn(|| player.serve(&cues, &stop));
        let cue = |once, then| assert!(cues.put(Cue { once, then }, Overtake::NewestWins));
        cue(Some(Tone::Granted), None);
        wait_for(|| heard(folder) == expected);
        cue(Some(Tone::Alarm), Some(Tone::Alarm));
        expected.extend([Tone::Alarm, Tone::Alarm].map(bytes).concat());
        wait_for(|| heard(folder) == expected);
        // Somebody is let in while it lasts.
        cue(Some(Tone::Granted), Some(Tone::Alarm));
        expected.extend([Tone::Granted, Tone::Alarm].map(bytes).concat());
        wait_for(|| heard(folder) == expected);
        cue(None, None);
        std::thread::sleep(PAUSE + 3 * NAP);
    });
    assert!(heard(folder) == expected, "it is over when it is over");
    let asked = std::fs::read_to_string(folder.join("asked")).unwrap();
    assert_eq!(asked.lines().next(), Some("-q -t raw -f S16_LE -r 48000 -c 1 -D plughw:1,0 -"));
}

#[test]
fn nothing_is_heard_and_nothing_opened_where_no_device_is_set() {
    assert!(Player::new(&Sound::default()).is_none());
    let set = Sound { device: "default".into(), ..Sound::default() };
    assert_eq!(Player::new(&set).unwrap().program, Path::new("aplay"));
}

#[test]
fn a_player_that_hangs_is_killed_and_buried() {
    let dir = tempfile::tempdir().unwrap();
    let mut player = player(dir.path(), "echo $$ >$here/pid; exec sleep 60");
    player.limit = Duration::from_millis(500);
    let e = player.play(Tone::Denied, &RUNNING).unwrap_err();
    assert!(matches!(e, SoundError::Hangs { .. }), "{e}");
    assert!(e.to_string().contains("\"plughw:1,0\"") && e.to_string().contains("0.5 s"), "{e}");
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "neither running nor a zombie");
    assert!(player.stuck.is_none());
}

#[test]
fn nothing_is_started_beside_one_that_is_stuck() {
    let dir = tempfile::tempdir().unwrap();
    let mut player = player(dir.path(), RECORDER);
    player.stuck = Some(Command::new("sleep").arg("60").spawn().unwrap());
    assert!(matches!(player.check(), Err(SoundError::Hangs { .. })));
    assert!(heard(dir.path()).is_empty());
    player.stuck.as_mut().unwrap().kill().unwrap();
    player.stuck.as_mut().unwrap().wait().unwrap();
    player.check().unwrap();
    assert_eq!(heard(dir.path()), [0; 9600]);
}

#[test]
fn a_stop_does_not_wait_for_the_end_of_a_tone() {
    let dir = tempfile::tempdir().unwrap();
    let mut player = player(dir.path(), "exec sleep 60");
    let begun = Instant::now();
    player.play(Tone::Denied, &AtomicBool::new(true)).unwrap();
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    let dir = tempfile::tempdir().unwrap();
    let complaint =
        "echo first >&2; echo 'aplay: main:850: audio open error: No such file' >&2; echo >&2; exit 1";
    let mut refused = player(dir.path(), complaint);
    let e = refused.check().unwrap_err().to_string();
    assert!(
        e.starts_with("sound.device = \"plughw:1,0\": aplay: main:850: audio open error: No such file; ")
            && e.contains("group `audio`"),
        "{e}"
    );
    let e = player(dir.path(), "exit 3").check().unwrap_err().to_string();
    assert!(e.contains("aplay ended by exit status: 3"), "{e}");
    refused.program = dir.path().join("no-such-player");
    let e = refused.check().unwrap_err().to_string();
    assert!(e.contains("no-such-player") && e.contains("apt-get install alsa-utils"), "{e}");
    refused.program = dir.path().into();
    let e = refused.check().unwrap_err();
    assert!(matches!(e, SoundError::Start { .. }), "{e}");
}
