//! What became of a person and of each picture, and how it is said.

use limen_gallery_db::enrol::LookAlike;
use serde_json::{Value, json};

use crate::people::{Entry, LIST, Refusal};

/// How verdicts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Words,
    /// An object a line.
    Json,
}

/// Whether what is said is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Yes.
    Real,
    /// No: it is what would be done.
    Dry,
}

/// What became of a person.
pub enum Outcome {
    /// Templates were made.
    Enrolled {
        /// How many.
        templates: usize,
        /// Whom they resemble besides, most first.
        look_alikes: Vec<LookAlike>,
    },
    /// Data were changed, templates stay.
    Changed,
    /// Nothing was to be done.
    Unchanged,
    /// Nothing was changed.
    Refused(Refusal),
}

/// A person with what was seen on each picture that was looked at: a face that can be used, or why not.
pub struct Verdict {
    /// The person.
    pub outcome: Outcome,
    /// Each picture, in its order.
    pub pictures: Vec<(String, Result<(), String>)>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, pictures: Vec::new() }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Outcome::Refused(refusal).into()
    }
}

/// How many people met with what.
#[derive(Default)]
pub struct Sums {
    enrolled: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
}

impl Verdict {
    /// Prints it.
    pub fn say(&self, entry: &Entry, form: Form) {
        match form {
            Form::Words => self.in_words(entry),
            Form::Json => crate::say!("{}", self.json(entry)),
        }
    }

    fn in_words(&self, entry: &Entry) {
        let was = match &self.outcome {
            Outcome::Enrolled { templates, .. } => {
                format!("enrolled with {templates} of {} pictures", entry.pictures.len())
            }
            Outcome::Changed => "data changed".into(),
            Outcome::Unchanged => "unchanged".into(),
            Outcome::Refused(refusal) => format!("refused: {}", refusal.why),
        };
        crate::say!("line {}, {}: {was}", entry.line, entry.id);
        for (name, seen) in &self.pictures {
            match (seen, &self.outcome) {
                (Err(why), _) => crate::say!("    {name}: not used: {why}"),
                (Ok(()), Outcome::Refused(_)) => crate::say!("    {name}: could be used"),
                (Ok(()), _) => crate::say!("    {name}: used"),
            }
        }
        if let Outcome::Enrolled { look_alikes, .. } = &self.outcome {
            for l in look_alikes {
                crate::say!("    warning: resembles {} (score {})", l.external_id, l.score);
            }
        }
    }

    fn json(&self, entry: &Entry) -> Value {
        let (mut templates, mut look_alikes, mut refused) = (0, Vec::new(), None);
        let word = match &self.outcome {
            Outcome::Enrolled { templates: made, look_alikes: alike } => {
                templates = *made;
                look_alikes =
                    alike.iter().map(|l| json!({ "id": l.external_id, "score": l.score.value() })).collect();
                "enrolled"
            }
            Outcome::Changed => "changed",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused(refusal) => {
                refused = Some(refusal);
                "refused"
            }
        };
        let picture = |(name, seen): &(String, Result<(), String>)| {
            let used = seen.is_ok() && refused.is_none();
            json!({ "picture": name, "used": used, "why": seen.as_ref().err() })
        };
        json!({
            "line": entry.line, "id": entry.id, "verdict": word, "reason": refused.map(|r| r.code),
            "why": refused.map(|r| &r.why), "templates": templates,
            "pictures": self.pictures.iter().map(picture).collect::<Vec<_>>(), "look_alikes": look_alikes,
        })
    }
}

impl Sums {
    /// One more.
    pub fn count(&mut self, verdict: &Verdict) {
        match &verdict.outcome {
            Outcome::Enrolled { .. } => self.enrolled += 1,
            Outcome::Changed => self.changed += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Prints them, with the files that are nobody's.
    pub fn say(&self, of_nobody: &[String], run: Run, form: Form) {
        let Self { enrolled, changed, unchanged, refused } = self;
        let people = enrolled + changed + unchanged + refused;
        if form == Form::Json {
            crate::say!(
                "{}",
                json!({
                    "people": people, "enrolled": enrolled, "changed": changed, "unchanged": unchanged,
                    "refused": refused, "dry_run": run == Run::Dry, "of_nobody": of_nobody,
                })
            );
            return;
        }
        for name in of_nobody {
            eprintln!("{name}: nobody's in {LIST}");
        }
        eprintln!(
            "{people} people: {enrolled} enrolled, {changed} changed, {unchanged} unchanged, {refused} refused"
        );
        if run == Run::Dry {
            eprintln!("this was a dry run: nothing was changed");
        }
    }
}
