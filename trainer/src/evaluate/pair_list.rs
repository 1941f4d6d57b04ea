//! Lists of pairs to compare: LFW's `pairs.txt`, or CSV with the columns `left`, `right` and `same`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::dataset::{Pair, Truth, lfw_pairs};

/// Reads either form: LFW's begins with two numbers, CSV with the header `left,right,same`. Pairs of a CSV list are all
/// of one fold.
///
/// # Errors
/// When it is neither, or a line is not understood.
pub fn parse(text: &str) -> Result<Vec<Pair>> {
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    if first.split_whitespace().all(|w| w.parse::<u64>().is_ok()) && !first.is_empty() {
        return lfw_pairs(text);
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    ensure!(
        header == ["left", "right", "same"],
        "line 1: LFW's two numbers or the header \"left,right,same\" is expected"
    );
    let mut pairs = Vec::new();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let path = |i: usize| record.get(i).filter(|p| !p.is_empty()).map(PathBuf::from);
        let truth = match record.get(2) {
            Some("1" | "true" | "yes") => Truth::Same,
            Some("0" | "false" | "no") => Truth::Different,
            other => bail!("line {line}: {other:?}: 1 (same person) or 0 is expected"),
        };
        let (left, right) =
            path(0).zip(path(1)).with_context(|| format!("line {line}: a picture is missing"))?;
        pairs.push(Pair { left, right, truth, fold: 0 });
    }
    ensure!(!pairs.is_empty(), "it lists no pairs");
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_told_apart() {
        let p = parse("left,right,same\na/1.jpg, b/1.jpg,0\na/1.jpg,a/2.jpg,1\n").unwrap();
        assert_eq!(p.iter().map(|p| p.truth).collect::<Vec<_>>(), [Truth::Different, Truth::Same]);
        assert_eq!(p[0].right, PathBuf::from("b/1.jpg"));
        assert_eq!(parse("2\t1\nA\t1\t2\nA\t1\tB\t1\nA\t1\t3\nA\t1\tB\t2\n").unwrap().len(), 4);
    }

    #[test]
    fn what_is_not_understood_names_its_line() {
        for (text, says) in [
            ("", "line 1"),
            ("a,b\n", "line 1"),
            ("left,right,same\na,b,2\n", "line 2"),
            ("left,right,same\na,,1\n", "line 2"),
            ("left,right,same\n", "no pairs"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.contains(says), "{text:?}: {e}");
        }
    }
}
