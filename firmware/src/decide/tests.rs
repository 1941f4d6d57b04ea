//! Each line of each table by hand, and what no evidence may ever lead to.

use proptest::prelude::*;

use super::*;
use crate::rules::access::Way;
use crate::rules::factors::Needs;

fn policy() -> Policy {
    Policy {
        threshold: 0.4,
        verify_threshold: 0.3,
        min_margin: 0.05,
        min_frames: 2,
        cool_down_ms: 5000,
        companions: Companions::OneAtATime,
        readers: Readers::None,
    }
}

#[test]
fn each_line_of_the_pins_table() {
    for wrong in [0, 1, 2, 7, u32::MAX] {
        assert_eq!(pin(PinMatch::Right, wrong), PinAnswer::Open);
    }
    let minutes = |wrong| match pin(PinMatch::Wrong, wrong) {
        PinAnswer::Open => panic!("a wrong PIN opened the menu"),
        PinAnswer::Again { left } => -f64::from(left),
        PinAnswer::Locked { for_ms } => for_ms as f64 / 60_000.0,
    };
    let all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, u32::MAX].map(minutes);
    assert_eq!(all, [-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
}

#[test]
fn each_line_of_the_doors_table() {
    let none = DoorInputs::default();
    let all = DoorInputs {
        fire: true,
        exit: true,
        tampering: true,
        lockdown: true,
        remote: true,
        tampered: true,
        held: true,
        granted: true,
    };
    // Take away the lines from above, one by one.
    let mut left = all;
    assert_eq!(door(left), Bolt::Held, "fire");
    left.fire = false;
    assert_eq!(door(left), Bolt::Pulse, "exit");
    left.exit = false;
    assert_eq!(door(left), Bolt::Shut, "tampering, lockdown");
    left.tampering = false;
    assert_eq!(door(left), Bolt::Shut, "lockdown");
    left.lockdown = false;
    assert_eq!(door(left), Bolt::Pulse, "remote");
    left.remote = false;
    assert_eq!(door(left), Bolt::Pulse, "granted: the housing is open, so the clock holds nothing");
    left.tampered = false;
    assert_eq!(door(left), Bolt::Held, "held");
    left.held = false;
    assert_eq!(door(left), Bolt::Pulse, "granted");
    assert_eq!(door(none), Bolt::Rest);
    assert_eq!(door(DoorInputs { tampered: true, ..none }), Bolt::Rest);
    assert_eq!(door(DoorInputs { tampering: true, granted: true, ..none }), Bolt::Shut);
}

/// Every combination of the eight inputs.
#[test]
fn whatever_is_said_of_the_door_together() {
    for bits in 0..=255u8 {
        let [fire, exit, tampering, lockdown, remote, tampered, held, granted] =
            std::array::from_fn(|i| bits >> i & 1 == 1);
        let bolt = door(DoorInputs { fire, exit, tampering, lockdown, remote, tampered, held, granted });
        let opens = matches!(bolt, Bolt::Held | Bolt::Pulse);
        assert!(!fire || bolt == Bolt::Held, "a fire opens: {bits:08b}");
        assert!(!exit || opens, "whoever is inside gets out: {bits:08b}");
        assert!(!lockdown || fire || exit || bolt == Bolt::Shut, "nobody gets in: {bits:08b}");
        assert!(!opens || fire || exit || remote || held || granted, "nobody asked for it: {bits:08b}");
        assert!(bolt != Bolt::Held || fire || held && !tampered, "held without a reason: {bits:08b}");
        assert!(!granted || opens || tampering || lockdown, "a grant opens: {bits:08b}");
    }
}

fn way(rule: &str, needs: &str, persons: Persons) -> Way {
    Way { rule: rule.into(), needs: needs.parse().unwrap(), persons }
}

fn by(needs: &str) -> Access {
    Access::Now(vec![way("all", needs, Persons::One)])
}

fn person() -> Person {
    Person {
        id: "7".into(),
        standing: Standing::Valid,
        access: by("face"),
        passback: passback::Verdict::Free,
        since_grant_ms: None,
        partners: Vec::new(),
        vetoed: false,
    }
}

fn face() -> Face {
    Face {
        best: Some(Candidate { person: person(), score: 0.6 }),
        margin: Some(0.2),
        frames: 2,
        fault: None,
        companions: 0,
    }
}

fn evidence() -> Evidence {
    Evidence { face: Some(face()), claim: Claim::Nobody, lockdown: false }
}

fn with(change: impl FnOnce(&mut Face)) -> Decision {
    let mut f = face();
    change(&mut f);
    decide(&Evidence { face: Some(f), ..evidence() }, &policy())
}

fn of_person(change: impl FnOnce(&mut Person)) -> Decision {
    with(|f| change(&mut f.best.as_mut().unwrap().person))
}

fn deny(why: Denial) -> Decision {
    Decision::Deny(why)
}

fn grant(rule: &str, shown: &str, score: Option<f32>) -> Decision {
    let needs: Needs = shown.parse().unwrap();
    let shown = needs.sets()[0];
    Decision::Grant { id: "7".into(), rule: rule.into(), shown, score, duress: Duress::None }
}

fn show(missing: &str) -> Decision {
    Decision::Ask(Request::Show(missing.parse::<Needs>().unwrap().sets()[0]))
}

#[test]
fn each_line_of_the_table_for_a_face() {
    assert_eq!(with(|_| {}), grant("all", "face", Some(0.6)));
    assert_eq!(with(|f| f.companions = 1), Decision::Ask(Request::OneAtATime));
    assert_eq!(with(|f| f.frames = 1), Decision::Ask(Request::Wait));
    assert_eq!(
        with(|f| {
            f.frames = 9;
            f.fault = Some(QualityReason::TooDark);
        }),
        Decision::Ask(Request::Improve(QualityReason::TooDark))
    );
    assert_eq!(with(|f| f.best = None), deny(Denial::Unknown));
    let score = |s: f32| with(|f| f.best.as_mut().unwrap().score = s);
    assert_eq!(score(0.399), deny(Denial::Unknown));
    assert_eq!(score(0.4), grant("all", "face", Some(0.4)));
    assert_eq!(score(f32::NAN), deny(Denial::Unknown));
    assert_eq!(with(|f| f.margin = Some(0.049)), deny(Denial::Ambiguous));
    assert_eq!(with(|f| f.margin = Some(f32::NAN)), deny(Denial::Ambiguous));
    assert_eq!(of_person(|p| p.vetoed = true), deny(Denial::Vetoed));
    let locked = Evidence { lockdown: true, ..evidence() };
    assert_eq!(decide(&locked, &policy()), deny(Denial::Lockdown));
    let nobody = Evidence { face: None, ..evidence() };
    assert_eq!(decide(&nobody, &policy()), Decision::Ask(Request::Wait));
}

#[test]
fn who_cannot_be_told_by_the_face_is_asked_for_more_where_there_is_a_reader() {
    let policy = Policy { readers: Readers::Some, ..policy() };
    for change in
        [|f: &mut Face| f.margin = Some(0.01), |f: &mut Face| f.best.as_mut().unwrap().person.vetoed = true]
    {
        let mut f = face();
        change(&mut f);
        assert_eq!(
            decide(&Evidence { face: Some(f), ..evidence() }, &policy),
            Decision::Ask(Request::SayWho)
        );
    }
}

#[test]
fn each_line_of_the_table_for_a_person() {
    for (standing, why) in [
        (Standing::Suspended, Denial::Suspended),
        (Standing::NotYetValid, Denial::NotYetValid),
        (Standing::Expired, Denial::Expired),
        (Standing::Blocked, Denial::Blocked),
    ] {
        assert_eq!(of_person(|p| p.standing = standing), deny(why));
    }
    assert_eq!(of_person(|p| p.since_grant_ms = Some(4999)), Decision::Passed { id: "7".into() });
    assert_eq!(of_person(|p| p.since_grant_ms = Some(5000)), grant("all", "face", Some(0.6)));
    for (access, why) in [
        (Access::Never, Denial::NotHere),
        (Access::NotNow, Denial::OutsideHours),
        (Access::NotYet, Denial::NotYetOpened),
    ] {
        assert_eq!(of_person(|p| p.access = access), deny(why));
    }
    assert_eq!(of_person(|p| p.access = by("card + face + pin")), show("card + pin"));
    assert_eq!(of_person(|p| p.passback = passback::Verdict::Denied), deny(Denial::Passback));
    assert_eq!(of_person(|p| p.passback = passback::Verdict::Noted), grant("all", "face", Some(0.6)));
}

#[test]
fn a_rule_for_two_waits_for_the_second_within_its_time() {
    let pair = Access::Now(vec![way("pair", "face", Persons::Two { within_s: 20 })]);
    let with = |partners: &[(&str, u64)]| {
        of_person(|p| {
            p.access = pair.clone();
            p.partners = partners.iter().map(|(rule, ms)| ((*rule).to_owned(), *ms)).collect();
        })
    };
    let wait = Decision::Pair { id: "7".into(), rule: "pair".into() };
    assert_eq!(with(&[]), wait);
    assert_eq!(with(&[("pair", 20_001), ("other", 1)]), wait);
    assert_eq!(with(&[("other", 1), ("pair", 20_000)]), grant("pair", "face", Some(0.6)));
}

fn claimed(shown: &str, needs: &str, score: Option<f32>) -> Claim {
    let shown = shown.parse::<Needs>().unwrap().sets()[0];
    let person = Person { access: by(needs), ..person() };
    Claim::One(Claimed { person, shown, score, duress: Duress::None })
}

#[test]
fn each_line_of_the_table_for_a_card_a_pin_or_a_pass() {
    let with = |claim, face| decide(&Evidence { face, claim, lockdown: false }, &policy());
    let card = |score| claimed("card", "card + face", score);
    assert_eq!(with(card(Some(0.3)), Some(face())), grant("all", "face + card", Some(0.3)));
    assert_eq!(with(card(Some(0.299)), Some(face())), deny(Denial::OtherFace));
    assert_eq!(with(card(Some(f32::NAN)), Some(face())), deny(Denial::OtherFace));
    assert_eq!(with(card(None), Some(face())), deny(Denial::OtherFace));
    assert_eq!(with(card(Some(0.9)), None), show("face"), "nobody is in sight");
    let unusable = Face { fault: Some(QualityReason::Blurred), ..face() };
    let blurred = Decision::Ask(Request::Improve(QualityReason::Blurred));
    assert_eq!(with(card(Some(0.9)), Some(unusable.clone())), blurred);
    assert_eq!(with(card(Some(0.9)), Some(Face { frames: 1, ..face() })), Decision::Ask(Request::Wait));
    // Without a face, where the rules say so; whoever else stands there.
    let both = claimed("card + pin", "face or card + pin", None);
    assert_eq!(with(both.clone(), None), grant("all", "card + pin", None));
    assert_eq!(with(both.clone(), Some(unusable)), grant("all", "card + pin", None));
    assert_eq!(with(both, Some(Face { companions: 1, ..face() })), Decision::Ask(Request::OneAtATime));
    assert_eq!(with(claimed("card", "card + pin", Some(0.9)), Some(face())), show("pin"));
    // The face is there as well: it may be enough by itself.
    assert_eq!(
        with(claimed("card", "face or card + pin", Some(0.9)), Some(face())),
        grant("all", "face + card", Some(0.9))
    );
    assert_eq!(with(Claim::Several, Some(face())), deny(Denial::Mismatch));
    assert_eq!(with(Claim::Unknown, None), deny(Denial::UnknownCredential));
    assert_eq!(with(Claim::Locked, Some(face())), deny(Denial::TooManyTries));
}

#[test]
fn a_vetoed_face_proves_nothing_and_duress_is_handed_on() {
    let mut claim = claimed("card", "face + card", Some(0.9));
    let Claim::One(c) = &mut claim else { panic!() };
    c.person.vetoed = true;
    assert_eq!(decide(&Evidence { claim, ..evidence() }, &policy()), deny(Denial::OtherFace));
    let mut claim = claimed("pin", "pin", None);
    let Claim::One(c) = &mut claim else { panic!() };
    c.duress = Duress::Told;
    let decision = decide(&Evidence { claim, face: None, lockdown: false }, &policy());
    assert!(matches!(decision, Decision::Grant { duress: Duress::Told, .. }), "{decision:?}");
}

#[test]
fn no_policy_grants_on_no_frame() {
    let p = Policy { min_frames: 0, ..policy() };
    let e = Evidence { face: Some(Face { frames: 0, ..face() }), ..evidence() };
    assert_eq!(decide(&e, &p), Decision::Ask(Request::Wait));
}

#[test]
fn evidence_and_policy_come_back_from_json_to_the_bit_and_without_an_id() {
    let mut e = Evidence { claim: claimed("card", "face + card or pin", Some(0.123_456_79)), ..evidence() };
    e.face.as_mut().unwrap().best.as_mut().unwrap().score = f32::from_bits(0x3f12_3457);
    let text = serde_json::to_string(&(&e, policy())).unwrap();
    assert!(!text.contains("\"7\""), "{text}");
    let (mut back, p): (Evidence, Policy) = serde_json::from_str(&text).unwrap();
    assert_eq!(p, policy());
    back.face.as_mut().unwrap().best.as_mut().unwrap().person.id = "7".into();
    let Claim::One(c) = &mut back.claim else { panic!() };
    c.person.id = "7".into();
    assert_eq!(back, e);
}

fn any_person() -> impl Strategy<Value = Person> {
    let standing = prop::sample::select(vec![
        Standing::Valid,
        Standing::Valid,
        Standing::Valid,
        Standing::Suspended,
        Standing::NotYetValid,
        Standing::Expired,
        Standing::Blocked,
    ]);
    let persons = prop_oneof![Just(Persons::One), Just(Persons::Two { within_s: 20 })];
    let needs = prop::sample::select(vec!["face", "card", "face + pin", "face or card + pin", "pass or pin"]);
    let now = (needs, persons).prop_map(|(needs, persons)| Access::Now(vec![way("r", needs, persons)]));
    let access =
        prop_oneof![8 => now, 1 => Just(Access::Never), 1 => Just(Access::NotNow), 1 => Just(Access::NotYet)];
    let passback = prop::sample::select(vec![
        passback::Verdict::Free,
        passback::Verdict::Noted,
        passback::Verdict::Denied,
    ]);
    let partners = prop::collection::vec((Just("r".to_owned()), 0u64..40_000), 0..2);
    let since = proptest::option::weighted(0.3, 0u64..20_000);
    (standing, access, passback, since, partners, prop::bool::weighted(0.2)).prop_map(
        |(standing, access, passback, since_grant_ms, partners, vetoed)| Person {
            id: "x".into(),
            standing,
            access,
            passback,
            since_grant_ms,
            partners,
            vetoed,
        },
    )
}

fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![1 => Just(f32::NAN), 9 => -1.0f32..=1.0]
}

