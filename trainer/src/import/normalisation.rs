//! Mean and deviation a colour, as they are published with many networks: the manifest has one offset and one scale
//! for all colours, so the difference becomes a layer of the network.

use crate::graph::normalise::scale_input;
use crate::graph::{GraphError, Network};
use limen_models::manifest::{Colour, Input};

/// The network was taught on `(x / 255 - mean) / deviation`, x from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    mean: [f64; 3],
    deviation: [f64; 3],
}

impl Normalisation {
    /// Red, green and blue; ImageNet's are 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225.
    ///
    /// # Errors
    /// When a mean is not within 0 to 1, or a deviation not above 0 and at most 1: they are meant for pixels of 0 to
    /// 255, then.
    pub fn new(mean: [f64; 3], deviation: [f64; 3]) -> Result<Self, String> {
        if let Some(m) = mean.iter().find(|m| !(0.0..=1.0).contains(*m)) {
            return Err(format!("a mean of {m}: 0 to 1 for pixels of 0 to 1; divide one of 0 to 255 by 255"));
        }
        if let Some(d) = deviation.iter().find(|d| !(**d > 0.0 && **d <= 1.0)) {
            return Err(format!(
                "a deviation of {d}: above 0, at most 1 for pixels of 0 to 1; divide one of 0 to 255 by 255"
            ));
        }
        Ok(Self { mean, deviation })
    }

    /// Factor and shift of each channel that turn what `input` makes of a pixel into what the network was taught on,
    /// in the order of the network's channels.
    pub fn factors(&self, input: &Input) -> ([f32; 3], [f32; 3]) {
        // input: v = (x - offset) * scale, so x = v / scale + offset.
        let (offset, scale) = (f64::from(input.offset), f64::from(input.scale));
        let mut factor = self.deviation.map(|d| (1.0 / (scale * 255.0 * d)) as f32);
        let shift = |c: usize| ((offset / 255.0 - self.mean[c]) / self.deviation[c]) as f32;
        let mut shift = [shift(0), shift(1), shift(2)];
        if input.colour == Colour::Bgr {
            factor.reverse();
            shift.reverse();
        }
        (factor, shift)
    }

    /// `network` with the layer in front that takes what `input` makes of a picture.
    ///
    /// # Errors
    /// When the network has not three channels or is not well formed.
    pub fn put_before(&self, network: &Network, input: &Input) -> Result<Network, GraphError> {
        let (factor, shift) = self.factors(input);
        scale_input(network, &factor, &shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imagenet() -> Normalisation {
        Normalisation::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).unwrap()
    }

    fn near(got: [f32; 3], want: [f32; 3]) {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5), "{got:?} {want:?}");
    }

    #[test]
    fn raw_pixels_by_hand() {
        let mut raw = Input::sphereface(112, 112, Colour::Rgb);
        (raw.offset, raw.scale) = (0.0, 1.0);
        let (factor, shift) = imagenet().factors(&raw);
        near(factor, [0.017_124_754, 0.017_507_003, 0.017_429_193]); // 1 / 58.395, 1 / 57.12, 1 / 57.375
        near(shift, [-2.117_904, -2.035_714, -1.804_444]); // -0.485 / 0.229 and so on
    }

    #[test]
    fn after_the_sphereface_rule_and_in_the_networks_order() {
        let input = Input::sphereface(112, 112, Colour::Bgr);
        let (factor, shift) = imagenet().factors(&input);
        // 128 / 57.375, 128 / 57.12, 128 / 58.395: blue first.
        near(factor, [2.230_937, 2.240_896, 2.191_969]);
        near(shift, [(0.5 - 0.406) / 0.225, (0.5 - 0.456) / 0.224, (0.5 - 0.485) / 0.229]);
        // A red of 200 is 0.566406 here and (200 / 255 - 0.485) / 0.229 = 1.307047 there.
        assert!((0.566_406_25 * factor[2] + shift[2] - 1.307_047).abs() < 1e-5);
    }

    #[test]
    fn numbers_of_0_to_255_are_refused() {
        let e = Normalisation::new([123.675, 116.28, 103.53], [0.229; 3]).unwrap_err();
        assert!(e.contains("mean of 123.675") && e.contains("divide"), "{e}");
        for wrong in [0.0, -0.2, 58.395, f64::NAN] {
            assert!(Normalisation::new([0.5; 3], [0.2, wrong, 0.2]).is_err(), "{wrong}");
        }
    }
}
