//! One vector of f32 on each kind of CPU, and the choice between them at run time.

use std::sync::OnceLock;

use half::f16;

/// That a level was found on this CPU: made here alone, so that no safe code can name one that the CPU has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(());

/// What the CPU can do, from the plainest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain Rust on groups of four, which compilers turn into SSE2 or what else there is.
    Portable,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Found),
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(Found),
    /// NEON, which every aarch64 has.
    #[cfg(target_arch = "aarch64")]
    Neon(Found),
    /// NEON, and convolutions multiply in half precision (ARMv8.2's FP16). Never chosen unasked: the numbers are others.
    #[cfg(target_arch = "aarch64")]
    NeonHalf(Found),
}

impl Level {
    /// The best level of this CPU, found once.
    pub fn detect() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| Self::available().last().copied().unwrap_or(Level::Portable))
    }

    /// The level at which convolutions multiply in half precision; `None` where the CPU does not compute in it.
    pub fn half() -> Option<Self> {
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("fp16") {
            return Some(Level::NeonHalf(Found(())));
        }
        None
    }

    /// Every level this CPU can run in f32, the plainest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "aarch64")]
        levels.push(Level::Neon(Found(())));
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                levels.push(Level::Avx2(Found(())));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    levels.push(Level::Avx512(Found(())));
                }
            }
        }
        levels
    }

    /// Lanes of one vector.
    pub fn lanes(self) -> usize {
        match self {
            Level::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => 16,
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) | Level::NeonHalf(_) => 4,
        }
    }

    /// Widest panel of the matrix kernel in vectors: what leaves registers for six rows of sums.
    pub fn panel_vectors(self) -> usize {
        match self {
            Level::Portable => 2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => 2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => 4,
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) | Level::NeonHalf(_) => 4,
        }
    }
}

/// The few operations the kernels need. Every function is inlined into one that has the CPU feature switched on.
///
/// # Safety
/// Implementors' functions may be called only on a CPU of their [`Level`]; pointers must be valid for the lanes read
/// or written. No alignment is asked.
#[allow(clippy::missing_safety_doc, reason = "the trait says it for all of them")]
pub unsafe trait Simd: Copy {
    /// One register.
    type V: Copy;
    /// Its lanes.
    const LANES: usize;
    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads `LANES` values.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Reads `LANES` numbers of half precision, which f32 holds exactly.
    unsafe fn load_half(p: *const u16) -> Self::V;
    /// Writes `LANES` numbers as half precision, rounded to the nearest.
    #[inline(always)]
    unsafe fn store_half(p: *mut u16, v: Self::V) {
        let mut all = [0.0; 16];
        // SAFETY: the caller's promise, handed on; no vector has more lanes than `all`.
        unsafe {
            Self::store(all.as_mut_ptr(), v);
            for (i, x) in all.iter().enumerate().take(Self::LANES) {
                *p.add(i) = f16::from_f32(*x).to_bits();
            }
        }
    }
    /// Reads the first `n <= LANES` values, the others are 0.
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V;
    /// Writes `LANES` values.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n <= LANES` values.
    unsafe fn store_n(p: *mut f32, v: Self::V, n: usize);
    /// `a * b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Registers, where there are four lanes and [`Simd::fma_lane`] is one instruction; else 0.
    const BY_LANE: usize = 0;
    /// `x[LANE] * b + c`.
    #[inline(always)]
    unsafe fn fma_lane<const LANE: i32>(x: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut all = [0.0; 16];
        // SAFETY: the caller's promise, handed on; no vector has more lanes than `all`.
        unsafe {
            Self::store(all.as_mut_ptr(), x);
            Self::fma(Self::splat(all[LANE as usize]), b, c)
        }
    }
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `min(v, 0)`.
    unsafe fn negative(v: Self::V) -> Self::V;
    /// `max(v, 0)`.
    unsafe fn positive(v: Self::V) -> Self::V;
    /// By lane: `yes` where `v < 0`, else `no`.
    unsafe fn if_negative(v: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// By lane: the greater of `a` and `b`; `b` where one is not a number.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The sum of all lanes.
    unsafe fn sum(v: Self::V) -> f32;
    /// By lane: the smaller of `a` and `b`; `b` where one is not a number.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// The nearest whole number, of two the even one; right up to a million.
    unsafe fn round(v: Self::V) -> Self::V;
    /// Reads `LANES` i32 at each of two places and gives their sum, which wraps, as f32.
    unsafe fn sum_i32(p: *const i32, q: *const i32) -> Self::V;
    /// Writes `LANES` bytes; every lane must be a whole number from 0 to 255.
    unsafe fn store_u8(p: *mut u8, v: Self::V);

    /// [`Simd::load`] where the vector is whole, else [`Simd::load_n`].
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller's promise, handed on.
        unsafe { if n == Self::LANES { Self::load(p) } else { Self::load_n(p, n) } }
    }

