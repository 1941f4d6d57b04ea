//! The tones as samples: notes with soft edges, since what begins or ends at once clicks.

use std::f64::consts::{PI, TAU};

/// Samples a second.
pub const RATE_HZ: u32 = 48_000;
/// A note swells for so long, ms.
const RISE_MS: u32 = 10;
/// And fades for so long, ms.
const FALL_MS: u32 = 40;

/// What a tone says. They differ in rhythm and direction, not in pitch alone: few people know a note by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Somebody is let in: two notes, a fifth up.
    Granted,
    /// Somebody is not: a low note, twice.
    Denied,
    /// The door was forced, is held open, or its housing is: high and lower in quick turns.
    Alarm,
    /// Something was read, and nothing is said of it yet: one short note.
    Read,
    /// The camera is gone: one note that falls by an octave.
    CameraLost,
}

/// One note and the silence after it.
struct Note {
    from_hz: f64,
    to_hz: f64,
    ms: u32,
    rest_ms: u32,
}

impl Note {
    const fn steady(hz: f64, ms: u32, rest_ms: u32) -> Self {
        Self { from_hz: hz, to_hz: hz, ms, rest_ms }
    }

    /// The note at a peak of `peak`, from silence to silence.
    fn samples(&self, peak: f64) -> impl Iterator<Item = i16> {
        let rate = f64::from(RATE_HZ);
        let (length, rest) = (samples_of(self.ms), samples_of(self.rest_ms));
        let (rise, fall) = (f64::from(samples_of(RISE_MS)), f64::from(samples_of(FALL_MS)));
        let (from, to) = (self.from_hz / rate, self.to_hz / rate);
        let note = (0..length).map(move |i| {
            let (t, n) = (f64::from(i), f64::from(length));
            // Cycles so far; of a note that slides, the integral of its frequency.
            let cycles = from * t + (to - from) * t * t / (2.0 * n);
            let edge = (t / rise).min((n - t) / fall).min(1.0);
            // Half a cosine, which is level at both of its ends.
            let swell = (1.0 - (PI * edge).cos()) / 2.0;
            (peak * swell * (TAU * cycles).sin()).round() as i16
        });
        note.chain((0..rest).map(|_| 0))
    }
}

const fn samples_of(ms: u32) -> u32 {
    ms * RATE_HZ / 1000
}

impl Tone {
    const fn notes(self) -> &'static [Note] {
        match self {
            Self::Granted => const { &[Note::steady(660.0, 120, 0), Note::steady(990.0, 240, 0)] },
            Self::Denied => const { &[Note::steady(330.0, 140, 80), Note::steady(330.0, 180, 0)] },
            Self::Alarm => {
                const HIGH: Note = Note::steady(1400.0, 120, 0);
                const LOW: Note = Note::steady(1050.0, 120, 0);
                &[HIGH, LOW, HIGH, LOW, HIGH, LOW]
            }
            Self::Read => const { &[Note::steady(880.0, 80, 0)] },
            Self::CameraLost => &[Note { from_hz: 880.0, to_hz: 440.0, ms: 480, rest_ms: 0 }],
        }
    }

    /// The whole tone, mono, [`RATE_HZ`] samples a second, its peak at `volume_percent` of full scale.
    pub fn samples(self, volume_percent: u32) -> Vec<i16> {
        let peak = f64::from(i16::MAX) * f64::from(volume_percent.min(100)) / 100.0;
        self.notes().iter().flat_map(|note| note.samples(peak)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tone; 5] = [Tone::Granted, Tone::Denied, Tone::Alarm, Tone::Read, Tone::CameraLost];

    /// How often the samples change their sign; silence has none.
    fn crossings(samples: &[i16]) -> usize {
        let signs: Vec<bool> = samples.iter().filter(|s| **s != 0).map(|s| *s > 0).collect();
        signs.windows(2).filter(|w| w[0] != w[1]).count()
    }

    #[test]
    fn two_rising_notes_let_in_and_a_low_one_twice_does_not() {
        // 120 ms and 240 ms: 5,760 and 11,520 samples; 79.2 and 237.6 cycles, which change their sign twice each, but for the
        // very last of the second note, which has faded.
        let granted = Tone::Granted.samples(60);
        assert_eq!(granted.len(), 17_280);
        assert_eq!((crossings(&granted[..5760]), crossings(&granted[5760..])), (158, 474));
        // 140 ms, 80 ms of silence, 180 ms: 46.2 and 59.4 cycles.
        let denied = Tone::Denied.samples(60);
        assert_eq!(denied.len(), 19_200);
        assert_eq!((crossings(&denied[..6720]), crossings(&denied[10_560..])), (92, 118));
        assert!(denied[6720..10_560].iter().all(|s| *s == 0));
    }

    #[test]
    fn a_lost_camera_falls_by_an_octave() {
        // 480 ms at 660 Hz in the mean: 316.8 cycles, of which the first half has 770 Hz in the mean, 184.8.
        let lost = Tone::CameraLost.samples(60);
        assert_eq!(lost.len(), 23_040);
        assert_eq!((crossings(&lost), crossings(&lost[..11_520])), (633, 369));
    }

    #[test]
    fn a_tone_is_as_loud_as_it_is_set() {
        // 60 % of 32,767 is 19,660.2.
        for tone in ALL {
            let peak = |volume| tone.samples(volume).iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((19_600..=19_660).contains(&peak(60)), "{tone:?}: {}", peak(60));
            assert!((32_600..=32_767).contains(&peak(100)), "{tone:?}: {}", peak(100));
            assert_eq!(peak(100), peak(1000), "{tone:?}");
        }
    }

    #[test]
    fn nothing_clicks_and_nothing_lasts() {
        for tone in ALL {
            let samples = tone.samples(100);
            assert_eq!((samples[0], samples[samples.len() - 1]), (0, 0), "{tone:?}");
            assert!(samples.len() < RATE_HZ as usize, "{tone:?}: shorter than a second");
            // The steepest that 1,400 Hz can be is 2 pi 1400 / 48000 of its peak from one sample to the next: 6,005.
            let steps = samples.windows(2).map(|w| w[0].abs_diff(w[1]));
            assert!(steps.max().unwrap() <= 6010, "{tone:?}");
            // Within its first ms a note is at a fortieth of its peak at most.
            assert!(samples[..48].iter().all(|s| s.unsigned_abs() < 820), "{tone:?}");
        }
    }
}
