//! What the heads of OpenSphere share: a scale, and margins whose change of the cosine has no gradient.
//!
//! The own class's logit is scale (c + (phi(c) - c)), and with characteristic gradient detachment (CGD) the bracket is
//! a constant: the gradient is that of scale c, as if there were no margin (`head/sphereface.py` L28-46).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::HeadInput;
use super::phi::Phi;
use super::surrogate::{constant, dot_rows, length, unit_rows, with_gradient_of};

/// Which gradient the margin has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarginGradient {
    /// That of the cosine (CGD), as OpenSphere.
    #[default]
    Detached,
    /// Its own, with the division of w by its length as part of it, as the ArcFace and SphereFace papers write it.
    Exact,
}

/// Features, scale and the own class's plain logit.
#[derive(Debug, Clone)]
pub(super) struct Angular {
    /// `x` is the feature: feature . weight_j = scale cos theta_j.
    pub input: HeadInput,
    /// [n, 1].
    pub scale: Tensor<2>,
    /// [n, 1], scale cos theta_y.
    pub plain: Tensor<2>,
    gradient: MarginGradient,
}

impl Angular {
    /// Features of length `s`.
    pub fn scaled(mut input: HeadInput, s: f64, gradient: MarginGradient) -> Self {
        input.x = unit_rows(input.x) * s;
        let scale = constant(&input.x).narrow(1, 0, 1).full_like(s);
        Self::new(input, scale, gradient)
    }

    /// Features of their own length.
    pub fn unscaled(input: HeadInput, gradient: MarginGradient) -> Self {
        let scale = length(input.x.clone());
        Self::new(input, scale, gradient)
    }

    fn new(mut input: HeadInput, scale: Tensor<2>, gradient: MarginGradient) -> Self {
        if gradient == MarginGradient::Exact {
            input.weight = unit_rows(input.weight);
        }
        let plain = dot_rows(input.x.clone(), input.own());
        Self { input, scale, plain, gradient }
    }

    /// The own class's logit under a margin, [n, 1].
    pub fn target(&self, phi: Phi) -> Tensor<2> {
        let c = self.plain.clone() / self.scale.clone();
        let value = constant(&c);
        let change = phi.value(value.clone()) - value.clone();
        let c = match self.gradient {
            MarginGradient::Detached => return self.plain.clone() + self.scale.clone() * change,
            MarginGradient::Exact => c * phi.slope(value.clone()),
        };
        self.scale.clone() * with_gradient_of(value + change, c)
    }
}
