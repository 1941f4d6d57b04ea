//! The gate: gathers the evidence on whoever stands there, has it decided, and remembers what was said and who was let in.

mod claims;
mod house;
pub mod record;

use std::collections::HashMap;

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::Date;
use limen_gallery_db::event::{EventFilter, EventKind};
use limen_gallery_db::subject::{Standing as Suspension, Subject, SubjectId};
use limen_gallery_db::template::ModelId;
use limen_gallery_db::{Gallery, Whereabouts};

use crate::decide::{
    Candidate, Claim, Claimed, Decision, Denial, Evidence, Face, Person, Policy, Readers, Request, Standing,
    decide,
};
use crate::recognise::{Match, Seen, Sighting};
use crate::rules::passback::LastSeen;
use crate::time::Millis;
use crate::track::TrackId;

use claims::Claims;
pub use claims::{Named, Shown};
pub use house::{House, RulesText};

/// What was said of a track that is not in sight any more is forgotten after so long, ms.
const FORGET_MS: u64 = 60_000;
/// A face that was last seen so long ago is in sight still, ms: a frame may be late.
const IN_SIGHT_MS: u64 = 1000;
/// Most people who wait for a second one.
const MOST_WAITING: usize = 16;

/// What was decided, of whom, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Whether it is to be said and written down: a grant always, anything else once a track or a thing that was shown.
    pub is_news: bool,
    /// What it rests on.
    pub evidence: Evidence,
    /// Whom the evidence is about, be they meant or merely resembled.
    pub about: Option<(SubjectId, String)>,
}

/// Somebody who showed enough by a rule that takes two.
struct Waiting {
    rule: String,
    id: String,
    since: Millis,
}

/// A face that was seen, for what is shown a moment later.
struct InSight {
    sighting: Sighting,
    at: Millis,
}

/// Who passes one door.
pub struct Gate {
    policy: Policy,
    model: ModelId,
    house: House,
    /// What was last said of a track, and when it was last in sight.
    told: HashMap<TrackId, (Decision, Millis)>,
    /// By external id.
    granted: HashMap<String, Millis>,
    waiting: Vec<Waiting>,
    claims: Claims,
    /// What was last asked for on a claim.
    asked: Option<Decision>,
    /// The largest face of the newest frame, where anything can be shown besides.
    in_sight: Option<InSight>,
    /// Groups of those who were let in on this local day.
    admitted: Option<(Date, Vec<String>)>,
    lockdown: bool,
}

impl Gate {
    /// Nobody was there yet.
    pub fn new(policy: Policy, model: ModelId, house: House) -> Self {
        Self {
            policy,
            model,
            house,
            told: HashMap::new(),
            granted: HashMap::new(),
            waiting: Vec::new(),
            claims: Claims::default(),
            asked: None,
            in_sight: None,
            admitted: None,
            lockdown: false,
        }
    }

    /// What is demanded of a face.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The house's rules, and where and when it is.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// From now on these.
    pub fn set_house(&mut self, house: House) {
        self.house = house;
        self.admitted = None;
    }

    /// Whether nobody is to come in.
    pub fn set_lockdown(&mut self, lockdown: bool) {
        self.lockdown = lockdown;
    }

    /// Whether nobody is to come in.
    pub fn is_locked_down(&self) -> bool {
        self.lockdown
    }

    /// Whether the clock holds the door open now.
    pub fn holds_open(&mut self, wall: Timestamp, gallery: &Gallery) -> Result<bool> {
        let admitted =
            if self.house.rules.asks_who_came() { self.admitted(wall, gallery)? } else { Vec::new() };
        Ok(self.house.rules.holds_open(&self.house.door, self.house.local(wall), &admitted))
    }

