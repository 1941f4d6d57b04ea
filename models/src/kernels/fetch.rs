//! Asks for weights before they are read.

/// How far ahead, bytes: the way from memory takes about as long as the products with so many weights.
const AHEAD: usize = 8 << 10;

/// Asks the second-level cache for the cache line that lies 8 KiB after `at`, as the processor's own prefetch falls
/// behind where each weight is used a few times only. A hint: past the end of the weights it does nothing. Other
/// processors than x86-64 have no such instruction in stable Rust, and are not asked.
#[inline(always)]
pub fn ahead<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, which reads nothing and faults nowhere.
    #[allow(unused_unsafe, reason = "the intrinsic is safe where the feature is on")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_byte_add(AHEAD).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, AHEAD);
}
