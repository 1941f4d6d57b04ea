//! A person who may be recognised: ids, name, groups, validity, consent.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Fault, GalleryError};
use crate::time::{from_ms, to_ms, whole_ms};

/// Most characters of an external id and of a group's name.
pub const MAX_ID: usize = 64;
/// Most characters of a name.
pub const MAX_NAME: usize = 128;
/// Most groups of one person.
pub const MAX_GROUPS: usize = 64;

/// Identity of a subject inside Limen, kept through exports and imports; drawn at random, says nothing of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(Uuid);

impl SubjectId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// From the 16 bytes of a uuid.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the uuid.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SubjectId {
    type Err = uuid::Error;

    fn from_str(s: &str) -> Result<Self, uuid::Error> {
        Ok(Self(s.parse()?))
    }
}

/// Whether a subject's templates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// In force, within the validity dates.
    #[default]
    Active,
    /// Known, but to be denied until resumed.
    Suspended,
}

/// A person in the gallery. `Debug` shows the ids and the standing, never the name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Identity inside Limen.
    pub id: SubjectId,
    /// The id that people use, such as a personnel number; unique. See [`check_external_id`].
    pub external_id: String,
    /// The name shown; 1 to 128 characters, no control characters.
    pub name: String,
    /// Names of groups, sorted, each once.
    pub groups: Vec<String>,
    /// Denied before this moment; `None` = no beginning.
    pub valid_from: Option<Timestamp>,
    /// Denied from this moment on; `None` = no end.
    pub valid_until: Option<Timestamp>,
    /// In force or suspended.
    pub standing: Standing,
    /// When the person agreed to be recognised; `None` = no consent on record.
    pub consent: Option<Timestamp>,
    /// When the person came into the gallery.
    pub created: Timestamp,
}

/// A person about to come into the gallery; the other fields are set by it. `Debug` does not show the name.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSubject {
    /// As [`Subject::external_id`].
    pub external_id: String,
    /// As [`Subject::name`].
    pub name: String,
    /// As [`Subject::groups`], in any order.
    pub groups: Vec<String>,
    /// As [`Subject::valid_from`].
    pub valid_from: Option<Timestamp>,
    /// As [`Subject::valid_until`].
    pub valid_until: Option<Timestamp>,
    /// As [`Subject::consent`].
    pub consent: Option<Timestamp>,
    /// The moment of coming in: `created` of the subject and of the templates enrolled with it.
    pub at: Timestamp,
}

impl NewSubject {
    /// A person with id and name, always valid, in no group, without consent on record, coming in now.
    pub fn new(external_id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            external_id: external_id.into(),
            name: name.into(),
            groups: Vec::new(),
            valid_from: None,
            valid_until: None,
            consent: None,
            at: Timestamp::now(),
        }
    }

    /// The same in the form in which a gallery holds it: groups sorted and each once, times in whole milliseconds. Errors
    /// with [`GalleryError::Invalid`] if a field has no place in a gallery, as [`Gallery::enrol`](crate::Gallery::enrol)
    /// would.
    pub fn checked(self) -> Result<Self, GalleryError> {
        let s = self.into_subject().checked()?;
        Ok(Self {
            external_id: s.external_id,
            name: s.name,
            groups: s.groups,
            valid_from: s.valid_from,
            valid_until: s.valid_until,
            consent: s.consent,
            at: s.created,
        })
    }

    /// The subject that this becomes, under a new id.
    pub(crate) fn into_subject(self) -> Subject {
        Subject {
            id: SubjectId::random(),
            external_id: self.external_id,
            name: self.name,
            groups: self.groups,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            standing: Standing::Active,
            consent: self.consent,
            created: self.at,
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({}, {}, {:?})", self.external_id, self.id, self.standing)
    }
}

impl fmt::Debug for NewSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSubject({})", self.external_id)
    }
}

/// Checks an external id: 1 to 64 of the ASCII letters, digits and `. _ - @ + :`, beginning with a letter or digit, so
/// that it can stand on a command line, in a file name and in a log as it is.
pub fn check_external_id(id: &str) -> Result<(), GalleryError> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-@+:".contains(c);
    let starts = id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && id.len() <= MAX_ID && id.chars().all(fit) {
        return Ok(());
    }
    Err(GalleryError::Invalid {
        field: "external id",
        why: format!(
            "{:?} is not 1 to {MAX_ID} of a-z A-Z 0-9 . _ - @ + : beginning with a letter or digit",
            id.chars().take(MAX_ID).collect::<String>()
        ),
    })
}

