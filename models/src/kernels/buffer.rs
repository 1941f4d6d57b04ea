//! Scratch memory on cache lines, kept for the next step: fresh pages cost as much as the work done in them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// One cache line of numbers.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Memory that buffers left, smallest first.
static LEFT: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());
/// Most that is kept, in lines: 256 MiB.
const MOST: usize = (256 << 20) / size_of::<Line>();
/// Tests of this crate keep none, so that each buffer is as long as it says (`guard`).
const KEEPS: bool = !cfg!(test);

/// The smallest memory left that holds `lines`, or new one; its contents are not said.
fn take(lines: usize) -> Vec<Line> {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let at = left.partition_point(|l| l.len() < lines);
    // A much larger one is left for who needs it.
    if left.get(at).is_some_and(|l| l.len() <= 2 * lines + 1024) {
        return left.remove(at);
    }
    drop(left);
    vec![Line([0.0; 16]); lines]
}

/// Keeps memory for the next taker, or frees it where enough is kept.
fn give(lines: Vec<Line>) {
    if lines.is_empty() || !KEEPS {
        return;
    }
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if left.iter().map(Vec::len).sum::<usize>() + lines.len() <= MOST {
        let at = left.partition_point(|l| l.len() < lines.len());
        left.insert(at, lines);
    }
}

/// A run of f32 that starts on a cache line.
#[derive(Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// Room for `len` values; what they are is not said.
    pub fn new(len: usize) -> Self {
        Self { lines: take(len.div_ceil(16)), len }
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::new(len);
        buffer.fill(0.0);
        buffer
    }

    /// Makes room for `len` values; what they are is not said.
    pub fn resize(&mut self, len: usize) {
        if self.lines.len() < len.div_ceil(16) {
            give(std::mem::take(&mut self.lines));
            self.lines = take(len.div_ceil(16));
        }
        self.len = len;
    }
}

impl Buffer {
    /// The same memory as bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = std::mem::size_of_val::<[f32]>(self);
        // SAFETY: every byte of an f32 is a u8 and the other way round, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

impl std::fmt::Debug for Buffer {
    /// Its length only: a face may lie in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} numbers)", self.len)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.lines));
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a Line is 16 f32 without padding, and the vector holds at least len of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in deref, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
