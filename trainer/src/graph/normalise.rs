//! A scale and a shift a channel in front of a network, for those that were taught with them.

use super::{Conv2d, GraphError, Network, Node, Op, Size2, Tensor, ValueId};

/// The network that sees `input * factor + shift`, one factor and one shift a channel, as a depthwise 1x1
/// convolution of its own. Multiplied into the first layer it would be wrong along padded borders: the zeros there
/// were added after the normalisation.
///
/// # Errors
/// When there are not as many factors and shifts as channels, one is not finite, or the network is not well formed.
pub fn scale_input(network: &Network, factor: &[f32], shift: &[f32]) -> Result<Network, GraphError> {
    let channels = network.input.channels;
    let mut name = "normalise".to_owned();
    while network.nodes.iter().any(|n| n.name == name) {
        name.push('_');
    }
    let weight = Tensor::new([channels, 1, 1, 1], factor.to_vec())
        .map_err(|error| GraphError::Layer { layer: name.clone(), what: error.to_string() })?;
    let mut out = Network::new(&network.name, &network.input_name, network.input);
    let conv = Conv2d {
        weight,
        bias: Some(shift.to_vec()),
        stride: Size2::square(1),
        pad: Size2::square(0),
        groups: channels,
    };
    out.push(name, Op::Conv2d(conv), &[ValueId::INPUT]);
    // What read the input now reads the first layer, and so on: every value has moved up by one.
    let moved = |id: &ValueId| ValueId(id.0 + 1);
    out.nodes.extend(network.nodes.iter().map(|n| Node {
        name: n.name.clone(),
        op: n.op.clone(),
        inputs: n.inputs.iter().map(moved).collect(),
    }));
    for output in &network.outputs {
        out.output(&output.name, moved(&output.value));
    }
    out.check()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::InputShape;
    use crate::graph::reference::evaluate;

    /// A 3x3 sum over both channels with a border of zeros, and the input itself added to it.
    fn network() -> Network {
        let mut n = Network::new("t", "x", InputShape::fixed(2, 1, 2));
        let conv = Conv2d {
            weight: Tensor::new([2, 2, 3, 3], vec![1.0; 36]).unwrap(),
            bias: None,
            stride: Size2::square(1),
            pad: Size2::square(1),
            groups: 1,
        };
        let y = n.push("normalise", Op::Conv2d(conv), &[ValueId::INPUT]);
        let y = n.push("sum", Op::Add, &[ValueId::INPUT, y]);
        n.output("y", y);
        n
    }

    #[test]
    fn by_hand_and_exact_along_padded_borders() {
        let scaled = scale_input(&network(), &[2.0, 0.5], &[-1.0, 3.0]).unwrap();
        let names: Vec<&str> = scaled.nodes().iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["normalise_", "normalise", "sum"]);
        // Channel 0: 1 2 -> 1 3. Channel 1: 4 8 -> 5 7. Their sum is 16 in every cell; shifts of the border would add 2 a cell.
        let out = evaluate(&scaled, &[1.0, 2.0, 4.0, 8.0], 1, 1, 2).unwrap().remove(0);
        assert_eq!(out.data, [17.0, 19.0, 21.0, 23.0]);
    }

    #[test]
    fn one_factor_a_channel_and_all_finite() {
        let e = scale_input(&network(), &[1.0], &[0.0, 0.0]).unwrap_err().to_string();
        assert!(e.contains("1 values do not fill the shape [2, 1, 1, 1]"), "{e}");
        assert!(scale_input(&network(), &[1.0, 1.0], &[0.0]).unwrap_err().to_string().contains("1 biases"));
        assert!(scale_input(&network(), &[1.0, f32::INFINITY], &[0.0; 2]).is_err());
    }
}
