//! Batch normalisation with PReLU and residual as a step of burn's gradient tape.

use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::Tensor;

use super::memory;
use super::tape::{self, Recorded, Tracked, Way};
use crate::ops::normalise::{self, Statistics};
use limen_models::kernels::simd::Level;

/// Operands of `prelu(norm(x)) + residual` as burn's tensors.
pub struct Operation<'a> {
    /// `[n, c, h, w]`.
    pub x: &'a Tensor<4>,
    /// Scale, `[c]`.
    pub gamma: &'a Tensor<1>,
    /// Shift, `[c]`.
    pub beta: &'a Tensor<1>,
    /// The PReLU's slope, `[c]`.
    pub slope: &'a Option<Tensor<1>>,
    /// `[n, c, h, w]`.
    pub residual: &'a Option<Tensor<4>>,
    /// Added to the variance.
    pub epsilon: f64,
}

struct Operands<T> {
    x: T,
    gamma: T,
    beta: T,
    slope: Option<T>,
    residual: Option<T>,
}

/// The part an input of the step plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    X,
    Gamma,
    Beta,
    Slope,
    Residual,
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct State {
    roles: Vec<Role>,
    sizes: [usize; 4],
    epsilon: f64,
    statistics: Statistics,
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    slope: Option<FlexTensor>,
}

impl Operation<'_> {
    fn primitives<B: Backend>(&self) -> Option<Operands<FloatTensor<B>>>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        Some(Operands {
            x: tape::primitive::<B, 4>(self.x)?,
            gamma: tape::primitive::<B, 1>(self.gamma)?,
            beta: tape::primitive::<B, 1>(self.beta)?,
            slope: tape::optional::<B, 1>(self.slope)?,
            residual: tape::optional::<B, 4>(self.residual)?,
        })
    }

    fn fits(&self) -> bool {
        let [_, c, _, _] = self.x.dims();
        self.x.dims().iter().all(|&d| d > 0)
            && self.gamma.dims() == [c]
            && self.beta.dims() == [c]
            && self.slope.as_ref().is_none_or(|s| s.dims() == [c])
            && self.residual.as_ref().is_none_or(|r| r.dims() == self.x.dims())
    }

    /// The output on the batch's own statistics, and these; `None` where the operands do not lie on the CPU's gradient
    /// tape in f32 or do not fit together.
    pub fn train(&self) -> Option<(Tensor<4>, Statistics)> {
        memory::keep_heap();
        if !self.fits() {
            return None;
        }
        type Plain = Autodiff<Flex, NoCheckpointing>;
        if let Some(operands) = self.primitives::<Plain>() {
            let (y, statistics) = self.tracked::<NoCheckpointing>(&operands);
            return Some((Tensor::from_primitive::<Plain>(y), statistics));
        }
        type Balanced = Autodiff<Flex, BalancedCheckpointing>;
        let (y, statistics) = self.tracked::<BalancedCheckpointing>(&self.primitives::<Balanced>()?);
        Some((Tensor::from_primitive::<Balanced>(y), statistics))
    }

    /// The output on given statistics, without a gradient tape; `None` as in [`Operation::train`].
    pub fn infer(&self, mean: &Tensor<1>, variance: &Tensor<1>) -> Option<Tensor<4>> {
        let operands = self.primitives::<Flex>().filter(|_| self.fits())?;
        let statistics = Statistics {
            mean: memory::row_major(&tape::primitive::<Flex, 1>(mean)?).into_owned(),
            variance: memory::row_major(&tape::primitive::<Flex, 1>(variance)?).into_owned(),
        };
        let plain = Operands {
            x: &operands.x,
            gamma: &operands.gamma,
            beta: &operands.beta,
            slope: operands.slope.as_ref(),
            residual: operands.residual.as_ref(),
        };
        Some(Tensor::from_primitive::<Flex>(self.apply(&plain, &statistics)))
    }

    fn apply(&self, operands: &Operands<&FlexTensor>, statistics: &Statistics) -> FlexTensor {
        let sizes = self.x.dims();
        let x = memory::channels_last(operands.x, sizes);
        let affine = statistics.affine(
            &memory::row_major(operands.gamma),
            &memory::row_major(operands.beta),
            self.epsilon,
        );
        let slope = operands.slope.map(memory::row_major);
        let residual = operands.residual.map(|r| memory::channels_last(r, sizes));
        let mut y = memory::unwritten(x.len());
        let image = sizes[1] * sizes[2] * sizes[3];
        normalise::apply(Level::detect(), &affine, slope.as_deref(), residual.as_deref(), image, &x, &mut y);
        memory::from_channels_last(y, sizes)
    }

    fn tracked<C: CheckpointStrategy>(&self, operands: &Operands<Tracked<C>>) -> (Tracked<C>, Statistics) {
        let inputs = [
            Some((Role::X, &operands.x)),
            Some((Role::Gamma, &operands.gamma)),
            Some((Role::Beta, &operands.beta)),
            operands.slope.as_ref().map(|t| (Role::Slope, t)),
            operands.residual.as_ref().map(|t| (Role::Residual, t)),
        ];
        let (roles, guards): (Vec<Role>, Vec<_>) =
            inputs.into_iter().flatten().map(|(r, t)| (r, t.node())).unzip();
        let plain = Operands {
            x: operands.x.primitive(),
            gamma: operands.gamma.primitive(),
            beta: operands.beta.primitive(),
            slope: operands.slope.as_ref().map(|t| t.primitive()),
            residual: operands.residual.as_ref().map(|t| t.primitive()),
        };
        let sizes = self.x.dims();
        let [_, c, h, w] = sizes;
        let statistics =
            normalise::statistics(Level::detect(), &memory::channels_last(plain.x, sizes), h * w, c);
        let y = tape::record::<C, State>(guards, |way| {
            let state = (way == Way::Back).then(|| State {
                roles,
                sizes,
                epsilon: self.epsilon,
                statistics: statistics.clone(),
                x: plain.x.clone(),
                gamma: plain.gamma.clone(),
                beta: plain.beta.clone(),
                slope: plain.slope.cloned(),
            });
            (self.apply(&plain, &statistics), state)
        });
        (y, statistics)
    }
}

impl Recorded for State {
    fn backward(self, gradient: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let [_, c, h, w] = self.sizes;
        let asked = self.roles.iter().zip(wanted).any(|(r, w)| *r == Role::X && *w);
        let mut dx = asked.then(|| memory::unwritten(self.sizes.iter().product()));
        let mut found = {
            let slope = self.slope.as_ref().map(memory::row_major);
            let pass = normalise::Backward {
                level: Level::detect(),
                x: &memory::channels_last(&self.x, self.sizes),
                g: &memory::channels_last(&gradient, self.sizes),
                image: c * h * w,
                statistics: &self.statistics,
                gamma: &memory::row_major(&self.gamma),
                beta: &memory::row_major(&self.beta),
                slope: slope.as_deref(),
                epsilon: self.epsilon,
            };
            pass.run(dx.as_deref_mut())
        };
        let mut gradient = Some(gradient);
        let vector = |values: &mut Vec<f32>| Some(memory::from_row_major(std::mem::take(values), [c]));
        self.roles
            .iter()
            .map(|role| match role {
                Role::X => dx.take().map(|dx| memory::from_channels_last(dx, self.sizes)),
                Role::Gamma => vector(&mut found.gamma),
                Role::Beta => vector(&mut found.beta),
                Role::Slope => vector(&mut found.slope),
                Role::Residual => gradient.take(),
            })
            .collect()
    }
}
