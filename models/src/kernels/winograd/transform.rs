//! The transforms of F(4,3) and F(2,3) on vectors of channels.

#![allow(clippy::too_many_arguments, reason = "a kernel's operands")]
#![allow(clippy::needless_range_loop, reason = "indices of the formulas; loops of known length are unrolled")]

use crate::by_level;
use crate::kernels::activate::{Finishing, Target};
use crate::kernels::frame::Plane;
use crate::kernels::gemm::Number;
use crate::kernels::simd::Simd;
use crate::kernels::winograd::Form;

/// One of the two ways; arrays are as long as the larger one needs, and the smaller leaves the rest as it is.
trait Formula {
    /// Outputs along a tile's side.
    const OUT: usize;
    /// Inputs, and elements, along a tile's side.
    const IN: usize = Self::OUT + 2;
    /// B' d.
    ///
    /// # Safety
    /// As [`Simd`].
    unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6];
    /// A' m.
    ///
    /// # Safety
    /// As [`Simd`].
    unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4];
    /// G g.
    ///
    /// # Safety
    /// As [`Simd`].
    unsafe fn g<S: Simd>(w: [S::V; 3]) -> [S::V; 6];
}

/// F(4x4, 3x3).
struct F4;

impl Formula for F4 {
    const OUT: usize = 4;

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
}

/// F(2x2, 3x3).
struct F2;

impl Formula for F2 {
    const OUT: usize = 2;

    #[inline(always)]
    unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
        // SAFETY: arithmetic on a CPU that the caller vouches for.
        unsafe {
            [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3]), d[4], d[5]]
        }
    }

    #[inline(always)]
    unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
        // SAFETY: arithmetic on a CPU that the caller vouches for.
        unsafe { [S::add(m[0], S::add(m[1], m[2])), S::sub(m[1], S::add(m[2], m[3])), m[2], m[3]] }
    }

    #[inline(always)]
    unsafe fn g<S: Simd>(w: [S::V; 3]) -> [S::V; 6] {
        // SAFETY: arithmetic on a CPU that the caller vouches for.
        unsafe {
            let outer = S::mul(S::splat(0.5), S::add(w[0], w[2]));
            let middle = S::mul(S::splat(0.5), w[1]);
            [w[0], S::add(outer, middle), S::sub(outer, middle), w[2], w[2], w[2]]
        }
    }
}

#[inline(always)]
unsafe fn input_of<S: Simd, F: Formula, T: Number>(
    from: *const f32,
    row: usize,
    pitch: usize,
    across: usize,
    to: *mut T,
    step: usize,
) {
    // SAFETY: the caller vouches for IN rows of OUT across + 2 pixels behind `from` and IN x IN x across tiles behind
    // `to`.
    unsafe {
        for tile in 0..across {
            let from = from.add(tile * F::OUT * pitch);
            let to = to.add(tile * pitch);
            let mut c = 0;
            while c < pitch {
                let mut half = [[S::splat(0.0); 6]; 6];
                for i in 0..F::IN {
                    let line = from.add(i * row + c);
                    let mut d = [S::splat(0.0); 6];
                    for j in 0..F::IN {
                        d[j] = S::load(line.add(j * pitch));
                    }
                    half[i] = F::bt::<S>(d);
                }
                for j in 0..F::IN {
                    let mut d = [S::splat(0.0); 6];
                    for i in 0..F::IN {
                        d[i] = half[i][j];
                    }
                    let v = F::bt::<S>(d);
                    for i in 0..F::IN {
                        T::put::<S>(to.add((i * F::IN + j) * step + c), v[i]);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

#[inline(always)]
unsafe fn input_body<S: Simd, T: Number>(
    form: Form,
    from: *const f32,
    row: usize,
    pitch: usize,
    across: usize,
    to: *mut T,
    step: usize,
) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match form {
            Form::F4 => input_of::<S, F4, T>(from, row, pitch, across, to, step),
            Form::F2 => input_of::<S, F2, T>(from, row, pitch, across, to, step),
        }
    }
}

by_level! {
    /// B' d B of a row of tiles; `step`: from element to element.
    pub fn input<T: Number> = input_body(
        form: Form, from: *const f32, row: usize, pitch: usize, across: usize, to: *mut T, step: usize,
    )
}

#[inline(always)]
unsafe fn output_of<S: Simd, F: Formula>(
    from: *const f32,
    step: usize,
    pitch: usize,
    target: &Target,
    rows: Plane,
) {
    // SAFETY: the caller vouches for the tiles of a row behind `from` and for `rows` behind the target.
    unsafe {
        for tile in 0..rows.width.div_ceil(F::OUT) {
            let from = from.add(tile * pitch);
            let columns = (rows.width - tile * F::OUT).min(F::OUT);
            let mut c = 0;
            while c < rows.channels {
                let lanes = S::LANES.min(rows.channels - c);
                let finish = Finishing::<S>::new(&target.finish, c, lanes);
                let mut half = [[S::splat(0.0); 4]; 6];
                for i in 0..F::IN {
                    let mut m = [S::splat(0.0); 6];
                    for j in 0..F::IN {
                        m[j] = S::load(from.add((i * F::IN + j) * step + c));
                    }
                    half[i] = F::at::<S>(m);
                }
                for j in 0..F::OUT {
                    if j == columns {
                        break;
                    }
                    let mut m = [S::splat(0.0); 6];
                    for i in 0..F::IN {
                        m[i] = half[i][j];
                    }
                    let y = F::at::<S>(m);
                    for i in 0..F::OUT {
                        if i == rows.height {
                            break;
                        }
                        finish.store(target, i, tile * F::OUT + j, y[i]);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

#[inline(always)]
unsafe fn output_body<S: Simd>(
    form: Form,
    from: *const f32,
    step: usize,
    pitch: usize,
    target: &Target,
    rows: Plane,
) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match form {
            Form::F4 => output_of::<S, F4>(from, step, pitch, target, rows),
            Form::F2 => output_of::<S, F2>(from, step, pitch, target, rows),
        }
    }
}

by_level! {
    /// A' m A of a row of tiles, finished, into the rows of an image behind `target`, at most as many as a tile has.
    pub fn output = output_body(
        form: Form, from: *const f32, step: usize, pitch: usize, target: &Target, rows: Plane,
    )
}

#[inline(always)]
unsafe fn weights_of<S: Simd, F: Formula>(taps: *const f32, to: *mut f32, step: usize) {
    // SAFETY: the caller vouches for 9 vectors, 16 numbers apart, and for one vector at each of IN x IN steps.
    unsafe {
        let mut half = [[S::splat(0.0); 6]; 3];
        for i in 0..3 {
            let mut w = [S::splat(0.0); 3];
            for j in 0..3 {
                w[j] = S::load(taps.add((i * 3 + j) * 16));
            }
            half[i] = F::g::<S>(w);
        }
        for j in 0..F::IN {
            let u = F::g::<S>([half[0][j], half[1][j], half[2][j]]);
            for i in 0..F::IN {
                S::store(to.add((i * F::IN + j) * step), u[i]);
            }
        }
    }
}

#[inline(always)]
unsafe fn weights_body<S: Simd>(form: Form, taps: *const f32, to: *mut f32, step: usize) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match form {
            Form::F4 => weights_of::<S, F4>(taps, to, step),
            Form::F2 => weights_of::<S, F2>(taps, to, step),
        }
    }
}

by_level! {
    /// G g G' of a vector of kernels.
    pub fn weights = weights_body(form: Form, taps: *const f32, to: *mut f32, step: usize)
}
