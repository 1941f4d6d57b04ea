//! Good frames of one person alone are taken, of each pose its number, and no more.

use proptest::prelude::*;

use super::*;

/// A unit vector in the plane, `degrees` from the first axis, among 16 values.
fn at(degrees: f32) -> Vec<f32> {
    let mut vector = vec![0.0; 16];
    (vector[1], vector[0]) = degrees.to_radians().sin_cos();
    vector
}

/// cos 60 = 0.5.
fn poses() -> Poses {
    Poses::new(&Limits::default(), Threshold::new(0.5).unwrap())
}

fn face(vector: &[f32], (yaw_deg, pitch_deg): (f32, f32)) -> Face<'_> {
    Face { yaw_deg, pitch_deg, fault: None, sample: Some((vector, 0.8)), is_crowded: false }
}

/// Shows the same face `n` times, 200 ms apart; how many were taken.
fn show(poses: &mut Poses, n: u32, vector: &[f32], angles: (f32, f32), now: &mut Millis) -> usize {
    let looks = (0..n).filter(|_| {
        *now = now.plus(200);
        poses.look(Some(&face(vector, angles)), *now)
    });
    looks.count()
}

#[test]
fn who_does_as_told_is_done_in_a_few_seconds() {
    let (mut poses, mut now, one) = (poses(), Millis(0), at(0.0));
    // Somebody whose face looks as if it were turned by 4 and lowered by 6 degrees.
    let plan = [
        (Pose::Ahead, (4.0, 6.0)),
        (Pose::Left, (19.0, 8.0)),
        (Pose::Right, (-11.0, 2.0)),
        (Pose::Up, (8.0, -4.0)),
        (Pose::Down, (0.0, 16.0)),
    ];
    for (i, (pose, angles)) in plan.into_iter().enumerate() {
        assert_eq!(poses.progress().hint, Hint::Look(pose));
        assert_eq!(show(&mut poses, 5, &one, angles, &mut now), 3, "{pose:?}");
        assert_eq!(poses.is_done(), i == 4);
    }
    assert_eq!(poses.progress().taken, [Some(3); 5]);
    assert_eq!(now, Millis(5000));
    assert_eq!(poses.into_samples().len(), 15);
}

#[test]
fn frames_of_a_pose_are_taken_apart_and_the_look_ahead_comes_first() {
    let (mut poses, one) = (poses(), at(0.0));
    let mut look = |angles, ms| poses.look(Some(&face(&one, angles)), Millis(ms));
    assert!(!look((20.0, 0.0), 0));
    assert!(look((0.0, 0.0), 10));
    assert!(!look((0.0, 0.0), 159));
    assert!(look((0.0, 0.0), 160));
    assert!(!look((20.0, 0.0), 400));
    assert!(look((0.0, 0.0), 600));
    // The others in any order.
    assert!(look((-20.0, 0.0), 800) && look((0.0, 12.0), 1000) && !look((0.0, 5.0), 1200));
    assert_eq!(poses.progress().taken, [3, 0, 1, 0, 1].map(Some));
}

#[test]
fn what_cannot_be_used_is_not_taken_and_says_why() {
    let (mut poses, one) = (poses(), at(0.0));
    let good = || face(&one, (0.0, 0.0));
    let hint = |poses: &mut Poses, face: Face<'_>| {
        assert!(!poses.look(Some(&face), Millis(0)));
        poses.progress().hint
    };
    assert_eq!(hint(&mut poses, Face { is_crowded: true, ..good() }), Hint::OneAtATime);
    let blurred = Face { fault: Some(Reason::Blurred), ..good() };
    assert_eq!(hint(&mut poses, blurred), Hint::Improve(Reason::Blurred));
    assert_eq!(hint(&mut poses, Face { sample: None, ..good() }), Hint::Look(Pose::Ahead));
    assert_eq!(poses.progress().taken, [Some(0); 5]);
}

#[test]
fn somebody_else_begins_anew_and_one_poor_frame_does_not() {
    let (mut poses, mut now) = (poses(), Millis(0));
    let (one, other) = (at(0.0), at(61.0));
    show(&mut poses, 3, &one, (0.0, 0.0), &mut now);
    show(&mut poses, 2, &other, (0.0, 0.0), &mut now);
    assert_eq!(show(&mut poses, 1, &one, (20.0, 0.0), &mut now), 1);
    show(&mut poses, 2, &other, (20.0, 0.0), &mut now);
    assert_eq!(poses.progress().taken, [3, 1, 0, 0, 0].map(Some));
    show(&mut poses, 1, &other, (20.0, 0.0), &mut now);
    assert_eq!(poses.progress(), Progress { taken: [Some(0); 5], hint: Hint::Anew });
    assert_eq!(show(&mut poses, 1, &other, (0.0, 0.0), &mut now), 1);
    assert_eq!(poses.progress().hint, Hint::Look(Pose::Ahead));
}

