//! Bytes to f32: the kinds of floating-point number that weight files hold.

/// Kind of number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision, rounded to f32.
    F64,
}

/// Order of the bytes of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Kind {
    /// Bytes of one number.
    pub(super) const fn size(self) -> usize {
        match self {
            Kind::F16 | Kind::Bf16 => 2,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    /// All numbers in `bytes`; a rest shorter than a number is left out.
    pub(super) fn decode(self, bytes: &[u8], order: Order) -> Vec<f32> {
        match self {
            Kind::F16 => numbers(bytes, order, |b| half_to_f32(u16::from_le_bytes(b))),
            Kind::Bf16 => numbers(bytes, order, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Kind::F32 => numbers(bytes, order, f32::from_le_bytes),
            Kind::F64 => numbers(bytes, order, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

fn numbers<const N: usize>(bytes: &[u8], order: Order, from_little: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<N>();
    let number = |&(mut chunk): &[u8; N]| {
        if order == Order::Big {
            chunk.reverse();
        }
        from_little(chunk)
    };
    chunks.iter().map(number).collect()
}

/// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_by_hand() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 6.097_555e-5),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0x8000, -0.0),
        ] {
            assert_eq!(half_to_f32(bits), value, "{bits:#06x}");
        }
        assert!(half_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn both_orders_of_bytes() {
        assert_eq!(Kind::F32.decode(&[0, 0, 0x80, 0x3f], Order::Little), [1.0]);
        assert_eq!(Kind::F32.decode(&[0x3f, 0x80, 0, 0], Order::Big), [1.0]);
        assert_eq!(Kind::Bf16.decode(&[0x80, 0x3f, 1], Order::Little), [1.0]);
        assert_eq!(Kind::F64.decode(&(-1.5f64).to_be_bytes(), Order::Big), [-1.5]);
    }
}
