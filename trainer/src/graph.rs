//! A small network as plain data: what the importer makes, the exporter writes and the reference evaluator runs.
//!
//! Every node has exactly one output, and a node may only read the network's input or nodes before it, so a
//! [`Network`] is in running order by construction. Images are [batch, channels, height, width]; the batch is
//! never written down here, it is always free.

pub mod count;
pub mod fold;
pub mod normalise;
pub mod reference;
pub mod shape;
pub mod tensor;
pub mod width_first;

pub use count::Counts;
pub use shape::Shape;
pub use tensor::Tensor;

/// What is wrong with a network. The network has to be changed, or another one taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// One layer does not fit its weights or what comes before it.
    #[error("layer `{layer}`: {what}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// What does not fit, with the figures.
        what: String,
    },
    /// The network as a whole is not well formed.
    #[error("network `{network}`: {what}")]
    Network {
        /// Name of the network.
        network: String,
        /// What is wrong.
        what: String,
    },
    /// An input was handed in that the network cannot take.
    #[error("input of network `{network}`: {what}")]
    Input {
        /// Name of the network.
        network: String,
        /// What is wrong with the input.
        what: String,
    },
}

/// A pair of lengths in pixels or cells: kernels, strides, paddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size2 {
    /// Along the rows of the image (downwards).
    pub height: usize,
    /// Along the columns of the image (to the right).
    pub width: usize,
}

impl Size2 {
    /// Height first, as in every shape here.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// The same length both ways.
    pub const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// Height and width exchanged.
    pub const fn transposed(self) -> Self {
        Self { height: self.width, width: self.height }
    }
}

/// Shape of one input image; `None` is free and decided when the network runs (P-Net's pyramid).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputShape {
    /// Colour channels.
    pub channels: usize,
    /// Rows.
    pub height: Option<usize>,
    /// Columns.
    pub width: Option<usize>,
}

impl InputShape {
    /// An image of a fixed size.
    pub const fn fixed(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height: Some(height), width: Some(width) }
    }

    /// An image of any size.
    pub const fn free(channels: usize) -> Self {
        Self { channels, height: None, width: None }
    }
}

/// A value that flows through the network: its input, or the output of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(usize);

impl ValueId {
    /// The network's input.
    pub const INPUT: ValueId = ValueId(0);

    /// Position in [`Network::shapes`]: 0 is the input, `n + 1` the output of node `n`.
    pub const fn index(self) -> usize {
        self.0
    }

    /// The node that makes this value, or `None` for the input.
    pub const fn node(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}

/// Convolution. Zero padding, the same on both sides; no dilation.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    /// [out, in / groups, kernel height, kernel width].
    pub weight: Tensor,
    /// One a output channel.
    pub bias: Option<Vec<f32>>,
    /// Step of the window.
    pub stride: Size2,
    /// Zeros added on each side.
    pub pad: Size2,
    /// 1 for an ordinary convolution, the number of channels for a depthwise one.
    pub groups: usize,
}

/// How a pooled map is rounded when the windows do not divide the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Cells that are not wholly covered are dropped (PyTorch, ONNX default).
    Floor,
    /// A last window hangs over the edge and sees only what is there (Caffe).
    Ceil,
}

/// Maximum over a window; what lies outside the image never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// The window.
    pub kernel: Size2,
    /// Step of the window.
    pub stride: Size2,
    /// Cells outside the image that windows may begin in.
    pub pad: Size2,
    /// Rounding of the output size.
    pub rounding: Rounding,
}

/// Fully connected layer: y = W x + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Gemm {
    /// [out, in].
    pub weight: Tensor,
    /// One an output.
    pub bias: Option<Vec<f32>>,
}

/// Batch normalisation with frozen statistics: y = (x - mean) / sqrt(variance + epsilon) * scale + shift.
/// Stands in a network only between reading and [`fold::fold_batch_norm`].
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Gamma, one a channel.
    pub scale: Vec<f32>,
    /// Beta, one a channel.
    pub shift: Vec<f32>,
    /// Running mean, one a channel.
    pub mean: Vec<f32>,
    /// Running variance, one a channel.
    pub variance: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Convolution.
    Conv2d(Conv2d),
    /// Frozen batch normalisation.
    BatchNorm(BatchNorm),
    /// x where x > 0, slope * x elsewhere; one slope a channel.
    PRelu {
        /// One slope a channel (or one an element of a vector).
        slope: Vec<f32>,
    },
    /// max(x, 0).
    Relu,
    /// min(max(x, low), high): ReLU6 is 0 to 6.
    Clip {
        /// What is below becomes this.
        low: f32,
        /// What is above becomes this; not below `low`.
        high: f32,
    },
    /// Maximum over a window.
    MaxPool(MaxPool),
    /// [channels, height, width] to one vector, channels slowest.
    Flatten,
    /// Fully connected layer.
    Gemm(Gemm),
    /// exp(x) over the sum of exp along one axis.
    Softmax {
        /// Axis with the batch counted as 0, so 1 is the channels.
        axis: usize,
    },
    /// Sum of two values of one shape.
    Add,
}

