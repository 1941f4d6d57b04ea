//! Nothing before consent, nothing after cancelling, and nobody's face under another's id.

use limen_gallery_db::score::Threshold;
use limen_models::quality::Limits;
use proptest::prelude::*;

use super::*;
use crate::kiosk::poses::EACH;

const SIZE: Size = Size::new(240, 240);

fn known(standing: Standing) -> Known {
    Known { id: "7".into(), name: "Somebody".into(), standing }
}

fn begun() -> Enrol {
    Enrol::new(SIZE, Focus::default(), Millis(0))
}

fn tap(at: embedded_graphics::primitives::Rectangle) -> Input {
    Input::Tap { x: at.center().x as u32, y: at.center().y as u32 }
}

fn key(key: Key) -> Input {
    tap(pin_pad::place(SIZE, key))
}

/// Touches the answer, which must be one of those that are asked for.
fn answer(enrol: &mut Enrol, answer: Answer, now: Millis) -> Option<Deed> {
    let Some(View::Ask { asked, .. }) = enrol.view() else { panic!("nothing is asked") };
    let keys = asked.keys();
    let at = keys.iter().position(|k| *k == answer).expect("there is that key");
    enrol.input(tap(choice::place(SIZE, keys.len(), at)), now)
}

fn asked(enrol: &Enrol) -> Option<Asked> {
    if let Some(View::Ask { asked, .. }) = enrol.view() { Some(asked) } else { None }
}

fn poses() -> Poses {
    Poses::new(&Limits::default(), Threshold::new(0.3).unwrap())
}

/// Types an id and enters it.
fn type_id(enrol: &mut Enrol, digits: &[u8], now: Millis) -> Option<Deed> {
    for digit in digits {
        assert_eq!(enrol.input(key(Key::Digit(*digit)), now), None);
    }
    enrol.input(key(Key::Enter), now)
}

/// Shows a face in every pose; what is to be done with the last.
fn pose(enrol: &mut Enrol, now: &mut Millis) -> Option<Deed> {
    let vector = [0.25; 16];
    let mut deed = None;
    for angles in [(0.0, 0.0), (20.0, 0.0), (-20.0, 0.0), (0.0, -15.0), (0.0, 15.0)] {
        for _ in 0..EACH {
            assert_eq!(deed, None, "not before all are there");
            *now = now.plus(200);
            let (yaw_deg, pitch_deg) = angles;
            let sample = Some((&vector[..], 0.5));
            deed =
                enrol.look(Some(&Face { yaw_deg, pitch_deg, fault: None, sample, is_crowded: false }), *now);
        }
    }
    deed
}

/// Somebody new who agreed and was looked at.
fn taken() -> (Enrol, Millis) {
    let (mut enrol, mut now) = (begun(), Millis(0));
    assert_eq!(type_id(&mut enrol, &[4, 2], now), Some(Deed::Find("42".into())));
    enrol.found("42".into(), None);
    assert_eq!(answer(&mut enrol, Answer::Agree, now), Some(Deed::Begin));
    enrol.begin(poses());
    let Some(Deed::Enrol(wanted)) = pose(&mut enrol, &mut now) else { panic!("enough are there") };
    assert_eq!((wanted.id.as_str(), wanted.samples.len()), ("42", 15));
    assert_eq!((wanted.existing, wanted.duplicates), (Existing::Refuse, DuplicateRule::Refuse));
    assert!(enrol.view() == Some(View::Checking));
    (enrol, now)
}

#[test]
fn somebody_new_agrees_looks_around_and_is_enrolled() {
    let (mut enrol, now) = taken();
    assert!(now.0 <= 20_000, "{now}");
    enrol.did(Outcome::Enrolled(8), now);
    assert!(asked(&enrol) == Some(Asked::Told { id: "42".into(), what: Outcome::Enrolled(8) }));
    assert_eq!(answer(&mut enrol, Answer::Close, now), None);
    assert_eq!(enrol.end(), Some(End::Door), "somebody else may be there by now");
}

#[test]
fn three_buttons_do_the_same() {
    let mut enrol = Enrol::new(SIZE, Focus::after(Input::Ok), Millis(0));
    let mut press = |n: usize, input: Input| (0..n).filter_map(|_| enrol.input(input, Millis(0))).last();
    // 4, 2, enter: from 1 three up, two down, nine up.
    press(3, Input::Up);
    press(1, Input::Ok);
    press(2, Input::Down);
    press(1, Input::Ok);
    press(9, Input::Up);
    assert_eq!(press(1, Input::Ok), Some(Deed::Find("42".into())));
    enrol.found("42".into(), None);
    assert!(enrol.view() == Some(View::Ask { asked: Asked::Consent { id: "42".into() }, focus: Some(0) }));
    let mut press = |input| enrol.input(input, Millis(0));
    assert_eq!(press(Input::Down), None);
    assert_eq!(press(Input::Ok), Some(Deed::Begin));
    enrol.begin(poses());
    // The first button shows the key, the second presses it.
    assert_eq!(enrol.input(Input::Ok, Millis(0)), None);
    assert!(matches!(enrol.view(), Some(View::Poses { is_focused: true, .. })));
    assert_eq!(enrol.input(Input::Ok, Millis(0)), None);
    assert_eq!(enrol.end(), Some(End::Door));
}

