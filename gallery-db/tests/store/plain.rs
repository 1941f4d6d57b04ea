//! A gallery in a plain map, the operations on both, and the comparison of the two.

use std::collections::BTreeMap;

use jiff::Timestamp;
use limen_gallery_db::score::unit;
use limen_gallery_db::*;

/// One change. Persons are numbers below [`PERSONS`], vectors are seeds, so that a failing case can be read.
#[derive(Debug, Clone)]
pub enum Op {
    Add(u8),
    Enrol { person: u8, seeds: Vec<u16>, encoding: Encoding, existing: Existing },
    Rename(u8, u8),
    SetStanding(u8, Standing),
    Remove(u8),
    RemoveTemplate(i64),
    Append { person: Option<u8>, kind: usize },
}

pub const PERSONS: u8 = 6;

/// What an operation gave: the numbers of new templates or events, or the kind of refusal.
pub type Outcome = Result<Vec<i64>, &'static str>;

#[derive(Debug, Clone, PartialEq)]
struct Person {
    name: String,
    standing: Standing,
    /// Number -> the vector as kept.
    templates: BTreeMap<i64, Vec<f32>>,
}

/// What a gallery holds, in the plainest form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plain {
    people: BTreeMap<String, Person>,
    /// Kind and external id as it was.
    events: Vec<(EventKind, Option<String>)>,
    last_template: i64,
}

pub fn id(person: u8) -> String {
    format!("P-{person}")
}

pub fn model() -> ModelId {
    ModelId::new("m").unwrap()
}

/// 24 values that look random and differ for each seed.
pub fn vector(seed: u16) -> Vec<f32> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1;
    (0..24)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn new_subject(person: u8) -> NewSubject {
    NewSubject { at: Timestamp::UNIX_EPOCH, ..NewSubject::new(id(person), format!("first name of {person}")) }
}

/// Nothing is judged here but repeats, which a map can judge as well: by the seed.
fn policy(encoding: Encoding, existing: Existing) -> EnrolPolicy {
    EnrolPolicy {
        min_samples: 1,
        max_templates: 1000,
        min_quality: 0.0,
        min_agreement: Threshold::MIN,
        duplicate: Threshold::MAX,
        allow_duplicate: DuplicateRule::Allow,
        existing,
        encoding,
    }
}

/// Does `op` to the gallery.
pub fn run(gallery: &mut Gallery, op: &Op) -> Outcome {
    let find =
        |gallery: &Gallery, person| gallery.subject_by_external_id(&id(person)).unwrap().ok_or("nobody");
    let done = match op {
        Op::Add(person) => gallery.add_subject(&new_subject(*person)).map(|_| vec![]),
        Op::Enrol { person, seeds, encoding, existing } => {
            let sample =
                |seed: &u16| Sample { vector: vector(*seed), quality: 0.5, source: seed.to_string() };
            let samples: Vec<Sample> = seeds.iter().map(sample).collect();
            gallery
                .enrol(&new_subject(*person), &model(), &samples, &policy(*encoding, *existing))
                .map(|e| e.kept.iter().map(|k| k.template.number()).collect())
        }
        Op::Rename(person, name) => {
            let subject = Subject { name: format!("name {name}"), ..find(gallery, *person)? };
            gallery.update_subject(&subject).map(|_| vec![])
        }
        Op::SetStanding(person, standing) => {
            let subject = find(gallery, *person)?;
            gallery.set_standing(subject.id, *standing).map(|_| vec![])
        }
        Op::Remove(person) => {
            let subject = find(gallery, *person)?;
            gallery.remove_subject(subject.id).map(|_| vec![])
        }
        Op::RemoveTemplate(number) => gallery.remove_template(TemplateId::new(*number)).map(|_| vec![]),
        Op::Append { person, kind } => {
            let subject = person.and_then(|p| gallery.subject_by_external_id(&id(p)).unwrap());
            let event = NewEvent {
                subject: subject.map(|s| s.id),
                ..NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::ALL[*kind])
            };
            gallery.append(&event).map(|e| vec![e.seq.number()])
        }
    };
    done.map_err(|e| match e {
        GalleryError::Exists { .. } => "exists",
        GalleryError::UnknownTemplate { .. } => "no template",
        GalleryError::Enrolment(EnrolRefusal::AlreadyEnrolled { .. }) => "enrolled",
        GalleryError::Enrolment(EnrolRefusal::TooFewSamples { .. }) => "too few",
        other => panic!("{op:?}: {other}"),
    })
}

