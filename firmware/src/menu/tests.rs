//! The PIN is the only way in; what is open closes in time; locked means locked.

use proptest::prelude::*;

use super::*;
use crate::pin::chosen;

const SIZE: Size = Size::new(240, 240);

fn menu() -> Menu {
    Menu::new(SIZE)
}

/// A tap in the middle of a key.
fn tap(key: Key) -> Input {
    let middle = pin_pad::place(SIZE, key).center();
    Input::Tap { x: middle.x as u32, y: middle.y as u32 }
}

/// Taps digits and enter; what is to be done.
fn type_in(menu: &mut Menu, digits: &[u8], now: Millis) -> Option<Deed> {
    for digit in digits {
        assert_eq!(menu.input(tap(Key::Digit(*digit)), now), None);
    }
    menu.input(tap(Key::Enter), now)
}

fn note(menu: &Menu, now: Millis) -> Note {
    match menu.view(now) {
        Some(View::Pin { note, .. }) => note,
        other => panic!("{other:?}"),
    }
}

/// Opens the keys, types a PIN that turns out to be wrong, and gives what is written down.
fn wrong_pin(menu: &mut Menu, now: Millis) -> Option<News> {
    if menu.view(now).is_none() {
        menu.input(Input::Tap { x: 0, y: 0 }, now);
    }
    assert!(type_in(menu, &[1, 3, 5, 7], now).is_some());
    menu.answer(PinMatch::Wrong, now)
}

#[test]
fn a_touch_the_right_digits_and_the_menu_is_open() {
    let mut menu = menu();
    let now = Millis(1000);
    assert_eq!((menu.view(now), menu.deadline(now)), (None, None));
    assert_eq!(menu.input(Input::Tap { x: 120, y: 120 }, now), None);
    assert_eq!(menu.view(now), Some(View::Pin { typed: 0, note: Note::Enter, focus: None }));
    assert_eq!(type_in(&mut menu, &[2, 5], now), None, "too short");
    menu.input(tap(Key::Digit(9)), now);
    menu.input(tap(Key::Delete), now);
    assert_eq!(menu.view(now), Some(View::Pin { typed: 2, note: Note::Enter, focus: None }));
    assert_eq!(type_in(&mut menu, &[8, 0], now), Some(Deed::Compare(chosen("2580").unwrap())));
    assert_eq!(note(&menu, now), Note::Comparing);
    assert_eq!(type_in(&mut menu, &[2, 5, 8, 0], now), None, "one at a time");
    assert_eq!(menu.answer(PinMatch::Right, Millis(1500)), Some(News::Opened));
    assert_eq!(menu.view(now), Some(View::Items { focus: None }));
    let item = |at| {
        let middle = service_menu::place(SIZE, Item::ALL.len(), at).center();
        Input::Tap { x: middle.x as u32, y: middle.y as u32 }
    };
    assert_eq!(menu.input(item(0), now), Some(Deed::People));
    assert_eq!(menu.view(now), Some(View::Items { focus: None }));
    menu.back(Millis(40_000));
    assert_eq!(menu.deadline(Millis(40_000)), Some(Millis(70_000)));
    menu.input(item(1), Millis(40_000));
    assert!(menu.is_closed());
}

#[test]
fn three_buttons_do_the_same() {
    let mut menu = menu();
    let now = Millis(1000);
    let mut press = |button| menu.input(button, now);
    press(Input::Ok);
    // From 1 up to 2, on to 5 and 8; 0 is two further.
    for (ups, _) in [(1, 2), (3, 5), (3, 8), (2, 0)] {
        (0..ups).for_each(|_| assert_eq!(press(Input::Up), None));
        assert_eq!(press(Input::Ok), None);
    }
    press(Input::Up);
    assert_eq!(press(Input::Ok), Some(Deed::Compare(chosen("2580").unwrap())));
    menu.answer(PinMatch::Right, now);
    assert_eq!(menu.view(now), Some(View::Items { focus: Some(Item::People) }));
    assert_eq!(menu.input(Input::Ok, now), Some(Deed::People));
    menu.input(Input::Up, now);
    menu.input(Input::Ok, now);
    assert_eq!(menu.view(now), None);
    // Downwards from 1 it goes round to the key that closes.
    menu.input(Input::Down, now);
    menu.input(Input::Down, now);
    assert_eq!(menu.view(now), Some(View::Pin { typed: 0, note: Note::Enter, focus: Some(Key::Close) }));
    menu.input(Input::Ok, now);
    assert_eq!(menu.view(now), None);
}

