//! Files that are read, and files that are refused by field.

use super::*;
use crate::backbone::Depth;

mod files;
mod page;

const SMALL: &str = r#"
[data]
paths = ["crops"]
[head]
kind = "a-softmax"
[schedule]
"#;

#[test]
fn what_is_left_out_is_the_paper() {
    let c = Config::parse(SMALL).unwrap();
    assert_eq!(c.network, Spec::published(Depth::D20));
    assert_eq!((c.schedule.steps, c.schedule.batch), (28_000, 512));
    assert_eq!(c.head.head().lambda(1659), Some(5.0));
    assert_eq!(c.augment.mirror, 0.5);
    assert_eq!(Config::parse(&c.to_toml().unwrap()).unwrap(), c, "the copy beside the run says the same");
}

#[test]
fn each_mistake_is_named() {
    let bad = |text: &str, words: &[&str]| {
        let e = format!("{:#}", Config::parse(text).unwrap_err());
        for word in words {
            assert!(e.contains(word), "no {word:?} in: {e}");
        }
    };
    let schedule = |line: &str| SMALL.replace("[schedule]", &format!("[schedule]\n{line}"));
    bad(&schedule("step = 5"), &["step", "line 7"]);
    bad(&SMALL.replace("a-softmax", "b-softmax"), &["b-softmax", "a-softmax"]);
    bad(&(SMALL.to_owned() + "[network]\ndepth = 34"), &["34", "4, 10, 20, 36 and 64"]);
    bad(&SMALL.replace("paths = [\"crops\"]", "paths = []"), &["data.paths"]);
    bad(&schedule("lr = -0.1"), &["schedule", "lr = -0.1"]);
    bad(&schedule("fall = { kind = \"steps\", at = [30000], gamma = 0.1 }"), &["beyond steps"]);
    bad(&schedule("batch = 10\nmicro_batch = 3"), &["micro_batch = 3"]);
    bad(&SMALL.replace("paths", "held_out = 0.9\npaths"), &["data.held_out"]);
    bad(&SMALL.replace("paths", "held_out = 0.0\npaths"), &["validate_every"]);
    bad(&(SMALL.to_owned() + "[output]\nkeep = 0"), &["output.keep"]);
    bad(&(SMALL.to_owned() + "[output]\ncheckpoint_every = 0"), &["output.checkpoint_every"]);
    bad(&(SMALL.to_owned() + "[guard]\nwindow = 0"), &["guard", "window"]);
    bad(&(SMALL.to_owned() + "[classes]\nsample = 2.0"), &["classes.sample"]);
    bad(&(SMALL.to_owned() + "[teacher]\nmodels = \"m\"\nid = \"t\"\nweight = -1.0"), &["teacher.weight"]);
    bad("seed = 1", &["data"]);
}

#[test]
fn a_missing_file_is_named() {
    let e = format!("{:#}", Config::load(Path::new("/nowhere/x.toml")).unwrap_err());
    assert!(e.contains("/nowhere/x.toml"), "{e}");
}
