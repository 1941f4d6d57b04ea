//! From version 2 to 3: the journal as it stands gets its chain.

use rusqlite::Connection;

use crate::error::Fault;
use crate::event::chain::Digest;
use crate::event::{self, Entry, Event, Seq};
use crate::score::{Score, Threshold};
use crate::subject::SubjectId;
use crate::template::ModelId;
use crate::time::from_ms;

/// Takes the step.
pub(super) fn step(db: &Connection) -> Result<(), Fault> {
    db.execute_batch(include_str!("to_v3.sql"))?;
    let mut query = db.prepare(
        "SELECT seq, time, kind, subject, external_id, score, threshold, reason, model, detail FROM event_v2 ORDER BY seq",
    )?;
    let mut rows = query.query([])?;
    let mut prev = Digest::default();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let damaged = |e: &dyn std::fmt::Display| Fault::Damaged(format!("event {seq}: {e}"));
        let score: Option<f32> = row.get(5)?;
        let threshold: Option<f32> = row.get(6)?;
        let detail: Option<String> = row.get(9)?;
        let event = Event {
            seq: Seq::new(seq),
            time: from_ms(row.get(1)?)?,
            kind: row.get::<_, String>(2)?.parse().map_err(|e| damaged(&e))?,
            subject: row.get::<_, Option<_>>(3)?.map(SubjectId::from_bytes),
            external_id: row.get(4)?,
            score: score.map(Score::new).transpose().map_err(|e| damaged(&e))?,
            threshold: threshold.map(Threshold::new).transpose().map_err(|e| damaged(&e))?,
            reason: row.get(7)?,
            model: row.get::<_, Option<String>>(8)?.map(ModelId::new).transpose().map_err(|e| damaged(&e))?,
            detail: detail.map(|d| serde_json::from_str(&d)).transpose().map_err(|e| damaged(&e))?,
            hash: Digest::default(),
        };
        let entry = Entry::sealed(event, prev);
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
