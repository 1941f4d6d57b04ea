//! Opens the SQLite file of a gallery: tells it from other files, checks it, brings it up to date, sets it safe.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, GalleryError};
use crate::migrate::{self, APPLICATION_ID, Identity, VERSION};

/// Bytes of a page of a new gallery. Three templates of 512 values (2.1 KB each) fit into one where SQLite's usual 4096
/// hold a single one: the file is smaller by a third, and opening and loading it take two thirds of the time.
const PAGE: u32 = 8192;

/// How thoroughly to look for damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// Every page and row can be read and fits its table: `PRAGMA quick_check`.
    #[default]
    Quick,
    /// Also every index entry has its row and the other way round: `PRAGMA integrity_check`; some times slower.
    Full,
}

/// How to open a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a call waits for another program's lock before it gives [`GalleryError::Busy`].
    pub busy: Duration,
    /// The check made at opening.
    pub check: Check,
}

impl Default for Options {
    /// 5 s: longer than any transaction of this program but an import; the quick check.
    fn default() -> Self {
        Self { busy: Duration::from_secs(5), check: Check::Quick }
    }
}

/// What may be done with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading and writing; a missing file is made.
    Write,
    /// Reading alone; a missing file is an error.
    Read,
}

/// Opens the gallery at `path`. A file that is refused is left untouched.
pub(crate) fn open(path: &Path, access: Access, options: &Options) -> Result<Connection, GalleryError> {
    let flags = match access {
        Access::Write => {
            make(path)?;
            OpenFlags::SQLITE_OPEN_READ_WRITE
        }
        Access::Read => {
            std::fs::File::open(path).map_err(|e| GalleryError::io(path, e))?;
            OpenFlags::SQLITE_OPEN_READ_ONLY
        }
    };
    recognise(path)?;
    let mut db = connect(path, flags, options.busy).map_err(|fault| folder(path, access, fault.at(path)))?;
    prepare(&mut db, path, access, options).map_err(|fault| folder(path, access, fault.at(path)))?;
    Ok(db)
}

/// An empty gallery that no file has.
pub(crate) fn in_memory() -> Result<Connection, Fault> {
    let mut db = Connection::open_in_memory()?;
    migrate::run(&mut db)?;
    Ok(db)
}

/// Makes an empty file for its owner alone if there is none (SQLite gives the files beside it the same rights). Finds
/// out by it what SQLite would only call "cannot open", and whether the file may be written: SQLite would fall back to
/// reading.
fn make(path: &Path) -> Result<(), GalleryError> {
    match private(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map(drop)
            .map_err(|e| GalleryError::io(path, e)),
        Err(e) => Err(GalleryError::io(path, e)),
    }
}

/// Refuses a file that SQLite never wrote. SQLite itself would take one shorter than a page for an empty one and write
/// over it.
fn recognise(path: &Path) -> Result<(), GalleryError> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    const SMALLEST: u64 = 512; // one page of the smallest size
    let file = std::fs::File::open(path).map_err(|e| GalleryError::io(path, e))?;
    let size = file.metadata().map_err(|e| GalleryError::io(path, e))?.len();
    let mut start = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(|e| GalleryError::io(path, e))?;
    if size == 0 || (size >= SMALLEST && start == MAGIC) || (start.iter().all(|b| *b == 0) && is_undone(path))
    {
        return Ok(());
    }
    Err(GalleryError::Foreign { path: path.to_owned(), why: "it does not begin as a SQLite file".to_owned() })
}

/// Whether SQLite's journal for undoing lies beside the file: the power was cut while its first page was written, and SQLite
/// takes that back.
fn is_undone(path: &Path) -> bool {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    let mut start = [0; MAGIC.len()];
    std::fs::File::open(journal).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == MAGIC
}

/// A new file that its owner alone may read. Errors if there is one of that name.
pub(crate) fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// SQLite cannot open a gallery whose folder may not be written, because of the files that it keeps beside it, and
/// does not say so: try it out.
fn folder(path: &Path, access: Access, error: GalleryError) -> GalleryError {
    if access == Access::Read || !matches!(error, GalleryError::Open { .. }) {
        return error;
    }
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}.tmp", std::process::id()));
    match private(probe.as_ref()) {
        Ok(_) => {
            let _ = std::fs::remove_file(&probe); // only an empty file would stay
            error
        }
        Err(e) => GalleryError::io(path, e),
    }
}

