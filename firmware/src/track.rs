//! One face through several frames: its best samples fused into one probe.
//!
//! A face continues a track when it stands where the track last was and looks like it. Where both say different
//! things a new track begins: two people who change places between frames are never fused into one probe.

use limen_gallery_db::score::{cosine, unit};
use limen_models::embed::Embedding;
use limen_models::geometry::BBox;
use limen_models::pipeline::Face;
use limen_models::quality::Reason;

use crate::time::Millis;

/// How tracks begin, go on and end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Least overlap with the track's last box, 0 to 1.
    pub min_iou: f32,
    /// Least cosine of a new sample to the track's probe.
    pub min_likeness: f32,
    /// A track unseen for so long ends, ms.
    pub lost_after_ms: u64,
    /// Samples fused, the best by quality.
    pub samples: usize,
}

/// Names a track until the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

/// One person in front of the camera.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its name.
    pub id: TrackId,
    /// Where the face was last.
    pub bbox: BBox,
    /// When it was last seen.
    pub seen: Millis,
    /// Why the newest frame could not be used, if so.
    pub fault: Option<Reason>,
    /// Usable frames so far.
    pub frames: u32,
    samples: Vec<(f32, Embedding)>,
    probe: Option<Vec<f32>>,
}

impl Track {
    /// The fused probe, of unit length: samples weighted by quality.
    pub fn probe(&self) -> Option<&[f32]> {
        self.probe.as_deref()
    }

    fn add(&mut self, quality: f32, sample: &Embedding, most: usize) {
        self.frames = self.frames.saturating_add(1);
        self.samples.push((quality, sample.clone()));
        if self.samples.len() > most.max(1) {
            let worst = (0..self.samples.len())
                .min_by(|a, b| self.samples[*a].0.total_cmp(&self.samples[*b].0))
                .unwrap_or(0);
            self.samples.remove(worst);
        }
        self.probe = fuse(&self.samples);
    }
}

/// The unit vector along the weighted sum; `None` if the samples cancel out.
fn fuse(samples: &[(f32, Embedding)]) -> Option<Vec<f32>> {
    let mut sum = vec![0.0f32; samples.first()?.1.values().len()];
    for (quality, sample) in samples {
        // Every usable frame counts a little.
        let weight = quality.clamp(0.05, 1.0);
        sum.iter_mut().zip(sample.values()).for_each(|(s, v)| *s += weight * v);
    }
    unit(&mut sum).is_ok().then_some(sum)
}

/// All people in front of the camera.
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    tracks: Vec<Track>,
    next: u64,
}

