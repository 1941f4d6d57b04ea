//! The poses of an enrolment: a few good frames of each, all of one person, until there are enough. Pure; time comes in.

use limen_gallery_db::score::{Threshold, cosine};
use limen_models::quality::{Limits, Reason};

use crate::time::Millis;

/// Frames of each pose.
pub const EACH: u8 = 3;
/// Between two of them, ms: frames that follow each other at once are the same picture.
pub const APART_MS: u64 = 150;
/// Whoever is out of sight for so long, ms, is somebody else: it begins anew.
pub const GONE_MS: u64 = 3000;
/// So many frames in a row that look like somebody else are somebody else: it begins anew.
pub const STRANGERS: u32 = 3;

/// Straight ahead, degrees: what the estimate from five points makes of a face depends on its nose too, in pitch more than
/// in yaw, so this is wide, and the other poses are measured from what this one gave.
const AHEAD_YAW_DEG: f32 = 12.0;
const AHEAD_PITCH_DEG: f32 = 25.0;
/// Turned to a side, and up or down, degrees from the look ahead: more than anybody sways by, and less than the door takes.
pub const TURN_DEG: f32 = 12.0;
/// Likewise.
pub const NOD_DEG: f32 = 9.0;
/// A pose needs so much room between where it begins and the door's own limit, degrees, else it is left out: templates of
/// what the door never judges would help nobody.
const ROOM_DEG: f32 = 4.0;

/// Which way a face looks, as its owner says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pose {
    /// Straight ahead.
    Ahead,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// Up.
    Up,
    /// Down.
    Down,
}

impl Pose {
    /// All of them, in the order in which they are asked for.
    pub const ALL: [Self; 5] = [Self::Ahead, Self::Left, Self::Right, Self::Up, Self::Down];
}

/// The largest face of a frame.
pub struct Face<'a> {
    /// Its turn to the picture's right, degrees.
    pub yaw_deg: f32,
    /// Its look down, degrees.
    pub pitch_deg: f32,
    /// Why it cannot be used, if so.
    pub fault: Option<Reason>,
    /// Its embedding and quality, if it can.
    pub sample: Option<(&'a [f32], f32)>,
    /// Whether another face about as large stands beside it.
    pub is_crowded: bool,
}

/// What the person is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// To look that way.
    Look(Pose),
    /// To mend what the quality check found.
    Improve(Reason),
    /// To stand alone.
    OneAtATime,
    /// To look ahead once more: it began anew, since somebody else stood there.
    Anew,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Frames taken of each of [`Pose::ALL`]; `None` for a pose that is not asked for.
    pub taken: [Option<u8>; 5],
    /// What to do.
    pub hint: Hint,
}

/// A frame that was taken.
#[derive(Clone, PartialEq)]
struct Taken {
    pose: Pose,
    vector: Vec<f32>,
    quality: f32,
    yaw_deg: f32,
    pitch_deg: f32,
}

/// The frames taken so far. They are in memory alone, and go with it.
pub struct Poses {
    wanted: Vec<Pose>,
    same_face: Threshold,
    taken: Vec<Taken>,
    /// Sum of the looks ahead: what everything else must resemble.
    ahead: Option<Vec<f32>>,
    hint: Hint,
    /// When the last frame was taken.
    at: Option<Millis>,
    /// Since when nobody has been there. Frames may be far apart where the processor is slow: that is no absence.
    gone: Option<Millis>,
    strangers: u32,
}

impl Poses {
    /// Nothing yet. Two frames show one person from a cosine of `same_face` on; the poses are those that a door with these
    /// limits judges.
    pub fn new(limits: &Limits, same_face: Threshold) -> Self {
        let fits = |pose: &Pose| match pose {
            Pose::Ahead => true,
            Pose::Left | Pose::Right => limits.max_yaw_deg >= TURN_DEG + ROOM_DEG,
            Pose::Up | Pose::Down => limits.max_pitch_deg >= NOD_DEG + ROOM_DEG,
        };
        Self {
            wanted: Pose::ALL.into_iter().filter(fits).collect(),
            same_face,
            taken: Vec::new(),
            ahead: None,
            hint: Hint::Look(Pose::Ahead),
            at: None,
            gone: None,
            strangers: 0,
        }
    }

