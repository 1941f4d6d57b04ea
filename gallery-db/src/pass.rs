//! Passes: what somebody may show as a QR code for a while, signed by the gallery file's secret.
//!
//! ```text
//! text = "LIMEN1:" hex(id from until code), 87 characters of the QR code's alphanumeric mode
//! code = the first 16 bytes of HMAC-SHA-256(secret, "limen pass 1" 00 id from until)
//! ```
//!
//! `id` has 16 bytes, `from` and `until` are seconds since 1970 UTC as u32, big-endian. The digits are capitals. A text whose
//! pass has no row opens nothing, whatever its code: that is how a pass is revoked.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use crate::error::{Fault, GalleryError};
use crate::gallery::{Gallery, known};
use crate::hex;
use crate::secret::{self, Secret};
use crate::subject::SubjectId;
use crate::time::{from_ms, to_ms, whole_ms};

/// What the text of every pass begins with.
pub const PREFIX: &str = "LIMEN1:";

const PURPOSE: &str = "limen pass 1";
/// Bytes that are signed: id, from, until.
const SIGNED: usize = ID + 8;
const ID: usize = 16;
/// Bytes of the code: one guess in 2^128 is right.
const CODE: usize = 16;

/// Identity of a pass; drawn at random. Nobody can make the pass of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PassId(Uuid);

impl fmt::Display for PassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PassId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Ok(Self(text.parse()?))
    }
}

/// How often a pass opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Once.
    Once,
    /// As often as it is shown in its time.
    Often,
}

/// A pass that was issued, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Its identity.
    pub id: PassId,
    /// Who shows it.
    pub subject: SubjectId,
    /// It opens nothing before.
    pub valid_from: Timestamp,
    /// It opens nothing from here on.
    pub valid_until: Timestamp,
    /// How often it opens.
    pub usage: Use,
    /// When it last opened.
    pub used: Option<Timestamp>,
    /// When it was issued.
    pub created: Timestamp,
}

/// A pass about to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPass {
    /// For whom.
    pub subject: SubjectId,
    /// As [`Pass::valid_from`]; kept to the second.
    pub valid_from: Timestamp,
    /// As [`Pass::valid_until`]; kept to the second.
    pub valid_until: Timestamp,
    /// As [`Pass::usage`].
    pub usage: Use,
    /// Now.
    pub at: Timestamp,
}

/// What the QR code of a pass says. Whoever has it can show it, so `Debug` does not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PassText(String);

impl PassText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The signed part and its code.
    fn parts(&self) -> Option<([u8; SIGNED], [u8; CODE])> {
        let bytes = hex::decode(self.0.strip_prefix(PREFIX)?)?;
        let (signed, code) = bytes.split_at_checked(SIGNED)?;
        Some((signed.try_into().ok()?, code.try_into().ok()?))
    }
}

impl FromStr for PassText {
    type Err = PassRefusal;

    /// Whatever has the form of a pass; whether it is one, [`Gallery::check_pass`] knows.
    fn from_str(text: &str) -> Result<Self, PassRefusal> {
        let new = Self(text.to_owned());
        let capitals = !text.bytes().any(|b| b.is_ascii_lowercase());
        if capitals && new.parts().is_some() { Ok(new) } else { Err(PassRefusal::Unreadable) }
    }
}

impl fmt::Debug for PassText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassText(..)")
    }
}

/// Why a pass opens nothing. It does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PassRefusal {
    /// Something else, or a part of one.
    #[error("this is no pass of Limen's, or not all of one; show the whole code")]
    Unreadable,
    /// Made up, changed, or of another gallery.
    #[error("this pass was not issued by this gallery; issue one here (`limen pass issue`)")]
    Forged,
    /// Without a row.
    #[error("this pass was revoked; issue another (`limen pass issue`)")]
    Revoked,
    /// Too early.
    #[error("this pass is not valid yet; come back when it is")]
    NotYetValid,
    /// Too late.
    #[error("this pass is over; issue another (`limen pass issue`)")]
    Expired,
    /// It opened once already.
    #[error("this pass was used already, and opens once; issue another (`limen pass issue`)")]
    Used,
}

impl PassRefusal {
    /// The kebab-case code of the journal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "pass-unreadable",
            Self::Forged => "pass-forged",
            Self::Revoked => "pass-revoked",
            Self::NotYetValid => "pass-not-yet-valid",
            Self::Expired => "pass-expired",
            Self::Used => "pass-used",
        }
    }
}

impl Gallery {
    /// Issues a pass. Errors with [`GalleryError::UnknownSubject`], or [`GalleryError::Invalid`] if its times are none.
    pub fn issue_pass(&mut self, new: &NewPass) -> Result<(Pass, PassText), GalleryError> {
        let (from, until) = (second(new.valid_from)?, second(new.valid_until)?);
        if from >= until {
            return Err(GalleryError::Invalid {
                field: "pass",
                why: format!(
                    "its end, {}, does not lie a second at least after its beginning, {}; choose a later one",
                    new.valid_until, new.valid_from
                ),
            });
        }
        self.write(|tx, _| {
            known(tx, new.subject)?;
            let pass = Pass {
                id: PassId(Uuid::new_v4()),
                subject: new.subject,
                valid_from: from_ms(i64::from(from) * 1000)?,
                valid_until: from_ms(i64::from(until) * 1000)?,
                usage: new.usage,
                used: None,
                created: whole_ms(new.at),
            };
            insert(tx, &pass)?;
            let text = signed(&secret::drawn(tx)?, pass.id, from, until);
            Ok((pass, text))
        })
    }

