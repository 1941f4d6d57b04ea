//! A row of the list as a person who can be enrolled, or what is wrong with it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use limen_gallery_db::NewSubject;

use crate::people::Refusal;
use crate::people::credentials::Credentials;
use crate::people::moment::{Edge, NO_MOMENT, moment};
use crate::people::table::{Column, Row};

/// What a row says of a person.
pub struct Person {
    /// In the form in which a gallery holds it.
    pub subject: NewSubject,
    /// Besides the face.
    pub credentials: Credentials,
}

impl Person {
    /// Checks every cell but `photos`. Days are those of `zone`; the person comes in `now`.
    pub(super) fn of(row: &Row, zone: &TimeZone, now: Timestamp) -> Result<Self, Refusal> {
        let bad = |why: String| Refusal::new("bad-data", why);
        let time = |column: Column, edge| match row.cell(column) {
            "" => Ok(None),
            text => match moment(text, edge, zone) {
                Some(t) => Ok(Some(t)),
                None => Err(bad(format!("{}: {NO_MOMENT}", column.name()))),
            },
        };
        let mut new = NewSubject::new(row.cell(Column::Id), row.cell(Column::Name));
        new.groups = row.parts(Column::Groups).map(str::to_owned).collect();
        new.valid_from = time(Column::ValidFrom, Edge::Begin)?;
        new.valid_until = time(Column::ValidUntil, Edge::End)?;
        new.consent = time(Column::Consent, Edge::Begin)?;
        new.at = now;
        if new.consent.is_some_and(|agreed| agreed > now) {
            return Err(bad("consent: lies in the future; write the day on which the person agreed".into()));
        }
        let subject = new.checked().map_err(|e| bad(e.to_string()))?;
        let credentials = Credentials::of(row.cell(Column::Pin), row.cell(Column::Card))?;
        Ok(Self { subject, credentials })
    }
}
