//! The plain evaluator: one loop a formula, all arithmetic in f64, so that every other engine has a judge.

use super::{BatchNorm, Conv2d, Gemm, GraphError, InputShape, MaxPool, Network, Op, Shape};

/// One output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name of the output.
    pub name: String,
    /// [batch, channels, height, width] or [batch, length].
    pub shape: Vec<usize>,
    /// The values, last axis fastest.
    pub data: Vec<f32>,
}

/// A value while it is computed. `height` and `width` are 1 for a vector.
struct Array {
    channels: usize,
    height: usize,
    width: usize,
    data: Vec<f64>,
}

impl Array {
    fn plane(&self) -> usize {
        self.height * self.width
    }

    fn at(&self, image: usize, channel: usize, y: usize, x: usize) -> f64 {
        self.data[((image * self.channels + channel) * self.height + y) * self.width + x]
    }
}

/// Runs `network` on `batch` images of `height` x `width`, given as [batch, channels, height, width].
///
/// # Errors
/// When the number of values does not fit, the size is not the network's, or a layer does not fit.
pub fn evaluate(
    network: &Network,
    input: &[f32],
    batch: usize,
    height: usize,
    width: usize,
) -> Result<Vec<Output>, GraphError> {
    network.check()?;
    let wrong = |what: String| GraphError::Input { network: network.name.clone(), what };
    let want = network.input;
    if want.height.is_some_and(|h| h != height) || want.width.is_some_and(|w| w != width) {
        return Err(wrong(format!("{height} x {width} pixels, but it takes {}", Shape::from(want))));
    }
    let elements = want.channels.checked_mul(height).and_then(|n| n.checked_mul(width));
    if elements.and_then(|n| n.checked_mul(batch)) != Some(input.len()) {
        return Err(wrong(format!(
            "{} values for {batch} image(s) of {} x {height} x {width}",
            input.len(),
            want.channels
        )));
    }
    let shapes = network.shapes_for(InputShape::fixed(want.channels, height, width))?;
    let data = input.iter().map(|&v| f64::from(v)).collect();
    let mut values: Vec<Array> = vec![Array { channels: want.channels, height, width, data }];
    for (node, &shape) in network.nodes().iter().zip(&shapes[1..]) {
        let x = &values[node.inputs[0].index()];
        let (channels, h, w) = match shape {
            Shape::Map { channels, height, width } => (channels, height.unwrap_or(0), width.unwrap_or(0)),
            Shape::Vector { length } => (length, 1, 1),
        };
        let mut out = Array { channels, height: h, width: w, data: vec![0.0; batch * channels * h * w] };
        match &node.op {
            Op::Conv2d(conv) => convolve(conv, x, &mut out, batch),
            Op::MaxPool(pool) => max_pool(pool, x, &mut out, batch),
            Op::Gemm(gemm) => fully_connected(gemm, x, &mut out, batch),
            Op::BatchNorm(b) => each_channel(x, &mut out, |c, v| normalise(b, c, v)),
            Op::PRelu { slope } => {
                each_channel(x, &mut out, |c, v| if v > 0.0 { v } else { v * f64::from(slope[c]) });
            }
            Op::Relu => each_channel(x, &mut out, |_, v| v.max(0.0)),
            Op::Clip { low, high } => {
                each_channel(x, &mut out, |_, v| v.max(f64::from(*low)).min(f64::from(*high)));
            }
            Op::Flatten => out.data.copy_from_slice(&x.data),
            Op::Softmax { axis } => softmax(*axis, x, &mut out, batch),
            Op::Add => {
                let other = &values[node.inputs[1].index()];
                for (o, (a, b)) in out.data.iter_mut().zip(x.data.iter().zip(&other.data)) {
                    *o = a + b;
                }
            }
        }
        values.push(out);
    }
    Ok(network
        .outputs
        .iter()
        .map(|o| handed_out(o.name.clone(), batch, o.value.index(), &shapes, &values))
        .collect())
}

fn handed_out(name: String, batch: usize, index: usize, shapes: &[Shape], values: &[Array]) -> Output {
    let value = &values[index];
    let shape = match shapes[index] {
        Shape::Map { .. } => vec![batch, value.channels, value.height, value.width],
        Shape::Vector { length } => vec![batch, length],
    };
    Output { name, shape, data: value.data.iter().map(|&v| v as f32).collect() }
}