/// Checks a text that people see. Does not repeat it: it may be a name.
fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), GalleryError> {
    let why = if text.trim().is_empty() {
        "is empty; give at least one visible character".to_owned()
    } else if text.chars().count() > most {
        format!("is longer than {most} characters; shorten it")
    } else if text.chars().any(char::is_control) {
        "contains a control character such as a line break; remove it".to_owned()
    } else {
        return Ok(());
    };
    Err(GalleryError::Invalid { field, why })
}

impl Subject {
    /// Checks every field and brings groups and times into the form in which the file holds them.
    pub(crate) fn checked(mut self) -> Result<Self, GalleryError> {
        check_external_id(&self.external_id)?;
        check_text("name", &self.name, MAX_NAME)?;
        self.groups.sort();
        self.groups.dedup();
        if self.groups.len() > MAX_GROUPS {
            return Err(GalleryError::Invalid {
                field: "groups",
                why: format!(
                    "{} groups, at most {MAX_GROUPS} are allowed; leave some out",
                    self.groups.len()
                ),
            });
        }
        self.groups.iter().try_for_each(|g| check_text("groups", g, MAX_ID))?;
        self.valid_from = self.valid_from.map(whole_ms);
        self.valid_until = self.valid_until.map(whole_ms);
        self.consent = self.consent.map(whole_ms);
        self.created = whole_ms(self.created);
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && from >= until
        {
            return Err(GalleryError::Invalid {
                field: "valid until",
                why: format!("{until} does not lie after valid from, {from}; exchange them or drop one"),
            });
        }
        Ok(self)
    }
}

/// Which subject.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    Id(SubjectId),
    External(&'a str),
}

const SELECT: &str = "SELECT id, external_id, name, valid_from, valid_until, suspended, consent, created,
    (SELECT json_group_array(g.name ORDER BY g.name) FROM subject_group g WHERE g.subject = s.id) FROM subject s";

fn read(row: &Row<'_>) -> Result<Subject, Fault> {
    let optional = |column: usize| -> Result<Option<Timestamp>, Fault> {
        row.get::<_, Option<i64>>(column)?.map(from_ms).transpose()
    };
    let groups: String = row.get(8)?;
    Ok(Subject {
        id: SubjectId::from_bytes(row.get(0)?),
        external_id: row.get(1)?,
        name: row.get(2)?,
        valid_from: optional(3)?,
        valid_until: optional(4)?,
        standing: if row.get(5)? { Standing::Suspended } else { Standing::Active },
        consent: optional(6)?,
        created: from_ms(row.get(7)?)?,
        groups: serde_json::from_str(&groups)
            .map_err(|e| Fault::Damaged(format!("groups of a person: {e}")))?,
    })
}

/// The subject, if there.
pub(crate) fn find(db: &Connection, key: Key<'_>) -> Result<Option<Subject>, Fault> {
    let (column, value): (_, &dyn ToSql) = match &key {
        Key::Id(id) => ("id", &id.as_bytes().as_slice()),
        Key::External(id) => ("external_id", id),
    };
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE s.{column} = ?1"))?;
    let found = query.query_row([value], |row| Ok(read(row))).optional()?;
    found.transpose()
}

/// All subjects, by external id, handed to `each` one by one.
pub(crate) fn for_each(
    db: &Connection,
    mut each: impl FnMut(Subject) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY external_id"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        each(read(row)?)?;
    }
    Ok(())
}

/// Refuses an external id that belongs to another subject than `id`.
fn free(db: &Connection, external_id: &str, id: SubjectId) -> Result<(), Fault> {
    match find(db, Key::External(external_id))? {
        Some(other) if other.id != id => Err(GalleryError::Exists { external_id: other.external_id }.into()),
        _ => Ok(()),
    }
}

/// Adds a checked subject.
pub(crate) fn insert(db: &Connection, s: &Subject) -> Result<(), Fault> {
    free(db, &s.external_id, s.id)?;
    db.prepare_cached(
        "INSERT INTO subject (id, external_id, name, valid_from, valid_until, suspended, consent, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        s.id.as_bytes(),
        s.external_id,
        s.name,
        s.valid_from.map(to_ms),
        s.valid_until.map(to_ms),
        s.standing == Standing::Suspended,
        s.consent.map(to_ms),
        to_ms(s.created),
    ])?;
    insert_groups(db, s)
}

