//! Softmax over the channels of each pixel.

use super::buffer::Buffer;
use super::frame::Plane;
use super::program::{Map, Step, Value};

/// A softmax layer.
#[derive(Debug, Clone, Copy)]
pub struct Softmax {
    /// What it reads.
    pub from: Value,
    /// What it writes.
    pub to: Value,
}

#[derive(Debug)]
struct Row {
    from: Map,
    to: Map,
}

impl Softmax {
    /// The kernel.
    pub fn step(self, maps: &[Map]) -> Box<dyn Step> {
        let (from, to) = (maps[self.from.0], maps[self.to.0]);
        assert_eq!(from.frame.plane, to.frame.plane, "a softmax of another size");
        Box::new(Row { from, to })
    }
}

impl Step for Row {
    fn run(&self, maps: &mut Buffer, _: &mut Buffer) {
        let Plane { height, width, channels } = self.from.frame.plane;
        for y in 0..height {
            for x in 0..width {
                let at = |m: &Map| m.inside() + y * m.frame.row() + x * m.frame.pitch;
                let (from, to) = (at(&self.from), at(&self.to));
                let most = maps[from..from + channels].iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for c in 0..channels {
                    let e = (maps[from + c] - most).exp();
                    maps[to + c] = e;
                    sum += e;
                }
                for v in &mut maps[to..to + channels] {
                    *v /= sum;
                }
            }
        }
    }
}