    /// Judges every face of a frame, in the order of its sightings. Something that was shown counts for the largest.
    pub fn frame(
        &mut self,
        seen: &Seen,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<Vec<Verdict>> {
        let largest = seen.largest();
        let mut verdicts = Vec::with_capacity(seen.sightings.len());
        for (i, sighting) in seen.sightings.iter().enumerate() {
            let claimed = Some(i) == largest && self.claims.any(now);
            verdicts.push(self.judge(Some(sighting), claimed, now, wall, gallery)?);
        }
        if self.policy.readers == Readers::Some {
            let largest = largest.and_then(|i| seen.sightings.get(i));
            self.in_sight = largest.map(|s| InSight { sighting: s.clone(), at: now });
        }
        self.told.retain(|_, (_, at)| now.since(*at) < FORGET_MS);
        let cool_down = self.policy.cool_down_ms;
        self.granted.retain(|_, at| now.since(*at) < cool_down);
        Ok(verdicts)
    }

    /// Judges something that was shown at a reader.
    pub fn shown(
        &mut self,
        shown: Shown,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<Verdict> {
        self.claims.show(shown, now);
        // That nothing is looked at is said once.
        self.asked = self.asked.take().filter(|d| matches!(d, Decision::Deny(Denial::TooManyTries)));
        let face = self.in_sight.take().filter(|s| now.since(s.at) <= IN_SIGHT_MS);
        self.judge(face.as_ref().map(|s| &s.sighting), true, now, wall, gallery)
    }

    fn judge(
        &mut self,
        sighting: Option<&Sighting>,
        claimed: bool,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<Verdict> {
        let (claim, claimant) =
            if claimed { self.claim(sighting, now, wall, gallery)? } else { (Claim::Nobody, None) };
        let face = sighting.map(|s| self.face(s, now, wall, gallery)).transpose()?;
        let resembled = sighting.and_then(|s| s.best.as_ref()).filter(|_| claim == Claim::Nobody);
        let about = claimant.or(resembled.map(|b| (b.subject.id, b.subject.external_id.clone())));
        let evidence = Evidence { face, claim, lockdown: self.lockdown };
        let decision = decide(&evidence, &self.policy);
        let is_news = self.remember(sighting, claimed, &decision, now, wall, gallery)?;
        Ok(Verdict { decision, is_news, evidence, about })
    }

    /// What was shown comes to this; and whose it is, if it is one person's.
    fn claim(
        &mut self,
        sighting: Option<&Sighting>,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<(Claim, Option<(SubjectId, String)>)> {
        let (subject, shown, duress) = match self.claims.all(now) {
            claims::All::Nobody => return Ok((Claim::Nobody, None)),
            claims::All::Several => return Ok((Claim::Several, None)),
            claims::All::Unknown => return Ok((Claim::Unknown, None)),
            claims::All::Locked => return Ok((Claim::Locked, None)),
            claims::All::One { subject, shown, duress } => (subject, shown, duress),
        };
        // They may have been removed a moment ago.
        let Some(subject) = gallery.subject(subject)? else { return Ok((Claim::Unknown, None)) };
        let score = match sighting.and_then(|s| s.probe.as_ref()) {
            Some(probe) => gallery.compare(&self.model, subject.id, probe)?.map(|s| s.value()),
            None => None,
        };
        let person = self.person(&subject, now, wall, gallery)?;
        let claim = Claim::One(Claimed { person, shown, score, duress });
        Ok((claim, Some((subject.id, subject.external_id))))
    }

    fn face(&mut self, s: &Sighting, now: Millis, wall: Timestamp, gallery: &Gallery) -> Result<Face> {
        let best = match &s.best {
            Some(Match { subject, score }) => {
                Some(Candidate { person: self.person(subject, now, wall, gallery)?, score: *score })
            }
            None => None,
        };
        Ok(Face { best, margin: s.margin, frames: s.frames, fault: s.fault, companions: s.companions })
    }

    fn person(
        &mut self,
        subject: &Subject,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<Person> {
        let admitted =
            if self.house.rules.asks_who_came() { self.admitted(wall, gallery)? } else { Vec::new() };
        let (rules, door) = (&self.house.rules, &self.house.door);
        let last = match rules.passback().leads_to(door) {
            Some(_) => gallery.whereabouts(subject.id)?,
            None => None,
        };
        let last = last.as_ref().map(|Whereabouts { area, since }| {
            let ago = wall.duration_since(*since).as_millis();
            LastSeen { area, ago_ms: u64::try_from(ago).unwrap_or(0) }
        });
        let id = &subject.external_id;
        let partners = self.waiting.iter().filter(|w| w.id != *id);
        Ok(Person {
            id: id.clone(),
            standing: if rules.is_blocked(&subject.groups) {
                Standing::Blocked
            } else {
                standing(subject, wall)
            },
            access: rules.access(&subject.groups, door, self.house.local(wall), &admitted),
            passback: rules.passback().judge(door, &subject.groups, last),
            since_grant_ms: self.granted.get(id).map(|then| now.since(*then)),
            partners: partners.map(|w| (w.rule.clone(), now.since(w.since))).collect(),
            vetoed: false,
        })
    }

    /// Groups of those who were let in since midnight; after a start, as the journal has them.
    fn admitted(&mut self, wall: Timestamp, gallery: &Gallery) -> Result<Vec<String>> {
        let today = self.house.local(wall).date();
        if let Some((date, groups)) = &self.admitted
            && *date == today
        {
            return Ok(groups.clone());
        }
        let filter = EventFilter {
            since: Some(self.house.midnight(wall)),
            kinds: vec![EventKind::Granted],
            ..EventFilter::default()
        };
        let mut groups: Vec<String> = Vec::new();
        for subject in gallery.events(&filter)?.iter().filter_map(|e| e.subject) {
            groups.extend(gallery.subject(subject)?.into_iter().flat_map(|s| s.groups));
            groups.sort();
            groups.dedup();
        }
        self.admitted = Some((today, groups.clone()));
        Ok(groups)
    }

    /// Takes notice of a decision; says whether it is news.
    fn remember(
        &mut self,
        sighting: Option<&Sighting>,
        claimed: bool,
        decision: &Decision,
        now: Millis,
        wall: Timestamp,
        gallery: &Gallery,
    ) -> Result<bool> {
        let track = sighting.map(|s| s.track);
        let last = if claimed {
            self.asked.as_ref()
        } else {
            track.and_then(|t| self.told.get(&t)).map(|(decision, _)| decision)
        };
        let is_news = match decision {
            Decision::Grant { .. } => true,
            Decision::Deny(Denial::TooManyTries) => last != Some(decision),
            Decision::Deny(_) => claimed || last != Some(decision),
            Decision::Pair { .. } | Decision::Ask(Request::Show(_) | Request::SayWho) => {
                last != Some(decision)
            }
            Decision::Ask(Request::Wait | Request::OneAtATime | Request::Improve(_))
            | Decision::Passed { .. } => false,
        };
        match decision {
            Decision::Grant { id, rule, .. } => {
                self.granted.insert(id.clone(), now);
                self.waiting.retain(|w| w.rule != *rule);
                self.let_in(id, wall, gallery)?;
                self.claims.clear();
            }
            Decision::Pair { id, rule } => {
                self.wait(id, rule, now);
                self.claims.clear();
            }
            // Said once; whoever wants to try again shows it again.
            Decision::Deny(_) | Decision::Passed { .. } if claimed => self.claims.clear(),
            Decision::Deny(_) | Decision::Passed { .. } | Decision::Ask(_) => {}
        }
        match (is_news, claimed, track) {
            (true, true, _) => self.asked = Some(decision.clone()),
            (true, false, Some(track)) => {
                self.told.insert(track, (decision.clone(), now));
            }
            (false, _, Some(track)) => {
                self.told.entry(track).and_modify(|(_, at)| *at = now);
            }
            _ => {}
        }
        Ok(is_news)
    }

    /// Somebody waits for a second person. Whoever stands there on goes on waiting: the time counts from the last frame.
    fn wait(&mut self, id: &str, rule: &str, now: Millis) {
        self.waiting.retain(|w| w.id != id || w.rule != rule);
        if self.waiting.len() == MOST_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting { rule: rule.to_owned(), id: id.to_owned(), since: now });
    }

    /// Their groups have come today.
    fn let_in(&mut self, id: &str, wall: Timestamp, gallery: &Gallery) -> Result<()> {
        if self.house.rules.asks_who_came() {
            let mut groups = self.admitted(wall, gallery)?;
            groups.extend(gallery.subject_by_external_id(id)?.into_iter().flat_map(|s| s.groups));
            groups.sort();
            groups.dedup();
            self.admitted = Some((self.house.local(wall).date(), groups));
        }
        Ok(())
    }
}

/// A subject's standing at `now`. The validity ends at its last moment: `valid_until` itself is outside.
pub fn standing(subject: &Subject, now: Timestamp) -> Standing {
    if subject.standing == Suspension::Suspended {
        Standing::Suspended
    } else if subject.valid_from.is_some_and(|from| now < from) {
        Standing::NotYetValid
    } else if subject.valid_until.is_some_and(|until| now >= until) {
        Standing::Expired
    } else {
        Standing::Valid
    }
}

#[cfg(test)]
mod tests;
