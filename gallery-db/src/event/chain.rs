//! The chain of the journal: the hash of an event covers the hash of the one before it, so that an event that was changed,
//! taken out or put in between shows.
//!
//! ```text
//! hash = SHA-256("limen event 1" prev seq time field(kind) field(who) field(score) field(threshold)
//!                field(reason) field(model) field(detail))
//! who  = SHA-256("limen who 1" salt field(subject) field(external id))
//! field(nothing) = 00, field(bytes) = 01, their number as u32, the bytes
//! ```
//!
//! `prev` is the hash of the event before, zeros for the first; `seq` and `time` (ms since 1970 UTC) are i64, scores f32,
//! all little-endian; `kind` is its word, `detail` the text in the file, `subject` the 16 bytes of the uuid.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Fault, GalleryError};
use crate::event::{Entry, Event, Seq};
use crate::hex;
use crate::score::{Score, Threshold};
use crate::subject::SubjectId;
use crate::time::to_ms;

/// SHA-256; 64 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = hex::decode(text).and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or("a hash has 64 hex digits")
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What keeps whoever has a salted hash from trying out all people: 122 random bits, an event's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Salt(uuid::Uuid);

impl Salt {
    fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Where a journal ended at some time: kept outside the gallery, it proves later that nothing up to there was changed or
/// cut off. As text the number, a colon and the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its last event.
    pub seq: Seq,
    /// The hash of that event.
    pub hash: Digest,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = GalleryError;

    fn from_str(text: &str) -> Result<Self, GalleryError> {
        let parts =
            text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.parse().ok()?)));
        let (seq, hash) = parts.ok_or_else(|| GalleryError::Invalid {
            field: "head",
            why: format!(
                "{text:?} is not a number, a colon and 64 hex digits, as `limen events verify` prints it"
            ),
        })?;
        Ok(Self { seq: Seq(seq), hash })
    }
}

/// Where the journal ends; `None` if it is empty.
pub(crate) fn head(db: &Connection) -> Result<Option<Head>, Fault> {
    let mut query = db.prepare_cached("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")?;
    let row = |row: &rusqlite::Row<'_>| Ok(Head { seq: Seq(row.get(0)?), hash: Digest(row.get(1)?) });
    Ok(query.query_row([], row).optional()?)
}

/// SHA-256 over fields of which each is told from the next.
struct Sponge(Sha256);

impl Sponge {
    fn new(domain: &str) -> Self {
        Self(Sha256::new_with_prefix(domain))
    }

    fn plain(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn field(self, bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return self.plain(&[0]) };
        // No field is longer than a detail, 4096 bytes, by the checks before it.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.plain(&[1]).plain(&length).plain(bytes)
    }

    fn score(self, score: Option<f32>) -> Self {
        // The file does not keep the sign of a zero.
        self.field(score.map(|s| (s + 0.0).to_le_bytes()).as_ref().map(<[u8; 4]>::as_slice))
    }

    fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The hash of an event after one with the hash `prev`; `detail` as the file has it.
pub(crate) fn hash(prev: &Digest, e: &Event, who: Option<&Digest>, detail: Option<&str>) -> Digest {
    Sponge::new("limen event 1")
        .plain(&prev.0)
        .plain(&e.seq.0.to_le_bytes())
        .plain(&to_ms(e.time).to_le_bytes())
        .field(Some(e.kind.as_str().as_bytes()))
        .field(who.map(|who| who.0.as_slice()))
        .score(e.score.map(Score::value))
        .score(e.threshold.map(Threshold::value))
        .field(e.reason.as_deref().map(str::as_bytes))
        .field(e.model.as_ref().map(|m| m.as_str().as_bytes()))
        .field(detail.map(str::as_bytes))
        .digest()
}

/// The salted hash of whom an event concerned.
pub(crate) fn who(salt: &Salt, subject: Option<SubjectId>, external_id: Option<&str>) -> Digest {
    Sponge::new("limen who 1")
        .plain(salt.as_bytes())
        .field(subject.as_ref().map(|s| s.as_bytes().as_slice()))
        .field(external_id.map(str::as_bytes))
        .digest()
}

impl Entry {
    /// The event as it is bound to the one before it, with a new salt if it concerns somebody.
    pub(crate) fn sealed(event: Event, prev: Digest) -> Self {
        let somebody = event.subject.is_some() || event.external_id.is_some();
        let salt = somebody.then(Salt::random);
        let who = salt.as_ref().map(|salt| who(salt, event.subject, event.external_id.as_deref()));
        let detail = event.detail.as_ref().map(ToString::to_string);
        let hash = hash(&prev, &event, who.as_ref(), detail.as_deref());
        Self { event: Event { hash, ..event }, prev, who, salt }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::EventKind;

    fn event() -> Event {
        Event {
            seq: Seq(2),
            time: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            kind: EventKind::Granted,
            subject: Some(SubjectId::from_bytes([7; 16])),
            external_id: Some("17".into()),
            score: Some(Score::new(0.5).unwrap()),
            threshold: None,
            reason: Some("x".into()),
            model: None,
            detail: None,
            hash: Digest::default(),
        }
    }

    /// By Python's hashlib and struct, from the formula above alone.
    #[test]
    fn a_hash_worked_out_elsewhere() {
        let salt = Salt::from_bytes([1; 16]);
        let who = who(&salt, event().subject, Some("17"));
        assert_eq!(who.to_string(), "f19c1b48ba1fa78a4c016d6c7941845aa0819ce5f3704affac6a228199c8c91f");
        assert_eq!(
            hash(&Digest([9; 32]), &event(), Some(&who), Some("{}")).to_string(),
            "3262f66ab2afa944c7b23db9e9c3c3b9d82c9401c5e274ef7ee289df5ffc605a"
        );
    }

    #[test]
    fn each_part_counts() {
        let e = event();
        let of = |prev, e: &Event, who: Option<&Digest>, detail| hash(&prev, e, who, detail);
        let mut all = vec![
            of(Digest::default(), &e, None, None),
            of(Digest([1; 32]), &e, None, None),
            of(Digest::default(), &e, Some(&Digest::default()), None),
            of(Digest::default(), &e, None, Some("")),
        ];
        let later = e.time.checked_add(jiff::SignedDuration::from_millis(1)).unwrap();
        for other in [
            Event { seq: Seq(3), ..e.clone() },
            Event { time: later, ..e.clone() },
            Event { kind: EventKind::Denied, ..e.clone() },
            Event { score: None, ..e.clone() },
            Event { score: None, threshold: Some(Threshold::new(0.5).unwrap()), ..e.clone() },
            Event { reason: None, ..e.clone() },
            Event { reason: None, model: Some(crate::ModelId::new("x").unwrap()), ..e.clone() },
        ] {
            all.push(of(Digest::default(), &other, None, None));
        }
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_head_is_read_and_written_alike() {
        let head = Head { seq: Seq(17), hash: Digest([0xab; 32]) };
        let text = head.to_string();
        assert!(text.starts_with("17:abab"));
        assert_eq!(text.parse::<Head>().unwrap(), head);
        for bad in ["", "17", "17:ab", "x:00", &text.replace('a', "g"), &format!("{text}00")] {
            assert!(bad.parse::<Head>().unwrap_err().to_string().contains("64 hex digits"), "{bad}");
        }
    }

    #[test]
    fn the_sign_of_a_zero_is_no_change() {
        let zero = |z| Event { score: Some(Score::new(z).unwrap()), ..event() };
        let of = |e: &Event| hash(&Digest::default(), e, None, None);
        assert_eq!(of(&zero(0.0)), of(&zero(-0.0)));
    }
}