impl Tracker {
    /// Nobody yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, tracks: Vec::new(), next: 0 }
    }

    /// Takes the faces of the frame at `at`; gives the track of each, in the faces' order.
    pub fn update(&mut self, at: Millis, faces: &[Face]) -> Vec<TrackId> {
        let lost = self.settings.lost_after_ms;
        self.tracks.retain(|t| at.since(t.seen) <= lost);
        let mut taken = vec![false; self.tracks.len()];
        faces
            .iter()
            .map(|face| {
                let index = match self.continues(face, &taken) {
                    Some(i) => i,
                    None => {
                        self.tracks.push(Track {
                            id: TrackId(self.next),
                            bbox: face.detection.bbox,
                            seen: at,
                            fault: None,
                            frames: 0,
                            samples: Vec::new(),
                            probe: None,
                        });
                        self.next += 1;
                        taken.push(false);
                        self.tracks.len() - 1
                    }
                };
                taken[index] = true;
                let track = &mut self.tracks[index];
                track.bbox = face.detection.bbox;
                track.seen = at;
                track.fault = face.quality.reasons.first().copied();
                if let Some(sample) = &face.embedding
                    && face.quality.is_good()
                {
                    track.add(face.quality.score, sample, self.settings.samples);
                }
                track.id
            })
            .collect()
    }

    /// The free track that `face` continues: best overlap among those it does not contradict.
    fn continues(&self, face: &Face, taken: &[bool]) -> Option<usize> {
        let alike = |t: &Track| match (&face.embedding, t.probe()) {
            (Some(e), Some(p)) => cosine(e.values(), p).value() >= self.settings.min_likeness,
            // Nothing to compare yet: the place alone decides, and nothing is fused until there is.
            _ => true,
        };
        self.tracks
            .iter()
            .enumerate()
            .filter(|(i, t)| !taken[*i] && alike(t))
            .map(|(i, t)| (i, t.bbox.iou(&face.detection.bbox)))
            .filter(|(_, iou)| *iou >= self.settings.min_iou)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(i, _)| i)
    }

    /// Ends every track: whoever comes now is looked at anew.
    pub fn forget(&mut self) {
        self.tracks.clear();
    }

    /// The track called `id`.
    pub fn get(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|t| t.id == id)
    }

    /// Tracks seen within the time limit.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::geometry::{Detection, Landmarks};
    use limen_models::quality::Quality;

    fn face(x: f32, sample: Option<[f32; 2]>) -> Face {
        let good = sample.is_some();
        Face {
            detection: Detection {
                bbox: BBox { x1: x, y1: 0.0, x2: x + 99.0, y2: 99.0 },
                landmarks: Landmarks::default(),
                confidence: 1.0,
            },
            quality: Quality {
                measures: None,
                score: 0.5,
                reasons: (!good).then_some(Reason::Blurred).into_iter().collect(),
            },
            aligned: None,
            embedding: sample.and_then(|s| Embedding::new(s.to_vec(), "m".into())),
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(Settings { min_iou: 0.3, min_likeness: 0.5, lost_after_ms: 500, samples: 2 })
    }

    #[test]
    fn whoever_comes_after_all_was_forgotten_is_somebody_new() {
        let mut tracker = tracker();
        let first = tracker.update(Millis(0), &[face(0.0, Some([1.0, 0.0]))]);
        tracker.forget();
        let again = tracker.update(Millis(40), &[face(0.0, Some([1.0, 0.0]))]);
        assert_ne!(first, again);
        assert_eq!(tracker.get(again[0]).unwrap().frames, 1);
    }

    #[test]
    fn a_face_that_moves_a_little_stays_one_track() {
        let mut t = tracker();
        let a = t.update(Millis(0), &[face(0.0, Some([1.0, 0.0]))])[0];
        let b = t.update(Millis(100), &[face(20.0, Some([0.8, 0.6]))])[0];
        assert_eq!(a, b);
        let track = t.get(a).unwrap();
        assert_eq!(track.frames, 2);
        // (1, 0) + (0.8, 0.6), brought to unit length: (1.8, 0.6) / 1.897.
        let p = track.probe().unwrap();
        assert!((p[0] - 0.948_68).abs() < 1e-4 && (p[1] - 0.316_23).abs() < 1e-4, "{p:?}");
    }

    #[test]
    fn another_person_in_the_same_place_is_another_track() {
        let mut t = tracker();
        let a = t.update(Millis(0), &[face(0.0, Some([1.0, 0.0]))])[0];
        let b = t.update(Millis(100), &[face(0.0, Some([0.0, 1.0]))])[0];
        assert_ne!(a, b);
        assert_eq!(t.get(b).unwrap().probe().unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn an_unusable_frame_adds_nothing_and_says_why() {
        let mut t = tracker();
        let a = t.update(Millis(0), &[face(0.0, Some([1.0, 0.0]))])[0];
        assert_eq!(t.update(Millis(50), &[face(0.0, None)])[0], a);
        let track = t.get(a).unwrap();
        assert_eq!((track.frames, track.fault), (1, Some(Reason::Blurred)));
    }

    #[test]
    fn a_track_unseen_too_long_ends() {
        let mut t = tracker();
        let a = t.update(Millis(0), &[face(0.0, Some([1.0, 0.0]))])[0];
        t.update(Millis(500), &[]);
        assert!(t.get(a).is_some());
        let b = t.update(Millis(501), &[face(0.0, Some([1.0, 0.0]))])[0];
        assert_ne!(a, b);
        assert_eq!(t.tracks().len(), 1);
    }

    #[test]
    fn two_faces_never_share_a_track() {
        let mut t = tracker();
        let first = t.update(Millis(0), &[face(0.0, None), face(10.0, None)]);
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn a_sample_counts_by_its_quality_and_every_one_a_little() {
        let mut t = tracker();
        let mut face = |at, quality, sample| {
            let mut f = face(0.0, Some(sample));
            f.quality.score = quality;
            t.update(Millis(at), &[f])[0]
        };
        // 0.9 (1, 0) + 0.05 (0.8, 0.6), since none counts less than 0.05: (0.94, 0.03), of unit length.
        let id = face(0, 0.9, [1.0, 0.0]);
        assert_eq!(face(10, 0.0, [0.8, 0.6]), id);
        let p = t.get(id).unwrap().probe().unwrap().to_vec();
        assert!((p[0] - 0.999_491).abs() < 1e-5 && (p[1] - 0.031_899).abs() < 1e-5, "{p:?}");
    }

    #[test]
    fn the_best_samples_are_kept() {
        let mut t = tracker();
        let mut good = face(0.0, Some([1.0, 0.0]));
        good.quality.score = 0.9;
        let id = t.update(Millis(0), &[good.clone()])[0];
        let mut poor = face(0.0, Some([0.8, 0.6]));
        poor.quality.score = 0.1;
        t.update(Millis(10), &[poor]);
        t.update(Millis(20), &[good]);
        assert_eq!(t.get(id).unwrap().probe().unwrap(), [1.0, 0.0], "the poor one gave way");
    }
}
