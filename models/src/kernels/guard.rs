//! For tests: memory that ends, or begins, at a page which nobody may touch, so that a kernel which reads or writes one
//! byte too far dies. Switched on by `LIMEN_GUARD=end` or `=start`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

/// The allocator of this crate's tests.
struct Guarded;

#[global_allocator]
static GUARDED: Guarded = Guarded;

/// Smaller pieces of memory are not what kernels work on; each guarded one costs two mappings, of which there are not
/// so many.
const LEAST: usize = 512;
const PAGE: usize = 4096;

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const START: u8 = 2;
const END: u8 = 3;

/// What the environment asks for; asked once, without memory of our own.
fn mode() -> u8 {
    static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
    let known = MODE.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known;
    }
    // SAFETY: a name that ends in 0; nothing in these tests changes the environment.
    let value = unsafe { libc::getenv(c"LIMEN_GUARD".as_ptr()) };
    let mode = if value.is_null() {
        OFF
    } else {
        // SAFETY: getenv gives a text that ends in 0.
        match unsafe { std::ffi::CStr::from_ptr(value) }.to_bytes() {
            b"start" => START,
            b"end" => END,
            _ => OFF,
        }
    };
    MODE.store(mode, Ordering::Relaxed);
    mode
}

fn is_guarded(layout: &Layout) -> bool {
    mode() != OFF && layout.size() >= LEAST && layout.align() <= PAGE
}

// SAFETY: what is guarded lies in a mapping of its own, which `dealloc` finds again from the pointer's page: the memory
// begins in the first page after the guard, as less than a page is left before it. All else is the system's.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_guarded(&layout) {
            // SAFETY: the caller's promise, handed on.
            return unsafe { System.alloc(layout) };
        }
        let room = layout.size().next_multiple_of(PAGE);
        // SAFETY: a new mapping, of which the middle is made accessible.
        unsafe {
            let (none, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let base = libc::mmap(std::ptr::null_mut(), room + 2 * PAGE, none, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return std::ptr::null_mut();
            }
            let inside = base.cast::<u8>().add(PAGE);
            if libc::mprotect(inside.cast(), room, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                return std::ptr::null_mut();
            }
            let before = if mode() == END { room - layout.size() } else { 0 };
            inside.add(before & !(layout.align() - 1))
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if !is_guarded(&layout) {
            // SAFETY: the caller's promise, handed on.
            return unsafe { System.dealloc(ptr, layout) };
        }
        let room = layout.size().next_multiple_of(PAGE);
        let into_page = ptr as usize % PAGE;
        // SAFETY: the whole mapping that `alloc` made.
        unsafe { libc::munmap(ptr.sub(into_page + PAGE).cast(), room + 2 * PAGE) };
    }
}

#[test]
fn a_guard_is_where_it_should_be() {
    if mode() == OFF {
        return;
    }
    // The child dies of the byte before or after; 1,000 is no multiple of a cache line.
    let memory = vec![1u8; 1000];
    let at = if mode() == END { 1000 } else { -1 };
    // SAFETY: the child touches what it must not, which is the question, and does nothing else.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            memory.as_ptr().offset(at).read_volatile();
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        status
    };
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status}");
}
