//! Random operations on a gallery open twice, the plain map beside it.

use limen_gallery_db::*;
use proptest::prelude::*;

use crate::plain::{Op, PERSONS, Plain, run};

/// What happens to the store and to the programs that have it open.
#[derive(Debug, Clone)]
enum Step {
    /// The change is made through one handle and noticed by the other.
    Change(usize, Op),
    /// One of the programs ends and starts again.
    Reopen(usize),
    /// Somebody stands at the door.
    Identify(usize, u16),
    /// All goes out into an export and, from there, into a gallery of its own.
    RoundTrip,
}

fn existing() -> impl Strategy<Value = Existing> {
    prop::sample::select(vec![Existing::Refuse, Existing::AddSamples, Existing::Replace])
}

fn op() -> impl Strategy<Value = Op> {
    let person = 0..PERSONS;
    let encoding = prop::sample::select(vec![Encoding::F32, Encoding::Int8]);
    let standing = prop::sample::select(vec![Standing::Active, Standing::Suspended]);
    // Few seeds, so that the same picture comes again, for the same person and for others.
    let seeds = prop::collection::vec(0u16..30, 1..4);
    prop_oneof![
        2 => person.clone().prop_map(Op::Add),
        5 => (person.clone(), seeds, encoding, existing())
            .prop_map(|(person, seeds, encoding, existing)| Op::Enrol { person, seeds, encoding, existing }),
        1 => (person.clone(), any::<u8>()).prop_map(|(p, n)| Op::Rename(p, n)),
        1 => (person.clone(), standing).prop_map(|(p, s)| Op::SetStanding(p, s)),
        1 => person.clone().prop_map(Op::Remove),
        1 => (1i64..20).prop_map(Op::RemoveTemplate),
        3 => (prop::option::of(person), 0..EventKind::ALL.len())
            .prop_map(|(person, kind)| Op::Append { person, kind }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0usize..2, op()).prop_map(|(who, op)| Step::Change(who, op)),
        1 => (0usize..2).prop_map(Step::Reopen),
        2 => (0usize..2, any::<u16>()).prop_map(|(who, seed)| Step::Identify(who, seed)),
        1 => Just(Step::RoundTrip),
    ]
}

proptest! {
    // Each change is a commit to the disk; 48 cases of up to 25 take some seconds.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_equals_a_plain_map(steps in prop::collection::vec(step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gallery.db");
        // One holds all vectors in memory; one of them at most, and reads the others from the file.
        let open = |who| {
            let mut gallery = Gallery::open(&path).unwrap();
            if who == 1 {
                gallery.set_memory(24 * size_of::<f32>());
            }
            gallery
        };
        let mut handles = [0, 1].map(open);
        let mut plain = Plain::default();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Change(who, op) => {
                    prop_assert_eq!(run(&mut handles[who], &op), plain.run(&op), "{:?}", op);
                    handles[1 - who].refresh().unwrap();
                }
                Step::Reopen(who) => handles[who] = open(who),
                Step::Identify(who, probe) => {
                    let subjects = handles[who].subjects().unwrap();
                    plain.search(&handles[who], &subjects, probe).map_err(TestCaseError::fail)?;
                }
                Step::RoundTrip => {
                    let export = folder.path().join(format!("{n}.jsonl"));
                    let copy = folder.path().join(format!("{n}.db"));
                    handles[0].export(&export, Journal::Take).unwrap();
                    let mut back = Gallery::open(&copy).unwrap();
                    back.import(&export, OnExisting::Skip).unwrap();
                    prop_assert_eq!(back.subjects().unwrap(), handles[0].subjects().unwrap());
                    prop_assert_eq!(
                        back.events(&EventFilter::default()).unwrap(),
                        handles[0].events(&EventFilter::default()).unwrap()
                    );
                    plain.search(&back, &back.subjects().unwrap(), 7).map_err(TestCaseError::fail)?;
                }
            }
            for handle in &handles {
                plain.compare(handle).map_err(TestCaseError::fail)?;
            }
        }
        handles[0].check(Check::Full).unwrap();
    }
}
