//! Cards and PINs are given, found and taken back; nobody has another's; a plain map agrees.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::event::{EventFilter, EventKind, NewEvent};
use crate::subject::NewSubject;
use CredentialKind::{Card, DuressPin, Pin};

fn key(n: u8) -> CredentialKey {
    CredentialKey::new([n; 32])
}

fn gallery(people: usize) -> (tempfile::TempDir, Gallery, Vec<SubjectId>) {
    let folder = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
    let ids = (0..people).map(|n| gallery.add_subject(&NewSubject::new(n.to_string(), "x")).unwrap().id);
    let ids = ids.collect();
    (folder, gallery, ids)
}

fn at(s: i64) -> Timestamp {
    Timestamp::new(s, 0).unwrap()
}

#[test]
fn what_is_given_is_found_until_it_is_taken_back_and_the_journal_tells_of_both() {
    let (_folder, mut gallery, ids) = gallery(2);
    let note = |reason: &str| NewEvent::new(at(9), EventKind::Credential).about(ids[0]).because(reason);
    let card = gallery.noting(note("given")).give_credential(ids[0], Card, &key(1), at(9)).unwrap();
    assert_eq!(gallery.find_credential(&key(1)).unwrap(), Some(card.clone()));
    assert_eq!(gallery.find_credential(&key(2)).unwrap(), None);
    assert_eq!(gallery.credentials(ids[0]).unwrap(), std::slice::from_ref(&card));
    assert_eq!(gallery.noting(note("taken")).take_credential(card.id).unwrap(), card);
    assert_eq!(gallery.find_credential(&key(1)).unwrap(), None);
    let again = gallery.noting(note("taken")).take_credential(card.id).unwrap_err();
    assert!(matches!(again, GalleryError::UnknownCredential { .. }), "{again}");
    let told = gallery.events(&EventFilter::default()).unwrap();
    let told: Vec<_> = told.iter().map(|e| e.reason.clone().unwrap_or_default()).collect();
    assert_eq!(told, ["given", "taken"]);
    assert!(!format!("{card:?} {:?}", key(1)).contains("1, 1"));
}

#[test]
fn nobody_has_what_another_has_and_a_pin_under_duress_is_another_pin() {
    let (_folder, mut gallery, ids) = gallery(2);
    gallery.give_credential(ids[0], Pin, &key(1), at(0)).unwrap();
    for (subject, kind) in [(ids[0], DuressPin), (ids[1], Pin), (ids[1], DuressPin)] {
        let e = gallery.give_credential(subject, kind, &key(1), at(0)).unwrap_err();
        assert!(matches!(e, GalleryError::PinTaken), "{e}");
    }
    gallery.give_credential(ids[0], Card, &key(2), at(0)).unwrap();
    let e = gallery.give_credential(ids[1], Card, &key(2), at(0)).unwrap_err();
    assert!(matches!(e, GalleryError::CardTaken), "{e}");
    // A refused PIN leaves the one before it.
    gallery.give_credential(ids[1], Pin, &key(3), at(0)).unwrap();
    gallery.give_credential(ids[1], Pin, &key(1), at(0)).unwrap_err();
    assert_eq!(gallery.find_credential(&key(3)).unwrap().map(|c| c.subject), Some(ids[1]));
    // The same PIN again is no other's.
    gallery.give_credential(ids[1], Pin, &key(3), at(0)).unwrap();
    assert_eq!(gallery.credentials(ids[1]).unwrap().len(), 1);
    let nobody = gallery.give_credential(SubjectId::random(), Pin, &key(9), at(0)).unwrap_err();
    assert!(matches!(nobody, GalleryError::UnknownSubject { .. }), "{nobody}");
}

#[test]
fn a_person_has_so_many_cards_at_most_and_takes_them_along() {
    let (_folder, mut gallery, ids) = gallery(1);
    for n in 0..MAX_CARDS as u8 {
        gallery.give_credential(ids[0], Card, &key(n), at(0)).unwrap();
    }
    let e = gallery.give_credential(ids[0], Card, &key(200), at(0)).unwrap_err();
    assert!(matches!(e, GalleryError::Invalid { field: "cards", .. }), "{e}");
    gallery.remove_subject(ids[0]).unwrap();
    assert_eq!(gallery.find_credential(&key(0)).unwrap(), None);
}

/// What is done with the credentials of three people.
#[derive(Debug, Clone)]
enum Op {
    Give(usize, CredentialKind, u8),
    /// The n-th that is there.
    Take(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![Just(Card), Just(Pin), Just(DuressPin)];
    prop_oneof![
        3 => (0..3usize, kind, 0..6u8).prop_map(|(who, kind, n)| Op::Give(who, kind, n)),
        1 => (0..8usize).prop_map(Op::Take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_plain_map_agrees(ops in proptest::collection::vec(op(), 1..40)) {
        let (_folder, mut gallery, ids) = gallery(3);
        let mut plain: HashMap<u8, (usize, CredentialKind)> = HashMap::new();
        for op in ops {
            match op {
                Op::Give(who, kind, n) => {
                    let replaced = |(by, of): &(usize, CredentialKind)| kind != Card && *by == who && *of == kind;
                    let free = plain.get(&n).is_none_or(replaced);
                    let given = gallery.give_credential(ids[who], kind, &key(n), at(0));
                    prop_assert_eq!(given.is_ok(), free);
                    if free {
                        plain.retain(|_, had| !replaced(had));
                        plain.insert(n, (who, kind));
                    }
                }
                Op::Take(nth) => {
                    let mut there: Vec<u8> = plain.keys().copied().collect();
                    there.sort_unstable();
                    let Some(n) = there.get(nth) else { continue };
                    let id = gallery.find_credential(&key(*n)).unwrap().unwrap().id;
                    gallery.take_credential(id).unwrap();
                    plain.remove(n);
                }
            }
            for n in 0..6 {
                let found = gallery.find_credential(&key(n)).unwrap().map(|c| (c.subject, c.kind));
                prop_assert_eq!(found, plain.get(&n).map(|(who, kind)| (ids[*who], *kind)));
            }
        }
    }
}
