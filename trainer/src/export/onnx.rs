//! Network -> ONNX bytes: opset 17, IR version 8, the batch free as `N`, a free image size as `H` and `W`.
//!
//! The same network always gives the same bytes, so that a hash in a manifest can be checked by exporting again.

use super::proto;
use crate::graph::{Conv2d, Gemm, GraphError, MaxPool, Network, Node, Op, Rounding, Shape, Size2, Tensor};
use prost::Message;
use std::collections::HashSet;

/// Operators are those of this version.
pub const OPSET: i64 = 17;
/// Container version that goes with [`OPSET`].
pub const IR_VERSION: i64 = 8;

/// The network as an ONNX file.
///
/// # Errors
/// When the network is not well formed, or still has a batch normalisation in it.
pub fn to_bytes(network: &Network) -> Result<Vec<u8>, GraphError> {
    Ok(to_model(network)?.encode_to_vec())
}

/// The network as ONNX messages.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_model(network: &Network) -> Result<proto::Model, GraphError> {
    network.check()?;
    let shapes = network.shapes()?;
    let mut writer = Writer::new(network);
    for (i, node) in network.nodes().iter().enumerate() {
        writer.node(i, node, shapes[i + 1])?;
    }
    Ok(writer.finish(network, &shapes))
}

/// How a free length is written: the output's is some function of the input's, so it gets no name of its own.
#[derive(Clone, Copy)]
enum FreeSize {
    Named,
    Unknown,
}

/// A graph that is being written.
pub(super) struct Writer {
    /// Nodes and weights so far.
    pub(super) graph: proto::Graph,
    /// ONNX name of every value, indexed like `Network::shapes`.
    pub(super) values: Vec<String>,
    /// Every name of a value or of weights so far.
    pub(super) taken: HashSet<String>,
    /// One an output: the value it copies when the value already goes by another name.
    aliases: Vec<Option<String>>,
}

impl Writer {
    /// Names every value: outputs as they are called, the others after their layer.
    pub(super) fn new(network: &Network) -> Self {
        let mut taken: HashSet<String> = network.outputs.iter().map(|o| o.name.clone()).collect();
        taken.insert(network.input_name.clone());
        let mut values = vec![network.input_name.clone()];
        let mut named = HashSet::new();
        for (i, node) in network.nodes().iter().enumerate() {
            let handed_out = network.outputs.iter().position(|o| o.value.node() == Some(i));
            values.push(match handed_out {
                Some(o) => {
                    named.insert(o);
                    network.outputs[o].name.clone()
                }
                None => unique(format!("{}.out", node.name), &mut taken),
            });
        }
        let aliases = network
            .outputs
            .iter()
            .enumerate()
            .map(|(o, output)| (!named.contains(&o)).then(|| values[output.value.index()].clone()))
            .collect();
        Self { graph: proto::Graph::default(), values, taken, aliases }
    }

    /// The whole file: inputs and outputs named, copies made of values that are handed out twice.
    pub(super) fn finish(self, network: &Network, shapes: &[Shape]) -> proto::Model {
        let mut graph = self.graph;
        graph.name.clone_from(&network.name);
        graph.input = vec![value_info(&network.input_name, shapes[0], FreeSize::Named)];
        for (output, wanted) in network.outputs.iter().zip(&self.aliases) {
            if let Some(source) = wanted {
                graph.node.push(proto::Node {
                    input: vec![source.clone()],
                    output: vec![output.name.clone()],
                    name: output.name.clone(),
                    op_type: "Identity".into(),
                    ..Default::default()
                });
            }
            graph.output.push(value_info(&output.name, shapes[output.value.index()], FreeSize::Unknown));
        }
        proto::Model {
            ir_version: IR_VERSION,
            producer_name: "limen-train".into(),
            graph: Some(graph),
            opset_import: vec![proto::Opset { domain: String::new(), version: OPSET }],
        }
    }

