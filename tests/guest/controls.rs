//! What is touched and pressed at the door: PIN and service menu by a touch screen and by three buttons, and enrolment.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use embedded_graphics::geometry::Size;
use embedded_graphics::primitives::Rectangle;
use limen::display::canvas::Canvas;
use limen::display::screens::pin_pad::{self, Key};
use limen::display::screens::service_menu::{self, Facts};
use limen::display::screens::{self, Granted, PinPad, Screen, ServiceMenu, choice};
use limen::kiosk::enrol::Asked;
use limen::menu::{Choice, Item, Note};
use limen_gallery_db::Gallery;
use limen_models::manifest::Manifest;
use limen_tests::site::binary;

use crate::house::{change, english, furnish, hang_up, openings, reports, shows, start, until};
use crate::machine::{self, Guest, PANEL};

const SIZE: Size = Size::new(PANEL.0 as u32, PANEL.1 as u32);
const PIN: [u8; 4] = [2, 5, 8, 0];
/// The lines of the buttons, as house.rs hangs them up.
const UP: u32 = 4;
const DOWN: u32 = 5;
const OK: u32 = 6;

/// Sets the PIN in the guest's gallery, by the program itself, outside.
fn set_pin(guest: &Guest) {
    let mut pin = Command::new(binary());
    pin.args(["pin", "--config"]).arg(guest.shared("outside.toml"));
    let mut pin = pin.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let digits: String = PIN.iter().map(u8::to_string).collect();
    writeln!(pin.stdin.take().unwrap(), "{digits}").unwrap();
    assert!(pin.wait().unwrap().success());
}

fn middle(area: Rectangle) -> (u32, u32) {
    (area.center().x as u32, area.center().y as u32)
}

fn tap(guest: &mut Guest, key: Key) {
    guest.tap(middle(pin_pad::place(SIZE, key)));
}

/// Taps four digits, of which the display shows that they are there, and enter.
fn type_in(guest: &mut Guest, digits: [u8; 4]) {
    for digit in digits {
        tap(guest, Key::Digit(digit));
    }
    shows_pad(guest, 4, Note::Enter, None);
    tap(guest, Key::Enter);
}

#[track_caller]
fn shows_pad(guest: &mut Guest, typed: usize, note: Note, focus: Option<Key>) {
    shows(guest, &Screen::PinPad(PinPad::new(&english().words, typed, note, focus)));
}

