//! Every kind of file that is no usable gallery, made for real, and the error that it gives.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

#[path = "../../tests/store/myself.rs"]
mod myself;

use rusqlite::types::Value;
use tempfile::TempDir;

use self::myself::myself;
use super::*;
use crate::error::Remedy;
use crate::event::EventFilter;
use crate::gallery::Gallery;
use crate::migrate::make_v1;
use crate::subject::NewSubject;
use crate::template::{Encoding, ModelId};
use crate::{EnrolPolicy, Existing, Sample};

fn room() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery.db");
    (folder, path)
}

/// The error of opening `path`; the file must be left as it was.
fn refused(path: &Path) -> GalleryError {
    let before = std::fs::read(path).ok();
    let options = Options { busy: Duration::from_millis(50), ..Options::default() };
    let error = Gallery::open_with(path, &options).unwrap_err();
    assert_eq!(std::fs::read(path).ok(), before, "the refused file was changed");
    assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "names the file: {error}");
    error
}

/// 150 persons with a template of 128 values each.
fn filled(path: &Path) {
    let mut gallery = Gallery::open(path).unwrap();
    let model = ModelId::new("m").unwrap();
    let policy = EnrolPolicy { encoding: Encoding::F32, ..EnrolPolicy::default() };
    for n in 0..150usize {
        let mut vector = vec![0.01; 128];
        vector[n % 128] = 1.0;
        vector[(n * 7 + 1) % 128] += if n < 128 { 0.5 } else { -2.0 };
        let sample = Sample { vector, quality: 0.9, source: format!("{n}.jpg") };
        let policy = EnrolPolicy { allow_duplicate: crate::DuplicateRule::Allow, ..policy };
        gallery
            .enrol(&NewSubject::new(n.to_string(), format!("person {n}")), &model, &[sample], &policy)
            .unwrap();
    }
}

#[test]
fn a_new_gallery_is_set_safe_and_private() {
    let (_folder, path) = room();
    drop(Gallery::open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let db = open(&path, Access::Write, &Options::default()).unwrap();
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, Value>(0)).unwrap();
    assert_eq!(pragma("application_id"), Value::Integer(0x4C49_4D4E));
    assert_eq!(pragma("user_version"), Value::Integer(VERSION));
    assert_eq!(pragma("journal_mode"), Value::Text("wal".into()));
    assert_eq!(pragma("synchronous"), Value::Integer(2));
    assert_eq!(pragma("foreign_keys"), Value::Integer(1));
    assert_eq!(pragma("secure_delete"), Value::Integer(1));
    assert_eq!(pragma("busy_timeout"), Value::Integer(5000));
    assert_eq!(pragma("trusted_schema"), Value::Integer(0));
}

#[test]
fn an_empty_file_becomes_a_gallery_but_not_by_reading() {
    let (_folder, path) = room();
    std::fs::write(&path, "").unwrap();
    let error = Gallery::open_read_only(&path).unwrap_err();
    assert!(matches!(&error, GalleryError::Foreign { why, .. } if why.contains("empty")), "{error}");
    Gallery::open(&path).unwrap();
    Gallery::open_read_only(&path).unwrap();
}

