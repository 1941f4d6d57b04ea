//! The transforms of F(4,3)'s gradients on vectors of channels.

#![allow(clippy::too_many_arguments, reason = "a kernel's operands")]
#![allow(clippy::needless_range_loop, reason = "indices of the formulas; loops of known length are unrolled")]

use limen_models::by_level;
use limen_models::kernels::simd::Simd;

/// A y.
#[inline(always)]
unsafe fn a<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: arithmetic on a CPU that the caller vouches for.
    unsafe {
        let even = S::add(y[0], y[2]);
        let odd = S::add(y[1], y[3]);
        let even4 = S::fma(S::splat(4.0), y[2], y[0]);
        let odd8 = S::mul(S::splat(2.0), S::fma(S::splat(4.0), y[3], y[1]));
        [y[0], S::add(even, odd), S::sub(even, odd), S::add(even4, odd8), S::sub(even4, odd8), y[3]]
    }
}

/// G' u.
#[inline(always)]
unsafe fn gt<S: Simd>(u: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: arithmetic on a CPU that the caller vouches for.
    unsafe {
        let near = S::add(u[1], u[2]);
        let far = S::add(u[3], u[4]);
        let sixth = S::splat(1.0 / 6.0);
        [
            S::fma(
                S::splat(0.25),
                u[0],
                S::fma(S::splat(-1.0 / 6.0), near, S::mul(S::splat(1.0 / 24.0), far)),
            ),
            S::fma(sixth, S::sub(u[2], u[1]), S::mul(S::splat(1.0 / 12.0), S::sub(u[3], u[4]))),
            S::fma(sixth, S::sub(far, near), u[5]),
        ]
    }
}

#[inline(always)]
unsafe fn gradient_body<S: Simd>(
    from: *const f32,
    row: usize,
    pitch: usize,
    across: usize,
    to: *mut f32,
    step: usize,
) {
    // SAFETY: the caller vouches for 4 rows of 4 across pixels behind `from` and 36 x across tiles behind `to`.
    unsafe {
        for tile in 0..across {
            let from = from.add(tile * 4 * pitch);
            let to = to.add(tile * pitch);
            let mut c = 0;
            while c < pitch {
                let mut half = [[S::splat(0.0); 6]; 4];
                for i in 0..4 {
                    let line = from.add(i * row + c);
                    let mut d = [S::splat(0.0); 4];
                    for j in 0..4 {
                        d[j] = S::load(line.add(j * pitch));
                    }
                    half[i] = a::<S>(d);
                }
                for j in 0..6 {
                    let mut d = [S::splat(0.0); 4];
                    for i in 0..4 {
                        d[i] = half[i][j];
                    }
                    let v = a::<S>(d);
                    for i in 0..6 {
                        S::store(to.add((i * 6 + j) * step + c), v[i]);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// A dy A' of a row of tiles; `step`: from element to element.
    pub fn gradient = gradient_body(from: *const f32, row: usize, pitch: usize, across: usize, to: *mut f32, step: usize)
}

#[inline(always)]
unsafe fn weight_gradient_body<S: Simd>(from: *const f32, to: *mut f32) {
    // SAFETY: the caller vouches for 36 vectors in and 9 out, 16 numbers apart.
    unsafe {
        let mut half = [[S::splat(0.0); 3]; 6];
        for i in 0..6 {
            let mut u = [S::splat(0.0); 6];
            for j in 0..6 {
                u[j] = S::load(from.add((i * 6 + j) * 16));
            }
            half[i] = gt::<S>(u);
        }
        for j in 0..3 {
            let mut u = [S::splat(0.0); 6];
            for i in 0..6 {
                u[i] = half[i][j];
            }
            let w = gt::<S>(u);
            for i in 0..3 {
                S::store(to.add((i * 3 + j) * 16), w[i]);
            }
        }
    }
}

by_level! {
    /// G' u G of a vector of transformed gradients.
    pub fn weight_gradient = weight_gradient_body(from: *const f32, to: *mut f32)
}
