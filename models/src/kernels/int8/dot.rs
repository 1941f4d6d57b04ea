//! Sums of products of u8 and int8, four terms at a time.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod avx;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::kernels::simd::{Level, Simd};

/// Runs the tile of the most pixels that there are, of those listed, and returns how many.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_macro_rules, reason = "only AVX-512 tiles have several widths")
)]
macro_rules! widest {
    ($left:ident: $($mr:literal)+, $tile:ident, $nv:literal, $arguments:tt) => {{
        $(if $left >= $mr {
            // SAFETY: the caller's promise, handed on.
            unsafe { $tile::<$mr, $nv> $arguments };
            return $mr;
        })+
        0
    }};
    ($left:ident: $($mr:literal)+, $tile:ident $arguments:tt) => {{
        $(if $left >= $mr {
            // SAFETY: the caller's promise, handed on.
            unsafe { $tile::<$mr> $arguments };
            return $mr;
        })+
        0
    }};
}
use widest;

/// What the CPU has for such sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Plain Rust, which compilers turn into the level's own vectors.
    Plain(Level),
    /// Products of pairs of i16 ([`Level::Avx2`]).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-VNNI: four terms a lane, eight lanes.
    #[cfg(target_arch = "x86_64")]
    Vnni256,
    /// AVX-512 VNNI: four terms a lane, sixteen lanes.
    #[cfg(target_arch = "x86_64")]
    Vnni512,
    /// NEON: products of i8 in i16, two of which fit where no weight is -128.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// The dot product instructions of ARMv8.2: four terms a lane.
    #[cfg(target_arch = "aarch64")]
    Dot,
}

impl Unit {
    /// Those that this CPU and the level have for these weights, the best last.
    fn available(level: Level, weights: &[i8]) -> Vec<Self> {
        let mut units = vec![Self::Plain(level)];
        #[cfg(target_arch = "x86_64")]
        if matches!(level, Level::Avx2(_) | Level::Avx512(_)) {
            units.push(Self::Avx2);
            if is_x86_feature_detected!("avxvnni") {
                units.push(Self::Vnni256);
            }
            if matches!(level, Level::Avx512(_)) && is_x86_feature_detected!("avx512vnni") {
                units.push(Self::Vnni512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if matches!(level, Level::Neon(_) | Level::NeonHalf(_)) {
            if !weights.contains(&i8::MIN) {
                units.push(Self::Neon);
            }
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                units.push(Self::Dot);
            }
        }
        #[cfg(not(target_arch = "aarch64"))]
        let _ = weights;
        units
    }

    /// What is taken from each byte before the product: these instructions want both factors signed.
    fn offset(self) -> u8 {
        match self {
            #[cfg(target_arch = "aarch64")]
            Self::Neon | Self::Dot => 128,
            _ => 0,
        }
    }
}

/// Outputs of one vector.
const LANES: usize = 16;
/// Terms that one step sums; pixels are a multiple of it apart.
pub const TERMS: usize = 4;
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
        let best = Unit::available(level, weights).pop().unwrap_or(Unit::Plain(level));
        Self::by(best, outputs, [rows, columns], inputs, pitch, weights)
    }

    fn by(
        unit: Unit,
        outputs: usize,
        [rows, columns]: [usize; 2],
        inputs: usize,
        pitch: usize,
        weights: &[i8],
    ) -> Self {
        assert!(pitch.is_multiple_of(TERMS) && pitch >= inputs, "pixels of whole groups");
        assert_eq!(weights.len(), outputs * inputs * rows * columns, "weights of another shape");
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

    /// What is taken from each byte before its product with a weight.
    pub fn offset(&self) -> u8 {
        self.unit.offset()
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

    /// Panels of up to 64 outputs.
    pub fn panels(&self) -> usize {
        self.padded().div_ceil(self.panel())
    }

    /// Sums the outputs of one panel for the pixels of `walk`, [`Dots::offset`] taken from every byte, into `sums`,
    /// `[pixel][output filled up]`.
    ///
    /// # Safety
    /// Every byte under a tap must be readable, and `sums` must have room and be the caller's alone.
    pub unsafe fn run(&self, panel: usize, walk: &Walk, sums: *mut i32) {
        let (padded, panel) = (self.padded(), panel * self.panel());
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
            // SAFETY: the caller vouches for the pixels and the sums; the panel holds `vectors` vectors of rows x groups
            // groups; the unit is one that was found on this CPU.
            done += unsafe { self.unit.tile(&tile, vectors, left) };
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
                Self::Avx2 => avx::run_pairs(tile, vectors, left),
                #[cfg(target_arch = "x86_64")]
                Self::Vnni256 => avx::run_vnni(tile, vectors, left),
                #[cfg(target_arch = "x86_64")]
                Self::Vnni512 => vnni::run(tile, vectors, left),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => arm::run_neon(tile, vectors, left),
                #[cfg(target_arch = "aarch64")]
                Self::Dot => arm::run_dot(tile, vectors, left),
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
