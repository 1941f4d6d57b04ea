//! The transforms of F(4,3) on vectors of channels.

#![allow(clippy::too_many_arguments, reason = "a kernel's operands")]
#![allow(clippy::needless_range_loop, reason = "indices of the formulas; loops of known length are unrolled")]

use crate::by_level;
use crate::kernels::activate::{Finishing, Target};
use crate::kernels::frame::Plane;
use crate::kernels::simd::Simd;

/// B' d.
#[inline(always)]
unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: arithmetic on a CPU that the caller vouches for.
    unsafe {
        let (four, minus4, minus5, two) = (S::splat(4.0), S::splat(-4.0), S::splat(-5.0), S::splat(2.0));
        let a = S::fma(minus4, d[2], d[4]);
        let b = S::fma(minus4, d[1], d[3]);
        let e = S::sub(d[4], d[2]);
        let f = S::mul(two, S::sub(d[3], d[1]));
        [
            S::fma(four, d[0], S::fma(minus5, d[2], d[4])),
            S::add(a, b),
            S::sub(a, b),
            S::add(e, f),
            S::sub(e, f),
            S::fma(four, d[1], S::fma(minus5, d[3], d[5])),
        ]
    }
}

/// A' m.
#[inline(always)]
unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: arithmetic on a CPU that the caller vouches for.
    unsafe {
        let p = S::add(m[1], m[2]);
        let q = S::sub(m[1], m[2]);
        let r = S::add(m[3], m[4]);
        let t = S::sub(m[3], m[4]);
        [
            S::add(m[0], S::add(p, r)),
            S::fma(S::splat(2.0), t, q),
            S::fma(S::splat(4.0), r, p),
            S::add(S::fma(S::splat(8.0), t, q), m[5]),
        ]
    }
}

/// G g.
#[inline(always)]
unsafe fn g<S: Simd>(w: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: arithmetic on a CPU that the caller vouches for.
    unsafe {
        let outer = S::mul(S::splat(-1.0 / 6.0), S::add(w[0], w[2]));
        let middle = S::mul(S::splat(1.0 / 6.0), w[1]);
        let far = S::fma(S::splat(1.0 / 24.0), w[0], S::mul(S::splat(1.0 / 6.0), w[2]));
        let half = S::mul(S::splat(1.0 / 12.0), w[1]);
        [
            S::mul(S::splat(0.25), w[0]),
            S::sub(outer, middle),
            S::add(outer, middle),
            S::add(far, half),
            S::sub(far, half),
            w[2],
        ]
    }
}

#[inline(always)]
unsafe fn input_body<S: Simd>(
    from: *const f32,
    row: usize,
    pitch: usize,
    across: usize,
    to: *mut f32,
    step: usize,
) {
    // SAFETY: the caller vouches for 6 rows of 4 across + 2 pixels behind `from` and 36 x across tiles behind `to`.
    unsafe {
        for tile in 0..across {
            let from = from.add(tile * 4 * pitch);
            let to = to.add(tile * pitch);
            let mut c = 0;
            while c < pitch {
                let mut half = [[S::splat(0.0); 6]; 6];
                for i in 0..6 {
                    let line = from.add(i * row + c);
                    let mut d = [S::splat(0.0); 6];
                    for j in 0..6 {
                        d[j] = S::load(line.add(j * pitch));
                    }
                    half[i] = bt::<S>(d);
                }
                for j in 0..6 {
                    let mut d = [S::splat(0.0); 6];
                    for i in 0..6 {
                        d[i] = half[i][j];
                    }
                    let v = bt::<S>(d);
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
    /// B' d B of a row of tiles; `step`: from element to element.
    pub fn input = input_body(from: *const f32, row: usize, pitch: usize, across: usize, to: *mut f32, step: usize)
}

#[inline(always)]
unsafe fn output_body<S: Simd>(from: *const f32, step: usize, pitch: usize, target: &Target, rows: Plane) {
    // SAFETY: the caller vouches for the tiles of a row behind `from` and for `rows` behind the target.
    unsafe {
        for tile in 0..rows.width.div_ceil(4) {
            let from = from.add(tile * pitch);
            let columns = (rows.width - tile * 4).min(4);
            let mut c = 0;
            while c < rows.channels {
                let lanes = S::LANES.min(rows.channels - c);
                let finish = Finishing::<S>::new(&target.finish, c, lanes);
                let mut half = [[S::splat(0.0); 4]; 6];
                for i in 0..6 {
                    let mut m = [S::splat(0.0); 6];
                    for j in 0..6 {
                        m[j] = S::load(from.add((i * 6 + j) * step + c));
                    }
                    half[i] = at::<S>(m);
                }
                for j in 0..4 {
                    if j == columns {
                        break;
                    }
                    let mut m = [S::splat(0.0); 6];
                    for i in 0..6 {
                        m[i] = half[i][j];
                    }
                    let y = at::<S>(m);
                    for i in 0..4 {
                        if i == rows.height {
                            break;
                        }
                        finish.store(target, i, tile * 4 + j, y[i]);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

by_level! {
    /// A' m A of a row of tiles, finished, into the one to four `rows` of an image behind `target`.
    pub fn output = output_body(from: *const f32, step: usize, pitch: usize, target: &Target, rows: Plane)
}

#[inline(always)]
unsafe fn weights_body<S: Simd>(taps: *const f32, to: *mut f32, step: usize) {
    // SAFETY: the caller vouches for 9 vectors, 16 numbers apart, and for one vector at each of 36 steps.
    unsafe {
        let mut half = [[S::splat(0.0); 6]; 3];
        for i in 0..3 {
            let mut w = [S::splat(0.0); 3];
            for j in 0..3 {
                w[j] = S::load(taps.add((i * 3 + j) * 16));
            }
            half[i] = g::<S>(w);
        }
        for j in 0..6 {
            let u = g::<S>([half[0][j], half[1][j], half[2][j]]);
            for i in 0..6 {
                S::store(to.add((i * 6 + j) * step), u[i]);
            }
        }
    }
}

by_level! {
    /// G g G' of a vector of kernels.
    pub fn weights = weights_body(taps: *const f32, to: *mut f32, step: usize)
}
