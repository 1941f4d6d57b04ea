//! The only place that says yes or no: evidence and policy in, one decision out. No clock, no I/O, no state.

use serde::Serialize;

use crate::doorway::News;
use limen_models::quality::Reason as QualityReason;

/// What the switches of the door demand. They come before whoever stands before the camera, and an open housing before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Open: a way out is asked for.
    Open,
    /// Lock at once.
    Lock,
    /// Nothing: it is written down.
    Record,
}

/// The switches' lines of the table.
pub fn switches(news: News) -> Demand {
    match news {
        News::LetOut => Demand::Open,
        News::Tampered => Demand::Lock,
        News::Forced | News::Held | News::Untampered => Demand::Record,
    }
}

/// Whether typed digits are the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinMatch {
    /// They are.
    Right,
    /// They are not.
    Wrong,
}

/// What follows on a PIN that was typed at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAnswer {
    /// The service menu opens.
    Open,
    /// It may be tried again.
    Again {
        /// So often, before no PIN is taken for a while.
        left: u32,
    },
    /// No PIN is taken for a while.
    Locked {
        /// For so long, ms.
        for_ms: u64,
    },
}

/// Wrong PINs in a row until none is taken for a while.
pub const PIN_TRIES: u32 = 3;
/// How long that is after the first of them, ms. Each further wrong one doubles it.
pub const PIN_LOCK_MS: u64 = 60_000;
/// How long it is at most, ms: 10,000 PINs take over a year.
pub const PIN_LONGEST_LOCK_MS: u64 = 3_600_000;

/// The PIN's lines of the table; `wrong` of them were typed in a row before this one.
pub fn pin(typed: PinMatch, wrong: u32) -> PinAnswer {
    match (typed, locked_ms(wrong, PIN_TRIES)) {
        (PinMatch::Right, _) => PinAnswer::Open,
        (PinMatch::Wrong, Some(for_ms)) => PinAnswer::Locked { for_ms },
        (PinMatch::Wrong, None) => PinAnswer::Again { left: PIN_TRIES - 1 - wrong },
    }
}

/// For how long none is taken, ms, after a wrong one that came after `wrong` others in a row, where `tries` of them are one too
/// many; `None` if it may be tried again.
pub fn locked_ms(wrong: u32, tries: u32) -> Option<u64> {
    let beyond = wrong.saturating_add(1).checked_sub(tries)?;
    Some((PIN_LOCK_MS << beyond.min(16)).min(PIN_LONGEST_LOCK_MS))
}

/// What the gallery says of the best candidate at the moment of the frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The subject's external id.
    pub id: String,
    /// Cosine of the fused probe to the subject's best template, -1 to 1.
    pub score: f32,
    /// The subject's standing at that moment.
    pub standing: Standing,
}

/// May this subject pass at all, whoever stands there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Valid,
    /// Suspended by an admin.
    Suspended,
    /// The validity has not begun.
    NotYetValid,
    /// The validity is over.
    Expired,
}

/// All that is known of one tracked face when a decision is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The best candidate; `None` for an empty gallery or before a usable frame.
    pub best: Option<Candidate>,
    /// Score of the best minus that of the second-best subject; `None` with fewer than two subjects.
    pub margin: Option<f32>,
    /// Frames of good quality fused into the probe.
    pub frames: u32,
    /// Why the newest frame of this face could not be used; `None` if it was.
    pub fault: Option<QualityReason>,
    /// Other faces in the frame that are about as large as this one.
    pub companions: u32,
    /// Since this subject was last let in, ms; `None` if not lately.
    pub since_grant_ms: Option<u64>,
}

/// What is demanded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Least score.
    pub threshold: f32,
    /// Least margin to the second-best subject.
    pub min_margin: f32,
    /// Least frames fused.
    pub min_frames: u32,
    /// For so long after a grant the same subject is not let in again, ms.
    pub cool_down_ms: u64,
    /// Whether a second face as large as the first stops a grant.
    pub companions: Companions,
}

/// What a second large face means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Companions {
    /// Everybody is judged by themselves.
    Allowed,
    /// "One at a time": nobody passes while two stand there.
    OneAtATime,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// Nobody of the gallery scores high enough.
    Unknown,
    /// Two subjects score too much alike.
    Ambiguous,
    /// Known and suspended.
    Suspended,
    /// Known, not yet valid.
    NotYetValid,
    /// Known, no longer valid.
    Expired,
}

impl Denial {
    /// The kebab-case code of journal and JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Suspended => "suspended",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
        }
    }
}

/// What the person should do before anything is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Another frame is needed, nothing to do.
    Wait,
    /// Stand alone.
    OneAtATime,
    /// Mend what the quality check found.
    Improve(QualityReason),
}

/// Yes, no, or not yet. There is no fourth answer, and whatever is not a grant leaves the door shut.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Let this subject in.
    Grant {
        /// External id.
        id: String,
        /// Score it rests on.
        score: f32,
    },
    /// Not this person.
    Deny(Denial),
    /// Ask for more before saying anything.
    Ask(Request),
    /// The subject has just been let in: nothing new to say.
    Passed {
        /// External id.
        id: String,
    },
}

