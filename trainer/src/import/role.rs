//! What an imported network is to be, and the input and output names that the firmware expects of it.

use crate::graph::{InputShape, Network, NetworkOutput, Op, Shape, ValueId};
use std::fmt;
use std::str::FromStr;

/// The part a network plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// MTCNN's proposal network: any size in; `prob` [N, 2, h, w] and `box` [N, 4, h, w] out.
    MtcnnP,
    /// MTCNN's refinement network: 24 x 24 in; `prob` [N, 2] and `box` [N, 4] out.
    MtcnnR,
    /// MTCNN's output network: 48 x 48 in; `prob` [N, 2], `box` [N, 4] and `landmarks` [N, 10] (x1..x5, y1..y5) out.
    MtcnnO,
    /// An aligned face of a fixed size in; `embedding` [N, length] out.
    Embedder,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::MtcnnP, Role::MtcnnR, Role::MtcnnO, Role::Embedder];

    /// The word for it on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Role::MtcnnP => "mtcnn-p",
            Role::MtcnnR => "mtcnn-r",
            Role::MtcnnO => "mtcnn-o",
            Role::Embedder => "embedder",
        }
    }

    /// Names the outputs after the role and puts them in its order; frees P-Net's image size.
    ///
    /// # Errors
    /// Says what the role needs that `network` has not.
    pub fn conform(self, mut network: Network) -> Result<Network, String> {
        let wrong = |what: String| format!("cannot be a network of the kind {self}: {what}");
        if network.input.channels != 3 {
            return Err(wrong(format!("it takes {} channels, not 3", network.input.channels)));
        }
        match self {
            Role::MtcnnP => network.input = InputShape::free(3),
            Role::MtcnnR => fixed(network.input, 24).map_err(wrong)?,
            Role::MtcnnO => fixed(network.input, 48).map_err(wrong)?,
            Role::Embedder if network.input.height.is_none() || network.input.width.is_none() => {
                return Err(wrong("the size of its input is not fixed; give it with --template".into()));
            }
            Role::Embedder => {}
        }
        let shapes = network.shapes().map_err(|error| wrong(error.to_string()))?;
        if self == Role::Embedder {
            embedding(&mut network, &shapes).map_err(wrong)?;
        } else {
            let wanted: &[(&str, usize)] = match self {
                Role::MtcnnO => &[("prob", 2), ("box", 4), ("landmarks", 10)],
                _ => &[("prob", 2), ("box", 4)],
            };
            network.outputs = stage_outputs(&network, &shapes, wanted).map_err(wrong)?;
        }
        network.check().map_err(|error| wrong(error.to_string()))?;
        Ok(network)
    }
}

fn fixed(input: InputShape, side: usize) -> Result<(), String> {
    if (input.height, input.width) == (Some(side), Some(side)) {
        Ok(())
    } else {
        Err(format!("it takes {}, not [3, {side}, {side}]", Shape::from(input)))
    }
}

/// One flat output; a map of one cell is flattened.
fn embedding(network: &mut Network, shapes: &[Shape]) -> Result<(), String> {
    let [output] = &network.outputs[..] else {
        return Err(format!("it has {} outputs, not one", network.outputs.len()));
    };
    let value = match shapes[output.value.index()] {
        Shape::Vector { .. } => output.value,
        Shape::Map { height: Some(1), width: Some(1), .. } => {
            let before = output.value;
            network.push("embedding/flatten", Op::Flatten, &[before])
        }
        other => return Err(format!("its output is a map {other}, not a vector")),
    };
    network.outputs = vec![NetworkOutput { name: "embedding".into(), value }];
    Ok(())
}

/// Tells a detector stage's outputs apart by their lengths: 2 probabilities, 4 of a box, 10 of landmarks.
fn stage_outputs(
    network: &Network,
    shapes: &[Shape],
    wanted: &[(&str, usize)],
) -> Result<Vec<NetworkOutput>, String> {
    if network.outputs.len() != wanted.len() {
        return Err(format!("it has {} outputs, not {}", network.outputs.len(), wanted.len()));
    }
    let find = |&(name, length): &(&str, usize)| {
        let value = network.outputs.iter().map(|o| o.value).find(|v| shapes[v.index()].channels() == length);
        let value = value.ok_or_else(|| format!("it has no output of {length} values for `{name}`"))?;
        if name == "prob" && !is_softmax(network, value) {
            return Err("its two probabilities do not come from a softmax over the channels".into());
        }
        Ok(NetworkOutput { name: name.into(), value })
    };
    wanted.iter().map(find).collect()
}

fn is_softmax(network: &Network, value: ValueId) -> bool {
    value.node().is_some_and(|n| matches!(network.nodes()[n].op, Op::Softmax { axis: 1 }))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL.into_iter().find(|r| r.name() == text).ok_or_else(|| {
            let known = Role::ALL.map(Role::name).join(", ");
            format!("there is no kind of network called `{text}` (known: {known})")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, Size2, Tensor};

    fn heads(input: InputShape, lengths: &[usize]) -> Network {
        let mut n = Network::new("t", "data", input);
        for &length in lengths {
            let conv = Conv2d {
                weight: Tensor::new([length, 3, 1, 1], vec![0.1; length * 3]).unwrap(),
                bias: None,
                stride: Size2::square(1),
                pad: Size2::square(0),
                groups: 1,
            };
            let mut y = n.push(format!("head{length}"), Op::Conv2d(conv), &[ValueId::INPUT]);
            if length == 2 {
                y = n.push("prob1", Op::Softmax { axis: 1 }, &[y]);
            }
            n.output(format!("out{length}"), y);
        }
        n
    }

    #[test]
    fn outputs_are_told_apart_by_length() {
        let network = Role::MtcnnP.conform(heads(InputShape::fixed(3, 12, 12), &[4, 2])).unwrap();
        let names: Vec<&str> = network.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!((names, network.input), (vec!["prob", "box"], InputShape::free(3)));
        let mut raw = heads(InputShape::fixed(3, 12, 12), &[4, 2]);
        raw.outputs[1].value = raw.nodes()[2].inputs[0]; // what goes into the softmax
        assert!(Role::MtcnnP.conform(raw).unwrap_err().contains("softmax"));
        let error = Role::MtcnnO.conform(heads(InputShape::fixed(3, 48, 48), &[4, 2])).unwrap_err();
        assert!(error.contains("mtcnn-o") && error.contains("2 outputs, not 3"), "{error}");
        let error = Role::MtcnnR.conform(heads(InputShape::fixed(3, 12, 12), &[4, 2])).unwrap_err();
        assert!(error.contains("[3, 12, 12], not [3, 24, 24]"), "{error}");
    }

    #[test]
    fn an_embedding_is_flat() {
        let network = Role::Embedder.conform(heads(InputShape::fixed(3, 1, 1), &[7])).unwrap();
        assert_eq!(network.outputs[0].name, "embedding");
        assert_eq!(network.shapes().unwrap().last(), Some(&Shape::Vector { length: 7 }));
        assert!(Role::Embedder.conform(heads(InputShape::fixed(3, 2, 1), &[7])).is_err());
        assert!(Role::Embedder.conform(heads(InputShape::free(3), &[7])).is_err());
    }
}
