//! The layers of a network as a table for people: shapes, parameters, multiplications.

use crate::graph::{GraphError, InputShape, Network, Op, Shape, Size2};

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the layer.
    pub name: String,
    /// What it does, such as "conv 3x3 / 2".
    pub what: String,
    /// Shape of one image after it.
    pub shape: Shape,
    /// Numbers stored.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// One row a layer, in running order.
///
/// # Errors
/// When a layer does not fit, or a length of `input` is free.
pub fn rows(network: &Network, input: InputShape) -> Result<Vec<Row>, GraphError> {
    let shapes = network.shapes_for(input)?;
    let counts = network.counts_by_layer(input)?;
    let rows = network.nodes().iter().zip(&shapes[1..]).zip(counts).map(|((node, shape), counts)| Row {
        name: node.name.clone(),
        what: words(&node.op),
        shape: *shape,
        parameters: counts.parameters,
        macs: counts.macs,
    });
    Ok(rows.collect())
}

/// "conv 3x3 / 2", "PReLU", "sum".
pub fn words(op: &Op) -> String {
    let size = |s: Size2| format!("{}x{}", s.height, s.width);
    match op {
        Op::Conv2d(c) => {
            let kernel = match c.weight.shape() {
                [_, _, h, w] => size(Size2::new(*h, *w)),
                _ => "?".into(),
            };
            let kind = if c.groups > 1 { "depthwise" } else { "conv" };
            let bias = if c.bias.is_some() { " + bias" } else { "" };
            format!("{kind} {kernel} / {}{bias}", c.stride.height)
        }
        Op::Gemm(g) => format!("fully connected{}", if g.bias.is_some() { " + bias" } else { "" }),
        Op::MaxPool(p) => format!("max pool {} / {}", size(p.kernel), p.stride.height),
        Op::Add => "sum".into(),
        other => other.kind().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Depth, INPUT, Spec};

    #[test]
    fn rows_add_up() {
        let net = Spec::published(Depth::D10).build(1).unwrap();
        let rows = rows(&net, INPUT).unwrap();
        let total = net.counts(INPUT).unwrap();
        assert_eq!(rows.iter().map(|r| r.parameters).sum::<u64>(), total.parameters);
        assert_eq!(rows.iter().map(|r| r.macs).sum::<u64>(), total.macs);
        let first = &rows[0];
        // 27 x 64 weights + 64 biases; 1,728 multiplications at each of 56 x 48 places.
        assert_eq!(
            (first.what.as_str(), first.parameters, first.macs),
            ("conv 3x3 / 2 + bias", 1792, 1728 * 2688)
        );
    }
}