fn any_face() -> impl Strategy<Value = Face> {
    (
        proptest::option::weighted(0.8, (any_person(), any_score())),
        proptest::option::of(prop_oneof![1 => Just(f32::NAN), 9 => -0.2f32..0.5]),
        0u32..5,
        prop::bool::weighted(0.2),
        prop_oneof![3 => Just(0u32), 1 => 1u32..3],
    )
        .prop_map(|(best, margin, frames, faulty, companions)| Face {
            best: best.map(|(person, score)| Candidate { person, score }),
            margin,
            frames,
            fault: faulty.then_some(QualityReason::Blurred),
            companions,
        })
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let shown = (1u8..8).prop_map(|bits| {
        let own = [Factor::Card, Factor::Pin, Factor::Pass];
        own.into_iter()
            .enumerate()
            .filter(|(i, _)| bits >> i & 1 == 1)
            .fold(Factors::NONE, |s, (_, f)| s.and(f))
    });
    let one = (any_person(), shown, proptest::option::of(any_score())).prop_map(|(person, shown, score)| {
        Claim::One(Claimed { person, shown, score, duress: Duress::None })
    });
    prop_oneof![4 => Just(Claim::Nobody), 6 => one, 1 => Just(Claim::Several), 1 => Just(Claim::Unknown), 1 => Just(Claim::Locked)]
}

