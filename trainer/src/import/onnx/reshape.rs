//! A `Reshape` that does no more than flatten each image: how PyTorch writes `view(n, -1)`.

use crate::export::proto;
use crate::graph::Shape;

/// How many images the file says it takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// One, so that a 1 in the file may stand for the batch.
    One,
    /// Any number.
    Free,
}

/// The integers of a target shape.
pub(super) fn integers(data: &proto::TensorData) -> Result<Vec<i64>, String> {
    if data.data_type != proto::INT64 || data.data_location != 0 {
        return Err("its new shape is not i64 in this file".into());
    }
    if data.raw_data.is_empty() {
        return Ok(data.int64_data.clone());
    }
    let (numbers, rest) = data.raw_data.as_chunks();
    if rest.is_empty() {
        Ok(numbers.iter().map(|b| i64::from_le_bytes(*b)).collect())
    } else {
        Err("its new shape is cut off".into())
    }
}

/// Whether `target` is [batch, all of one image] for images of the shape `x`; `zero` says that a 0 means 0 and not
/// the length before.
pub(super) fn flattens(target: &[i64], zero: bool, batch: Batch, x: Shape) -> Result<(), String> {
    let all = x.elements().and_then(|n| i64::try_from(n).ok());
    let flat = match *target {
        [0, -1] => !zero,
        [0, n] => !zero && all == Some(n),
        [1, -1] => batch == Batch::One,
        [1, n] => batch == Batch::One && all == Some(n),
        [-1, n] => all == Some(n),
        _ => false,
    };
    if flat {
        Ok(())
    } else {
        Err(format!("reshapes {x} to {target:?}; only flattening each image is understood"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_row_an_image_is_flattening() {
        let x = Shape::Map { channels: 2, height: Some(3), width: Some(5) };
        for target in [[0, -1], [0, 30], [-1, 30]] {
            assert_eq!(flattens(&target, false, Batch::Free, x), Ok(()), "{target:?}");
        }
        for target in [[1, -1], [1, 30]] {
            assert_eq!(flattens(&target, false, Batch::One, x), Ok(()), "{target:?}");
            assert!(flattens(&target, false, Batch::Free, x).is_err(), "{target:?}");
        }
        for target in [&[2, 15][..], &[-1, 15], &[0, 15], &[0, 6, 5], &[-1], &[]] {
            assert!(flattens(target, false, Batch::One, x).is_err(), "{target:?}");
        }
        assert!(flattens(&[0, -1], true, Batch::One, x).is_err(), "a 0 that means 0");
    }

    #[test]
    fn both_ways_to_write_integers() {
        let mut data =
            proto::TensorData { data_type: proto::INT64, int64_data: vec![1, -1], ..Default::default() };
        assert_eq!(integers(&data).unwrap(), [1, -1]);
        data.int64_data.clear();
        data.raw_data = [1i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(integers(&data).unwrap(), [1, -1]);
        data.raw_data.pop();
        assert!(integers(&data).unwrap_err().contains("cut off"));
        data.data_type = proto::FLOAT;
        assert!(integers(&data).is_err());
    }
}
