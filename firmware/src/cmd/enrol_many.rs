//! `limen enrol-many`: people from a list with photographs, each person all or nothing, a verdict a person and a picture.
//! A second run goes on where the first one stopped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use limen_gallery_db::enrol::{Dropped, EnrolRefusal, Existing, MAX_SAMPLES, Sample};
use limen_gallery_db::event::{EventKind, NewEvent};
use limen_gallery_db::{GalleryError, NewSubject, Subject};
use limen_models::manifest::sha256_hex;
use limen_models::photo::{self, MAX_FILE_BYTES, PhotoError};

use crate::cmd::enrol::{coded, duplicates, policy};
use crate::cmd::enrol_many::verdict::{Form, Outcome, Run, Sums, Verdict};
use crate::cmd::probe::{progress, see, without_name};
use crate::cmd::{Exit, Site};
use crate::people::plan::{Known, Mark, Mode, Step, plan};
use crate::people::{Entry, List, Picture, Refusal, credentials};
use crate::recognise::{GalleryFile, Recogniser};

mod verdict;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct EnrolMany {
    #[command(flatten)]
    site: Site,
    /// Everybody on the list has agreed to be recognised here; recorded with the time where the list says no day
    #[arg(long)]
    consent: bool,
    /// Whoever is enrolled already: add their photographs
    #[arg(long, conflicts_with = "replace")]
    add: bool,
    /// Whoever is enrolled already: data and photographs take the place of the old ones
    #[arg(long)]
    replace: bool,
    /// Enrol although a face resembles somebody else's (twins)
    #[arg(long)]
    allow_duplicate: bool,
    /// Photographs of a person that must be usable
    #[arg(long, default_value_t = 1)]
    min_photos: usize,
    /// Say what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object a person, and one of sums
    #[arg(long)]
    json: bool,
    /// Folder or ZIP with people.csv and photographs
    #[arg(value_name = "FOLDER|ZIP")]
    from: PathBuf,
}

/// What is needed for each person.
struct Desk<'a> {
    recogniser: Recogniser,
    list: List,
    args: &'a EnrolMany,
    mode: Mode,
    now: Timestamp,
    bar: ProgressBar,
}

/// Runs the command.
pub fn run(args: &EnrolMany) -> Result<Exit> {
    let config = args.site.config()?;
    let now = Timestamp::now();
    let mut list = List::open(&args.from, &TimeZone::system(), now)?;
    let entries = std::mem::take(&mut list.entries);
    let form = if args.json { Form::Json } else { Form::Words };
    let run = if args.dry_run { Run::Dry } else { Run::Real };
    let gallery = match run {
        Run::Dry => GalleryFile::Copied,
        Run::Real => GalleryFile::MayBeNew,
    };
    let recogniser = Recogniser::open(&config, None, gallery)?;
    let mode = match (args.add, args.replace) {
        (true, _) => Mode::Add,
        (_, true) => Mode::Replace,
        _ => Mode::Keep,
    };
    let bar = progress(entries.iter().map(|e| e.pictures.len()).sum());
    let mut desk = Desk { recogniser, list, args, mode, now, bar };
    let mut sums = Sums::default();
    for entry in &entries {
        let verdict = desk.person(entry).with_context(|| {
            format!(
                "stopped at line {}; whoever was told of before is done, and a second run goes on",
                entry.line
            )
        })?;
        sums.count(&verdict);
        desk.bar.suspend(|| verdict.say(entry, form));
    }
    desk.bar.finish_and_clear();
    sums.say(&desk.list.of_nobody, run, form);
    Ok(if sums.refused() == 0 { Exit::Yes } else { Exit::Refused })
}

