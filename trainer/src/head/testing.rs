//! Small batches in f64, their gradients, and the same worked in plain Rust.

use std::num::NonZeroUsize;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::{Head, HeadInput};

/// Numbers of a tensor, row by row.
pub fn numbers<const D: usize>(t: Tensor<D>) -> Vec<f64> {
    t.try_into_vec_as::<f64>().unwrap()
}

pub fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance, "number {i}: {g}, {e} expected\n{got:?}\n{expected:?}");
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// to += factor v.
pub fn add(to: &mut [f64], factor: f64, v: &[f64]) {
    to.iter_mut().zip(v).for_each(|(to, v)| *to += factor * v);
}

pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// A batch of five samples of four numbers, six classes.
#[derive(Debug, Clone)]
pub struct Case {
    pub x: Vec<Vec<f64>>,
    pub w: Vec<Vec<f64>>,
    pub bias: Option<f64>,
    pub labels: Vec<usize>,
    pub chunk: Option<NonZeroUsize>,
    pub dtype: DType,
}

/// What `Case::gradients` finds.
pub struct Gradients {
    pub x: Vec<f64>,
    pub weight: Vec<f64>,
    pub bias: Option<f64>,
}

impl Case {
    /// Own classes at all angles, lengths from 0.5 to 3; weights of any length; class 5 is nobody's, class 1 has two.
    pub fn free() -> Self {
        let x = vec![
            vec![0.9, 0.2, -0.3, 0.4],
            vec![-0.5, 1.3, 0.7, -0.2],
            vec![0.1, -0.4, 2.5, 1.1],
            vec![-1.2, -0.3, 0.4, -1.6],
            vec![0.2, 0.3, -0.25, 0.15],
        ];
        let w = vec![
            vec![1.1, 0.3, 0.2, -0.1],
            vec![0.4, -0.6, 0.2, 0.9],
            vec![-0.2, 0.1, -0.9, -0.6],
            vec![0.3, 0.8, -0.1, 0.5],
            vec![-0.7, 0.5, -0.6, 0.2],
            vec![0.2, 0.2, 0.9, -0.3],
        ];
        Self { x, w, bias: None, labels: vec![0, 1, 2, 1, 4], chunk: None, dtype: DType::F64 }
    }

    /// The same with weights of unit length.
    pub fn unit() -> Self {
        let mut case = Self::free();
        for row in &mut case.w {
            let length = norm(row);
            row.iter_mut().for_each(|v| *v /= length);
        }
        case
    }

    pub fn chunked(self, chunk: usize) -> Self {
        Self { chunk: NonZeroUsize::new(chunk), ..self }
    }

    fn matrix(&self, rows: &[Vec<f64>]) -> Tensor<2> {
        let shape = [rows.len(), rows[0].len()];
        let device = Device::flex().autodiff();
        Tensor::from_data(TensorData::new(rows.concat(), shape), (&device, self.dtype)).require_grad()
    }

    pub fn input(&self) -> HeadInput {
        let device = Device::flex().autodiff();
        let labels: Vec<i64> = self.labels.iter().map(|l| *l as i64).collect();
        let shape = [labels.len()];
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, shape), &device);
        let bias = self
            .bias
            .map(|b| Tensor::from_data(TensorData::new(vec![b], [1]), (&device, self.dtype)).require_grad());
        HeadInput::new(self.matrix(&self.x), self.matrix(&self.w), labels)
            .with_bias(bias)
            .with_chunk(self.chunk)
    }

    pub fn loss(&self, head: &dyn Head, step: u64) -> f64 {
        numbers(head.loss(self.input(), step).value)[0]
    }

    pub fn gradients(&self, head: &dyn Head, step: u64) -> Gradients {
        let input = self.input();
        let grads = head.loss(input.clone(), step).value.backward();
        Gradients {
            x: numbers(input.x.grad(&grads).unwrap()),
            weight: numbers(input.weight.grad(&grads).unwrap()),
            bias: input.bias.and_then(|b| b.grad(&grads)).map(|b| numbers(b)[0]),
        }
    }

    /// Central differences of the loss in every number of x and w.
    pub fn differences(&self, head: &dyn Head, step: u64) -> (Vec<f64>, Vec<f64>) {
        let h = 1e-6;
        let slope = |change: &dyn Fn(&mut Self, f64)| {
            let at = |by: f64| {
                let mut moved = self.clone();
                change(&mut moved, by);
                moved.loss(head, step)
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        let places = |rows: &[Vec<f64>]| -> Vec<(usize, usize)> {
            (0..rows.len()).flat_map(|i| (0..rows[i].len()).map(move |k| (i, k))).collect()
        };
        let x = places(&self.x).into_iter().map(|(i, k)| slope(&|c, by| c.x[i][k] += by)).collect();
        let w = places(&self.w).into_iter().map(|(i, k)| slope(&|c, by| c.w[i][k] += by)).collect();
        (x, w)
    }

    /// The gradient is that of the loss's value.
    pub fn assert_gradients(&self, head: &dyn Head, step: u64, tolerance: f64) {
        let got = self.gradients(head, step);
        let (x, w) = self.differences(head, step);
        assert_close(&got.x, &x, tolerance);
        assert_close(&got.weight, &w, tolerance);
    }

    /// cos theta_ij.
    pub fn cos_to(&self, i: usize, j: usize) -> f64 {
        dot(&self.x[i], &self.w[j]) / (norm(&self.x[i]) * norm(&self.w[j]))
    }

    /// Softmax of logits that are a function of sample, class and cosine, [n][classes].
    pub fn probabilities(&self, logit: impl Fn(usize, usize, f64) -> f64) -> Vec<Vec<f64>> {
        let row = |i: usize| {
            let e: Vec<f64> = (0..self.w.len()).map(|j| logit(i, j, self.cos_to(i, j)).exp()).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(|e| e / sum).collect()
        };
        (0..self.x.len()).map(row).collect()
    }

    /// Their cross-entropy, mean over the batch.
    pub fn entropy(&self, logit: impl Fn(usize, usize, f64) -> f64) -> f64 {
        let p = self.probabilities(logit);
        let nats = p.iter().zip(&self.labels).map(|(p, y)| -p[*y].ln());
        nats.sum::<f64>() / self.x.len() as f64
    }

    /// dL/dlogit of it, [n][classes].
    pub fn residuals(&self, logit: impl Fn(usize, usize, f64) -> f64) -> Vec<Vec<f64>> {
        let mut g = self.probabilities(logit);
        for (g, y) in g.iter_mut().zip(&self.labels) {
            g[*y] -= 1.0;
            g.iter_mut().for_each(|g| *g /= self.labels.len() as f64);
        }
        g
    }

    /// dL/dx and dL/dw if every logit had the gradient of s cos theta, w of unit length and not divided by it.
    pub fn cos_gradients(&self, logit: impl Fn(usize, usize, f64) -> f64, s: f64) -> (Vec<f64>, Vec<f64>) {
        let g = self.residuals(logit);
        let mut dx = vec![vec![0.0; self.x[0].len()]; self.x.len()];
        let mut dw = vec![vec![0.0; self.w[0].len()]; self.w.len()];
        for (i, x) in self.x.iter().enumerate() {
            for (j, w) in self.w.iter().enumerate() {
                let g = g[i][j] * s / norm(x);
                add(&mut dx[i], g, w);
                add(&mut dx[i], -g * self.cos_to(i, j) / norm(x), x);
                add(&mut dw[j], g, x);
            }
        }
        (dx.concat(), dw.concat())
    }
}
