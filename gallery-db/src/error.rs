//! What can go wrong with a gallery, split by what the caller can do; each message names the thing and the cure.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::enrol::EnrolRefusal;
use crate::event::Seq;
use crate::pass::PassRefusal;

/// What a caller can do about a [`GalleryError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same call may succeed later; nothing was changed.
    Retry,
    /// The call or its surroundings must change first; nothing was changed.
    Refuse,
    /// The file is damaged: restore it.
    Repair,
}

/// Why a gallery refused. Whatever the variant: the file and the index are as they were before the call.
#[derive(Debug, Error)]
pub enum GalleryError {
    /// Retry: another program holds the file.
    #[error("{path}: locked by another program; wait until it is done, or end it, then try again")]
    Busy {
        /// The gallery.
        path: PathBuf,
    },
    /// Retry: no room.
    #[error("{path}: the disk is full, nothing was changed; free some space, then try again")]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// Refuse: made by a program that knows more than this one.
    #[error(
        "{path}: made by a newer Limen (data model {found}, this one knows up to {known}); update Limen, \
         or name another file"
    )]
    Newer {
        /// The gallery or export.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The last version known here.
        known: i64,
    },
    /// Refuse: needs a migration, which opening for reading alone cannot do.
    #[error(
        "{path}: made by an older Limen (data model {found}, this one needs {known}) and opened for reading alone; \
         open it once for writing, for example with `limen gallery list`, to bring it up to date"
    )]
    Older {
        /// The gallery.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Refuse: some other file.
    #[error(
        "{path}: is not a Limen gallery ({why}); name the right file, or restore it from an export or a backup if \
         it was one"
    )]
    Foreign {
        /// The file, left untouched.
        path: PathBuf,
        /// By what it was told.
        why: String,
    },
    /// Refuse: may not be written.
    #[error("{path}: cannot be written ({why}); give this user the right to write the file and its folder")]
    ReadOnly {
        /// The gallery or the file to be written.
        path: PathBuf,
        /// From the system.
        why: String,
    },
    /// Refuse: cannot be opened at all.
    #[error("{path}: cannot be opened ({why}); check that the folder is there and the name is right")]
    Open {
        /// The file.
        path: PathBuf,
        /// From the system.
        why: String,
    },
    /// Refuse: a value that has no place in a gallery.
    #[error("{field}: {why}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// Refuse: nobody there by that id.
    #[error("nobody in the gallery has the id {id}; `limen gallery list` shows who is there")]
    UnknownSubject {
        /// External id or uuid.
        id: String,
    },
    /// Refuse: no such template.
    #[error("the gallery has no template {id}; `limen gallery show` lists the templates of a person")]
    UnknownTemplate {
        /// Number of the template.
        id: i64,
    },
    /// Refuse: an external id belongs to one person only.
    #[error(
        "the id {external_id} already belongs to a person in the gallery; choose another, or change that person"
    )]
    Exists {
        /// The id.
        external_id: String,
    },
    /// Refuse: a card belongs to one person only.
    #[error(
        "this card belongs to somebody already; take another, or take it back from whoever has it (`limen card list`)"
    )]
    CardTaken,
    /// Refuse: a PIN says who somebody is, so that nobody else may have it.
    #[error("this PIN cannot be had, as a PIN or as one under duress; choose another")]
    PinTaken,
    /// Refuse: no such card or PIN.
    #[error("the gallery has no card or PIN {id}; `limen card list` shows them")]
    UnknownCredential {
        /// Its number in the gallery.
        id: i64,
    },
    /// Refuse: no such pass.
    #[error("the gallery has no pass {id}; `limen pass list` shows those that were issued")]
    UnknownPass {
        /// Its id.
        id: String,
    },
    /// Refuse: a pass that opens nothing.
    #[error(transparent)]
    Pass(#[from] PassRefusal),
    /// Refuse: the samples were not accepted.
    #[error(transparent)]
    Enrolment(#[from] EnrolRefusal),
    /// Refuse: an export that cannot be read; nothing of it was taken over.
    #[error("{path}, line {line}: {why}; nothing was imported: use another copy, or export again")]
    Import {
        /// The export.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong there.
        why: String,
    },
    /// Repair: the contents are damaged.
    #[error("{path}: damaged ({why}); move it away and restore the gallery from an export or a backup")]
    Corrupt {
        /// The gallery.
        path: PathBuf,
        /// What the check found.
        why: String,
    },
    /// Repair: somebody has been at the journal.
    #[error(
        "{path}: the journal is not as it was written: event {seq} {why}; keep this file as it is, and compare it with \
         an earlier backup or export"
    )]
    Broken {
        /// The gallery.
        path: PathBuf,
        /// The first event that does not fit.
        seq: Seq,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Refuse: the system failed on a file.
    #[error("{path}: {source}; check the file, its folder and the disk")]
    Io {
        /// The file.
        path: PathBuf,
        /// From the system.
        source: std::io::Error,
    },
    /// Refuse: anything else that SQLite says.
    #[error("{path}: SQLite failed ({source}); check the disk, and `limen doctor` for the gallery")]
    Sqlite {
        /// The gallery.
        path: PathBuf,
        /// From SQLite.
        source: rusqlite::Error,
    },
}

