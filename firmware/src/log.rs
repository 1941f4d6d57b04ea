//! What the program tells people on standard error, and how much it matters: systemd's journal files each line by that.

use std::fmt::Arguments;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A fault of this program, to be reported.
    Error,
    /// The program cannot do what it was told to, and ends.
    Failure,
    /// Something for a person to see to.
    Warning,
    /// How things are.
    Info,
}

impl Level {
    /// Before the text on a terminal, and before it in the journal (sd-daemon(3)).
    fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::Error => ("limen: error: ", "<3>"),
            Self::Failure => ("limen: ", "<4>"),
            Self::Warning => ("limen: warning: ", "<4>"),
            Self::Info => ("limen: ", "<6>"),
        }
    }
}

/// Writes a line, or several of one matter.
pub fn line(level: Level, text: Arguments<'_>) {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    eprintln!("{}", marked(level, &text.to_string(), *JOURNAL.get_or_init(to_journal)));
}

/// The text as it is written: the journal takes each line for one of its own.
fn marked(level: Level, text: &str, journal: bool) -> String {
    let (terminal, for_journal) = level.marks();
    if journal {
        format!("{for_journal}{}", text.replace('\n', &format!("\n{for_journal}")))
    } else {
        format!("{terminal}{text}")
    }
}

/// Whether standard error goes to systemd's journal: it names the device and inode that it gave.
fn to_journal() -> bool {
    let given = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let here = std::fs::metadata("/proc/self/fd/2").map(|m| format!("{}:{}", m.dev(), m.ino()));
    here.is_ok_and(|here| here == given)
}

/// One line for people, with a [`Level`] and a text as of `format!`.
#[macro_export]
macro_rules! tell {
    ($level:ident, $($text:tt)*) => {
        $crate::log::line($crate::log::Level::$level, format_args!($($text)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_level_in_the_journal_and_a_word_on_a_terminal() {
        assert_eq!(marked(Level::Warning, "a\nb", true), "<4>a\n<4>b");
        assert_eq!(marked(Level::Warning, "a\nb", false), "limen: warning: a\nb");
        assert_eq!(marked(Level::Failure, "a", false), "limen: a");
    }
}