impl Desk<'_> {
    /// Brings one person into the gallery, or says why not. Errors where it is not the person's fault.
    fn person(&mut self, entry: &Entry) -> Result<Verdict> {
        self.bar.inc(entry.pictures.len() as u64);
        let person = match &entry.person {
            Ok(person) => person,
            Err(refusal) => return Ok(refusal.clone().into()),
        };
        if let Err(refusal) = credentials::admit(&person.credentials) {
            return Ok(refusal.into());
        }
        if entry.pictures.len() > MAX_SAMPLES {
            let why =
                format!("{} pictures, at most {MAX_SAMPLES} are taken; leave some out", entry.pictures.len());
            return Ok(Refusal::new("too-many-pictures", why).into());
        }
        let mark = self.mark(&entry.pictures);
        let known = self.known(&entry.id, &mark)?;
        let mut new = person.subject.clone();
        let on_record = known.as_ref().and_then(|k| k.subject.consent);
        new.consent = new.consent.or(on_record).or(self.args.consent.then_some(new.at));
        match plan(known.as_ref(), &new, entry.pictures.len(), self.mode) {
            Err(refusal) => Ok(refusal.into()),
            Ok(Step::Nothing) => Ok(Outcome::Unchanged.into()),
            Ok(Step::Change) => {
                if let Some(known) = known {
                    self.change(known.subject, new)?;
                }
                Ok(Outcome::Changed.into())
            }
            Ok(Step::Enrol(existing)) => self.enrol(&new, &entry.pictures, &mark, existing),
        }
    }

    /// The mark of all pictures that can be read.
    fn mark(&mut self, pictures: &[Picture]) -> Mark {
        let read = |picture| self.list.read(picture).ok().flatten();
        Mark::of(pictures.iter().filter_map(read).map(|bytes| sha256_hex(&bytes)).collect())
    }

    fn known(&self, id: &str, mark: &Mark) -> Result<Option<Known>> {
        let gallery = &self.recogniser.gallery;
        let Some(subject) = gallery.subject_by_external_id(id)? else { return Ok(None) };
        let templates = gallery.templates(subject.id)?;
        let of_model = templates.iter().filter(|t| t.model == self.recogniser.model);
        let there = mark.among(of_model.map(|t| t.source.as_str()));
        Ok(Some(Known { subject, there }))
    }

    fn change(&mut self, old: Subject, new: NewSubject) -> Result<()> {
        let event = NewEvent::new(self.now, EventKind::Changed).about(old.id);
        let NewSubject { name, groups, valid_from, valid_until, consent, .. } = new;
        let subject = Subject { name, groups, valid_from, valid_until, consent, ..old };
        self.recogniser.gallery.noting(event).update_subject(&subject)?;
        Ok(())
    }

    fn enrol(
        &mut self,
        new: &NewSubject,
        pictures: &[Picture],
        mark: &Mark,
        existing: Existing,
    ) -> Result<Verdict> {
        let mut samples = Vec::new();
        let mut seen: Vec<(String, Result<(), String>)> = Vec::new();
        // Of each sample, its picture's position among those seen.
        let mut of = Vec::new();
        for picture in pictures {
            match self.sample(picture, mark)? {
                Ok(sample) => {
                    of.push(seen.len());
                    samples.push(sample);
                    seen.push((picture.name.clone(), Ok(())));
                }
                Err(why) => seen.push((picture.name.clone(), Err(why))),
            }
        }
        let needed = self.args.min_photos.max(1);
        let refused = |code, why, pictures| {
            Ok(Verdict { outcome: Outcome::Refused(Refusal::new(code, why)), pictures })
        };
        if samples.len() < needed {
            let why =
                format!("{} of {} pictures can be used, {needed} needed", samples.len(), pictures.len());
            return refused("too-few-photos", why, seen);
        }
        let duplicates = duplicates(self.args.allow_duplicate);
        let policy = policy(&self.recogniser, needed, duplicates, existing)?;
        let model = self.recogniser.model.clone();
        let mut event = NewEvent::new(self.now, EventKind::Enrolled).about_id(&new.external_id);
        event.model = Some(model.clone());
        let mut leave_out = |dropped: &[Dropped]| {
            for d in dropped {
                if let Some((_, seen)) = of.get(d.index).and_then(|i| seen.get_mut(*i)) {
                    *seen = Err(d.fault.to_string());
                }
            }
        };
        match self.recogniser.gallery.noting(event).enrol(new, &model, &samples, &policy) {
            Ok(done) => {
                leave_out(&done.dropped);
                let outcome = Outcome::Enrolled { templates: done.kept.len(), look_alikes: done.look_alikes };
                Ok(Verdict { outcome, pictures: seen })
            }
            Err(GalleryError::Enrolment(refusal)) => {
                let (code, help) = coded(&refusal);
                let why = match &refusal {
                    EnrolRefusal::TooFewSamples { kept, dropped, .. } => {
                        leave_out(dropped);
                        format!("{kept} of {} pictures can be used, {needed} needed", pictures.len())
                    }
                    _ => format!("{refusal}{help}"),
                };
                refused(code, why, seen)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The face on a picture as a sample, or why there is none. One picture at a time is in memory.
    fn sample(&mut self, picture: &Picture, mark: &Mark) -> Result<Result<Sample, String>> {
        let path = Path::new(&picture.name);
        let bytes = match self.list.read(picture) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let what = format!("more than {} MiB", MAX_FILE_BYTES >> 20);
                let e = PhotoError::TooLarge { path: path.to_owned(), what };
                return Ok(Err(without_name(&e, &picture.name)));
            }
            Err(source) => {
                let e = PhotoError::Read { path: path.to_owned(), source };
                return Ok(Err(without_name(&e, &picture.name)));
            }
        };
        let image = match photo::decode(&bytes, path) {
            Ok(image) => image,
            Err(e) => return Ok(Err(without_name(&e, &picture.name))),
        };
        Ok(see(&self.recogniser, image)?.sample(mark.source(&picture.name)))
    }
}
