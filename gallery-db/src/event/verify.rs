//! Whether the journal is still what was written down.

use rusqlite::Connection;
use serde::Serialize;

use crate::error::Fault;
use crate::event::chain::{self, Digest, Head};
use crate::event::{Entry, Event, Seq, for_each_entry};

/// A journal that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many events it has.
    pub events: u64,
    /// The oldest; above 1 where a journal was shortened at its old end.
    pub first: Option<Seq>,
    /// Where it ends. Whoever keeps this outside the gallery can tell later whether anything before it was changed.
    pub head: Option<Head>,
    /// Events that were made to forget whom they concerned.
    pub forgotten: u64,
}

/// Walks along a journal, oldest event first, and stops at what does not fit.
#[derive(Default)]
pub(crate) struct Walk {
    first: Option<Seq>,
    last: Option<Head>,
    events: u64,
    forgotten: u64,
}

impl Walk {
    /// Takes the next entry in; `detail` as the file has it.
    pub(crate) fn step(&mut self, entry: &Entry, detail: Option<&str>) -> Result<(), Fault> {
        let Entry { event: e, prev, who, salt } = entry;
        let broken = |seq, why| Err(Fault::Broken { seq, why });
        let after = self.last.map_or(e.seq.number(), |last| last.seq.number() + 1);
        if e.seq.number() != after {
            return broken(Seq::new(after), "is missing");
        }
        let before = match self.last {
            Some(last) => Some(last.hash),
            None => (after == 1).then(Digest::default),
        };
        if before.is_some_and(|before| before != *prev) {
            return broken(e.seq, "does not follow on what stands before it");
        }
        if e.hash != chain::hash(prev, e, who.as_ref(), detail) {
            return broken(e.seq, "was changed");
        }
        match (who, salt) {
            (Some(who), Some(salt)) if *who != chain::who(salt, e.subject, e.external_id.as_deref()) => {
                return broken(e.seq, "names another person than it did");
            }
            (None, Some(_)) => return broken(e.seq, "names a person but concerned none"),
            (Some(_), None) => self.forgotten += 1,
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.first = self.first.or(Some(e.seq));
        self.last = Some(Head { seq: e.seq, hash: e.hash });
        self.events += 1;
        Ok(())
    }

    /// What the next entry follows on.
    pub(crate) fn hash(&self) -> Digest {
        self.last.map_or(Digest::default(), |last| last.hash)
    }

    fn end(self) -> Verified {
        Verified { events: self.events, first: self.first, head: self.last, forgotten: self.forgotten }
    }
}

/// Errors with [`Fault::Broken`] at the first event that is not as it was written, or not as one of the heads in `known`
/// says that it was.
pub(crate) fn verify(db: &Connection, known: &[Head]) -> Result<Verified, Fault> {
    let mut walk = Walk::default();
    for_each_entry(db, |entry, detail| {
        walk.step(&entry, detail)?;
        let Event { seq, hash, .. } = entry.event;
        if known.iter().any(|head| head.seq == seq && head.hash != hash) {
            return Err(Fault::Broken { seq, why: "is not the one that was known" });
        }
        Ok(())
    })?;
    // Between the first and the last event none is missing.
    let there =
        |seq| walk.first.is_some_and(|first| first <= seq) && walk.last.is_some_and(|last| seq <= last.seq);
    if let Some(head) = known.iter().filter(|head| !there(head.seq)).min_by_key(|head| head.seq) {
        return Err(Fault::Broken { seq: head.seq, why: "was known and is missing" });
    }
    // The file counts the events that it was ever given.
    let given: i64 =
        db.query_row("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'", [], |row| {
            row.get(0)
        })?;
    let last = walk.last.map_or(given, |last| last.seq.number());
    if last < given {
        return Err(Fault::Broken { seq: Seq::new(last + 1), why: "is missing" });
    }
    Ok(walk.end())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::error::GalleryError;
    use crate::event::{EventKind, NewEvent};
    use crate::gallery::Gallery;
    use crate::subject::NewSubject;

    /// A journal of six events, two about a person "7", one about an id that nobody has.
    fn gallery(folder: &std::path::Path) -> Gallery {
        let mut gallery = Gallery::open(&folder.join("g.db")).unwrap();
        let subject = gallery.add_subject(&NewSubject::new("7", "Somebody")).unwrap();
        let event = |kind| NewEvent::new(Timestamp::now(), kind);
        for new in [
            event(EventKind::Started),
            event(EventKind::Granted).about(subject.id),
            NewEvent { detail: Some(serde_json::json!({"margin": 0.1f32})), ..event(EventKind::Denied) },
            event(EventKind::Granted).about(subject.id).because("x"),
            event(EventKind::Removed).about_id("8"),
            event(EventKind::Stopped),
        ] {
            gallery.append(&new).unwrap();
        }
        gallery
    }

    fn broken(gallery: &Gallery, known: &[Head]) -> String {
        match gallery.verify_journal(known) {
            Err(GalleryError::Broken { seq, why, .. }) => format!("{seq} {why}"),
            other => panic!("{other:?}"),
        }
    }

    /// What somebody with the file, and without its triggers, can do.
    fn tampered(sql: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        drop(gallery(folder.path()));
        let db = Connection::open(folder.path().join("g.db")).unwrap();
        db.execute_batch(
            "DROP TRIGGER event_stays; DROP TRIGGER event_no_hole; DROP TRIGGER event_subject_stays;",
        )
        .unwrap();
        db.execute_batch(sql).unwrap();
        drop(db);
        broken(&Gallery::open(&folder.path().join("g.db")).unwrap(), &[])
    }

    #[test]
    fn a_journal_as_written_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let found = gallery(folder.path()).verify_journal(&[]).unwrap();
        assert_eq!((found.events, found.first, found.forgotten), (6, Some(Seq::new(1)), 0));
        assert_eq!(found.head.unwrap().seq, Seq::new(6));
        let empty = Gallery::open(&folder.path().join("empty.db")).unwrap().verify_journal(&[]).unwrap();
        assert_eq!(empty, Verified { events: 0, first: None, head: None, forgotten: 0 });
    }

