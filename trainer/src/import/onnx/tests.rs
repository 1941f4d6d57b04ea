//! What is exported is read back as the same network; what is not understood is refused by name.

use super::*;
use crate::export::onnx::{to_bytes, to_model};
use proptest::prelude::*;

fn conv(out: usize, channels: usize, kernel: (usize, usize), groups: usize) -> Op {
    let shape = [out, channels / groups, kernel.0, kernel.1];
    let count = shape.iter().product::<usize>();
    Op::Conv2d(Conv2d {
        weight: Tensor::new(shape, (0..count).map(|i| i as f32 * 0.125 - 1.0).collect()).unwrap(),
        bias: out.is_multiple_of(2).then(|| vec![0.5; out]),
        stride: Size2::new(1, 2),
        pad: Size2::new(1, 0),
        groups,
    })
}

/// One of each operator.
fn network() -> Network {
    let mut n = Network::new("all", "data", InputShape::fixed(2, 9, 9));
    let y = n.push("conv", conv(4, 2, (3, 2), 1), &[ValueId::INPUT]); // [4, 9, 4]
    let y = n.push("act", Op::PRelu { slope: vec![0.1, 0.2, 0.3, 0.4] }, &[y]);
    let pool = MaxPool {
        kernel: Size2::new(3, 2),
        stride: Size2::new(2, 2),
        pad: Size2::new(1, 0),
        rounding: Rounding::Ceil,
    };
    let y = n.push("pool", Op::MaxPool(pool), &[y]);
    let z = n.push("relu", Op::Relu, &[y]);
    let y = n.push("sum", Op::Add, &[y, z]);
    n.output("map", y);
    let y = n.push("flat", Op::Flatten, &[y]);
    let length = n.shapes().unwrap().last().unwrap().channels();
    let weight = Tensor::new([2, length], vec![0.25; 2 * length]).unwrap();
    let y = n.push("fc", Op::Gemm(Gemm { weight, bias: Some(vec![1.0, 2.0]) }), &[y]);
    let y = n.push("slope", Op::PRelu { slope: vec![0.5, 0.75] }, &[y]);
    let y = n.push("prob", Op::Softmax { axis: 1 }, &[y]);
    n.output("prob", y);
    n
}

#[test]
fn what_is_written_is_read_back() {
    assert_eq!(read(&to_bytes(&network()).unwrap()).unwrap(), network());
    let mut free = Network::new("free", "data", InputShape::free(2));
    let y = free.push("depthwise", conv(2, 2, (1, 1), 2), &[ValueId::INPUT]);
    let y = free.push("clip", Op::Clip { low: 0.0, high: 6.0 }, &[y]);
    free.output("y", y);
    assert_eq!(read(&to_bytes(&free).unwrap()).unwrap(), free);
}

