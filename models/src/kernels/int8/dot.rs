//! Sums of products of u8 and int8, four terms at a time.

use crate::kernels::simd::{Level, Simd};

/// What the CPU has for such sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Plain Rust, which compilers turn into the level's own vectors.
    Plain(Level),
    /// AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Unit {
    fn of(level: Level) -> Self {
        #[cfg(target_arch = "x86_64")]
        if level == Level::Avx512 && is_x86_feature_detected!("avx512vnni") {
            return Self::Vnni;
        }
        Self::Plain(level)
    }
}

/// Outputs of one vector.
const LANES: usize = 16;
/// Terms that one step sums.
const TERMS: usize = 4;
/// Vectors of outputs of a tile.
const VECTORS: usize = 4;

/// The weights of a layer: `[panel of up to 64 outputs][row tap][group of four terms][output][term]`.
#[derive(Debug)]
pub struct Dots {
    unit: Unit,
    outputs: usize,
    weights: Vec<i8>,
    /// Row taps.
    rows: usize,
    /// Groups of four terms of one row tap.
    groups: usize,
}

/// Which pixels are summed.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Under the first tap of the first pixel.
    pub a: *const u8,
    /// From one row tap to the next.
    pub tap: usize,
    /// From one pixel to the next.
    pub pixel: usize,
    /// Pixels.
    pub count: usize,
}

impl Dots {
    /// Packs `[outputs, inputs, rows, columns]` for pixels of `pitch` bytes, a multiple of four.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn new(
        level: Level,
        outputs: usize,
        [rows, columns]: [usize; 2],
        inputs: usize,
        pitch: usize,
        weights: &[i8],
    ) -> Self {
        assert!(pitch.is_multiple_of(TERMS) && pitch >= inputs, "pixels of whole groups");
        assert_eq!(weights.len(), outputs * inputs * rows * columns, "weights of another shape");
        let unit = Unit::of(level);
        let groups = columns * pitch / TERMS;
        let mut all = Self { unit, outputs, weights: Vec::new(), rows, groups };
        all.weights = vec![0; all.padded() * rows * groups * TERMS];
        for o in 0..outputs {
            let panel = o / all.panel() * all.panel();
            let width = all.panel().min(all.padded() - panel);
            for y in 0..rows {
                for x in 0..columns {
                    for i in 0..inputs {
                        let term = x * pitch + i;
                        let group = y * groups + term / TERMS;
                        let at = panel * rows * groups * TERMS
                            + (group * width + o - panel) * TERMS
                            + term % TERMS;
                        all.weights[at] = weights[((o * inputs + i) * rows + y) * columns + x];
                    }
                }
            }
        }
        all
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        self.weights.len()
    }

    /// Outputs with the last vector filled up.
    pub fn padded(&self) -> usize {
        self.outputs.next_multiple_of(LANES)
    }

    /// Outputs of a whole panel.
    fn panel(&self) -> usize {
        VECTORS * LANES
    }

    /// Sums every output of the pixels of `walk` into `sums`, `[pixel][output filled up]`.
    ///
    /// # Safety
    /// Every byte under a tap must be readable, and `sums` must have room and be the caller's alone.
    pub unsafe fn run(&self, walk: &Walk, sums: *mut i32) {
        let padded = self.padded();
        for panel in (0..padded).step_by(self.panel()) {
            let vectors = (padded - panel).min(self.panel()) / LANES;
            let weights = &self.weights[panel * self.rows * self.groups * TERMS..];
            let mut done = 0;
            while done < walk.count {
                let tile = Tile {
                    a: walk.a.wrapping_add(done * walk.pixel),
                    tap: walk.tap,
                    pixel: walk.pixel,
                    weights: weights.as_ptr(),
                    rows: self.rows,
                    groups: self.groups,
                    sums: sums.wrapping_add(done * padded + panel),
                    padded,
                };
                let left = walk.count - done;
                // SAFETY: the caller vouches for the pixels and the sums; the panel holds `vectors` vectors of
                // rows x groups groups; the unit is one that was found on this CPU.
                done += unsafe { self.unit.tile(&tile, vectors, left) };
            }
        }
    }
}

/// Operands of one tile.
#[derive(Clone, Copy)]
struct Tile {
    a: *const u8,
    tap: usize,
    pixel: usize,
    weights: *const i8,
    rows: usize,
    groups: usize,
    sums: *mut i32,
    padded: usize,
}