#[test]
fn five_wrong_pins_lock_it_and_each_further_one_for_twice_as_long() {
    let mut menu = menu();
    let mut now = Millis(1000);
    for wrong in 1..5 {
        assert_eq!(wrong_pin(&mut menu, now), Some(News::Wrong { wrong }));
        assert_eq!(note(&menu, now), Note::Wrong { left: 5 - wrong });
        menu.input(tap(Key::Digit(1)), now);
        assert_eq!(note(&menu, now), Note::Enter);
        menu.input(tap(Key::Delete), now);
    }
    for (wrong, seconds) in
        [(5, 60), (6, 120), (7, 240), (8, 480), (9, 960), (10, 1920), (11, 3600), (12, 3600)]
    {
        let for_ms = seconds * 1000;
        assert_eq!(wrong_pin(&mut menu, now), Some(News::Locked { wrong, for_ms }));
        assert_eq!(note(&menu, now), Note::Locked { left_s: seconds });
        assert_eq!(note(&menu, now.plus(1)), Note::Locked { left_s: seconds });
        assert_eq!(note(&menu, now.plus(1000)), Note::Locked { left_s: seconds - 1 });
        assert_eq!(menu.deadline(now.plus(1)), Some(now.plus(1000)), "the next second is shown");
        let last = now.plus(for_ms - 1);
        menu.input(Input::Tap { x: 0, y: 0 }, last);
        assert_eq!(type_in(&mut menu, &[2, 5, 8, 0], last), None);
        assert_eq!(
            menu.view(last),
            Some(View::Pin { typed: 0, note: Note::Locked { left_s: 1 }, focus: None })
        );
        menu.input(tap(Key::Close), last);
        now = now.plus(for_ms);
    }
    menu.input(Input::Tap { x: 0, y: 0 }, now);
    assert!(type_in(&mut menu, &[2, 5, 8, 0], now).is_some());
    assert_eq!(menu.answer(PinMatch::Right, now), Some(News::Opened));
    // All is forgiven.
    menu.close();
    assert_eq!(wrong_pin(&mut menu, now), Some(News::Wrong { wrong: 1 }));
    assert_eq!(note(&menu, now), Note::Wrong { left: 4 });
}

#[test]
fn what_was_typed_wrong_before_a_restart_counts() {
    let (mut menu, now) = (menu(), Millis(5));
    menu.guarded(Guard::Pin { wrong: 4, locked_ms: 0 }, now);
    assert_eq!(wrong_pin(&mut menu, now), Some(News::Locked { wrong: 5, for_ms: 60_000 }));
    menu.close();
    menu.guarded(Guard::Pin { wrong: 5, locked_ms: 1500 }, now);
    menu.input(Input::Ok, now);
    assert_eq!(note(&menu, now), Note::Locked { left_s: 2 });
    assert_eq!(note(&menu, Millis(1505)), Note::Enter);
}

