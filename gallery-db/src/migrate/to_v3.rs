//! From version 2 to 3: the journal as it stands gets its chain.

use rusqlite::Connection;

use crate::error::Fault;
use crate::event::chain::Digest;
use crate::event::{self, Entry};

/// Takes the step.
pub(super) fn step(db: &Connection) -> Result<(), Fault> {
    db.execute_batch(include_str!("to_v3.sql"))?;
    let mut query = db.prepare(
        "SELECT seq, time, kind, subject, external_id, score, threshold, reason, model, detail, zeroblob(32)
         FROM event_v2 ORDER BY seq",
    )?;
    let mut rows = query.query([])?;
    let mut prev = Digest::default();
    while let Some(row) = rows.next()? {
        let entry = Entry::sealed(event::read(row)?, prev);
        event::insert(db, &entry)?;
        prev = entry.event.hash;
    }
    drop(rows);
    drop(query);
    // The numbers go on where they were, should the last events be gone.
    db.execute_batch(
        "DELETE FROM sqlite_sequence WHERE name = 'event';
         UPDATE sqlite_sequence SET name = 'event' WHERE name = 'event_v2';
         DROP TABLE event_v2;",
    )?;
    Ok(())
}
