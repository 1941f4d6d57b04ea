//! The rules of ARCHITECTURE.md as functions: the workspace's crates and sources in, the breaches out.

use crate::tree::Source;

/// A crate of the workspace and what it names in its Cargo.toml, whatever for: to run, to build or to test.
pub struct Crate {
    /// Its package name.
    pub name: String,
    /// The package names of its dependencies.
    pub dependencies: Vec<String>,
}

/// What our crates may use of one another. A new crate is a new row.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("limen-models", &[]),
    ("limen-gallery-db", &[]),
    ("limen", &["limen-models", "limen-gallery-db"]),
    ("limen-train", &["limen-models", "limen-gallery-db"]),
    ("limen-tests", &["limen-models", "limen-gallery-db", "limen", "limen-train"]),
];

/// `models` and `gallery-db` depend on nothing of ours, `firmware` and `trainer` on both and not on each other.
pub fn crates_depend_downwards(crates: &[Crate]) -> Vec<String> {
    let is_ours = |name: &str| ALLOWED.iter().any(|(ours, _)| *ours == name);
    let mut breaches = Vec::new();
    for c in crates {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == c.name) else {
            breaches
                .push(format!("{}: a crate that the table of allowed dependencies does not know", c.name));
            continue;
        };
        for d in c.dependencies.iter().filter(|d| is_ours(d) && !allowed.contains(&d.as_str())) {
            breaches.push(format!("{} depends on {d}", c.name));
        }
    }
    breaches
}

/// A library of others that only one crate, and in it only some rooms, may name.
struct Engine {
    /// How the library's crates begin: `tract` stands for `tract-onnx` and `tract_core` too.
    library: &'static str,
    owner: &'static str,
    rooms: &'static [&'static str],
}

const ENGINES: [Engine; 5] = [
    Engine { library: "tract", owner: "limen-models", rooms: &["models/src/session", "models/src/kernels"] },
    Engine { library: "burn", owner: "limen-train", rooms: &["trainer"] },
    Engine { library: "rusqlite", owner: "limen-gallery-db", rooms: &["gallery-db"] },
    Engine { library: "gpiocdev", owner: "limen", rooms: &["firmware/src/relay"] },
    Engine { library: "linux_embedded_hal", owner: "limen", rooms: &["firmware/src/relay"] },
];

fn is_of(name: &str, library: &str) -> bool {
    name.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Every engine is named by its owner's Cargo.toml alone, and by the sources of its rooms alone.
pub fn engines_have_one_home(crates: &[Crate], sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for Engine { library, owner, rooms } in &ENGINES {
        for c in crates.iter().filter(|c| c.name != *owner) {
            for d in c.dependencies.iter().filter(|d| is_of(&d.replace('-', "_"), library)) {
                breaches.push(format!("{} depends on {d}, which is {owner}'s alone", c.name));
            }
        }
        for file in sources.iter().filter(|file| !file.is_in(rooms)) {
            for (at, word) in file.identifiers().filter(|(_, word)| is_of(word, library)) {
                // As a path or an import, so that a variable may have the word in its name.
                let used = file.code[at + word.len()..].starts_with("::")
                    || file.code[..at].trim_end().ends_with("use")
                    || file.code[..at].trim_end().ends_with("extern crate");
                if used {
                    breaches.push(format!("{} names {word}", file.place(at)));
                }
            }
        }
    }
    breaches
}

/// The rooms that may say yes or no.
const JUDGES: [&str; 2] = ["firmware/src/decide", "firmware/src/rules"];

/// Outside of the judges' rooms `Decision::Grant` and `Decision::Deny` are only matched on, never made.
pub fn only_decide_decides(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    let others = |f: &&Source| f.path.starts_with("firmware/src/") && !f.is_in(&JUDGES) && !f.is_test();
    for file in sources.iter().filter(others) {
        for (at, _) in file.code.match_indices("Decision::") {
            let rest = &file.code[at + "Decision::".len()..];
            let imports_variants = rest.starts_with(['{', '*']) && !rest.starts_with("{self}");
            let variant = ["Grant", "Deny"].into_iter().find(|v| rest.starts_with(v));
            if imports_variants {
                breaches.push(format!("{} imports the variants of Decision", file.place(at)));
            } else if variant.is_some_and(|v| !is_pattern(&file.code[..at], &rest[v.len()..])) {
                breaches.push(format!("{} makes a decision", file.place(at)));
            }
        }
    }
    breaches
}

/// Whether a variant's name stands in a pattern: in a `matches!`, or followed by `=>`, `if`, `=` or `|` after its
/// fields and the brackets around it, or with `..` for fields. Anything else is taken for a value.
fn is_pattern(before: &str, after: &str) -> bool {
    if before.rfind("matches!(").is_some_and(|at| !before[at..].contains(';')) {
        return true;
    }
    let rest = after.trim_start();
    let (fields, rest) = match rest.chars().next() {
        Some('(') => split_group(rest, '(', ')'),
        Some('{') => split_group(rest, '{', '}'),
        _ => ("", rest),
    };
    fields.trim() == ".." || ends_a_pattern(rest)
}

/// Whether a pattern ends here, once the tuples and structs around it are closed.
fn ends_a_pattern(mut rest: &str) -> bool {
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            Some(')' | ']' | '}') => rest = &rest[1..],
            Some(',') => match to_closer(&rest[1..]) {
                Some(closed) => rest = closed,
                None => return false,
            },
            _ => {
                return rest.starts_with("=>")
                    || rest.starts_with("if ")
                    || (rest.starts_with('|') && !rest.starts_with("||"))
                    || (rest.starts_with('=') && !rest.starts_with("=="));
            }
        }
    }
}