impl Unit {
    /// Sums up to `left` pixels of `vectors` vectors of outputs, and says how many it did.
    ///
    /// # Safety
    /// As [`Dots::run`].
    unsafe fn tile(self, tile: &Tile, vectors: usize, left: usize) -> usize {
        // SAFETY: the caller's promise, handed on.
        unsafe {
            match self {
                Self::Plain(level) => {
                    plain(level, tile, vectors);
                    1
                }
                #[cfg(target_arch = "x86_64")]
                Self::Vnni => vnni::run(tile, vectors, left),
            }
        }
    }
}

#[allow(clippy::extra_unused_type_parameters, reason = "names the level")]
#[inline(always)]
unsafe fn plain_body<S: Simd>(t: &Tile, vectors: usize) {
    for v in 0..vectors {
        let mut sums = [0i32; LANES];
        for row in 0..t.rows {
            for group in 0..t.groups {
                // SAFETY: the caller vouches for the bytes under the taps and for the weights of the panel.
                let (a, w) = unsafe {
                    let a = t.a.wrapping_add(row * t.tap + group * TERMS);
                    let w = ((row * t.groups + group) * vectors + v) * LANES * TERMS;
                    (a.cast::<[u8; TERMS]>().read(), t.weights.add(w).cast::<[[i8; TERMS]; LANES]>().read())
                };
                for (sum, w) in sums.iter_mut().zip(w) {
                    let mut part = 0i32;
                    for k in 0..TERMS {
                        part += i32::from(a[k]) * i32::from(w[k]);
                    }
                    *sum = sum.wrapping_add(part);
                }
            }
        }
        // SAFETY: the caller vouches for a pixel's sums.
        unsafe { t.sums.add(v * LANES).cast::<[i32; LANES]>().write_unaligned(sums) };
    }
}

crate::by_level! {
    /// One pixel.
    fn plain = plain_body(t: &Tile, vectors: usize)
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use super::{LANES, TERMS, Tile};
    use std::arch::x86_64::*;

    /// # Safety
    /// As [`super::Unit::tile`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    #[allow(clippy::needless_range_loop, reason = "loops of known length are unrolled")]
    unsafe fn tile<const MR: usize, const NV: usize>(t: &Tile) {
        // SAFETY: the caller vouches for every byte under the taps, for the weights and for the sums.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); NV]; MR];
            let mut w = t.weights;
            for row in 0..t.rows {
                let mut a = t.a.wrapping_add(row.wrapping_mul(t.tap));
                for _ in 0..t.groups {
                    let mut vectors = [_mm512_setzero_si512(); NV];
                    for v in 0..NV {
                        vectors[v] = _mm512_loadu_si512(w.add(v * LANES * TERMS).cast());
                    }
                    for i in 0..MR {
                        let x = a.wrapping_add(i.wrapping_mul(t.pixel)).cast::<i32>().read_unaligned();
                        let x = _mm512_set1_epi32(x);
                        for v in 0..NV {
                            sums[i][v] = _mm512_dpbusd_epi32(sums[i][v], x, vectors[v]);
                        }
                    }
                    a = a.wrapping_add(TERMS);
                    w = w.add(NV * LANES * TERMS);
                }
            }
            for i in 0..MR {
                for v in 0..NV {
                    let to = t.sums.wrapping_add(i.wrapping_mul(t.padded)).add(v * LANES);
                    _mm512_storeu_si512(to.cast(), sums[i][v]);
                }
            }
        }
    }

    /// As many pixels as a tile has, and no more than `left`.
    ///
    /// # Safety
    /// As [`super::Unit::tile`].
    pub unsafe fn run(t: &Tile, vectors: usize, left: usize) -> usize {
        macro_rules! sizes {
            ($nv:literal: $($mr:literal)+) => {{
                $(if left >= $mr {
                    // SAFETY: the caller's promise, handed on.
                    unsafe { tile::<$mr, $nv>(t) };
                    return $mr;
                })+
                0
            }};
        }
        match vectors {
            4 => sizes!(4: 6 4 3 2 1),
            3 => sizes!(3: 8 4 2 1),
            2 => sizes!(2: 12 6 4 2 1),
            _ => sizes!(1: 12 6 4 2 1),
        }
    }
}
