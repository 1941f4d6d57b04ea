//! Shapes through a network, layer by layer, and why a layer does not fit.

use super::{BatchNorm, Conv2d, Gemm, GraphError, InputShape, MaxPool, Network, Node, Op, Rounding, Size2};
use std::fmt;

/// Shape of a value for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An image-like value; `None` is a free length.
    Map {
        /// Channels.
        channels: usize,
        /// Rows.
        height: Option<usize>,
        /// Columns.
        width: Option<usize>,
    },
    /// A flat value.
    Vector {
        /// Number of elements.
        length: usize,
    },
}

impl Shape {
    /// Length of axis 1: channels of a map, elements of a vector.
    pub const fn channels(self) -> usize {
        match self {
            Shape::Map { channels, .. } => channels,
            Shape::Vector { length } => length,
        }
    }

    /// Number of elements of one image, or `None` when a length is free.
    pub const fn elements(self) -> Option<usize> {
        match self {
            Shape::Map { channels, height: Some(h), width: Some(w) } => match h.checked_mul(w) {
                Some(cells) => cells.checked_mul(channels),
                None => None,
            },
            Shape::Map { .. } => None,
            Shape::Vector { length } => Some(length),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |v: Option<usize>| v.map_or_else(|| "?".to_string(), |v| v.to_string());
        match *self {
            Shape::Map { channels, height, width } => {
                write!(f, "[{channels}, {}, {}]", length(height), length(width))
            }
            Shape::Vector { length } => write!(f, "[{length}]"),
        }
    }
}

impl From<InputShape> for Shape {
    fn from(i: InputShape) -> Self {
        Shape::Map { channels: i.channels, height: i.height, width: i.width }
    }
}

impl Network {
    /// Shape of every value: the input first, then one a node.
    ///
    /// # Errors
    /// The first layer that does not fit.
    pub fn shapes(&self) -> Result<Vec<Shape>, GraphError> {
        self.shapes_for(self.input)
    }

