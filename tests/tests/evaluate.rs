//! From pictures to figures with `limen-train`, on drawn people: extract, every evaluation, report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_models::photo::decode_file;
use limen_tests::people::{Person, portrait};
use limen_tests::site::Site;
use serde_json::Value;

/// Eight drawn people with three portraits each in `faces`, and twenty others with one in `others`.
fn site() -> Site {
    let site = Site::new();
    let write = |set: &str, seed: u64, takes: u64| {
        let name = format!("person-{seed:02}");
        std::fs::create_dir_all(site.path(&format!("{set}/{name}"))).unwrap();
        for take in 0..takes {
            site.photo(
                &format!("{set}/{name}/{name}_{:04}.jpg", take + 1),
                &portrait(&Person::new(seed), take),
            );
        }
    };
    (0..8).for_each(|seed| write("faces", seed, 3));
    (100..120).for_each(|seed| write("others", seed, 1));
    site
}

fn result(site: &Site, file: &str) -> Value {
    serde_json::from_str(&site.read(file)).unwrap()
}

#[test]
fn features_are_extracted_once_and_every_figure_comes_from_them() {
    let site = site();
    site.write("faces/person-00/person-00_0004.jpg", "this is no picture");
    let out =
        site.train("extract --models models --images faces --detector door --out run/faces.npy").exits(0);
    assert!(out.stdout.starts_with("25 pictures, 1 without a usable face"), "{}", out.stdout);
    assert!(out.stderr.contains("person-00_0004.jpg"), "{}", out.stderr);
    site.train("extract --models models --images others --detector door --out run/others.npy").exits(0);

    let out = site
        .train("eval pairs --features run/faces.npy --fmr 1e-1,1e-3 --replicates 50 --sheet run/errors.png --json run/pairs.json")
        .exits(0);
    assert!(
        out.stdout.contains("not supported by so few impostors (rule of three: 3,000 are needed)"),
        "{}",
        out.stdout
    );
    let pairs = result(&site, "run/pairs.json");
    // 8 people of 3 genuine pairs and 3 of one with the broken picture; 28 pairs of people of 9 comparisons.
    assert_eq!((&pairs["details"]["genuine"], &pairs["details"]["impostors"]), (&27.into(), &252.into()));
    assert_eq!(
        (&pairs["failed_to_acquire"], &pairs["details"]["genuine_without_a_face"]),
        (&1.into(), &3.into())
    );
    // The drawn network tells drawn people apart; the three pairs without a face are misses.
    let fnmr = pairs["figures"]["fnmr@fmr=1e-1"].as_f64().unwrap();
    assert!((3.0 / 27.0..0.2).contains(&fnmr), "{fnmr}");
    let interval: Vec<f64> = serde_json::from_value(pairs["intervals"]["fnmr@fmr=1e-1"].clone()).unwrap();
    assert!(interval[0] <= fnmr && fnmr <= interval[1] && interval[0] < interval[1], "{interval:?}");
    assert!(decode_file(&site.path("run/errors.png")).is_ok());

    site.train("eval identify --features run/faces.npy --distractors run/others.npy --sizes 5 --fpir 0.5 --json run/identify.json").exits(0);
    let identify = result(&site, "run/identify.json");
    let (few, all) = (&identify["figures"]["rank1@n=5"], &identify["figures"]["rank1@n=20"]);
    // 17 mated searches, one of them without a face.
    assert_eq!(identify["details"]["mated_searches"], 17);
    assert!(few.as_f64() >= all.as_f64() && all.as_f64() > Some(0.8), "{few} {all}");

    let out = site
        .train("eval identify --features run/faces.npy --subjects 2 --strangers 5 --threshold 0.6")
        .exits(0);
    assert!(out.stdout.contains("of 5 strangers given a name"), "{}", out.stdout);

    site.train("eval afs --features run/faces.npy --json run/afs.json").exits(0);
    let afs = result(&site, "run/afs.json")["figures"]["afs"].as_f64().unwrap();
    assert!(afs > 0.0 && afs < 1.0, "people lie closer to themselves than to each other: {afs}");

    let table: String =
        (0..8).map(|i| format!("person-{i:02},{}\n", if i < 4 { "low" } else { "high" })).collect();
    site.write("groups.csv", format!("name,half\n{table}"));
    site.train("eval groups --features run/faces.npy --table groups.csv --fmr 0.1 --json run/groups.json")
        .exits(0);
    let groups = result(&site, "run/groups.json");
    assert_eq!(groups["details"]["groups"][0]["subjects"], 4);
    assert_eq!(groups["details"]["groups"][0]["common"]["impostors"], 54);

    // Two parts are one network with twice the numbers; each alone tells people apart as before.
    site.train("eval afs --features run/faces.npy,run/faces.npy --weighing unit").exits(0);
    site.train("report run").exits(0);
    let page = site.read("run/report.md");
    for words in ["fnmr@fmr=1e-1", "plots/det-pairs.png", "plots/histogram-pairs.svg", "afs"] {
        assert!(page.contains(words), "{words:?} is missing:\n{page}");
    }
    assert!(decode_file(&site.path("run/plots/histogram-pairs.png")).is_ok());
}

