//! What is done for the people at the device: to look who has an id, to suspend, remove and enrol. Each change is written
//! together with its event.

use anyhow::Result;
use jiff::Timestamp;
use limen_gallery_db::event::NewEvent;
use limen_gallery_db::subject::NewSubject;
use limen_gallery_db::{
    EnrolPolicy, EnrolRefusal, Event, EventKind, Gallery, GalleryError, Sample, Standing, Subject,
};

use super::{Attendant, Moment, last};
use crate::controls::focus::Focus;
use crate::display::screens::service_menu::Door;
use crate::kiosk;
use crate::kiosk::enrol::{Deed, Enrol, Known, Outcome, Wanted};
use crate::kiosk::poses::{Face, Poses};
use crate::recognise::{Seen, Sighting};
use crate::time::Millis;

/// The journal's word for what was done at the device.
const HERE: &str = "at-the-door";
/// Samples that must be left once those are dropped that do not agree: a look ahead and two other poses.
const MIN_SAMPLES: usize = 3;

impl Attendant {
    /// Whether somebody is at the people: nobody is let in by their face meanwhile.
    pub fn is_busy(&self) -> bool {
        self.people.is_some()
    }

    /// A frame was looked at while somebody is at the people; what was written down. Comparing with the whole gallery takes a
    /// moment, which has to wait while the bolt is drawn: it falls when it is due.
    pub fn look(
        &mut self,
        seen: &Seen,
        at: Moment,
        (gallery, door): (&mut Gallery, Door),
    ) -> Result<Option<Event>> {
        if door == Door::Locked
            && let Some(wanted) = self.due.take()
        {
            return self.enrol(&wanted, at, gallery);
        }
        let Some(people) = &mut self.people else { return Ok(None) };
        let face = seen.largest().map(|i| face(&seen.sightings[i]));
        let deed = people.look(face.as_ref(), at.now);
        deed.map(|deed| self.do_for_people(deed, at, gallery)).transpose().map(Option::flatten)
    }

    /// Does what is to be done; what was written down.
    pub(super) fn do_for_people(
        &mut self,
        deed: Deed,
        at: Moment,
        gallery: &mut Gallery,
    ) -> Result<Option<Event>> {
        let Some(people) = &mut self.people else { return Ok(None) };
        let changed = match deed {
            Deed::Find(id) => match gallery.subject_by_external_id(&id) {
                Ok(found) => {
                    people.found(id, found.as_ref().map(known));
                    return Ok(None);
                }
                Err(e) => Err(e),
            },
            Deed::Stand(id, standing) => {
                stand(gallery, &id, standing, at.wall).map(|kind| (Outcome::Stands(standing), kind))
            }
            Deed::Remove(id) => remove(gallery, &id, at.wall).map(|kind| (Outcome::Removed, kind)),
            Deed::Begin => {
                let s = &self.settings;
                people.begin(Poses::new(&s.limits, s.same_face));
                return Ok(None);
            }
            Deed::Enrol(wanted) => {
                self.due = Some(wanted);
                return Ok(None);
            }
            Deed::Pin => {
                let guard = self.guard(gallery, at.wall)?;
                self.menu.guarded(guard, at.now);
                self.menu.ask(Focus::default(), at.now);
                return Ok(None);
            }
        };
        match changed {
            Ok((outcome, kind)) => {
                people.did(outcome, at.now);
                last(gallery, kind)
            }
            Err(e) => {
                failed(people, &e, at.now);
                Ok(None)
            }
        }
    }

    /// The admin gave the PIN: where samples wait for that, it is shown whom they are like.
    pub(super) fn admit(&mut self, now: Millis, gallery: &Gallery) -> Result<()> {
        let Some(people) = &mut self.people else { return Ok(()) };
        match gallery.subject_by_external_id(&self.like)? {
            Some(like) => people.admitted(known(&like), now),
            // Removed meanwhile.
            None => people.cancel(),
        }
        Ok(())
    }

