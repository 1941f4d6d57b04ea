//! Several samples of one person become templates, or the reasons why not.

mod agree;
mod apply;

use std::fmt;

use rusqlite::Connection;
use thiserror::Error;

use crate::enrol::agree::{spread, strays};
use crate::error::Fault;
use crate::gallery::Held;
use crate::score::{Score, Threshold, VectorError, check_length, cosine, unit};
use crate::search::{Candidates, Workspace};
use crate::subject::{Subject, SubjectId};
use crate::template::{Encoding, TemplateId, check_sample};

/// One face image of the person, embedded. `Debug` shows the length only.
#[derive(Clone, PartialEq)]
pub struct Sample {
    /// The embedding, of any norm.
    pub vector: Vec<f32>,
    /// Quality of the face image, 0 to 1.
    pub quality: f32,
    /// File name or camera that it came from; at most 256 characters.
    pub source: String,
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample({} values, quality {})", self.vector.len(), self.quality)
    }
}

/// What to do with an external id that is already in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse.
    #[default]
    Refuse,
    /// Keep the person's data as they are and add templates; the new samples must agree with the old templates.
    AddSamples,
    /// Take the new data (all but the standing) and, in place of the person's templates of this model, the new ones.
    Replace,
}

/// What to do when the samples look like somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateRule {
    /// Refuse: it is the same person under another id, or a look-alike who would be let in as the other.
    #[default]
    Refuse,
    /// Enrol and report the look-alikes, for twins and for a deliberate second id.
    Allow,
}

/// What samples must be like. The defaults suit a cosine embedder of the SphereFace kind, whose same-person scores lie
/// around 0.6 and whose equal-error threshold is about 0.3; take the thresholds from the model's manifest where it has
/// them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnrolPolicy {
    /// Samples that must be left after the poor ones are dropped. Default 1: a single good photograph enrols.
    pub min_samples: usize,
    /// Most templates of a person and model, old and new. Default 8: more add search time and hardly any variety.
    pub max_templates: usize,
    /// Samples below are dropped; 0 to 1. Default 0.3.
    pub min_quality: f32,
    /// Each sample must be at least so similar to the mean of the others; else it shows somebody else, or nobody.
    /// Default 0.35.
    pub min_agreement: Threshold,
    /// From here on a sample looks like another person of the gallery. Default 0.6.
    pub duplicate: Threshold,
    /// What then.
    pub allow_duplicate: DuplicateRule,
    /// What to do with a known external id.
    pub existing: Existing,
    /// How templates are kept.
    pub encoding: Encoding,
}

impl Default for EnrolPolicy {
    fn default() -> Self {
        // Both lie between -1 and 1 (tested).
        let threshold = |value| Threshold::new(value).unwrap_or(Threshold::MAX);
        Self {
            min_samples: 1,
            max_templates: 8,
            min_quality: 0.3,
            min_agreement: threshold(0.35),
            duplicate: threshold(0.6),
            allow_duplicate: DuplicateRule::Refuse,
            existing: Existing::Refuse,
            encoding: Encoding::F32,
        }
    }
}

/// From here on two samples are one and the same picture: they add nothing, and would vouch for each other.
pub const REPEAT: f32 = 0.9999;

/// Most samples of one enrolment. Each is compared with each.
pub const MAX_SAMPLES: usize = 64;

/// Why a sample gives no template.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum SampleFault {
    /// Not an embedding.
    #[error("no usable embedding: {0}")]
    Vector(VectorError),
    /// The face image is too poor.
    #[error("quality {quality:.2} is below {min:.2}; take a sharper, better lit picture from the front")]
    LowQuality {
        /// Of the image.
        quality: f32,
        /// Asked for.
        min: f32,
    },
    /// It does not look like the others.
    #[error(
        "similarity {score} to the others is below {min}; make sure that it shows the same person, alone"
    )]
    Disagrees {
        /// To the mean of the others.
        score: Score,
        /// Asked for.
        min: Threshold,
    },
    /// The same picture again.
    #[error("the same picture as another sample or template; take a different one")]
    Repeats,
    /// Good, but there are enough better or more varied ones.
    #[error("not needed: the {max} templates allowed are found among the others")]
    Surplus {
        /// Templates allowed.
        max: usize,
    },
}