#[test]
fn somebody_enrolled_is_added_to_renewed_suspended_and_removed() {
    let person = |standing| {
        let mut enrol = begun();
        type_id(&mut enrol, &[7], Millis(0));
        enrol.found("7".into(), Some(known(standing)));
        enrol
    };
    for (answered, existing) in [(Answer::Add, Existing::AddSamples), (Answer::Renew, Existing::Replace)] {
        let (mut enrol, mut now) = (person(Standing::Active), Millis(0));
        assert_eq!(answer(&mut enrol, answered, now), None);
        assert_eq!(answer(&mut enrol, Answer::Agree, now), Some(Deed::Begin));
        enrol.begin(poses());
        let Some(Deed::Enrol(wanted)) = pose(&mut enrol, &mut now) else { panic!("enough are there") };
        assert_eq!((wanted.id.as_str(), wanted.existing), ("7", existing));
    }
    let mut enrol = person(Standing::Active);
    let suspend = Deed::Stand("7".into(), Standing::Suspended);
    assert_eq!(answer(&mut enrol, Answer::Suspend, Millis(0)), Some(suspend));
    enrol.did(Outcome::Stands(Standing::Suspended), Millis(0));
    answer(&mut enrol, Answer::Close, Millis(0));
    assert_eq!(enrol.end(), Some(End::Menu), "the admin is still there");
    let mut enrol = person(Standing::Suspended);
    let resume = Deed::Stand("7".into(), Standing::Active);
    assert_eq!(answer(&mut enrol, Answer::Resume, Millis(0)), Some(resume));
    // Nobody is removed by one touch.
    let mut enrol = person(Standing::Active);
    assert_eq!(answer(&mut enrol, Answer::Remove, Millis(0)), None);
    assert_eq!(answer(&mut enrol, Answer::Back, Millis(0)), None);
    assert_eq!(answer(&mut enrol, Answer::Remove, Millis(0)), None);
    assert_eq!(answer(&mut enrol, Answer::Remove, Millis(0)), Some(Deed::Remove("7".into())));
    // Back to the keys, and to the menu.
    let mut enrol = person(Standing::Active);
    answer(&mut enrol, Answer::Back, Millis(0));
    assert!(enrol.view() == Some(View::Id { typed: String::new(), focus: None }));
    enrol.input(key(Key::Close), Millis(0));
    assert_eq!(enrol.end(), Some(End::Menu));
}

#[test]
fn whom_a_face_is_like_is_shown_to_whoever_has_the_pin() {
    let (mut enrol, now) = taken();
    enrol.alike(now);
    assert!(asked(&enrol) == Some(Asked::Alike));
    assert_eq!(answer(&mut enrol, Answer::Pin, now), Some(Deed::Pin));
    assert!(enrol.view().is_none(), "the keys of the PIN are there");
    enrol.admitted(known(Standing::Active), now);
    assert!(asked(&enrol) == Some(Asked::AlikeTo(known(Standing::Active))));
    let Some(Deed::Enrol(wanted)) = answer(&mut enrol, Answer::Anyway, now) else { panic!("it is decided") };
    assert_eq!((wanted.duplicates, wanted.samples.len()), (DuplicateRule::Allow, 15));
}

#[test]
fn a_minute_without_anything_gives_it_up() {
    let mut enrol = begun();
    enrol.input(key(Key::Digit(1)), Millis(1000));
    assert_eq!(enrol.deadline(), Millis(61_000));
    enrol.tick(Millis(60_999));
    assert_eq!(enrol.end(), None);
    enrol.tick(Millis(61_000));
    assert_eq!(enrol.end(), Some(End::Door));
    // Frames that are not taken are no progress.
    let mut enrol = begun();
    type_id(&mut enrol, &[7], Millis(0));
    enrol.found("7".into(), None);
    answer(&mut enrol, Answer::Agree, Millis(0));
    enrol.begin(poses());
    (1..=60).for_each(|second| drop(enrol.look(None, Millis(second * 1000))));
    assert_eq!(enrol.end(), Some(End::Door));
}

#[test]
fn an_id_has_twelve_digits_at_most_and_debug_shows_no_name_and_no_numbers() {
    let mut enrol = begun();
    let digits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3];
    assert_eq!(type_id(&mut enrol, &digits, Millis(0)), Some(Deed::Find("123456789012".into())));
    assert_eq!(format!("{:?}", known(Standing::Active)), "Known(7)");
    let (enrol, _) = taken();
    assert_eq!(format!("{enrol:?}"), "Enrol(Wanted(42, 15 samples))");
}