    fn enrol(&mut self, wanted: &Wanted, at: Moment, gallery: &mut Gallery) -> Result<Option<Event>> {
        let Some(people) = &mut self.people else { return Ok(None) };
        let (model, threshold) = (&self.settings.model, self.settings.threshold);
        let policy = EnrolPolicy {
            min_samples: MIN_SAMPLES,
            allow_duplicate: wanted.duplicates,
            ..kiosk::policy(threshold, wanted.existing)?
        };
        let samples: Vec<Sample> = wanted
            .samples
            .iter()
            .map(|(vector, quality)| Sample {
                vector: vector.clone(),
                quality: *quality,
                source: HERE.into(),
            })
            .collect();
        let mut event = NewEvent::new(at.wall, EventKind::Enrolled).about_id(&wanted.id).because(HERE);
        event.model = Some(model.clone());
        let enrolled = subject(gallery, &wanted.id, at.wall)
            .and_then(|new| gallery.noting(event).enrol(&new, model, &samples, &policy));
        match enrolled {
            Ok(enrolment) => {
                if enrolment.subject.consent.is_none() {
                    // Somebody whose samples were added to, and whom nobody had asked before.
                    let agreed = Subject { consent: Some(at.wall), ..enrolment.subject };
                    gallery.update_subject(&agreed)?;
                }
                people.did(Outcome::Enrolled(enrolment.kept.len()), at.now);
                return last(gallery, EventKind::Enrolled);
            }
            Err(GalleryError::Enrolment(EnrolRefusal::DuplicatePerson { external_id, .. })) => {
                self.like = external_id;
                people.alike(at.now);
            }
            Err(GalleryError::Enrolment(refusal)) => people.did((&refusal).into(), at.now),
            Err(e) => failed(people, &e, at.now),
        }
        Ok(None)
    }
}

/// The door goes on.
fn failed(people: &mut Enrol, why: &GalleryError, now: Millis) {
    crate::tell!(Warning, "{why}; nothing was changed");
    people.did(Outcome::Failed, now);
}

/// What the poses look at of a face.
fn face(s: &Sighting) -> Face<'_> {
    let measures = s.quality.measures;
    Face {
        yaw_deg: measures.map_or(0.0, |m| m.yaw_deg),
        pitch_deg: measures.map_or(0.0, |m| m.pitch_deg),
        fault: s.quality.reasons.first().copied(),
        sample: s.sample.as_ref().map(|e| (e.values(), s.quality.score)),
        is_crowded: s.companions > 0,
    }
}

fn known(s: &Subject) -> Known {
    Known { id: s.external_id.clone(), name: s.name.clone(), standing: s.standing }
}

/// The person as it is, or somebody new whose name is the id until another is given; who agreed just now.
fn subject(gallery: &Gallery, id: &str, wall: Timestamp) -> Result<NewSubject, GalleryError> {
    let mut new = NewSubject::new(id, id);
    if let Some(s) = gallery.subject_by_external_id(id)? {
        (new.name, new.groups) = (s.name, s.groups);
        (new.valid_from, new.valid_until) = (s.valid_from, s.valid_until);
    }
    (new.consent, new.at) = (Some(wall), wall);
    Ok(new)
}

fn find(gallery: &Gallery, id: &str) -> Result<Subject, GalleryError> {
    gallery.subject_by_external_id(id)?.ok_or_else(|| GalleryError::UnknownSubject { id: id.to_owned() })
}

fn stand(
    gallery: &mut Gallery,
    id: &str,
    standing: Standing,
    wall: Timestamp,
) -> Result<EventKind, GalleryError> {
    let kind = EventKind::from(standing);
    let subject = find(gallery, id)?.id;
    gallery.noting(NewEvent::new(wall, kind).about(subject).because(HERE)).set_standing(subject, standing)?;
    Ok(kind)
}

fn remove(gallery: &mut Gallery, id: &str, wall: Timestamp) -> Result<EventKind, GalleryError> {
    let subject = find(gallery, id)?.id;
    let event = NewEvent::new(wall, EventKind::Removed).about_id(id).because(HERE);
    gallery.noting(event).remove_subject(subject)?;
    Ok(EventKind::Removed)
}
