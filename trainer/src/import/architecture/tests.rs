//! Named structures filled with made-up weights.

use super::*;
use crate::graph::fold::fold_batch_norm;
use crate::graph::reference::evaluate;
use proptest::prelude::*;

/// Small different values, the same every time.
fn tensor(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let value = |i: usize| ((i * 37 + shape.len() * 11) % 41) as f32 / 41.0 - 0.5;
    Tensor::new(shape, (0..count).map(value).collect()).unwrap()
}

fn bag(shapes: &[(String, Vec<usize>)]) -> Weights {
    let mut weights = Weights::default();
    for (name, shape) in shapes {
        weights.insert(name, tensor(shape)).unwrap();
    }
    weights
}

fn layer(all: &mut Vec<(String, Vec<usize>)>, name: &str, shape: &[usize]) {
    all.push((format!("{name}.weight"), shape.to_vec()));
    if shape.len() != 1 {
        all.push((format!("{name}.bias"), vec![shape[0]]));
    }
}

fn mtcnn_r_shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![];
    for (name, shape) in [
        ("conv1", &[28, 3, 3, 3][..]),
        ("prelu1", &[28]),
        ("conv2", &[48, 28, 3, 3]),
        ("prelu2", &[48]),
        ("conv3", &[64, 48, 2, 2]),
        ("prelu3", &[64]),
        ("dense4", &[128, 576]),
        ("prelu4", &[128]),
        ("dense5_1", &[2, 128]),
        ("dense5_2", &[4, 128]),
    ] {
        layer(&mut all, name, shape);
    }
    all
}

fn sphereface_shapes(widths: [usize; 4], units: [usize; 4], length: usize) -> Vec<(String, Vec<usize>)> {
    let mut all = vec![];
    let mut before = 3;
    for (stage, (&width, &units)) in (1..).zip(widths.iter().zip(&units)) {
        for k in 1..=2 * units + 1 {
            layer(&mut all, &format!("conv{stage}_{k}"), &[width, before, 3, 3]);
            layer(&mut all, &format!("relu{stage}_{k}"), &[width]);
            before = width;
        }
    }
    layer(&mut all, "fc5", &[length, before * 42]);
    all
}

#[test]
fn the_tables_of_the_reference() {
    // Counted from the layer tables: SphereFace-4 164 MMAC and 12.56 M weights, SphereFace-20 1,750 MMAC and 22.67 M.
    for (depth, macs, parameters) in [(Depth::D4, 164, 12_560), (Depth::D20, 1_750, 22_670)] {
        let shapes = sphereface_shapes([64, 128, 256, 512], depth.units(), 512);
        let network = Architecture::SphereFace(depth).build(bag(&shapes)).unwrap();
        let counts = network.counts(network.input).unwrap();
        assert_eq!((counts.macs + 500_000) / 1_000_000, macs);
        assert!(counts.parameters.abs_diff(parameters * 1000) < 10_000, "{}", counts.parameters);
    }
    // R-Net has 100,178 weights.
    let network = Architecture::MtcnnR.build(bag(&mtcnn_r_shapes())).unwrap();
    assert_eq!(network.counts(network.input).unwrap().parameters, 100_178);
}

#[test]
fn dense_columns_follow_the_permutation() {
    // [2 channels, 1 row, 2 columns]: facenet-pytorch sees w0(c0 c1) w1(c0 c1).
    assert_eq!(width_height_channels(2, 1, 2), [0, 2, 1, 3]);
    // [1 channel, 2 rows, 2 columns]: w0(h0 h1) w1(h0 h1).
    assert_eq!(width_height_channels(1, 2, 2), [0, 2, 1, 3]);
    let order = width_height_channels(3, 2, 4);
    // Channel 1, row 1, column 2 is element (1 * 2 + 1) * 4 + 2 and stands at (2 * 2 + 1) * 3 + 1.
    assert_eq!(order[14], 16);
}