    /// Looks at the largest face of a frame, if there is one; whether the frame was taken.
    pub fn look(&mut self, face: Option<&Face<'_>>, now: Millis) -> bool {
        if self.gone.is_some_and(|gone| now.since(gone) >= GONE_MS) {
            self.begin_anew();
        }
        let Some(face) = face else {
            self.gone.get_or_insert(now);
            self.hint = self.next();
            return false;
        };
        self.gone = None;
        let trouble = face.is_crowded.then_some(Hint::OneAtATime).or(face.fault.map(Hint::Improve));
        let (None, Some((vector, quality))) = (trouble, face.sample) else {
            self.hint = trouble.unwrap_or_else(|| self.next());
            return false;
        };
        if self.ahead.as_ref().is_some_and(|mean| !cosine(mean, vector).reaches(self.same_face)) {
            self.strangers += 1;
            if self.strangers >= STRANGERS {
                self.begin_anew();
                self.hint = Hint::Anew;
            }
            return false;
        }
        self.strangers = 0;
        let (yaw_deg, pitch_deg) = (face.yaw_deg, face.pitch_deg);
        let took = self.pose(yaw_deg, pitch_deg).filter(|pose| {
            let ripe = self.at.is_none_or(|at| now.since(at) >= APART_MS);
            ripe && self.wanted.contains(pose) && self.count(*pose) < EACH
        });
        if let Some(pose) = took {
            if pose == Pose::Ahead {
                match &mut self.ahead {
                    Some(sum) => sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v),
                    none => *none = Some(vector.to_vec()),
                }
            }
            self.taken.push(Taken { pose, vector: vector.to_vec(), quality, yaw_deg, pitch_deg });
            self.at = Some(now);
        }
        if took.is_some() || self.hint != Hint::Anew {
            self.hint = self.next();
        }
        took.is_some()
    }

    /// Which pose a face with these angles has; before the looks ahead are there, that one alone.
    fn pose(&self, yaw_deg: f32, pitch_deg: f32) -> Option<Pose> {
        let (yaw, pitch) = match self.is_ahead_done() {
            false => {
                return (yaw_deg.abs() <= AHEAD_YAW_DEG && pitch_deg.abs() <= AHEAD_PITCH_DEG)
                    .then_some(Pose::Ahead);
            }
            true => {
                let (yaw, pitch) = self.ahead_deg();
                (yaw_deg - yaw, pitch_deg - pitch)
            }
        };
        if yaw.abs() >= TURN_DEG && yaw.abs() >= pitch.abs() {
            // Positive is to the picture's right: whoever turns to their left is seen turning to the right.
            return Some(if yaw > 0.0 { Pose::Left } else { Pose::Right });
        }
        // Downwards is positive.
        (pitch.abs() >= NOD_DEG && pitch.abs() > yaw.abs()).then_some(if pitch > 0.0 {
            Pose::Down
        } else {
            Pose::Up
        })
    }

    fn is_ahead_done(&self) -> bool {
        self.count(Pose::Ahead) >= EACH
    }

    /// Mean yaw and pitch of the looks ahead, degrees.
    fn ahead_deg(&self) -> (f32, f32) {
        let of = |angle: fn(&Taken) -> f32| {
            self.taken.iter().filter(|t| t.pose == Pose::Ahead).map(angle).sum::<f32>() / f32::from(EACH)
        };
        (of(|t| t.yaw_deg), of(|t| t.pitch_deg))
    }

    fn count(&self, pose: Pose) -> u8 {
        let count = self.taken.iter().filter(|t| t.pose == pose).count();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    fn next(&self) -> Hint {
        let missing = self.wanted.iter().find(|pose| self.count(**pose) < EACH);
        Hint::Look(missing.copied().unwrap_or(Pose::Ahead))
    }

    fn begin_anew(&mut self) {
        self.taken.clear();
        (self.ahead, self.at, self.strangers) = (None, None, 0);
    }

    /// Whether there are enough of all.
    pub fn is_done(&self) -> bool {
        self.wanted.iter().all(|pose| self.count(*pose) >= EACH)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let of = |pose| self.wanted.contains(&pose).then(|| self.count(pose));
        Progress { taken: Pose::ALL.map(of), hint: self.hint }
    }

    /// The embeddings taken, with their qualities.
    pub fn into_samples(self) -> Vec<(Vec<f32>, f32)> {
        self.taken.into_iter().map(|t| (t.vector, t.quality)).collect()
    }
}

impl std::fmt::Debug for Poses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Poses({} frames)", self.taken.len())
    }
}

#[cfg(test)]
mod tests;
