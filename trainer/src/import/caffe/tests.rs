//! Caffe files made by hand: V1 and V2, every layer type, and everything that can be wrong with them.

use super::proto::{Blob, BlobShape, Layer, LayerV1, Net};
use super::*;
use crate::graph::fold::fold_batch_norm;
use crate::graph::reference::evaluate;
use proptest::prelude::*;
use prost::Message;

fn blob(shape: &[i64], data: &[f32]) -> Blob {
    Blob { shape: Some(BlobShape { dim: shape.to_vec() }), data: data.to_vec(), ..Default::default() }
}

/// A shape as it was stored before 2014: four lengths, ones in front.
fn old_blob(shape: [i32; 4], data: &[f32]) -> Blob {
    let [n, c, h, w] = shape.map(Some);
    Blob { num: n, channels: c, height: h, width: w, data: data.to_vec(), ..Default::default() }
}

fn layer(name: &str, kind: &str, blobs: Vec<Blob>) -> Layer {
    Layer { name: name.into(), r#type: kind.into(), blobs }
}

fn model(layers: Vec<Layer>) -> Vec<u8> {
    Net { layers: vec![], layer: layers }.encode_to_vec()
}

fn build(text: &str, model: &[u8]) -> Result<Network, Fault> {
    Definition::parse(text.as_bytes())?.build(model)
}

const CONV: &str = "input: 'data' input_dim: 1 input_dim: 1 input_dim: 3 input_dim: 3
    layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv'
            convolution_param { num_output: 2 kernel_size: 2 } }";

fn conv_blobs() -> Vec<Blob> {
    vec![blob(&[2, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 2.0, -1.0, 0.0]), blob(&[2], &[0.5, -1.0])]
}

