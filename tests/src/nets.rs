//! Small networks of the right shapes: a cascade that finds drawn faces and an embedder that tells them apart.

use std::sync::OnceLock;

use limen_train::graph::{Conv2d, Gemm, InputShape, MaxPool, Network, Op, Rounding, Size2, Tensor, ValueId};

mod detector;
mod embedder;

/// Numbers in a drawn embedding.
pub const LENGTH: usize = 128;

/// One network for each place of the pipeline.
#[derive(Debug, Clone)]
pub struct Nets {
    /// Proposal network, any size.
    pub p: Network,
    /// Refinement network, 24x24.
    pub r: Network,
    /// Output network, 48x48.
    pub o: Network,
    /// 112x96 to [`LENGTH`] numbers.
    pub embedder: Network,
}

/// The networks of seed 1, built once a program.
pub fn nets() -> &'static Nets {
    static NETS: OnceLock<Nets> = OnceLock::new();
    NETS.get_or_init(|| Nets {
        p: detector::proposal(),
        r: detector::refinement(),
        o: detector::output(),
        embedder: embedder::embedder(),
    })
}

/// Appends layers to a network.
struct Layers(Network);

impl Layers {
    fn new(name: &str, input: InputShape) -> Self {
        Self(Network::new(name, "data", input))
    }

    /// `weight` is [out, in, side, side] flat; no padding unless `pad` says so.
    fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        (outs, ins, side): (usize, usize, usize),
        (stride, pad): (usize, usize),
        (weight, bias): (Vec<f32>, Vec<f32>),
    ) -> ValueId {
        let conv = Conv2d {
            weight: Tensor::new([outs, ins, side, side], weight).expect("as many weights as the shape says"),
            bias: Some(bias),
            stride: Size2::square(stride),
            pad: Size2::square(pad),
            groups: 1,
        };
        self.0.push(name, Op::Conv2d(conv), &[x])
    }

    fn dense(
        &mut self,
        name: &str,
        x: ValueId,
        outs: usize,
        (weight, bias): (Vec<f32>, Vec<f32>),
    ) -> ValueId {
        let ins = weight.len() / outs;
        let weight = Tensor::new([outs, ins], weight).expect("as many weights as the shape says");
        self.0.push(name, Op::Gemm(Gemm { weight, bias: Some(bias) }), &[x])
    }

    fn prelu(&mut self, name: &str, x: ValueId, slope: Vec<f32>) -> ValueId {
        self.0.push(name, Op::PRelu { slope }, &[x])
    }

    /// Two by two, rounded up as MTCNN's are.
    fn pool(&mut self, name: &str, x: ValueId) -> ValueId {
        let pool = MaxPool {
            kernel: Size2::square(2),
            stride: Size2::square(2),
            pad: Size2::square(0),
            rounding: Rounding::Ceil,
        };
        self.0.push(name, Op::MaxPool(pool), &[x])
    }

    fn finish(mut self, outputs: &[(&str, ValueId)]) -> Network {
        for &(name, value) in outputs {
            self.0.output(name, value);
        }
        self.0.check().expect("the drawn network is well formed");
        self.0
    }
}
