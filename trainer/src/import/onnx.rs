//! ONNX: feed-forward networks of the operators known here, so that an exported file can be read back.

mod reshape;

use self::reshape::Batch;
use super::Fault;
use super::numbers::{Kind, Order};
use crate::export::proto::{self, Attribute};
use crate::graph::shape::after;
use crate::graph::tensor::element_count;
use crate::graph::{
    BatchNorm, Conv2d, Gemm, InputShape, MaxPool, Network, Op, Rounding, Shape, Size2, Tensor, ValueId,
};
use prost::Message;
use std::collections::{HashMap, HashSet};

/// Reads an ONNX file.
///
/// # Errors
/// When it is damaged, or has an operator, attribute or shape that is not understood.
pub fn read(bytes: &[u8]) -> Result<Network, Fault> {
    read_sized(bytes, None)
}

/// The same; `size` takes the place of a height and width that the file leaves free.
///
/// # Errors
/// As [`read`].
pub fn read_sized(bytes: &[u8], size: Option<Size2>) -> Result<Network, Fault> {
    let model = proto::Model::decode(bytes).map_err(|error| {
        Fault::Damaged(format!("is not a whole ONNX file ({error}); fetch or save it again"))
    })?;
    let graph = model.graph.ok_or_else(|| Fault::Damaged("holds no graph; it is no ONNX file".into()))?;
    if graph.node.iter().any(|n| n.op_type.starts_with("QLinear") || n.op_type == "QuantizeLinear") {
        return Err(Fault::Unsupported("is int8 already; take the f32 network it was made from".into()));
    }
    let opset =
        model.opset_import.iter().filter(|o| o.domain.is_empty()).map(|o| o.version).max().unwrap_or(1);
    let mut known = HashMap::new();
    for data in graph.initializer {
        let name = data.name.clone();
        known.insert(name, Known::Weights(data));
    }
    let inputs: Vec<_> = graph.input.iter().filter(|i| !known.contains_key(&i.name)).collect();
    let [input] = inputs[..] else {
        return Err(Fault::Unsupported(format!("has {} inputs; one image is needed", inputs.len())));
    };
    let (batch, mut shape) = input_shape(input)?;
    shape.height = shape.height.or(size.map(|s| s.height));
    shape.width = shape.width.or(size.map(|s| s.width));
    known.insert(input.name.clone(), Known::Value(ValueId::INPUT));
    let mut reader = Reader {
        network: Network::new(graph.name, &input.name, shape),
        shapes: vec![Shape::from(shape)],
        known,
        names: HashSet::new(),
        opset,
        batch,
    };
    for (i, node) in graph.node.into_iter().enumerate() {
        let name = if node.name.is_empty() { format!("{}_{i}", node.op_type) } else { node.name.clone() };
        reader.node(name.clone(), node).map_err(|what| Fault::Layer { layer: name, what })?;
    }
    for output in graph.output {
        match reader.known.get(&output.name) {
            Some(&Known::Value(value)) => reader.network.output(output.name, value),
            _ => return Err(Fault::Damaged(format!("its output `{}` is made by no node", output.name))),
        }
    }
    reader.network.check()?;
    Ok(reader.network)
}

/// What a name in the file stands for.
enum Known {
    Value(ValueId),
    Weights(proto::TensorData),
}

struct Reader {
    network: Network,
    shapes: Vec<Shape>,
    known: HashMap<String, Known>,
    names: HashSet<String>,
    opset: i64,
    batch: Batch,
}