proptest! {
    /// A grant is given exactly if every demand is met, each of which is spelt out here once more.
    #[test]
    fn a_grant_meets_every_demand(
        face in proptest::option::weighted(0.8, any_face()),
        claim in any_claim(),
        lockdown in prop::bool::weighted(0.1),
        one in any::<bool>(),
        readers in any::<bool>(),
    ) {
        let p = Policy {
            companions: if one { Companions::OneAtATime } else { Companions::Allowed },
            readers: if readers { Readers::Some } else { Readers::None },
            ..policy()
        };
        let usable = face.as_ref().is_some_and(|f| f.fault.is_none() && f.frames >= p.min_frames);
        let alone = face.as_ref().is_none_or(|f| f.companions == 0) || !one;
        // Who it is, and what was shown for it.
        let (who, shown) = match (&claim, face.as_ref().and_then(|f| f.best.as_ref())) {
            (Claim::One(c), _) => {
                let proven = usable && !c.person.vetoed && c.score.is_some_and(|s| s >= p.verify_threshold);
                (Some(&c.person), if proven { c.shown.and(Factor::Face) } else { c.shown })
            }
            (Claim::Nobody, Some(best)) => {
                let margin = face.as_ref().unwrap().margin.is_none_or(|m| m >= p.min_margin);
                let known = usable && margin && best.score >= p.threshold && !best.person.vetoed;
                (known.then_some(&best.person), Factors::one(Factor::Face))
            }
            _ => (None, Factors::NONE),
        };
        let demanded = !lockdown && alone && who.is_some_and(|who| {
            let by_rules = match &who.access {
                Access::Now(ways) => ways.iter().any(|w| {
                    w.needs.met_by(shown)
                        && (w.persons == Persons::One || who.partners.iter().any(|(_, ago)| *ago <= 20_000))
                }),
                _ => false,
            };
            who.standing == Standing::Valid
                && who.since_grant_ms.is_none_or(|s| s >= p.cool_down_ms)
                && by_rules
                && who.passback != passback::Verdict::Denied
        });
        let decision = decide(&Evidence { face, claim, lockdown }, &p);
        prop_assert_eq!(matches!(decision, Decision::Grant { .. }), demanded, "{:?}", decision);
    }
}
