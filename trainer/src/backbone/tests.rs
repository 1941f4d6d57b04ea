//! Counts to the unit and shapes against the tables of the reference, section 3.1.

use super::*;
use crate::graph::reference::evaluate;

fn built(depth: Depth) -> Network {
    Spec::published(depth).build(1).unwrap()
}

#[test]
fn parameters_and_multiplications_equal_the_table_to_the_unit() {
    // By hand: convolutions 3x3: transitions 1,728 + 73,728 + 294,912 + 1,179,648 = 1,550,016; a residual unit of c
    // channels 18 c^2; fc5 21,504 x 512 = 11,010,048 + 512; slopes one a channel of every convolution; biases of the
    // four transitions 960. The reference rounds to 12.56, 15.22, 22.67, 32.77, 48.19 M and 164 ... 6,110 MMAC.
    let table = [
        (Depth::D4, 12_562_496, 164),
        (Depth::D10, 15_217_984, 759),
        (Depth::D20, 22_666_944, 1_750),
        (Depth::D36, 32_771_392, 3_335),
        (Depth::D64, 48_186_816, 6_110),
    ];
    for (depth, parameters, mmac) in table {
        let counts = built(depth).counts(INPUT).unwrap();
        assert_eq!(counts.parameters, parameters, "{depth:?}");
        assert_eq!((counts.macs as f64 / 1e6).round() as u64, mmac, "{depth:?}");
    }
}

#[test]
fn depth_counts_convolutions_and_units() {
    for depth in Depth::ALL {
        let net = built(depth);
        let convs = net.nodes().iter().filter(|n| matches!(n.op, Op::Conv2d(_))).count();
        assert_eq!(convs as u32, depth.convolutions());
        let sums = net.nodes().iter().filter(|n| n.op == Op::Add).count();
        assert_eq!(sums, depth.units().iter().sum::<usize>());
        assert_eq!(Depth::try_from(depth.convolutions()).unwrap(), depth);
    }
    assert!(Depth::try_from(34).unwrap_err().contains("4, 10, 20, 36 and 64"));
}

#[test]
fn the_layers_are_those_of_the_prototxt() {
    let net = built(Depth::D20);
    let names: Vec<&str> = net.nodes().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(&names[..7], ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "conv1_3", "relu1_3", "res1_3"]);
    for name in ["res2_5", "res3_9", "conv4_3", "res4_3"] {
        assert!(names.contains(&name), "{name}");
    }
    // Nothing after the sum or after fc5.
    assert_eq!(names[names.len() - 3..], ["res4_3", "flatten", "fc5"]);
    for node in net.nodes() {
        match &node.op {
            Op::Conv2d(c) => assert_eq!(c.bias.is_some(), c.stride.height == 2, "{}", node.name),
            Op::PRelu { slope } => assert!(slope.iter().all(|s| *s == 0.25)),
            _ => {}
        }
    }
    let shapes = net.shapes().unwrap();
    let at = |name: &str| shapes[1 + net.nodes().iter().position(|n| n.name == name).unwrap()].to_string();
    assert_eq!(
        [at("conv1_1"), at("res2_5"), at("res3_9"), at("res4_3")],
        ["[64, 56, 48]", "[128, 28, 24]", "[256, 14, 12]", "[512, 7, 6]"]
    );
}

#[test]
fn options_change_what_they_say() {
    let small = Spec {
        width: 0.5,
        embedding: 128,
        output: Output::Depthwise,
        normalisation: Normalisation::Batch,
        ..Spec::published(Depth::D10)
    };
    assert_eq!(small.name(), "sphereface-10-w0.5-bn-dw-128");
    let net = small.build(1).unwrap();
    // The layout of the pilot: with its statistics folded 1,097,504 numbers (measured at its import).
    let folded = crate::graph::fold::fold_batch_norm(&net).unwrap();
    assert_eq!(folded.counts(INPUT).unwrap().parameters, 1_097_504);
    assert_eq!(Spec { width: 0.5, ..Spec::default() }.channels(), [32, 64, 128, 256]);

    let bare = Spec { biases: Biases::None, ..Spec::published(Depth::D4) }.build(1).unwrap();
    assert_eq!(
        built(Depth::D4).counts(INPUT).unwrap().parameters - bare.counts(INPUT).unwrap().parameters,
        960 + 512
    );
    let last = Spec { last_activation: LastActivation::Relu, ..Spec::published(Depth::D4) }.build(1).unwrap();
    assert_eq!(last.nodes().last().unwrap().op, Op::Relu);
    assert!(Spec { width: 9.0, ..Spec::default() }.validate().unwrap_err().contains("network.width"));
    assert!(Spec { embedding: 1, ..Spec::default() }.validate().unwrap_err().contains("network.embedding"));
}

#[test]
fn folding_the_batch_norm_changes_no_output() {
    let spec = Spec {
        width: 0.125,
        embedding: 8,
        normalisation: Normalisation::Batch,
        output: Output::Depthwise,
        ..Spec::published(Depth::D4)
    };
    let net = spec.build(3).unwrap();
    let face: Vec<f32> = (0..3 * 112 * 96).map(|i| (i * 37 % 255) as f32 / 128.0 - 1.0).collect();
    let run = |n: &Network| evaluate(n, &face, 1, 112, 96).unwrap()[0].data.clone();
    let folded = crate::graph::fold::fold_batch_norm(&net).unwrap();
    assert!(folded.nodes().iter().all(|n| !matches!(n.op, Op::BatchNorm(_))));
    for (a, b) in run(&net).iter().zip(run(&folded)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}