#[test]
fn every_tensor_has_a_place() {
    let shapes = mtcnn_r_shapes();
    let mut more = shapes.clone();
    more.push(("dense9.weight".into(), vec![1, 1]));
    let error = Architecture::MtcnnR.build(bag(&more)).unwrap_err().to_string();
    assert!(error.starts_with("tensor `dense9.weight`"), "{error}");
    let error = Architecture::MtcnnR.build(bag(&shapes[2..])).unwrap_err().to_string();
    assert!(error.starts_with("tensor `conv1.weight`: is missing"), "{error}");
    let error = Architecture::MtcnnO.build(bag(&shapes)).unwrap_err().to_string();
    assert!(error.starts_with("tensor `conv4.weight`: is missing"), "{error}");
    let mut wide = shapes.clone();
    let conv3 = wide.iter_mut().find(|s| s.0 == "conv3.weight").unwrap();
    conv3.1 = vec![64, 48, 3, 3];
    let error = Architecture::MtcnnR.build(bag(&wide)).unwrap_err().to_string();
    assert!(error.contains("dense4"), "{error}");
}

#[test]
fn the_classifier_and_counters_are_left_out() {
    let mut shapes = sphereface_shapes([2, 2, 3, 4], Depth::D10.units(), 5);
    shapes.push(("fc6.weight".into(), vec![5, 10]));
    let network = Architecture::SphereFace(Depth::D10).build(bag(&shapes)).unwrap();
    let image = vec![0.25; 3 * 112 * 96];
    assert_eq!(evaluate(&network, &image, 1, 112, 96).unwrap()[0].shape, [1, 5]);
    assert_eq!(network.nodes().iter().filter(|n| n.op == Op::Add).count(), 3);
}

#[test]
fn the_pilot_folds_to_the_same_function() {
    let mut all = vec![];
    let block = |all: &mut Vec<_>, name: &str, out: usize, before: usize| {
        all.push((format!("{name}.c.weight"), vec![out, before, 3, 3]));
        all.push((format!("{name}.p.weight"), vec![out]));
        for what in ["weight", "bias", "running_mean", "running_var"] {
            all.push((format!("{name}.b.{what}"), vec![out]));
        }
    };
    for stage in 0..4 {
        block(&mut all, &format!("st.{stage}"), 2, if stage == 0 { 3 } else { 2 });
    }
    block(&mut all, "rs.1.0.0", 2, 2);
    block(&mut all, "rs.1.0.1", 2, 2);
    all.push(("head.0.weight".into(), vec![2, 1, 7, 6]));
    for what in ["weight", "bias", "running_mean", "running_var"] {
        all.push((format!("head.1.{what}"), vec![2]));
    }
    all.push(("head.3.weight".into(), vec![6, 2]));
    let mut weights = Weights::default();
    for (name, shape) in &all {
        let mut t = tensor(shape);
        if name.ends_with("running_var") {
            t.data_mut().iter_mut().for_each(|v| *v = v.abs() + 0.5);
        }
        weights.insert(name, t).unwrap();
    }
    let network = Architecture::LimenPilot.build(weights).unwrap();
    let folded = fold_batch_norm(&network).unwrap();
    assert!(folded.nodes().iter().all(|n| !matches!(n.op, Op::BatchNorm(_))));
    let image: Vec<f32> = (0..3 * 112 * 96).map(|i| (i % 255) as f32 / 128.0 - 1.0).collect();
    let (a, b) =
        (evaluate(&network, &image, 1, 112, 96).unwrap(), evaluate(&folded, &image, 1, 112, 96).unwrap());
    for (x, y) in a[0].data.iter().zip(&b[0].data) {
        assert!((x - y).abs() < 1e-5 * x.abs().max(1.0), "{x} {y}");
    }
}

#[test]
fn names_are_found_again() {
    for architecture in Architecture::ALL {
        assert_eq!(architecture.name().parse(), Ok(architecture));
    }
    assert!("resnet".parse::<Architecture>().unwrap_err().contains("sphereface-20"));
}

proptest! {
    #[test]
    fn wild_shapes_never_panic(pick in 0usize..16, shape in proptest::collection::vec(0usize..4, 0..6)) {
        let mut shapes = mtcnn_r_shapes();
        shapes[pick].1 = shape;
        let _ = Architecture::MtcnnR.build(bag(&shapes));
        let _ = Architecture::LimenPilot.build(bag(&shapes));
    }
}