/// What may happen, and how long after what was before, ms.
#[derive(Debug, Clone, Copy)]
enum Op {
    Do(Input),
    Key(usize),
    Answer(usize),
    Found(bool),
    Begin,
    Look { yaw_deg: f32, pitch_deg: f32, is_good: bool },
    Did(Outcome),
    Alike,
    Admitted,
    Cancel,
    Tick,
}

fn ops() -> impl Strategy<Value = Vec<(Op, u64)>> {
    let angles = vec![(0.0, 0.0), (20.0, 0.0), (-20.0, 0.0), (0.0, -15.0), (0.0, 15.0)];
    let op = prop_oneof![
        1 => (0..260u32, 0..260u32).prop_map(|(x, y)| Op::Do(Input::Tap { x, y })),
        2 => prop::sample::select(vec![Input::Up, Input::Down, Input::Ok]).prop_map(Op::Do),
        4 => (0..Key::ALL.len()).prop_map(Op::Key),
        4 => (0..5usize).prop_map(Op::Answer),
        4 => prop::bool::weighted(0.3).prop_map(Op::Found),
        4 => Just(Op::Begin),
        40 => (prop::sample::select(angles), prop::bool::weighted(0.9)).prop_map(|((yaw_deg, pitch_deg), is_good)| {
            Op::Look { yaw_deg, pitch_deg, is_good }
        }),
        1 => prop::sample::select(vec![Outcome::Enrolled(3), Outcome::Removed, Outcome::Unclear]).prop_map(Op::Did),
        2 => Just(Op::Alike),
        2 => Just(Op::Admitted),
        1 => Just(Op::Cancel),
        1 => Just(Op::Tick),
    ];
    let wait = prop_oneof![20 => 150..400u64, 1 => 5_000..70_000u64];
    prop::collection::vec((op, wait), 1..300)
}

proptest! {
    /// Whatever happens: samples come out, and are kept, only after the person agreed, on this very way; once it is over there
    /// are none, and nothing brings it back; a name is seen only by whoever typed an id in use, or was let in by the PIN.
    #[test]
    fn nothing_is_kept_before_consent_or_after_the_end(ops in ops()) {
        let (mut enrol, mut now) = (begun(), Millis(0));
        let (mut agreed, mut admitted) = (false, false);
        let vector = [0.25; 16];
        for (op, wait) in ops {
            now = now.plus(wait);
            let before = enrol.view();
            let was_over = enrol.end().is_some();
            let deed = match op {
                Op::Do(input) => enrol.input(input, now),
                Op::Key(at) => enrol.input(key(Key::ALL[at]), now),
                Op::Answer(at) => match asked(&enrol).map(|a| a.keys().len()) {
                    Some(keys) if at < keys => enrol.input(tap(choice::place(SIZE, keys, at)), now),
                    _ => None,
                },
                Op::Found(is_known) => {
                    enrol.found("7".into(), is_known.then(|| known(Standing::Active)));
                    None
                }
                Op::Begin => {
                    // As the attendant does: at the deed alone.
                    if agreed { enrol.begin(poses()); }
                    None
                }
                Op::Look { yaw_deg, pitch_deg, is_good } => {
                    let sample = is_good.then_some((&vector[..], 0.5));
                    enrol.look(Some(&Face { yaw_deg, pitch_deg, fault: None, sample, is_crowded: false }), now)
                }
                Op::Did(outcome) => {
                    if before == Some(View::Checking) { enrol.did(outcome, now); }
                    None
                }
                Op::Alike => { enrol.alike(now); None }
                Op::Admitted => {
                    admitted |= enrol.view().is_none() && !was_over;
                    enrol.admitted(known(Standing::Active), now);
                    None
                }
                Op::Cancel => { enrol.cancel(); None }
                Op::Tick => { enrol.tick(now); None }
            };
            match &deed {
                Some(Deed::Begin) => {
                    let was_asked = matches!(before, Some(View::Ask { asked: Asked::Consent { .. }, .. }));
                    prop_assert!(was_asked);
                    agreed = true;
                }
                Some(Deed::Enrol(wanted)) => {
                    prop_assert!(agreed && !was_over && wanted.samples.len() == 15 && !wanted.id.is_empty());
                    prop_assert!(admitted || wanted.duplicates == DuplicateRule::Refuse);
                }
                _ => {}
            }
            if matches!(enrol.view(), Some(View::Poses { .. })) {
                prop_assert!(agreed);
            }
            if !agreed || enrol.end().is_some() {
                prop_assert!(enrol.wanted.samples.is_empty());
            }
            if let Some(Asked::AlikeTo(_)) = asked(&enrol) {
                prop_assert!(admitted);
            }
            prop_assert!(!was_over || (deed.is_none() && enrol.end().is_some() && enrol.view().is_none()));
            enrol.tick(now);
            prop_assert!(enrol.end().is_some() || now < enrol.deadline());
        }
        enrol.tick(now.plus(GIVES_UP_MS));
        prop_assert!(enrol.end().is_some() && enrol.wanted.samples.is_empty());
    }
}