    /// Whose pass that is, if it opens at `at`; nothing is written down. Errors with [`GalleryError::Pass`] if it does not.
    pub fn check_pass(&self, text: &PassText, at: Timestamp) -> Result<Pass, GalleryError> {
        let secret = self.setting()?;
        self.read(|db| check(db, secret.as_ref(), text, at))
    }

    /// As [`Gallery::check_pass`], and from now on a pass that opens once is used: with [`Gallery::noting`], in one
    /// transaction with the event that says what it opened. Refused, it and the journal stay as they were.
    pub fn use_pass(&mut self, text: &PassText, at: Timestamp) -> Result<Pass, GalleryError> {
        let secret = self.setting()?;
        self.write(|tx, _| {
            let pass = check(tx, secret.as_ref(), text, at)?;
            tx.prepare_cached("UPDATE pass SET used = ?2 WHERE id = ?1")?
                .execute(params![pass.id.0.as_bytes(), to_ms(at)])?;
            Ok(Pass { used: Some(whole_ms(at)), ..pass })
        })
    }

    /// Takes a pass back; returns what it was. Errors with [`GalleryError::UnknownPass`].
    pub fn revoke_pass(&mut self, id: PassId) -> Result<Pass, GalleryError> {
        self.write(|tx, _| {
            let found = find(tx, id)?.ok_or_else(|| GalleryError::UnknownPass { id: id.to_string() })?;
            tx.prepare_cached("DELETE FROM pass WHERE id = ?1")?.execute([id.0.as_bytes()])?;
            Ok(found)
        })
    }

    /// The passes that were issued to a person, or to all, those that end first coming first.
    pub fn passes(&self, of: Option<SubjectId>) -> Result<Vec<Pass>, GalleryError> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "{SELECT} WHERE ?1 IS NULL OR subject = ?1 ORDER BY valid_until, created, id"
            ))?;
            let mut rows = query.query([of.as_ref().map(SubjectId::as_bytes)])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(read(row)?);
            }
            Ok(all)
        })
    }
}

/// Seconds since 1970 as the text has them.
fn second(time: Timestamp) -> Result<u32, GalleryError> {
    u32::try_from(time.as_second()).map_err(|_| GalleryError::Invalid {
        field: "pass",
        why: format!("{time} does not lie between 1970 and 2106; choose another time"),
    })
}

fn signed(secret: &Secret, id: PassId, from: u32, until: u32) -> PassText {
    let mut bytes = id.0.as_bytes().to_vec();
    bytes.extend(from.to_be_bytes());
    bytes.extend(until.to_be_bytes());
    let code = secret.mac(PURPOSE, &bytes);
    bytes.extend(&code[..CODE]);
    PassText(format!("{PREFIX}{}", hex::encode(&bytes).to_ascii_uppercase()))
}

fn check(db: &Connection, secret: Option<&Secret>, text: &PassText, at: Timestamp) -> Result<Pass, Fault> {
    let (bytes, code) = text.parts().ok_or(PassRefusal::Unreadable)?;
    let secret =
        secret.filter(|secret| secret.verifies(PURPOSE, &bytes, &code)).ok_or(PassRefusal::Forged)?;
    let id = PassId(Uuid::from_slice(&bytes[..ID]).map_err(|_| PassRefusal::Unreadable)?);
    let pass = find(db, id)?.ok_or(PassRefusal::Revoked)?;
    if signed(secret, id, second(pass.valid_from)?, second(pass.valid_until)?) != *text {
        return Err(Fault::Damaged(format!("pass {id} has other times than those that were signed")));
    }
    match pass {
        _ if at < pass.valid_from => Err(PassRefusal::NotYetValid.into()),
        _ if at >= pass.valid_until => Err(PassRefusal::Expired.into()),
        Pass { usage: Use::Once, used: Some(_), .. } => Err(PassRefusal::Used.into()),
        pass => Ok(pass),
    }
}

fn insert(db: &Connection, pass: &Pass) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO pass (id, subject, valid_from, valid_until, single_use, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        pass.id.0.as_bytes(),
        pass.subject.as_bytes(),
        to_ms(pass.valid_from),
        to_ms(pass.valid_until),
        pass.usage == Use::Once,
        to_ms(pass.created)
    ])?;
    Ok(())
}

const SELECT: &str = "SELECT id, subject, valid_from, valid_until, single_use, used, created FROM pass";

fn find(db: &Connection, id: PassId) -> Result<Option<Pass>, Fault> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    query.query_row([id.0.as_bytes()], |row| Ok(read(row))).optional()?.transpose()
}

fn read(row: &Row<'_>) -> Result<Pass, Fault> {
    Ok(Pass {
        id: PassId(Uuid::from_bytes(row.get(0)?)),
        subject: SubjectId::from_bytes(row.get(1)?),
        valid_from: from_ms(row.get(2)?)?,
        valid_until: from_ms(row.get(3)?)?,
        usage: if row.get(4)? { Use::Once } else { Use::Often },
        used: row.get::<_, Option<i64>>(5)?.map(from_ms).transpose()?,
        created: from_ms(row.get(6)?)?,
    })
}

#[cfg(test)]
mod tests;