impl GalleryError {
    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Busy { .. } | Self::Full { .. } => Remedy::Retry,
            Self::Corrupt { .. } | Self::Broken { .. } => Remedy::Repair,
            _ => Remedy::Refuse,
        }
    }

    /// A failed system call on `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, why: source.to_string() }
            }
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Self::Open { path, why: source.to_string() }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// A failure inside a transaction, before the name of the file is put to it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// From SQLite.
    Sql(rusqlite::Error),
    /// The file holds what this program never wrote.
    Damaged(String),
    /// An event is not as it was written.
    Broken { seq: Seq, why: &'static str },
    /// From the system.
    Io(std::io::Error),
    /// Decided by this crate.
    Refused(GalleryError),
}

impl Fault {
    /// Names the file.
    pub(crate) fn at(self, path: &Path) -> GalleryError {
        match self {
            Self::Sql(source) => from_sqlite(path, source),
            Self::Damaged(why) => GalleryError::Corrupt { path: path.to_owned(), why },
            Self::Broken { seq, why } => GalleryError::Broken { path: path.to_owned(), seq, why },
            Self::Io(source) => GalleryError::Io { path: path.to_owned(), source },
            Self::Refused(error) => error,
        }
    }

    /// A value that has no place in a gallery.
    pub(crate) fn invalid(field: &'static str, why: impl ToString) -> Self {
        Self::Refused(GalleryError::Invalid { field, why: why.to_string() })
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<GalleryError> for Fault {
    fn from(e: GalleryError) -> Self {
        Self::Refused(e)
    }
}

impl From<PassRefusal> for Fault {
    fn from(e: PassRefusal) -> Self {
        Self::Refused(e.into())
    }
}

impl From<EnrolRefusal> for Fault {
    fn from(e: EnrolRefusal) -> Self {
        Self::Refused(e.into())
    }
}

fn from_sqlite(path: &Path, source: rusqlite::Error) -> GalleryError {
    let path = path.to_owned();
    let why = source.to_string();
    match &source {
        rusqlite::Error::SqliteFailure(e, _) => match e.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => GalleryError::Busy { path },
            ErrorCode::DiskFull => GalleryError::Full { path },
            // The shared-memory file beside the gallery could not grow: on a full disk this comes before SQLITE_FULL.
            ErrorCode::SystemIoFailure if e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                GalleryError::Full { path }
            }
            ErrorCode::DatabaseCorrupt => GalleryError::Corrupt { path, why },
            ErrorCode::NotADatabase => GalleryError::Foreign { path, why },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => GalleryError::ReadOnly { path, why },
            // Even a reader keeps files beside the gallery (write-ahead log), so its folder must be writable.
            ErrorCode::CannotOpen if path.exists() => GalleryError::ReadOnly { path, why },
            ErrorCode::CannotOpen => GalleryError::Open { path, why },
            _ => GalleryError::Sqlite { path, source },
        },
        // The schema is strict, so a value of the wrong kind was not written by this program.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => GalleryError::Corrupt { path, why },
        _ => GalleryError::Sqlite { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> GalleryError {
        Fault::Sql(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
            .at(Path::new("/g.db"))
    }

    #[test]
    fn codes_of_sqlite_say_what_to_do() {
        use rusqlite::ffi::*;
        for (code, remedy, words) in [
            (SQLITE_BUSY, Remedy::Retry, "locked by another program"),
            (SQLITE_FULL, Remedy::Retry, "free some space"),
            (SQLITE_IOERR_SHMSIZE, Remedy::Retry, "free some space"),
            (SQLITE_CORRUPT, Remedy::Repair, "restore the gallery from an export"),
            (SQLITE_NOTADB, Remedy::Refuse, "is not a Limen gallery"),
            (SQLITE_READONLY, Remedy::Refuse, "the right to write"),
            (SQLITE_CANTOPEN, Remedy::Refuse, "check that the folder is there"),
            (SQLITE_IOERR, Remedy::Refuse, "check the disk"),
        ] {
            let error = sqlite(code);
            assert_eq!(error.remedy(), remedy, "{error}");
            let text = error.to_string();
            assert!(text.starts_with("/g.db: ") && text.contains(words), "{text}");
        }
    }
}
