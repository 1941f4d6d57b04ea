//! Bytes as pairs of hex digits, small letters.

/// The digits of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// The bytes; `None` if `text` is not an even number of hex digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_both_ways() {
        assert_eq!(encode(&[0x00, 0x1f, 0xab]), "001fab");
        assert_eq!(decode("001fAB"), Some(vec![0x00, 0x1f, 0xab]));
        for bad in ["0", "0g", "ä"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
