//! Passes as QR codes before the door's camera: a picture in, the pass on it out; and when it is worth while to look.

use std::panic::catch_unwind;

use limen_gallery_db::PassText;
use limen_models::image::RgbImage;
use rqrr::PreparedImage;

use crate::time::Millis;

/// A pass that is not seen for so long, ms, is shown anew when it is seen again.
const GONE_AFTER_MS: u64 = 3000;

/// The pass on a picture. Other QR codes, and more than one pass, are none.
///
/// A look takes some milliseconds, and seconds at a picture that is full of the corners of QR codes: whoever calls this has
/// nothing else to do.
pub fn read(image: &RgbImage) -> Option<PassText> {
    // The decoder has panics of its own, and anybody may hold anything before the camera.
    let mut passes = catch_unwind(|| codes(image)).unwrap_or_default();
    passes.dedup();
    if passes.len() == 1 { passes.pop() } else { None }
}

fn codes(image: &RgbImage) -> Vec<PassText> {
    let luma = |x, y| {
        let [r, g, b] = image.pixel(x, y).map(u32::from);
        // BT.601, in 256ths: at most 255.
        ((77 * r + 150 * g + 29 * b) >> 8) as u8
    };
    let mut prepared = PreparedImage::prepare_from_greyscale(image.width(), image.height(), luma);
    prepared.detect_grids().iter().filter_map(|grid| grid.decode().ok()?.1.parse().ok()).collect()
}

/// When pictures are looked through for passes, and which pass is news.
#[derive(Debug, Clone)]
pub struct Lookout {
    /// `None`: never.
    every_ms: Option<u64>,
    next: Millis,
    last: Option<(PassText, Millis)>,
}

impl Lookout {
    /// A look every so many ms at most; never, if 0.
    pub fn new(every_ms: u64) -> Self {
        Self { every_ms: Some(every_ms).filter(|ms| *ms > 0), next: Millis::ZERO, last: None }
    }

    /// Whether pictures are looked through at all.
    pub fn is_on(&self) -> bool {
        self.every_ms.is_some()
    }

    /// Whether to look at a picture of `now` with so many faces: nobody holds a pass before their face, and faces come first.
    pub fn is_due(&mut self, faces: usize, now: Millis) -> bool {
        let Some(every_ms) = self.every_ms.filter(|_| faces == 0 && now >= self.next) else { return false };
        self.next = now.plus(every_ms);
        true
    }

    /// The pass that was seen at `now`, if it was not there all the time.
    pub fn news(&mut self, seen: Option<PassText>, now: Millis) -> Option<PassText> {
        let seen = seen?;
        let still = |(last, at): &(PassText, Millis)| *last == seen && now.since(*at) < GONE_AFTER_MS;
        let is_news = !self.last.as_ref().is_some_and(still);
        self.last = Some((seen.clone(), now));
        is_news.then_some(seen)
    }
}

#[cfg(test)]
mod tests;
