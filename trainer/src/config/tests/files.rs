//! The files in `trainer/configs`: each can be run, and the published ones say what was published.

use std::collections::BTreeMap;

use crate::backbone::{Biases, Depth, LastActivation, Normalisation, Output, Spec};
use crate::config::{Config, Start};
use crate::dataset::augment::Augment;
use crate::dataset::split::held_out;
use crate::head::HeadConfig;
use crate::head::a_softmax::{ASoftmax, Gradient};
use crate::head::energy::Energy;
use crate::head::margin::Margin;
use crate::training::schedule::{Fall, Rule};

/// Every file of an embedder, by folder and name; those of `detector` are tested in its room.
fn all() -> BTreeMap<String, Config> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut found = BTreeMap::new();
    let folders = std::fs::read_dir(&root).unwrap().map(|f| f.unwrap().path());
    for folder in folders.filter(|f| !f.ends_with("detector")) {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let config = Config::load(&path).unwrap_or_else(|e| panic!("{e:#}"));
            found.insert(path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"), config);
        }
    }
    found
}

/// Each file can be run: its numbers fit together, and it is kept beside the results as it was meant.
#[test]
fn every_file_is_a_run() {
    let all = all();
    for (name, config) in &all {
        assert!(name.ends_with(".toml"), "{name}");
        assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), *config, "{name}");
        config.head.build().unwrap();
        if let Some(identities) = config.data.identities
            && config.data.held_out > 0.0
        {
            let names: Vec<String> = (0..identities).map(|i| i.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            held_out(&names, config.data.held_out, config.seed).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    for (folder, files) in [("paper", 10), ("ablation", 9), ("small", 6), ("heads", 7), ("teacher", 5)] {
        let here = all.keys().filter(|n| n.starts_with(&format!("{folder}/"))).count();
        assert_eq!(here, files, "{folder}");
    }
}

/// The margin loss of a run.
fn a_softmax(config: &Config) -> &ASoftmax {
    match &config.head {
        HeadConfig::ASoftmax(head) => head,
        HeadConfig::SphereFacePlus(plus) => match &*plus.base {
            HeadConfig::ASoftmax(head) => head,
            other => panic!("{}", other.kind()),
        },
        other => panic!("{}", other.kind()),
    }
}

/// `sphereface_model.prototxt`, `sphereface_solver.prototxt` (reference sections 3.1, 4.3 and 5).
#[test]
fn the_papers_runs_have_the_published_numbers() {
    let all = all();
    for depth in Depth::ALL {
        let c = &all[&format!("paper/sphereface-{}-casia.toml", depth.convolutions())];
        assert_eq!(c.network, Spec::published(depth));
        assert_eq!((c.network.embedding, c.network.width, c.network.output), (512, 1.0, Output::Fc5));
        assert_eq!(
            (c.network.normalisation, c.network.biases, c.network.last_activation),
            (Normalisation::None, Biases::Published, LastActivation::None)
        );
        let head = a_softmax(c);
        assert_eq!((head.m, head.gradient, head.scale), (Margin::Quadruple, Gradient::Reference, None));
        // 1000 / (1 + 0.12 n): 892.9 at the first step, 8.26 at 1,000; the floor from 1,659 on.
        let lambda = |n| c.head.head().lambda(n).unwrap();
        assert!((lambda(1) - 892.857).abs() < 1e-3 && (lambda(1000) - 8.2645).abs() < 1e-4);
        assert!(lambda(1658) > 5.0 && lambda(1659) == 5.0 && lambda(28_000) == 5.0);

        let s = &c.schedule;
        assert_eq!((s.steps, s.batch, s.warm_up, s.clip), (28_000, 512, 0, None));
        assert_eq!((s.momentum, s.decay, s.rule), (0.9, 5e-4, Rule::Caffe));
        for (step, lr) in [(1, 0.1), (16_000, 0.1), (16_001, 0.01), (24_001, 0.001), (28_000, 0.001)] {
            assert!((s.lr(step) - lr).abs() < 1e-12, "{step}: {}", s.lr(step));
        }
        assert_eq!(c.augment, Augment { mirror: 0.5, ..Augment::NONE });
        assert_eq!((c.data.held_out, c.data.identities), (0.0, None), "it trains on everybody");
        assert_eq!((c.start.clone(), c.teacher.clone()), (None, None));
    }
}

/// Reference section 6: m, alpha, lambda's iteration and gamma, learning rate, where it falls and to what, steps.
#[test]
fn sphereface_plus_has_the_published_numbers() {
    let all = all();
    let table = [
        ("sfplus", Margin::Quadruple, 10.0, (2000, 0.12), 0.01, vec![4000, 6000], 0.1, 8000),
        ("sfplus-single", Margin::Single, 5.3, (0, 0.12), 0.05, vec![7000, 11_000], 0.2, 11_000),
        ("sfplus-double", Margin::Double, 6.0, (0, 0.11), 0.1, vec![5000], 0.1, 8000),
        ("sfplus-triple", Margin::Triple, 2.3, (0, 0.11), 0.1, vec![4000, 9000], 0.1, 12_000),
    ];
    for (name, m, alpha, (start, gamma), lr, at, by, steps) in table {
        let c = &all[&format!("paper/{name}-casia.toml")];
        let HeadConfig::SphereFacePlus(plus) = &c.head else { panic!("{name}") };
        assert_eq!(plus.energy, Energy::InterClass { alpha, start: 1 }, "{name}");
        let head = a_softmax(c);
        let l = head.lambda;
        assert_eq!((head.m, l.base, l.min, l.power), (m, 1000.0, 5.0, 1.0), "{name}");
        assert_eq!((l.start, l.gamma), (start, gamma), "{name}");
        assert_eq!((c.schedule.lr, c.schedule.steps), (lr, steps), "{name}");
        assert_eq!(c.schedule.fall, Fall::Steps { at, gamma: by }, "{name}");
        // iter_size 2 of 256: alpha is meant for the pass.
        assert_eq!((c.schedule.batch, c.schedule.micro_batch), (512, Some(256)), "{name}");
        assert_eq!(c.network, Spec::published(Depth::D20), "{name}");
        assert!(matches!(&c.start, Some(Start::Checkpoint(_))), "{name}: it is a fine-tuning");
    }
}

/// Reference section 4.3: base 1000, gamma 2.5e-5, power 35, no floor.
#[test]
fn l_softmax_has_its_own_lambda() {
    let c = &all()["paper/l-softmax-casia.toml"];
    assert_eq!(c.head.kind(), "l-softmax");
    // 1000 x 1.2^-35 at step 8,000.
    assert!((c.head.head().lambda(8000).unwrap() - 1.693).abs() < 1e-3);
    assert!(c.head.head().lambda(28_000).unwrap() < 1e-4, "it ends at the whole margin");
    assert_eq!((c.schedule.steps, c.schedule.batch), (28_000, 512));
}

/// Each ablation changes one thing; m = 4 is the paper's own run.
#[test]
fn ablations_change_one_thing_at_a_time() {
    let all = all();
    let steps: Vec<_> =
        all.iter().filter(|(n, _)| n.starts_with("ablation/") && !n.contains("/m-")).collect();
    let told: Vec<_> = steps
        .iter()
        .map(|(_, c)| (c.network.depth, c.network.last_activation, c.network.biases, c.head.kind()))
        .collect();
    let (d, none) = (Depth::D4, LastActivation::None);
    assert_eq!(
        told,
        [
            (d, LastActivation::Relu, Biases::Published, "softmax"),
            (d, none, Biases::Published, "softmax"),
            (d, none, Biases::None, "softmax"),
            (d, none, Biases::None, "modified-softmax"),
            (d, none, Biases::None, "a-softmax"),
        ]
    );
    let paper = &all["paper/sphereface-20-casia.toml"];
    for (m, margin) in (1..).zip(Margin::ALL) {
        let c = &all[&format!("ablation/m-{m}.toml")];
        let HeadConfig::ASoftmax(head) = &c.head else { panic!("{}", c.head.kind()) };
        assert_eq!(head.m, margin);
        let head = HeadConfig::ASoftmax(ASoftmax { m: Margin::Quadruple, ..*head });
        assert_eq!(Config { head, ..c.clone() }, *paper, "m = {m}: nothing else differs");
    }
    for (name, c) in steps {
        assert_eq!(c.schedule, paper.schedule, "{name}");
        assert_eq!((&c.data, &c.augment), (&paper.data, &paper.augment), "{name}");
    }
}

/// The small run fits a quarter of an hour, at 75 pictures a second; the taught network is the pilot's.
#[test]
fn small_and_taught_runs_are_what_they_say() {
    let all = all();
    let small = &all["small/sphereface-4-200.toml"];
    assert_eq!((small.network.depth, small.data.identities), (Depth::D4, Some(200)));
    let seconds = small.schedule.steps * small.schedule.batch as u64 / 75;
    assert!((600..=900).contains(&seconds), "{seconds} s");
    let taught = &all["teacher/half-10.toml"];
    // What `limen-train import` counts of limen-pilot, the normalisation folded.
    let network = crate::graph::fold::fold_batch_norm(&taught.network.build(1).unwrap()).unwrap();
    let counts = network.counts(crate::backbone::INPUT).unwrap();
    assert_eq!((counts.parameters, counts.macs), (1_097_504, 188_160_512));
    let teacher = taught.teacher.as_ref().unwrap();
    assert_eq!((teacher.weight, teacher.head_weight), (1.0, 0.0));
    let s = &taught.schedule;
    assert_eq!((s.lr, s.warm_up, s.rule, s.batch, s.decay), (0.1, 200, Rule::Nesterov, 128, 5e-4));
    let shift = taught.augment.shift.unwrap();
    assert_eq!((shift.max_px, shift.probability), (4, 0.7));
}
