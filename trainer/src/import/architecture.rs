//! Networks known by name: files that hold named tensors alone get their structure from here.

use super::Fault;
use super::role::Role;
use super::weights::Weights;
use crate::graph::shape::after;
use crate::graph::width_first::reorder_columns;
use crate::graph::{
    BatchNorm, Conv2d, Gemm, InputShape, MaxPool, Network, Op, Rounding, Shape, Size2, Tensor, ValueId,
};
use std::fmt;
use std::str::FromStr;

/// A known structure. Widths are taken from the weights wherever the structure leaves them free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// MTCNN's P-Net, tensors named as in facenet-pytorch.
    MtcnnP,
    /// MTCNN's R-Net, tensors named as in facenet-pytorch.
    MtcnnR,
    /// MTCNN's O-Net, tensors named as in facenet-pytorch.
    MtcnnO,
    /// SphereFace with this many convolutions (4, 10, 20, 36 or 64), 112 x 96, tensors named after Caffe's
    /// layers: `conv1_1.weight`, `relu1_1.weight`, ..., `fc5.bias`.
    SphereFace(Depth),
    /// Limen's own: the SphereFace layout with batch normalisation and a global depthwise head.
    LimenPilot,
}

/// Number of convolutions of a SphereFace network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// SphereFace-4.
    D4,
    /// SphereFace-10.
    D10,
    /// SphereFace-20, the paper's.
    D20,
    /// SphereFace-36.
    D36,
    /// SphereFace-64.
    D64,
}

impl Depth {
    /// Residual units behind each of the four strided convolutions. 20 and 64 are the published Caffe files of
    /// wy1iu/sphereface; 4, 10 and 36 are the layouts of ydwen/opensphere's sfnet.py.
    pub const fn units(self) -> [usize; 4] {
        match self {
            Depth::D4 => [0, 0, 0, 0],
            Depth::D10 => [0, 1, 2, 0],
            Depth::D20 => [1, 2, 4, 1],
            Depth::D36 => [2, 4, 8, 2],
            Depth::D64 => [3, 8, 16, 3],
        }
    }
}

/// SphereFace's aligned face: BGR, 112 rows of 96 pixels.
const ALIGNED: InputShape = InputShape::fixed(3, 112, 96);

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 9] = [
        Architecture::MtcnnP,
        Architecture::MtcnnR,
        Architecture::MtcnnO,
        Architecture::SphereFace(Depth::D4),
        Architecture::SphereFace(Depth::D10),
        Architecture::SphereFace(Depth::D20),
        Architecture::SphereFace(Depth::D36),
        Architecture::SphereFace(Depth::D64),
        Architecture::LimenPilot,
    ];

    /// The word for it on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Architecture::MtcnnP => "mtcnn-p",
            Architecture::MtcnnR => "mtcnn-r",
            Architecture::MtcnnO => "mtcnn-o",
            Architecture::SphereFace(Depth::D4) => "sphereface-4",
            Architecture::SphereFace(Depth::D10) => "sphereface-10",
            Architecture::SphereFace(Depth::D20) => "sphereface-20",
            Architecture::SphereFace(Depth::D36) => "sphereface-36",
            Architecture::SphereFace(Depth::D64) => "sphereface-64",
            Architecture::LimenPilot => "limen-pilot",
        }
    }

    /// What such a network is for.
    pub const fn role(self) -> Role {
        match self {
            Architecture::MtcnnP => Role::MtcnnP,
            Architecture::MtcnnR => Role::MtcnnR,
            Architecture::MtcnnO => Role::MtcnnO,
            Architecture::SphereFace(_) | Architecture::LimenPilot => Role::Embedder,
        }
    }

    /// Puts `weights` into the structure; every tensor has to find its place.
    ///
    /// # Errors
    /// Names the tensor that is missing, left over, or of a shape that does not fit.
    pub fn build(self, weights: Weights) -> Result<Network, Fault> {
        match self {
            Architecture::MtcnnP => mtcnn_p(weights),
            Architecture::MtcnnR => mtcnn_r(weights),
            Architecture::MtcnnO => mtcnn_o(weights),
            Architecture::SphereFace(depth) => sphereface(self.name(), depth, weights),
            Architecture::LimenPilot => limen_pilot(weights),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Architecture::ALL.into_iter().find(|a| a.name() == text).ok_or_else(|| {
            let known = Architecture::ALL.map(Architecture::name).join(", ");
            format!("there is no architecture called `{text}` (known: {known})")
        })
    }
}