/// Decides. Default deny: every path to a grant is the last line.
///
/// Precedence: a crowd, a fault of the newest frame, missing frames, the threshold, the margin, the subject's standing,
/// the cool-down, the grant.
pub fn decide(evidence: &Evidence, policy: &Policy) -> Decision {
    if policy.companions == Companions::OneAtATime && evidence.companions > 0 {
        return Decision::Ask(Request::OneAtATime);
    }
    // An unusable face says nothing about who stands there now, whatever the frames before it said.
    if let Some(fault) = evidence.fault {
        return Decision::Ask(Request::Improve(fault));
    }
    if evidence.frames < policy.min_frames.max(1) {
        return Decision::Ask(Request::Wait);
    }
    // Written so that a score that is no number fails.
    let Some(best) = evidence.best.as_ref().filter(|b| b.score >= policy.threshold) else {
        return Decision::Deny(Denial::Unknown);
    };
    if evidence.margin.is_some_and(|m| m.is_nan() || m < policy.min_margin) {
        return Decision::Deny(Denial::Ambiguous);
    }
    match best.standing {
        Standing::Suspended => return Decision::Deny(Denial::Suspended),
        Standing::NotYetValid => return Decision::Deny(Denial::NotYetValid),
        Standing::Expired => return Decision::Deny(Denial::Expired),
        Standing::Valid => {}
    }
    if evidence.since_grant_ms.is_some_and(|ms| ms < policy.cool_down_ms) {
        return Decision::Passed { id: best.id.clone() };
    }
    Decision::Grant { id: best.id.clone(), score: best.score }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy {
            threshold: 0.4,
            min_margin: 0.05,
            min_frames: 2,
            cool_down_ms: 5000,
            companions: Companions::OneAtATime,
        }
    }

    #[test]
    fn each_line_of_the_pins_table() {
        for wrong in [0, 1, 2, 7, u32::MAX] {
            assert_eq!(pin(PinMatch::Right, wrong), PinAnswer::Open);
        }
        let minutes = |wrong| match pin(PinMatch::Wrong, wrong) {
            PinAnswer::Open => panic!("a wrong PIN opened the menu"),
            PinAnswer::Again { left } => -f64::from(left),
            PinAnswer::Locked { for_ms } => for_ms as f64 / 60_000.0,
        };
        let all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX].map(minutes);
        assert_eq!(all, [-2.0, -1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    }

    fn evidence() -> Evidence {
        Evidence {
            best: Some(Candidate { id: "7".into(), score: 0.6, standing: Standing::Valid }),
            margin: Some(0.2),
            frames: 2,
            fault: None,
            companions: 0,
            since_grant_ms: None,
        }
    }

    fn with(change: impl FnOnce(&mut Evidence)) -> Decision {
        let mut e = evidence();
        change(&mut e);
        decide(&e, &policy())
    }

    #[test]
    fn each_line_of_the_table() {
        assert_eq!(with(|_| {}), Decision::Grant { id: "7".into(), score: 0.6 });
        assert_eq!(with(|e| e.companions = 1), Decision::Ask(Request::OneAtATime));
        assert_eq!(with(|e| e.frames = 1), Decision::Ask(Request::Wait));
        assert_eq!(
            with(|e| {
                e.frames = 9;
                e.fault = Some(QualityReason::TooDark);
            }),
            Decision::Ask(Request::Improve(QualityReason::TooDark))
        );
        assert_eq!(with(|e| e.best = None), Decision::Deny(Denial::Unknown));
        let score = |s: f32| with(|e| e.best.as_mut().unwrap().score = s);
        assert_eq!(score(0.399), Decision::Deny(Denial::Unknown));
        assert_eq!(score(0.4), Decision::Grant { id: "7".into(), score: 0.4 });
        assert_eq!(score(f32::NAN), Decision::Deny(Denial::Unknown));
        assert_eq!(with(|e| e.margin = Some(0.049)), Decision::Deny(Denial::Ambiguous));
        assert_eq!(with(|e| e.margin = Some(f32::NAN)), Decision::Deny(Denial::Ambiguous));
        let standing = |s| with(|e| e.best.as_mut().unwrap().standing = s);
        assert_eq!(standing(Standing::Suspended), Decision::Deny(Denial::Suspended));
        assert_eq!(standing(Standing::NotYetValid), Decision::Deny(Denial::NotYetValid));
        assert_eq!(standing(Standing::Expired), Decision::Deny(Denial::Expired));
        assert_eq!(with(|e| e.since_grant_ms = Some(4999)), Decision::Passed { id: "7".into() });
        assert!(matches!(with(|e| e.since_grant_ms = Some(5000)), Decision::Grant { .. }));
    }

    #[test]
    fn no_policy_grants_on_no_frame() {
        let p = Policy { min_frames: 0, ..policy() };
        let e = Evidence { frames: 0, ..evidence() };
        assert_eq!(decide(&e, &p), Decision::Ask(Request::Wait));
    }

    proptest! {
        #[test]
        fn a_grant_meets_every_demand(
            score in prop_oneof![Just(f32::NAN), -1.0f32..=1.0],
            margin in proptest::option::of(prop_oneof![Just(f32::NAN), -0.2f32..0.5]),
            frames in 0u32..5,
            faulty in any::<bool>(),
            companions in 0u32..3,
            since in proptest::option::of(0u64..20_000),
            standing in prop_oneof![
                Just(Standing::Valid), Just(Standing::Suspended), Just(Standing::NotYetValid), Just(Standing::Expired)
            ],
            nobody in any::<bool>(),
            one in any::<bool>(),
        ) {
            let p = Policy {
                companions: if one { Companions::OneAtATime } else { Companions::Allowed },
                ..policy()
            };
            let fault = faulty.then_some(QualityReason::Blurred);
            let best = (!nobody).then(|| Candidate { id: "x".into(), score, standing });
            let e = Evidence { best, margin, frames, fault, companions, since_grant_ms: since };
            let granted = matches!(decide(&e, &p), Decision::Grant { .. });
            let demanded = !nobody
                && score >= p.threshold
                && margin.is_none_or(|m| m >= p.min_margin)
                && frames >= p.min_frames
                && !faulty
                && (companions == 0 || !one)
                && standing == Standing::Valid
                && since.is_none_or(|s| s >= p.cool_down_ms);
            prop_assert_eq!(granted, demanded);
        }
    }
}