/// Gives a checked subject its new fields; `created` stays. Errors if it is not there.
pub(crate) fn update(db: &Connection, s: &Subject) -> Result<(), Fault> {
    free(db, &s.external_id, s.id)?;
    let changed = db
        .prepare_cached(
            "UPDATE subject SET external_id = ?2, name = ?3, valid_from = ?4, valid_until = ?5, suspended = ?6,
             consent = ?7 WHERE id = ?1",
        )?
        .execute(params![
            s.id.as_bytes(),
            s.external_id,
            s.name,
            s.valid_from.map(to_ms),
            s.valid_until.map(to_ms),
            s.standing == Standing::Suspended,
            s.consent.map(to_ms),
        ])?;
    if changed == 0 {
        return Err(GalleryError::UnknownSubject { id: s.id.to_string() }.into());
    }
    db.prepare_cached("DELETE FROM subject_group WHERE subject = ?1")?.execute([s.id.as_bytes()])?;
    insert_groups(db, s)
}

fn insert_groups(db: &Connection, s: &Subject) -> Result<(), Fault> {
    let mut insert = db.prepare_cached("INSERT INTO subject_group (subject, name) VALUES (?1, ?2)")?;
    for group in &s.groups {
        insert.execute(params![s.id.as_bytes(), group])?;
    }
    Ok(())
}

/// Removes the subject with groups and templates; events keep its external id. Errors if it is not there.
pub(crate) fn remove(db: &Connection, id: SubjectId) -> Result<(), Fault> {
    let removed = db.prepare_cached("DELETE FROM subject WHERE id = ?1")?.execute([id.as_bytes()])?;
    if removed == 0 { Err(GalleryError::UnknownSubject { id: id.to_string() }.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_ids_that_are_safe_everywhere() {
        for good in ["7", "A-17", "anna.b@house", "0:1+2_3", &"x".repeat(64)] {
            assert!(check_external_id(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-rf", ".hidden", "a b", "a/b", "a\n", "ä", "a\u{202e}b", "a,b", "a\"b", &"x".repeat(65)]
        {
            let text = check_external_id(bad).unwrap_err().to_string();
            assert!(text.starts_with("external id: ") && text.contains("1 to 64"), "{text}");
        }
    }

    #[test]
    fn a_subject_is_brought_into_the_form_of_the_file() {
        let mut new = NewSubject::new("7", "Anna");
        new.groups = vec!["staff".into(), "lab".into(), "staff".into()];
        new.at = "2025-01-01T00:00:00.000999Z".parse().unwrap();
        let s = new.into_subject().checked().unwrap();
        assert_eq!(s.groups, ["lab", "staff"]);
        assert_eq!(s.created.to_string(), "2025-01-01T00:00:00Z");
        let mut new = NewSubject::new("7", "Anna");
        new.groups = vec!["staff".into(), "lab".into()];
        assert_eq!(new.clone().checked().unwrap().groups, ["lab", "staff"]);
        assert!(NewSubject { name: String::new(), ..new }.checked().is_err());
    }

    #[test]
    fn each_bad_field_is_named() {
        let good = NewSubject::new("7", "Anna").into_subject();
        let (early, late) =
            ("2025-01-01T00:00:00Z".parse().unwrap(), "2025-01-02T00:00:00Z".parse().unwrap());
        let many: Vec<String> = (0..65).map(|i| i.to_string()).collect();
        for (field, bad) in [
            ("external id", Subject { external_id: " ".into(), ..good.clone() }),
            ("name", Subject { name: "\u{2003} ".into(), ..good.clone() }),
            ("name", Subject { name: "a\u{0}".into(), ..good.clone() }),
            ("name", Subject { name: "x".repeat(129), ..good.clone() }),
            ("groups", Subject { groups: vec!["a\nb".into()], ..good.clone() }),
            ("groups", Subject { groups: many, ..good.clone() }),
            ("valid until", Subject { valid_from: Some(late), valid_until: Some(early), ..good.clone() }),
            ("valid until", Subject { valid_from: Some(late), valid_until: Some(late), ..good.clone() }),
        ] {
            let error = bad.checked().unwrap_err();
            assert!(matches!(error, GalleryError::Invalid { field: f, .. } if f == field), "{error}");
        }
        let whole_name =
            Subject { name: "x".repeat(128), valid_from: Some(early), valid_until: Some(late), ..good };
        assert!(whole_name.checked().is_ok());
    }

    #[test]
    fn debug_shows_no_name() {
        let new = NewSubject::new("7", "Anna Example");
        let s = new.clone().into_subject();
        assert!(!format!("{new:?} {s:?}").contains("Anna"));
        assert!(!Subject { name: "Anna\n".into(), ..s }.checked().unwrap_err().to_string().contains("Anna"));
    }
}
