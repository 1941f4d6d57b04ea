//! Caffe: a deploy `.prototxt` says what the layers are, a `.caffemodel` (V1 or V2) holds their weights.

mod blobs;
mod layer;
pub mod proto;

use self::blobs::Blobs;
use self::layer::Step;
use super::Fault;
use super::prototxt::Block;
use crate::graph::shape::after;
use crate::graph::{InputShape, Network, Op, Shape, ValueId};

/// Layer types of the V1 format: number in the file, word in the prototxt, today's name.
/// From V1LayerParameter.LayerType in caffe.proto; those that are understood, and those often met in files.
pub const V1_TYPES: [(i32, &str, &str); 16] = [
    (1, "ACCURACY", "Accuracy"),
    (4, "CONVOLUTION", "Convolution"),
    (5, "DATA", "Data"),
    (6, "DROPOUT", "Dropout"),
    (7, "EUCLIDEAN_LOSS", "EuclideanLoss"),
    (8, "FLATTEN", "Flatten"),
    (9, "HDF5_DATA", "HDF5Data"),
    (12, "IMAGE_DATA", "ImageData"),
    (14, "INNER_PRODUCT", "InnerProduct"),
    (17, "POOLING", "Pooling"),
    (18, "RELU", "ReLU"),
    (20, "SOFTMAX", "Softmax"),
    (21, "SOFTMAX_LOSS", "SoftmaxWithLoss"),
    (22, "SPLIT", "Split"),
    (25, "ELTWISE", "Eltwise"),
    (36, "SILENCE", "Silence"),
];

/// A parsed prototxt, ready to take weights.
#[derive(Debug, Clone)]
pub struct Definition {
    name: String,
    input_name: String,
    input: InputShape,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    name: String,
    kind: String,
    bottoms: Vec<String>,
    tops: Vec<String>,
    block: Block,
}

impl Definition {
    /// Reads a deploy prototxt.
    ///
    /// # Errors
    /// When the text is not in protobuf's text format, or has not exactly one input.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let net = Block::parse(text)?;
        let mut layers = Vec::new();
        let mut inputs: Vec<(String, Vec<i64>)> = declared_inputs(&net)?;
        for block in net.blocks("layers").chain(net.blocks("layer")).filter(|b| runs_in_test(b)) {
            let layer = Layer::read(block);
            if layer.kind == "Input" {
                let shape = block.block("input_param").and_then(|p| p.block("shape"));
                let dims = shape.map_or(Ok(vec![]), |s| s.numbers("dim"));
                let dims = dims.map_err(|what| Fault::Layer { layer: layer.name.clone(), what })?;
                inputs.extend(layer.tops.into_iter().map(|top| (top, dims.clone())));
            } else {
                layers.push(layer);
            }
        }
        let [(input_name, dims)] = &inputs[..] else {
            return Err(Fault::Unsupported(format!(
                "declares {} inputs; one is needed (`input: \"data\"` with four `input_dim`, or a layer of type \
                 \"Input\"): is it the deploy prototxt?",
                inputs.len()
            )));
        };
        let input = input_shape(input_name, dims)?;
        let name = net.text("name").unwrap_or("caffe").to_string();
        Ok(Self { name, input_name: input_name.clone(), input, layers })
    }

    /// Puts the weights of a `.caffemodel` into the layers.
    ///
    /// # Errors
    /// When the file is damaged, a layer is not understood, or has no weights, or has weights of another shape.
    pub fn build(&self, model: &[u8]) -> Result<Network, Fault> {
        let blobs = Blobs::decode(model)?;
        let mut network = Network::new(&self.name, &self.input_name, self.input);
        let mut shapes = vec![Shape::from(self.input)];
        // The blobs that can be read now: (name, value, whether a layer has read it).
        let mut live = vec![(self.input_name.clone(), ValueId::INPUT, false)];
        for layer in &self.layers {
            let wrong = |what: String| Fault::Layer { layer: layer.name.clone(), what };
            let inputs = layer.read_bottoms(&mut live).map_err(wrong)?;
            let [first, ..] = inputs[..] else {
                return Err(wrong(format!("{} reads nothing; is this the deploy prototxt?", layer.kind)));
            };
            let x = shapes[first.index()];
            let fetch = |wanted: &[Vec<usize>]| blobs.of(&layer.name, &layer.kind, wanted);
            let value = match layer::step(&layer.kind, &layer.block, x, &fetch).map_err(wrong)? {
                Step::Pass => first,
                Step::Op(Op::Add) => add(&mut network, &layer.name, &inputs).map_err(wrong)?,
                Step::Op(op) => network.push(&layer.name, op, &inputs),
                Step::Dense(gemm) => {
                    let flat = match x {
                        Shape::Map { .. } => {
                            network.push(format!("{}/flatten", layer.name), Op::Flatten, &inputs)
                        }
                        Shape::Vector { .. } => first,
                    };
                    network.push(&layer.name, Op::Gemm(gemm), &[flat])
                }
            };
            while let Some(node) = network.nodes().get(shapes.len() - 1) {
                shapes.push(after(node, &shapes)?);
            }
            for top in &layer.tops {
                live.retain(|(name, ..)| name != top); // in place: the old value is gone
                live.push((top.clone(), value, false));
            }
        }
        for (name, value, _) in live.into_iter().filter(|(_, _, read)| !read) {
            network.output(name, value);
        }
        network.check()?;
        Ok(network)
    }
}

