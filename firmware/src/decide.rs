//! The only place that says yes or no: evidence and policy in, one decision out. No clock, no I/O, no state. What rules say
//! of a person it asks of `rules`, as pure.

use jiff::civil::DateTime;
use limen_models::quality::Reason as QualityReason;
use serde::{Deserialize, Serialize};

use crate::rules::access::{Access, Reach, reach};
use crate::rules::factors::{Factor, Factors};
use crate::rules::passback;
use crate::rules::{Persons, Rules};

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
pub const PIN_TRIES: u32 = 5;
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

/// What is said of the door as a whole, by whatever can say it. Nothing of it comes from a person before the camera but
/// `granted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DoorInputs {
    /// The fire alarm asks for an open door, for as long as it lasts.
    pub fire: bool,
    /// Somebody inside wants out, now.
    pub exit: bool,
    /// The housing is opened, now.
    pub tampering: bool,
    /// Nobody is to come in, for as long as it lasts.
    pub lockdown: bool,
    /// An admin opens the door from elsewhere, now.
    pub remote: bool,
    /// The housing is open, for as long as it lasts.
    pub tampered: bool,
    /// The clock holds the door open, for as long as it lasts.
    pub held: bool,
    /// Somebody may pass, now.
    pub granted: bool,
}

/// What the door does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bolt {
    /// It stands unlocked for as long as this is said.
    Held,
    /// It opens for a pulse.
    Pulse,
    /// It is locked at once.
    Shut,
    /// Nothing: what began goes on to its end.
    Rest,
}

/// The door's table: the first line that applies.
pub fn door(inputs: DoorInputs) -> Bolt {
    let DoorInputs { fire, exit, tampering, lockdown, remote, tampered, held, granted } = inputs;
    match () {
        // People get out of a burning house, whatever else is said.
        () if fire => Bolt::Held,
        () if exit => Bolt::Pulse,
        () if tampering || lockdown => Bolt::Shut,
        () if remote => Bolt::Pulse,
        // Whoever opened the housing does not find the door open by the clock.
        () if held && !tampered => Bolt::Held,
        () if granted => Bolt::Pulse,
        () => Bolt::Rest,
    }
}

/// What is known of a person who may be the one who stands there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The subject's external id. It is not written down with the rest: the journal forgets it on demand.
    #[serde(skip)]
    pub id: String,
    /// The subject's standing at that moment.
    pub standing: Standing,
    /// What the rules say of them at this door and time.
    pub access: Access,
    /// What anti-passback says.
    pub passback: passback::Verdict,
    /// Since this subject was last let in, ms; `None` if not lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_grant_ms: Option<u64>,
    /// Others who showed enough by a rule that takes two: the rule, and how long ago, ms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partners: Vec<(String, u64)>,
    /// Whether an admin said of a probe like this one that it is not this person.
    pub vetoed: bool,
}

impl Person {
    /// Somebody of whom only the gallery is asked, as if they stood at a door without rules.
    pub fn anywhere(id: String, standing: Standing) -> Self {
        let access = Rules::default().access(&[], "", DateTime::MIN, &[]);
        Self {
            id,
            standing,
            access,
            passback: passback::Verdict::Free,
            since_grant_ms: None,
            partners: Vec::new(),
            vetoed: false,
        }
    }
}

/// What the gallery says of the best candidate at the moment of the frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who it would be.
    pub person: Person,
    /// Cosine of the fused probe to the subject's best template, -1 to 1.
    pub score: f32,
}

/// May this subject pass at all, whoever stands there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Yes.
    Valid,
    /// Suspended by an admin.
    Suspended,
    /// The validity has not begun.
    NotYetValid,
    /// The validity is over.
    Expired,
    /// In a group that is never let in.
    Blocked,
}

/// A tracked face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// The best candidate of the gallery (1:N); `None` for an empty gallery or before a usable frame.
    pub best: Option<Candidate>,
    /// Score of the best minus that of the second-best subject; `None` with fewer than two subjects.
    pub margin: Option<f32>,
    /// Frames of good quality fused into the probe.
    pub frames: u32,
    /// Why the newest frame of this face could not be used; `None` if it was.
    pub fault: Option<QualityReason>,
    /// Other faces in the frame that are about as large as this one.
    pub companions: u32,
}

/// Whom cards, PINs and passes name that were shown lately.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// None was shown.
    #[default]
    Nobody,
    /// All name this person.
    One(Claimed),
    /// They name different people.
    Several,
    /// One of them names nobody, or is not valid any more.
    Unknown,
    /// One of them was not looked at: there were too many wrong ones.
    Locked,
}

