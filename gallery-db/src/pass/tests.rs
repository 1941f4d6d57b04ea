//! Passes are issued, checked, used and revoked; nothing that was bent is taken.

use proptest::prelude::*;

use super::*;
use crate::event::{EventFilter, EventKind, NewEvent};
use crate::subject::NewSubject;

fn at(s: i64) -> Timestamp {
    Timestamp::new(s, 0).unwrap()
}

fn gallery() -> (tempfile::TempDir, Gallery, SubjectId) {
    let folder = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
    let subject = gallery.add_subject(&NewSubject::new("7", "Somebody")).unwrap().id;
    (folder, gallery, subject)
}

fn new(subject: SubjectId, usage: Use) -> NewPass {
    NewPass { subject, valid_from: at(1000), valid_until: at(2000), usage, at: at(900) }
}

#[track_caller]
fn refused(result: Result<Pass, GalleryError>) -> PassRefusal {
    match result {
        Err(GalleryError::Pass(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_text_is_as_it_is_documented() {
    let secret: Secret = String::from("00").repeat(32).try_into().unwrap();
    let id = PassId("01020304-0506-0708-090a-0b0c0d0e0f10".parse().unwrap());
    // By Python: hmac.new(bytes(32), b"limen pass 1\0" + bytes(range(1, 17)) + struct.pack(">II", 1000, 2000), "sha256")
    let text = "LIMEN1:0102030405060708090A0B0C0D0E0F10000003E8000007D010C22C08B20C96A796BB7BFACD7DD85E";
    assert_eq!(signed(&secret, id, 1000, 2000).as_str(), text);
    assert_eq!(text.len(), 87);
}

#[test]
fn a_pass_opens_in_its_time_and_one_that_opens_once_does_it_once() {
    let (_folder, mut gallery, subject) = gallery();
    let (pass, text) = gallery.issue_pass(&new(subject, Use::Often)).unwrap();
    assert_eq!(gallery.passes(Some(subject)).unwrap(), std::slice::from_ref(&pass));
    assert_eq!(refused(gallery.check_pass(&text, at(999))), PassRefusal::NotYetValid);
    assert_eq!(refused(gallery.check_pass(&text, at(2000))), PassRefusal::Expired);
    assert_eq!(gallery.check_pass(&text, at(1000)).unwrap(), pass);
    for s in [1000, 1999] {
        assert_eq!(gallery.use_pass(&text, at(s)).unwrap().used, Some(at(s)));
    }
    let (_, once) = gallery.issue_pass(&new(subject, Use::Once)).unwrap();
    assert!(gallery.check_pass(&once, at(1500)).is_ok(), "to look is not to use");
    let granted = || NewEvent::new(at(1500), EventKind::Granted);
    gallery.noting(granted()).use_pass(&once, at(1500)).unwrap();
    assert_eq!(refused(gallery.noting(granted()).use_pass(&once, at(1501))), PassRefusal::Used);
    assert_eq!(gallery.events(&EventFilter::default()).unwrap().len(), 1, "a refused pass is no grant");
}

#[test]
fn what_was_revoked_or_comes_from_elsewhere_opens_nothing() {
    let (_folder, mut gallery, subject) = gallery();
    let (pass, text) = gallery.issue_pass(&new(subject, Use::Often)).unwrap();
    let (_other, mut elsewhere, _) = self::gallery();
    assert_eq!(refused(elsewhere.check_pass(&text, at(1500))), PassRefusal::Forged, "without a secret");
    elsewhere.secret().unwrap();
    assert_eq!(refused(elsewhere.check_pass(&text, at(1500))), PassRefusal::Forged);
    assert_eq!(gallery.revoke_pass(pass.id).unwrap(), pass);
    assert_eq!(refused(gallery.use_pass(&text, at(1500))), PassRefusal::Revoked);
    assert!(matches!(gallery.revoke_pass(pass.id), Err(GalleryError::UnknownPass { .. })));
    let (_, text) = gallery.issue_pass(&new(subject, Use::Often)).unwrap();
    gallery.remove_subject(subject).unwrap();
    assert_eq!(refused(gallery.use_pass(&text, at(1500))), PassRefusal::Revoked, "it goes with the person");
}

#[test]
fn times_that_are_none_and_people_who_are_nobody_get_no_pass() {
    let (_folder, mut gallery, subject) = gallery();
    let often = new(subject, Use::Often);
    for (from, until) in [(2000, 1000), (1000, 1000), (-5, 1000), (1000, 1 << 32)] {
        let bad = NewPass { valid_from: at(from), valid_until: at(until), ..often.clone() };
        assert!(
            matches!(gallery.issue_pass(&bad), Err(GalleryError::Invalid { field: "pass", .. })),
            "{from}"
        );
    }
    let nobody = NewPass { subject: SubjectId::random(), ..often };
    assert!(matches!(gallery.issue_pass(&nobody), Err(GalleryError::UnknownSubject { .. })));
    assert_eq!(gallery.passes(None).unwrap(), []);
}

#[test]
fn a_row_that_was_changed_is_damage_and_no_longer_pass() {
    let (folder, mut gallery, subject) = gallery();
    let (_, text) = gallery.issue_pass(&new(subject, Use::Often)).unwrap();
    let file = rusqlite::Connection::open(folder.path().join("g.db")).unwrap();
    file.execute("UPDATE pass SET valid_until = 9000000", []).unwrap();
    let error = gallery.check_pass(&text, at(5000)).unwrap_err();
    assert!(matches!(error, GalleryError::Corrupt { .. }), "{error}");
}

#[test]
fn no_text_that_was_bent_is_taken() {
    let (_folder, mut gallery, subject) = gallery();
    let (_, text) = gallery.issue_pass(&new(subject, Use::Often)).unwrap();
    let text = text.as_str();
    for place in 0..text.len() {
        assert_eq!(text[..place].parse::<PassText>(), Err(PassRefusal::Unreadable));
        for with in b' '..=b'~' {
            let mut bent = text.as_bytes().to_vec();
            bent[place] = with;
            let bent = String::from_utf8(bent).unwrap();
            match bent.parse::<PassText>() {
                _ if bent == text => {}
                Ok(bent) => assert_eq!(refused(gallery.check_pass(&bent, at(1500))), PassRefusal::Forged),
                Err(why) => assert_eq!(why, PassRefusal::Unreadable),
            }
        }
    }
    let whole: PassText = text.parse().unwrap();
    assert!(gallery.check_pass(&whole, at(1500)).is_ok());
    assert_eq!(format!("{whole:?}"), "PassText(..)");
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,120}", hex in "[0-9A-F]{78,82}") {
        // Random letters are never eighty hex digits.
        for text in [text.clone(), format!("{PREFIX}{text}")] {
            prop_assert!(text.parse::<PassText>().is_err());
        }
        prop_assert_eq!(format!("{PREFIX}{hex}").parse::<PassText>().is_ok(), hex.len() == 80);
    }
}