#[test]
fn lfw_is_the_same_from_features_and_from_pictures() {
    let site = site();
    // Two folds of two genuine and two impostor pairs.
    let mut list = String::from("2\t2\n");
    for fold in 0..2 {
        let name = |i: usize| format!("person-{:02}", 4 * fold + i);
        list += &format!("{}\t1\t2\n{}\t1\t3\n", name(0), name(1));
        list += &format!("{}\t1\t{}\t1\n{}\t2\t{}\t3\n", name(0), name(2), name(1), name(3));
    }
    site.write("pairs.txt", list);
    site.train("extract --models models --images faces --detector door --out faces.npy").exits(0);
    let stored = site.train("eval lfw --features faces.npy --pairs pairs.txt --json a.json").exits(0);
    let made = site
        .train("eval lfw --models models --images faces --detector door --pairs pairs.txt --json b.json")
        .exits(0);
    assert_eq!(stored.stdout, made.stdout);
    assert_eq!(result(&site, "a.json")["figures"]["lfw-concat"], 1.0);
    // The same pictures under other endings than the list's are the same pictures.
    let renamed = site.read("faces.jsonl").replace("_0001.jpg", "_0001.png");
    site.write("other.jsonl", renamed);
    std::fs::copy(site.path("faces.npy"), site.path("other.npy")).unwrap();
    let other = site.train("eval lfw --features other.npy --pairs pairs.txt").exits(0);
    assert_eq!(other.stdout, stored.stdout);
    let spread = site.train("eval seeds a.json b.json").exits(0);
    assert!(spread.stdout.contains("lfw-concat     2   1.00000    0.00000"), "{}", spread.stdout);

    let same = site.train("eval pairs --features faces.npy --pairs pairs.txt --fmr 0.9").exits(0);
    assert!(same.stdout.contains("4 genuine comparisons (0 without a face"), "{}", same.stdout);
}

#[test]
fn crops_need_no_detection_and_patches_are_other_models() {
    let site = site();
    site.train("detect --models models --detector door --crops crops faces/person-00/person-00_0001.jpg")
        .exits(0);
    std::fs::create_dir_all(site.path("aligned/somebody")).unwrap();
    std::fs::rename(site.path("crops/00000-face0.png"), site.path("aligned/somebody/1.png")).unwrap();
    site.train("extract --models models --images aligned --aligned --out aligned.npy").exits(0);
    let index = site.read("aligned.jsonl");
    // A folder with the embedder alone will do.
    let manifest = site.read("models/manifest.toml");
    let (head, entries) = manifest.split_once("[[model]]").unwrap();
    let embedder = entries.split("[[model]]").find(|e| e.contains("kind = \"embedder\"")).unwrap();
    let file = embedder.split("file = \"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::create_dir(site.path("alone")).unwrap();
    std::fs::copy(site.path(&format!("models/{file}")), site.path(&format!("alone/{file}"))).unwrap();
    site.write("alone/manifest.toml", format!("{head}[[model]]{embedder}"));
    site.train("extract --models alone --images aligned --aligned --out alone.npy").exits(0);
    assert_eq!(
        std::fs::read(site.path("alone.npy")).unwrap(),
        std::fs::read(site.path("aligned.npy")).unwrap()
    );
    site.train("extract --models alone --images faces --out alone.npy")
        .exits(1)
        .says(&["no model of kind \"mtcnn-p\""]);
    assert!(index.contains("#aligned") && !index.contains("landmarks"), "{index}");
    site.train("extract --models models --images faces --detector door --identities 2 --patch 1.3,0,-5 --out patch.npy").exits(0);
    let index = site.read("patch.jsonl");
    assert!(index.contains("#patch=1.3,0,-5") && index.lines().count() == 7, "{index}");
    site.train("eval pairs --features patch.npy,aligned.npy")
        .exits(1)
        .says(&["has features of", "but not of"]);
}

#[test]
fn bad_input_is_named_with_its_cure() {
    let site = Site::new();
    site.write("broken.npy", "no array");
    site.write("broken.jsonl", "{\"not\": \"a header\"}\n");
    for (args, words) in [
        ("eval pairs --features missing.npy", ["missing.jsonl: cannot be read", "limen-train extract"]),
        ("eval pairs --features broken.npy", ["broken.jsonl line 1", "header"]),
        ("eval afs", ["--features", "--models"]),
        ("eval afs --models models", ["--images", "required"]),
        ("eval pairs --features a.npy --fmr 2", ["--fmr", "between 0 and 1"]),
        ("extract --models models --images nowhere --out a.npy", ["nowhere", "cannot be listed"]),
        ("extract --models models --images . --out a.bin", ["--out", ".npy"]),
        ("report .", ["nothing to report on", "metrics.jsonl"]),
        (
            "plot angular --features broken.npy --labels nowhere.txt --out a",
            ["nowhere.txt", "cannot be read"],
        ),
    ] {
        let out = site.train(args);
        assert_ne!(out.code, 0, "{args}");
        out.says(&words);
    }
}
