//! The shipped file is the default; what is wrong is named by line, field and cure.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("limen.toml"))
}

#[test]
fn the_shipped_file_is_the_default() {
    assert_eq!(parse(DEFAULT_TOML).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn the_shipped_file_names_and_explains_every_field() {
    let all: toml::Table = toml::from_str(&toml::to_string(&Config::default()).unwrap()).unwrap();
    let shipped: toml::Table = toml::from_str(DEFAULT_TOML).unwrap();
    for (section, fields) in &all {
        for field in fields.as_table().unwrap().keys() {
            assert!(shipped[section].get(field).is_some(), "{section}.{field} is missing");
            let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
            let at = line_of(DEFAULT_TOML, &format!("{section}.{field}")) - 1;
            let block = lines[..at].iter().rposition(|l| !l.contains('=')).unwrap();
            assert!(
                lines[block].starts_with('#') || lines[at].contains('#'),
                "{section}.{field} has no comment"
            );
        }
    }
}

/// (what is written, the field or word named, the line named)
const BAD: [(&str, &str, usize); 46] = [
    ("[camera]\nsource = \"usb:0\"", "camera.source", 2),
    ("[camera]\nsource = \"v4l2:\"", "camera.source", 2),
    ("[camera]\n\nwidth_px = 10", "camera.width_px", 3),
    ("[camera]\nheight_px = 100000", "camera.height_px", 2),
    ("[camera]\nframes_per_second = 0", "camera.frames_per_second", 2),
    ("[camera]\nhold_frames = 0", "camera.hold_frames", 2),
    ("[models]\nmin_face = 3.0", "models.min_face", 2),
    ("[models]\nfull_search_ms = 60000", "models.full_search_ms", 2),
    ("[models]\nfolder = \"\"", "models.folder", 2),
    ("[gallery]\nfile = \"\"", "gallery.file", 2),
    ("[decision]\nfalse_match_rate = 0.5", "decision.false_match_rate", 2),
    ("[decision]\nthreshold = 1.5", "decision.threshold", 2),
    ("[decision]\nmin_margin = -0.1", "decision.min_margin", 2),
    ("[decision]\nmin_frames = 0", "decision.min_frames", 2),
    ("[decision]\nsame_face = nan", "decision.same_face", 2),
    ("[quality]\nmax_yaw_deg = 0.0", "quality.max_yaw_deg", 2),
    ("[quality]\nmin_eye_distance_px = 0.0", "quality.min_eye_distance_px", 2),
    ("[door]\nrelay = \"door\"", "door.relay", 2),
    ("[door]\npulse_ms = 0", "door.pulse_ms", 2),
    ("[door]\nmax_open_ms = 900000", "door.pulse_ms", 1),
    ("[display]\npanel = \"hdmi\"", "display.panel", 2),
    ("[display]\nwidth_px = 1", "display.width_px", 2),
    ("[display]\nverdict_ms = 5", "display.verdict_ms", 2),
    ("[display]\nlanguage = \"fr\"", "display.language", 2),
    ("[display]\nfont = \"fonts.ttc#one\"", "display.font", 2),
    ("[camera]\nsource = \"replay:clip.y4m\"\n[door]\nrelay = \"gpio:door\"", "camera.source", 2),
    ("[inputs]\ncontact = \"fake\"", "inputs.contact", 2),
    ("[inputs]\nheld_open_ms = 5", "inputs.held_open_ms", 2),
    (
        "[camera]\nsource = \"replay:clip.y4m\"\n[door]\nrelay = \"fake\"\n[inputs]\ntamper = \"gpio:x\"",
        "camera.source",
        2,
    ),
    ("[sound]\nvolume_percent = 0", "sound.volume_percent", 2),
    ("[metrics]\nlisten = \"tcp:0.0.0.0:9464\"", "metrics.listen", 2),
    ("[decision]\ncool_down_ms = 99999999", "decision.cool_down_ms", 2),
    ("[controls]\ntouch = \"mouse\"", "controls.touch", 2),
    ("[controls]\ntouch = \"/dev/input/event0\"", "controls.touch", 2),
    ("[controls]\nup_button = \"fake\"", "controls.up_button", 2),
    (
        "[controls]\nup_button = \"gpio:up\"\ndown_button = \"gpio:down\"\nok_button = \"gpio:\"",
        "controls.ok_button",
        4,
    ),
    ("[controls]\nup_button = \"gpio:up\"\ndown_button = \"gpio:down\"", "controls.ok_button", 1),
    ("[controls]\npin = \"2580\"", "controls.pin", 2),
    ("[controls]\npin = 2580", "controls.pin", 2),
    ("[readers]\nkeyboard = \"/dev/input/event0\"", "readers.keyboard", 2),
    ("[readers]\nkeypad = \"keys\"", "readers.keypad", 2),
    ("[readers]\nwiegand_d0 = \"gpio:a\"", "readers.wiegand_d1", 1),
    ("[readers]\nwiegand_out_d0 = \"a\"\nwiegand_out_d1 = \"gpio:b\"", "readers.wiegand_out_d0", 2),
    ("[readers]\nwiegand_out_bits = 37", "readers.wiegand_out_bits", 2),
    ("[readers]\nqr_every_ms = 99999999", "readers.qr_every_ms", 2),
    (
        "[camera]\nsource = \"replay:clip.y4m\"\n[door]\nrelay = \"fake\"\n[readers]\nkeypad = \"evdev:x\"",
        "camera.source",
        2,
    ),
];

#[test]
fn each_bad_value_names_file_line_field_and_cure() {
    for (text, field, line) in BAD {
        let e = parse(text).unwrap_err().to_string();
        assert!(e.starts_with(&format!("limen.toml: line {line}: {field}: ")), "{text:?}: {e}");
    }
}

#[test]
fn a_pin_that_was_written_as_it_is_stays_untold() {
    for text in [
        "[controls]\npin = \"2580\"",
        "[controls]\npin = 2580",
        "[controls]\npin = \"2580",
        "[controls]\n  pin = 2580 2580",
        "[controls]\n\"pin\" = [2580",
        "[controls]\npin = {a = 2580}",
        "[controls]\npin = 2580\npin = 2580",
    ] {
        let e = parse(text).unwrap_err();
        assert!(!e.to_string().contains("2580") && !format!("{e:?}").contains("2580"), "{text:?}: {e:?}");
    }
    let config = parse("[controls]\npin = 2580");
    assert!(config.unwrap_err().to_string().contains("`limen pin --config FILE`"));
}

#[test]
fn what_is_no_configuration_names_the_line() {
    for (text, word) in [
        ("[camera]\nsuorce = \"v4l2:/dev/video0\"", "suorce"),
        ("[camra]\n", "camra"),
        ("[door]\npulse_ms = \"long\"", "pulse_ms"),
        ("[door]\npulse_ms = -3", "pulse_ms"),
        ("[door]\nfail = \"open\"", "open"),
        ("[door\n", "line 1"),
        ("[decision]\ncompanions = \"maybe\"", "maybe"),
        ("[camera]\nformat = \"H264\"", "H264"),
        ("[camera]\nexposure = \"auto\"", "auto"),
        ("[camera]\nsource = \"a\"\nsource = \"b\"", "source"),
    ] {
        let e = parse(text).unwrap_err().to_string();
        assert!(e.starts_with("limen.toml: ") && e.contains(word) && e.contains("line "), "{text:?}: {e}");
    }
    let e = Config::load(Path::new("/nonexistent.toml")).unwrap_err().to_string();
    assert!(e.contains("/nonexistent.toml: cannot be read"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "[ -~\n]{0,200}") {
        let _ = parse(&text);
    }
}