fn convolve(conv: &Conv2d, x: &Array, out: &mut Array, batch: usize) {
    let &[outputs, per_group, kh, kw] = conv.weight.shape() else { return };
    let weight = conv.weight.data();
    let outputs_per_group = outputs / conv.groups;
    let mut next = out.data.iter_mut();
    for image in 0..batch {
        for o in 0..outputs {
            let first = o / outputs_per_group * per_group;
            for oy in 0..out.height {
                for ox in 0..out.width {
                    let mut sum = conv.bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
                    for i in 0..per_group {
                        for ky in 0..kh {
                            let Some(y) = inside(oy * conv.stride.height + ky, conv.pad.height, x.height)
                            else {
                                continue;
                            };
                            for kx in 0..kw {
                                let Some(xx) = inside(ox * conv.stride.width + kx, conv.pad.width, x.width)
                                else {
                                    continue;
                                };
                                let w = weight[((o * per_group + i) * kh + ky) * kw + kx];
                                sum += f64::from(w) * x.at(image, first + i, y, xx);
                            }
                        }
                    }
                    if let Some(cell) = next.next() {
                        *cell = sum;
                    }
                }
            }
        }
    }
}

/// Position in the image of a position in the padded image, or `None` in the padding.
fn inside(padded: usize, pad: usize, length: usize) -> Option<usize> {
    padded.checked_sub(pad).filter(|&p| p < length)
}

fn max_pool(pool: &MaxPool, x: &Array, out: &mut Array, batch: usize) {
    let mut next = out.data.iter_mut();
    for image in 0..batch {
        for channel in 0..x.channels {
            for oy in 0..out.height {
                for ox in 0..out.width {
                    let mut best = f64::NEG_INFINITY;
                    for ky in 0..pool.kernel.height {
                        for kx in 0..pool.kernel.width {
                            let y = inside(oy * pool.stride.height + ky, pool.pad.height, x.height);
                            let xx = inside(ox * pool.stride.width + kx, pool.pad.width, x.width);
                            if let (Some(y), Some(xx)) = (y, xx) {
                                best = best.max(x.at(image, channel, y, xx));
                            }
                        }
                    }
                    if let Some(cell) = next.next() {
                        *cell = best;
                    }
                }
            }
        }
    }
}

fn fully_connected(gemm: &Gemm, x: &Array, out: &mut Array, batch: usize) {
    let columns = x.channels;
    for image in 0..batch {
        let row = &x.data[image * columns..(image + 1) * columns];
        for o in 0..out.channels {
            let weights = &gemm.weight.data()[o * columns..(o + 1) * columns];
            let dot: f64 = weights.iter().zip(row).map(|(&w, v)| f64::from(w) * v).sum();
            out.data[image * out.channels + o] = dot + gemm.bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
        }
    }
}

fn normalise(b: &BatchNorm, c: usize, v: f64) -> f64 {
    let deviation = (f64::from(b.variance[c]) + f64::from(b.epsilon)).sqrt();
    (v - f64::from(b.mean[c])) / deviation * f64::from(b.scale[c]) + f64::from(b.shift[c])
}

/// Applies `f(channel, value)` to every element.
fn each_channel(x: &Array, out: &mut Array, f: impl Fn(usize, f64) -> f64) {
    for (i, (o, &v)) in out.data.iter_mut().zip(&x.data).enumerate() {
        *o = f(i / x.plane() % x.channels, v);
    }
}

