//! The workspace as data: its source files, and the code in them without comments, strings and tests.

use std::fs;
use std::path::Path;

/// One source file.
pub struct Source {
    /// From the workspace's root, with `/`: `firmware/src/decide.rs`.
    pub path: String,
    /// As it stands in the file.
    pub text: String,
    /// The code alone: comments, literals and `#[cfg(test)]` items are blanks. Line numbers are those of `text`.
    pub code: String,
}

impl Source {
    /// A file of that path with that text, on disk or planted by a test.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: without_tests(&code_only(text)) }
    }

    /// Whether the file is one of the rooms: `models/src/kernels` is that file and that folder.
    pub fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| {
            self.path.strip_prefix(room).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
                || self.path == *room
        })
    }

    /// Whether the file is only ever compiled for tests and measurements: in such a folder, or a `tests.rs`.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| ["tests", "tests.rs", "benches"].contains(&part))
    }

    /// `path:line`, for a byte offset into `code`.
    pub fn place(&self, at: usize) -> String {
        let line = 1 + self.code.bytes().take(at).filter(|&b| b == b'\n').count();
        format!("{}:{line}", self.path)
    }

    /// The identifiers of the code with their byte offsets, keywords among them.
    pub fn identifiers(&self) -> impl Iterator<Item = (usize, &str)> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = self.code.as_bytes();
        let starts = (0..bytes.len()).filter(move |&i| letter(bytes[i]) && (i == 0 || !letter(bytes[i - 1])));
        starts.map(move |i| {
            let len = bytes[i..].iter().take_while(|&&b| letter(b)).count();
            (i, &self.code[i..i + len])
        })
    }
}

/// Every Rust file under the workspace's root, in the order of its path; build folders and hidden ones are left out.
pub fn sources(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let from_root = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                found.push(Source::new(&from_root, &fs::read_to_string(&path)?));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The text with comments and the insides of string and character literals blanked, byte for byte.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + skip(&bytes[at..], at > 0 && is_word(bytes[at - 1]));
        if end > at {
            out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
            at = end;
        } else {
            at += 1;
        }
    }
    // Whole comments and literals are blanked, so what is left was UTF-8 and still is.
    String::from_utf8_lossy(&out).into_owned()
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The length of the comment or literal that begins here, 0 where none does.
fn skip(rest: &[u8], after_word: bool) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !after_word => raw_string(rest),
        // A lifetime has no closing quote one character later.
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', first, ..] => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0.. => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0usize, 0);
    while i < rest.len() {
        match &rest[i..] {
            [b'/', b'*', ..] => (depth, i) = (depth + 1, i + 2),
            [b'*', b'/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    rest.len().min(i + 1)
}

fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0; // a raw identifier
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[2 + hashes..];
    body.windows(close.len()).position(|w| w == close).map_or(rest.len(), |at| 2 + hashes + at + close.len())
}

/// The code with every `#[cfg(test)]` item blanked.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(start) = out[from..].find(MARK).map(|at| from + at) {
        let end = item_end(&out, start + MARK.len());
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        from = start + blank.len();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Where the item that starts at `from` ends: its `;`, or the brace that closes its first one.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (i, c) in code[from..].char_indices() {
        match c {
            ';' if depth == 0 => return from + i + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return from + i + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn comments_literals_and_tests_are_no_code() {
        let file = Source::new(
            "a.rs",
            r####"fn f<'a>(x: &'a str) { g("unsafe \" {"); /* unsafe /* { */ } */ h('{', '"', '\'', 'ä', '→'); } // unsafe
let raw = r#"unsafe " { "#; let r#fn = br"unsafe";
#[cfg(test)]
mod tests { fn t() { if unsafe { 1 } {} } }
fn last() {}
#[cfg(test)]
use unsafe;
fn end() {}"####,
        );
        let words: Vec<&str> = file.identifiers().map(|(_, word)| word).collect();
        assert!(!words.contains(&"unsafe"), "{}", file.code);
        assert_eq!(words.iter().filter(|w| ["f", "last", "end", "g", "h"].contains(w)).count(), 5);
        let (at, _) = file.identifiers().find(|(_, word)| *word == "end").unwrap();
        assert_eq!(file.place(at), "a.rs:8");
        assert_eq!(file.code.lines().count(), file.text.lines().count());
    }

    #[test]
    fn a_room_is_a_file_or_a_folder() {
        let file = |path: &str| Source::new(path, "");
        assert!(file("models/src/kernels.rs").is_in(&["models/src/kernels"]));
        assert!(file("models/src/kernels/avx.rs").is_in(&["models/src/kernels"]));
        assert!(!file("models/src/kernels_too.rs").is_in(&["models/src/kernels"]));
    }
}
