//! One enrolment as one transaction: nothing of it stays when a part is refused.

use crate::enrol::{
    DuplicateRule, EnrolPolicy, EnrolRefusal, Enrolment, Existing, Kept, LookAlike, Sample, look_alikes,
    select,
};
use crate::error::{Fault, GalleryError};
use crate::gallery::{Gallery, Indices, Row};
use crate::subject::{self, Key, NewSubject, Subject};
use crate::template::{self, ModelId, Template, TemplateId, TemplateVector, Which};

impl Gallery {
    /// Enrols a person by samples of the embedder `model`, or says why not. One transaction; the duplicate check sees
    /// the whole gallery as it is at this moment, whoever changed it.
    ///
    /// Errors with [`GalleryError::Enrolment`] when the samples are refused, [`GalleryError::Invalid`] when a field
    /// has no place in a gallery or the embeddings are of another length than the model's templates.
    pub fn enrol(
        &mut self,
        new: &NewSubject,
        model: &ModelId,
        samples: &[Sample],
        policy: &EnrolPolicy,
    ) -> Result<Enrolment, GalleryError> {
        let (enrolment, rows) = self.write(|tx, indices| {
            indices.sync(tx)?;
            // Loaded before the first change, so that it is right as well if the changes are taken back.
            indices.of(tx, model)?;
            let (subject, old) = admit(tx, new, model, policy)?;
            let max = policy.max_templates.max(1);
            if old.len() >= max {
                return Err(EnrolRefusal::NoRoom { external_id: subject.external_id, max }.into());
            }
            let policy = EnrolPolicy { max_templates: max, ..*policy };
            let chosen = select(samples, &old, template::length_of(tx, model)?, &policy)?;
            let look_alikes = compare(tx, indices, &subject, model, samples, &chosen.kept, &policy)?;

            let mut rows: Vec<Row> = Vec::with_capacity(chosen.kept.len());
            let mut kept = Vec::with_capacity(chosen.kept.len());
            for index in chosen.kept {
                let sample = &samples[index];
                let vector = TemplateVector::encode(&sample.vector, policy.encoding)
                    .map_err(|e| Fault::invalid("sample", e))?;
                let decoded = vector.decode();
                let id = template::insert(
                    tx,
                    &Template {
                        id: TemplateId::new(0), // given by the file
                        subject: subject.id,
                        model: model.clone(),
                        vector,
                        quality: sample.quality,
                        source: sample.source.clone(),
                        created: new.at,
                    },
                )?;
                kept.push(Kept { index, template: id });
                rows.push((id, decoded));
            }
            Ok((Enrolment { subject, kept, dropped: chosen.dropped, look_alikes }, rows))
        })?;
        let indices = self.indices.get_mut();
        let id = enrolment.subject.id;
        if policy.existing == Existing::Replace {
            indices.remove_of(model, id);
        }
        indices.add(model, id, &rows);
        if policy.existing == Existing::Replace {
            self.forget();
        }
        Ok(enrolment)
    }
}

/// Puts the person into the gallery as the policy says; returns it with the vectors that it keeps.
fn admit(
    tx: &rusqlite::Connection,
    new: &NewSubject,
    model: &ModelId,
    policy: &EnrolPolicy,
) -> Result<(Subject, Vec<Vec<f32>>), Fault> {
    let Some(known) = subject::find(tx, Key::External(&new.external_id))? else {
        let subject = new.clone().into_subject().checked()?;
        subject::insert(tx, &subject)?;
        return Ok((subject, Vec::new()));
    };
    match policy.existing {
        Existing::Refuse => Err(EnrolRefusal::AlreadyEnrolled { external_id: known.external_id }.into()),
        Existing::AddSamples => {
            let mut old = Vec::new();
            template::for_each(tx, Which::Of(known.id), |t| {
                if t.model == *model {
                    old.push(t.vector.decode());
                }
                Ok(())
            })?;
            Ok((known, old))
        }
        Existing::Replace => {
            // A suspension is lifted by a person, not by a new photograph.
            let Subject { id, standing, created, .. } = known;
            let subject = Subject { id, standing, created, ..new.clone().into_subject() }.checked()?;
            subject::update(tx, &subject)?;
            template::remove_of(tx, id, model)?;
            Ok((subject, Vec::new()))
        }
    }
}

/// Whom else the kept samples look like; refuses if the policy says so.
fn compare(
    tx: &rusqlite::Connection,
    indices: &mut Indices,
    subject: &Subject,
    model: &ModelId,
    samples: &[Sample],
    kept: &[usize],
    policy: &EnrolPolicy,
) -> Result<Vec<LookAlike>, Fault> {
    let Some(index) = indices.of(tx, model)? else { return Ok(Vec::new()) };
    let vectors: Vec<&[f32]> = kept.iter().map(|i| samples[*i].vector.as_slice()).collect();
    let mut found = Vec::new();
    for (id, score) in look_alikes(tx, index, subject.id, &vectors, policy.duplicate)? {
        let other = subject::find(tx, Key::Id(id))?;
        let external_id = other.map_or_else(|| id.to_string(), |s| s.external_id);
        if policy.allow_duplicate == DuplicateRule::Refuse {
            return Err(EnrolRefusal::DuplicatePerson { external_id, score }.into());
        }
        found.push(LookAlike { external_id, score });
    }
    Ok(found)
}
