//! `docs/reference/train-config.md`: every field is there, with the default that it has.

use toml::Value;

use super::SMALL;
use crate::config::Config;

const PAGE: &str = include_str!("../../../../docs/reference/train-config.md");

/// Heading on the page, where the section lies in a run's file, and the lines that put it there; at `%` a field that
/// does not exist is planted.
const SECTIONS: [(&str, &str, &str); 34] = [
    ("## Top of the file", "", "%"),
    ("## [data]", "data", "[data]\npaths = [\"crops\"]\n%"),
    ("## [network]", "network", "[network]\n%"),
    ("## [start]", "start", "[start]\n%"),
    ("### head: a-softmax", "head", "[head]\nkind = \"a-softmax\"\n%"),
    ("### head: l-softmax", "head", "[head]\nkind = \"l-softmax\"\n%"),
    (
        "### lambda",
        "head.lambda",
        "[head]\nkind = \"a-softmax\"\n[head.lambda]\nbase = 1\ngamma = 1\npower = 1\nmin = 1\n%",
    ),
    ("### head: softmax", "head", "[head]\nkind = \"softmax\"\n%"),
    ("### head: modified-softmax", "head", "[head]\nkind = \"modified-softmax\"\n%"),
    ("### head: sphereface", "head", "[head]\nkind = \"sphereface\"\n%"),
    ("### head: cosface", "head", "[head]\nkind = \"cosface\"\n%"),
    ("### head: arcface", "head", "[head]\nkind = \"arcface\"\n%"),
    ("### head: sphereface-r", "head", "[head]\nkind = \"sphereface-r\"\n%"),
    ("### norm: hfn", "head.norm", "[head]\nkind = \"sphereface-r\"\n[head.norm]\nkind = \"hfn\"\n%"),
    ("### norm: sfn", "head.norm", "[head]\nkind = \"sphereface-r\"\n[head.norm]\nkind = \"sfn\"\n%"),
    ("### norm: nfn", "head.norm", "[head]\nkind = \"sphereface-r\"\n[head.norm]\nkind = \"nfn\"\n%"),
    ("### head: sphereface2", "head", "[head]\nkind = \"sphereface2\"\n%"),
    ("### head: sphereface-plus", "head", "[head]\nkind = \"sphereface-plus\"\n%"),
    (
        "### energy: angular",
        "head.energy",
        "[head]\nkind = \"sphereface-plus\"\n[head.energy]\nkind = \"angular\"\n%",
    ),
    (
        "### energy: inter-class",
        "head.energy",
        "[head]\nkind = \"sphereface-plus\"\n[head.energy]\nkind = \"inter-class\"\n%",
    ),
    ("## [classes]", "classes", "[classes]\n%"),
    ("## [schedule]", "schedule", "[schedule]\n%"),
    (
        "### fall: steps",
        "schedule.fall",
        "[schedule]\n[schedule.fall]\nkind = \"steps\"\nat = [5]\ngamma = 0.1\n%",
    ),
    ("## [augment]", "augment", "[augment]\n%"),
    ("### [augment.shift]", "augment.shift", "[augment.shift]\n%"),
    ("### [augment.low_resolution]", "augment.low_resolution", "[augment.low_resolution]\n%"),
    ("### [augment.blur]", "augment.blur", "[augment.blur]\n%"),
    ("### [augment.photometric]", "augment.photometric", "[augment.photometric]\n%"),
    ("### [augment.occlusion]", "augment.occlusion", "[augment.occlusion]\n%"),
    ("### [augment.mask]", "augment.mask", "[augment.mask]\n%"),
    ("### [augment.glasses]", "augment.glasses", "[augment.glasses]\n%"),
    ("## [teacher]", "teacher", "[teacher]\nmodels = \"m\"\nid = \"t\"\n%"),
    ("## [guard]", "guard", "[guard]\n%"),
    ("## [output]", "output", "[output]\n%"),
];

/// A whole file with `section` in it in place of the smallest file's own.
fn file(section: &str) -> String {
    let own = section.lines().find(|l| l.starts_with('[')).unwrap_or_default();
    let mut text = String::new();
    for part in ["[data]\npaths = [\"crops\"]\n", "[head]\nkind = \"a-softmax\"\n", "[schedule]\n"] {
        if !part.starts_with(own) || own.is_empty() {
            text += part;
        }
    }
    if own.is_empty() { format!("{section}\n{text}") } else { format!("{text}{section}\n") }
}

/// The fields that a section has: what the reader answers to one that it does not.
fn fields(section: &str) -> Vec<String> {
    let text = file(&section.replace('%', "nonsense = 1"));
    let error = format!("{:#}", Config::parse(&text).unwrap_err());
    assert!(error.contains("`nonsense`"), "{error}\n{text}");
    let known = error.split_once("expected").map_or("", |(_, known)| known);
    known.split('`').skip(1).step_by(2).filter(|f| *f != "kind").map(str::to_owned).collect()
}

/// The page's rows between `heading` and the next one: field and default.
fn rows(heading: &str) -> Vec<(String, String)> {
    let lines = PAGE.lines().skip_while(|l| *l != heading).skip(1).take_while(|l| !l.starts_with('#'));
    lines
        .filter(|l| l.starts_with("| `"))
        .map(|l| {
            let cells: Vec<&str> = l.split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 7, "five columns: {l}");
            (cells[1].trim_matches('`').to_owned(), cells[3].to_owned())
        })
        .collect()
}

/// The same numbers, whether written as whole ones or not; f32 fields are near.
fn same(a: &Value, b: &Value) -> bool {
    let number = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Table(a), Value::Table(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| same(a, b)))
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * a.abs(),
            _ => a == b,
        },
    }
}

#[test]
fn every_field_is_on_the_page_with_its_default() {
    for (heading, path, section) in SECTIONS {
        assert!(PAGE.lines().any(|l| l == heading), "the page has no {heading:?}");
        let rows = rows(heading);
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, fields(section), "{heading}: the page's rows, and the fields that there are");
        if path == "start" {
            continue; // one of its fields has to be given
        }
        let text = Config::parse(&file(&section.replace('%', ""))).unwrap().to_toml().unwrap();
        let mut defaults: Value = toml::from_str(&text).unwrap();
        for step in path.split('.').filter(|s| !s.is_empty()) {
            defaults = defaults.get(step).cloned().unwrap_or_else(|| Value::Table(toml::Table::new()));
        }
        for (name, told) in rows {
            let given = section.lines().any(|l| l.starts_with(&format!("{name} =")));
            match (defaults.get(&name), told.strip_prefix('`').and_then(|t| t.strip_suffix('`'))) {
                _ if given || told == "required" => {
                    assert!(told == "required", "{heading} {name}: it has to be given");
                }
                (Some(value), Some(told)) => {
                    let told: toml::Table = toml::from_str(&format!("x = {told}")).unwrap();
                    assert!(same(value, &told["x"]), "{heading} {name}: {value} is the default");
                }
                (Some(value), None) => assert!(value.is_table(), "{heading} {name} = {value}: {told:?}"),
                (None, told) => assert!(told.is_none(), "{heading} {name} has no default, {told:?}"),
            }
        }
    }
    assert_eq!(Config::parse(SMALL).unwrap(), Config::parse(&file("")).unwrap(), "the smallest file");
}
