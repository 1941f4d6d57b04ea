//! Brings a gallery of any older version to the data model of this program, in one transaction.

mod to_v3;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::Fault;

/// "LIMN": marks a SQLite file as a gallery.
pub(crate) const APPLICATION_ID: i64 = 0x4C49_4D4E;

/// Version of schema.sql.
pub(crate) const VERSION: i64 = 5;

/// A whole gallery of this version.
const SCHEMA: &str = include_str!("schema.sql");

/// Brings the tables of a version to the next.
type Step = fn(&Connection) -> Result<(), Fault>;

/// One step a file; the step at position n leads from version n + 1 to n + 2.
const STEPS: &[Step] = &[
    |db| Ok(db.execute_batch(include_str!("migrate/to_v2.sql"))?),
    to_v3::step,
    |db| Ok(db.execute_batch(include_str!("migrate/to_v4.sql"))?),
    |db| Ok(db.execute_batch(include_str!("migrate/to_v5.sql"))?),
];

/// What a SQLite file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) application_id: i64,
    pub(crate) version: i64,
    /// Tables, indices and so on.
    pub(crate) objects: i64,
}

impl Identity {
    /// Reads it. In a write transaction it cannot change any more.
    pub(crate) fn read(db: &Connection) -> Result<Self, Fault> {
        let pragma = |name| db.pragma_query_value(None, name, |row| row.get(0));
        Ok(Self {
            application_id: pragma("application_id")?,
            version: pragma("user_version")?,
            objects: db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        })
    }

    /// Whether nothing was ever put into the file.
    pub(crate) fn is_blank(self) -> bool {
        self == Self { application_id: 0, version: 0, objects: 0 }
    }
}

/// Makes the tables of a blank file, or takes the steps that an older gallery lacks; all or nothing. The caller has
/// made sure that the file is blank or a gallery no newer than this program.
pub(crate) fn run(db: &mut Connection) -> Result<(), Fault> {
    // A step may rebuild a table; its rows must not cascade away meanwhile. No effect inside a transaction.
    db.pragma_update(None, "foreign_keys", false)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock: another process may have done it just now.
    let now = Identity::read(&tx)?;
    if now.is_blank() {
        tx.execute_batch(SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else {
        let done = usize::try_from(now.version - 1)
            .map_err(|_| Fault::Damaged(format!("data model {} never existed", now.version)))?;
        for step in STEPS.iter().skip(done) {
            step(&tx)?;
        }
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    if tx.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get::<_, i64>(0))? > 0 {
        return Err(Fault::Damaged("rows refer to persons or events that are not there".to_owned()));
    }
    tx.commit()?;
    db.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// Makes a gallery as version 1 had it, empty, for the tests.
#[cfg(test)]
pub(crate) fn make_v1(db: &Connection) {
    db.execute_batch(include_str!("migrate/v1.sql")).unwrap();
    db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every column, index, key and trigger, without the layout of the text.
    fn shape(db: &Connection) -> Vec<String> {
        let all = |sql: &str| -> Vec<String> {
            let mut query = db.prepare(sql).unwrap();
            query.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap).collect()
        };
        let mut shape =
            all("SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk ||
                ' ' || ifnull(c.dflt_value, '-')
             FROM sqlite_schema t, pragma_table_xinfo(t.name) c WHERE t.type = 'table' ORDER BY 1");
        shape.extend(all("SELECT t.name || ' -> ' || k.\"table\" || ' ' || k.\"from\" || ' ' || k.on_delete
             FROM sqlite_schema t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table' ORDER BY 1"));
        shape.extend(all("SELECT name || ': ' || sql FROM sqlite_schema
             WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY 1"));
        // CHECK clauses of the tables, in their order.
        let tables = all("SELECT name || ': ' || sql FROM sqlite_schema WHERE type = 'table' ORDER BY 1");
        shape.extend(tables.iter().flat_map(|t| {
            t.split("CHECK").skip(1).map(|c| {
                let end = c.find(['\n', ',']).unwrap_or(c.len());
                c[..end].trim().to_owned()
            })
        }));
        shape
    }

    #[test]
    fn a_migrated_file_has_the_shape_of_a_new_one() {
        let mut new = Connection::open_in_memory().unwrap();
        run(&mut new).unwrap();
        let mut old = Connection::open_in_memory().unwrap();
        make_v1(&old);
        assert_ne!(shape(&old), shape(&new));
        run(&mut old).unwrap();
        assert_eq!(shape(&old), shape(&new));
        assert!(shape(&new).iter().any(|s| s.contains("length(id) = 16")), "{:?}", shape(&new));
        assert_eq!(Identity::read(&new).unwrap(), Identity::read(&old).unwrap());
        assert_eq!(
            (Identity::read(&new).unwrap().application_id, Identity::read(&new).unwrap().version),
            (0x4C49_4D4E, 5)
        );
    }

    #[test]
    fn there_is_a_step_from_every_version() {
        assert_eq!(STEPS.len() as i64 + 1, VERSION);
    }

    #[test]
    fn a_failing_step_leaves_the_file_as_it_was() {
        let mut db = Connection::open_in_memory().unwrap();
        make_v1(&db);
        // A row that refers to nobody: only damage makes one.
        db.pragma_update(None, "foreign_keys", false).unwrap();
        db.execute("INSERT INTO subject_group VALUES (zeroblob(16), 'staff')", []).unwrap();
        let before = shape(&db);
        assert!(matches!(run(&mut db), Err(Fault::Damaged(_))));
        assert_eq!(shape(&db), before);
        assert_eq!(Identity::read(&db).unwrap().version, 1);
    }
}