impl Reader {
    fn node(&mut self, mut name: String, node: proto::Node) -> Result<(), String> {
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return Err(format!("the operator family `{}` is not understood", node.domain));
        }
        let [output] = &node.output[..] else {
            return Err(format!("{} outputs; one is understood", node.output.len()));
        };
        let settings = Settings(&node.attribute);
        if node.op_type == "Constant" {
            let value =
                settings.get("value").and_then(|a| a.t.clone()).ok_or("a constant without a tensor")?;
            self.known.insert(output.clone(), Known::Weights(value));
            return Ok(());
        }
        if node.op_type == "Cast" {
            return self.cast(&node, settings);
        }
        let mut inputs = vec![self.value(&node, 0)?];
        let x = self.shapes[inputs[0].index()];
        let op = match node.op_type.as_str() {
            "Identity" | "Dropout" => {
                self.known.insert(output.clone(), Known::Value(inputs[0]));
                return Ok(());
            }
            "Conv" => Op::Conv2d(self.conv(&node, settings)?),
            "MaxPool" => Op::MaxPool(max_pool(settings)?),
            "Gemm" => Op::Gemm(self.gemm(&node, settings)?),
            "MatMul" => {
                settings.only(&[])?;
                Op::Gemm(Gemm { weight: two_axes(self.weights(&node, 1)?)?.transposed(), bias: None })
            }
            "PRelu" => {
                settings.only(&[])?;
                Op::PRelu { slope: slope(self.weights(&node, 1)?, x)? }
            }
            "Relu" => Op::Relu,
            "Clip" => self.clip(&node, settings)?,
            "Add" => {
                inputs.push(self.value(&node, 1)?);
                Op::Add
            }
            "Flatten" => {
                settings.only(&["axis"])?;
                if settings.int("axis", 1)? != 1 {
                    return Err("only flattening from axis 1 is understood".into());
                }
                Op::Flatten
            }
            "Reshape" => {
                settings.only(&["allowzero"])?;
                let target = reshape::integers(self.data(&node, 1)?)?;
                reshape::flattens(&target, settings.int("allowzero", 0)? != 0, self.batch, x)?;
                Op::Flatten
            }
            "Softmax" => Op::Softmax { axis: self.softmax_axis(settings, x)? },
            "BatchNormalization" => Op::BatchNorm(self.batch_norm(&node, settings)?),
            other => {
                return Err(format!(
                    "the operator {other} is not understood (understood are Conv, MaxPool, Gemm, MatMul, PRelu, Relu, \
                     Clip, Add, Flatten, Reshape to a vector, Softmax, BatchNormalization, Identity, Dropout, Constant, Cast of weights)"
                ));
            }
        };
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        let value = self.network.push(name, op, &inputs);
        if let Some(node) = self.network.nodes().last() {
            // The layer's name goes in front of every message of this function already.
            let shape = after(node, &self.shapes).map_err(|error| match error {
                crate::graph::GraphError::Layer { what, .. } => what,
                other => other.to_string(),
            })?;
            self.shapes.push(shape);
        }
        self.known.insert(output.clone(), Known::Value(value));
        Ok(())
    }

    /// Weights stored in half precision are cast to f32 before they are used; [`tensor`] reads either.
    fn cast(&mut self, node: &proto::Node, settings: Settings<'_>) -> Result<(), String> {
        settings.only(&["to", "saturate"])?;
        let weights = node.input.first().and_then(|name| self.known.get(name));
        match (weights, &node.output[..]) {
            (Some(Known::Weights(data)), [output]) if settings.int("to", 0)? == i64::from(proto::FLOAT) => {
                let data = data.clone();
                self.known.insert(output.clone(), Known::Weights(data));
                Ok(())
            }
            _ => Err("only a cast of weights to f32 is understood".into()),
        }
    }

    fn value(&self, node: &proto::Node, at: usize) -> Result<ValueId, String> {
        let name = node.input.get(at).ok_or("an input is missing")?;
        match self.known.get(name) {
            Some(Known::Value(value)) => Ok(*value),
            Some(Known::Weights(_)) => {
                Err(format!("computes with the weights `{name}` alone; simplify the file first"))
            }
            None => Err(format!("reads `{name}`, which no node before it makes")),
        }
    }

    fn data(&self, node: &proto::Node, at: usize) -> Result<&proto::TensorData, String> {
        let name = node.input.get(at).ok_or("an input is missing")?;
        match self.known.get(name) {
            Some(Known::Weights(data)) => Ok(data),
            _ => Err(format!("`{name}` has to be weights in the file")),
        }
    }

    fn weights(&self, node: &proto::Node, at: usize) -> Result<Tensor, String> {
        let data = self.data(node, at)?;
        tensor(data).map_err(|what| format!("the weights `{}` {what}", node.input[at]))
    }

    /// Weights that may be left out, as a vector.
    fn optional(&self, node: &proto::Node, at: usize) -> Result<Option<Vec<f32>>, String> {
        match node.input.get(at) {
            Some(name) if !name.is_empty() => self.weights(node, at).map(|t| Some(t.into_data())),
            _ => Ok(None),
        }
    }

    /// Bounds are attributes before opset 11 and weights since then; without one there is none.
    fn clip(&self, node: &proto::Node, settings: Settings<'_>) -> Result<Op, String> {
        settings.only(if self.opset < 11 { &["min", "max"] } else { &[] })?;
        let bound = |name: &str, at: usize, none: f32| -> Result<f32, String> {
            if self.opset < 11 {
                return Ok(settings.get(name).and_then(|a| a.f).unwrap_or(none));
            }
            match self.optional(node, at)?.as_deref() {
                None => Ok(none),
                Some(&[bound]) => Ok(bound),
                Some(more) => Err(format!("{} numbers as the bound `{name}`; one is needed", more.len())),
            }
        };
        Ok(Op::Clip { low: bound("min", 1, f32::MIN)?, high: bound("max", 2, f32::MAX)? })
    }

    fn conv(&self, node: &proto::Node, settings: Settings<'_>) -> Result<Conv2d, String> {
        settings.only(&["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
        Ok(Conv2d {
            weight: self.weights(node, 1)?,
            bias: self.optional(node, 2)?,
            stride: settings.pair("strides")?.unwrap_or(Size2::square(1)),
            pad: settings.pads()?,
            groups: usize::try_from(settings.int("group", 1)?).map_err(|_| "a negative group")?,
        })
    }

    fn gemm(&self, node: &proto::Node, settings: Settings<'_>) -> Result<Gemm, String> {
        settings.only(&["alpha", "beta", "transA", "transB"])?;
        let plain = |name: &str| settings.get(name).and_then(|a| a.f).unwrap_or(1.0) == 1.0;
        if !plain("alpha") || !plain("beta") || settings.int("transA", 0)? != 0 {
            return Err("only alpha = beta = 1 and transA = 0 are understood".into());
        }
        let weight = two_axes(self.weights(node, 1)?)?;
        let weight = if settings.int("transB", 0)? == 0 { weight.transposed() } else { weight };
        Ok(Gemm { weight, bias: self.optional(node, 2)? })
    }

    fn batch_norm(&self, node: &proto::Node, settings: Settings<'_>) -> Result<BatchNorm, String> {
        settings.only(&["epsilon", "momentum", "training_mode"])?;
        if settings.int("training_mode", 0)? != 0 {
            return Err("is in training mode; export the network for inference".into());
        }
        Ok(BatchNorm {
            scale: self.weights(node, 1)?.into_data(),
            shift: self.weights(node, 2)?.into_data(),
            mean: self.weights(node, 3)?.into_data(),
            variance: self.weights(node, 4)?.into_data(),
            epsilon: settings.get("epsilon").and_then(|a| a.f).unwrap_or(1e-5),
        })
    }

    fn softmax_axis(&self, settings: Settings<'_>, x: Shape) -> Result<usize, String> {
        settings.only(&["axis"])?;
        let axes = if matches!(x, Shape::Map { .. }) { 4 } else { 2 };
        // Before opset 13 the axes from `axis` on were taken together, which is the same for a vector only.
        let default = if self.opset < 13 { 1 } else { -1 };
        if self.opset < 13 && axes == 4 {
            return Err("a softmax over a map in an opset before 13; export with a newer opset".into());
        }
        let axis = settings.int("axis", default)?;
        usize::try_from(if axis < 0 { axis + axes } else { axis })
            .map_err(|_| format!("axis {axis} does not exist"))
    }
}

fn max_pool(settings: Settings<'_>) -> Result<MaxPool, String> {
    settings.only(&[
        "auto_pad",
        "ceil_mode",
        "dilations",
        "kernel_shape",
        "pads",
        "storage_order",
        "strides",
    ])?;
    Ok(MaxPool {
        kernel: settings.pair("kernel_shape")?.ok_or("kernel_shape is missing")?,
        stride: settings.pair("strides")?.unwrap_or(Size2::square(1)),
        pad: settings.pads()?,
        rounding: if settings.int("ceil_mode", 0)? == 0 { Rounding::Floor } else { Rounding::Ceil },
    })
}

/// Attributes of one node.
#[derive(Clone, Copy)]
struct Settings<'a>(&'a [Attribute]);

