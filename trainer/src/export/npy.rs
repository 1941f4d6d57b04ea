//! NumPy's `.npy`, version 1.0: one f32 array, so that a script can look at what we computed.

/// `data` (C order) as an array of `shape`.
pub fn to_bytes(shape: &[usize], data: &[f32]) -> Vec<u8> {
    let lengths: String = shape.iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({lengths}), }}");
    // Magic, version and length are 10 bytes; the data begins at a multiple of 64, after a line's end.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::numpy::read_npy;

    #[test]
    fn what_is_written_reads_back() {
        for shape in [vec![], vec![3], vec![2, 1, 2]] {
            let data: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32 - 0.5).collect();
            let bytes = to_bytes(&shape, &data);
            let back = read_npy(&bytes).unwrap();
            assert_eq!((back.shape(), back.data()), (&shape[..], &data[..]));
            assert_eq!((bytes.len() - data.len() * 4) % 64, 0);
        }
    }
}
