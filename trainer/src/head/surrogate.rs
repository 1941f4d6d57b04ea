//! Values with a gradient of our choice: constants carried by a linear term that is zero.
//!
//! burn has no light way to give an operation a backward of its own, and needs none here: `v + (s - s.constant())` has
//! the value v exactly (s minus itself) and the gradient of s.

use burn::tensor::Tensor;

/// Added to squared lengths, so that an all-zero row gives the gradient 0 instead of NaN. It is the square of 1e-12:
/// rows longer than about 1e-8 are not changed by it, not even in f64.
const TINY: f64 = 1e-24;

/// The same numbers, outside the graph.
pub(super) fn constant<const D: usize>(t: &Tensor<D>) -> Tensor<D> {
    t.clone().without_autodiff()
}

/// `value` with the gradient of `carrier`; the shapes are the same.
pub(super) fn with_gradient_of<const D: usize>(value: Tensor<D>, carrier: Tensor<D>) -> Tensor<D> {
    let zero = carrier.clone() - constant(&carrier);
    constant(&value) + zero
}

/// Sum over all elements of t * gradient: dL/dt of it is `gradient`. [1].
pub(super) fn carrier<const D: usize>(t: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    (t * gradient).sum()
}

/// Scalar product of the rows, [n, d] and [n, d] to [n, 1].
pub(super) fn dot_rows(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    (a * b).sum_dim(1)
}

/// Length of the rows, [n, d] to [n, 1], never 0.
pub(super) fn length(x: Tensor<2>) -> Tensor<2> {
    (dot_rows(x.clone(), x) + TINY).sqrt()
}

/// Rows divided by their length; a row of zeros stays one.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let length = length(x.clone());
    x / length
}