impl Plain {
    /// Does `op` to the map.
    pub fn run(&mut self, op: &Op) -> Outcome {
        let fresh = |person: &u8| Person {
            name: format!("first name of {person}"),
            standing: Standing::Active,
            templates: BTreeMap::new(),
        };
        match op {
            Op::Add(person) => {
                if self.people.contains_key(&id(*person)) {
                    return Err("exists");
                }
                self.people.insert(id(*person), fresh(person));
                Ok(vec![])
            }
            Op::Enrol { person, seeds, encoding, existing } => {
                let known = self.people.get(&id(*person)).cloned();
                let mut person_now = match (known, existing) {
                    (None, _) => fresh(person),
                    (Some(_), Existing::Refuse) => return Err("enrolled"),
                    (Some(known), Existing::AddSamples) => known,
                    (Some(known), Existing::Replace) => Person { standing: known.standing, ..fresh(person) },
                };
                let mut numbers = Vec::new();
                for seed in seeds {
                    let kept = TemplateVector::encode(&vector(*seed), *encoding).unwrap().decode();
                    let is_repeat = |v: &Vec<f32>| cosine(v, &vector(*seed)).value() > 0.99;
                    if person_now.templates.values().any(is_repeat) {
                        continue;
                    }
                    numbers.push(self.last_template + 1 + numbers.len() as i64);
                    person_now.templates.insert(numbers[numbers.len() - 1], kept);
                }
                if numbers.is_empty() {
                    return Err("too few");
                }
                self.last_template += numbers.len() as i64;
                self.people.insert(id(*person), person_now);
                Ok(numbers)
            }
            Op::Rename(person, name) => {
                self.people.get_mut(&id(*person)).ok_or("nobody")?.name = format!("name {name}");
                Ok(vec![])
            }
            Op::SetStanding(person, standing) => {
                self.people.get_mut(&id(*person)).ok_or("nobody")?.standing = *standing;
                Ok(vec![])
            }
            Op::Remove(person) => {
                self.people.remove(&id(*person)).ok_or("nobody")?;
                Ok(vec![])
            }
            Op::RemoveTemplate(number) => {
                let removed = self.people.values_mut().any(|p| p.templates.remove(number).is_some());
                removed.then(Vec::new).ok_or("no template")
            }
            Op::Append { person, kind } => {
                let person = person.map(id).filter(|id| self.people.contains_key(id));
                self.events.push((EventKind::ALL[*kind], person));
                Ok(vec![self.events.len() as i64])
            }
        }
    }

    /// Whether the gallery holds the same, in its file and in its index; says what differs.
    pub fn compare(&self, gallery: &Gallery) -> Result<(), String> {
        let subjects = gallery.subjects().map_err(|e| e.to_string())?;
        let mut people = BTreeMap::new();
        for s in &subjects {
            let templates = gallery.templates(s.id).map_err(|e| e.to_string())?;
            people.insert(
                s.external_id.clone(),
                Person {
                    name: s.name.clone(),
                    standing: s.standing,
                    templates: templates.iter().map(|t| (t.id.number(), t.vector.decode())).collect(),
                },
            );
        }
        let events = gallery.events(&EventFilter::default()).map_err(|e| e.to_string())?;
        let seqs: Vec<i64> = events.iter().map(|e| e.seq.number()).collect();
        if seqs != (1..=seqs.len() as i64).collect::<Vec<_>>() {
            return Err(format!("the journal has holes: {seqs:?}"));
        }
        let here = Self {
            people,
            events: events.into_iter().map(|e| (e.kind, e.external_id)).collect(),
            last_template: self.last_template,
        };
        gallery.verify_journal(&[]).map_err(|e| e.to_string())?;
        if here != *self {
            return Err(format!("in the gallery {here:?}\nin the map {self:?}"));
        }
        self.search(gallery, &subjects, 0xFFFF)
    }

    /// Whether identify and verify give what scoring every vector gives.
    pub fn search(&self, gallery: &Gallery, subjects: &[Subject], probe: u16) -> Result<(), String> {
        let probe = vector(probe);
        let score = |kept: &Vec<f32>| {
            let mut row = kept.clone();
            unit(&mut row).unwrap();
            cosine(&row, &probe)
        };
        let best = |p: &Person| p.templates.values().map(score).max();
        let mut expected: Vec<(Score, &str)> =
            self.people.iter().filter_map(|(id, p)| Some((best(p)?, id.as_str()))).collect();
        let key = |id: &str| subjects.iter().find(|s| s.external_id == id).map(|s| s.id);
        expected.sort_by(|a, b| b.0.cmp(&a.0).then(key(a.1).cmp(&key(b.1))));
        let margin = (expected.len() > 1).then(|| expected[0].0.value() - expected[1].0.value());

        let found = gallery.identify(&model(), &probe, 4).map_err(|e| e.to_string())?;
        let name =
            |id: SubjectId| subjects.iter().find(|s| s.id == id).map_or("?", |s| s.external_id.as_str());
        let got: Vec<(Score, &str)> = found.as_slice().iter().map(|c| (c.score, name(c.subject))).collect();
        if got != expected[..expected.len().min(4)] || found.margin() != margin {
            return Err(format!("identify gave {got:?} {:?}, not {expected:?} {margin:?}", found.margin()));
        }
        for s in subjects {
            let got = gallery.verify(&model(), s.id, &probe).map_err(|e| e.to_string())?;
            let expected = self.people.get(&s.external_id).and_then(best);
            if got != expected {
                return Err(format!("verify of {} gave {got:?}, not {expected:?}", s.external_id));
            }
        }
        Ok(())
    }
}