#[test]
fn where_there_is_no_pin_whoever_comes_first_chooses_one_by_typing_it_twice() {
    let (mut menu, now) = (menu(), Millis(5));
    menu.guarded(Guard::None, now);
    menu.input(Input::Tap { x: 0, y: 0 }, now);
    let note_is = |menu: &Menu, choice| assert_eq!(note(menu, now), Note::Choose(choice));
    note_is(&menu, Choice::First);
    assert_eq!(type_in(&mut menu, &[1, 2, 3, 4], now), None);
    note_is(&menu, Choice::Simple);
    assert_eq!(type_in(&mut menu, &[2, 5, 8, 0], now), None);
    note_is(&menu, Choice::Again);
    assert_eq!(type_in(&mut menu, &[2, 5, 8, 1], now), None);
    note_is(&menu, Choice::Differs);
    assert_eq!(type_in(&mut menu, &[2, 5, 8, 1], now), None);
    note_is(&menu, Choice::Again);
    assert_eq!(type_in(&mut menu, &[2, 5, 8, 1], now), Some(Deed::Choose(chosen("2581").unwrap())));
    assert_eq!(note(&menu, now), Note::Comparing);
    // Somebody at a terminal was faster: that one is asked for.
    menu.not_chosen(Guard::Pin { wrong: 0, locked_ms: 0 }, now);
    assert_eq!(note(&menu, now), Note::Enter);
    menu.close();
    menu.guarded(Guard::None, now);
    menu.input(Input::Tap { x: 0, y: 0 }, now);
    assert_eq!(menu.chosen(now), None, "nothing is out");
    (0..2).for_each(|_| drop(type_in(&mut menu, &[2, 5, 8, 0], now)));
    assert_eq!(menu.chosen(now), Some(News::Opened));
    assert_eq!(menu.view(now), Some(View::Items { focus: None }));
    // From now on it is asked for.
    menu.close();
    menu.input(Input::Tap { x: 0, y: 0 }, now);
    assert_eq!(note(&menu, now), Note::Enter);
}

#[test]
fn it_closes_half_a_minute_after_the_last_input() {
    let mut menu = menu();
    menu.input(Input::Ok, Millis(1000));
    menu.input(Input::Up, Millis(5000));
    assert_eq!(menu.deadline(Millis(5000)), Some(Millis(35_000)));
    menu.tick(Millis(34_999));
    assert!(menu.view(Millis(34_999)).is_some());
    menu.tick(Millis(35_000));
    assert_eq!(menu.view(Millis(35_000)), None);
}

#[test]
fn an_answer_that_nobody_waits_for_opens_nothing_but_counts() {
    let mut menu = menu();
    let ask = |menu: &mut Menu, now| {
        menu.input(Input::Tap { x: 0, y: 0 }, now);
        type_in(menu, &[2, 5, 8, 0], now)
    };
    assert!(ask(&mut menu, Millis(0)).is_some());
    menu.tick(Millis(30_000));
    // Typed again while the first is still out: not taken.
    assert_eq!(ask(&mut menu, Millis(30_001)), None);
    assert_eq!(menu.answer(PinMatch::Right, Millis(30_002)), None);
    assert_eq!(menu.view(Millis(30_002)), Some(View::Pin { typed: 4, note: Note::Enter, focus: None }));
    assert_eq!(menu.answer(PinMatch::Right, Millis(30_003)), None, "nothing was asked");
    menu.input(tap(Key::Enter), Millis(30_004));
    menu.input(tap(Key::Close), Millis(30_005));
    assert_eq!(menu.answer(PinMatch::Wrong, Millis(30_006)), Some(News::Wrong { wrong: 1 }));
    assert_eq!(wrong_pin(&mut menu, Millis(30_007)), Some(News::Wrong { wrong: 2 }));
    assert_eq!(note(&menu, Millis(30_007)), Note::Wrong { left: 3 });
}

#[test]
fn nothing_of_it_shows_digits() {
    let mut menu = menu();
    menu.input(Input::Ok, Millis(0));
    for digit in [9, 8, 9, 8] {
        menu.input(tap(Key::Digit(digit)), Millis(0));
    }
    assert!(!format!("{menu:?}").contains("9898"), "{menu:?}");
}

/// What may happen, and how long after what was before, ms.
#[derive(Debug, Clone, Copy)]
enum Op {
    Do(Input),
    Key(usize),
    Answer(PinMatch),
    Tick,
}