#[test]
fn a_newer_gallery_is_refused() {
    let (_folder, path) = room();
    drop(Gallery::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(db);
    let error = refused(&path);
    assert!(matches!(error, GalleryError::Newer { found: 6, known: 5, .. }), "{error}");
    assert!(
        error.to_string().contains("made by a newer Limen") && error.to_string().contains("update"),
        "{error}"
    );
    assert!(matches!(Gallery::open_read_only(&path), Err(GalleryError::Newer { .. })));
}

#[test]
fn foreign_files_are_refused() {
    let (_folder, path) = room();
    for (name, id) in [("without id", 0), ("with another id", 0x1234)] {
        let db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE recipe (title TEXT); INSERT INTO recipe VALUES ('soup')").unwrap();
        db.pragma_update(None, "application_id", id).unwrap();
        drop(db);
        let error = refused(&path);
        assert!(matches!(error, GalleryError::Foreign { .. }), "{name}: {error}");
        std::fs::remove_file(&path).unwrap();
    }
    let long = "Dear diary, ".repeat(1000);
    for text in ["x", "hello\n", long.as_str(), "SQLite format 3\0 and then nothing of the kind"] {
        std::fs::write(&path, text).unwrap();
        let error = refused(&path);
        assert!(matches!(error, GalleryError::Foreign { .. }), "{:.20}: {error}", text);
        assert!(error.to_string().contains("is not a Limen gallery"), "{error}");
        assert_eq!(error.remedy(), Remedy::Refuse);
    }
}

#[test]
fn no_page_can_be_damaged_unnoticed() {
    let (_folder, path) = room();
    filled(&path);
    let whole = std::fs::read(&path).unwrap();
    let size = PAGE as usize;
    let pages = whole.len() / size;
    assert!(pages > 20, "{pages} pages");
    // Page 1 carries the header by which a gallery is known at all.
    for page in 1..pages {
        let mut bytes = whole.clone();
        bytes[page * size..(page + 1) * size].fill(0xA5);
        std::fs::write(&path, &bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, GalleryError::Corrupt { .. }), "page {page}: {error}");
        assert_eq!(error.remedy(), Remedy::Repair);
        assert!(error.to_string().contains("restore the gallery"), "{error}");
    }
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refused(&path);
    assert!(matches!(error, GalleryError::Corrupt { .. }), "cut short: {error}");
    std::fs::write(&path, &whole).unwrap();
    Gallery::open(&path).unwrap().check(Check::Full).unwrap();
}

