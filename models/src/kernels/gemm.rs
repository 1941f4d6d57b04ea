//! The one matrix kernel under every pass: a tile of sums kept in registers.

#[cfg(target_arch = "aarch64")]
mod half;

use std::ops::{Deref, Range};

use super::buffer::Buffer;
use super::fetch;
use super::simd::{Level, Simd};

/// Numbers of a cache line.
const LINE: usize = 16;

/// What is multiplied: f32, or on CPUs that compute in it half precision, as u16. Sums are f32 in memory.
pub trait Number: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// Weights that are kept.
    type Kept: Deref<Target = [Self]> + Send + Sync + std::fmt::Debug;
    /// Terms come in multiples of it.
    const STEP: usize;
    /// Most terms that one tile sums.
    const MOST: usize;

    /// Packed weights as these numbers.
    fn keep(weights: Buffer) -> Self::Kept;

    /// Panels for `columns` columns of output.
    fn panels(level: Level, columns: usize) -> Panels;

    /// Kernels for panels of `vectors` vectors, the most rows first.
    fn family(level: Level, vectors: usize) -> Family<Self>;

    /// Writes a vector to where the kernels read it as numbers that are broadcast.
    ///
    /// # Safety
    /// As [`Simd::store`].
    unsafe fn put<S: Simd>(p: *mut Self, v: S::V);

    /// Numbers of scratch memory that [`Number::framed`] needs for an image.
    fn room(numbers: usize) -> usize;

    /// An image of f32 as numbers that are broadcast: where its first would lie; only the `read` ones are there.
    ///
    /// # Safety
    /// These numbers of the image must be readable, and the scratch memory must have the room.
    unsafe fn framed(image: *const f32, read: Range<usize>, scratch: &mut Buffer) -> *const Self;
}

impl Number for f32 {
    type Kept = Buffer;
    const STEP: usize = 1;
    const MOST: usize = usize::MAX;

    fn keep(weights: Buffer) -> Buffer {
        weights
    }

    fn panels(level: Level, columns: usize) -> Panels {
        Panels::new(level, columns)
    }

    fn family(level: Level, vectors: usize) -> Family {
        family(level, vectors)
    }

    #[inline(always)]
    unsafe fn put<S: Simd>(p: *mut f32, v: S::V) {
        // SAFETY: the caller's promise, handed on.
        unsafe { S::store(p, v) }
    }

    fn room(_: usize) -> usize {
        0
    }

    unsafe fn framed(image: *const f32, _: Range<usize>, _: &mut Buffer) -> *const f32 {
        image
    }
}

/// Operands of a tile: `c[i][v] (+)= sum over segments and k of a[segment + i * a_row + k * a_k] * b[segment + k * b_k + v]`.
///
/// Offsets and steps are in numbers. `v` runs over whole vectors of `b`; of the last vector only `tail` lanes reach `c`.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a, T = f32> {
    /// Numbers that are broadcast.
    pub a: *const T,
    /// Step of `a` from row to row.
    pub a_row: usize,
    /// Step of `a` from term to term.
    pub a_k: usize,
    /// Vectors.
    pub b: *const T,
    /// Step of `b` from term to term.
    pub b_k: usize,
    /// Sums.
    pub c: *mut f32,
    /// Step of `c` from row to row.
    pub c_row: usize,
    /// Terms in a segment.
    pub k: usize,
    /// Start of each segment in `a` and `b`.
    pub segments: &'a [(usize, usize)],
    /// Lanes of the last vector that are stored, 1 to all.
    pub tail: usize,
    /// Whether `c` is added to or overwritten.
    pub add: bool,
}

