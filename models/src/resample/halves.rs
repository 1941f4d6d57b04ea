//! A frame, its half, its quarter and so on: the chain that the small levels of a pyramid can be made of.

use crate::image::RgbView;

/// Source pixels that an output pixel keeps, along a side, whatever half it is made of.
const LEAST: f32 = 2.0;

/// A frame made smaller, each pixel the mean of two by two of the one before.
#[derive(Debug, Default)]
struct Half {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Half {
    /// Makes it of `whole`, whose sides are even.
    fn set(&mut self, whole: RgbView<'_>) {
        (self.width, self.height) = (whole.width() / 2, whole.height() / 2);
        self.bytes.resize(self.width * self.height * 3, 0);
        for (y, out) in self.bytes.chunks_exact_mut(self.width * 3).enumerate() {
            let above = whole.row(2 * y).as_chunks::<6>().0;
            let below = whole.row(2 * y + 1).as_chunks::<6>().0;
            for ((out, a), b) in out.as_chunks_mut::<3>().0.iter_mut().zip(above).zip(below) {
                for c in 0..3 {
                    let sum = [a[c], a[c + 3], b[c], b[c + 3]].map(u16::from).iter().sum::<u16>();
                    out[c] = ((sum + 2) / 4) as u8;
                }
            }
        }
    }

    /// `None` before it was made.
    fn view(&self) -> Option<RgbView<'_>> {
        RgbView::new(self.width, self.height, &self.bytes).ok()
    }
}

/// The chain of one frame; its memory is used again for the next.
#[derive(Debug, Default)]
pub struct Halves {
    halves: Vec<Half>,
    /// How many of them are this frame's.
    made: usize,
}

impl Halves {
    /// Makes those halves of `frame` that a picture of `scale` times its size can be made of. What has an odd side has
    /// no half.
    pub fn set(&mut self, frame: RgbView<'_>, scale: f32) {
        let Self { halves, made } = self;
        *made = 0;
        while serves(*made + 1, scale) {
            if halves.len() == *made {
                halves.push(Half::default());
            }
            let (before, after) = halves.split_at_mut(*made);
            let whole = before.last().map_or(Some(frame), Half::view);
            match whole.zip(after.first_mut()) {
                Some((whole, half)) if whole.width() % 2 == 0 && whole.height() % 2 == 0 => half.set(whole),
                _ => return,
            }
            *made += 1;
        }
    }

    /// The smallest picture of `frame` that one of `scale` times its size can be made of.
    pub fn of<'a>(&'a self, frame: RgbView<'a>, scale: f32) -> RgbView<'a> {
        let mut smaller = self.halves[..self.made].iter().enumerate().rev();
        smaller.find(|(n, _)| serves(n + 1, scale)).and_then(|(_, half)| half.view()).unwrap_or(frame)
    }
}

/// Whether a picture of `scale` times the frame's size can be made of its `n`-th half.
fn serves(n: usize, scale: f32) -> bool {
    n < 32 && scale * LEAST * 2.0f32.powi(n as i32) <= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::RgbImage;

    #[test]
    fn a_half_is_the_mean_of_four_rounded() {
        let im = RgbImage::new(2, 2, vec![1, 10, 255, 2, 20, 255, 3, 30, 255, 4, 40, 255]).unwrap();
        let mut halves = Halves::default();
        halves.set(im.view(), 0.25);
        // (1 + 2 + 3 + 4) / 4 = 2.5, rounded up.
        assert_eq!(halves.of(im.view(), 0.25).row(0), [3, 25, 255]);
        assert_eq!(halves.of(im.view(), 0.26).width(), 2, "two pixels for one");
    }

    #[test]
    fn the_smallest_that_serves_is_taken_and_odd_sides_end_the_chain() {
        let frame = RgbImage::filled(640, 480, [7; 3]).unwrap();
        let mut halves = Halves::default();
        halves.set(frame.view(), 0.03);
        let width = |halves: &Halves, scale| halves.of(frame.view(), scale).width();
        assert_eq!(
            [0.6, 0.25, 0.2, 0.125, 0.1, 0.03].map(|s| width(&halves, s)),
            [640, 320, 320, 160, 160, 40]
        );
        // No more than was asked for, whatever the frame before left.
        halves.set(frame.view(), 0.2);
        assert_eq!(width(&halves, 0.03), 320);
        let odd = RgbImage::filled(36, 20, [7; 3]).unwrap();
        halves.set(odd.view(), 0.01);
        let least = halves.of(odd.view(), 0.01);
        assert_eq!((least.width(), least.height(), least.row(0)[0]), (9, 5, 7));
    }
}
