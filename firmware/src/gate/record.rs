//! What a decision rested on, as the journal keeps it: enough to decide once more and come to the same. It names nobody.

use limen_gallery_db::event::MAX_DETAIL;
use limen_gallery_db::{Event, EventKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::decide::{Claim, Decision, Evidence, Policy, Request, decide};

/// The key in an event's detail.
const KEY: &str = "basis";

/// Evidence, demands, and the program that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was known.
    pub evidence: Evidence,
    /// What was demanded.
    pub policy: Policy,
    /// The program's version.
    pub version: String,
}

/// Why an event cannot be decided once more.
#[derive(Debug, Error)]
pub enum NotKept {
    /// No decision on a person, or one with too many rules to be kept, or of an older Limen.
    #[error("event {seq} keeps no evidence: it is no decision on a person, or an older Limen wrote it")]
    Nothing {
        /// Its number.
        seq: i64,
    },
    /// Of another version of the evidence.
    #[error("event {seq}: its evidence cannot be read: {why}; the Limen that wrote it can")]
    Foreign {
        /// Its number.
        seq: i64,
        /// What is wrong.
        why: serde_json::Error,
    },
}

impl Record {
    /// Of a decision that this program makes.
    pub fn new(evidence: &Evidence, policy: &Policy) -> Self {
        Self { evidence: evidence.clone(), policy: *policy, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Puts it into an event's detail, if there is room.
    pub fn keep(&self, detail: &mut Value) {
        if let Ok(value) = serde_json::to_value(self)
            && detail.to_string().len() + value.to_string().len() + KEY.len() + 4 <= MAX_DETAIL
        {
            detail[KEY] = value;
        }
    }

    /// That of an event, with the person as the journal names them.
    pub fn of(event: &Event) -> Result<Self, NotKept> {
        let seq = event.seq.number();
        let kept = event.detail.as_ref().and_then(|d| d.get(KEY)).ok_or(NotKept::Nothing { seq })?;
        let mut record: Self =
            serde_json::from_value(kept.clone()).map_err(|why| NotKept::Foreign { seq, why })?;
        let id = event.external_id.clone().unwrap_or_default();
        if let Claim::One(claimed) = &mut record.evidence.claim {
            claimed.person.id.clone_from(&id);
        }
        if let Some(best) = record.evidence.face.as_mut().and_then(|f| f.best.as_mut()) {
            best.person.id = id;
        }
        Ok(record)
    }

    /// Decides once more.
    pub fn decide(&self) -> Decision {
        decide(&self.evidence, &self.policy)
    }
}

/// The event's kind and reason that a decision leads to; `None` for one that is not written down.
pub fn written(decision: &Decision) -> Option<(EventKind, Option<&'static str>)> {
    Some(match decision {
        Decision::Grant { .. } => (EventKind::Granted, None),
        Decision::Deny(why) => (EventKind::Denied, Some(why.code())),
        Decision::Pair { .. } => (EventKind::Asked, Some("second-person")),
        Decision::Ask(Request::Show(_)) => (EventKind::Asked, Some("second-factor")),
        Decision::Ask(Request::SayWho) => (EventKind::Asked, Some("say-who")),
        Decision::Ask(Request::Wait | Request::OneAtATime | Request::Improve(_))
        | Decision::Passed { .. } => {
            return None;
        }
    })
}