/// A sample that gave no template.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// Position among the samples given, from 0.
    pub index: usize,
    /// Its source.
    pub source: String,
    /// Why.
    pub fault: SampleFault,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            if self.source.is_empty() { format!("sample {}", self.index + 1) } else { self.source.clone() };
        write!(f, "{name}: {}", self.fault)
    }
}

/// A sample that became a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Position among the samples given, from 0.
    pub index: usize,
    /// The template.
    pub template: TemplateId,
}

/// Another person of the gallery whom the samples resemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAlike {
    /// Whom.
    pub external_id: String,
    /// Greatest similarity of a kept sample to one of that person's templates.
    pub score: Score,
}

/// A person is enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolment {
    /// The person as now in the gallery.
    pub subject: Subject,
    /// The new templates, in the order of the samples.
    pub kept: Vec<Kept>,
    /// The other samples, in their order.
    pub dropped: Vec<Dropped>,
    /// Persons above the duplicate threshold, most similar first; not empty only with [`DuplicateRule::Allow`].
    pub look_alikes: Vec<LookAlike>,
}

/// Why a person is not enrolled; nothing was changed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EnrolRefusal {
    /// The external id is taken and the policy does not say to go on.
    #[error(
        "the id {external_id} is already enrolled; add samples to it or replace it, or choose another id"
    )]
    AlreadyEnrolled {
        /// The id.
        external_id: String,
    },
    /// Not enough samples are left.
    #[error("{kept} of {needed} samples needed are usable{}", list(dropped))]
    TooFewSamples {
        /// Asked for.
        needed: usize,
        /// Usable.
        kept: usize,
        /// The others with reasons, in their order.
        dropped: Vec<Dropped>,
    },
    /// The face is already there under another id.
    #[error(
        "looks like {external_id}, who is already in the gallery (similarity {score}); if it is another person \
         indeed, allow duplicates"
    )]
    DuplicatePerson {
        /// Whom it looks like most.
        external_id: String,
        /// How much.
        score: Score,
    },
    /// The person has all the templates allowed.
    #[error("{external_id} already has the {max} templates allowed; replace them instead of adding")]
    NoRoom {
        /// Who.
        external_id: String,
        /// Templates allowed.
        max: usize,
    },
}

/// "; a.jpg: why; b.jpg: why".
fn list(dropped: &[Dropped]) -> String {
    dropped.iter().map(|d| format!("; {d}")).collect()
}

/// The samples that may become templates, and the others.
#[derive(Debug, PartialEq)]
pub(crate) struct Selection {
    /// Positions among the samples given, rising.
    pub(crate) kept: Vec<usize>,
    /// Rising too.
    pub(crate) dropped: Vec<Dropped>,
}