#[test]
fn what_this_program_never_wrote_is_damage() {
    let (_folder, path) = room();
    for (sql, words) in [
        ("DROP TABLE subject_group", "the table subject_group is missing"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM subject", "refer to persons or events that are not there"),
        ("PRAGMA user_version = -3", "data model -3 never existed"),
        ("PRAGMA user_version = 0", "data model 0 never existed"),
    ] {
        filled(&path);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = Gallery::open(&path).unwrap_err();
        assert!(matches!(&error, GalleryError::Corrupt { why, .. } if why.contains(words)), "{sql}: {error}");
        std::fs::remove_file(&path).unwrap();
    }
    filled(&path);
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE template SET vector = zeroblob(512) WHERE id = 3", []).unwrap();
    drop(db);
    let gallery = Gallery::open(&path).unwrap();
    let error = gallery.identify(&ModelId::new("m").unwrap(), &[1.0; 128], 1).unwrap_err();
    assert!(matches!(&error, GalleryError::Corrupt { why, .. } if why.contains("template 3: ")), "{error}");
}

#[test]
fn a_locked_gallery_is_busy_until_it_is_free() {
    let (_folder, path) = room();
    filled(&path);
    // In exclusive locking mode not even readers get in.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let error = refused(&path);
    assert!(matches!(error, GalleryError::Busy { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry);
    drop(other);

    // A writer that does not end: reading goes on, writing waits and gives up.
    let options = Options { busy: Duration::from_millis(50), ..Options::default() };
    let mut gallery = Gallery::open_with(&path, &options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(gallery.subjects().unwrap().len(), 150);
    let new = NewSubject::new("new", "New");
    assert!(matches!(gallery.add_subject(&new), Err(GalleryError::Busy { .. })));
    assert!(gallery.subject_by_external_id("new").unwrap().is_none());
    other.execute_batch("ROLLBACK").unwrap();
    gallery.add_subject(&new).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written() {
    let (folder, path) = room();
    filled(&path);
    let shut = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
    shut(0o555);
    if private(&folder.path().join("probe")).is_err() {
        for name in ["gallery.db", "new.db"] {
            let error = refused(&folder.path().join(name));
            assert!(matches!(error, GalleryError::ReadOnly { .. }), "{name}: {error}");
        }
        shut(0o755);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        let error = refused(&path);
        assert!(matches!(error, GalleryError::ReadOnly { .. }), "a file that cannot be written: {error}");
        assert_eq!(Gallery::open_read_only(&path).unwrap().subjects().unwrap().len(), 150);
    } else {
        // Root writes into any folder, so the question is asked again as nobody.
        shut(0o755);
        let test = "file::tests::a_folder_that_cannot_be_written";
        let asked = myself().args(["--exact", test, "--nocapture"]).current_dir("/").uid(65534).output();
        match asked {
            Ok(told) => {
                let said = String::from_utf8_lossy(&told.stdout);
                assert!(told.status.success() && said.contains("1 passed"), "{said}");
            }
            Err(e) => println!("SKIPPED (nobody may not run {test}: {e})"),
        }
    }
}

#[test]
fn what_cannot_be_a_file_here() {
    let (folder, path) = room();
    std::fs::write(&path, "a file").unwrap();
    for bad in
        [path.join("below-a-file.db"), folder.path().join("no/such/folder.db"), folder.path().to_owned()]
    {
        let error = Gallery::open(&bad).unwrap_err();
        assert!(matches!(error, GalleryError::Open { .. }), "{}: {error}", bad.display());
        assert!(error.to_string().contains("check that the folder is there"), "{error}");
    }
    let missing = folder.path().join("missing.db");
    assert!(matches!(Gallery::open_read_only(&missing), Err(GalleryError::Open { .. })));
    assert!(!missing.exists(), "reading makes no file");
}

#[test]
fn reading_alone_changes_nothing() {
    let (_folder, path) = room();
    filled(&path);
    let mut gallery = Gallery::open_read_only(&path).unwrap();
    assert_eq!(gallery.subjects().unwrap().len(), 150);
    assert!(gallery.identify(&ModelId::new("m").unwrap(), &[1.0; 128], 1).unwrap().best().is_some());
    let error = gallery.add_subject(&NewSubject::new("new", "New")).unwrap_err();
    assert!(
        matches!(&error, GalleryError::ReadOnly { why, .. } if why.contains("for reading alone")),
        "{error}"
    );
}

/// All rows of a table in the columns named, in order.
fn dump(db: &Connection, table: &str, columns: &str) -> Vec<Vec<Value>> {
    let mut query = db.prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2")).unwrap();
    let n = query.column_count();
    let rows = query.query_map([], |row| (0..n).map(|i| row.get(i)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

const V1: [(&str, &str); 4] = [
    ("subject", "id, external_id, name, valid_from, valid_until, suspended, consent, created"),
    ("subject_group", "subject, name"),
    ("template", "id, subject, model, encoding, vector, quality, source, created"),
    ("event", "seq, time, kind, score, threshold, reason, model, detail"),
];

/// A gallery as Limen wrote it at version 1: two persons, one of them suspended and gone from the templates, three
/// templates of two models, five events of which one belongs to nobody and one to a person who was removed.
fn old_file(path: &Path) -> Vec<Vec<Vec<Value>>> {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    make_v1(&db);
    let sixteen = [0.25f32; 16].map(f32::to_le_bytes).concat();
    let eight_bit = [0.25f32.to_le_bytes().to_vec(), vec![1; 16]].concat();
    db.execute_batch(
        "INSERT INTO subject VALUES (x'000102030405060708090a0b0c0d0e0f', 'A-1', 'Anna', 1000, 2000, 0, 500, 400);
         INSERT INTO subject VALUES (x'100102030405060708090a0b0c0d0e0f', 'B-2', 'Boris', NULL, NULL, 1, NULL, 401);
         INSERT INTO subject VALUES (x'200102030405060708090a0b0c0d0e0f', 'C-3', 'Clara', NULL, NULL, 0, NULL, 402);
         INSERT INTO subject_group VALUES (x'000102030405060708090a0b0c0d0e0f', 'staff');
         INSERT INTO subject_group VALUES (x'000102030405060708090a0b0c0d0e0f', 'lab');",
    )
    .unwrap();
    for (subject, model, encoding, vector) in [
        ("000102030405060708090a0b0c0d0e0f", "m", "f32", &sixteen),
        ("000102030405060708090a0b0c0d0e0f", "m", "i8", &eight_bit),
        ("100102030405060708090a0b0c0d0e0f", "other", "f32", &sixteen),
    ] {
        db.execute(
            &format!(
                "INSERT INTO template (subject, model, encoding, vector, quality, source, created)
                 VALUES (x'{subject}', '{model}', '{encoding}', ?1, 0.75, 'a.jpg', 403)"
            ),
            [vector],
        )
        .unwrap();
    }
    db.execute_batch(
        "INSERT INTO event (time, kind) VALUES (600, 'started');
         INSERT INTO event (time, kind, subject, score, threshold, reason, model, detail)
         VALUES (601, 'granted', x'000102030405060708090a0b0c0d0e0f', 0.75, 0.5, 'match', 'm', '{\"frames\":3}');
         INSERT INTO event (time, kind, subject) VALUES (602, 'denied', x'100102030405060708090a0b0c0d0e0f');
         INSERT INTO event (time, kind, subject) VALUES (603, 'granted', x'200102030405060708090a0b0c0d0e0f');
         DELETE FROM subject WHERE external_id = 'C-3';
         INSERT INTO event (time, kind) VALUES (604, 'camera-lost');",
    )
    .unwrap();
    V1.iter().map(|(table, columns)| dump(&db, table, columns)).collect()
}

#[test]
fn a_gallery_of_version_1_keeps_every_row() {
    let (_folder, path) = room();
    let before = old_file(&path);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 3, 5]);

    let error = Gallery::open_read_only(&path).unwrap_err();
    assert!(matches!(error, GalleryError::Older { found: 1, known: 5, .. }), "{error}");

    let mut gallery = Gallery::open(&path).unwrap();
    let db = Connection::open(&path).unwrap();
    let after: Vec<_> = V1.iter().map(|(table, columns)| dump(&db, table, columns)).collect();
    assert_eq!(after, before);

    // What versions 2 to 5 are for.
    let whole = gallery.verify_journal(&[]).unwrap();
    assert_eq!((whole.events, whole.forgotten), (5, 0));
    let ids = |gallery: &Gallery| -> Vec<Option<String>> {
        gallery.events(&EventFilter::default()).unwrap().into_iter().map(|e| e.external_id).collect()
    };
    let expected = [None, Some("A-1".to_owned()), Some("B-2".to_owned()), None, None];
    assert_eq!(ids(&gallery), expected);
    let anna = gallery.subject_by_external_id("A-1").unwrap().unwrap();
    assert_eq!(
        (anna.name.as_str(), anna.groups.as_slice()),
        ("Anna", ["lab".to_owned(), "staff".to_owned()].as_slice())
    );
    gallery.remove_subject(anna.id).unwrap();
    assert_eq!(ids(&gallery), expected, "the journal still says who it was");

    // And it goes on as any gallery.
    let sample =
        Sample { vector: (1..=16).map(|i| i as f32).collect(), quality: 0.5, source: "b.jpg".into() };
    let policy = EnrolPolicy { existing: Existing::AddSamples, ..EnrolPolicy::default() };
    let new = NewSubject::new("D-4", "Dora");
    let enrolled = gallery.enrol(&new, &ModelId::new("m").unwrap(), &[sample], &policy).unwrap();
    assert_eq!(enrolled.kept[0].template.number(), 4, "numbers of removed templates never come again");
    drop((gallery, db));
    Gallery::open(&path).unwrap().check(Check::Full).unwrap();
}

#[test]
fn the_journal_is_append_only_in_the_file_itself() {
    let (_folder, path) = room();
    old_file(&path);
    drop(Gallery::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    for sql in [
        "UPDATE event SET kind = 'denied' WHERE seq = 2",
        "UPDATE event SET time = 0 WHERE seq = 1",
        "UPDATE event SET score = 0.9 WHERE seq = 2",
        "UPDATE event SET hash = prev WHERE seq = 2",
        "UPDATE event_subject SET external_id = NULL WHERE seq = 2",
        "UPDATE event_subject SET subject = x'100102030405060708090a0b0c0d0e0f' WHERE seq = 2",
        "DELETE FROM event WHERE seq = 2",
    ] {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
    assert_eq!(db.execute("DELETE FROM event WHERE seq <= 2", []).unwrap(), 2, "shortened at its old end");
}