fn mtcnn_p(weights: Weights) -> Result<Network, Fault> {
    let mut b = Builder::new("mtcnn-p", "data", InputShape::free(3), weights);
    let y = b.conv_prelu("conv1", "prelu1", ValueId::INPUT)?;
    let y = b.pool("pool1", 2, y)?;
    let y = b.conv_prelu("conv2", "prelu2", y)?;
    let y = b.conv_prelu("conv3", "prelu3", y)?;
    let prob = b.conv("conv4_1", y, 1, 0, 1)?;
    let boxes = b.conv("conv4_2", y, 1, 0, 1)?;
    let prob = b.push("softmax4_1", Op::Softmax { axis: 1 }, &[prob])?;
    b.finish(&[("prob", prob), ("box", boxes)])
}

fn mtcnn_r(weights: Weights) -> Result<Network, Fault> {
    let mut b = Builder::new("mtcnn-r", "data", InputShape::fixed(3, 24, 24), weights);
    let y = b.conv_prelu("conv1", "prelu1", ValueId::INPUT)?;
    let y = b.pool("pool1", 3, y)?;
    let y = b.conv_prelu("conv2", "prelu2", y)?;
    let y = b.pool("pool2", 3, y)?;
    let y = b.conv_prelu("conv3", "prelu3", y)?;
    let y = b.dense_of_permuted("dense4", y)?;
    let y = b.prelu("prelu4", y)?;
    let prob = b.dense("dense5_1", y)?;
    let boxes = b.dense("dense5_2", y)?;
    let prob = b.push("softmax5_1", Op::Softmax { axis: 1 }, &[prob])?;
    b.finish(&[("prob", prob), ("box", boxes)])
}

fn mtcnn_o(weights: Weights) -> Result<Network, Fault> {
    let mut b = Builder::new("mtcnn-o", "data", InputShape::fixed(3, 48, 48), weights);
    let y = b.conv_prelu("conv1", "prelu1", ValueId::INPUT)?;
    let y = b.pool("pool1", 3, y)?;
    let y = b.conv_prelu("conv2", "prelu2", y)?;
    let y = b.pool("pool2", 3, y)?;
    let y = b.conv_prelu("conv3", "prelu3", y)?;
    let y = b.pool("pool3", 2, y)?;
    let y = b.conv_prelu("conv4", "prelu4", y)?;
    let y = b.dense_of_permuted("dense5", y)?;
    let y = b.prelu("prelu5", y)?;
    let prob = b.dense("dense6_1", y)?;
    let boxes = b.dense("dense6_2", y)?;
    let landmarks = b.dense("dense6_3", y)?;
    let prob = b.push("softmax6_1", Op::Softmax { axis: 1 }, &[prob])?;
    b.finish(&[("prob", prob), ("box", boxes), ("landmarks", landmarks)])
}

