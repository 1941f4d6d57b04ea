//! Folders as a training run and the evaluations leave them.

use super::*;
use crate::evaluate::rates::{DetPoint, Histogram};
use crate::import::numpy::write_npy;

/// A run of 200 records whose loss falls, with an LFW result.
pub(crate) fn write_run(folder: &Path, seed: u64, lfw: f64) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(CONFIG), format!("seed = {seed}\n[head]\nmargin = 4\n")).unwrap();
    let mut lines = String::new();
    for i in 1..=200u32 {
        let loss = 9.0 / f64::from(i).sqrt() + f64::from(i % 7) / 20.0;
        let lambda = (1000.0 / (1.0 + 0.12 * 100.0 * f64::from(i))).max(5.0);
        lines += &format!(
            "{{\"kind\":\"step\",\"step\":{},\"samples\":{},\"loss\":{loss},\"lr\":{},\"lambda\":{lambda},\"images_per_s\":{},\"gradient_norm\":1.3,\"teacher_loss\":null}}\n",
            i * 100,
            i * 51_200,
            if i < 120 { 0.1 } else { 0.01 },
            100 + i % 5
        );
        if i % 20 == 0 {
            lines += &format!(
                "{{\"kind\":\"validation\",\"step\":{},\"figure\":\"lfw-single\",\"value\":{}}}\n",
                i * 100,
                0.9 + f64::from(i) / 2500.0
            );
        }
    }
    std::fs::write(folder.join(FILE_NAME), lines).unwrap();
    let mut result = Evaluation::new("lfw", "m@1", "lfw/pairs.txt", 7701, 1);
    result.figure("lfw-concat", lfw, None);
    result.save(&folder.join("lfw.json")).unwrap();
}

#[test]
fn a_run_becomes_a_page_with_all_its_plots() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("run-1");
    write_run(&folder, 1, 0.98);
    let mut result = Evaluation::new("pairs", "m@1", "lfw", 10, 0);
    result.figure("eer", 0.02, None);
    result.figure("fnmr@fmr=1e-3", 0.1, Some(Interval { low: 0.05, high: 0.2 }));
    result.det = [(1.0, 0.0), (0.1, 0.01), (0.01, 0.2)]
        .map(|(fmr, fnmr)| DetPoint { threshold: 0.1, fmr, fnmr })
        .to_vec();
    result.histogram = Some(Histogram::of(&[0.5, 0.6], &[0.1], 50));
    result.save(&folder.join("pairs.json")).unwrap();
    let mut result = Evaluation::new("identify", "m@1", "lfw", 10, 0);
    result.figure("rank1@n=10", 0.9, None);
    result.figure("rank1@n=1000", 0.8, None);
    result.save(&folder.join("identify.json")).unwrap();
    std::fs::write(folder.join("other.json"), "{\"not\": \"a result\"}").unwrap();
    std::fs::write(folder.join("angular.npy"), write_npy(&[2, 2], &[1.0, 0.0, 0.0, 1.0])).unwrap();
    std::fs::write(folder.join("angular-labels.txt"), "0\n1\n").unwrap();

    let run = Run::read(&folder).unwrap();
    assert_eq!(run.results.keys().collect::<Vec<_>>(), ["identify", "lfw", "pairs"]);
    let plots = figures::draw(&run, &folder.join("plots")).unwrap();
    let stems: Vec<&str> = plots.iter().map(|p| p.stem.as_str()).collect();
    for stem in [
        "loss",
        "lr",
        "lambda",
        "speed",
        "gradient-norm",
        "validation",
        "det-pairs",
        "roc-pairs",
        "histogram-pairs",
        "identification-identify",
        "angular",
    ] {
        assert!(stems.contains(&stem), "{stem} is missing: {stems:?}");
        assert!(
            folder.join(format!("plots/{stem}.svg")).exists()
                && folder.join(format!("plots/{stem}.png")).exists()
        );
    }
    let page = page::page(&run, &plots);
    for words in [
        "| steps | 20,000 |",
        "| fnmr@fmr=1e-3 | 0.1000 | 0.0500 to 0.2000 |",
        "![loss](plots/loss.png)",
        "margin = 4",
        "validation lfw-single | 0.9800",
    ] {
        assert!(page.contains(words), "{words:?} is missing:\n{page}");
    }
}

#[test]
fn runs_that_differ_in_the_seed_alone_are_one_recipe() {
    let temporary = tempfile::tempdir().unwrap();
    let folders = ["a", "b", "c"].map(|n| temporary.path().join(n));
    write_run(&folders[0], 1, 0.97);
    write_run(&folders[1], 2, 0.99);
    write_run(&folders[2], 1, 0.5);
    std::fs::write(folders[2].join(CONFIG), "seed = 1\n[head]\nmargin = 1\n").unwrap();
    let runs = folders.map(|f| Run::read(&f).unwrap());
    let recipes = compare::recipes(&runs);
    assert_eq!(recipes.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["a, b", "c"]);
    let plots = compare::draw(&runs, &temporary.path().join("plots")).unwrap();
    assert_eq!(plots.len(), 2);
    let page = compare::page(&runs, &plots);
    // Mean of 0.97 and 0.99, deviation sqrt(2) / 100.
    assert!(page.contains("| lfw-concat | 0.9800 +- 0.0141 (2) | 0.5000 (1) |"), "{page}");
    assert!(page.contains("| a | 20000 |"), "{page}");
}

#[test]
fn figures_of_one_name_are_told_apart_by_their_file() {
    let temporary = tempfile::tempdir().unwrap();
    for (file, eer) in [("a", 0.1), ("b", 0.2)] {
        let mut r = Evaluation::new("pairs", "m", "x", 1, 0);
        r.figure("eer", eer, None);
        r.save(&temporary.path().join(format!("{file}.json"))).unwrap();
    }
    let f = Run::read(temporary.path()).unwrap().figures();
    assert_eq!(f.keys().collect::<Vec<_>>(), ["a: eer", "b: eer"]);
}

#[test]
fn an_empty_folder_says_what_is_expected() {
    let temporary = tempfile::tempdir().unwrap();
    let e = Run::read(temporary.path()).unwrap_err().to_string();
    assert!(e.contains("metrics.jsonl") && e.contains("--json"), "{e}");
}
