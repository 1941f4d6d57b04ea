//! What a person has or knows besides a face: cards and PINs, each found by a key that is not the number itself.
//!
//! ```text
//! key of a card = HMAC-SHA-256(secret, "limen card 1" 00 number)
//! key of a PIN  = Argon2id(digits, salt = HMAC-SHA-256(secret, "limen pin 1" 00))
//! ```
//!
//! Keys come from whoever reads cards and PINs; this file keeps them and does not know how they came about.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Serialize, Serializer};

use crate::error::{Fault, GalleryError};
use crate::gallery::{Gallery, known};
use crate::subject::SubjectId;
use crate::time::{from_ms, to_ms, whole_ms};

/// Most cards of one person.
pub const MAX_CARDS: usize = 16;

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A card; a person may have several.
    Card,
    /// A person's one PIN. It says who they are.
    Pin,
    /// A person's one PIN that says that they are forced to.
    DuressPin,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Card, Self::Pin, Self::DuressPin];

    /// The word in files and in `--json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Pin => "pin",
            Self::DuressPin => "duress-pin",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for CredentialKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a card or a PIN is found by. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialKey([u8; 32]);

impl CredentialKey {
    /// From its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey(..)")
    }
}

/// Number of a card or a PIN in the gallery; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CredentialId(i64);

impl CredentialId {
    /// The one with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A card or a PIN that somebody has, without what it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its number in the gallery.
    pub id: CredentialId,
    /// Whose.
    pub subject: SubjectId,
    /// What it is.
    pub kind: CredentialKind,
    /// When it was given.
    pub created: Timestamp,
}

impl Gallery {
    /// Gives a person a card, or a PIN in place of the one of that kind that they had. Errors with
    /// [`GalleryError::CardTaken`] or [`GalleryError::PinTaken`] if anybody has that key, also as a PIN of the other kind;
    /// [`GalleryError::UnknownSubject`]; [`GalleryError::Invalid`] if they have [`MAX_CARDS`].
    pub fn give_credential(
        &mut self,
        subject: SubjectId,
        kind: CredentialKind,
        key: &CredentialKey,
        at: Timestamp,
    ) -> Result<Credential, GalleryError> {
        self.write(|tx, _| {
            known(tx, subject)?;
            match kind {
                CredentialKind::Card => room_for_card(tx, subject)?,
                CredentialKind::Pin | CredentialKind::DuressPin => {
                    tx.prepare_cached("DELETE FROM credential WHERE subject = ?1 AND kind = ?2")?
                        .execute(params![subject.as_bytes(), kind.as_str()])?;
                }
            }
            if find(tx, key)?.is_some() {
                return Err(match kind {
                    CredentialKind::Card => GalleryError::CardTaken,
                    CredentialKind::Pin | CredentialKind::DuressPin => GalleryError::PinTaken,
                }
                .into());
            }
            tx.prepare_cached(
                "INSERT INTO credential (subject, kind, key, created) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![subject.as_bytes(), kind.as_str(), key.0, to_ms(at)])?;
            let id = CredentialId(tx.last_insert_rowid());
            Ok(Credential { id, subject, kind, created: whole_ms(at) })
        })
    }

    /// Takes a card or a PIN back; returns what it was. Its key is overwritten in the file and in the log beside it. Errors
    /// with [`GalleryError::UnknownCredential`].
    pub fn take_credential(&mut self, id: CredentialId) -> Result<Credential, GalleryError> {
        let taken = self.write(|tx, _| {
            let found = tx
                .prepare_cached(&format!("{SELECT} WHERE id = ?1"))?
                .query_row([id.0], |row| Ok(read(row)))
                .optional()?
                .ok_or(GalleryError::UnknownCredential { id: id.0 })??;
            tx.prepare_cached("DELETE FROM credential WHERE id = ?1")?.execute([id.0])?;
            Ok(found)
        })?;
        self.forget();
        Ok(taken)
    }

    /// Whose card or PIN has this key, and which it is; `None` if nobody's. Suspended and expired persons are found as well:
    /// whoever decides must look at the subject.
    pub fn find_credential(&self, key: &CredentialKey) -> Result<Option<Credential>, GalleryError> {
        self.read(|db| find(db, key))
    }

    /// The cards and PINs of a person, by number; empty if there is no such person.
    pub fn credentials(&self, subject: SubjectId) -> Result<Vec<Credential>, GalleryError> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} WHERE subject = ?1 ORDER BY id"))?;
            let mut rows = query.query([subject.as_bytes()])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(read(row)?);
            }
            Ok(all)
        })
    }
}

const SELECT: &str = "SELECT id, subject, kind, created FROM credential";

/// By a key of whichever kind: no two persons and no two kinds have the same.
fn find(db: &Connection, key: &CredentialKey) -> Result<Option<Credential>, Fault> {
    // All kinds by name, so that the index on kind and key is used.
    let mut query =
        db.prepare_cached(&format!("{SELECT} WHERE kind IN ('card', 'pin', 'duress-pin') AND key = ?1"))?;
    query.query_row([&key.0], |row| Ok(read(row))).optional()?.transpose()
}

fn room_for_card(db: &Connection, subject: SubjectId) -> Result<(), Fault> {
    let has: usize = db
        .prepare_cached("SELECT count(*) FROM credential WHERE subject = ?1 AND kind = 'card'")?
        .query_row([subject.as_bytes()], |row| row.get(0))?;
    if has < MAX_CARDS {
        return Ok(());
    }
    Err(Fault::invalid("cards", format!("{has} are the most that one person may have; take one back first")))
}

fn read(row: &Row<'_>) -> Result<Credential, Fault> {
    let word: String = row.get(2)?;
    let kind = CredentialKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    Ok(Credential {
        id: CredentialId(row.get(0)?),
        subject: SubjectId::from_bytes(row.get(1)?),
        kind: kind.ok_or_else(|| Fault::Damaged(format!("a credential of kind {word:?}")))?,
        created: from_ms(row.get(3)?)?,
    })
}

#[cfg(test)]
mod tests;