/// Who somebody says that they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// Whom they name.
    pub person: Person,
    /// What was shown, without the face.
    pub shown: Factors,
    /// Cosine of the probe to that person's best template (1:1); `None` without a probe, or where they have none.
    pub score: Option<f32>,
    /// Whether the PIN was the one that says that they are forced to.
    pub duress: Duress,
}

/// Whether somebody lets it be known that they are forced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duress {
    /// No.
    #[default]
    None,
    /// Yes. Nothing shows it at the door.
    Told,
}

/// All that is known when a decision is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of the face; `None` where none is in sight.
    pub face: Option<Face>,
    /// Of what was shown besides.
    pub claim: Claim,
    /// Whether nobody is to come in.
    pub lockdown: bool,
}

/// What is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Least score of somebody whom the face alone names (1:N).
    pub threshold: f32,
    /// Least score of somebody whom something else named before (1:1).
    pub verify_threshold: f32,
    /// Least margin to the second-best subject.
    pub min_margin: f32,
    /// Least frames fused.
    pub min_frames: u32,
    /// For so long after a grant the same subject is not let in again, ms.
    pub cool_down_ms: u64,
    /// Whether a second face as large as the first stops a grant.
    pub companions: Companions,
    /// Whether there is anything at the door by which people can say who they are.
    pub readers: Readers,
}

/// Whether cards, PINs or passes can be shown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readers {
    /// Nothing but the camera.
    None,
    /// At least one of them.
    Some,
}

/// What a second large face means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Companions {
    /// Everybody is judged by themselves.
    Allowed,
    /// "One at a time": nobody passes while two stand there.
    OneAtATime,
}

