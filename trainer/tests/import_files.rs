//! Imports from files on disk, made here: the whole way, and the messages of the usual mistakes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use limen_train::export::onnx::to_bytes;
use limen_train::graph::{BatchNorm, Conv2d, InputShape, Network, Op, Size2, Tensor, ValueId};
use limen_train::import::{Architecture, ImageLayout, ImportSource, ImportSpec, Role, import, weights};
use std::path::Path;

/// A depthwise head on a small image.
fn embedder() -> Network {
    let mut n = Network::new("small", "data", InputShape::fixed(3, 4, 2));
    let conv = Conv2d {
        weight: Tensor::new([3, 1, 4, 2], (0..24).map(|v| v as f32).collect()).unwrap(),
        bias: None,
        stride: Size2::square(1),
        pad: Size2::square(0),
        groups: 3,
    };
    let y = n.push("head", Op::Conv2d(conv), &[ValueId::INPUT]);
    n.output("feature", y);
    n
}

fn onnx(path: &Path, role: Option<Role>, name: Option<&str>) -> ImportSpec {
    ImportSpec {
        source: ImportSource::Onnx { path: path.to_path_buf() },
        role,
        name: name.map(str::to_string),
    }
}

#[test]
fn an_onnx_file_takes_its_role_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, to_bytes(&embedder()).unwrap()).unwrap();
    let network = import(&onnx(&path, Some(Role::Embedder), Some("door"))).unwrap();
    assert_eq!((network.name.as_str(), network.outputs[0].name.as_str()), ("door", "embedding"));
    assert_eq!(import(&onnx(&path, None, None)).unwrap(), embedder());
    let error = import(&onnx(&path, Some(Role::MtcnnR), None)).unwrap_err().to_string();
    assert!(error.contains("net.onnx") && error.contains("[3, 4, 2], not [3, 24, 24]"), "{error}");
}

#[test]
fn a_batch_norm_that_cannot_be_folded_is_named() {
    let mut n = embedder();
    let norm = BatchNorm {
        scale: vec![1.0; 3],
        shift: vec![0.0; 3],
        mean: vec![0.0; 3],
        variance: vec![1.0; 3],
        epsilon: 0.0,
    };
    let y = n.push("bn", Op::BatchNorm(norm), &[ValueId::INPUT]);
    n.output("normed", y);
    assert!(to_bytes(&n).unwrap_err().to_string().contains("layer `bn`"));
}

#[test]
fn mistakes_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text.onnx"), "hello").unwrap();
    std::fs::write(at("net.prototxt"), "input: 'x' input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4")
        .unwrap();
    std::fs::write(at("cut.caffemodel"), [0xa2, 0x06, 0x7f]).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    let caffe = |model: &str, prototxt: &str| ImportSource::Caffe {
        model: at(model),
        prototxt: at(prototxt),
        layout: ImageLayout::HeightFirst,
    };
    let tensors = |path: &str| ImportSource::Weights { path: at(path), architecture: Architecture::MtcnnP };
    for (source, words) in [
        (ImportSource::Onnx { path: at("none.onnx") }, ["none.onnx", "cannot be read"]),
        (ImportSource::Onnx { path: at("text.onnx") }, ["text.onnx", "not a whole ONNX file"]),
        (caffe("cut.caffemodel", "net.prototxt"), ["cut.caffemodel", "not a whole .caffemodel"]),
        (caffe("cut.caffemodel", "none.prototxt"), ["none.prototxt", "cannot be read"]),
        (caffe("net.prototxt", "cut.caffemodel"), ["cut.caffemodel", "not a text file"]),
        (tensors("text.onnx"), ["text.onnx", "no known weights format"]),
        (tensors("empty"), ["empty", "no .npy file"]),
    ] {
        let error = import(&ImportSpec { source, role: None, name: None }).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{words:?} are not all in: {error}");
    }
}

#[test]
fn single_arrays_are_named_after_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([1f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
    for name in ["conv1.bias.npy", "prelu1.weight.npy"] {
        std::fs::write(folder.path().join(name), &bytes).unwrap();
    }
    let one = weights::read(&folder.path().join("conv1.bias.npy")).unwrap();
    assert_eq!(one.get("conv1.bias").unwrap().data(), [1.0, -2.0]);
    let all = weights::read(folder.path()).unwrap();
    assert_eq!(all.names().collect::<Vec<_>>(), ["conv1.bias", "prelu1.weight"]);
}