impl<'a> Settings<'a> {
    fn get(self, name: &str) -> Option<&'a Attribute> {
        self.0.iter().find(|a| a.name == name)
    }

    /// Refuses what would change the result and is not looked at.
    fn only(self, names: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|a| !names.contains(&a.name.as_str())) {
            Some(other) => Err(format!("the attribute `{}` is not understood", other.name)),
            None => Ok(()),
        }
    }

    fn int(self, name: &str, default: i64) -> Result<i64, String> {
        match self.get(name) {
            None => Ok(default),
            // A zero is left out of the file by some writers.
            Some(a) if a.r#type == proto::ATTRIBUTE_INT => Ok(a.i.unwrap_or(0)),
            Some(_) => Err(format!("the attribute `{name}` is no integer")),
        }
    }

    fn lengths(self, name: &str) -> Result<Option<Vec<usize>>, String> {
        // Beyond this a length is a slip of the pen, and sums of them could overflow.
        const LONGEST: i64 = 1 << 16;
        let Some(a) = self.get(name) else { return Ok(None) };
        let fits = |&v: &i64| usize::try_from(v).ok().filter(|_| v <= LONGEST);
        let lengths = a.ints.iter().map(fits).collect::<Option<_>>();
        lengths.map(Some).ok_or_else(|| format!("the attribute `{name}` holds something else than lengths"))
    }

    fn pair(self, name: &str) -> Result<Option<Size2>, String> {
        match self.lengths(name)?.as_deref() {
            None => Ok(None),
            Some(&[height, width]) => Ok(Some(Size2::new(height, width))),
            Some(_) => Err(format!("the attribute `{name}` is not two lengths")),
        }
    }

    /// Padding, which has to be the same on both sides; also refuses what makes windows unusual.
    fn pads(self) -> Result<Size2, String> {
        let auto = self.get("auto_pad").and_then(|a| a.s.as_deref()).unwrap_or(b"NOTSET");
        let dilated = self.lengths("dilations")?.is_some_and(|d| d.iter().any(|&d| d != 1));
        if auto != b"NOTSET" || dilated || self.int("storage_order", 0)? != 0 {
            return Err("automatic padding, dilation and other storage orders are not understood".into());
        }
        match self.lengths("pads")?.as_deref() {
            None => Ok(Size2::square(0)),
            Some(&[top, left, bottom, right]) if (top, left) == (bottom, right) => Ok(Size2::new(top, left)),
            Some(_) => Err("only a padding that is the same on both sides is understood".into()),
        }
    }
}

