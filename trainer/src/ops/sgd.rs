//! The update of a weight by momentum and decay in one pass.

use rayon::prelude::*;

/// Factors of `v = momentum v + gradient (g + decay w)`, then `w = w - velocity v - direct (g + decay w)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdRule {
    /// Of the old velocity.
    pub momentum: f32,
    /// Weight decay.
    pub decay: f32,
    /// Of the decayed gradient in the velocity.
    pub gradient: f32,
    /// Of the velocity in the step.
    pub velocity: f32,
    /// Of the decayed gradient in the step: Nesterov's look ahead.
    pub direct: f32,
}

impl SgdRule {
    /// PyTorch's and burn's: `v = m v + g`, `w -= lr v`.
    pub fn plain(lr: f64, momentum: f64, decay: f64) -> Self {
        let [lr, momentum, decay] = [lr, momentum, decay].map(|x| x as f32);
        Self { momentum, decay, gradient: 1.0, velocity: lr, direct: 0.0 }
    }

    /// PyTorch's with `nesterov=True`: `v = m v + g`, `w -= lr (g + m v)`.
    pub fn nesterov(lr: f64, momentum: f64, decay: f64) -> Self {
        Self { velocity: (lr * momentum) as f32, direct: lr as f32, ..Self::plain(lr, momentum, decay) }
    }

    /// Caffe's: `v = m v + lr g`, `w -= v`, which after a drop of the learning rate is not PyTorch's.
    pub fn caffe(lr: f64, momentum: f64, decay: f64) -> Self {
        Self { gradient: lr as f32, velocity: 1.0, ..Self::plain(lr, momentum, decay) }
    }

    /// Updates `w` and `v` in place.
    pub(super) fn run(&self, w: &mut [f32], v: &mut [f32], g: &[f32]) {
        const CHUNK: usize = 1 << 14;
        let rule = *self;
        w.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)).zip(g.par_chunks(CHUNK)).for_each(
            |((w, v), g)| {
                for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
                    let g = g + rule.decay * *w;
                    *v = rule.momentum * *v + rule.gradient * g;
                    *w -= rule.velocity * *v + rule.direct * g;
                }
            },
        );
    }
}