#[test]
fn other_exporters_habits() {
    let mut model = to_model(&network()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].name.clear(); // nodes without names
    let slope = graph.initializer.iter_mut().find(|t| t.name == "act.slope").unwrap();
    slope.dims.insert(0, 1); // [1, c, 1, 1]
    slope.float_data = slope.raw_data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    slope.raw_data.clear();
    let listed = proto::ValueInfo { name: "act.slope".into(), r#type: None };
    graph.input.push(listed); // weights listed as inputs
    let read = read(&model.encode_to_vec()).unwrap();
    assert_eq!(read.nodes()[0].name, "Conv_0");
    assert_eq!(read.nodes()[1].op, network().nodes()[1].op);
}

#[test]
fn bounds_of_every_opset() {
    fn node(model: &mut proto::Model) -> &mut proto::Node {
        &mut model.graph.as_mut().unwrap().node[0]
    }
    let mut n = Network::new("clip", "data", InputShape::fixed(1, 2, 2));
    let y = n.push("clip", Op::Clip { low: -1.0, high: 6.0 }, &[ValueId::INPUT]);
    n.output("y", y);
    let clip = |change: fn(&mut proto::Model)| {
        let mut model = to_model(&n).unwrap();
        change(&mut model);
        read(&model.encode_to_vec()).map(|n| n.nodes()[0].op.clone()).map_err(|e| e.to_string())
    };
    assert_eq!(clip(|_| {}), Ok(Op::Clip { low: -1.0, high: 6.0 }));
    assert_eq!(clip(|m| node(m).input[1].clear()), Ok(Op::Clip { low: f32::MIN, high: 6.0 }));
    assert_eq!(clip(|m| node(m).input.truncate(2)), Ok(Op::Clip { low: -1.0, high: f32::MAX }));
    let old = clip(|m| {
        m.opset_import[0].version = 10;
        node(m).input.truncate(1);
        let max = Attribute { name: "max".into(), f: Some(6.0), ..Default::default() };
        node(m).attribute.push(max);
    });
    assert_eq!(old, Ok(Op::Clip { low: f32::MIN, high: 6.0 }));
    let two = clip(|m| {
        let bound = &mut m.graph.as_mut().unwrap().initializer[0];
        (bound.dims, bound.raw_data) = (vec![2], [bound.raw_data.clone(), bound.raw_data.clone()].concat());
    });
    assert!(two.unwrap_err().contains("2 numbers as the bound `min`"));
}

#[test]
fn a_reshape_to_a_vector_is_a_flattening() {
    let reshaped = |target: [i64; 2], batch: Option<i64>| {
        let mut model = to_model(&network()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let tensor = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        tensor.shape.as_mut().unwrap().dim[0] = proto::Dimension { dim_value: batch, dim_param: None };
        let flat = graph.node.iter_mut().find(|n| n.name == "flat").unwrap();
        flat.op_type = "Reshape".into();
        flat.attribute.clear();
        flat.input.push("target".into());
        graph.initializer.push(proto::TensorData {
            dims: vec![2],
            data_type: proto::INT64,
            name: "target".into(),
            int64_data: target.to_vec(),
            ..Default::default()
        });
        read(&model.encode_to_vec()).map_err(|e| e.to_string())
    };
    assert_eq!(reshaped([0, -1], None), Ok(network()));
    assert_eq!(reshaped([1, -1], Some(1)), Ok(network()));
    let e = reshaped([1, -1], None).unwrap_err();
    assert!(e.contains("layer `flat`") && e.contains("to [1, -1]"), "{e}");
}

#[test]
fn a_free_size_can_be_settled_and_a_fixed_one_stays() {
    let mut free = Network::new("free", "data", InputShape::free(2));
    let y = free.push("relu", Op::Relu, &[ValueId::INPUT]);
    free.output("y", y);
    let bytes = to_bytes(&free).unwrap();
    let settled = read_sized(&bytes, Some(Size2::new(3, 4))).unwrap();
    assert_eq!(settled.input, InputShape::fixed(2, 3, 4));
    let fixed = to_bytes(&network()).unwrap();
    assert_eq!(read_sized(&fixed, Some(Size2::new(3, 4))).unwrap().input, InputShape::fixed(2, 9, 9));
}

#[test]
fn a_matrix_product_is_a_layer_without_bias() {
    let mut model = to_model(&network()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let fc = graph.node.iter_mut().find(|n| n.name == "fc").unwrap();
    fc.op_type = "MatMul".into();
    fc.attribute.clear();
    fc.input.pop();
    let weight = graph.initializer.iter_mut().find(|t| t.name == "fc.weight").unwrap();
    weight.dims.reverse();
    let read = read(&model.encode_to_vec()).unwrap();
    let fc = read.nodes().iter().find(|n| n.name == "fc").unwrap();
    assert!(matches!(&fc.op, Op::Gemm(g) if g.bias.is_none() && g.weight.shape()[0] == 2));
}

#[test]
fn what_is_not_understood_is_named() {
    type Change = fn(&mut proto::Graph);
    let changes: [(&str, Change); 10] = [
        ("operator Tanh is not understood", |g| g.node[3].op_type = "Tanh".into()),
        ("the same on both sides", |g| g.node[0].attribute[3].ints = vec![0, 1, 1, 1]),
        ("dilation", |g| g.node[0].attribute[0].ints = vec![2, 2]),
        ("attribute `new` is not understood", |g| {
            g.node[0].attribute.push(Attribute { name: "new".into(), ..Default::default() });
        }),
        ("`nowhere`, which no node", |g| g.node[1].input[0] = "nowhere".into()),
        ("output `prob` is made by no node", |g| g.node[8].output[0] = "else".into()),
        ("the weights `conv.weight` are damaged", |g| g.initializer[0].dims[0] = 3),
        ("weights `conv.weight` are neither f32", |g| g.initializer[0].data_type = 7),
        ("is int8 already", |g| g.node[0].op_type = "QLinearConv".into()),
        ("only a cast of weights", |g| g.node[1].op_type = "Cast".into()),
    ];
    for (words, change) in changes {
        let mut model = to_model(&network()).unwrap();
        change(model.graph.as_mut().unwrap());
        let error = read(&model.encode_to_vec()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
    assert!(read(b"not onnx").unwrap_err().to_string().contains("not a whole ONNX file"));
    assert!(read(&[]).unwrap_err().to_string().contains("no graph"));
}

proptest! {
    #[test]
    fn garbled_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4), cut: usize) {
        let mut bytes = to_bytes(&network()).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = read(&bytes);
        let _ = read(&bytes[..cut % bytes.len()]);
    }
}