#[test]
fn who_was_gone_for_long_begins_anew() {
    let (mut poses, mut now, one) = (poses(), Millis(0), at(0.0));
    show(&mut poses, 2, &one, (0.0, 0.0), &mut now);
    // A slow processor sees the next frame late, with the same face in it.
    now = now.plus(GONE_MS);
    assert_eq!(show(&mut poses, 1, &one, (20.0, 0.0), &mut now), 0);
    assert!(!poses.look(None, now));
    assert!(!poses.look(None, now.plus(GONE_MS - 1)));
    assert_eq!(poses.progress().taken[0], Some(2));
    assert!(!poses.look(None, now.plus(GONE_MS)));
    assert_eq!(poses.progress().taken[0], Some(0));
}

#[test]
fn a_door_that_judges_no_turned_face_asks_for_none() {
    let limits = Limits { max_yaw_deg: 15.0, ..Limits::default() };
    let mut poses = Poses::new(&limits, Threshold::new(0.5).unwrap());
    let (one, mut now) = (at(0.0), Millis(0));
    show(&mut poses, 3, &one, (0.0, 0.0), &mut now);
    assert_eq!(show(&mut poses, 2, &one, (20.0, 0.0), &mut now), 0);
    show(&mut poses, 3, &one, (0.0, -12.0), &mut now);
    show(&mut poses, 3, &one, (0.0, 12.0), &mut now);
    assert!(poses.is_done());
    assert_eq!(poses.progress().taken, [Some(3), None, None, Some(3), Some(3)]);
}

#[test]
fn debug_shows_no_numbers() {
    let (mut poses, mut now) = (poses(), Millis(0));
    show(&mut poses, 1, &at(0.0), (0.0, 0.0), &mut now);
    assert_eq!(format!("{poses:?}"), "Poses(1 frames)");
}

/// A frame: who is in it, which way they look, whether it is good, how long after the one before.
#[derive(Debug, Clone)]
struct Shown {
    who: Option<f32>,
    angles: (f32, f32),
    is_good: bool,
    is_crowded: bool,
    wait: u64,
}

fn frames() -> impl Strategy<Value = Vec<Shown>> {
    let angles = prop::sample::select(vec![
        (0.0, 0.0),
        (3.0, -4.0),
        (20.0, 1.0),
        (-20.0, 1.0),
        (1.0, 13.0),
        (1.0, -13.0),
        (13.0, 13.0),
        (60.0, 60.0),
    ]);
    // Two people 100 degrees apart, of whom each looks a little different each time.
    let who = prop_oneof![
        12 => (-10.0f32..10.0).prop_map(Some),
        3 => (90.0f32..110.0).prop_map(Some),
        1 => Just(None),
    ];
    let wait = prop_oneof![8 => 0..400u64, 1 => 2500..4000u64];
    let shown = (who, angles, prop::bool::weighted(0.9), prop::bool::weighted(0.1), wait).prop_map(
        |(who, angles, is_good, is_crowded, wait)| Shown { who, angles, is_good, is_crowded, wait },
    );
    prop::collection::vec(shown, 1..200)
}

proptest! {
    /// Whatever is shown: only good frames of somebody alone are taken, at their distance, never more than there are to be of
    /// a pose, none before the looks ahead; and all that are there at any time show one person.
    #[test]
    fn only_good_frames_of_one_person_are_taken(frames in frames()) {
        let mut poses = poses();
        let (mut now, mut last, mut people) = (Millis(0), None::<Millis>, Vec::<f32>::new());
        for shown in frames {
            now = now.plus(shown.wait);
            let before: u32 = poses.progress().taken.iter().flatten().map(|n| u32::from(*n)).sum();
            let vector = shown.who.map(at);
            let face = vector.as_ref().map(|v| Face {
                yaw_deg: shown.angles.0,
                pitch_deg: shown.angles.1,
                fault: (!shown.is_good).then_some(Reason::Blurred),
                sample: shown.is_good.then_some((v.as_slice(), 0.5)),
                is_crowded: shown.is_crowded,
            });
            let took = poses.look(face.as_ref(), now);
            let taken = poses.progress().taken.map(|n| n.unwrap());
            let after: u32 = taken.iter().map(|n| u32::from(*n)).sum();
            if after < before || (before > 0 && after == 1 && took) {
                people.clear();
            }
            if took {
                prop_assert!(shown.is_good && !shown.is_crowded);
                prop_assert!(last.is_none_or(|at| now.since(at) >= APART_MS) || people.is_empty());
                last = Some(now);
                people.push(shown.who.unwrap());
            }
            prop_assert_eq!(after as usize, people.len());
            prop_assert!(taken.iter().all(|n| *n <= EACH));
            prop_assert!(taken[0] == EACH || taken[1..].iter().all(|n| *n == 0));
            // 60 degrees from the sum of the looks ahead is the most: no two are as far apart as the two people.
            for a in &people {
                prop_assert!(people.iter().all(|b| (a - b).abs() < 80.0), "{:?}", people);
            }
            prop_assert_eq!(poses.is_done(), taken == [EACH; 5]);
        }
    }
}
