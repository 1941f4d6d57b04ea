//! How big a network is: weights to store, multiplications to do.

use super::{GraphError, InputShape, Network, Node, Op, Shape};

/// Size of a network for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Numbers stored: weights, biases, slopes, statistics.
    pub parameters: u64,
    /// Multiply-accumulates of convolutions and fully connected layers.
    pub macs: u64,
}

impl Network {
    /// Counts for an image of `input`, which replaces the network's own input shape.
    ///
    /// # Errors
    /// When a layer does not fit, or a length of `input` is free.
    pub fn counts(&self, input: InputShape) -> Result<Counts, GraphError> {
        let add =
            |a: Counts, b: Counts| Counts { parameters: a.parameters + b.parameters, macs: a.macs + b.macs };
        Ok(self.counts_by_layer(input)?.into_iter().fold(Counts { parameters: 0, macs: 0 }, add))
    }

    /// The same, one a node.
    ///
    /// # Errors
    /// As [`Network::counts`].
    pub fn counts_by_layer(&self, input: InputShape) -> Result<Vec<Counts>, GraphError> {
        let shapes = self.shapes_for(input)?;
        let count = |(node, shape): (&Node, &Shape)| {
            let macs = macs(&node.op, *shape).ok_or_else(|| GraphError::Input {
                network: self.name.clone(),
                what: format!(
                    "multiplications of layer `{}` can be counted for a fixed size only",
                    node.name
                ),
            })?;
            Ok(Counts { parameters: parameters(&node.op), macs })
        };
        self.nodes().iter().zip(&shapes[1..]).map(count).collect()
    }
}

fn parameters(op: &Op) -> u64 {
    let bias = |b: &Option<Vec<f32>>| b.as_ref().map_or(0, Vec::len);
    let n = match op {
        Op::Conv2d(c) => c.weight.data().len() + bias(&c.bias),
        Op::Gemm(g) => g.weight.data().len() + bias(&g.bias),
        Op::PRelu { slope } => slope.len(),
        Op::BatchNorm(b) => 4 * b.mean.len(),
        Op::Relu | Op::Clip { .. } | Op::MaxPool(_) | Op::Flatten | Op::Softmax { .. } | Op::Add => 0,
    };
    n as u64
}

fn macs(op: &Op, out: Shape) -> Option<u64> {
    match (op, out) {
        (Op::Conv2d(c), Shape::Map { height, width, .. }) => {
            Some(c.weight.data().len() as u64 * height? as u64 * width? as u64)
        }
        (Op::Gemm(g), _) => Some(g.weight.data().len() as u64),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, Gemm, Size2, Tensor, ValueId};

    #[test]
    fn counted_by_hand() {
        let mut n = Network::new("t", "x", InputShape::fixed(3, 5, 6));
        let conv = Conv2d {
            weight: Tensor::new([4, 3, 3, 3], vec![0.0; 108]).unwrap(),
            bias: Some(vec![0.0; 4]),
            stride: Size2::square(1),
            pad: Size2::square(0),
            groups: 1,
        };
        let y = n.push("conv", Op::Conv2d(conv), &[ValueId::INPUT]); // [4, 3, 4]
        let y = n.push("act", Op::PRelu { slope: vec![0.25; 4] }, &[y]);
        let y = n.push("flat", Op::Flatten, &[y]);
        let gemm = Gemm { weight: Tensor::new([2, 48], vec![0.0; 96]).unwrap(), bias: None };
        let y = n.push("fc", Op::Gemm(gemm), &[y]);
        n.output("y", y);
        let counts = n.counts(n.input).unwrap();
        assert_eq!(counts, Counts { parameters: 108 + 4 + 4 + 96, macs: 108 * 12 + 96 });
        assert!(n.counts(InputShape::free(3)).is_err());
    }
}
