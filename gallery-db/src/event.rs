//! The journal: what was seen and decided, append-only, each event bound to the one before it.

pub mod chain;
pub mod verify;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::error::{Fault, GalleryError};
use crate::event::chain::{Digest, Salt};
use crate::score::{Score, Threshold};
use crate::subject::{Key, Standing, SubjectId, check_external_id, find};
use crate::template::ModelId;
use crate::time::{from_ms, to_ms, whole_ms};

/// Most bytes of an event's detail as JSON.
pub const MAX_DETAIL: usize = 4096;

/// Position in the journal, from 1; rises with each event and never comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(i64);

impl Seq {
    /// The position with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Each kind once: the variant, its word in the file, what it means.
macro_rules! kinds {
    ($($name:ident $word:literal $doc:literal)+) => {
        /// What an event tells. The words are stable: files, exports and `--json` carry them. A new kind needs a new
        /// data model version, so that an older program refuses the file instead of misreading it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind {
            $(#[doc = $doc] #[serde(rename = $word)] $name,)+
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kebab-case word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

kinds! {
    Granted "granted" "The door was opened for somebody."
    Denied "denied" "The door stayed shut; the reason says why."
    Asked "asked" "A second factor was asked for."
    Enrolled "enrolled" "Templates of a person were added."
    Changed "changed" "A person's data were changed."
    Suspended "suspended" "A person was suspended."
    Resumed "resumed" "A person's suspension was lifted."
    Removed "removed" "A person, or a template, was removed."
    Imported "imported" "An export was taken over."
    Exported "exported" "The gallery was exported or backed up."
    Started "started" "The program began to watch the door."
    Stopped "stopped" "The program ended as it was told to."
    Fault "fault" "Something failed; the reason says what."
    CameraLost "camera-lost" "The camera gave no more pictures."
    CameraBack "camera-back" "The camera gives pictures again."
    DoorForced "door-forced" "The door opened though nobody was let in."
    DoorHeld "door-held" "The door stood open too long."
    Service "service" "Somebody wanted to look after the device at its screen; the reason says what came of it."
    Duress "duress" "Somebody was let in by the PIN that says that they were forced to; nothing shows it at the door."
    DoorMode "door-mode" "The door as a whole was locked down, held open or opened for a fire, or no more; the reason says which."
    Rules "rules" "The rules of who may pass were changed."
    Credential "credential" "A card, a PIN or a pass was given to a person, or taken back."
    Veto "veto" "An admin said that a probe is not a person, or took that back."
}

impl From<Standing> for EventKind {
    /// What the journal says when somebody gets this standing.
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Suspended => Self::Suspended,
            Standing::Active => Self::Resumed,
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EventKind {
    type Err = GalleryError;

    fn from_str(word: &str) -> Result<Self, GalleryError> {
        Self::ALL.iter().copied().find(|k| k.as_str() == word).ok_or_else(|| GalleryError::Invalid {
            field: "kind",
            why: format!(
                "{word:?} is no kind of event; there are {}",
                Self::ALL.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

/// An event about to be written down. Put no name and no vector into it: the journal outlives the person.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// When it happened; kept to the millisecond.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Whom it concerned. `None` = looked up from `external_id`.
    pub subject: Option<SubjectId>,
    /// That person's external id. `None` = looked up from `subject`; give it for a person not there yet, or no more.
    pub external_id: Option<String>,
    /// Best similarity seen.
    pub score: Option<Score>,
    /// The threshold in force.
    pub threshold: Option<Threshold>,
    /// Kebab-case word for the cause, 1 to 64 characters.
    pub reason: Option<String>,
    /// Model of the score.
    pub model: Option<ModelId>,
    /// More, as a JSON object of at most 4096 bytes.
    pub detail: Option<serde_json::Value>,
}

impl NewEvent {
    /// An event with nothing but time and kind.
    pub fn new(time: Timestamp, kind: EventKind) -> Self {
        Self {
            time,
            kind,
            subject: None,
            external_id: None,
            score: None,
            threshold: None,
            reason: None,
            model: None,
            detail: None,
        }
    }

    /// The same about a person.
    #[must_use]
    pub fn about(self, subject: SubjectId) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// The same about a person who is not there yet, or no more.
    #[must_use]
    pub fn about_id(self, external_id: impl Into<String>) -> Self {
        Self { external_id: Some(external_id.into()), ..self }
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    fn check(&self) -> Result<(), GalleryError> {
        if let Some(id) = &self.external_id {
            check_external_id(id)?;
        }
        if let Some(reason) = &self.reason {
            let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !(1..=64).contains(&reason.len()) || !reason.chars().all(fit) {
                let why = format!("{reason:?} is not 1 to 64 of a-z, 0-9 and -");
                return Err(GalleryError::Invalid { field: "reason", why });
            }
        }
        if let Some(detail) = &self.detail {
            let length = detail.to_string().len();
            if !detail.is_object() || length > MAX_DETAIL {
                let why = format!(
                    "is not a JSON object of at most {MAX_DETAIL} bytes (it has {length}); shorten it"
                );
                return Err(GalleryError::Invalid { field: "detail", why });
            }
        }
        Ok(())
    }
}

/// A line of the journal, as it goes into JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Position in the journal.
    pub seq: Seq,
    /// When it happened, UTC, to the millisecond.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Whom it concerned; the person may be gone. `None` also once it was made to forget the person.
    pub subject: Option<SubjectId>,
    /// That person's external id as it was then; stays and goes with `subject`.
    pub external_id: Option<String>,
    /// Best similarity seen.
    pub score: Option<Score>,
    /// The threshold in force.
    pub threshold: Option<Threshold>,
    /// Kebab-case word for the cause.
    pub reason: Option<String>,
    /// Model of the score.
    pub model: Option<ModelId>,
    /// More, as a JSON object.
    pub detail: Option<serde_json::Value>,
    /// Binds the event, and all before it, to what they were when written; all zeros in exports of format 1, which had
    /// none.
    #[serde(default)]
    pub hash: Digest,
}

/// An event with what its hash covers besides, as file and exports hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) event: Event,
    /// Hash of the event before it, all zeros for the first.
    pub(crate) prev: Digest,
    /// Salted hash of whom it concerned, which stays when the person is forgotten.
    pub(crate) who: Option<Digest>,
    /// Goes with the person.
    pub(crate) salt: Option<Salt>,
}

/// The same, flat, as it goes into CSV: every field a number or a text, in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRow {
    /// As [`Event::seq`].
    pub seq: Seq,
    /// As [`Event::time`], RFC 3339.
    pub time: String,
    /// As [`Event::kind`].
    pub kind: EventKind,
    /// As [`Event::subject`].
    pub subject: Option<String>,
    /// As [`Event::external_id`].
    pub external_id: Option<String>,
    /// As [`Event::score`].
    pub score: Option<f32>,
    /// As [`Event::threshold`].
    pub threshold: Option<f32>,
    /// As [`Event::reason`].
    pub reason: Option<String>,
    /// As [`Event::model`].
    pub model: Option<String>,
    /// As [`Event::detail`], JSON text.
    pub detail: Option<String>,
    /// As [`Event::hash`].
    pub hash: Digest,
}

impl From<Event> for EventRow {
    fn from(e: Event) -> Self {
        Self {
            seq: e.seq,
            time: e.time.to_string(),
            kind: e.kind,
            subject: e.subject.map(|s| s.to_string()),
            external_id: e.external_id,
            score: e.score.map(Score::value),
            threshold: e.threshold.map(Threshold::value),
            reason: e.reason,
            model: e.model.map(String::from),
            detail: e.detail.map(|d| d.to_string()),
            hash: e.hash,
        }
    }
}

/// From which end of the journal to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As written.
    #[default]
    OldestFirst,
    /// Backwards, for "the last ten".
    NewestFirst,
}

/// Which events. The default takes all, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    /// At or after this time, to the millisecond.
    pub since: Option<Timestamp>,
    /// Before this time, to the millisecond.
    pub until: Option<Timestamp>,
    /// Of these kinds; empty = all.
    pub kinds: Vec<EventKind>,
    /// Concerning this person.
    pub subject: Option<SubjectId>,
    /// After this position, exclusive: to go on reading, or to page through a long journal.
    pub after: Option<Seq>,
    /// At most so many; `None` = all.
    pub limit: Option<u32>,
    /// From which end; the limit counts from there.
    pub order: Order,
}

impl EventFilter {
    fn sql(&self) -> (String, Vec<Value>) {
        let mut terms = vec!["1"];
        let mut values = Vec::new();
        let mut term = |text, value: Value| {
            terms.push(text);
            values.push(value);
        };
        if let Some(t) = self.since {
            term("time >= ?", to_ms(t).into());
        }
        if let Some(t) = self.until {
            term("time < ?", to_ms(t).into());
        }
        if let Some(id) = self.subject {
            term("subject = ?", id.as_bytes().to_vec().into());
        }
        if let Some(seq) = self.after {
            term("seq > ?", seq.0.into());
        }
        let mut sql = format!("{SELECT} WHERE {}", terms.join(" AND "));
        if !self.kinds.is_empty() {
            sql += &format!(" AND kind IN ({})", vec!["?"; self.kinds.len()].join(", "));
            values.extend(self.kinds.iter().map(|k| Value::from(k.as_str().to_owned())));
        }
        sql += if self.order == Order::NewestFirst { " ORDER BY seq DESC" } else { " ORDER BY seq" };
        if let Some(limit) = self.limit {
            sql += " LIMIT ?";
            values.push(i64::from(limit).into());
        }
        (sql, values)
    }
}

/// Every column that an [`Entry`] is made of.
const SELECT: &str =
    "SELECT seq, time, kind, subject, external_id, score, threshold, reason, model, detail, hash,
        prev, who, salt
     FROM event LEFT JOIN event_subject USING (seq)";

/// The event in the first columns of an [`Entry`]'s row.
pub(crate) fn read(row: &Row<'_>) -> Result<Event, Fault> {
    let seq = Seq(row.get(0)?);
    let damaged = |what: &dyn std::fmt::Display| Fault::Damaged(format!("event {seq}: {what}"));
    let (kind, detail): (String, Option<String>) = (row.get(2)?, row.get(9)?);
    let score: Option<f32> = row.get(5)?;
    let threshold: Option<f32> = row.get(6)?;
    let model: Option<String> = row.get(8)?;
    Ok(Event {
        seq,
        time: from_ms(row.get(1)?)?,
        kind: kind.parse().map_err(|e| damaged(&e))?,
        subject: row.get::<_, Option<[u8; 16]>>(3)?.map(SubjectId::from_bytes),
        external_id: row.get(4)?,
        score: score.map(Score::new).transpose().map_err(|e| damaged(&e))?,
        threshold: threshold.map(Threshold::new).transpose().map_err(|e| damaged(&e))?,
        reason: row.get(7)?,
        model: model.map(ModelId::new).transpose().map_err(|e| damaged(&e))?,
        detail: detail.map(|d| serde_json::from_str(&d)).transpose().map_err(|e| damaged(&e))?,
        hash: Digest::from_bytes(row.get(10)?),
    })
}

fn read_entry(row: &Row<'_>) -> Result<Entry, Fault> {
    Ok(Entry {
        event: read(row)?,
        prev: Digest::from_bytes(row.get(11)?),
        who: row.get::<_, Option<_>>(12)?.map(Digest::from_bytes),
        salt: row.get::<_, Option<_>>(13)?.map(Salt::from_bytes),
    })
}

/// The events that pass the filter, handed to `each` one by one.
pub(crate) fn for_each(
    db: &Connection,
    filter: &EventFilter,
    mut each: impl FnMut(Event) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (sql, values) = filter.sql();
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        each(read(row)?)?;
    }
    Ok(())
}

/// The whole journal, oldest first, each entry with its detail as the file has it.
pub(crate) fn for_each_entry(
    db: &Connection,
    mut each: impl FnMut(Entry, Option<&str>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (sql, values) = EventFilter::default().sql();
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        each(read_entry(row)?, row.get_ref(9)?.as_str_or_null().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// Writes an event at the end of the journal. A person who has gone meanwhile is no reason to lose the event.
pub(crate) fn append(db: &Connection, new: &NewEvent) -> Result<Event, Fault> {
    new.check()?;
    let key = new.subject.map(Key::Id).or(new.external_id.as_deref().map(Key::External));
    let subject = key.map(|key| find(db, key)).transpose()?.flatten();
    let external_id = new.external_id.as_ref().or(subject.as_ref().map(|s| &s.external_id));
    // The number that the file would give: it must be known before the hash.
    let given = db
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'event'")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    let event = Event {
        seq: Seq(given.unwrap_or(0) + 1),
        time: whole_ms(new.time),
        kind: new.kind,
        subject: subject.as_ref().map(|s| s.id),
        external_id: external_id.cloned(),
        score: new.score,
        threshold: new.threshold,
        reason: new.reason.clone(),
        model: new.model.clone(),
        detail: new.detail.clone(),
        hash: Digest::default(),
    };
    let prev = chain::head(db)?.map_or(Digest::default(), |head| head.hash);
    let entry = Entry::sealed(event, prev);
    insert(db, &entry)?;
    Ok(entry.event)
}

/// Writes an entry as it is.
pub(crate) fn insert(db: &Connection, entry: &Entry) -> Result<(), Fault> {
    let Entry { event: e, prev, who, salt } = entry;
    db.prepare_cached(
        "INSERT INTO event (seq, time, kind, who, score, threshold, reason, model, detail, prev, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        e.seq.number(),
        to_ms(e.time),
        e.kind.as_str(),
        who.as_ref().map(Digest::as_bytes),
        e.score.map(Score::value),
        e.threshold.map(Threshold::value),
        e.reason,
        e.model.as_ref().map(ModelId::as_str),
        e.detail.as_ref().map(ToString::to_string),
        prev.as_bytes(),
        e.hash.as_bytes(),
    ])?;
    if let Some(salt) = salt {
        db.prepare_cached(
            "INSERT INTO event_subject (seq, salt, subject, external_id) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            e.seq.number(),
            salt.as_bytes(),
            e.subject.as_ref().map(SubjectId::as_bytes),
            e.external_id
        ])?;
    }
    Ok(())
}

/// Makes the journal forget the person who has, or had, this external id, under any id; says how many events forgot
/// them.
pub(crate) fn forget(db: &Connection, external_id: &str) -> Result<usize, Fault> {
    Ok(db
        .prepare_cached(
            "DELETE FROM event_subject WHERE external_id = ?1 OR subject IN
                 (SELECT subject FROM event_subject WHERE external_id = ?1
                  UNION SELECT id FROM subject WHERE external_id = ?1)",
        )?
        .execute([external_id])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_stable_and_parse_back() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse::<EventKind>().unwrap(), *kind);
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
            assert!(kind.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        }
        assert_eq!(EventKind::CameraLost.as_str(), "camera-lost");
        assert!("opened".parse::<EventKind>().unwrap_err().to_string().contains("camera-back"));
    }

    #[test]
    fn events_that_do_not_fit_are_refused() {
        let good = NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::Denied).because("below-threshold");
        assert!(good.check().is_ok());
        let long = "x".repeat(MAX_DETAIL);
        for bad in [
            NewEvent { reason: Some(String::new()), ..good.clone() },
            NewEvent { reason: Some("Below".into()), ..good.clone() },
            NewEvent { reason: Some("x".repeat(65)), ..good.clone() },
            NewEvent { external_id: Some("a b".into()), ..good.clone() },
            NewEvent { detail: Some(serde_json::json!([1])), ..good.clone() },
            NewEvent { detail: Some(serde_json::json!({ "x": long })), ..good.clone() },
        ] {
            assert!(matches!(bad.check(), Err(GalleryError::Invalid { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_row_for_csv_is_flat() {
        let event = Event {
            seq: Seq(3),
            time: Timestamp::UNIX_EPOCH,
            kind: EventKind::Granted,
            subject: Some(SubjectId::from_bytes([0; 16])),
            external_id: Some("7".into()),
            score: Score::new(0.5).ok(),
            threshold: None,
            reason: None,
            model: ModelId::new("m").ok(),
            detail: Some(serde_json::json!({"tracks": 1})),
            hash: Digest::default(),
        };
        let json = serde_json::to_value(EventRow::from(event)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "seq": 3, "time": "1970-01-01T00:00:00Z", "kind": "granted",
                "subject": "00000000-0000-0000-0000-000000000000", "external_id": "7", "score": 0.5,
                "threshold": null, "reason": null, "model": "m", "detail": "{\"tracks\":1}",
                "hash": "0".repeat(64)
            })
        );
    }
}
