//! Damaged frames: told of once, then counted. A camera that marks each of its frames would fill the log.

use std::time::{Duration, Instant};

use super::CameraError;

/// A camera is well again when it gave no damaged frame for so long.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// The damaged frames of a camera that have not been told of yet.
#[derive(Debug, Default)]
pub struct Damage {
    /// How many, and when the last one came.
    frames: Option<(u64, Instant)>,
}

impl Damage {
    /// A frame is damaged, as `e` says.
    pub fn bad(&mut self, e: &CameraError, now: Instant) {
        if self.is_news(now) {
            crate::tell!(Warning, "{e}");
        }
    }

    /// A frame is good.
    pub fn good(&mut self, now: Instant) {
        if let Some(many) = self.is_over(now) {
            tell(many);
        }
    }

    fn is_news(&mut self, now: Instant) -> bool {
        let before = self.frames.map_or(0, |(many, _)| many);
        self.frames = Some((before + 1, now));
        before == 0
    }

    /// How many there were, once the camera is well again and there were more than the one that was told of.
    fn is_over(&mut self, now: Instant) -> Option<u64> {
        self.frames.filter(|(_, last)| now.duration_since(*last) >= WELL_AFTER)?;
        self.end()
    }

    fn end(&mut self) -> Option<u64> {
        self.frames.take().map(|(many, _)| many).filter(|many| *many > 1)
    }
}

impl Drop for Damage {
    /// Whatever ends, a clip or the program: all is told.
    fn drop(&mut self) {
        if let Some(many) = self.end() {
            tell(many);
        }
    }
}

fn tell(many: u64) {
    crate::tell!(Warning, "in all {many} frames were damaged and skipped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_damaged_frames_are_told_of_once_and_counted() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut damage = Damage::default();
        assert_eq!(damage.is_over(at(0)), None);
        // Every other frame, ten a second, for ten seconds: 50 of 100.
        let mut told = 0;
        for n in 0..50 {
            told += usize::from(damage.is_news(at(200 * n)));
            assert_eq!(damage.is_over(at(200 * n + 100)), None);
        }
        assert_eq!(told, 1);
        assert_eq!(damage.is_over(at(9800 + 9999)), None);
        assert_eq!(damage.is_over(at(9800 + 10_000)), Some(50));
        assert_eq!(damage.is_over(at(30_000)), None);
        // A single one is told of, and not again.
        assert!(damage.is_news(at(40_000)));
        assert_eq!(damage.is_over(at(50_000)), None);
        assert!(damage.is_news(at(50_100)));
        assert!(!damage.is_news(at(50_200)));
        assert_eq!(damage.end(), Some(2));
    }
}