/// Each reason once: the variant, its code, what it means.
macro_rules! denials {
    ($($name:ident $code:literal $doc:literal)+) => {
        /// Why not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Denial {
            $(#[doc = $doc] #[serde(rename = $code)] $name,)+
        }

        impl Denial {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kebab-case code of journal and JSON.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

denials! {
    Unknown "unknown" "Nobody of the gallery scores high enough."
    Ambiguous "ambiguous" "Two subjects score too much alike, and nothing else says which of them it is."
    Suspended "suspended" "Known and suspended."
    NotYetValid "not-yet-valid" "Known, not yet valid."
    Expired "expired" "Known, no longer valid."
    Blocked "blocked" "Known, and in a group that is never let in."
    Lockdown "lockdown" "Nobody is let in."
    UnknownCredential "unknown-credential" "The card, PIN or pass names nobody."
    TooManyTries "too-many-tries" "There were too many wrong ones in a row: none is looked at for a while."
    Mismatch "mismatch" "Cards, PINs and passes that were shown name different people."
    OtherFace "other-face" "The face is not that of whom the card, PIN or pass names."
    Vetoed "vetoed" "An admin said of a face like this one that it is not whom it resembles."
    NotHere "not-here" "No rule lets this person pass here."
    OutsideHours "outside-hours" "A rule does, at other times."
    NotYetOpened "not-yet-opened" "A rule does, once somebody else has come."
    Passback "passback" "They are on the other side already."
}

impl Denial {
    /// Whether it is said of somebody who is known for certain; else nobody is named in the journal.
    pub const fn names_somebody(self) -> bool {
        !matches!(
            self,
            Self::Unknown
                | Self::Ambiguous
                | Self::Lockdown
                | Self::UnknownCredential
                | Self::TooManyTries
                | Self::Mismatch
                | Self::OtherFace
                | Self::Vetoed
        )
    }
}

/// What the person should do before anything is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Another frame is needed, nothing to do.
    Wait,
    /// Stand alone.
    OneAtATime,
    /// Mend what the quality check found.
    Improve(QualityReason),
    /// Show these as well.
    Show(Factors),
    /// Show something that says who it is: the face alone does not.
    SayWho,
}

/// Yes, no, or not yet. Whatever is not a grant leaves the door shut.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Let this subject in.
    Grant {
        /// External id.
        id: String,
        /// By this rule.
        rule: String,
        /// They showed this.
        shown: Factors,
        /// The score that the face had, if it counted.
        score: Option<f32>,
        /// Whether they let it be known that they are forced to.
        duress: Duress,
    },
    /// Not this person.
    Deny(Denial),
    /// Ask for more before saying anything.
    Ask(Request),
    /// Enough for one of two: the rule takes another person, who comes next.
    Pair {
        /// External id of the first.
        id: String,
        /// The rule.
        rule: String,
    },
    /// The subject has just been let in: nothing new to say.
    Passed {
        /// External id.
        id: String,
    },
}

/// Decides. Default deny: every path to a grant is the last line of [`pass`].
///
/// Precedence: lockdown, a crowd; then, where nothing but the face is shown, a fault of the newest frame, missing frames,
/// the threshold, a veto, the margin; where something names a person, whether it names one; and for whoever it is, what
/// [`pass`] says.
pub fn decide(evidence: &Evidence, policy: &Policy) -> Decision {
    if evidence.lockdown {
        return Decision::Deny(Denial::Lockdown);
    }
    let face = evidence.face.as_ref();
    if policy.companions == Companions::OneAtATime && face.is_some_and(|f| f.companions > 0) {
        return Decision::Ask(Request::OneAtATime);
    }
    match &evidence.claim {
        Claim::Nobody => face.map_or(Decision::Ask(Request::Wait), |face| by_face(face, policy)),
        Claim::One(claimed) => by_claim(claimed, face, policy),
        Claim::Several => Decision::Deny(Denial::Mismatch),
        Claim::Unknown => Decision::Deny(Denial::UnknownCredential),
        Claim::Locked => Decision::Deny(Denial::TooManyTries),
    }
}

/// What keeps a face from being looked at now; `None` where it can be.
fn look(face: &Face, policy: &Policy) -> Option<Request> {
    // An unusable face says nothing about who stands there now, whatever the frames before it said.
    if let Some(fault) = face.fault {
        return Some(Request::Improve(fault));
    }
    (face.frames < policy.min_frames.max(1)).then_some(Request::Wait)
}

/// 1:N: the face names the person.
fn by_face(face: &Face, policy: &Policy) -> Decision {
    if let Some(request) = look(face, policy) {
        return Decision::Ask(request);
    }
    // Written so that a score that is no number fails.
    let Some(best) = face.best.as_ref().filter(|b| b.score >= policy.threshold) else {
        return Decision::Deny(Denial::Unknown);
    };
    let doubt = if best.person.vetoed {
        Some(Denial::Vetoed)
    } else {
        face.margin.is_some_and(|m| m.is_nan() || m < policy.min_margin).then_some(Denial::Ambiguous)
    };
    match (doubt, policy.readers) {
        (Some(_), Readers::Some) => Decision::Ask(Request::SayWho),
        (Some(why), Readers::None) => Decision::Deny(why),
        (None, _) => pass(&best.person, Factors::one(Factor::Face), Some(best.score), Duress::None, policy),
    }
}

/// 1:1: something else names the person, and the face may prove it.
fn by_claim(claimed: &Claimed, face: Option<&Face>, policy: &Policy) -> Decision {
    let looked = face.map(|face| look(face, policy));
    // So that a score that is no number fails.
    let score = claimed.score.filter(|s| looked == Some(None) && *s >= policy.verify_threshold);
    let proven = score.filter(|_| !claimed.person.vetoed);
    let shown = if proven.is_some() { claimed.shown.and(Factor::Face) } else { claimed.shown };
    let decision = pass(&claimed.person, shown, proven, claimed.duress, policy);
    match (&decision, looked) {
        (Decision::Ask(Request::Show(missing)), Some(looked)) if missing.has(Factor::Face) => {
            looked.map_or(Decision::Deny(Denial::OtherFace), Decision::Ask)
        }
        _ => decision,
    }
}

/// What follows for a person who showed `shown`: their standing, the cool-down, the rules, what is missing, anti-passback, a
/// partner, the grant.
fn pass(person: &Person, shown: Factors, score: Option<f32>, duress: Duress, policy: &Policy) -> Decision {
    match person.standing {
        Standing::Blocked => return Decision::Deny(Denial::Blocked),
        Standing::Suspended => return Decision::Deny(Denial::Suspended),
        Standing::NotYetValid => return Decision::Deny(Denial::NotYetValid),
        Standing::Expired => return Decision::Deny(Denial::Expired),
        Standing::Valid => {}
    }
    if person.since_grant_ms.is_some_and(|ms| ms < policy.cool_down_ms) {
        return Decision::Passed { id: person.id.clone() };
    }
    let ways = match &person.access {
        Access::Never => return Decision::Deny(Denial::NotHere),
        Access::NotNow => return Decision::Deny(Denial::OutsideHours),
        Access::NotYet => return Decision::Deny(Denial::NotYetOpened),
        Access::Now(ways) => ways,
    };
    let way = match reach(ways, shown) {
        Reach::Missing(missing) => return Decision::Ask(Request::Show(missing)),
        Reach::Enough(way) => way,
    };
    if person.passback == passback::Verdict::Denied {
        return Decision::Deny(Denial::Passback);
    }
    if let Persons::Two { within_s } = way.persons {
        let within_ms = u64::from(within_s) * 1000;
        if !person.partners.iter().any(|(rule, ago_ms)| *rule == way.rule && *ago_ms <= within_ms) {
            return Decision::Pair { id: person.id.clone(), rule: way.rule.clone() };
        }
    }
    Decision::Grant { id: person.id.clone(), rule: way.rule.clone(), shown, score, duress }
}

#[cfg(test)]
mod tests;
