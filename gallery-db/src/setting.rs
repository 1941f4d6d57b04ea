//! What the house has set: small JSON values by name, in the gallery file, so that they go where the gallery goes.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Fault, GalleryError};
use crate::gallery::Gallery;

/// Most bytes of a value as JSON.
pub const MAX_SETTING: usize = 256 * 1024;

/// Something that the house has set, under its name.
pub trait Setting: Serialize + DeserializeOwned {
    /// The name: 1 to 64 characters, never to change.
    const KEY: &'static str;
}

impl Gallery {
    /// What was set; `None` if nothing was. Errors with [`GalleryError::Invalid`] if what is there is not of this type.
    pub fn setting<S: Setting>(&self) -> Result<Option<S>, GalleryError> {
        let text = self.read(|db| find(db, S::KEY))?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| invalid::<S>(&e))
    }

    /// Sets it, in place of what was set. With [`Gallery::noting`], the journal tells of it in the same transaction.
    /// Errors with [`GalleryError::Invalid`] if it is longer than [`MAX_SETTING`].
    pub fn set<S: Setting>(&mut self, value: &S) -> Result<(), GalleryError> {
        let text = serde_json::to_string(value).map_err(|e| invalid::<S>(&e))?;
        if text.len() > MAX_SETTING {
            let why = format!("{} bytes, at most {MAX_SETTING} are kept; shorten it", text.len());
            return Err(GalleryError::Invalid { field: S::KEY, why });
        }
        self.write(|tx, _| put(tx, S::KEY, &text))
    }

    /// Takes it back: it is as if it had never been set.
    pub fn unset<S: Setting>(&mut self) -> Result<(), GalleryError> {
        self.write(|tx, _| {
            tx.prepare_cached("DELETE FROM setting WHERE key = ?1")?.execute([S::KEY])?;
            Ok(())
        })
    }
}

/// The JSON under `key`, if there is some.
pub(crate) fn find(db: &Connection, key: &str) -> Result<Option<String>, Fault> {
    let mut query = db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?;
    Ok(query.query_row([key], |row| row.get(0)).optional()?)
}

/// Puts JSON there, in place of what was there.
pub(crate) fn put(db: &Connection, key: &str, json: &str) -> Result<(), Fault> {
    db.prepare_cached("INSERT OR REPLACE INTO setting (key, value) VALUES (?1, ?2)")?
        .execute(params![key, json])?;
    Ok(())
}

fn invalid<S: Setting>(why: &dyn std::fmt::Display) -> GalleryError {
    GalleryError::Invalid { field: S::KEY, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::event::{EventFilter, EventKind, NewEvent};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Hours {
        from: u32,
        until: u32,
    }

    impl Setting for Hours {
        const KEY: &'static str = "hours";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Words(String);

    impl Setting for Words {
        const KEY: &'static str = "hours";
    }

    #[test]
    fn what_is_set_is_there_after_the_next_start_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("g.db");
        let mut gallery = Gallery::open(&file).unwrap();
        assert_eq!(gallery.setting::<Hours>().unwrap(), None);
        gallery.set(&Hours { from: 7, until: 19 }).unwrap();
        let event = NewEvent::new(jiff::Timestamp::now(), EventKind::Rules);
        gallery.noting(event).set(&Hours { from: 8, until: 18 }).unwrap();
        let mut gallery = Gallery::open(&file).unwrap();
        assert_eq!(gallery.setting().unwrap(), Some(Hours { from: 8, until: 18 }));
        assert_eq!(gallery.events(&EventFilter::default()).unwrap().len(), 1);
        gallery.unset::<Hours>().unwrap();
        assert_eq!(gallery.setting::<Hours>().unwrap(), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut gallery = Gallery::open(&folder.path().join("g.db")).unwrap();
        gallery.set(&Words("from seven".into())).unwrap();
        let error = gallery.setting::<Hours>().unwrap_err();
        assert!(matches!(error, GalleryError::Invalid { field: "hours", .. }), "{error}");
        let error = gallery.set(&Words("x".repeat(MAX_SETTING))).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
        assert_eq!(gallery.setting().unwrap(), Some(Words("from seven".into())));
    }
}
