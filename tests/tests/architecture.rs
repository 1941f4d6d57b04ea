//! The invariants of ARCHITECTURE.md, each held by a test over the sources and `cargo metadata`, and each shown to
//! fail on a planted breach.

#[path = "architecture/licence.rs"]
mod licence;
#[path = "architecture/messages.rs"]
mod messages;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tree.rs"]
mod tree;

use std::path::Path;
use std::process::Command;

use rules::Crate;
use serde_json::Value;
use tree::Source;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn sources() -> anyhow::Result<Vec<Source>> {
    tree::sources(root())
}

/// What a program prints, or what it complains of.
fn output(program: &str, default: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let path = std::env::var_os(program).unwrap_or_else(|| default.into());
    let out = Command::new(path).args(arguments).current_dir(root()).output()?;
    anyhow::ensure!(out.status.success(), "{default}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

/// `cargo metadata` as JSON, read plainly: its library would be one more thing to build.
fn metadata(options: &[&str]) -> anyhow::Result<Value> {
    let arguments = [&["metadata", "--format-version=1", "--offline"], options].concat();
    Ok(serde_json::from_str(&output("CARGO", "cargo", &arguments)?)?)
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

fn our_crates() -> anyhow::Result<Vec<Crate>> {
    let members = metadata(&["--no-deps"])?;
    let crates = list(&members, "packages").iter().map(|p| Crate {
        name: text(p, "name").to_owned(),
        dependencies: list(p, "dependencies").iter().map(|d| text(d, "name").to_owned()).collect(),
    });
    Ok(crates.collect())
}

fn planted_crate(name: &str, dependency: &str) -> Vec<Crate> {
    vec![Crate { name: name.to_owned(), dependencies: vec!["serde".to_owned(), dependency.to_owned()] }]
}

fn planted(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

#[track_caller]
fn holds(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[track_caller]
fn catches(breaches: &[String], place: &str) {
    assert!(breaches.iter().any(|b| b.starts_with(place)), "no breach at {place}: {breaches:?}");
}

#[test]
fn crates_depend_downwards() {
    let crates = our_crates().unwrap();
    assert!(crates.len() >= 5, "cargo metadata lists the members");
    holds(&rules::crates_depend_downwards(&crates));
}

#[test]
fn crates_depend_downwards_catches() {
    let found = |name, dependency| rules::crates_depend_downwards(&planted_crate(name, dependency));
    catches(&found("limen-models", "limen-gallery-db"), "limen-models depends on limen-gallery-db");
    catches(&found("limen-gallery-db", "limen-models"), "limen-gallery-db depends");
    catches(&found("limen", "limen-train"), "limen depends on limen-train");
    catches(&found("limen-train", "limen"), "limen-train depends on limen");
    catches(&found("limen-new", "serde"), "limen-new: a crate");
    holds(&found("limen", "limen-models"));
}

#[test]
fn engines_have_one_home() {
    holds(&rules::engines_have_one_home(&our_crates().unwrap(), &sources().unwrap()));
}

#[test]
fn engines_have_one_home_catches() {
    let named = |path, text| rules::engines_have_one_home(&[], &planted(path, text));
    catches(&named("models/src/detect.rs", "\nuse tract_onnx::prelude::*;"), "models/src/detect.rs:2 names");
    catches(&named("firmware/src/cmd/run.rs", "fn f() { tract_core::f() }"), "firmware/src/cmd/run.rs:1");
    catches(&named("firmware/src/act.rs", "use gpiocdev::Request;"), "firmware/src/act.rs:1");
    catches(&named("firmware/src/daemon.rs", "use linux_embedded_hal as hal;"), "firmware/src/daemon.rs:1");
    catches(&named("trainer/src/evaluate.rs", "use rusqlite::Connection;"), "trainer/src/evaluate.rs:1");
    catches(&named("models/src/embed.rs", "type T = burn::Tensor;"), "models/src/embed.rs:1");
    holds(&named("models/src/session.rs", "use tract_onnx::prelude::*;"));
    holds(&named("models/src/kernels/prelu.rs", "use tract_onnx::prelude::*;"));
    holds(&named("firmware/src/track.rs", "// tract_onnx::f\nlet burn_in = 1; let tract = burn_in;"));

    let depends = |name, dependency| rules::engines_have_one_home(&planted_crate(name, dependency), &[]);
    catches(&depends("limen", "tract-linalg"), "limen depends on tract-linalg");
    catches(&depends("limen-gallery-db", "burn"), "limen-gallery-db depends on burn");
    catches(&depends("limen-tests", "rusqlite"), "limen-tests depends on rusqlite");
    holds(&depends("limen", "linux-embedded-hal"));
}

#[test]
fn only_decide_decides() {
    holds(&rules::only_decide_decides(&sources().unwrap()));
}

#[test]
fn only_decide_decides_catches() {
    let made = |text| rules::only_decide_decides(&planted("firmware/src/act.rs", text));
    for value in [
        "let d = Decision::Grant(pulse);",
        "f(Decision::Grant { hold_ms: 3 });",
        "match x { A => Decision::Deny(Reason::Unknown), _ => y }",
        "match x { Decision::Deny(_) => Decision::Grant(a), }",
        "if a { Decision::Grant(b) } else { c }",
        "Some(Decision::Grant(a)) == b",
        "match x { A => (Decision::Grant(a), 1), B => c }",
        "match x { A => Answer { decision: Decision::Deny(a), id }, B => c }",
        "use crate::decide::Decision::{Grant, Deny};",
        "use crate::decide::Decision::*;",
    ] {
        catches(&made(value), "firmware/src/act.rs:1");
    }
    for pattern in [
        "match x { Decision::Grant(g) => a, Decision::Deny(r) if b => c, Some(Decision::Deny { why }) => d }",
        "if let Decision::Grant { pulse, .. } = x {}",
        "matches!(x, Decision::Grant(_))",
        "match x { (Decision::Grant(..), y) | z => a, Decision::Deny(a) | b => c }",
        "match x { (Decision::Deny(a), Some(b), ..) => c, Answer { decision: Decision::Deny(a), id } => d }",
        "use crate::decide::Decision;",
        "/// Decision::Grant(now)\nlet s = \"Decision::Grant(now)\";",
        "#[cfg(test)]\nmod tests { fn f() { act(Decision::Grant(a)); } }",
    ] {
        holds(&made(pattern));
    }
    holds(&rules::only_decide_decides(&planted("firmware/src/decide.rs", "f(Decision::Grant(a));")));
    holds(&rules::only_decide_decides(&planted("firmware/src/rules/hours.rs", "f(Decision::Deny(a));")));
}

#[test]
fn decide_is_pure() {
    holds(&rules::decide_is_pure(&sources().unwrap()));
}

#[test]
fn decide_is_pure_catches() {
    let found = |path, text| rules::decide_is_pure(&planted(path, text));
    for text in ["use std::fs;", "let t = Instant::now();", "jiff::Timestamp::now()", "println!()"] {
        catches(&found("firmware/src/decide.rs", text), "firmware/src/decide.rs:1 reaches");
        catches(&found("firmware/src/rules/hours.rs", text), "firmware/src/rules/hours.rs:1 reaches");
        holds(&found("firmware/src/act.rs", text));
    }
    holds(&found("firmware/src/decide.rs", "// println!()\nfn f(now: Timestamp) -> Decision {}"));
}

#[test]
fn unsafe_stays_in_its_rooms() {
    holds(&rules::unsafe_stays_in_its_rooms(&sources().unwrap()));
}

#[test]
fn unsafe_stays_in_its_rooms_catches() {
    let found = |path| rules::unsafe_stays_in_its_rooms(&planted(path, "\nfn f() { unsafe { g() } }"));
    catches(&found("firmware/src/display.rs"), "firmware/src/display.rs:2 is unsafe");
    catches(&found("gallery-db/src/score.rs"), "gallery-db/src/score.rs:2");
    holds(&found("firmware/src/display/panel/fb.rs"));
    holds(&rules::unsafe_stays_in_its_rooms(&planted("firmware/src/lib.rs", "#![deny(unsafe_code)]")));
}

#[test]
fn files_open_with_a_sentence() {
    holds(&rules::files_open_with_a_sentence(&sources().unwrap()));
}

#[test]
fn files_open_with_a_sentence_catches() {
    for text in ["", "//! .", "use std::fs;\n//! What this is for.", "// What this is for."] {
        catches(&rules::files_open_with_a_sentence(&planted("models/src/a.rs", text)), "models/src/a.rs");
    }
    holds(&rules::files_open_with_a_sentence(&planted("models/src/a.rs", "//! What this is for.")));
}

#[test]
fn messages_are_told() {
    let table = std::fs::read_to_string(root().join("docs/reference/bad-input.md")).unwrap();
    holds(&messages::messages_are_told(&sources().unwrap(), &table));
}

#[test]
fn messages_are_told_catches() {
    let file = "models/src/a.rs";
    let source = planted(file, "#[error(\"{path}: lost \\\n    ({why}); \\\"doctor\\\" knows\")]");
    catches(&messages::messages_are_told(&source, "| lost (…); the doctor knows |"), file);
    holds(&messages::messages_are_told(&source, "| lost\n(…); \"doctor\" knows |"));
    holds(&messages::messages_are_told(&planted(file, "#[error(transparent)]"), ""));
}

#[test]
fn no_mod_rs() {
    holds(&rules::no_mod_rs(&sources().unwrap()));
}

#[test]
fn no_mod_rs_catches() {
    catches(&rules::no_mod_rs(&planted("models/src/detect/mod.rs", "")), "models/src/detect/mod.rs");
}

#[test]
fn the_score_has_one_home() {
    holds(&rules::the_score_has_one_home(&sources().unwrap()));
}

#[test]
fn the_score_has_one_home_catches() {
    let found = |path| rules::the_score_has_one_home(&planted(path, "\npub fn cosine_of(a: f32) {}"));
    catches(&found("trainer/src/evaluate/lfw.rs"), "trainer/src/evaluate/lfw.rs:2");
    catches(&found("models/src/embed.rs"), "models/src/embed.rs:2");
    holds(&found("gallery-db/src/score.rs"));
    holds(&found("tests/src/reference.rs"));
}

#[test]
fn cornerstones_stand() {
    holds(&rules::cornerstones_stand(&sources().unwrap()));
}

#[test]
fn cornerstones_stand_catches() {
    catches(
        &rules::cornerstones_stand(&planted("firmware/src/judge.rs", "")),
        "firmware/src/decide.rs is gone",
    );
}

/// `.cargo/deny.toml`'s list, read by cargo-deny where that is installed, holds here without it: for what a build on
/// this platform takes, since the rest need not be on this machine.
#[test]
fn licences_are_allowed() {
    let deny: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join(".cargo/deny.toml")).unwrap()).unwrap();
    let allowed: Vec<String> = deny["licenses"]["allow"].clone().try_into().unwrap();
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let excepted = |package: &str, terms: &str| {
        let name = package.split(' ').next();
        let of_it = exceptions.iter().find(|e| e["crate"].as_str() == name);
        let more: Vec<String> = of_it.map_or(Vec::new(), |e| e["allow"].clone().try_into().unwrap());
        licence::is_allowed(terms, &more)
    };
    // `cargo metadata` names optional packages too that no feature of ours switches on.
    let tree =
        ["tree", "--workspace", "--offline", "--edges=normal,build,dev", "--prefix=none", "--format={p}|{l}"];
    let tree = output("CARGO", "cargo", &tree).unwrap();
    let used: std::collections::BTreeMap<&str, &str> =
        tree.lines().filter_map(|l| l.trim_end_matches(" (*)").split_once('|')).collect();
    assert!(used.len() > 50, "our dependencies are listed, not only us: {}", used.len());
    let breaches: Vec<String> = used
        .iter()
        .filter(|(package, terms)| !licence::is_allowed(terms, &allowed) && !excepted(package, terms))
        .map(|(package, terms)| format!("{package} is under {terms:?}"))
        .collect();
    holds(&breaches);
}