    /// [`Simd::store`] where the vector is whole, else [`Simd::store_n`].
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller's promise, handed on.
        unsafe { if n == Self::LANES { Self::store(p, v) } else { Self::store_n(p, v, n) } }
    }

    /// The first `n <= LANES` bytes of what [`Simd::store_u8`] would write.
    #[inline(always)]
    unsafe fn store_u8_part(p: *mut u8, v: Self::V, n: usize) {
        // SAFETY: the caller vouches for n bytes; no vector has more lanes than `all`.
        unsafe {
            if n == Self::LANES {
                Self::store_u8(p, v);
            } else {
                let mut all = [0u8; 16];
                Self::store_u8(all.as_mut_ptr(), v);
                p.copy_from_nonoverlapping(all.as_ptr(), n);
            }
        }
    }
}

/// [`Level::Portable`].
#[derive(Clone, Copy)]
pub struct Portable;

// SAFETY: plain Rust; only the pointers matter, and the trait says what the caller owes.
unsafe impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        // SAFETY: the caller vouches for four readable values.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_half(p: *const u16) -> [f32; 4] {
        // SAFETY: the caller vouches for four readable values.
        unsafe { p.cast::<[u16; 4]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, x) in v.iter_mut().enumerate().take(n) {
            // SAFETY: i < n, and the caller vouches for n values.
            *x = unsafe { *p.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        // SAFETY: the caller vouches for four writable values.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: [f32; 4], n: usize) {
        for (i, x) in v.iter().enumerate().take(n) {
            // SAFETY: i < n, and the caller vouches for n values.
            unsafe { *p.add(i) = *x };
        }
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        // Not mul_add: without the CPU's FMA that is a slow library call.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn negative(v: [f32; 4]) -> [f32; 4] {
        v.map(|x| if x < 0.0 { x } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn positive(v: [f32; 4]) -> [f32; 4] {
        v.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn if_negative(v: [f32; 4], yes: [f32; 4], no: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if v[i] < 0.0 { yes[i] } else { no[i] })
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn sum(v: [f32; 4]) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn min(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn round(v: [f32; 4]) -> [f32; 4] {
        // Where the CPU has no rounding of its own, round_ties_even is a library call: adding this leaves no bit for a
        // fraction, and the sum is rounded as all sums are.
        const WHOLE: f32 = (1u32 << 23) as f32 * 1.5;
        v.map(|x| (x + WHOLE) - WHOLE)
    }
    #[inline(always)]
    unsafe fn sum_i32(p: *const i32, q: *const i32) -> [f32; 4] {
        // SAFETY: the caller vouches for four readable values at each place.
        let (p, q) =
            unsafe { (p.cast::<[i32; 4]>().read_unaligned(), q.cast::<[i32; 4]>().read_unaligned()) };
        std::array::from_fn(|i| p[i].wrapping_add(q[i]) as f32)
    }
    #[inline(always)]
    unsafe fn store_u8(p: *mut u8, v: [f32; 4]) {
        // SAFETY: the caller vouches for the range of the lanes and for four writable bytes.
        unsafe { p.cast::<[u8; 4]>().write_unaligned(v.map(|x| x.to_int_unchecked::<i32>() as u8)) }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// `Level::Avx2`.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    /// Masks for the first n of eight lanes start at `8 - n`.
    static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline(always)]
    unsafe fn mask8(n: usize) -> __m256i {
        debug_assert!(n <= 8);
        // SAFETY: n <= 8 keeps the eight values read inside the table.
        unsafe { _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast()) }
    }

    // SAFETY: the trait limits calls to CPUs with AVX2 and FMA and to valid pointers; masked lanes are not touched.
    #[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
    unsafe impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_half(p: *const u16) -> __m256 {
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> __m256 {
            unsafe { _mm256_maskload_ps(p, mask8(n)) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_n(p: *mut f32, v: __m256, n: usize) {
            unsafe { _mm256_maskstore_ps(p, mask8(n), v) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn negative(v: __m256) -> __m256 {
            // The second operand is returned where one is NaN, so NaN goes through.
            unsafe { _mm256_min_ps(_mm256_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn positive(v: __m256) -> __m256 {
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn if_negative(v: __m256, yes: __m256, no: __m256) -> __m256 {
            unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(v, _mm256_setzero_ps())) }
        }
        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m256) -> f32 {
            unsafe {
                let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
            }
        }
        #[inline(always)]
        unsafe fn min(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn round(v: __m256) -> __m256 {
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v) }
        }
        #[inline(always)]
        unsafe fn sum_i32(p: *const i32, q: *const i32) -> __m256 {
            unsafe {
                let (p, q) = (_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(q.cast()));
                _mm256_cvtepi32_ps(_mm256_add_epi32(p, q))
            }
        }
        #[inline(always)]
        unsafe fn store_u8(p: *mut u8, v: __m256) {
            unsafe {
                let v = _mm256_cvtps_epi32(v);
                let v = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
                _mm_storel_epi64(p.cast(), _mm_packus_epi16(v, v));
            }
        }
    }

    /// `Level::Avx512`.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    #[inline(always)]
    fn mask16(n: usize) -> __mmask16 {
        debug_assert!(n <= 16);
        ((1u32 << n) - 1) as u16
    }

    // SAFETY: the trait limits calls to CPUs with AVX-512 and to valid pointers; masked lanes are not touched.
    #[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
    unsafe impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_half(p: *const u16) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(mask16(n), p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_n(p: *mut f32, v: __m512, n: usize) {
            unsafe { _mm512_mask_storeu_ps(p, mask16(n), v) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn negative(v: __m512) -> __m512 {
            // The second operand is returned where one is NaN, so NaN goes through.
            unsafe { _mm512_min_ps(_mm512_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn positive(v: __m512) -> __m512 {
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn if_negative(v: __m512, yes: __m512, no: __m512) -> __m512 {
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(v, _mm512_setzero_ps()), no, yes) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(v) }
        }
        #[inline(always)]
        unsafe fn min(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn round(v: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v) }
        }
        #[inline(always)]
        unsafe fn sum_i32(p: *const i32, q: *const i32) -> __m512 {
            unsafe {
                let (p, q) = (_mm512_loadu_si512(p.cast()), _mm512_loadu_si512(q.cast()));
                _mm512_cvtepi32_ps(_mm512_add_epi32(p, q))
            }
        }
        #[inline(always)]
        unsafe fn store_u8(p: *mut u8, v: __m512) {
            unsafe { _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v))) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Simd;
    use std::arch::aarch64::*;
    use std::arch::asm;

    /// `Level::Neon`.
    #[derive(Clone, Copy)]
    pub struct Neon;

    // SAFETY: every aarch64 has NEON; only the pointers matter, and the trait says what the caller owes.
    #[allow(unused_unsafe, reason = "some intrinsics are safe where the feature is on")]
    unsafe impl Simd for Neon {
        type V = float32x4_t;
        const LANES: usize = 4;
        #[inline(always)]
        unsafe fn splat(x: f32) -> float32x4_t {
            unsafe { vdupq_n_f32(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> float32x4_t {
            unsafe { vld1q_f32(p) }
        }
        #[inline(always)]
        unsafe fn load_half(p: *const u16) -> float32x4_t {
            // (`vcvt_f32_f16` is not in stable Rust yet.)
            let v;
            unsafe {
                asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) v, in(vreg) vld1_u16(p),
                    options(pure, nomem, nostack, preserves_flags));
            }
            v
        }
        #[inline(always)]
        unsafe fn store_half(p: *mut u16, v: float32x4_t) {
            // (`vcvt_f16_f32` is not in stable Rust yet.)
            let half;
            unsafe {
                asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) half, in(vreg) v,
                    options(pure, nomem, nostack, preserves_flags));
                vst1_u16(p, half);
            }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> float32x4_t {
            let mut v = [0.0; 4];
            for (i, x) in v.iter_mut().enumerate().take(n) {
                *x = unsafe { *p.add(i) };
            }
            unsafe { vld1q_f32(v.as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: float32x4_t) {
            unsafe { vst1q_f32(p, v) }
        }
        #[inline(always)]
        unsafe fn store_n(p: *mut f32, v: float32x4_t, n: usize) {
            let mut all = [0.0; 4];
            unsafe { vst1q_f32(all.as_mut_ptr(), v) };
            for (i, x) in all.iter().enumerate().take(n) {
                unsafe { *p.add(i) = *x };
            }
        }
        #[inline(always)]
        unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
            unsafe { vfmaq_f32(c, a, b) }
        }
        const BY_LANE: usize = 32;
        #[inline(always)]
        unsafe fn fma_lane<const LANE: i32>(x: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
            // (By `vfmaq_laneq_f32` the compiler reads ahead until the sums no longer fit the registers.)
            let mut sum = c;
            unsafe {
                asm!("fmla {0:v}.4s, {1:v}.4s, {2:v}.s[{3}]", inout(vreg) sum, in(vreg) b, in(vreg) x, const LANE,
                    options(pure, nomem, nostack, preserves_flags));
            }
            sum
        }
        #[inline(always)]
        unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vaddq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vsubq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vmulq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn negative(v: float32x4_t) -> float32x4_t {
            unsafe { vminq_f32(v, vdupq_n_f32(0.0)) }
        }
        #[inline(always)]
        unsafe fn positive(v: float32x4_t) -> float32x4_t {
            unsafe { vmaxq_f32(v, vdupq_n_f32(0.0)) }
        }
        #[inline(always)]
        unsafe fn if_negative(v: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
            unsafe { vbslq_f32(vcltzq_f32(v), yes, no) }
        }
        #[inline(always)]
        unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
        }
        #[inline(always)]
        unsafe fn sum(v: float32x4_t) -> f32 {
            unsafe { vaddvq_f32(v) }
        }
        #[inline(always)]
        unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
        }
        #[inline(always)]
        unsafe fn round(v: float32x4_t) -> float32x4_t {
            unsafe { vrndnq_f32(v) }
        }
        #[inline(always)]
        unsafe fn sum_i32(p: *const i32, q: *const i32) -> float32x4_t {
            unsafe { vcvtq_f32_s32(vaddq_s32(vld1q_s32(p), vld1q_s32(q))) }
        }
        #[inline(always)]
        unsafe fn store_u8(p: *mut u8, v: float32x4_t) {
            unsafe {
                let v = vmovn_u32(vcvtq_u32_f32(v));
                let v = vmovn_u16(vcombine_u16(v, v));
                p.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(v)));
            }
        }
    }
}

/// Defines a function that runs `$body::<S>` with the CPU feature of a [`Level`] switched on; one for any number that
/// weights or images are made of, `$body::<S, T>`, names it like a type parameter.
#[macro_export]
macro_rules! by_level {
    (
        $(#[$doc:meta])* $vis:vis fn $name:ident $(<$t:ident: $bound:path>)? = $body:ident
        ($($arg:ident: $argument:ty),* $(,)?)
    ) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As of the body, and the CPU must have the level.
        #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
        $vis unsafe fn $name $(<$t: $bound>)? (level: $crate::kernels::simd::Level, $($arg: $argument),*) {
            use $crate::kernels::simd::Level;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
            unsafe fn avx512 $(<$t: $bound>)? ($($arg: $argument),*) {
                // SAFETY: the caller's promise, handed on.
                unsafe { $body::<$crate::kernels::simd::Avx512 $(, $t)?>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
            unsafe fn avx2 $(<$t: $bound>)? ($($arg: $argument),*) {
                // SAFETY: the caller's promise, handed on.
                unsafe { $body::<$crate::kernels::simd::Avx2 $(, $t)?>($($arg),*) }
            }
            // SAFETY: a level is only made where the CPU has it, the rest is the caller's promise.
            unsafe {
                match level {
                    Level::Portable => $body::<$crate::kernels::simd::Portable $(, $t)?>($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2(_) => avx2 $(::<$t>)? ($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512(_) => avx512 $(::<$t>)? ($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon(_) | Level::NeonHalf(_) => {
                        $body::<$crate::kernels::simd::Neon $(, $t)?>($($arg),*)
                    }
                }
            }
        }
    };
}
pub use by_level;