fn ops() -> impl Strategy<Value = Vec<(Op, u64)>> {
    let op = prop_oneof![
        1 => (0..260u32, 0..260u32).prop_map(|(x, y)| Op::Do(Input::Tap { x, y })),
        6 => (0..Key::ALL.len()).prop_map(Op::Key),
        2 => Just(Op::Key(10)),
        2 => prop::sample::select(vec![Input::Up, Input::Down, Input::Ok]).prop_map(Op::Do),
        2 => prop::sample::select(vec![PinMatch::Wrong, PinMatch::Wrong, PinMatch::Right]).prop_map(Op::Answer),
        1 => Just(Op::Tick),
    ];
    let wait = prop_oneof![8 => 0..500u64, 2 => 0..20_000u64, 1 => 25_000..90_000u64];
    prop::collection::vec((op, wait), 1..300)
}

proptest! {
    /// Against a plain record of what happened: the menu opens at an answer "right" to digits that were handed out, and at
    /// nothing else; while locked, no digits come out; half a minute after the last input all is closed; never are two asked
    /// at once.
    #[test]
    fn only_the_right_pin_opens_it_locked_means_locked_and_it_closes_in_time(ops in ops()) {
        let mut menu = menu();
        let mut now = Millis(0);
        let (mut out, mut wrong, mut locked_until, mut since) = (false, 0u32, Millis(0), Millis(0));
        for (op, wait) in ops {
            now = now.plus(wait);
            let was_open = matches!(menu.view(now), Some(View::Items { .. }));
            let (digits, news) = match op {
                Op::Do(input) => (menu.input(input, now), None),
                Op::Key(key) => (menu.input(tap(Key::ALL[key]), now), None),
                Op::Answer(answer) => (None, menu.answer(answer, now)),
                Op::Tick => { menu.tick(now); (None, None) }
            };
            if matches!(op, Op::Do(_) | Op::Key(_)) { since = now; }
            prop_assert!(!matches!(digits, Some(Deed::Choose(_))), "there is a PIN");
            prop_assert!(digits != Some(Deed::People) || was_open);
            if let Some(Deed::Compare(digits)) = &digits {
                prop_assert!(!out && now >= locked_until);
                prop_assert!((SHORTEST..=crate::pin::LONGEST).contains(&digits.len()));
                out = true;
            }
            if let Op::Answer(answer) = op {
                let asked = std::mem::take(&mut out);
                match news {
                    Some(News::Opened) => {
                        prop_assert!(asked && answer == PinMatch::Right);
                        (wrong, since) = (0, now);
                    }
                    Some(News::Locked { wrong: told, for_ms }) => {
                        prop_assert!(asked && answer == PinMatch::Wrong && told == wrong + 1 && told >= 5);
                        prop_assert!((60_000..=3_600_000).contains(&for_ms));
                        locked_until = now.plus(for_ms);
                        wrong += 1;
                    }
                    Some(News::Wrong { wrong: told }) => {
                        wrong += 1;
                        prop_assert!(asked && answer == PinMatch::Wrong && told == wrong);
                        prop_assert!(wrong < 5, "the fifth in a row locks");
                    }
                    None => prop_assert!(!asked || answer == PinMatch::Right),
                }
            }
            let is_open = matches!(menu.view(now), Some(View::Items { .. }));
            prop_assert!(!is_open || was_open || news == Some(News::Opened));
            if now < locked_until {
                let says_so = match menu.view(now) {
                    Some(View::Pin { note, .. }) => matches!(note, Note::Locked { .. }),
                    Some(View::Items { .. }) | None => true,
                };
                prop_assert!(says_so);
            }
            // What is open has its end, and time alone brings it about.
            if let Some(due) = menu.deadline(now) {
                prop_assert!(now < due && due <= since.plus(CLOSES_AFTER_MS));
            } else {
                prop_assert_eq!(menu.view(now), None);
            }
            if now.since(since) >= CLOSES_AFTER_MS && !matches!(op, Op::Do(_) | Op::Key(_)) {
                prop_assert_eq!(menu.view(now), None);
            }
        }
        menu.tick(now.plus(CLOSES_AFTER_MS));
        prop_assert_eq!(menu.view(now), None);
    }
}