impl Layer {
    fn read(block: &Block) -> Self {
        let all = |name| block.texts(name).map(str::to_string).collect();
        let written = block.text("type").unwrap_or("").to_string();
        let kind = V1_TYPES.iter().find(|t| t.1 == written).map_or(written, |t| t.2.to_string());
        let name = block.text("name").unwrap_or(&kind).to_string();
        Self { name, kind, bottoms: all("bottom"), tops: all("top"), block: block.clone() }
    }

    fn read_bottoms(&self, live: &mut [(String, ValueId, bool)]) -> Result<Vec<ValueId>, String> {
        let mut inputs = Vec::new();
        for bottom in &self.bottoms {
            let (_, value, read) = live
                .iter_mut()
                .find(|(name, ..)| name == bottom)
                .ok_or_else(|| format!("reads `{bottom}`, which no layer before it makes"))?;
            *read = true;
            inputs.push(*value);
        }
        Ok(inputs)
    }
}

/// A sum of two or more values, as a chain of sums of two.
fn add(network: &mut Network, name: &str, inputs: &[ValueId]) -> Result<ValueId, String> {
    let [first, second, more @ ..] = inputs else {
        return Err("a sum needs at least two inputs".into());
    };
    let mut value = *second;
    let mut left = *first;
    for (i, next) in more.iter().enumerate() {
        left = network.push(format!("{name}/{i}"), Op::Add, &[left, value]);
        value = *next;
    }
    Ok(network.push(name, Op::Add, &[left, value]))
}

/// `input:` with `input_dim:` or `input_shape {}`.
fn declared_inputs(net: &Block) -> Result<Vec<(String, Vec<i64>)>, Fault> {
    let dims: Vec<i64> = net.numbers("input_dim").map_err(Fault::Damaged)?;
    let mut shapes = Vec::new();
    for shape in net.blocks("input_shape") {
        shapes.push(shape.numbers("dim").map_err(Fault::Damaged)?);
    }
    if shapes.is_empty() {
        shapes = dims.chunks(4).map(<[i64]>::to_vec).collect();
    }
    let mut shapes = shapes.into_iter();
    Ok(net.texts("input").map(|name| (name.to_string(), shapes.next().unwrap_or_default())).collect())
}

fn input_shape(name: &str, dims: &[i64]) -> Result<InputShape, Fault> {
    // Sides beyond this are no image, and products of them could overflow.
    const LONGEST: i64 = 1 << 14;
    match *dims {
        [_, c, h, w] if [c, h, w].iter().all(|d| (1..=LONGEST).contains(d)) => {
            Ok(InputShape::fixed(c as usize, h as usize, w as usize))
        }
        _ => Err(Fault::Unsupported(format!(
            "the input `{name}` has the shape {dims:?}; [batch, channels, height, width] is needed, each at least 1"
        ))),
    }
}

/// False for layers that exist in training only.
fn runs_in_test(block: &Block) -> bool {
    let of = |rule: &'static str, phase: &'static str, number: &'static str| {
        block.blocks(rule).any(move |b| matches!(b.text("phase"), Some(p) if p == phase || p == number))
    };
    !of("include", "TRAIN", "0") && !of("exclude", "TEST", "1")
}

#[cfg(test)]
mod tests;
