//! Numbers as int8: activations with one scale and zero point a value, weights with one scale an output channel.
//!
//! Activations are int8 and not uint8, since tract turns uint8 into int8 in a pass of its own. Weights have no zero
//! point: the sum over a window then needs no correction for it.

use super::range::Range;
use crate::graph::Tensor;

/// x = (q - zero point) * scale, q from -128 to 127.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Above 0.
    pub scale: f32,
    /// The int8 value that stands for 0.
    pub zero_point: i8,
}

/// Where the two ends of a range differ by less than one step of int8, it is taken for symmetric: a zero point of 0
/// saves a pass in the engine.
const SYMMETRIC: f32 = 1.0 / 127.0;

impl Affine {
    /// Spreads int8 over `range`. A range without width (a value that is always zero) gets the scale 1.
    pub fn for_range(range: Range) -> Self {
        let (low, high) = (-range.min, range.max);
        let largest = low.max(high);
        if largest <= f32::MIN_POSITIVE * 1e3 {
            return Self { scale: 1.0, zero_point: 0 };
        }
        if (high - low).abs() <= largest * SYMMETRIC {
            return Self { scale: clear_of_powers(largest / 127.0), zero_point: 0 };
        }
        // Shares first: the sum of both ends can be above what f32 holds.
        let scale = clear_of_powers(low / 255.0 + high / 255.0);
        let zero_point = (-128.0 + low / scale).round().clamp(-128.0, 127.0) as i8;
        Self { scale, zero_point }
    }

    /// The nearest int8 value, ties to even; what lies outside the range goes to its end. The product with the inverse
    /// is what the written file says, see `export::onnx_int8`.
    pub fn quantise(self, x: f32) -> i8 {
        let q = (x * self.scale.recip()).round_ties_even() + f32::from(self.zero_point);
        q.clamp(-128.0, 127.0) as i8
    }

    /// What `q` stands for.
    pub fn dequantise(self, q: i8) -> f32 {
        (f32::from(q) - f32::from(self.zero_point)) * self.scale
    }
}

/// `scale`, or up to 1 % more where it lies within 1 % of a power of two: there its inverse is so coarse that
/// [`Weight::settle`] finds no match. A power of two itself is fine: its inverse is exact.
fn clear_of_powers(scale: f32) -> f32 {
    let scale = scale.max(f32::MIN_POSITIVE);
    let below = f32::from_bits(scale.to_bits() & 0xff80_0000); // the fraction cleared
    match scale / below {
        1.0 => scale,
        part if part < 1.01 => below * 1.01,
        part if part > 1.98 => below * 2.0,
        _ => scale,
    }
}

/// Weights as int8, one scale an output channel, no zero point: w = q * scale, q from -127 to 127.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// [out, ...], as the layer's own.
    pub shape: Vec<usize>,
    /// The values, last axis fastest.
    pub data: Vec<i8>,
    /// One an output channel.
    pub scales: Vec<f32>,
}

/// Greatest magnitude of a bias in int32 steps: sums of a layer's products must find room beside it.
const BIAS_ROOM: f32 = (1u32 << 29) as f32;