fn softmax(axis: usize, x: &Array, out: &mut Array, batch: usize) {
    let lengths = [batch, x.channels, x.height, x.width];
    let step: usize = lengths[axis + 1..].iter().product();
    let length = lengths[axis];
    for start in 0..x.data.len() {
        if !(start / step).is_multiple_of(length) {
            continue; // not the first element along the axis
        }
        let along = || (0..length).map(|k| start + k * step);
        let top = along().map(|i| x.data[i]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = along().map(|i| (x.data[i] - top).exp()).sum();
        for i in along() {
            out.data[i] = (x.data[i] - top).exp() / sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Rounding, Size2, Tensor, ValueId};

    fn one(op: Op, input: InputShape, data: &[f32], batch: usize) -> Output {
        let mut n = Network::new("t", "x", input);
        let y = n.push("op", op, &[ValueId::INPUT]);
        n.output("y", y);
        n.check().unwrap();
        evaluate(&n, data, batch, input.height.unwrap(), input.width.unwrap()).unwrap().remove(0)
    }

    #[test]
    fn convolution_by_hand() {
        // 3x3 image 1..9, one 2x2 kernel, stride 2, pad 1, bias 10: windows at (-1,-1), (-1,1), (1,-1), (1,1).
        let conv = Conv2d {
            weight: Tensor::new([1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap(),
            bias: Some(vec![10.0]),
            stride: Size2::square(2),
            pad: Size2::square(1),
            groups: 1,
        };
        let image: Vec<f32> = (1..=9).map(|v| v as f32).collect();
        let out = one(Op::Conv2d(conv), InputShape::fixed(1, 3, 3), &image, 1);
        assert_eq!(out.shape, [1, 1, 2, 2]);
        // 4*1; 3*2+4*3; 2*4+4*7; 1*5+2*6+3*8+4*9
        assert_eq!(out.data, [14.0, 28.0, 46.0, 87.0]);
    }

    #[test]
    fn groups_keep_channels_apart() {
        let conv = Conv2d {
            weight: Tensor::new([2, 1, 1, 1], vec![2.0, -3.0]).unwrap(),
            bias: None,
            stride: Size2::square(1),
            pad: Size2::square(0),
            groups: 2,
        };
        let out = one(Op::Conv2d(conv), InputShape::fixed(2, 1, 2), &[1.0, 2.0, 3.0, 4.0], 1);
        assert_eq!(out.data, [2.0, 4.0, -9.0, -12.0]);
    }

    #[test]
    fn ceil_pooling_sees_a_part_of_the_last_window() {
        let pool = MaxPool {
            kernel: Size2::square(2),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        let image = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0];
        let out = one(Op::MaxPool(pool), InputShape::fixed(1, 3, 3), &image, 1);
        assert_eq!((out.shape, out.data), (vec![1, 1, 2, 2], vec![-1.0, -3.0, -7.0, -9.0]));
    }

    #[test]
    fn slopes_bounds_and_softmax_by_hand() {
        let image = [-1.0, 2.0, -3.0, 4.0, 5.0, -6.0, -7.0, 8.0]; // [2, 2, 1, 2]
        let out = one(Op::PRelu { slope: vec![0.5, 0.25] }, InputShape::fixed(2, 1, 2), &image, 2);
        assert_eq!(out.data, [-0.5, 2.0, -0.75, 4.0, 5.0, -3.0, -1.75, 8.0]);
        let out = one(Op::Clip { low: -3.0, high: 4.5 }, InputShape::fixed(2, 1, 2), &image, 2);
        assert_eq!(out.data, [-1.0, 2.0, -3.0, 4.0, 4.5, -3.0, -3.0, 4.5]);
        let out = one(Op::Softmax { axis: 1 }, InputShape::fixed(2, 1, 2), &[0.0, 1.0, 0.0, 3.0], 1);
        let e2 = 2f64.exp();
        let want = [0.5, (1.0 / (1.0 + e2)) as f32, 0.5, (e2 / (1.0 + e2)) as f32];
        assert_eq!(out.data, want);
    }

    #[test]
    fn bounds_that_are_no_bounds_are_refused() {
        for (low, high, words) in
            [(6.0, 0.0, "lower bound 6 is above its upper 0"), (f32::NAN, 1.0, "bounds hold NaN")]
        {
            let mut n = Network::new("t", "x", InputShape::fixed(1, 2, 2));
            let y = n.push("clip", Op::Clip { low, high }, &[ValueId::INPUT]);
            n.output("y", y);
            let e = n.check().unwrap_err().to_string();
            assert!(e.contains("layer `clip`") && e.contains(words), "{e}");
        }
    }

    #[test]
    fn an_input_of_another_size_is_refused() {
        let mut n = Network::new("t", "x", InputShape::fixed(1, 2, 2));
        let y = n.push("op", Op::Relu, &[ValueId::INPUT]);
        n.output("y", y);
        assert!(evaluate(&n, &[0.0; 4], 1, 4, 1).unwrap_err().to_string().contains("takes [1, 2, 2]"));
        assert!(evaluate(&n, &[0.0; 3], 1, 2, 2).unwrap_err().to_string().contains("3 values"));
    }
}