/// Chooses among `samples`, beside the unit vectors `old` that the person keeps (all of one length). `length` is that
/// of the model's templates, if it has any.
pub(crate) fn select(
    samples: &[Sample],
    old: &[Vec<f32>],
    length: Option<usize>,
    policy: &EnrolPolicy,
) -> Result<Selection, Fault> {
    if samples.len() > MAX_SAMPLES {
        let why = format!("{} given, at most {MAX_SAMPLES} are taken at once; leave some out", samples.len());
        return Err(Fault::invalid("samples", why));
    }
    let mut faults: Vec<Option<SampleFault>> = vec![None; samples.len()];
    let vectors = usable(samples, length, policy, &mut faults)?;

    // The picture of better quality stays; the earlier one of two that are equal.
    let mut by_quality: Vec<usize> = (0..samples.len()).filter(|i| faults[*i].is_none()).collect();
    by_quality.sort_by(|a, b| samples[*b].quality.total_cmp(&samples[*a].quality));
    let mut distinct: Vec<usize> = Vec::new();
    for i in by_quality {
        let is_repeat = |v: &Vec<f32>| cosine(v, &vectors[i]).value() >= REPEAT;
        if old.iter().any(is_repeat) || distinct.iter().any(|j| is_repeat(&vectors[*j])) {
            faults[i] = Some(SampleFault::Repeats);
        } else {
            distinct.push(i);
        }
    }

    for (i, score) in strays(&vectors, old, &mut distinct, policy.min_agreement) {
        faults[i] = Some(SampleFault::Disagrees { score, min: policy.min_agreement });
    }
    let usable = distinct.len();

    let room = policy.max_templates.saturating_sub(old.len());
    let qualities: Vec<f32> = samples.iter().map(|s| s.quality).collect();
    let kept = spread(&vectors, &qualities, old, &distinct, room);
    for i in distinct.into_iter().filter(|i| !kept.contains(i)) {
        faults[i] = Some(SampleFault::Surplus { max: policy.max_templates });
    }

    let dropped: Vec<Dropped> = faults
        .into_iter()
        .enumerate()
        .filter_map(|(index, fault)| {
            Some(Dropped { index, source: samples[index].source.clone(), fault: fault? })
        })
        .collect();
    let needed = policy.min_samples.max(1);
    if usable < needed {
        return Err(EnrolRefusal::TooFewSamples { needed, kept: usable, dropped }.into());
    }
    Ok(Selection { kept, dropped })
}

/// Unit vectors of all samples, empty for those that have a fault.
fn usable(
    samples: &[Sample],
    length: Option<usize>,
    policy: &EnrolPolicy,
    faults: &mut [Option<SampleFault>],
) -> Result<Vec<Vec<f32>>, Fault> {
    let Some(expected) = length.or(samples.first().map(|s| s.vector.len())) else { return Ok(Vec::new()) };
    check_length(expected).map_err(|e| Fault::invalid("sample", e))?;
    let mut vectors = Vec::with_capacity(samples.len());
    for (sample, fault) in samples.iter().zip(faults) {
        let got = sample.vector.len();
        if got != expected {
            // Not a poor picture but the wrong model: no other picture would help.
            return Err(Fault::invalid("sample", VectorError::OtherLength { got, expected }));
        }
        check_sample(sample.quality, &sample.source)?;
        let mut vector = sample.vector.clone();
        *fault = match unit(&mut vector) {
            Err(e) => Some(SampleFault::Vector(e)),
            Ok(()) if sample.quality < policy.min_quality => {
                Some(SampleFault::LowQuality { quality: sample.quality, min: policy.min_quality })
            }
            Ok(()) => None,
        };
        vectors.push(if fault.is_none() { vector } else { Vec::new() });
    }
    Ok(vectors)
}

/// Subjects other than `own` whom one of the `vectors` resembles from `threshold` on, most similar first.
pub(crate) fn look_alikes(
    db: &Connection,
    held: &Held,
    own: SubjectId,
    vectors: &[&[f32]],
    threshold: Threshold,
) -> Result<Vec<(SubjectId, Score)>, Fault> {
    // More than three look-alikes say no more than three do.
    const MOST: usize = 3;
    if vectors.iter().any(|vector| vector.len() != held.length()) {
        // Only templates that this very enrolment replaces can have another length, and they are the person's own.
        return Ok(Vec::new());
    }
    let mut found: Vec<(SubjectId, Score)> = Vec::new();
    let mut workspace = Workspace::default();
    held.identify(db, vectors, MOST, Some(own), &mut workspace)?;
    for c in workspace.take().into_iter().flat_map(Candidates::into_vec) {
        if !c.score.reaches(threshold) {
            continue;
        }
        match found.iter_mut().find(|(id, _)| *id == c.subject) {
            Some((_, score)) => *score = c.score.max(*score),
            None => found.push((c.subject, c.score)),
        }
    }
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(found)
}

#[cfg(test)]
mod tests;
