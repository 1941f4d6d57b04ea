//! Folds frozen batch normalisation into the layer before it, so that nothing is left of it when the network runs.

use super::{BatchNorm, GraphError, Network, Op, Tensor, ValueId};

/// Multiplies every [`Op::BatchNorm`] into the convolution or fully connected layer it follows.
///
/// # Errors
/// When a batch normalisation follows something else, or a layer whose output is also read elsewhere.
pub fn fold_batch_norm(network: &Network) -> Result<Network, GraphError> {
    network.check()?;
    let readers = network.readers();
    let mut nodes = Vec::with_capacity(network.nodes().len());
    // New id of every old value; a folded normalisation takes the id of the layer it went into.
    let mut moved = vec![ValueId::INPUT];
    for node in network.nodes() {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|id| moved[id.index()]).collect();
        if let Op::BatchNorm(b) = &node.op {
            let only_reader = readers[node.inputs[0].index()] == 1;
            let before = inputs[0].node().filter(|_| only_reader).and_then(|n| nodes.get_mut(n));
            let folded = before.is_some_and(|before: &mut super::Node| multiply_into(&mut before.op, b));
            if !folded {
                return Err(GraphError::Layer {
                    layer: node.name.clone(),
                    what: "a batch normalisation can be folded only into a convolution or fully connected \
                           layer right before it that nothing else reads"
                        .into(),
                });
            }
            moved.push(inputs[0]);
        } else {
            nodes.push(super::Node { name: node.name.clone(), op: node.op.clone(), inputs });
            moved.push(ValueId(nodes.len()));
        }
    }
    let mut out = Network::new(&network.name, &network.input_name, network.input);
    out.nodes = nodes;
    for output in &network.outputs {
        out.output(&output.name, moved[output.value.index()]);
    }
    out.check()?;
    Ok(out)
}

/// Scales weights and moves biases; false when `op` has none.
fn multiply_into(op: &mut Op, b: &BatchNorm) -> bool {
    let (weight, bias) = match op {
        Op::Conv2d(c) => (&mut c.weight, &mut c.bias),
        Op::Gemm(g) => (&mut g.weight, &mut g.bias),
        _ => return false,
    };
    scale_and_shift(weight, bias, b);
    true
}

/// Puts the normalisation `b` of a layer's output into the layer's weights, one row a channel, and its bias.
pub fn scale_and_shift(weight: &mut Tensor, bias: &mut Option<Vec<f32>>, b: &BatchNorm) {
    let channels = b.mean.len();
    let per_channel = weight.data().len() / channels.max(1);
    // f64, so that folding costs one rounding a weight and no more.
    let factor = |c: usize| f64::from(b.scale[c]) / (f64::from(b.variance[c]) + f64::from(b.epsilon)).sqrt();
    for (c, weights) in weight.data_mut().chunks_mut(per_channel.max(1)).enumerate() {
        let k = factor(c);
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * k) as f32);
    }
    let old = bias.take().unwrap_or_else(|| vec![0.0; channels]);
    let shifted = old
        .iter()
        .enumerate()
        .map(|(c, &v)| ((f64::from(v) - f64::from(b.mean[c])) * factor(c) + f64::from(b.shift[c])) as f32);
    *bias = Some(shifted.collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::evaluate;
    use crate::graph::{Conv2d, Gemm, InputShape, Size2};

    fn conv(weight: Vec<f32>, bias: Option<Vec<f32>>) -> Op {
        Op::Conv2d(Conv2d {
            weight: Tensor::new([2, 1, 1, 1], weight).unwrap(),
            bias,
            stride: Size2::square(1),
            pad: Size2::square(0),
            groups: 1,
        })
    }

    fn norm() -> Op {
        Op::BatchNorm(BatchNorm {
            scale: vec![2.0, -1.0],
            shift: vec![0.5, 3.0],
            mean: vec![1.0, -2.0],
            variance: vec![3.0, 0.24],
            epsilon: 1.0,
        })
    }

    #[test]
    fn folded_by_hand() {
        let mut n = Network::new("t", "x", InputShape::fixed(1, 1, 2));
        let y = n.push("conv", conv(vec![4.0, 5.0], Some(vec![1.0, 0.0])), &[ValueId::INPUT]);
        let y = n.push("bn", norm(), &[y]);
        let y = n.push("relu", Op::Relu, &[y]);
        n.output("y", y);
        let folded = fold_batch_norm(&n).unwrap();
        assert_eq!(folded.nodes().len(), 2);
        let Op::Conv2d(c) = &folded.nodes()[0].op else { panic!("not a convolution") };
        // Channel 0: factor 2 / sqrt(4) = 1: w 4, b (1 - 1) * 1 + 0.5. Channel 1: factor -1 / sqrt(1.24).
        assert_eq!((c.weight.data()[0], c.bias.as_ref().unwrap()[0]), (4.0, 0.5));
        assert!((c.weight.data()[1] + 5.0 / 1.24f32.sqrt()).abs() < 1e-6);
        let image = [0.3, -0.7];
        let (a, b) = (evaluate(&n, &image, 1, 1, 2).unwrap(), evaluate(&folded, &image, 1, 1, 2).unwrap());
        for (x, y) in a[0].data.iter().zip(&b[0].data) {
            assert!((x - y).abs() < 1e-6, "{x} {y}");
        }
    }

    #[test]
    fn two_in_a_row_and_after_a_fully_connected_layer() {
        let mut n = Network::new("t", "x", InputShape::fixed(2, 1, 1));
        let y = n.push("flat", Op::Flatten, &[ValueId::INPUT]);
        let gemm = Gemm { weight: Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap(), bias: None };
        let y = n.push("fc", Op::Gemm(gemm), &[y]);
        let y = n.push("bn", norm(), &[y]);
        let y = n.push("scale", norm(), &[y]);
        n.output("y", y);
        let folded = fold_batch_norm(&n).unwrap();
        assert_eq!(folded.nodes().len(), 2);
        let (a, b) =
            (evaluate(&n, &[0.5, -1.5], 1, 1, 1).unwrap(), evaluate(&folded, &[0.5, -1.5], 1, 1, 1).unwrap());
        for (x, y) in a[0].data.iter().zip(&b[0].data) {
            assert!((x - y).abs() < 1e-5, "{x} {y}");
        }
    }

    #[test]
    fn a_shared_convolution_stays() {
        let mut n = Network::new("t", "x", InputShape::fixed(1, 1, 2));
        let c = n.push("conv", conv(vec![4.0, 5.0], None), &[ValueId::INPUT]);
        let y = n.push("bn", norm(), &[c]);
        n.output("y", y);
        n.output("raw", c);
        assert!(fold_batch_norm(&n).unwrap_err().to_string().starts_with("layer `bn`"));
    }
}
