//! Large memory in large pages: a scan waits less for the processor's tables of pages, and filling it costs less.
#![allow(unsafe_code)]

use crate::search::kernel::Block;

/// Asks the system to back the memory of `rows`, all of its capacity, with pages of 2 MiB or so, from 8 MiB on. A wish:
/// where it is not granted nothing changes but the time, by a sixth or so for 512 MB.
pub(super) fn wish(rows: &mut Vec<Block>) {
    #[cfg(target_os = "linux")]
    {
        /// No small page is larger; the call wants whole ones.
        const PAGE: usize = 64 << 10;
        /// So that a page that is begun only adds little to the whole.
        const LEAST: usize = 8 << 20;
        let start = rows.as_mut_ptr() as usize;
        let (first, end) = (start.next_multiple_of(PAGE), start + rows.capacity() * size_of::<Block>());
        if end - start >= LEAST {
            // SAFETY: the range lies within memory that `rows` owns, and this advice leaves its contents alone.
            unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
        }
    }
}
