//! A dense f32 array with its shape, C order: the form in which every weight travels.

use std::fmt;

/// Values of a shape, last axis fastest. The number of values always fits the shape.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// The number of values does not fit the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{values} values do not fill the shape {shape:?}")]
pub struct ShapeMismatch {
    /// The shape that was asked for.
    pub shape: Vec<usize>,
    /// How many values there are.
    pub values: usize,
}

impl Tensor {
    /// Values in C order.
    ///
    /// # Errors
    /// When the product of `shape` is not the number of values.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, ShapeMismatch> {
        let shape = shape.into();
        if element_count(&shape) == Some(data.len()) {
            Ok(Self { shape, data })
        } else {
            Err(ShapeMismatch { shape, values: data.len() })
        }
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, last axis fastest.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values to change in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values alone.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// Rows and columns exchanged; a tensor that is not two-dimensional comes back unchanged.
    pub fn transposed(self) -> Self {
        let [rows, columns] = self.shape[..] else { return self };
        let mut data = Vec::with_capacity(self.data.len());
        for column in 0..columns {
            data.extend((0..rows).map(|row| self.data[row * columns + column]));
        }
        Self { shape: vec![columns, rows], data }
    }
}

/// Product of a shape, or `None` when it does not fit a `usize`.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{:?}", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_must_fill_the_shape() {
        assert!(Tensor::new([2, 3], vec![0.0; 6]).is_ok());
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "5 values do not fill the shape [2, 3]");
        assert!(Tensor::new([usize::MAX, 2], vec![]).is_err());
    }

    #[test]
    fn rows_become_columns() {
        let t = Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap().transposed();
        assert_eq!(t.shape(), [3, 2]);
        assert_eq!(t.data(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