/// Four strided convolutions; residual units of two convolutions, each with its PReLU, and no activation
/// behind the sum (reference: wy1iu/sphereface, sphereface_model.prototxt).
fn sphereface(name: &str, depth: Depth, mut weights: Weights) -> Result<Network, Fault> {
    weights.drop_if(|name| name.starts_with("fc6.")); // the classifier of training
    let mut b = Builder::new(name, "data", ALIGNED, weights);
    let mut y = ValueId::INPUT;
    for (stage, units) in (1..).zip(depth.units()) {
        let layer = |b: &mut Builder, k: usize, x: ValueId, stride: usize| {
            let c = b.conv(&format!("conv{stage}_{k}"), x, stride, 1, 1)?;
            b.prelu(&format!("relu{stage}_{k}"), c)
        };
        y = layer(&mut b, 1, y, 2)?;
        for unit in 1..=units {
            let first = layer(&mut b, 2 * unit, y, 1)?;
            let second = layer(&mut b, 2 * unit + 1, first, 1)?;
            y = b.push(format!("res{stage}_{}", 2 * unit + 1), Op::Add, &[y, second])?;
        }
    }
    let y = b.flatten("fc5/flatten", y)?;
    let y = b.dense("fc5", y)?;
    b.finish(&[("embedding", y)])
}

/// Names as in PyTorch: `st.I` strided layer of stage I, `rs.I.J.K` layer K of its residual unit J, each with
/// `c` convolution, `b` batch normalisation, `p` PReLU; `head` 0 depthwise, 1 batch normalisation, 3 linear.
fn limen_pilot(mut weights: Weights) -> Result<Network, Fault> {
    weights.drop_if(|name| name.ends_with(".num_batches_tracked"));
    let mut b = Builder::new("limen-pilot", "input", ALIGNED, weights);
    let mut y = ValueId::INPUT;
    for stage in 0..4 {
        y = b.conv_norm_prelu(&format!("st.{stage}"), y, 2)?;
        for unit in 0.. {
            let of = |k: usize| format!("rs.{stage}.{unit}.{k}");
            if b.weights.get(&format!("{}.c.weight", of(0))).is_none() {
                break;
            }
            let first = b.conv_norm_prelu(&of(0), y, 1)?;
            let second = b.conv_norm_prelu(&of(1), first, 1)?;
            y = b.push(format!("rs.{stage}.{unit}.sum"), Op::Add, &[y, second])?;
        }
    }
    let channels = b.shape(y).channels();
    let y = b.conv("head.0", y, 1, 0, channels)?;
    let y = b.batch_norm("head.1", y)?;
    let y = b.flatten("head.2", y)?;
    let y = b.dense("head.3", y)?;
    b.finish(&[("embedding", y)])
}

/// Takes tensors from the bag and makes layers of them, checking shapes as it goes.
struct Builder {
    network: Network,
    shapes: Vec<Shape>,
    weights: Weights,
}

impl Builder {
    fn new(name: &str, input_name: &str, input: InputShape, weights: Weights) -> Self {
        Self { network: Network::new(name, input_name, input), shapes: vec![Shape::from(input)], weights }
    }

    fn shape(&self, value: ValueId) -> Shape {
        self.shapes[value.index()]
    }

    fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[ValueId]) -> Result<ValueId, Fault> {
        let value = self.network.push(name, op, inputs);
        if let Some(node) = self.network.nodes().last() {
            self.shapes.push(after(node, &self.shapes)?);
        }
        Ok(value)
    }

    /// The tensor, which has to have `axes` axes.
    fn take(&mut self, tensor: String, axes: usize) -> Result<Tensor, Fault> {
        let value = self.weights.take(&tensor)?;
        if value.shape().len() == axes {
            Ok(value)
        } else {
            let what = format!("has the shape {:?}, but {axes} axes are needed", value.shape());
            Err(Fault::Tensor { tensor, what })
        }
    }

    fn vector(&mut self, tensor: String) -> Result<Vec<f32>, Fault> {
        Ok(self.take(tensor, 1)?.into_data())
    }

    /// `NAME.bias`, when there is one.
    fn bias(&mut self, name: &str) -> Result<Option<Vec<f32>>, Fault> {
        let tensor = format!("{name}.bias");
        if self.weights.get(&tensor).is_some() { self.vector(tensor).map(Some) } else { Ok(None) }
    }

    fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        stride: usize,
        pad: usize,
        groups: usize,
    ) -> Result<ValueId, Fault> {
        let weight = self.take(format!("{name}.weight"), 4)?;
        let bias = self.bias(name)?;
        let (stride, pad) = (Size2::square(stride), Size2::square(pad));
        self.push(name, Op::Conv2d(Conv2d { weight, bias, stride, pad, groups }), &[x])
    }

    fn prelu(&mut self, name: &str, x: ValueId) -> Result<ValueId, Fault> {
        let slope = self.vector(format!("{name}.weight"))?;
        self.push(name, Op::PRelu { slope }, &[x])
    }

    fn conv_prelu(&mut self, conv: &str, prelu: &str, x: ValueId) -> Result<ValueId, Fault> {
        let y = self.conv(conv, x, 1, 0, 1)?;
        self.prelu(prelu, y)
    }

    fn conv_norm_prelu(&mut self, name: &str, x: ValueId, stride: usize) -> Result<ValueId, Fault> {
        let y = self.conv(&format!("{name}.c"), x, stride, 1, 1)?;
        let y = self.batch_norm(&format!("{name}.b"), y)?;
        self.prelu(&format!("{name}.p"), y)
    }

    fn batch_norm(&mut self, name: &str, x: ValueId) -> Result<ValueId, Fault> {
        let op = Op::BatchNorm(BatchNorm {
            scale: self.vector(format!("{name}.weight"))?,
            shift: self.vector(format!("{name}.bias"))?,
            mean: self.vector(format!("{name}.running_mean"))?,
            variance: self.vector(format!("{name}.running_var"))?,
            epsilon: 1e-5, // PyTorch's BatchNorm2d
        });
        self.push(name, op, &[x])
    }

    /// MTCNN pools by 2 and, as Caffe does, rounds up.
    fn pool(&mut self, name: &str, kernel: usize, x: ValueId) -> Result<ValueId, Fault> {
        let op = Op::MaxPool(MaxPool {
            kernel: Size2::square(kernel),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        });
        self.push(name, op, &[x])
    }

    fn flatten(&mut self, name: &str, x: ValueId) -> Result<ValueId, Fault> {
        self.push(name, Op::Flatten, &[x])
    }

    fn gemm(&mut self, name: &str) -> Result<Gemm, Fault> {
        Ok(Gemm { weight: self.take(format!("{name}.weight"), 2)?, bias: self.bias(name)? })
    }

    fn dense(&mut self, name: &str, x: ValueId) -> Result<ValueId, Fault> {
        let gemm = self.gemm(name)?;
        self.push(name, Op::Gemm(gemm), &[x])
    }

    /// facenet-pytorch permutes [n, c, h, w] to [n, w, h, c] before its first dense layer, as its weights came
    /// from TensorFlow and transposed images. The columns are put in c, h, w order instead.
    fn dense_of_permuted(&mut self, name: &str, x: ValueId) -> Result<ValueId, Fault> {
        let shape = self.shape(x);
        let flat = self.flatten(&format!("{name}/flatten"), x)?;
        let gemm = self.gemm(name)?;
        // A layer of another width is left as it is: the shape check behind names it.
        let gemm = match shape {
            Shape::Map { channels, height: Some(h), width: Some(w) }
                if gemm.weight.shape().get(1) == Some(&(channels * h * w)) =>
            {
                reorder_columns(&gemm, &width_height_channels(channels, h, w))
            }
            _ => gemm,
        };
        self.push(name, Op::Gemm(gemm), &[flat])
    }

    /// Hands out `outputs`; every tensor must have found its place.
    fn finish(mut self, outputs: &[(&str, ValueId)]) -> Result<Network, Fault> {
        self.weights.finish()?;
        for &(name, value) in outputs {
            self.network.output(name, value);
        }
        self.network.check()?;
        Ok(self.network)
    }
}

/// For each element of [channels, height, width]: its place in [width, height, channels].
fn width_height_channels(channels: usize, height: usize, width: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(channels * height * width);
    for c in 0..channels {
        for h in 0..height {
            order.extend((0..width).map(|w| (w * height + h) * channels + c));
        }
    }
    order
}

#[cfg(test)]
mod tests;
