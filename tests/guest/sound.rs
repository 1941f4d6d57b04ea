//! What a sound card of the guest's was given, judged from outside: which pure tones are in a recording, and when.

/// Samples a second.
const RATE_HZ: f64 = 48_000.0;
/// 50 ms: within the shortest note.
const WINDOW: usize = 2400;
/// 10 ms.
const STEP: usize = 480;
/// Quieter is silence, of 32,767.
const SILENCE: f64 = 1000.0;

/// A recording: mono, signed, 16 bits.
pub struct Recording(Vec<f64>);

impl Recording {
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect())
    }

    /// The loudest sample.
    pub fn peak(&self) -> f64 {
        self.0.iter().fold(0.0, |peak, s| s.abs().max(peak))
    }

    /// When `hz` is heard first, and little else with it: ms from the beginning.
    pub fn first(&self, hz: f64) -> Option<usize> {
        let at = self.0.windows(WINDOW).step_by(STEP).position(|w| share(w, hz) > 0.9)?;
        Some(at * 10)
    }
}

/// How much of the energy in `window` is that of a sine of `hz` (Goertzel's algorithm), 0 to 1; 0 of silence.
fn share(window: &[f64], hz: f64) -> f64 {
    let n = window.len() as f64;
    let energy: f64 = window.iter().map(|s| s * s).sum();
    if energy < n * SILENCE * SILENCE / 2.0 {
        return 0.0;
    }
    let factor = 2.0 * (std::f64::consts::TAU * hz / RATE_HZ).cos();
    let (one, two) = window.iter().fold((0.0, 0.0), |(one, two), s| (s + factor * one - two, one));
    // A sine of amplitude a has the power (a n / 2)^2 here, and the energy a^2 n / 2.
    2.0 * (one * one + two * two - factor * one * two) / (n * energy)
}

#[test]
fn a_tone_is_told_from_another_and_from_silence() {
    let sine = |hz: f64, i: usize| (8000.0 * (std::f64::consts::TAU * hz * i as f64 / RATE_HZ).sin()) as i16;
    let silence = std::iter::repeat_n(0, 9600);
    let sound: Vec<i16> = silence.chain((0..4800).map(|i| sine(660.0, i))).collect();
    let bytes: Vec<u8> = sound.iter().flat_map(|s| s.to_le_bytes()).collect();
    let recording = Recording::of(&bytes);
    assert!((190..=210).contains(&recording.first(660.0).unwrap()));
    assert_eq!(recording.first(990.0), None);
    assert!((7990.0..=8000.0).contains(&recording.peak()));
}