/// A tile of a given size and level.
///
/// # Safety
/// The CPU must have the level, and every offset that the operands name must lie inside their allocations.
type Kernel<T> = unsafe fn(&Tile<'_, T>);

/// Adds one term's products: lane `LANE` of each row's `x` with the vectors at `b`.
///
/// # Safety
/// The CPU must have the level, and `NV` vectors must lie at `b`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
unsafe fn add_lane<S: Simd, const MR: usize, const NV: usize, const LANE: i32>(
    sums: &mut [[S::V; NV]; MR],
    x: &[S::V; MR],
    b: *const f32,
) {
    for v in 0..NV {
        // SAFETY: the caller's promise, handed on.
        unsafe {
            let b = S::load(b.add(v * S::LANES));
            for i in 0..MR {
                sums[i][v] = S::fma_lane::<LANE>(x[i], b, sums[i][v]);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "indices of the formula; loops of known length are unrolled")]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(t: &Tile<'_>) {
    // SAFETY: the caller vouches for every offset named by the operands.
    unsafe {
        let mut sums = [[S::splat(0.0); NV]; MR];
        for &(a, b) in t.segments {
            let mut a = t.a.add(a);
            let mut b = t.b.add(b);
            let mut left = t.k;
            if MR * NV + MR < S::BY_LANE && t.a_k == 1 {
                for _ in 0..t.k / 4 {
                    let mut x = [S::splat(0.0); MR];
                    for i in 0..MR {
                        x[i] = S::load(a.wrapping_add(i.wrapping_mul(t.a_row)));
                    }
                    add_lane::<S, MR, NV, 0>(&mut sums, &x, b);
                    add_lane::<S, MR, NV, 1>(&mut sums, &x, b.wrapping_add(t.b_k));
                    add_lane::<S, MR, NV, 2>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(2)));
                    add_lane::<S, MR, NV, 3>(&mut sums, &x, b.wrapping_add(t.b_k.wrapping_mul(3)));
                    a = a.wrapping_add(4);
                    b = b.wrapping_add(t.b_k.wrapping_mul(4));
                }
                left = t.k % 4;
            }
            for _ in 0..left {
                let mut vectors = [S::splat(0.0); NV];
                for v in 0..NV {
                    vectors[v] = S::load(b.add(v * S::LANES));
                    if (v * S::LANES).is_multiple_of(LINE) {
                        fetch::ahead(b.wrapping_add(v * S::LANES));
                    }
                }
                for i in 0..MR {
                    let x = S::splat(*a.wrapping_add(i.wrapping_mul(t.a_row)));
                    for v in 0..NV {
                        sums[i][v] = S::fma(x, vectors[v], sums[i][v]);
                    }
                }
                a = a.wrapping_add(t.a_k);
                b = b.wrapping_add(t.b_k);
            }
        }
        for i in 0..MR {
            let c = t.c.add(i * t.c_row);
            for v in 0..NV - 1 {
                let c = c.add(v * S::LANES);
                S::store(c, if t.add { S::add(S::load(c), sums[i][v]) } else { sums[i][v] });
            }
            let c = c.add((NV - 1) * S::LANES);
            let sum = sums[i][NV - 1];
            if t.tail == S::LANES {
                S::store(c, if t.add { S::add(S::load(c), sum) } else { sum });
            } else {
                S::store_n(c, if t.add { S::add(S::load_n(c, t.tail), sum) } else { sum }, t.tail);
            }
        }
    }
}

/// Kernels by rows, the most rows first, for one count of vectors.
pub type Family<T = f32> = &'static [(usize, Kernel<T>)];

macro_rules! family {
    ($simd:ty, $features:literal, $nv:literal: $($mr:literal)+) => {{
        const FAMILY: Family = &[$(({
            $mr
        }, {
            #[target_feature(enable = $features)]
            unsafe fn kernel(t: &Tile<'_>) {
                // SAFETY: the caller's promise, handed on.
                unsafe { tile::<$simd, $mr, $nv>(t) }
            }
            kernel
        })),+];
        FAMILY
    }};
    ($simd:ty, $nv:literal: $($mr:literal)+) => {{
        const FAMILY: Family = &[$(($mr, tile::<$simd, $mr, $nv>)),+];
        FAMILY
    }};
}

/// Kernels for panels of `vectors` vectors.
fn family(level: Level, vectors: usize) -> Family {
    #[cfg(target_arch = "aarch64")]
    use super::simd::Neon;
    use super::simd::Portable;
    #[cfg(target_arch = "x86_64")]
    use super::simd::{Avx2, Avx512};
    match (level, vectors) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512(_), 4) => {
            family!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c", 4: 6 4 3 2 1)
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512(_), 3) => {
            family!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c", 3: 8 6 4 2 1)
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512(_), 2) => {
            family!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c", 2: 12 6 4 2 1)
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512(_), _) => {
            family!(Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c", 1: 12 6 4 2 1)
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2(_), 2) => family!(Avx2, "avx2,fma,f16c", 2: 6 4 3 2 1),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2(_), _) => family!(Avx2, "avx2,fma,f16c", 1: 12 6 4 2 1),
        #[cfg(target_arch = "aarch64")]
        (Level::Neon(_) | Level::NeonHalf(_), 4) => family!(Neon, "neon", 4: 6 4 3 2 1),
        #[cfg(target_arch = "aarch64")]
        (Level::Neon(_) | Level::NeonHalf(_), 3) => family!(Neon, "neon", 3: 8 6 4 2 1),
        #[cfg(target_arch = "aarch64")]
        (Level::Neon(_) | Level::NeonHalf(_), 2) => family!(Neon, "neon", 2: 12 6 4 2 1),
        #[cfg(target_arch = "aarch64")]
        (Level::Neon(_) | Level::NeonHalf(_), _) => family!(Neon, "neon", 1: 12 6 4 2 1),
        (Level::Portable, 2) => family!(Portable, 2: 6 4 3 2 1),
        (Level::Portable, _) => family!(Portable, 1: 6 4 3 2 1),
    }
}

