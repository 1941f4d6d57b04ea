//! Every unit of this CPU against the sums in i64.

use proptest::prelude::*;

use super::*;

/// Bytes without a pattern, among them the least and the greatest.
fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state >> 61 {
            0 => 0,
            1 => 255,
            _ => (state >> 40) as u8,
        }
    };
    (0..len).map(|_| next()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_unit_gives_the_sums_of_the_products(
        outputs in 1usize..150, rows in 1usize..4, columns in 1usize..4, inputs in 1usize..40,
        count in 1usize..15, stride in 1usize..3, low in prop::bool::ANY, seed in any::<u64>(),
    ) {
        let pitch = inputs.next_multiple_of(TERMS);
        let line = (count - 1) * stride * pitch + columns * pitch;
        let pixels = bytes(rows * line, seed);
        // The least weight is left out where `low` says so: one unit does without it.
        let weights: Vec<i8> = bytes(outputs * inputs * rows * columns, seed ^ 1)
            .iter()
            .map(|b| b.cast_signed().max(if low { -127 } else { -128 }))
            .collect();
        for level in Level::available() {
            for unit in Unit::available(level, &weights) {
                let dots = Dots::by(unit, outputs, [rows, columns], inputs, pitch, &weights);
                let mut sums = vec![i32::MAX; count * dots.padded()];
                let walk = Walk { a: pixels.as_ptr(), tap: line, pixel: stride * pitch, count };
                // SAFETY: `pixels` holds `rows` lines that end with the last tap of the last pixel.
                unsafe { (0..dots.panels()).for_each(|panel| dots.run(panel, &walk, sums.as_mut_ptr())) };
                for (pixel, sums) in sums.chunks_exact(dots.padded()).enumerate() {
                    for (o, sum) in sums[..outputs].iter().enumerate() {
                        let mut want = 0i64;
                        for (at, w) in weights[o * inputs * rows * columns..][..inputs * rows * columns].iter().enumerate() {
                            let (x, rest) = (at % columns, at / columns);
                            let (y, i) = (rest % rows, rest / rows);
                            let byte = pixels[y * line + (pixel * stride + x) * pitch + i];
                            want += (i64::from(byte) - i64::from(dots.offset())) * i64::from(*w);
                        }
                        prop_assert_eq!(i64::from(*sum), want, "{:?}, pixel {}, output {}", unit, pixel, o);
                    }
                }
            }
        }
    }
}
