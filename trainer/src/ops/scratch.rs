//! Scratch buffers that live as long as their thread, so that a step does not fault in fresh pages.

use std::cell::RefCell;

use limen_models::kernels::buffer::Buffer;

/// What one image needs while it is worked on.
#[derive(Default)]
pub struct Scratch {
    /// An input image with a border of zeros.
    pub input: Buffer,
    /// A gradient image with a border of zeros and filled up channels.
    pub gradient: Buffer,
    /// Transformed input tiles.
    pub tiles: Buffer,
    /// Transformed gradient tiles.
    pub gradient_tiles: Buffer,
    /// A panel of gradients.
    pub panel: Buffer,
    /// Products of tiles.
    pub products: Buffer,
}

/// Lends the calling thread's scratch to `work`, which must not ask for it again.
pub fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local!(static SCRATCH: RefCell<Scratch> = RefCell::default());
    SCRATCH.with(|s| match s.try_borrow_mut() {
        Ok(mut s) => work(&mut s),
        // Work that rayon steals inside work would meet the loan; it gets its own.
        Err(_) => work(&mut Scratch::default()),
    })
}