/// A matrix product cut into panels and tiles.
#[derive(Clone, Copy, Debug)]
pub struct Panels {
    level: Level,
    /// Numbers of a vector, and vectors of the widest panel.
    lanes: usize,
    widest: usize,
    columns: usize,
}

/// One panel: where it starts and how wide it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panel {
    /// First column.
    pub column: usize,
    /// Vectors.
    pub vectors: usize,
    /// Columns, the last vector's absent lanes left out.
    pub columns: usize,
    /// Lanes of the last vector in use.
    pub tail: usize,
}

impl Panels {
    /// Panels for `columns` columns of output.
    pub fn new(level: Level, columns: usize) -> Self {
        Self { level, lanes: level.lanes(), widest: level.panel_vectors(), columns }
    }

    /// Columns with the last vector filled up.
    pub fn padded(&self) -> usize {
        self.columns.next_multiple_of(self.lanes)
    }

    /// The panels from left to right. Panel `p` of packed weights with `k` terms starts at `p.column * k`.
    pub fn iter(self) -> impl Iterator<Item = Panel> {
        let lanes = self.lanes;
        let widest = self.widest * lanes;
        (0..self.columns).step_by(widest).map(move |column| {
            let columns = widest.min(self.columns - column);
            let vectors = columns.div_ceil(lanes);
            Panel { column, vectors, columns, tail: columns - (vectors - 1) * lanes }
        })
    }

    /// Width of a panel's row in packed weights.
    pub fn width(&self, panel: Panel) -> usize {
        panel.vectors * self.lanes
    }

    /// The panel with every lane of its last vector stored.
    pub fn whole(&self, panel: Panel) -> Panel {
        Panel { tail: self.lanes, ..panel }
    }

    /// Runs `t` for `rows` rows of one panel.
    ///
    /// # Safety
    /// Every offset named by `t` and `rows` must lie inside the operands; nobody else may touch the rows of `c`.
    pub unsafe fn run<T: Number>(&self, panel: Panel, mut t: Tile<'_, T>, mut rows: usize) {
        let family = T::family(self.level, panel.vectors);
        t.tail = panel.tail;
        for &(height, kernel) in family {
            while rows >= height {
                // SAFETY: the caller vouches for the offsets, the level for the CPU.
                unsafe { kernel(&t) };
                rows -= height;
                t.a = t.a.wrapping_add(height * t.a_row);
                t.c = t.c.wrapping_add(height * t.c_row);
            }
        }
    }
}

/// Copies runs of `width` numbers, `k` of them `b_k` apart from each start on, one after the other. A panel of a wide
/// matrix lies at steps of a power of two, which share a few sets of the first-level cache; a copy of it stays there.
///
/// # Safety
/// Every number named must be readable.
pub unsafe fn gather(
    b: *const f32,
    starts: impl Iterator<Item = usize>,
    k: usize,
    b_k: usize,
    width: usize,
    out: &mut Buffer,
) {
    let mut at = 0;
    for start in starts {
        for i in 0..k {
            // SAFETY: the caller vouches for the numbers.
            let run = unsafe { std::slice::from_raw_parts(b.add(start + i * b_k), width) };
            out[at..at + width].copy_from_slice(run);
            at += width;
        }
    }
}
