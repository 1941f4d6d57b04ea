//! In which area each person is, as far as doors have told: what anti-passback asks.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, GalleryError};
use crate::event::{self, Event, NewEvent};
use crate::gallery::Gallery;
use crate::subject::SubjectId;
use crate::time::{from_ms, to_ms};

/// Where a person went last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The area, as the rules call it.
    pub area: String,
    /// When they went there, to the millisecond.
    pub since: Timestamp,
}

impl Gallery {
    /// Where this person is; `None` if no door has told.
    pub fn whereabouts(&self, subject: SubjectId) -> Result<Option<Whereabouts>, GalleryError> {
        self.read(|db| find(db, subject))
    }

    /// As [`Gallery::append`], and the person whom the event is about is in `area` from its time on: both are on the disk
    /// when it returns, or neither. A person who has gone meanwhile is nowhere.
    pub fn append_moving(&mut self, new: &NewEvent, area: &str) -> Result<Event, GalleryError> {
        self.write(|tx, _| {
            let event = event::append(tx, new)?;
            if let Some(subject) = event.subject {
                put(tx, subject, area, event.time)?;
            }
            Ok(event)
        })
    }

    /// Forgets where everybody is, such as after a fire alarm; says of how many.
    pub fn forget_whereabouts(&mut self) -> Result<usize, GalleryError> {
        self.write(|tx, _| Ok(tx.execute("DELETE FROM whereabouts", [])?))
    }
}

fn find(db: &Connection, subject: SubjectId) -> Result<Option<Whereabouts>, Fault> {
    let mut query = db.prepare_cached("SELECT area, since FROM whereabouts WHERE subject = ?1")?;
    let found = query.query_row([subject.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(area, since)| Ok(Whereabouts { area, since: from_ms(since)? })).transpose()
}

fn put(db: &Connection, subject: SubjectId, area: &str, since: Timestamp) -> Result<(), Fault> {
    db.prepare_cached("INSERT OR REPLACE INTO whereabouts (subject, area, since) VALUES (?1, ?2, ?3)")?
        .execute(params![subject.as_bytes(), area, to_ms(since)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::subject::NewSubject;

    #[test]
    fn where_people_are_is_known_after_the_next_start_and_goes_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("g.db");
        let mut gallery = Gallery::open(&file).unwrap();
        let ada = gallery.add_subject(&NewSubject::new("7", "Ada")).unwrap().id;
        let at: Timestamp = "2026-11-30T08:00:00.5Z".parse().unwrap();
        assert_eq!(gallery.whereabouts(ada).unwrap(), None);
        let event = NewEvent::new(at, EventKind::Granted).about(ada);
        assert_eq!(gallery.append_moving(&event, "house").unwrap().subject, Some(ada));
        let mut gallery = Gallery::open(&file).unwrap();
        assert_eq!(gallery.whereabouts(ada).unwrap(), Some(Whereabouts { area: "house".into(), since: at }));
        gallery.append_moving(&event, "street").unwrap();
        assert_eq!(gallery.whereabouts(ada).unwrap().unwrap().area, "street");
        gallery.remove_subject(ada).unwrap();
        assert_eq!(gallery.whereabouts(ada).unwrap(), None);
        assert_eq!(
            gallery.append_moving(&event, "house").unwrap().subject,
            None,
            "it is written down all the same"
        );
        assert_eq!(gallery.forget_whereabouts().unwrap(), 0);
    }
}