    /// The same, had the network another input: the way to put a size in the place of a free one.
    ///
    /// # Errors
    /// The first layer that does not fit.
    pub fn shapes_for(&self, input: InputShape) -> Result<Vec<Shape>, GraphError> {
        if input.channels == 0 || input.height == Some(0) || input.width == Some(0) {
            return Err(GraphError::Input {
                network: self.name.clone(),
                what: format!("the shape {} holds no pixel", Shape::from(input)),
            });
        }
        let mut shapes = Vec::with_capacity(self.nodes().len() + 1);
        shapes.push(Shape::from(input));
        for node in self.nodes() {
            shapes.push(after(node, &shapes)?);
        }
        Ok(shapes)
    }
}

/// Shape that `node` makes, given the shapes of all values before it.
pub(crate) fn after(node: &Node, shapes: &[Shape]) -> Result<Shape, GraphError> {
    let layer = |what: String| GraphError::Layer { layer: node.name.clone(), what };
    let read: Vec<Shape> = node
        .inputs
        .iter()
        .map(|id| shapes.get(id.index()).copied())
        .collect::<Option<_>>()
        .ok_or_else(|| layer("reads a value that is made after it".into()))?;
    infer(&node.op, &read).map_err(layer)
}

/// What `op` makes of `inputs`, or why it cannot.
fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, String> {
    let expected = if matches!(op, Op::Add) { 2 } else { 1 };
    if inputs.len() != expected {
        return Err(format!("{} reads {expected} value(s), not {}", op.kind(), inputs.len()));
    }
    let x = inputs[0];
    match op {
        Op::Conv2d(conv) => infer_conv(conv, x),
        Op::MaxPool(pool) => infer_pool(pool, x),
        Op::Gemm(gemm) => infer_gemm(gemm, x),
        Op::BatchNorm(b) => infer_batch_norm(b, x),
        Op::PRelu { slope } if slope.len() != x.channels() => {
            Err(format!("{} slopes for an input of {x}", slope.len()))
        }
        Op::Clip { low, high } if low > high => {
            Err(format!("its lower bound {low} is above its upper {high}"))
        }
        Op::PRelu { .. } | Op::Relu | Op::Clip { .. } => Ok(x),
        Op::Flatten => match x.elements() {
            Some(length) => Ok(Shape::Vector { length }),
            None => Err(format!("cannot flatten {x}: the size of the input image has to be fixed")),
        },
        Op::Softmax { axis } => {
            let axes = if matches!(x, Shape::Map { .. }) { 3 } else { 1 };
            if (1..=axes).contains(axis) {
                Ok(x)
            } else {
                Err(format!("softmax along axis {axis} of {x} (the batch is axis 0)"))
            }
        }
        Op::Add if inputs[0] == inputs[1] => Ok(x),
        Op::Add => Err(format!("cannot add {} and {}", inputs[0], inputs[1])),
    }
}

fn infer_conv(conv: &Conv2d, x: Shape) -> Result<Shape, String> {
    let Shape::Map { channels, height, width } = x else {
        return Err(format!("a convolution needs an image, not {x}"));
    };
    let &[out, per_group, kh, kw] = conv.weight.shape() else {
        return Err(format!("weights of a convolution have four axes, not {:?}", conv.weight.shape()));
    };
    if conv.groups == 0 || out == 0 || out % conv.groups != 0 {
        return Err(format!("{out} outputs do not divide into {} groups", conv.groups));
    }
    if per_group.checked_mul(conv.groups) != Some(channels) {
        return Err(format!(
            "weights {:?} in {} group(s) do not fit an input of {x}",
            conv.weight.shape(),
            conv.groups
        ));
    }
    check_bias(conv.bias.as_deref(), out)?;
    let kernel = Size2::new(kh, kw);
    let along = |length, k, s, p| windows(length, k, s, p, Rounding::Floor);
    Ok(Shape::Map {
        channels: out,
        height: along(height, kernel.height, conv.stride.height, conv.pad.height)?,
        width: along(width, kernel.width, conv.stride.width, conv.pad.width)?,
    })
}

fn infer_pool(pool: &MaxPool, x: Shape) -> Result<Shape, String> {
    let Shape::Map { channels, height, width } = x else {
        return Err(format!("pooling needs an image, not {x}"));
    };
    // A padding of a whole window would make cells that see nothing at all.
    if pool.pad.height >= pool.kernel.height || pool.pad.width >= pool.kernel.width {
        return Err(format!("padding {:?} is not smaller than the window {:?}", pool.pad, pool.kernel));
    }
    Ok(Shape::Map {
        channels,
        height: windows(height, pool.kernel.height, pool.stride.height, pool.pad.height, pool.rounding)?,
        width: windows(width, pool.kernel.width, pool.stride.width, pool.pad.width, pool.rounding)?,
    })
}

fn infer_gemm(gemm: &Gemm, x: Shape) -> Result<Shape, String> {
    let Shape::Vector { length } = x else {
        return Err(format!("a fully connected layer needs a flat input, not {x}; flatten first"));
    };
    match *gemm.weight.shape() {
        [out, columns] if columns == length && out > 0 => {
            check_bias(gemm.bias.as_deref(), out)?;
            Ok(Shape::Vector { length: out })
        }
        _ => Err(format!("weights {:?} do not fit {length} inputs", gemm.weight.shape())),
    }
}

fn infer_batch_norm(b: &BatchNorm, x: Shape) -> Result<Shape, String> {
    if [&b.scale, &b.shift, &b.mean, &b.variance].iter().any(|v| v.len() != x.channels()) {
        return Err(format!("{} statistics for an input of {x}", b.mean.len()));
    }
    if b.variance.iter().any(|&v| f64::from(v) + f64::from(b.epsilon) <= 0.0) {
        return Err("a variance is zero or negative".into());
    }
    Ok(x)
}

fn check_bias(bias: Option<&[f32]>, out: usize) -> Result<(), String> {
    match bias {
        Some(bias) if bias.len() != out => Err(format!("{} biases for {out} outputs", bias.len())),
        _ => Ok(()),
    }
}

/// How many windows fit along one axis; a free length stays free.
fn windows(
    length: Option<usize>,
    kernel: usize,
    stride: usize,
    pad: usize,
    rounding: Rounding,
) -> Result<Option<usize>, String> {
    if kernel == 0 || stride == 0 {
        return Err(format!("kernel {kernel} and stride {stride} must be at least 1"));
    }
    let Some(length) = length else { return Ok(None) };
    let room = pad
        .checked_mul(2)
        .and_then(|p| p.checked_add(length))
        .and_then(|padded| padded.checked_sub(kernel))
        .ok_or_else(|| format!("a window of {kernel} does not fit {length} cells with a padding of {pad}"))?;
    Ok(Some(match rounding {
        Rounding::Floor => room / stride + 1,
        Rounding::Ceil => {
            let count = room.div_ceil(stride) + 1;
            // The last window has to begin inside the image or its left padding (Caffe and PyTorch agree).
            if (count - 1) * stride >= length + pad { count - 1 } else { count }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Tensor, ValueId};

    fn pooled(length: usize, kernel: usize, stride: usize, pad: usize, rounding: Rounding) -> usize {
        windows(Some(length), kernel, stride, pad, rounding).unwrap().unwrap()
    }

    #[test]
    fn caffe_pooling_rounds_up() {
        // R-Net: 22 -> 3x3 stride 2 -> 11; floor would give 10. 9 -> 4 either way.
        assert_eq!(pooled(22, 3, 2, 0, Rounding::Ceil), 11);
        assert_eq!(pooled(22, 3, 2, 0, Rounding::Floor), 10);
        assert_eq!(pooled(9, 3, 2, 0, Rounding::Ceil), 4);
        // O-Net: 46 -> 23, 21 -> 10, 8 -> 4.
        assert_eq!(pooled(46, 3, 2, 0, Rounding::Ceil), 23);
        assert_eq!(pooled(21, 3, 2, 0, Rounding::Ceil), 10);
        assert_eq!(pooled(8, 2, 2, 0, Rounding::Ceil), 4);
        // 5 cells padded by 1, 2x2 stride 2: windows at -1, 1, 3; one at 5 would lie in the padding alone.
        assert_eq!(pooled(5, 2, 2, 1, Rounding::Ceil), 3);
        // 4 cells padded by 1, 2x2 stride 2: windows at -1, 1, 3.
        assert_eq!(pooled(4, 2, 2, 1, Rounding::Ceil), 3);
        // 3 cells padded by 1, 3x3 stride 3: room 2 -> 2 windows, the second begins at 2, inside.
        assert_eq!(pooled(3, 3, 3, 1, Rounding::Ceil), 2);
        assert!(windows(Some(2), 3, 2, 0, Rounding::Ceil).is_err());
        assert_eq!(windows(None, 3, 2, 0, Rounding::Ceil), Ok(None));
    }

    #[test]
    fn a_layer_that_does_not_fit_is_named() {
        let mut n = Network::new("t", "x", InputShape::fixed(3, 8, 8));
        let conv = Conv2d {
            weight: Tensor::new([4, 2, 3, 3], vec![0.0; 72]).unwrap(),
            bias: None,
            stride: Size2::square(1),
            pad: Size2::square(0),
            groups: 1,
        };
        let y = n.push("conv1", Op::Conv2d(conv), &[ValueId::INPUT]);
        n.output("y", y);
        assert_eq!(
            n.check().unwrap_err().to_string(),
            "layer `conv1`: weights [4, 2, 3, 3] in 1 group(s) do not fit an input of [3, 8, 8]"
        );
    }

    #[test]
    fn flattening_a_free_size_is_refused() {
        let mut n = Network::new("t", "x", InputShape::free(3));
        let y = n.push("flat", Op::Flatten, &[ValueId::INPUT]);
        n.output("y", y);
        assert!(n.check().unwrap_err().to_string().contains("has to be fixed"));
        assert_eq!(n.shapes_for(InputShape::fixed(3, 2, 5)).unwrap()[1], Shape::Vector { length: 30 });
    }
}
