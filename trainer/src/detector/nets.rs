//! P-, R- and O-Net with their first weights, and as the firmware runs them.
//!
//! Layers as in the paper's figure 2 and the official `det1` to `det3.prototxt`. While it learns every network gives
//! logits, box and landmarks; P- and R-Net's landmarks help the other tasks and stay behind at the end.

use anyhow::{Result, anyhow};

use super::Stage;
use crate::backbone::init::Init;
use crate::graph::{Conv2d, Gemm, InputShape, MaxPool, Network, Op, Rounding, Size2, Tensor, ValueId};

/// First slope of every PReLU.
const SLOPE: f32 = 0.25;

/// Puts layers one behind the other.
struct Builder {
    network: Network,
    seed: u64,
    at: ValueId,
    /// Channels (or numbers) of the value at hand.
    width: usize,
}

impl Builder {
    fn weights(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let values = Init::Xavier.values(self.seed, name, shape);
        Tensor::new(shape.to_vec(), values).map_err(|e| anyhow!("{name}: {e:?}"))
    }

    fn conv(&self, name: &str, outputs: usize, side: usize) -> Result<Op> {
        Ok(Op::Conv2d(Conv2d {
            weight: self.weights(name, &[outputs, self.width, side, side])?,
            bias: Some(vec![0.0; outputs]),
            stride: Size2::square(1),
            pad: Size2::square(0),
            groups: 1,
        }))
    }

    fn dense(&self, name: &str, outputs: usize, inputs: usize) -> Result<Op> {
        Ok(Op::Gemm(Gemm { weight: self.weights(name, &[outputs, inputs])?, bias: Some(vec![0.0; outputs]) }))
    }

    fn prelu(&mut self, name: &str) {
        let slope = vec![SLOPE; self.width];
        self.at = self.network.push(name, Op::PRelu { slope }, &[self.at]);
    }

    /// Convolution `k` and its PReLU.
    fn layer(&mut self, k: usize, outputs: usize, side: usize) -> Result<()> {
        let name = format!("conv{k}");
        let op = self.conv(&name, outputs, side)?;
        self.at = self.network.push(name, op, &[self.at]);
        self.width = outputs;
        self.prelu(&format!("prelu{k}"));
        Ok(())
    }

    fn pool(&mut self, k: usize, side: usize) {
        let pool = MaxPool {
            kernel: Size2::square(side),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        self.at = self.network.push(format!("pool{k}"), Op::MaxPool(pool), &[self.at]);
    }

    /// The fully connected layer `k` over a map of 3 x 3.
    fn hidden(&mut self, k: usize, outputs: usize) -> Result<()> {
        let inputs = self.width * 9;
        self.at = self.network.push(format!("flatten{k}"), Op::Flatten, &[self.at]);
        let name = format!("dense{k}");
        let op = self.dense(&name, outputs, inputs)?;
        self.at = self.network.push(name, op, &[self.at]);
        self.width = outputs;
        self.prelu(&format!("prelu{k}"));
        Ok(())
    }

    /// One layer a task.
    fn heads(mut self, k: usize) -> Result<Network> {
        for (i, (name, length)) in [("prob", 2), ("box", 4), ("landmarks", 10)].into_iter().enumerate() {
            let map = self.network.name == "mtcnn-p";
            let layer = format!("{}{k}_{}", if map { "conv" } else { "dense" }, i + 1);
            let op =
                if map { self.conv(&layer, length, 1)? } else { self.dense(&layer, length, self.width)? };
            let value = self.network.push(layer, op, &[self.at]);
            self.network.output(name, value);
        }
        self.network.check()?;
        Ok(self.network)
    }
}

/// The network of `stage` as it begins.
///
/// # Errors
/// Never, as long as the layers fit each other.
pub fn begin(stage: Stage, seed: u64) -> Result<Network> {
    let side = stage.side();
    let network = Network::new(stage.role().name(), "data", InputShape::fixed(3, side, side));
    let mut b = Builder { network, seed, at: ValueId::INPUT, width: 3 };
    match stage {
        Stage::P => {
            b.layer(1, 10, 3)?;
            b.pool(1, 2);
            b.layer(2, 16, 3)?;
            b.layer(3, 32, 3)?;
            b.heads(4)
        }
        Stage::R => {
            b.layer(1, 28, 3)?;
            b.pool(1, 3);
            b.layer(2, 48, 3)?;
            b.pool(2, 3);
            b.layer(3, 64, 2)?;
            b.hidden(4, 128)?;
            b.heads(5)
        }
        Stage::O => {
            b.layer(1, 32, 3)?;
            b.pool(1, 3);
            b.layer(2, 64, 3)?;
            b.pool(2, 3);
            b.layer(3, 64, 3)?;
            b.pool(3, 2);
            b.layer(4, 128, 2)?;
            b.hidden(5, 256)?;
            b.heads(6)
        }
    }
}

/// A network that has learnt as the firmware runs it: probabilities in the place of logits, and only the outputs of
/// its part.
///
/// # Errors
/// When `learnt` is no network of [`begin`].
pub fn finish(stage: Stage, learnt: &Network) -> Result<Network> {
    let keep = if stage == Stage::O { 3 } else { 2 };
    let mut out = Network::new(&learnt.name, &learnt.input_name, learnt.input);
    let nodes = learnt.nodes();
    // The landmarks' layer is the last one.
    for node in &nodes[..nodes.len() - (3 - keep)] {
        out.push(&node.name, node.op.clone(), &node.inputs);
    }
    let logits = learnt.outputs[0].value;
    let prob = out.push("softmax", Op::Softmax { axis: 1 }, &[logits]);
    out.output("prob", prob);
    learnt.outputs[1..keep].iter().for_each(|o| out.output(&o.name, o.value));
    stage.role().conform(out).map_err(|e| anyhow!(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn parameters_are_those_of_the_official_networks() {
        // The importer's counts of the published files.
        for (stage, count) in [(Stage::P, 6_632), (Stage::R, 100_178), (Stage::O, 389_040)] {
            let learnt = begin(stage, 1).unwrap();
            let side = stage.side();
            let done = finish(stage, &learnt).unwrap();
            let counts = done.counts(InputShape::fixed(3, side, side)).unwrap();
            assert_eq!(counts.parameters, count, "{stage:?}");
            let names: Vec<&str> = done.outputs.iter().map(|o| o.name.as_str()).collect();
            let want: &[&str] =
                if stage == Stage::O { &["prob", "box", "landmarks"] } else { &["prob", "box"] };
            assert_eq!(names, want);
        }
    }

    #[test]
    fn the_proposal_network_takes_any_size_and_steps_by_two() {
        let done = finish(Stage::P, &begin(Stage::P, 1).unwrap()).unwrap();
        let shapes = done.shapes_for(InputShape::fixed(3, 40, 28)).unwrap();
        let place = done.outputs[0].value.index();
        assert_eq!(shapes[place], Shape::Map { channels: 2, height: Some(15), width: Some(9) });
    }
}
