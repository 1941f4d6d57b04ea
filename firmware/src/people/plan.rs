//! What is to be done with a person on the list, given what the gallery has. Pure.

use limen_gallery_db::template::MAX_SOURCE;
use limen_gallery_db::{Existing, NewSubject, Subject};
use limen_models::manifest::sha256_hex;

use crate::people::Refusal;

/// Hexadecimal digits of a set's mark: 64 bits part the sets of one person.
const MARK_DIGITS: usize = 16;

/// What happens to somebody whom the gallery has with other data or pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refused.
    Keep,
    /// The pictures are added, the data stay.
    Add,
    /// Data and pictures take the place of the old ones.
    Replace,
}

/// Mark of all pictures that a person was given at once, whatever their names and order. It stands in the templates'
/// source, so that a second run knows them without looking at the pictures again, also at those that gave no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Of the pictures with these SHA-256.
    pub fn of(mut pictures: Vec<String>) -> Self {
        pictures.sort();
        pictures.dedup();
        Self(format!(" set:{}", &sha256_hex(pictures.concat().as_bytes())[..MARK_DIGITS]))
    }

    /// A template's source: the picture's name, cut if need be, and the mark.
    pub fn source(&self, name: &str) -> String {
        let room = MAX_SOURCE - self.0.len();
        name.chars().filter(|c| !c.is_control()).take(room).collect::<String>() + &self.0
    }

    /// How many of the templates with these `sources` came of this set.
    pub fn among<'a>(&self, sources: impl Iterator<Item = &'a str>) -> There {
        let (mut mine, mut others) = (false, false);
        for source in sources {
            if source.ends_with(&self.0) { mine = true } else { others = true }
        }
        match (mine, others) {
            (false, _) => There::None,
            (true, true) => There::Some,
            (true, false) => There::All,
        }
    }
}

/// Which of a person's templates came of a set of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// None of them.
    None,
    /// Some.
    Some,
    /// All, and there is one.
    All,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is done already.
    Nothing,
    /// The data take the place of the old ones; the templates stay.
    Change,
    /// Pictures are looked at, and templates made.
    Enrol(Existing),
}

/// What the gallery has of the person.
#[derive(Debug, Clone)]
pub struct Known {
    /// The data.
    pub subject: Subject,
    /// Whether the templates are those of the pictures on the list.
    pub there: There,
}

/// Decides for a person with so many pictures. What is not on the list is as it was: an empty column `consent` leaves the
/// consent on record (`new.consent` has it already), no pictures leave the templates.
pub fn plan(known: Option<&Known>, new: &NewSubject, pictures: usize, mode: Mode) -> Result<Step, Refusal> {
    let Some(Known { subject, there }) = known else {
        if pictures == 0 {
            let why = format!(
                "no pictures found; name them {0}.jpg, {0}-1.jpg or {0}/1.jpg, or in the column photos",
                new.external_id
            );
            return Err(Refusal::new("no-pictures", why));
        }
        return agreed(new.consent.is_some(), Step::Enrol(Existing::Refuse));
    };
    let same_pictures = match (pictures, mode, there) {
        (0, ..) | (_, _, There::All) => true,
        (_, Mode::Replace, _) | (_, _, There::None) => false,
        // Others were added to them since.
        (_, Mode::Keep | Mode::Add, There::Some) => true,
    };
    let same_data = (&subject.name, &subject.groups) == (&new.name, &new.groups)
        && (subject.valid_from, subject.valid_until) == (new.valid_from, new.valid_until)
        && subject.consent == new.consent;
    match mode {
        Mode::Keep if same_data && same_pictures => Ok(Step::Nothing),
        Mode::Keep => {
            let what = match (same_data, same_pictures) {
                (true, _) => "other pictures",
                (_, true) => "other data",
                _ => "other data and pictures",
            };
            let why = format!(
                "already in the gallery with {what}; --add adds pictures, --replace takes what the list says"
            );
            Err(Refusal::new("already-enrolled", why))
        }
        Mode::Add if same_pictures => Ok(Step::Nothing),
        Mode::Add => agreed(subject.consent.is_some(), Step::Enrol(Existing::AddSamples)),
        Mode::Replace if same_data && same_pictures => Ok(Step::Nothing),
        Mode::Replace if same_pictures => Ok(Step::Change),
        Mode::Replace => agreed(new.consent.is_some(), Step::Enrol(Existing::Replace)),
    }
}

/// No template is made of somebody who has not agreed.
fn agreed(has_agreed: bool, step: Step) -> Result<Step, Refusal> {
    if has_agreed {
        return Ok(step);
    }
    Err(Refusal::new(
        "no-consent",
        "no consent on record; write the day into the column consent, or say --consent if all have agreed",
    ))
}

#[cfg(test)]
mod tests;
