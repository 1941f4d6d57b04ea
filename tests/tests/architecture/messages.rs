//! Every message that an error of ours has stands in docs/reference/bad-input.md.

use crate::tree::Source;

/// The messages of the programs on a board that `table` does not have: each by its longest words without a value.
pub fn messages_are_told(sources: &[Source], table: &str) -> Vec<String> {
    let table = one_line(table);
    let boards = ["firmware/src/", "gallery-db/src/", "models/src/"];
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|s| boards.iter().any(|b| s.path.starts_with(b))) {
        for message in messages(&source.text) {
            let words = longest_words(&message);
            if !table.contains(&words) {
                breaches.push(format!("{}: \"{words}\" is not in docs/reference/bad-input.md", source.path));
            }
        }
    }
    breaches
}

/// What stands in `#[error("…")]`.
fn messages(text: &str) -> Vec<String> {
    let after = |part: &str| part.trim_start().strip_prefix('"').and_then(literal);
    text.split("#[error(").skip(1).filter_map(after).collect()
}

/// A string literal up to its end, as it is read.
fn literal(text: &str) -> Option<String> {
    let mut read = String::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '"' => return Some(one_line(&read)),
            // A line that goes on; every other letter stands for itself here.
            '\\' => read.extend(rest.next().filter(|next| *next != '\n')),
            _ => read.push(letter),
        }
    }
    None
}

/// The longest part between `{values}`, without the signs around it.
fn longest_words(message: &str) -> String {
    let parts = message.split(['{', '}']).step_by(2);
    let trimmed = parts.map(|p| p.trim_matches([' ', ':', ';', ',', '.', '(', ')', '"']));
    trimmed.max_by_key(|p| p.len()).unwrap_or_default().to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