fn tensor(data: &proto::TensorData) -> Result<Tensor, String> {
    if data.data_location != 0 {
        return Err("lie in another file; export into one file".into());
    }
    let kind = match data.data_type {
        proto::FLOAT => Kind::F32,
        proto::FLOAT16 if !data.raw_data.is_empty() => Kind::F16,
        _ => return Err("are neither f32 nor raw f16; export in f32".into()),
    };
    let shape = data.dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
    let shape = shape.filter(|s| element_count(s).is_some()).ok_or("have an impossible shape")?;
    let values = if data.raw_data.is_empty() {
        data.float_data.clone()
    } else {
        if !data.raw_data.len().is_multiple_of(kind.size()) {
            return Err("are cut off".into());
        }
        kind.decode(&data.raw_data, Order::Little)
    };
    Tensor::new(shape, values).map_err(|error| format!("are damaged: {error}"))
}

fn two_axes(tensor: Tensor) -> Result<Tensor, String> {
    if tensor.shape().len() == 2 { Ok(tensor) } else { Err(format!("weights of shape {:?}", tensor.shape())) }
}

/// One slope a channel: [c, 1, 1] against a map, [c] against a vector, or one for all.
fn slope(tensor: Tensor, x: Shape) -> Result<Vec<f32>, String> {
    let channels = x.channels();
    if tensor.data().len() == 1 {
        return Ok(vec![tensor.data()[0]; channels]);
    }
    let fits = match (tensor.shape(), x) {
        ([1, rest @ ..], Shape::Map { .. }) if rest.len() == 3 => *rest == [channels, 1, 1],
        (shape, Shape::Map { .. }) => *shape == [channels, 1, 1],
        (shape, Shape::Vector { .. }) => *shape == [channels] || *shape == [1, channels],
    };
    if fits { Ok(tensor.into_data()) } else { Err(format!("slopes of shape {:?} for {x}", tensor.shape())) }
}

fn input_shape(input: &proto::ValueInfo) -> Result<(Batch, InputShape), Fault> {
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = tensor.and_then(|t| t.shape.as_ref()).map_or(&[][..], |s| &s.dim);
    let wrong = || {
        Fault::Unsupported(format!(
            "the input `{}` is not [batch, channels, height, width] of f32",
            input.name
        ))
    };
    let [batch, channels, height, width] = dims else { return Err(wrong()) };
    if tensor.is_none_or(|t| t.elem_type != proto::FLOAT) {
        return Err(wrong());
    }
    let length = |d: &proto::Dimension| match d.dim_value {
        None => Ok(None),
        Some(n) if (1..=1 << 14).contains(&n) => Ok(Some(n as usize)),
        Some(_) => Err(wrong()),
    };
    let channels = length(channels)?.ok_or_else(wrong)?;
    let batch = if batch.dim_value == Some(1) { Batch::One } else { Batch::Free };
    Ok((batch, InputShape { channels, height: length(height)?, width: length(width)? }))
}

#[cfg(test)]
mod tests;
