//! The language of the screens: its words, from a built-in or a file of one's own, and the fonts that can write them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;
use toml::Value;

use super::fonts::{FontError, FontSource, Fonts};
use super::words::Words;

/// Code and file of each built-in language. English comes first: it says which keys there are.
const BUILT_IN: [(&str, &str); 4] = [
    ("en", include_str!("../../languages/en.toml")),
    ("de", include_str!("../../languages/de.toml")),
    ("es", include_str!("../../languages/es.toml")),
    ("zh", include_str!("../../languages/zh.toml")),
];

/// Where words come from, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanguageSource {
    /// `en`, `de`, `es` or `zh`.
    BuiltIn {
        /// Its code.
        code: &'static str,
        /// Its file.
        text: &'static str,
    },
    /// `FILE.toml`.
    File(PathBuf),
}

impl FromStr for LanguageSource {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        match BUILT_IN.iter().find(|(code, _)| *code == text) {
            Some((code, text)) => Ok(Self::BuiltIn { code, text }),
            None if text.ends_with(".toml") => Ok(Self::File(text.into())),
            None => Err(LanguageError::Name { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for LanguageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn { code, .. } => f.write_str(code),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why a language cannot be used.
#[derive(Debug, Error)]
pub enum LanguageError {
    /// The text of the setting names no language.
    #[error(
        "language \"{text}\": not built in; write en, de, es, zh, or a file of your own that ends with .toml"
    )]
    Name {
        /// As written.
        text: String,
    },
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{source_of}: {why}")]
    Syntax {
        /// File or code.
        source_of: String,
        /// Line, column, excerpt and reason.
        why: String,
    },
    /// A key that is missing, unknown or of no use.
    #[error("{source_of}: {key}: {why}; `limen check --print-language en` prints the English file")]
    Key {
        /// File or code.
        source_of: String,
        /// Dotted name.
        key: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Words that would come out as boxes.
    #[error(
        "{source_of}: no font here has {letters}; name one that has them, such as \
         display.font = \"/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc#2\" after `apt install fonts-noto-cjk`"
    )]
    Letters {
        /// File or code.
        source_of: String,
        /// The first of them.
        letters: String,
    },
    /// The font of one's own.
    #[error(transparent)]
    Font(#[from] FontError),
}

/// Words and the fonts that can write them.
#[derive(Debug, Clone)]
pub struct Language {
    /// What is said.
    pub words: Words,
    /// How it is set.
    pub fonts: Fonts,
}

impl Language {
    /// Reads the words of `source` and sees that they are all there and can be written with `font` and the built-in fonts.
    pub fn open(source: &LanguageSource, font: &FontSource) -> Result<Self, LanguageError> {
        let fonts = Fonts::open(font)?;
        let text = source.text()?;
        let source_of = source.to_string();
        let syntax = |e: toml::de::Error| LanguageError::Syntax {
            source_of: source_of.clone(),
            why: e.to_string().trim_end().into(),
        };
        let table: Value = toml::from_str(&text).map(Value::Table).map_err(syntax)?;
        let english: Value = toml::from_str(BUILT_IN[0].1).map(Value::Table).map_err(syntax)?;
        compare(&english, &table, "").map_err(|(key, why)| LanguageError::Key {
            source_of: source_of.clone(),
            key,
            why,
        })?;
        let mut missing = BTreeSet::new();
        each_word(&table, &mut |word| {
            missing.extend(word.chars().filter(|c| !fonts.can_write(c.encode_utf8(&mut [0; 4]))));
        });
        if !missing.is_empty() {
            let letters = missing.iter().take(8).map(char::to_string).collect::<Vec<_>>().join(" ");
            return Err(LanguageError::Letters { source_of, letters });
        }
        // By way of JSON: the code that takes each of the structures out of TOML would be five times as long.
        let words = serde_json::to_value(&table).and_then(serde_json::from_value);
        let words = words.map_err(|e| LanguageError::Syntax { source_of, why: e.to_string() })?;
        Ok(Self { words, fonts })
    }
}

impl LanguageSource {
    /// The file's text.
    pub fn text(&self) -> Result<String, LanguageError> {
        match self {
            Self::BuiltIn { text, .. } => Ok((*text).to_owned()),
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|source| LanguageError::Read { path: path.clone(), source }),
        }
    }
}

/// Whether `other` has the keys of `english`, and each word the places for numbers and names that the English one has.
fn compare(english: &Value, other: &Value, key: &str) -> Result<(), (String, String)> {
    let fault = |key: &str, why: &str| Err((key.to_owned(), why.to_owned()));
    match (english, other) {
        (Value::Table(english), Value::Table(other)) => {
            let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
            if let Some(unknown) = other.keys().find(|k| !english.contains_key(*k)) {
                return fault(&below(unknown), "no screen has it; remove it, or mend its name");
            }
            english.iter().try_for_each(|(name, word)| match other.get(name) {
                Some(translated) => compare(word, translated, &below(name)),
                None => {
                    fault(&below(name), "is missing; take it over from the English file and translate it")
                }
            })
        }
        (Value::Array(english), Value::Array(other)) if english.len() == other.len() => {
            english.iter().zip(other).try_for_each(|(english, other)| compare(english, other, key))
        }
        (Value::String(english), Value::String(other)) => {
            if other.trim().is_empty() {
                return fault(key, "says nothing; write a word");
            }
            let (wanted, found) = (places(english), places(other));
            if wanted == found { Ok(()) } else { fault(key, &format!("must hold {}", listed(&wanted))) }
        }
        (Value::Array(english), _) => fault(key, &format!("must be a list of {} words", english.len())),
        (Value::Table(_), _) => fault(key, "must be a section"),
        _ => fault(key, "must be a word in quotation marks"),
    }
}

/// What stands in braces, with them.
fn places(word: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = word;
    while let Some((begin, end)) = rest.find('{').and_then(|b| rest[b..].find('}').map(|e| (b, b + e + 1))) {
        found.insert(&rest[begin..end]);
        rest = &rest[end..];
    }
    found
}

fn listed(places: &BTreeSet<&str>) -> String {
    if places.is_empty() {
        return "no word in braces".into();
    }
    places.iter().copied().collect::<Vec<_>>().join(", ") + " and nothing else in braces"
}

fn each_word(value: &Value, tell: &mut impl FnMut(&str)) {
    match value {
        Value::Table(table) => table.values().for_each(|v| each_word(v, tell)),
        Value::Array(array) => array.iter().for_each(|v| each_word(v, tell)),
        Value::String(word) => tell(word),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::words::Words;

    const ENGLISH: &str = BUILT_IN[0].1;

    fn open(text: &str) -> Result<Words, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.toml");
        std::fs::write(&path, text).unwrap();
        let opened = Language::open(&LanguageSource::File(path), &FontSource::None);
        opened.map(|l| l.words).map_err(|e| e.to_string())
    }

    #[test]
    fn every_built_in_language_says_everything_in_letters_that_the_built_in_fonts_have() {
        for (code, _) in BUILT_IN {
            let source: LanguageSource = code.parse().unwrap();
            assert_eq!(source.to_string(), code);
            // A word of zh.toml that was changed needs its letters: cross/zh-font.
            let language = Language::open(&source, &FontSource::None).unwrap_or_else(|e| panic!("{e}"));
            assert!(code == "en" || language.words != open(ENGLISH).unwrap());
        }
    }

    #[test]
    fn a_language_that_is_none_names_those_there_are() {
        for text in ["fr", "", "EN", "/etc/limen"] {
            let e = text.parse::<LanguageSource>().unwrap_err().to_string();
            assert!(e.contains("en, de, es, zh"), "{e}");
        }
        let missing: LanguageSource = "/nonexistent/fr.toml".parse().unwrap();
        let e = Language::open(&missing, &FontSource::None).unwrap_err().to_string();
        assert!(e.starts_with("/nonexistent/fr.toml: cannot be read"), "{e}");
    }

    #[test]
    fn a_file_with_a_fault_is_refused_by_file_key_and_cure() {
        for (from, to, says) in [
            ("too-dark = \"Too dark: turn to the light\"\n", "", "hints.too-dark: is missing; take it over"),
            ("[service]", "[servile]", "servile: no screen has it; remove it"),
            ("blurred =", "blured =", "hints.blured: no screen has it"),
            ("\"Monday\", ", "", "date.weekdays: must be a list of 7 words"),
            ("\"Monday\"", "1", "date.weekdays: must be a word in quotation marks"),
            ("\"Welcome\"", "\" \"", "granted.greeting: says nothing"),
            ("\"Id {id}\"", "\"Id\"", "enrol.person: must hold {id}"),
            ("\"Welcome\"", "\"Welcome {name}\"", "granted.greeting: must hold no word in braces"),
            ("\"Welcome\"", "\"ようこそ\"", "no font here has う こ そ よ; name one"),
            ("\"Welcome\"", "Welcome", "own.toml: TOML parse error at line"),
        ] {
            assert!(ENGLISH.contains(from), "{from}");
            let e = open(&ENGLISH.replace(from, to)).unwrap_err();
            assert!(e.contains("own.toml: ") && e.contains(says), "{e}");
        }
    }

    #[test]
    fn dates_are_written_as_each_language_writes_them() {
        let date = jiff::civil::date(2026, 11, 24);
        let written = ["en", "de", "es", "zh"]
            .map(|code| Language::open(&code.parse().unwrap(), &FontSource::None).unwrap().words.date(date));
        let wanted =
            ["Tuesday, 24 November", "Dienstag, 24. November", "Martes, 24 de noviembre", "11月24日 星期二"];
        assert_eq!(written, wanted);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[ -~\n]{0,200}") {
            proptest::prop_assert!(open(&text).is_err());
        }
    }
}
