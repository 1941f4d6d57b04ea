//! The fonts that screens are set in: Noto Sans, then a file of one's own for what it lacks, then the built-in Chinese.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ab_glyph::{Font, FontArc, FontVec, GlyphId};
use thiserror::Error;

/// Letters out of Noto Sans CJK SC, SIL Open Font License 1.1: those of languages/zh.toml; cross/zh-font makes them.
const CHINESE: [&[u8]; 2] =
    [include_bytes!("../../languages/zh-regular.otf"), include_bytes!("../../languages/zh-bold.otf")];

/// What stands for a letter that no font has.
const MISSING: char = '?';

/// One weight of letters. The first of its fonts that has a letter draws it.
#[derive(Debug, Clone)]
pub struct Typeface(Vec<FontArc>);

impl Typeface {
    /// Built-in fonts that cannot be read are left out (a test reads them all): that draws no text instead of ending the program.
    fn new(noto: &'static [u8], own: Option<&FontArc>, chinese: &'static [u8]) -> Self {
        let built_in = |bytes| FontArc::try_from_slice(bytes).ok();
        Self([built_in(noto), own.cloned(), built_in(chinese)].into_iter().flatten().collect())
    }

    /// Whether a font here has that letter. Control characters stand as spaces.
    pub fn has(&self, letter: char) -> bool {
        self.find(letter).is_some()
    }

    /// The letter, or a question mark in its place.
    pub(super) fn glyph(&self, letter: char) -> Option<(&FontArc, GlyphId)> {
        self.find(letter).or_else(|| self.find(MISSING))
    }

    fn find(&self, letter: char) -> Option<(&FontArc, GlyphId)> {
        let letter = if letter.is_control() { ' ' } else { letter };
        // Glyph 0 is the box for what is missing.
        self.0.iter().map(|font| (font, font.glyph_id(letter))).find(|(_, id)| id.0 != 0)
    }
}

/// Both weights.
#[derive(Debug, Clone)]
pub struct Fonts {
    /// For sentences.
    pub regular: Typeface,
    /// For names, titles and the clock.
    pub bold: Typeface,
}

impl Fonts {
    /// The built-in ones.
    pub fn built_in() -> Self {
        Self::with(None)
    }

    /// The built-in ones, and the font of `source` for what Noto Sans lacks, in both weights.
    pub fn open(source: &FontSource) -> Result<Self, FontError> {
        let FontSource::File { path, index } = source else { return Ok(Self::built_in()) };
        let bytes = std::fs::read(path).map_err(|source| FontError::Read { path: path.clone(), source })?;
        let own = FontVec::try_from_vec_and_index(bytes, *index)
            .map_err(|_| FontError::Unusable { path: path.clone(), index: *index })?;
        Ok(Self::with(Some(&FontArc::new(own))))
    }

    fn with(own: Option<&FontArc>) -> Self {
        Self {
            regular: Typeface::new(notosans::REGULAR_TTF, own, CHINESE[0]),
            bold: Typeface::new(notosans::BOLD_TTF, own, CHINESE[1]),
        }
    }

    /// Whether all of `text` can be written.
    pub fn can_write(&self, text: &str) -> bool {
        text.chars().all(|c| self.regular.has(c) && self.bold.has(c))
    }
}

/// Which font of one's own, as written in the config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FontSource {
    /// ``: none.
    #[default]
    None,
    /// `FILE`, or `FILE#INDEX` for a font of a collection.
    File {
        /// The file.
        path: PathBuf,
        /// Which font of it, from 0.
        index: u32,
    },
}

impl FromStr for FontSource {
    type Err = FontError;

    fn from_str(text: &str) -> Result<Self, FontError> {
        if text.is_empty() {
            return Ok(Self::None);
        }
        let bad = || FontError::Name { text: text.to_owned() };
        let (path, index) = match text.rsplit_once('#') {
            Some((path, index)) => (path, index.parse().map_err(|_| bad())?),
            None => (text, 0),
        };
        if path.is_empty() { Err(bad()) } else { Ok(Self::File { path: path.into(), index }) }
    }
}

impl fmt::Display for FontSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::File { path, index: 0 } => write!(f, "{}", path.display()),
            Self::File { path, index } => write!(f, "{}#{index}", path.display()),
        }
    }
}

/// Why a font cannot be used.
#[derive(Debug, Error)]
pub enum FontError {
    /// The text of the setting names no font.
    #[error("font \"{text}\": write FILE, or FILE#2 for the third font of a collection (.ttc)")]
    Name {
        /// As written.
        text: String,
    },
    /// The file cannot be read.
    #[error(
        "{path}: cannot be read: {source}; `fc-list` lists fonts, and `apt install fonts-noto-cjk` brings one"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No font, or none of that number.
    #[error(
        "{path}: has no TrueType or OpenType font number {index}; name another file or number (display.font)"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Which of its fonts.
        index: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_built_in_fonts_are_read_and_have_the_letters_of_names() {
        let fonts = Fonts::built_in();
        for typeface in [&fonts.regular, &fonts.bold] {
            assert_eq!(typeface.0.len(), 2);
            assert_eq!(typeface.0[0].units_per_em(), Some(2048.0));
            assert_eq!(typeface.0[1].units_per_em(), Some(1000.0));
        }
        assert!(fonts.can_write("AaÄäÖöÜüßÉéÇçÑñŁłŞşĞğŽžĐđØøÅåÆæŐőİıŢțΑωЖя…–’\n"));
    }

    #[test]
    fn each_letter_comes_from_the_first_font_that_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.otf");
        std::fs::write(&path, CHINESE[1]).unwrap();
        let fonts = Fonts::open(&FontSource::File { path, index: 0 }).unwrap();
        let of = |c| {
            let (font, _) = fonts.regular.glyph(c).unwrap();
            fonts.regular.0.iter().position(|f| std::ptr::eq(f, font)).unwrap()
        };
        assert_eq!((fonts.regular.0.len(), of('a'), of('门')), (3, 0, 1));
        // An ideograph that the screens do not use.
        assert!(!fonts.can_write("龘"));
        assert_eq!(fonts.regular.glyph('龘').unwrap().1, fonts.regular.glyph('?').unwrap().1);
    }

    #[test]
    fn a_font_is_named_by_file_and_number_and_a_bad_one_refused_with_its_cure() {
        for text in ["", "a.ttf", "/usr/share/fonts/x.ttc#2"] {
            assert_eq!(text.parse::<FontSource>().unwrap().to_string(), text);
        }
        for text in ["#1", "a.ttc#", "a.ttc#x", "a.ttc#-1"] {
            assert!(text.parse::<FontSource>().unwrap_err().to_string().contains("FILE#2"), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ttf");
        let open =
            |index| Fonts::open(&FontSource::File { path: path.clone(), index }).unwrap_err().to_string();
        assert!(open(0).contains("a.ttf: cannot be read"));
        for bytes in [b"no font".as_slice(), &[], &CHINESE[0][..2000]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(open(0).contains("a.ttf: has no TrueType or OpenType font number 0"));
        }
        std::fs::write(&path, CHINESE[0]).unwrap();
        assert!(open(7).contains("number 7"));
    }
}