#[test]
fn every_layer_type_by_hand() {
    let text = format!(
        "name: 'tiny' {CONV}
        layer {{ name: 'act' type: 'PReLU' bottom: 'conv' top: 'conv' }}
        layer {{ name: 'two' type: 'Split' bottom: 'conv' top: 'a' top: 'b' }}
        layer {{ name: 'bn' type: 'Convolution' bottom: 'a' top: 'a1'
                 convolution_param {{ num_output: 2 kernel_h: 1 kernel_w: 1 bias_term: false group: 2 }} }}
        layer {{ name: 'norm' type: 'BatchNorm' bottom: 'a1' top: 'a1' }}
        layer {{ name: 'scale' type: 'Scale' bottom: 'a1' top: 'a1' scale_param {{ bias_term: true }} }}
        layer {{ name: 'sum' type: 'Eltwise' bottom: 'a1' bottom: 'b' top: 'sum' eltwise_param {{ operation: SUM }} }}
        layer {{ name: 'relu' type: 'ReLU' bottom: 'sum' top: 'sum' }}
        layer {{ name: 'pool' type: 'Pooling' bottom: 'sum' top: 'pool'
                 pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
        layer {{ name: 'drop' type: 'Dropout' bottom: 'pool' top: 'pool' }}
        layer {{ name: 'noise' type: 'Dropout' bottom: 'pool' top: 'noise' include {{ phase: TRAIN }} }}
        layer {{ name: 'fc' type: 'InnerProduct' bottom: 'pool' top: 'fc' inner_product_param {{ num_output: 2 }} }}
        layer {{ name: 'prob' type: 'Softmax' bottom: 'fc' top: 'prob' }}"
    );
    let model = model(vec![
        layer("conv", "Convolution", conv_blobs()),
        layer("act", "PReLU", vec![blob(&[2], &[0.5, 0.25])]),
        layer("bn", "Convolution", vec![blob(&[2, 1, 1, 1], &[2.0, 3.0])]),
        // Sums over 4 samples: mean [1, 2], variance [3.99999, 0.99999] + 1e-5.
        layer(
            "norm",
            "BatchNorm",
            vec![blob(&[2], &[4.0, 8.0]), blob(&[2], &[15.99996, 3.99996]), blob(&[1], &[4.0])],
        ),
        layer("scale", "Scale", vec![blob(&[2], &[2.0, -1.0]), blob(&[2], &[0.0, 10.0])]),
        layer("fc", "InnerProduct", vec![blob(&[2, 2], &[1.0, 0.0, 0.0, 1.0]), blob(&[2], &[0.0, -12.0])]),
    ]);
    let network = build(&text, &model).unwrap();
    assert_eq!(network.name, "tiny");
    let folded = fold_batch_norm(&network).unwrap();
    let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    // conv 0: x00 + x11 + 0.5 = 6.5 8.5 12.5 14.5; conv 1: 2 x01 - x10 - 1 = -1 0 2 3 -> PReLU -0.25 0 2 3
    // a, channel 0: (2v - 1) / 2 * 2 = 2v - 1 = 12 16 24 28; channel 1: 10 - (3v - 2) = 12.75 12 6 3
    // sum 0: 18.5 .. 42.5, max 42.5; sum 1: 12.5 12 8 6, max 12.5; fc: 42.5, 0.5
    let out = evaluate(&folded, &image, 1, 3, 3).unwrap();
    assert_eq!((out.len(), out[0].name.as_str(), &out[0].shape[..]), (1, "prob", &[1, 2][..]));
    assert!((out[0].data[0] - 1.0).abs() < 1e-6 && out[0].data[1] < 1e-6);
    let raw = text.replace("layer { name: 'prob' type: 'Softmax' bottom: 'fc' top: 'prob' }", "");
    let out = evaluate(&build(&raw, &model).unwrap(), &image, 1, 3, 3).unwrap();
    for (got, want) in out[0].data.iter().zip([42.5, 0.5]) {
        assert!((got - want).abs() < 1e-4, "{got} is not {want}");
    }
}

#[test]
fn the_old_format_reads_the_same() {
    let text = "input: 'data' input_shape { dim: 1 dim: 1 dim: 3 dim: 3 }
        layers { name: 'conv' type: CONVOLUTION bottom: 'data' top: 'conv'
                 convolution_param { num_output: 2 kernel_size: 2 } }
        layers { name: 'relu' type: RELU bottom: 'conv' top: 'conv' relu_param { negative_slope: 0.5 } }
        layers { name: 'fc' type: INNER_PRODUCT bottom: 'conv' top: 'fc' inner_product_param { num_output: 1 } }";
    let weights: Vec<f32> = (0..8).map(|v| v as f32).collect();
    let old = |name: &str, kind: i32, blobs| LayerV1 { v0: None, name: name.into(), r#type: kind, blobs };
    let v1 = Net {
        layers: vec![
            old(
                "conv",
                4,
                vec![
                    old_blob([2, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 2.0, -1.0, 0.0]),
                    old_blob([1, 1, 1, 2], &[0.5, -1.0]),
                ],
            ),
            old("fc", 14, vec![old_blob([1, 1, 1, 8], &weights), old_blob([1, 1, 1, 1], &[1.0])]),
        ],
        layer: vec![],
    }
    .encode_to_vec();
    let v2 = model(vec![
        layer("conv", "Convolution", conv_blobs()),
        layer("fc", "InnerProduct", vec![blob(&[1, 8], &weights), blob(&[1], &[1.0])]),
    ]);
    let new_text = text
        .replace("layers", "layer")
        .replace("CONVOLUTION", "'Convolution'")
        .replace("INNER_PRODUCT", "'InnerProduct'")
        .replace("RELU", "'ReLU'")
        .replace("input: 'data' input_shape { dim: 1 dim: 1 dim: 3 dim: 3 }", "layer { name: 'in' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 1 dim: 3 dim: 3 } } }");
    let (a, b) = (build(text, &v1).unwrap(), build(&new_text, &v2).unwrap());
    assert_eq!(a, b);
    let out = evaluate(&a, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 1, 3, 3).unwrap();
    // 6.5 8.5 12.5 14.5 and -0.5 0 2 3, times 0..7, plus 1
    assert_eq!(out[0].data, [8.5 + 25.0 + 43.5 - 2.0 + 0.0 + 12.0 + 21.0 + 1.0]);
}

#[test]
fn doubles_and_turned_weights() {
    let text = "input: 'x' input_dim: 1 input_dim: 2 input_dim: 1 input_dim: 1
        layer { name: 'fc' type: 'InnerProduct' bottom: 'x' top: 'fc'
                inner_product_param { num_output: 3 bias_term: false transpose: true } }";
    let mut weights = blob(&[2, 3], &[]);
    weights.double_data = vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
    let network = build(text, &model(vec![layer("fc", "InnerProduct", vec![weights])])).unwrap();
    assert_eq!(evaluate(&network, &[1.0, 0.5], 1, 1, 1).unwrap()[0].data, [6.0, 12.0, 18.0]);
}

#[test]
fn each_fault_names_the_layer_and_the_cure() {
    let good = model(vec![layer("conv", "Convolution", conv_blobs())]);
    build(CONV, &good).unwrap();
    let other = model(vec![layer("conv1", "Convolution", conv_blobs())]);
    let no_bias = model(vec![layer("conv", "Convolution", conv_blobs()[..1].to_vec())]);
    let swapped = model(vec![layer("conv", "InnerProduct", conv_blobs())]);
    let mut wide = conv_blobs();
    wide[0] = blob(&[2, 2, 2, 1], &[0.0; 8]);
    let wide = model(vec![layer("conv", "Convolution", wide)]);
    let mut short = conv_blobs();
    short[0].data.pop();
    let short = model(vec![layer("conv", "Convolution", short)]);
    let v0 = Net {
        layers: vec![LayerV1 { v0: Some(vec![]), name: "conv".into(), r#type: 0, blobs: vec![] }],
        layer: vec![],
    };
    let replaced = |from: &str, to: &str| CONV.replace(from, to);
    for (text, model, words) in [
        (CONV.to_string(), &other, &["layer `conv`", "do not belong together"][..]),
        (CONV.to_string(), &no_bias, &["layer `conv`", "bias_term"]),
        (CONV.to_string(), &swapped, &["layer `conv`", "Convolution", "InnerProduct"]),
        (CONV.to_string(), &wide, &["layer `conv`", "[2, 2, 2, 1]", "[2, 1, 2, 2]"]),
        (CONV.to_string(), &short, &["layer `conv`", "damaged"]),
        (CONV.to_string(), &v0.encode_to_vec(), &["V0", "upgrade_net_proto_binary"]),
        (CONV.to_string(), &vec![], &["no layer"]),
        (CONV.to_string(), &good[..good.len() - 3].to_vec(), &["not a whole .caffemodel"]),
        (replaced("'Convolution'", "'LRN'"), &good, &["layer `conv`", "LRN", "understood are"]),
        (replaced("'Convolution'", "'SoftmaxWithLoss'"), &good, &["deploy prototxt"]),
        (replaced("kernel_size: 2", "kernel_size: 2 dilation: 2"), &good, &["dilation"]),
        (replaced("kernel_size: 2", "kernel_size: 9"), &good, &["layer `conv`", "[2, 1, 9, 9]"]),
        (replaced("num_output: 2", ""), &good, &["num_output"]),
        (replaced("kernel_size: 2", "kernel_size: x"), &good, &["`kernel_size: x`"]),
        (replaced("kernel_size: 2", "kernel_size: 99999999"), &good, &["longer than"]),
        (replaced("bottom: 'data'", "bottom: 'date'"), &good, &["layer `conv`", "`date`"]),
        (replaced("input: 'data'", ""), &good, &["0 inputs", "deploy"]),
        (replaced("input_dim: 1 input_dim: 1", "input_dim: 1"), &good, &["[1, 3, 3]"]),
        (replaced("input_dim: 3", "input_dim: 0"), &good, &["[1, 1, 0, 0]"]),
        (CONV[..CONV.len() - 1].to_string(), &good, &["line 3", "cut off"]),
    ] {
        let error = build(&text, model).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{words:?} are not all in: {error}");
    }
}

proptest! {
    #[test]
    fn garbled_models_never_panic(at in 0usize..200, byte: u8, cut in 0usize..200) {
        let mut bytes = model(vec![layer("conv", "Convolution", conv_blobs())]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = build(CONV, &bytes);
        let _ = build(CONV, &bytes[..cut.min(bytes.len())]);
    }

    #[test]
    fn garbled_texts_never_panic(at in 0usize..400, byte in b' '..b'z') {
        let good = model(vec![layer("conv", "Convolution", conv_blobs())]);
        let mut text = CONV.as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(definition) = Definition::parse(&text) {
            let _ = definition.build(&good);
        }
    }
}