/// From the bracket that closes what the text stands in; none if an arm or a statement comes before it.
fn to_closer(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return Some(&text[i..]),
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return None,
            '=' if depth == 0 && text[i..].starts_with("=>") => return None,
            _ => {}
        }
    }
    None
}

fn split_group(text: &str, open: char, close: char) -> (&str, &str) {
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return (&text[1..i], &text[i + 1..]);
            }
        }
    }
    (text, "")
}

/// What the judges may not reach for: files, clocks, the database, the network, other threads, the terminal.
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "rusqlite",
    "static mut",
    "println!",
    "eprintln!",
    "print!",
    "rand::",
];

/// The judges are pure functions of their inputs.
pub fn decide_is_pure(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in sources.iter().filter(|f| f.is_in(&JUDGES) && !f.is_test()) {
        for word in IMPURE {
            for (at, _) in file.code.match_indices(word) {
                let starts = !file.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if starts {
                    breaches.push(format!("{} reaches for {word}", file.place(at)));
                }
            }
        }
    }
    breaches
}

/// Where `unsafe` may be written: SIMD, and memory mapped from drivers.
const UNSAFE_ROOMS: [&str; 5] = [
    "models/src/kernels",
    "gallery-db/src/search",
    "firmware/src/camera",
    "firmware/src/display/panel",
    "trainer/src/ops",
];

/// `unsafe` stands in its rooms alone.
pub fn unsafe_stays_in_its_rooms(sources: &[Source]) -> Vec<String> {
    let outside = sources.iter().filter(|f| !f.is_in(&UNSAFE_ROOMS));
    outside
        .flat_map(|f| f.identifiers().filter(|(_, w)| *w == "unsafe").map(|(at, _)| f.place(at)))
        .map(|place| format!("{place} is unsafe"))
        .collect()
}

/// The first line of every file says, in a sentence, what it is for.
pub fn files_open_with_a_sentence(sources: &[Source]) -> Vec<String> {
    let says = |f: &Source| {
        let line = f.text.lines().next().unwrap_or_default();
        line.strip_prefix("//! ").is_some_and(|sentence| sentence.split_whitespace().count() >= 3)
    };
    sources
        .iter()
        .filter(|f| !says(f))
        .map(|f| format!("{} does not begin with a //! sentence", f.path))
        .collect()
}

/// A module with children is `name.rs` beside `name/`.
pub fn no_mod_rs(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|f| f.path.ends_with("/mod.rs"))
        .map(|f| format!("{}: name it after its folder, beside it", f.path))
        .collect()
}

/// Where similarity is computed.
const SCORE_ROOMS: [&str; 2] = ["gallery-db/src/score", "gallery-db/src/search"];

/// No function outside of the score's rooms is called a cosine; tests may have their own to compare with.
pub fn the_score_has_one_home(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in sources.iter().filter(|f| !f.is_in(&SCORE_ROOMS) && !f.is_test()) {
        for (at, word) in file.identifiers().filter(|(_, word)| word.starts_with("cosine")) {
            if file.code[..at].trim_end().ends_with("fn") {
                breaches.push(format!("{} computes a score: fn {word}", file.place(at)));
            }
        }
    }
    breaches
}

/// Rooms without which a rule above would hold of nothing, so that a rename does not switch it off.
const CORNERSTONES: [&str; 4] =
    ["models/src/session.rs", "gallery-db/src/score.rs", "firmware/src/decide.rs", "firmware/src/relay.rs"];

/// The files that the rules name are there.
pub fn cornerstones_stand(sources: &[Source]) -> Vec<String> {
    CORNERSTONES
        .iter()
        .filter(|path| !sources.iter().any(|f| f.path == **path))
        .map(|path| format!("{path} is gone: name its successor in the rules"))
        .collect()
}