/// A connection that waits for other programs' locks as long as `busy` and trusts nothing in the file.
fn connect(path: &Path, flags: OpenFlags, busy: Duration) -> Result<Connection, Fault> {
    // No URI names, and no mutex: a `Connection` is used by one thread at a time.
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(busy)?;
    // A gallery restored from who knows where must not run functions or rewrite its own schema.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(db)
}

fn prepare(db: &mut Connection, path: &Path, access: Access, options: &Options) -> Result<(), Fault> {
    let found = Identity::read(db)?;
    identify(found, path, access)?;
    if found.is_blank() {
        db.pragma_update(None, "page_size", PAGE)?;
    }
    check_all(db, path, options)?;
    if access == Access::Write {
        // Readers go on while a writer writes; the mode is kept in the file.
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            let why = format!("its file system allows only journal mode {mode}; put it onto a local disk");
            return Err(GalleryError::Open { path: path.to_owned(), why }.into());
        }
        // A commit returns when its pages are on the disk: what was acknowledged survives a power cut.
        db.pragma_update(None, "synchronous", "full")?;
        // What was removed is overwritten with zeros: a face must not stay in free pages.
        db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        if found.version != VERSION {
            migrate::run(db)?;
        }
    }
    db.pragma_update(None, "foreign_keys", true)?;
    complete(db)
}

fn identify(found: Identity, path: &Path, access: Access) -> Result<(), GalleryError> {
    let path = path.to_owned();
    let Identity { application_id, version, objects } = found;
    if found.is_blank() {
        return match access {
            Access::Write => Ok(()),
            Access::Read => Err(GalleryError::Foreign { path, why: "the file is empty".to_owned() }),
        };
    }
    if application_id != APPLICATION_ID {
        let why = format!(
            "a SQLite file with application id {application_id:#x} and {objects} objects, not {APPLICATION_ID:#x}"
        );
        return Err(GalleryError::Foreign { path, why });
    }
    if version > VERSION {
        return Err(GalleryError::Newer { path, found: version, known: VERSION });
    }
    if version < VERSION && access == Access::Read {
        return Err(GalleryError::Older { path, found: version, known: VERSION });
    }
    Ok(())
}

/// As [`check`], its halves side by side: each reads the whole file, so the disk is read once.
fn check_all(db: &Connection, path: &Path, options: &Options) -> Result<(), Fault> {
    thread::scope(|scope| {
        let references = || check_references(&connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options.busy)?);
        let other = thread::Builder::new().name("gallery-check".into()).spawn_scoped(scope, references);
        let other = other.map_err(Fault::Io)?;
        let pages = check_pages(db, options.check);
        let references = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What is wrong with the pages explains what is wrong with the references.
        pages.and(references)
    })
}

/// Errors with the first thing that is damaged.
pub(crate) fn check(db: &Connection, check: Check) -> Result<(), Fault> {
    check_pages(db, check)?;
    check_references(db)
}

fn check_pages(db: &Connection, check: Check) -> Result<(), Fault> {
    let sql = match check {
        Check::Quick => "PRAGMA quick_check(1)",
        Check::Full => "PRAGMA integrity_check(1)",
    };
    let verdict: String = db.query_row(sql, [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let first = verdict.lines().find(|l| !l.starts_with("***")).unwrap_or("unreadable");
    Err(Fault::Damaged(first.to_owned()))
}

fn check_references(db: &Connection) -> Result<(), Fault> {
    let loose: i64 = db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
    if loose > 0 {
        return Err(Fault::Damaged(format!("{loose} rows refer to persons or events that are not there")));
    }
    Ok(())
}

/// Errors if a table is missing, which neither check would notice.
fn complete(db: &Connection) -> Result<(), Fault> {
    let mut query = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in ["subject", "subject_group", "template", "event", "event_subject"] {
        if !query.exists([table])? {
            return Err(Fault::Damaged(format!("the table {table} is missing")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