/// Waits until the service menu is shown, to the pixel, with what is true of this house.
#[track_caller]
fn shows_menu(guest: &mut Guest, focus: Option<Item>) {
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/weights");
    let manifest = Manifest::load(weights.as_ref()).unwrap();
    let (people, templates) =
        Gallery::open_read_only(&guest.shared("gallery.db")).unwrap().enrolled().unwrap();
    let english = english();
    let looked = |free_mib: u64, events: u64| {
        let facts = Facts {
            people: Some(people),
            templates: Some(templates),
            events: Some(events),
            model: manifest.select(None).unwrap().model_id(),
            free_mib: Some(free_mib),
            ..Facts::default()
        };
        let mut canvas = Canvas::new(PANEL.0, PANEL.1).unwrap();
        let menu = ServiceMenu::new(&english.words, &facts, focus);
        let Ok(()) = screens::draw(&Screen::ServiceMenu(menu), &english.fonts, &mut canvas);
        canvas.into_image()
    };
    let waited =
        ". /share/hardware.sh; PATIENCE=60 wait_for eval '[ \"$(grep -c menu-opened /tmp/out)\" = MENUS ]'";
    let opened = if focus.is_some() { "2" } else { "1" };
    guest.sh(&waited.replace("MENUS", opened));
    let figures = guest.sh(
        "echo $(($(stat -f -c '%a * %S' /tmp) >> 20))
         /tmp/limen events --config /share/limen.toml --last 1 --json | sed 's/.*\"seq\":\\([0-9]*\\).*/\\1/'",
    );
    let figures: Vec<u64> = figures.split_whitespace().map(|n| n.parse().unwrap()).collect();
    // The journal grew by a page or two since.
    let wanted: Vec<_> = (0..3).map(|more| looked(figures[0] + more, figures[1])).collect();
    for _ in 0..100 {
        let shown = guest.screenshot();
        if wanted.contains(&shown) {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("the service menu is not shown as drawn: {figures:?}");
}

#[test]
fn the_pin_opens_the_service_menu_by_touch_and_by_buttons_and_a_wrong_one_does_not() {
    let test = "the_pin_opens_the_service_menu_by_touch_and_by_buttons_and_a_wrong_one_does_not";
    let Some(kit) = machine::kit(test) else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "drm:/dev/dri/card0");
    change(
        &guest,
        "[door]",
        "[controls]
touch = \"evdev:/tmp/touch\"
up_button = \"gpio:up\"
down_button = \"gpio:down\"
ok_button = \"gpio:ok\"
[door]",
    );
    set_pin(&guest);
    hang_up(&mut guest);
    guest.sh(". /share/hardware.sh; touch_up; for n in 4 5 6; do pull $n up; done");
    let said = guest.sh("cp /share/limen /tmp; /tmp/limen doctor --config /share/limen.toml --json || true");
    assert!(said.contains("QEMU Virtio Tablet, 0 to 32767 across, 0 to 32767 down; three buttons"), "{said}");
    start(&mut guest);
    guest.sh(
        ". /share/hardware.sh; wait_for grep started /tmp/out && wait_for grep '^limen: touch: ' /tmp/err",
    );

    // By touch: first a wrong PIN, then the right one.
    guest.tap((PANEL.0 as u32 / 2, PANEL.1 as u32 / 2));
    shows_pad(&mut guest, 0, Note::Enter, None);
    type_in(&mut guest, [1, 3, 5, 7]);
    shows_pad(&mut guest, 0, Note::Wrong { left: 4 }, None);
    type_in(&mut guest, PIN);
    shows_menu(&mut guest, None);
    guest.tap(middle(service_menu::place(SIZE, Item::ALL.len(), Item::ALL.len() - 1)));

    // A cable that is pulled ends nothing, and is told; buttons do all of the same.
    guest.sh(
        ". /share/hardware.sh; touch_cable unbind; wait_for grep 'opened as soon as it is back' /tmp/err",
    );
    guest.sh(&format!(". /share/hardware.sh; press {OK}"));
    shows_pad(&mut guest, 0, Note::Enter, Some(Key::Digit(1)));
    // Up to 2, on to 5 and 8, to 0 over 9, and by enter and delete back to enter.
    guest.sh(&format!(
        ". /share/hardware.sh; press {UP} {OK} {UP} {UP} {UP} {OK} {UP} {UP} {UP} {OK} {UP} {UP} {OK} {UP} {UP} {DOWN} {OK}"
    ));
    shows_menu(&mut guest, Some(Item::People));
    // Up from the first to the last, which closes.
    guest.sh(&format!(". /share/hardware.sh; press {UP} {OK}"));

    // Back on its cable it is touched again. Recognition goes on behind the keys.
    guest.run(
        ". /share/hardware.sh; touch_cable bind; touch_up
         PATIENCE=120 wait_for eval '[ \"$(grep -c \"^limen: touch: \" /tmp/err)\" = 2 ]' || { cat /tmp/err; ls -l /tmp/touch /dev/input; exit 1; }",
        Duration::from_secs(180),
    )
    .fine();
    guest.tap((1, 1));
    shows_pad(&mut guest, 0, Note::Enter, None);
    until(&mut guest, "ada", "granted  Ada", 0);
    shows(&mut guest, &Screen::Granted(Granted::new(&english().words, "Ada")));
    assert!(!openings(&mut guest).is_empty(), "the door did not open for Ada");
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; sleep 32");

    // Five wrong ones in a row: not even the right one is taken.
    guest.tap((1, 1));
    shows_pad(&mut guest, 0, Note::Enter, None);
    for left in [4, 3, 2, 1] {
        type_in(&mut guest, [1, 3, 5, 7]);
        shows_pad(&mut guest, 0, Note::Wrong { left }, None);
    }
    type_in(&mut guest, [1, 3, 5, 7]);
    guest.sh(". /share/hardware.sh; PATIENCE=60 wait_for grep pin-locked /tmp/out");
    for digit in PIN {
        tap(&mut guest, Key::Digit(digit));
    }
    tap(&mut guest, Key::Enter);
    let told = guest.sh("sleep 5; cat /tmp/out /tmp/err");
    assert_eq!(told.matches("menu-opened").count(), 2, "{told}");
    assert!(!told.contains("2580") && !told.contains("1357"), "{told}");

    // Nor after a restart.
    restart(&mut guest);
    guest.tap((1, 1));
    guest.sh("sleep 2");
    for digit in PIN {
        tap(&mut guest, Key::Digit(digit));
    }
    tap(&mut guest, Key::Enter);

    let journal: Vec<String> = reports(&mut guest)
        .iter()
        .filter(|e| e["kind"] == "service")
        .map(|e| e["reason"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(journal, ["pin-set", "menu-opened", "menu-opened", "pin-locked"]);
}

/// Stops `limen run`, and starts it with the gallery as it is.
fn restart(guest: &mut Guest) {
    let pid = "$(cat /tmp/limen.pid)";
    guest.sh(&format!(
        ". /share/hardware.sh; kill {pid}; wait_for eval '! kill -0 {pid}'; cp /tmp/gallery.db /share"
    ));
    start(guest);
    guest.sh(
        ". /share/hardware.sh; wait_for grep started /tmp/out && wait_for grep '^limen: touch: ' /tmp/err",
    );
}

#[test]
fn somebody_is_enrolled_by_touch_as_the_camera_sees_them_and_let_in() {
    let test = "somebody_is_enrolled_by_touch_as_the_camera_sees_them_and_let_in";
    let Some(kit) = machine::kit(test) else { return };
    let mut guest = Guest::boot(&kit);
    furnish(&guest, "drm:/dev/dri/card0");
    let mut remove = Command::new(binary());
    remove.args(["gallery", "remove", "--config"]).arg(guest.shared("outside.toml")).arg("Ada");
    assert!(remove.status().unwrap().success());
    change(&guest, "[door]", "[controls]\ntouch = \"evdev:/tmp/touch\"\n[door]");
    hang_up(&mut guest);
    guest.sh(". /share/hardware.sh; touch_up; cp /share/limen /tmp");
    start(&mut guest);
    guest.sh(
        ". /share/hardware.sh; wait_for grep started /tmp/out && wait_for grep '^limen: touch: ' /tmp/err",
    );
    until(&mut guest, "ada", "denied", 0);
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; sleep 12");

    // Nobody has chosen a PIN: it is typed twice.
    guest.tap((PANEL.0 as u32 / 2, PANEL.1 as u32 / 2));
    shows_pad(&mut guest, 0, Note::Choose(Choice::First), None);
    for note in [Choice::First, Choice::Again] {
        shows_pad(&mut guest, 0, Note::Choose(note), None);
        PIN.iter().for_each(|digit| tap(&mut guest, Key::Digit(*digit)));
        tap(&mut guest, Key::Enter);
    }
    guest.sh(". /share/hardware.sh; PATIENCE=60 wait_for grep pin-chosen /tmp/out");

    // People, id 42: Ada agrees, and looks around.
    let english = english();
    let asks = |guest: &mut Guest, asked: &Asked| {
        shows(guest, &Screen::Choice(screens::Choice::new(&english, asked, None)));
    };
    guest.tap(middle(service_menu::place(SIZE, Item::ALL.len(), 0)));
    shows(&mut guest, &Screen::PinPad(PinPad::id(&english.words, "", None)));
    [4, 2].iter().for_each(|digit| tap(&mut guest, Key::Digit(*digit)));
    tap(&mut guest, Key::Enter);
    asks(&mut guest, &Asked::Consent { id: "42".into() });
    guest.tap(middle(choice::place(SIZE, 2, 1)));
    // Emulation is slow: a pose is held until it is there, and somebody before it is the same picture again and again.
    for name in ["ahead", "left", "right", "up", "down"] {
        guest.sh(&format!(". /share/hardware.sh; camera_feed /share/ada-{name}.yuv; sleep 18"));
    }
    guest.sh(
        ". /share/hardware.sh; PATIENCE=60 wait_for grep 'enrolled.*42' /tmp/out || { cat /tmp/out; exit 1; }",
    );
    guest.sh(". /share/hardware.sh; camera_feed /share/nobody.yuv; sleep 12");
    assert!(openings(&mut guest).is_empty(), "the door opened meanwhile");
    guest.tap(middle(choice::place(SIZE, 1, 0)));

    until(&mut guest, "ada", "granted  42", 0);
    assert!(!openings(&mut guest).is_empty(), "the door did not open for Ada");
    let journal: Vec<String> = reports(&mut guest)
        .iter()
        .filter(|e| e["kind"] == "enrolled" || e["kind"] == "service")
        .map(|e| e["reason"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(journal.iter().filter(|r| !r.is_empty()).collect::<Vec<_>>(), ["pin-chosen", "at-the-door"]);
}
