//! Changes fields of a configuration file in place: every other line stays, and so do the file's owner and rights.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use toml_edit::{DocumentMut, Item, Value};

use crate::config::{Config, without_pin};

/// A field's new value.
pub struct Field {
    /// Its name in the section.
    pub name: &'static str,
    /// What it is from now on.
    pub value: Value,
    /// Whether a file without the field says the same.
    pub is_default: bool,
}

/// Sets fields of `section` in the file. Errors, with the file as it was, where it would not be a good configuration then.
pub fn set(path: &Path, section: &str, fields: Vec<Field>) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let changed = changed(&text, section, fields).with_context(|| path.display().to_string())?;
    Config::parse(&changed, path)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    // Nobody else may read it meanwhile.
    let write = || {
        let now = std::fs::metadata(path)?;
        // Left by one that was killed, it could have any rights.
        let _ = std::fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(changed.as_bytes())?;
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (now.uid(), now.gid()) {
            chown(&part, Some(now.uid()), Some(now.gid()))?;
        }
        file.set_permissions(now.permissions())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    let written = write();
    if written.is_err() {
        // The failed write is what the caller hears of.
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(|| format!("{}: cannot be written", path.display()))
}

fn changed(text: &str, section: &str, fields: Vec<Field>) -> Result<String> {
    let parsed = text.parse::<DocumentMut>();
    let mut file = parsed.map_err(|e| anyhow!(without_pin(e.to_string().trim_end())))?;
    let table = file.entry(section).or_insert_with(toml_edit::table);
    let table = table.as_table_like_mut().with_context(|| format!("{section} is no section"))?;
    for Field { name, value: new, is_default } in fields {
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(value) => {
                let decor = value.decor().clone();
                *value = new;
                *value.decor_mut() = decor;
            }
            None if is_default => {}
            None => {
                table.insert(name, toml_edit::value(new));
            }
        }
    }
    Ok(file.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn choice(id: &str, half: bool) -> Vec<Field> {
        vec![
            Field { name: "embedder", value: id.into(), is_default: false },
            Field { name: "half", value: half.into(), is_default: !half },
        ]
    }

    #[test]
    fn every_other_line_of_the_configuration_stays() {
        let text = "# door\n[camera]\nsource = \"replay:x\" # the clip\n\n[models]\nembedder = \"a\" # ours\nmin_face = 0.2\n";
        let set = |text: &str, half| changed(text, "models", choice("b", half));
        assert_eq!(set(text, false).unwrap(), text.replace("\"a\"", "\"b\""));
        let added = set("[camera] # mine\n", true).unwrap();
        assert_eq!(added.replace("\n\n", "\n"), "[camera] # mine\n[models]\nembedder = \"b\"\nhalf = true\n");
        assert_eq!(set(&added, false).unwrap(), added.replace("true", "false"));
        assert!(set("models = 3", false).is_err());
        assert!(set("= 3", false).is_err());
    }

    #[test]
    fn the_files_rights_stay_and_a_bad_file_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("limen.toml");
        std::fs::write(&path, "[models]\nembedder = \"a\"\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        set(&path, "models", choice("b", false)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[models]\nembedder = \"b\"\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let bad = "[models]\nembedder = \"a\"\n[door]\npulse_ms = 0\n";
        std::fs::write(&path, bad).unwrap();
        assert!(set(&path, "models", choice("b", false)).unwrap_err().to_string().contains("door.pulse_ms"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