    /// Writes node number `index`, which makes `shape`, in f32.
    pub(super) fn node(&mut self, index: usize, node: &Node, shape: Shape) -> Result<(), GraphError> {
        let mut input: Vec<String> = node.inputs.iter().map(|id| self.values[id.index()].clone()).collect();
        let (op_type, attribute) = match &node.op {
            Op::Conv2d(conv) => {
                input.push(self.weights(node, "weight", conv.weight.shape(), conv.weight.data()));
                self.bias(node, conv.bias.as_deref(), &mut input);
                ("Conv", conv_attributes(conv))
            }
            Op::Gemm(Gemm { weight, bias }) => {
                input.push(self.weights(node, "weight", weight.shape(), weight.data()));
                self.bias(node, bias.as_deref(), &mut input);
                ("Gemm", vec![int("transB", 1)])
            }
            Op::PRelu { slope } => {
                let on_map = [slope.len(), 1, 1]; // broadcast against [N, C, H, W]
                let axes = if matches!(shape, Shape::Map { .. }) { 3 } else { 1 };
                input.push(self.weights(node, "slope", &on_map[..axes], slope));
                ("PRelu", vec![])
            }
            Op::MaxPool(pool) => ("MaxPool", pool_attributes(pool)),
            Op::Softmax { axis } => ("Softmax", vec![int("axis", *axis)]),
            Op::Flatten => ("Flatten", vec![int("axis", 1)]),
            Op::Relu => ("Relu", vec![]),
            Op::Clip { low, high } => {
                for (what, bound) in [("low", low), ("high", high)] {
                    input.push(self.weights(node, what, &[], &[*bound])); // scalars since opset 11
                }
                ("Clip", vec![])
            }
            Op::Add => ("Add", vec![]),
            Op::BatchNorm(_) => {
                return Err(GraphError::Layer {
                    layer: node.name.clone(),
                    what: "is a batch normalisation; fold it before exporting".into(),
                });
            }
        };
        self.graph.node.push(proto::Node {
            input,
            output: vec![self.values[index + 1].clone()],
            name: node.name.clone(),
            op_type: op_type.into(),
            attribute,
            domain: String::new(),
        });
        Ok(())
    }

    fn bias(&mut self, node: &Node, bias: Option<&[f32]>, input: &mut Vec<String>) {
        if let Some(bias) = bias {
            input.push(self.weights(node, "bias", &[bias.len()], bias));
        }
    }

    fn weights(&mut self, node: &Node, what: &str, shape: &[usize], data: &[f32]) -> String {
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(&format!("{}.{what}", node.name), shape, proto::FLOAT, bytes)
    }

    /// Writes little-endian numbers of the kind `data_type` and returns the name they got.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, bytes: Vec<u8>) -> String {
        let name = unique(name.to_owned(), &mut self.taken);
        self.graph.initializer.push(proto::TensorData {
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type,
            name: name.clone(),
            raw_data: bytes,
            ..Default::default()
        });
        name
    }
}