impl Op {
    /// The name people know the operation by.
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "Conv2d",
            Op::BatchNorm(_) => "BatchNorm",
            Op::PRelu { .. } => "PReLU",
            Op::Relu => "ReLU",
            Op::Clip { .. } => "Clip",
            Op::MaxPool(_) => "MaxPool",
            Op::Flatten => "Flatten",
            Op::Gemm(_) => "Gemm",
            Op::Softmax { .. } => "Softmax",
            Op::Add => "Add",
        }
    }
}

/// One step of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique in its network.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads: two values for [`Op::Add`], one for all else.
    pub inputs: Vec<ValueId>,
}

/// A value that the network hands out under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOutput {
    /// Unique among the outputs.
    pub name: String,
    /// What is handed out.
    pub value: ValueId,
}

/// A network with its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What the network is called.
    pub name: String,
    /// What the input is called.
    pub input_name: String,
    /// Shape of the input.
    pub input: InputShape,
    /// What is handed out, in order.
    pub outputs: Vec<NetworkOutput>,
    nodes: Vec<Node>,
}

impl Network {
    /// An empty network.
    pub fn new(name: impl Into<String>, input_name: impl Into<String>, input: InputShape) -> Self {
        Self {
            name: name.into(),
            input_name: input_name.into(),
            input,
            nodes: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Every value in order: the input, then what each node makes.
    pub fn value_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..=self.nodes.len()).map(ValueId)
    }

    /// The nodes in running order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, for new weights of the old shapes.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Appends a node and returns what it makes. Whether it fits is asked by [`Network::check`].
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[ValueId]) -> ValueId {
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec() });
        ValueId(self.nodes.len())
    }

    /// Hands `value` out as `name`.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push(NetworkOutput { name: name.into(), value });
    }

    /// How often each value is read, by nodes and as an output; indexed like [`Network::shapes`].
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len() + 1];
        let read = self.nodes.iter().flat_map(|n| &n.inputs).chain(self.outputs.iter().map(|o| &o.value));
        for id in read {
            if let Some(count) = readers.get_mut(id.0) {
                *count += 1;
            }
        }
        readers
    }

    /// Names unique, order right, weights finite, shapes fitting.
    ///
    /// # Errors
    /// The first thing that is not so, with the layer's name.
    pub fn check(&self) -> Result<(), GraphError> {
        let wrong = |what: String| Err(GraphError::Network { network: self.name.clone(), what });
        let mut names = std::collections::HashSet::new();
        for node in &self.nodes {
            if node.name.is_empty() {
                return wrong(format!("a {} layer has no name", node.op.kind()));
            }
            if !names.insert(node.name.as_str()) {
                return wrong(format!("two layers are called `{}`", node.name));
            }
            if let Some(what) = not_finite(&node.op) {
                return Err(GraphError::Layer {
                    layer: node.name.clone(),
                    what: format!("its {what} hold NaN or infinity; the weights are damaged"),
                });
            }
        }
        let mut outputs = std::collections::HashSet::new();
        if self.outputs.is_empty() {
            return wrong("nothing is handed out".into());
        }
        for output in &self.outputs {
            if output.name.is_empty() || output.name == self.input_name || !outputs.insert(&output.name) {
                return wrong(format!("the output name `{}` is empty or taken", output.name));
            }
            if output.value.0 > self.nodes.len() {
                return wrong(format!("the output `{}` is made by no layer", output.name));
            }
        }
        self.shapes().map(|_| ())
    }
}

/// Names the parameters of `op` that hold something that is not a number.
fn not_finite(op: &Op) -> Option<&'static str> {
    let bad = |v: &[f32]| v.iter().any(|x| !x.is_finite());
    let weights = |weight: &Tensor, bias: &Option<Vec<f32>>| {
        if bad(weight.data()) {
            Some("weights")
        } else {
            bias.as_deref().is_some_and(bad).then_some("biases")
        }
    };
    match op {
        Op::Conv2d(c) => weights(&c.weight, &c.bias),
        Op::Gemm(g) => weights(&g.weight, &g.bias),
        Op::PRelu { slope } => bad(slope).then_some("slopes"),
        Op::BatchNorm(b) => {
            [&b.scale, &b.shift, &b.mean, &b.variance].iter().any(|v| bad(v)).then_some("statistics")
        }
        Op::Clip { low, high } => bad(&[*low, *high]).then_some("bounds"),
        Op::Relu | Op::MaxPool(_) | Op::Flatten | Op::Softmax { .. } | Op::Add => None,
    }
}