    #[test]
    fn whatever_is_done_to_the_file_shows_and_is_named() {
        for (sql, told) in [
            ("UPDATE event SET time = time + 1 WHERE seq = 3", "3 was changed"),
            ("UPDATE event SET kind = 'granted' WHERE seq = 3", "3 was changed"),
            ("UPDATE event SET reason = NULL WHERE seq = 4", "4 was changed"),
            ("UPDATE event SET detail = '{ }' WHERE seq = 3", "3 was changed"),
            ("UPDATE event SET hash = zeroblob(32) WHERE seq = 6", "6 was changed"),
            (
                "UPDATE event SET prev = zeroblob(32) WHERE seq = 2",
                "2 does not follow on what stands before it",
            ),
            (
                "UPDATE event_subject SET external_id = '9' WHERE seq = 2",
                "2 names another person than it did",
            ),
            ("UPDATE event_subject SET subject = NULL WHERE seq = 4", "4 names another person than it did"),
            (
                "INSERT INTO event_subject (seq, salt, external_id) VALUES (1, zeroblob(16), '9')",
                "1 names a person but concerned none",
            ),
            ("DELETE FROM event WHERE seq = 3", "3 is missing"),
            ("DELETE FROM event WHERE seq > 4", "5 is missing"),
        ] {
            assert_eq!(tampered(sql), told, "{sql}");
        }
    }

    #[test]
    fn a_cut_tail_and_another_past_show_by_a_head_that_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let whole = gallery(folder.path());
        let head = whole.verify_journal(&[]).unwrap().head.unwrap();
        assert!(whole.verify_journal(&[head, head]).is_ok());
        // The same events in another file: other salts, another chain.
        let other = tempfile::tempdir().unwrap();
        assert_eq!(broken(&gallery(other.path()), &[head]), "6 is not the one that was known");
        let later = Head { seq: Seq::new(7), ..head };
        assert_eq!(broken(&whole, &[later]), "7 was known and is missing");
    }

    #[test]
    fn a_person_can_be_forgotten_and_the_journal_stays_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut gallery = gallery(folder.path());
        let head = gallery.verify_journal(&[]).unwrap().head.unwrap();
        let forgotten = gallery.erase_subject("7").unwrap();
        assert_eq!(forgotten, 2);
        let found = gallery.verify_journal(&[head]).unwrap();
        assert_eq!((found.events, found.forgotten), (6, 2));
        assert!(gallery.subject_by_external_id("7").unwrap().is_none());
        for e in gallery.events(&<_>::default()).unwrap() {
            assert_eq!(e.external_id.as_deref(), (e.seq.number() == 5).then_some("8"));
            assert_eq!(e.subject, None);
        }
        // Somebody who was removed long ago, of whom the journal alone knows.
        assert_eq!(gallery.erase_subject("8").unwrap(), 1);
        let none = gallery.erase_subject("8").unwrap_err();
        assert!(matches!(none, GalleryError::UnknownSubject { .. }), "{none}");
    }
}
