//! Lists of what a set must not use: identities that stand in a test set, pictures that are broken.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

/// CASIA-WebFace identities that are in LFW; without them 10,572 classes are left (SphereFace
/// `train/code/get_list.m` L21-23).
pub const CASIA_IN_LFW: [&str; 3] = ["0166921", "1056413", "1193098"];

/// Names of identities (`identity`) and of single pictures (`identity/image`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusions(BTreeSet<String>);

impl Exclusions {
    /// What `--exclude` and the configuration say: each word is `casia`, the name of an identity or a picture, or
    /// `@FILE` with one name a line, as `check` and `overlap` write it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Result<Self> {
        let mut all = Self::default();
        for word in words.iter().map(AsRef::as_ref) {
            match word.strip_prefix('@') {
                Some(file) => {
                    let text = std::fs::read_to_string(Path::new(file))
                        .with_context(|| format!("{file}: the list of exclusions cannot be read"))?;
                    all.0.extend(Self::parse(&text).0);
                }
                None if word == "casia" => all.0.extend(CASIA_IN_LFW.map(String::from)),
                None => {
                    all.0.insert(word.to_owned());
                }
            }
        }
        Ok(all)
    }

    /// One name a line; what follows a tab, empty lines and lines that begin with `#` are comments.
    pub fn parse(text: &str) -> Self {
        let name = |line: &str| line.split('\t').next().unwrap_or_default().trim().to_owned();
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        Self(lines.map(name).filter(|n| !n.is_empty()).collect())
    }

    /// Adds a name.
    pub fn insert(&mut self, name: String) {
        self.0.insert(name);
    }

    /// Whether `name` is on the list.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_presets_and_files_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.txt");
        std::fs::write(&file, "# overlap with LFW\nceleba-1\t0.71\n\nceleba-2/3.webp\r\n").unwrap();
        let words = ["casia".to_owned(), "me".to_owned(), format!("@{}", file.display())];
        let got = Exclusions::from_words(&words).unwrap();
        let names: Vec<_> = got.names().collect();
        assert_eq!(names, ["0166921", "1056413", "1193098", "celeba-1", "celeba-2/3.webp", "me"]);
        let error = Exclusions::from_words(&["@/nowhere/x"]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/x"), "{error}");
    }
}