/// `name`, or `name` with underscores where it is taken already.
pub(super) fn unique(mut name: String, taken: &mut HashSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Attributes of a convolution, in f32 and in int8.
pub(super) fn conv_attributes(conv: &Conv2d) -> Vec<proto::Attribute> {
    let kernel = match *Tensor::shape(&conv.weight) {
        [_, _, kh, kw] => Size2::new(kh, kw),
        _ => Size2::square(0), // check() has refused this
    };
    vec![
        ints("dilations", &[1, 1]),
        int("group", conv.groups),
        ints("kernel_shape", &[kernel.height, kernel.width]),
        ints("pads", &[conv.pad.height, conv.pad.width, conv.pad.height, conv.pad.width]),
        ints("strides", &[conv.stride.height, conv.stride.width]),
    ]
}

fn pool_attributes(pool: &MaxPool) -> Vec<proto::Attribute> {
    vec![
        int("ceil_mode", usize::from(pool.rounding == Rounding::Ceil)),
        ints("kernel_shape", &[pool.kernel.height, pool.kernel.width]),
        ints("pads", &[pool.pad.height, pool.pad.width, pool.pad.height, pool.pad.width]),
        ints("strides", &[pool.stride.height, pool.stride.width]),
    ]
}

/// An attribute that is a number.
pub(super) fn int(name: &str, value: usize) -> proto::Attribute {
    proto::Attribute {
        name: name.into(),
        i: Some(value as i64),
        r#type: proto::ATTRIBUTE_INT,
        ..Default::default()
    }
}

fn ints(name: &str, values: &[usize]) -> proto::Attribute {
    proto::Attribute {
        name: name.into(),
        ints: values.iter().map(|&v| v as i64).collect(),
        r#type: proto::ATTRIBUTE_INTS,
        ..Default::default()
    }
}

fn value_info(name: &str, shape: Shape, free: FreeSize) -> proto::ValueInfo {
    let named = |name: &str| proto::Dimension { dim_param: Some(name.into()), dim_value: None };
    let length = |length: Option<usize>, name: &str| match (length, free) {
        (Some(length), _) => proto::Dimension { dim_value: Some(length as i64), dim_param: None },
        (None, FreeSize::Named) => named(name),
        (None, FreeSize::Unknown) => proto::Dimension::default(),
    };
    let mut dim = vec![named("N")];
    match shape {
        Shape::Map { channels, height, width } => {
            dim.extend([length(Some(channels), ""), length(height, "H"), length(width, "W")]);
        }
        Shape::Vector { length: n } => dim.push(length(Some(n), "")),
    }
    let tensor_type = proto::TensorType { elem_type: proto::FLOAT, shape: Some(proto::TensorShape { dim }) };
    proto::ValueInfo { name: name.into(), r#type: Some(proto::ValueType { tensor_type: Some(tensor_type) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{InputShape, ValueId};

    fn small() -> Network {
        let mut n = Network::new("small", "data", InputShape::free(3));
        let conv = Conv2d {
            weight: Tensor::new([2, 3, 3, 1], vec![0.5; 18]).unwrap(),
            bias: Some(vec![1.0, 2.0]),
            stride: Size2::new(2, 1),
            pad: Size2::new(1, 0),
            groups: 1,
        };
        let y = n.push("conv", Op::Conv2d(conv), &[ValueId::INPUT]);
        let y = n.push("act", Op::PRelu { slope: vec![0.25, 0.5] }, &[y]);
        let pool = MaxPool {
            kernel: Size2::square(2),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        let y = n.push("pool", Op::MaxPool(pool), &[y]);
        n.output("map", y);
        n
    }

    #[test]
    fn written_as_agreed() {
        let model = to_model(&small()).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        let graph = model.graph.unwrap();
        let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
        assert_eq!(ops, ["Conv", "PRelu", "MaxPool"]);
        assert_eq!(graph.node[0].input, ["data", "conv.weight", "conv.bias"]);
        assert_eq!(graph.node[2].output, ["map"]);
        assert_eq!(graph.initializer[2].dims, [2, 1, 1]); // the slope
        let attribute =
            |n: usize, name: &str| graph.node[n].attribute.iter().find(|a| a.name == name).unwrap().clone();
        assert_eq!(attribute(0, "pads").ints, [1, 0, 1, 0]);
        assert_eq!(attribute(0, "strides").ints, [2, 1]);
        assert_eq!(attribute(2, "ceil_mode").i, Some(1));
        let dims = |v: &proto::ValueInfo| {
            v.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref().unwrap().dim.clone()
        };
        let names: Vec<_> = dims(&graph.input[0]).into_iter().map(|d| (d.dim_value, d.dim_param)).collect();
        let named = |n: &str| (None, Some(n.to_string()));
        assert_eq!(names, [named("N"), (Some(3), None), named("H"), named("W")]);
        assert_eq!(dims(&graph.output[0])[2], proto::Dimension::default());
    }

    #[test]
    fn one_value_under_two_names_is_copied() {
        let mut n = small();
        let last = n.outputs[0].value;
        n.output("again", last);
        n.output("as_it_came", ValueId::INPUT);
        let graph = to_model(&n).unwrap().graph.unwrap();
        let copies: Vec<_> =
            graph.node[3..].iter().map(|n| (n.input[0].as_str(), n.output[0].as_str())).collect();
        assert_eq!(copies, [("map", "again"), ("data", "as_it_came")]);
    }

    #[test]
    fn the_same_network_gives_the_same_bytes() {
        assert_eq!(to_bytes(&small()).unwrap(), to_bytes(&small()).unwrap());
    }
}