impl Weight {
    /// Rounds `weight` ([out, ...]). With a bias that will be counted in steps of `input.scale` times the channel's
    /// scale, a channel of very small weights gets a larger scale than its weights need, so that its bias fits.
    pub fn new(weight: &Tensor, bias: Option<&[f32]>, input: Affine) -> Self {
        let outputs = weight.shape().first().copied().unwrap_or(0).max(1);
        let per_output = (weight.data().len() / outputs).max(1);
        let mut data = Vec::with_capacity(weight.data().len());
        let mut scales = Vec::with_capacity(outputs);
        for (o, row) in weight.data().chunks(per_output).enumerate() {
            let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
            let bias = bias.and_then(|b| b.get(o)).map_or(0.0, |b| b.abs());
            let needed = (largest / 127.0).max(bias / BIAS_ROOM / input.scale);
            let scale = if needed > f32::MIN_POSITIVE { needed } else { 1.0 };
            data.extend(row.iter().map(|w| (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
            scales.push(scale);
        }
        Self { shape: weight.shape().to_vec(), data, scales }
    }

    /// Moves each scale by a few units in the last place, to one with which scale * input / output comes out the same
    /// whether an engine divides by the output's scale (onnxruntime) or multiplies by its inverse (tract). Otherwise
    /// every fourth channel would be multiplied by neighbouring numbers, and sums near a tie be rounded apart.
    pub fn settle(&mut self, input: Affine, output: Affine) {
        /// About three of four numbers will do; 67 misses in a row are the most that were seen in 30,000 trials.
        const TRIES: usize = 300;
        for scale in &mut self.scales {
            let same = |s: &f32| s * input.scale / output.scale == s * input.scale * output.scale.recip();
            let near = std::iter::successors(Some(*scale), |s| Some(s.next_up()));
            if let Some(found) = near.take(TRIES).find(same) {
                *scale = found;
            }
        }
    }

    /// What the int8 values stand for, in order.
    pub fn dequantised(&self) -> Vec<f32> {
        let per_output = (self.data.len() / self.scales.len().max(1)).max(1);
        self.data
            .chunks(per_output)
            .zip(&self.scales)
            .flat_map(|(row, s)| row.iter().map(move |&q| f32::from(q) * s))
            .collect()
    }

    /// `bias` in steps of `input.scale` times each channel's scale; zeros without one.
    pub fn bias(&self, bias: Option<&[f32]>, input: Affine) -> Vec<i32> {
        let value = |o: usize| bias.and_then(|b| b.get(o)).map_or(0.0, |&b| f64::from(b));
        let step = |s: f32| f64::from(input.scale) * f64::from(s);
        // A cast from f64 saturates.
        self.scales.iter().enumerate().map(|(o, &s)| (value(o) / step(s)).round_ties_even() as i32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_by_hand() {
        // 0 .. 255: one step each, zero at the bottom.
        assert_eq!(Affine::for_range(Range::new(0.0, 255.0)), Affine { scale: 1.0, zero_point: -128 });
        // -55 .. 200: 255 steps, zero is step 55.
        assert_eq!(Affine::for_range(Range::new(-55.0, 200.0)), Affine { scale: 1.0, zero_point: -73 });
        assert_eq!(Affine::for_range(Range::new(-255.0, 0.0)), Affine { scale: 1.0, zero_point: 127 });
        // Pixels: (0 - 127.5) / 128 to (255 - 127.5) / 128.
        let pixels = Affine::for_range(Range::new(-0.996_093_75, 0.996_093_75));
        // A 127th of it is 0.4 % above 1 / 128.
        assert_eq!((pixels.zero_point, pixels.scale), (0, 1.01 / 128.0));
        assert_eq!([1.0, 1.5, 0.999, 2.01, 0.26].map(clear_of_powers), [1.0, 1.5, 1.0, 2.02, 0.26]);
        assert_eq!(Affine::for_range(Range::new(0.0, 0.0)), Affine { scale: 1.0, zero_point: 0 });
        let a = Affine { scale: 0.5, zero_point: 3 };
        assert_eq!([0.0, 0.25, 0.75, -0.4, 1e9, -1e9].map(|x| a.quantise(x)), [3, 3, 5, 2, 127, -128]);
        assert_eq!(a.dequantise(5), 1.0);
    }

    #[test]
    fn weights_by_hand() {
        let tensor = Tensor::new([2, 1, 1, 2], vec![1.27, -0.5, 0.0, 0.0]).unwrap();
        let input = Affine { scale: 0.1, zero_point: 0 };
        let w = Weight::new(&tensor, Some(&[0.004, -2.0]), input);
        assert_eq!(w.data, [127, -50, 0, 0]);
        assert!((w.scales[0] - 0.01).abs() < 1e-8);
        // 0.004 / (0.1 * 0.01) = 4; the channel of zeros has a scale all the same, and keeps its bias.
        let bias = w.bias(Some(&[0.004, -2.0]), input);
        assert_eq!(bias[0], 4);
        assert!((f64::from(bias[1]) * 0.1 * f64::from(w.scales[1]) + 2.0).abs() < 1e-6, "{bias:?}");
        assert_eq!(w.bias(None, input), [0, 0]);
    }

    proptest! {
        #[test]
        fn settled_scales_are_the_same_by_either_way(
            scales in prop::collection::vec(1e-6f32..1.0, 1..40), x in 1e-4f32..1.0, y in 1e-4f32..1.0,
        ) {
            let affine = |scale| Affine { scale: clear_of_powers(scale), zero_point: 0 };
            let (x, y) = (affine(x), affine(y));
            let mut w = Weight { shape: vec![scales.len()], data: vec![0; scales.len()], scales: scales.clone() };
            w.settle(x, y);
            for (after, before) in w.scales.iter().zip(&scales) {
                prop_assert_eq!(after * x.scale / y.scale, after * x.scale * (1.0 / y.scale));
                prop_assert!((after / before - 1.0).abs() < 4e-5);
            }
        }

        #[test]
        fn a_value_in_the_range_moves_by_half_a_step_at_most(
            low in -1e3f32..0.0, high in 0.0f32..1e3, at in 0.0f32..1.0,
        ) {
            let a = Affine::for_range(Range::new(low, high));
            let x = low + (high - low) * at;
            // Rounding the zero point can push one end out by another half step.
            let step = if x == low || x == high { 1.001 } else { 1.0 };
            prop_assert!((a.dequantise(a.quantise(x)) - x).abs() <= step * a.scale, "{a:?} {x}");
            prop_assert_eq!(a.dequantise(a.quantise(0.0)), 0.0);
        }

        #[test]
        fn weights_move_by_half_a_step_and_the_bias_fits(
            values in prop::collection::vec(-10.0f32..10.0, 12),
            tiny in prop::sample::select(vec![1.0f32, 1e-6, 1e-20, 0.0]),
            bias in prop::collection::vec(-100.0f32..100.0, 3),
            scale in 1e-4f32..1.0,
        ) {
            let values: Vec<f32> = values.iter().map(|v| v * tiny).collect();
            let tensor = Tensor::new([3, 4], values.clone()).unwrap();
            let input = Affine { scale, zero_point: 0 };
            let w = Weight::new(&tensor, Some(&bias), input);
            for (i, (back, v)) in w.dequantised().iter().zip(&values).enumerate() {
                prop_assert!((back - v).abs() <= 0.5001 * w.scales[i / 4]);
            }
            for (o, q) in w.bias(Some(&bias), input).into_iter().enumerate() {
                prop_assert!(q.unsigned_abs() <= 1 << 29 | 64);
                let back = f64::from(q) * f64::from(scale) * f64::from(w.scales[o]);
                let step = f64::from(scale) * f64::from(w.scales[o]);
                prop_assert!((back - f64::from(bias[o])).abs() <= 0.5 * step + 1e-9);
            }
        }
    }
}
